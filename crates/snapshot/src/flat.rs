//! Many layers as one directory.
//!
//! A chain that is too long to be mounted is mounted from the *flat form* of one of its snapshots
//! on: a directory with all that the snapshot shows, whose files are further names of those of the
//! layers. It lies beside the snapshot's own changes, `flat/`, is made by who needs it first, and
//! goes with the snapshot; nothing refers to it, and it can be made again at any time.
//!
//! As long as a build goes on, each flat form is made of the one before and of the layers since, so
//! that the cost of a step does not grow with its number.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use lathe_rootfs::CopyOptions;
use lathe_rootfs::CopyRequest;
use lathe_rootfs::LinkPolicy;
use lathe_rootfs::Root;
use lathe_store::SnapshotId;

use crate::driver::Layers;
use crate::error::Error;
use crate::error::Result;
use crate::native::copy_top;
use crate::origin::origins;
use crate::snapshots::Snapshots;
use crate::stack::Stack;

const NAME: &str = "flat";

impl Snapshots {
    /// Returns the flat form of a snapshot that owns its changes, if there is one.
    pub(crate) fn flat(&self, id: SnapshotId) -> Option<PathBuf> {
        let path = self.store().snapshot_path(id).join(NAME);
        path.is_dir().then_some(path)
    }

    /// Makes the flat form of the snapshot on top of a stack, unless another process is faster.
    pub(crate) fn make_flat(&self, stack: &Stack) -> Result<PathBuf> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if let Some(made) = self.flat(stack.id()) {
            return Ok(made);
        }
        let path = self.store().snapshot_path(stack.id()).join(NAME);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let draft = path.with_extension(format!("{}-{number}", std::process::id()));
        let made = self.fill(&stack.directories(), &draft).and_then(|()| {
            match fs::rename(&draft, &path) {
                Err(error) if is_there(&error) => {
                    drop(lathe_store::remove_tree(&draft));
                    Ok(())
                }
                renamed => renamed.map_err(|source| Error::io("rename", &draft, source)),
            }
        });
        if made.is_err() {
            // The error of the making is the one to tell.
            drop(lathe_store::remove_tree(&draft));
        }
        made.map(|()| path)
    }

    fn fill(&self, directories: &[PathBuf], to: &Path) -> Result<()> {
        let failed = |source| Error::Copy { path: to.to_owned(), source };
        // Of a process that had this one's number and was killed.
        lathe_store::remove_tree(to)?;
        fs::create_dir(to).map_err(|source| Error::io("create", to, source))?;
        let target = Root::open(to).map_err(failed)?;
        let copy = |from: &Path, options: CopyOptions<'_>| {
            let from = Root::open(from).map_err(failed)?;
            let top = Path::new("/");
            let request =
                CopyRequest { from: &from, source: top, to: &target, destination: top, options };
            lathe_rootfs::copy(&request).map(drop).map_err(failed)
        };
        // Links may cross layers here: the tree is only ever mounted, where a name that is written
        // to becomes a file of its own.
        let link = LinkPolicy::HardLink;
        if let Some(origins) = origins(directories, Path::new("/"))? {
            for origin in origins {
                let filter = |path: &Path, kind| origin.select(path, kind);
                let filter = Some(&filter as lathe_rootfs::Filter<'_>);
                copy(&origin.changes, CopyOptions { filter, link, ..CopyOptions::default() })?;
            }
        } else {
            let layers = Layers { lower: directories.to_vec(), upper: None };
            let (mounted, _) = self.show(&layers, None)?;
            copy(mounted.path(), CopyOptions::default())?;
        }
        copy_top(&directories[0], to)
    }
}

fn is_there(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists)
}
