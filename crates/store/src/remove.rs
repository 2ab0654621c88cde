//! Removing a tree that strangers made: never through a symlink, never across a mount.
//!
//! Every directory is opened from its parent's descriptor (`openat2` with `RESOLVE_NO_SYMLINKS`
//! and `RESOLVE_NO_XDEV`), so nothing that is renamed or mounted meanwhile leads out of the tree.
//! The depth is a stranger's choice too: directories below [`DEPTH`] levels are first moved up.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::io::Errno;

use crate::error::Error;
use crate::error::Result;

/// How many directories are held open at once.
const DEPTH: usize = 128;

struct Frame {
    directory: OwnedFd,
    name: CString,
    todo: Vec<CString>,
}

/// Removes the tree at `path`; nothing there is fine.
///
/// # Errors
/// A mount below `path` is an error ([`Errno::XDEV`]): what is mounted is not ours to remove.
pub fn remove_tree(path: &Path) -> Result<()> {
    loop {
        match Removal::start(path) {
            // Another process removes the same tree: what it has left is for the next round, which
            // ends well once nothing is there.
            Err(Errno::NOENT) => {}
            result => return result.map_err(|errno| Error::io("remove", path, errno)),
        }
    }
}

struct Removal {
    frames: Vec<Frame>,
    moved: u64,
}

impl Removal {
    fn start(path: &Path) -> rustix::io::Result<()> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return rustix::fs::unlink(path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        }
        // The root of the tree itself may be a mount point's parent, but not below a symlink.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())?;
        let mut removal = Self { frames: Vec::new(), moved: 0 };
        removal.push(directory, CString::default())?;
        removal.run()?;
        rustix::fs::rmdir(path)
    }

    fn run(&mut self) -> rustix::io::Result<()> {
        loop {
            let depth = self.frames.len();
            let Some(top) = self.frames.last_mut() else { return Ok(()) };
            let Some(child) = top.todo.pop() else {
                let done = self.frames.pop().expect("the loop saw a frame");
                if let Some(above) = self.frames.last() {
                    gone(rustix::fs::unlinkat(&above.directory, &done.name, AtFlags::REMOVEDIR))?;
                }
                continue;
            };
            if try_remove(&top.directory, &child)? {
                continue;
            }
            if depth >= DEPTH {
                self.move_up(&child)?;
            } else {
                let directory = open_below(&top.directory, &child)?;
                self.push(directory, child)?;
            }
        }
    }

    fn push(&mut self, directory: OwnedFd, name: CString) -> rustix::io::Result<()> {
        let todo = names(&directory)?;
        self.frames.push(Frame { directory, name, todo });
        Ok(())
    }

    /// Moves a directory that lies too deep to the top of the tree, to be removed from there.
    fn move_up(&mut self, child: &CString) -> rustix::io::Result<()> {
        let name = loop {
            self.moved += 1;
            let name = CString::new(format!(".deep-{}", self.moved)).expect("no NUL in it");
            let (top, deep) = (&self.frames[0], &self.frames[self.frames.len() - 1]);
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(&deep.directory, child, &top.directory, &name, flags) {
                Err(Errno::EXIST) => {}
                moved => break moved.map(|()| name)?,
            }
        };
        self.frames[0].todo.push(name);
        Ok(())
    }
}

/// Removes what is no directory with content; says whether it is gone.
fn try_remove(directory: &OwnedFd, name: &CString) -> rustix::io::Result<bool> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        // Linux says EISDIR for a directory, POSIX (and some file systems) EPERM.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn open_below(directory: &OwnedFd, name: &CString) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV | ResolveFlags::BENEATH;
    let open = || rustix::fs::openat2(directory, name, flags, Mode::empty(), resolve);
    match open() {
        // A directory that its owner closed to himself; with the capability to override this
        // never happens.
        Err(Errno::ACCESS) => {
            rustix::fs::chmodat(directory, name, Mode::RWXU, AtFlags::empty())?;
            open()
        }
        opened => opened,
    }
}

fn names(directory: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Takes "not there any more" for done: two processes may clear up the same leftovers.
fn gone(result: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_removed_and_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        fs::create_dir_all(outside.join("kept")).unwrap();
        fs::write(outside.join("kept/file"), b"x").unwrap();
        let tree = directory.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        symlink(&outside, tree.join("a/link")).unwrap();
        symlink("/", tree.join("root")).unwrap();
        fs::write(tree.join("a/b/file"), b"x").unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(outside.join("kept/file").exists());
    }

    #[test]
    fn a_link_in_place_of_the_tree_is_removed_alone() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        fs::create_dir(&outside).unwrap();
        symlink(&outside, directory.path().join("tree")).unwrap();
        remove_tree(&directory.path().join("tree")).unwrap();
        remove_tree(&directory.path().join("never-was")).unwrap();
        assert!(outside.exists());
    }

    #[test]
    fn trees_deeper_than_the_open_directories_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        let mut deep = tree.clone();
        for level in 0..DEPTH * 3 {
            deep.push("d");
            if level % 50 == 0 {
                fs::create_dir_all(&deep).unwrap();
                fs::write(deep.join("file"), b"x").unwrap();
            }
        }
        fs::create_dir_all(&deep).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn a_tree_that_several_remove_at_once_goes_without_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..50 {
            let tree = folder.path().join(round.to_string());
            for name in ["a/b", "c", "d/e/f"] {
                fs::create_dir_all(tree.join(name)).unwrap();
                fs::write(tree.join(name).join("file"), b"x").unwrap();
            }
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| remove_tree(&tree).unwrap());
                }
            });
            assert!(!tree.exists());
        }
    }
}
