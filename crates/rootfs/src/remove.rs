//! Removing a tree without ever leaving it.

use crate::dir::Dir;
use crate::error::Error;
use crate::error::Result;
use rustix::fd::AsFd as _;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::ffi::OsString;

/// Removes `name` in `parent` with all that is below it; nothing there is fine.
pub(crate) fn remove_tree(parent: &Dir, name: &OsStr) -> Result<()> {
    if try_remove(parent, name)? {
        return Ok(());
    }
    // Frames of directories being emptied, with the names still to remove: no recursion, since
    // the depth is a stranger's choice.
    let mut frames = vec![frame(parent.open_dir(name)?, name.to_owned())?];
    while let Some(top) = frames.last_mut() {
        let Some(child) = top.todo.pop() else {
            let name = std::mem::take(&mut top.name);
            frames.pop();
            let above = frames.last().map_or(parent, |frame| &frame.dir);
            remove_empty(above, &name)?;
            continue;
        };
        if !try_remove(&top.dir, &child)? {
            let dir = top.dir.open_dir(&child)?;
            frames.push(frame(dir, child)?);
        }
    }
    Ok(())
}

struct Frame {
    dir: Dir,
    name: OsString,
    todo: Vec<OsString>,
}

fn frame(dir: Dir, name: OsString) -> Result<Frame> {
    let todo = dir.read_names()?;
    Ok(Frame { dir, name, todo })
}

/// Removes what is no directory with content; returns whether `name` is gone.
fn try_remove(dir: &Dir, name: &OsStr) -> Result<bool> {
    match rustix::fs::unlinkat(dir.as_fd(), name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        // Linux says EISDIR for a directory, POSIX (and some file systems) EPERM.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(Error::io("remove", &dir.path().join(name), errno)),
    }
    match rustix::fs::unlinkat(dir.as_fd(), name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(errno) => Err(Error::io("remove", &dir.path().join(name), errno)),
    }
}

fn remove_empty(dir: &Dir, name: &OsStr) -> Result<()> {
    match rustix::fs::unlinkat(dir.as_fd(), name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::io("remove", &dir.path().join(name), errno)),
    }
}
