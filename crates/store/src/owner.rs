//! A process's journal: what it has made and what it uses.
//!
//! A process that makes or finds things has a directory `run/<pid>-<random>/` with a file `lock`,
//! which it holds locked while it lives and to which it appends a line for each of them: snapshots
//! before their directories are made, and what must not be deleted meanwhile (`hold.rs`). The next
//! process to get such a directory looks at the others: a lock that is free belonged to a process
//! that is gone, and snapshots of its list without a row are rubbish. The directory also has the
//! process's mount points.

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use crate::error::Error;
use crate::error::Result;
use crate::hold::Target;
use crate::layout::CLAIMS;
use crate::lock::try_flock;
use crate::record::SnapshotId;
use crate::remove::remove_tree;

const LOCK: &str = "lock";

/// This process's directory below `run/`.
#[derive(Debug)]
pub(crate) struct Owner {
    directory: PathBuf,
    journal: File,
}

impl Owner {
    /// Makes the directory and takes its lock.
    pub(crate) fn create(run: &Path) -> Result<Self> {
        loop {
            let name = format!("{}-{}", std::process::id(), SnapshotId::random());
            let directory = run.join(name);
            fs::create_dir(&directory).map_err(|source| Error::io("create", &directory, source))?;
            // Somebody who clears up may take the new directory for an old one until its lock is
            // held; then another one is made.
            if let Some(journal) = lock_new(&directory.join(LOCK))? {
                return Ok(Self { directory, journal });
            }
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Appends lines to the journal.
    pub(crate) fn note(&self, lines: &str) -> Result<()> {
        // One short write to a file opened for appending is not interleaved with another's.
        (&self.journal)
            .write_all(lines.as_bytes())
            .map_err(|source| Error::io("write", &self.directory.join(LOCK), source))
    }
}

impl Owner {
    /// Empties the journal. If that fails, more is kept than need be.
    pub(crate) fn forget(&self) {
        drop(self.journal.set_len(0));
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next process that clears up.
        drop(remove_tree(&self.directory));
    }
}

fn lock_new(path: &Path) -> Result<Option<File>> {
    use std::os::unix::fs::MetadataExt as _;
    let opened = OpenOptions::new().append(true).create_new(true).open(path);
    let file = match opened {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|source| Error::io("create", path, source))?,
    };
    if !try_flock(&file, path)? {
        return Ok(None);
    }
    let own = file.metadata().map_err(|source| Error::io("stat", path, source))?;
    let still_there = fs::metadata(path).is_ok_and(|there| there.ino() == own.ino());
    Ok(still_there.then_some(file))
}

/// Clears up after processes that are gone; `has_row` tells which snapshots were recorded.
pub(crate) fn clear_dead(
    run: &Path,
    snapshot_path: impl Fn(SnapshotId) -> PathBuf,
    has_row: impl Fn(SnapshotId) -> Result<bool>,
) -> Result<()> {
    for directory in directories(run)? {
        let path = directory.join(LOCK);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // Killed between the two steps of making or of removing it; one that is being
                // made just now is made again.
                drop(fs::remove_dir(&directory));
                continue;
            }
            opened => opened.map_err(|source| Error::io("open", &path, source))?,
        };
        if !try_flock(&file, &path)? {
            continue;
        }
        for target in journal(&file, &path)? {
            if let Target::Snapshot(id) = target
                && !has_row(id)?
            {
                remove_tree(&snapshot_path(id))?;
            }
        }
        remove_tree(&directory)?;
    }
    Ok(())
}

/// Returns what living processes have noted, this one among them.
pub(crate) fn noted_by_living(run: &Path) -> Result<BTreeSet<Target>> {
    let mut noted = BTreeSet::new();
    for directory in directories(run)? {
        let path = directory.join(LOCK);
        let Ok(file) = OpenOptions::new().read(true).write(true).open(&path) else { continue };
        if !try_flock(&file, &path)? {
            noted.extend(journal(&file, &path)?);
        }
    }
    Ok(noted)
}

fn directories(run: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::io("read", run, source);
    let entries = fs::read_dir(run).map_err(failed)?;
    let paths: Result<Vec<PathBuf>> =
        entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect();
    Ok(paths?.into_iter().filter(|path| !path.ends_with(CLAIMS)).collect())
}

fn journal(mut file: &File, path: &Path) -> Result<Vec<Target>> {
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|source| Error::io("read", path, source))?;
    Ok(text.lines().filter_map(Target::parse).collect())
}
