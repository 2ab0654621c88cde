//! The files that a case begins with: described by lines, made in a folder.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::fs::{XattrFlags, setxattr};

use super::line::Word;
use crate::sh::Cmd;

/// When files were changed last, unless their line tells otherwise: 2020-09-13.
pub(super) const MTIME: u64 = 1_600_000_000;

/// A file to be made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Placed {
    /// Below the folder of the case, or below the root of an archive.
    pub(super) path: String,
    pub(super) what: What,
    pub(super) mode: u32,
    pub(super) mtime: u64,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) attributes: Vec<(String, String)>,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum What {
    Folder,
    Bytes(Vec<u8>),
    Symlink(String),
    /// A further name of a file, which is in the same folder of files.
    HardLink(String),
    Pipe,
}

impl Placed {
    /// A folder with mode 0755.
    pub(super) fn folder(path: &str) -> Self {
        Self::new(path, What::Folder, 0o755)
    }

    /// A file with these bytes.
    pub(super) fn file(path: &str, bytes: Vec<u8>) -> Self {
        Self::new(path, What::Bytes(bytes), 0o644)
    }

    fn new(path: &str, what: What, mode: u32) -> Self {
        let path = path.trim_end_matches('/').to_owned();
        Self { path, what, mode, mtime: MTIME, owner: None, attributes: Vec::new() }
    }

    /// Reads a line like `bin/tool 0755 "content"`, `folder/ 0700`, `link -> target`, `name => file` or `p fifo`.
    pub(super) fn parse(words: &[Word]) -> Result<Self> {
        let (first, rest) = words.split_first().context("a path")?;
        let path = first.text()?;
        let mut placed = if path.ends_with('/') {
            Self::new(&path, What::Folder, 0o755)
        } else {
            Self::file(&path, Vec::new())
        };
        let mut rest = rest.iter();
        while let Some(word) = rest.next() {
            let plain = word.plain();
            let mut next = || rest.next().context("a target")?.text();
            if word.quoted {
                placed.what = What::Bytes(word.bytes.clone());
            } else if plain == "->" {
                placed.what = What::Symlink(next()?);
            } else if plain == "=>" {
                placed.what = What::HardLink(next()?);
            } else if plain == "fifo" {
                placed.what = What::Pipe;
            } else if let Some(seconds) = plain.strip_prefix("mtime=") {
                placed.mtime = seconds.parse().context("mtime")?;
            } else if let Some(pair) = plain.strip_prefix("xattr:") {
                let (name, value) = pair.split_once('=').context("xattr:NAME=VALUE")?;
                placed.attributes.push((name.to_owned(), value.to_owned()));
            } else if let Some(owner) = owner(plain) {
                placed.owner = Some(owner);
            } else if let Some(mode) = mode(plain) {
                placed.mode = mode;
            } else {
                bail!("what is `{}`?", word.text()?);
            }
        }
        Ok(placed)
    }

    /// Makes it below a folder, whose own folders are made as well.
    fn make(&self, below: &Path) -> Result<()> {
        let path = below.join(&self.path);
        let parent = path.parent().context("a file lies in a folder")?;
        make_folders(parent)?;
        match &self.what {
            What::Folder => make_folders(&path)?,
            What::Bytes(bytes) => fs::write(&path, bytes)?,
            What::Symlink(target) => return Ok(symlink(target, &path)?),
            What::HardLink(name) => {
                let folder = self.path.split('/').next().unwrap_or_default();
                return Ok(fs::hard_link(below.join(folder).join(name), &path)?);
            }
            What::Pipe => Cmd::new("mkfifo").arg(&path).run()?,
        }
        if let Some((uid, gid)) = self.owner {
            lchown(&path, Some(uid), Some(gid))?;
        }
        fs::set_permissions(&path, Permissions::from_mode(self.mode))?;
        for (name, value) in &self.attributes {
            setxattr(&path, name.as_str(), value.as_bytes(), XattrFlags::empty())
                .with_context(|| format!("set {name}"))?;
        }
        Ok(())
    }

    fn set_time(&self, below: &Path) -> Result<()> {
        if matches!(self.what, What::Folder | What::Bytes(_)) {
            set_time(&below.join(&self.path), self.mtime)?;
        }
        Ok(())
    }
}

/// Makes files below a folder, then sets their times: what is made in a folder changes that of the folder.
pub(super) fn make_all(below: &Path, files: &[Placed]) -> Result<()> {
    for file in files {
        file.make(below).with_context(|| format!("make {}", file.path))?;
    }
    for file in files.iter().rev() {
        file.set_time(below).with_context(|| format!("set the time of {}", file.path))?;
    }
    Ok(())
}

/// Makes missing folders with the same mode whatever the umask is.
fn make_folders(path: &Path) -> Result<()> {
    let mut missing: Vec<PathBuf> = Vec::new();
    for folder in path.ancestors().take_while(|folder| !folder.is_dir()) {
        missing.push(folder.to_owned());
    }
    for folder in missing.iter().rev() {
        fs::create_dir(folder).with_context(|| format!("make {}", folder.display()))?;
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Sets when a file was changed last.
pub(super) fn set_time(path: &Path, seconds: u64) -> Result<()> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    // Root may open whatever mode the file has; others made it with one that lets them.
    let file = File::open(path)?;
    Ok(file.set_times(FileTimes::new().set_modified(time).set_accessed(time))?)
}

/// Reads four octal digits.
pub(super) fn mode(text: &str) -> Option<u32> {
    (text.len() == 4).then(|| u32::from_str_radix(text, 8).ok())?
}

/// Reads `UID:GID`.
pub(super) fn owner(text: &str) -> Option<(u32, u32)> {
    let (uid, gid) = text.split_once(':')?;
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

/// Gives a folder and all in it to a user.
pub(super) fn give(path: &Path, uid: u32, gid: u32) -> Result<()> {
    let before = fs::symlink_metadata(path).with_context(|| format!("give {}", path.display()))?;
    lchown(path, Some(uid), Some(gid)).with_context(|| format!("give {}", path.display()))?;
    if !before.is_symlink() {
        // Another owner takes setuid and setgid away.
        fs::set_permissions(path, before.permissions())?;
    }
    if before.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), uid, gid)?;
        }
    }
    Ok(())
}

/// Checks that a path stays below the folder of its case.
pub(super) fn ensure_inside(path: &str) -> Result<()> {
    let mut depth = 0i32;
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        depth += if part == ".." { -1 } else { 1 };
        ensure!(depth >= 0, "`{path}` leaves the folder of the case");
    }
    Ok(())
}
