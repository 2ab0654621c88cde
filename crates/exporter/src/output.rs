//! Files that are whole or not there, and standard output.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufWriter, IsTerminal as _, Write as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use crate::{Destination, Error, Result};

/// Bytes that are collected before they are written: headers of archives are small.
const BUFFER: usize = 64 * 1024;

/// Something that is written to, and gets its name at the end.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) writer: BufWriter<File>,
    /// Where the bytes are for now, and where they belong; `None` for standard output and for
    /// what is no file of its own, as a pipe.
    place: Option<(PathBuf, PathBuf)>,
    shown: PathBuf,
}

impl Output {
    /// Opens what is to be written.
    pub(crate) fn create(destination: &Destination) -> Result<Self> {
        match destination {
            Destination::File(path) => Self::file(path),
            Destination::Stdout => Self::stdout(),
        }
    }

    pub(crate) fn file(path: &Path) -> Result<Self> {
        // A pipe or a device is written to, not replaced.
        if fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
            let opened = File::options().write(true).open(path);
            let file = opened.map_err(Error::io("open", path))?;
            return Ok(Self::new(file, None, path));
        }
        // What a link points to is replaced, the link stays.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}.tmp", std::process::id()));
        let draft = path.with_file_name(name);
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        }
        let file = File::create(&draft).map_err(Error::io("create", &path))?;
        Ok(Self::new(file, Some((draft, path.clone())), &path))
    }

    fn stdout() -> Result<Self> {
        let shown = Path::new("standard output");
        let stdout = io::stdout();
        if stdout.is_terminal() {
            return Err(Error::Terminal);
        }
        // Not through the standard library's writer, which looks at every byte for line ends.
        let fd = stdout.as_fd().try_clone_to_owned().map_err(Error::io("open", shown))?;
        Ok(Self::new(File::from(fd), None, shown))
    }

    fn new(file: File, place: Option<(PathBuf, PathBuf)>, shown: &Path) -> Self {
        let writer = BufWriter::with_capacity(BUFFER, file);
        Self { writer, place, shown: shown.to_owned() }
    }

    /// Returns how errors of writing are told.
    pub(crate) fn failed(&self) -> impl FnOnce(io::Error) -> Error + use<> {
        let shown = self.shown.clone();
        move |source| Error::io("write", &shown)(source)
    }

    /// Ends the writing and gives the file its name.
    pub(crate) fn finish(mut self) -> Result<()> {
        let failed = self.failed();
        self.writer.flush().map_err(failed)?;
        if let Some((draft, path)) = self.place.take() {
            fs::rename(&draft, &path).map_err(Error::io("rename", &path))?;
        }
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some((draft, _)) = &self.place {
            // Nobody knows the name; what cannot be removed is litter, not damage.
            drop(fs::remove_file(draft));
        }
    }
}
