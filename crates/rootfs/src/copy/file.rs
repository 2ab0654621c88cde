//! Copying one file, on whichever thread.

use super::CopyOptions;
use super::LinkPolicy;
use super::OverlayMarks;
use super::Times;
use super::data::DataCopier;
use super::level::Finish;
use super::level::Opened;
use crate::creation::Creation;
use crate::creation::Target;
use crate::dir::Dir;
use crate::dir::join_bytes;
use crate::dir::timestamps;
use crate::error::Error;
use crate::error::Located as _;
use crate::error::Result;
use crate::root::create_replacing;
use crate::root::unlink_for_replacement;
use crate::xattr;
use lathe_tree::Device;
use lathe_tree::FileKind;
use lathe_tree::Metadata;
use lathe_tree::ModeChange;
use lathe_tree::Owner;
use lathe_tree::Timestamp;
use rustix::fd::AsFd as _;
use rustix::fd::BorrowedFd;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// What holds for every file of a copy; shared by its threads.
#[derive(Debug)]
pub(super) struct Rules {
    owner: Option<Owner>,
    mode: ModeChange,
    times: Times,
    creation: Creation,
    overlay: OverlayMarks,
    /// Cleared when the kernel says that the two are on different file systems.
    can_link: AtomicBool,
}

/// What a copied file shall have.
struct Wanted {
    owner: Owner,
    mode: u32,
    mtime: Timestamp,
}

impl Wanted {
    fn is_that_of(&self, metadata: &Metadata) -> bool {
        self.owner == metadata.owner() && self.mode == metadata.mode && self.mtime == metadata.mtime
    }
}

impl Rules {
    pub(super) fn new(options: &CopyOptions<'_>) -> Self {
        Self {
            owner: options.owner,
            mode: options.mode.clone(),
            times: options.times,
            creation: Creation::new(),
            overlay: options.overlay,
            can_link: AtomicBool::new(options.link == LinkPolicy::HardLink),
        }
    }

    fn wanted(&self, source: &Metadata) -> Wanted {
        Wanted {
            owner: self.owner.unwrap_or(source.owner()),
            mode: self.mode.apply(source.mode, source.kind),
            mtime: match self.times {
                Times::Preserve => source.mtime,
                Times::Set(time) => time,
            },
        }
    }

    /// Whether a copy of any file would be all that the file is, so that none need be looked at.
    pub(super) fn links_all(&self) -> bool {
        self.can_link.load(Ordering::Relaxed)
            && self.owner.is_none()
            && self.mode == ModeChange::Keep
            && self.times == Times::Preserve
    }

    /// Gives a directory the metadata of its source, once its content is there.
    pub(super) fn finish_directory(
        &self,
        source: &Dir,
        metadata: &Metadata,
        opened: &Opened,
    ) -> Result<()> {
        let target = &opened.target;
        let path = || target.dir().path().to_owned();
        let wanted = self.wanted(metadata);
        match opened.finish {
            Finish::All => {}
            Finish::Time => {
                let times = timestamps(wanted.mtime);
                return rustix::fs::futimens(target.dir(), &times).at("change times", path);
            }
            Finish::Mode => {
                // The source's, whatever `--chmod` says: as BuildKit, which gives only
                // directories that it makes the metadata that was asked for.
                let mode = rustix::fs::Mode::from_raw_mode(metadata.mode);
                return rustix::fs::fchmod(target.dir(), mode).at("change mode", path);
            }
        }
        let made = opened.made.then_some(metadata.mode | 0o700);
        let fd = target.dir().as_fd();
        self.creation
            .finish(fd, target, made, wanted.owner, wanted.mode)
            .at("set metadata of", path)?;
        self.copy_xattrs(source.as_fd(), fd, path)?;
        rustix::fs::futimens(fd, &timestamps(wanted.mtime)).at("change times", path)
    }

    /// Copies the extended attributes of an open file to another; one call when there are none.
    fn copy_xattrs(
        &self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        path: impl Fn() -> PathBuf,
    ) -> Result<()> {
        let xattrs = xattr::of_file(from).at("read extended attributes of source of", &path)?;
        for (name, value) in xattrs {
            if !self.copies_xattr(&name) {
                continue;
            }
            match rustix::fs::fsetxattr(to, &name[..], &value, XattrFlags::empty()) {
                // As BuildKit: the destination may be unable to hold it (tmpfs, user namespace).
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
                Err(errno) => return Err(Error::io("set extended attribute of", &path(), errno)),
            }
        }
        Ok(())
    }

    /// What else an overlay below notes belongs to it, and labels to the host's policy.
    fn copies_xattr(&self, name: &[u8]) -> bool {
        let of_overlay = [&b"trusted.overlay."[..], b"user.overlay."];
        if let Some(mark) = of_overlay.iter().find_map(|prefix| name.strip_prefix(*prefix)) {
            return self.overlay == OverlayMarks::Keep
                && [b"opaque", &b"whiteout"[..]].contains(&mark);
        }
        !name.starts_with(b"security.") || name == b"security.capability"
    }

    fn is_whiteout(&self, metadata: &Metadata) -> bool {
        self.overlay == OverlayMarks::Keep
            && metadata.kind == FileKind::CharDevice
            && metadata.device == Device::default()
    }
}

/// Copies files on one thread.
pub(super) struct FileCopier<'a> {
    rules: &'a Rules,
    data: DataCopier,
}

/// File of the source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) dir: &'a Dir,
    pub(super) name: &'a OsStr,
    pub(super) metadata: &'a Metadata,
}

impl<'a> FileCopier<'a> {
    pub(super) fn new(rules: &'a Rules) -> Self {
        Self { rules, data: DataCopier::default() }
    }

    /// Copies anything but a directory to `name`, or makes that another name of it; returns how
    /// many bytes were copied.
    pub(super) fn copy(
        &mut self,
        source: Source<'_>,
        target: &Target,
        name: &OsStr,
    ) -> Result<u64> {
        let Source { dir, name: source_name, metadata } = source;
        if self.could_link(metadata) && self.link((dir, source_name), target, name)? {
            return Ok(0);
        }
        self.copy_apart(source, target, name)
    }

    /// As [`FileCopier::copy`], and never another name of the source.
    pub(super) fn copy_apart(
        &mut self,
        source: Source<'_>,
        target: &Target,
        name: &OsStr,
    ) -> Result<u64> {
        let wanted = self.rules.wanted(source.metadata);
        let copied = match source.metadata.kind {
            FileKind::Regular => self.regular(source, target, name, &wanted),
            FileKind::Symlink => self.symlink(source, target, name, &wanted),
            _ if self.rules.is_whiteout(source.metadata) => {
                make_replacing(target.dir(), name, |dir| {
                    dir.make_node(name, FileKind::CharDevice, 0, Device::default())
                })
            }
            _ => special(source.metadata, target.dir(), name, &wanted),
        };
        let bytes = if source.metadata.is_file() { source.metadata.size } else { 0 };
        copied
            .map(|()| bytes)
            .map_err(|error| error.of_copy(|| join_bytes(source.dir.path(), source.name)))
    }

    /// Returns whether a copy of the file would be all that the file is.
    pub(super) fn could_link(&self, metadata: &Metadata) -> bool {
        self.rules.can_link.load(Ordering::Relaxed)
            && self.rules.wanted(metadata).is_that_of(metadata)
    }

    /// Tries to make `name` another name of the source, which is named by its directory and its
    /// name; returns whether it is.
    pub(super) fn link(
        &self,
        source: (&Dir, &OsStr),
        target: &Target,
        name: &OsStr,
    ) -> Result<bool> {
        let (source_dir, source_name) = source;
        let linked =
            make_replacing(target.dir(), name, |dir| source_dir.hard_link(source_name, dir, name));
        match errno_of(&linked) {
            // Another file system: no file of this copy can be linked.
            Some(Errno::XDEV) => {
                self.rules.can_link.store(false, Ordering::Relaxed);
                Ok(false)
            }
            // Too many names, or not ours to link (fs.protected_hardlinks).
            Some(Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP) => Ok(false),
            _ => linked
                .map(|()| true)
                .map_err(|error| error.of_copy(|| join_bytes(source_dir.path(), source_name))),
        }
    }

    fn symlink(
        &self,
        source: Source<'_>,
        target: &Target,
        name: &OsStr,
        wanted: &Wanted,
    ) -> Result<()> {
        let dir = target.dir();
        let points_to = source.dir.read_link(source.name)?;
        make_replacing(dir, name, |dir| dir.symlink(&points_to, name))?;
        if !target.makes_owner(&self.rules.creation, wanted.owner) {
            dir.set_owner(name, wanted.owner)?;
        }
        dir.set_times(name, wanted.mtime)
    }

    fn regular(
        &mut self,
        source: Source<'_>,
        target: &Target,
        name: &OsStr,
        wanted: &Wanted,
    ) -> Result<()> {
        let metadata = source.metadata;
        let path = || join_bytes(target.dir().path(), name);
        let input = source.dir.open_file(source.name)?;
        let output = create_replacing(target.dir(), name, metadata.mode)?;
        self.data.copy(&input, &output, metadata.size).at("copy to", path)?;
        let made = Some(metadata.mode & 0o777);
        self.rules
            .creation
            .finish(output.as_fd(), target, made, wanted.owner, wanted.mode)
            .at("set metadata of", path)?;
        self.rules.copy_xattrs(input.as_fd(), output.as_fd(), path)?;
        rustix::fs::futimens(&output, &timestamps(wanted.mtime)).at("change times", path)
    }
}

fn special(metadata: &Metadata, dir: &Dir, name: &OsStr, wanted: &Wanted) -> Result<()> {
    make_replacing(dir, name, |dir| {
        dir.make_node(name, metadata.kind, wanted.mode, metadata.device)
    })?;
    dir.set_owner(name, wanted.owner)?;
    dir.set_mode(name, wanted.mode)?;
    dir.set_times(name, wanted.mtime)
}

/// Makes something at `name`, which is seldom taken; then what is not a directory goes.
fn make_replacing(dir: &Dir, name: &OsStr, make: impl Fn(&Dir) -> Result<()>) -> Result<()> {
    let made = make(dir);
    if errno_of(&made) != Some(Errno::EXIST) {
        return made;
    }
    unlink_for_replacement(dir, name)?;
    make(dir)
}

fn errno_of(result: &Result<()>) -> Option<Errno> {
    let error = result.as_ref().err()?;
    error.raw_os_error().map(Errno::from_raw_os_error)
}
