//! Who uses the store: one `flock` on `<store>/lock`.
//!
//! Commands share it for as long as they make or read things that no record names yet; meanwhile
//! all that they find and make is held (`hold.rs`). Who wants to delete what can not be held, such
//! as leftovers, takes it alone: all that he finds unreferenced is truly nobody's. The kernel drops
//! the lock when a process ends, however it ends. A container that runs on does not hold it: its
//! row in the index keeps what it needs.

use std::fs::File;
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::error::Error;
use crate::error::Result;
use crate::hold::Holds;

/// A share in the store: while it lives, nothing goes that this process makes or finds.
#[derive(Clone, Debug)]
pub struct Guard {
    _share: Arc<Share>,
}

/// The store for oneself: while it lives, no other process uses it.
#[derive(Debug)]
pub struct Exclusive {
    _file: File,
}

/// What to do when others use the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Wait until they are done.
    Block,
    /// Give up at once.
    Try,
}

/// The share of this process: one lock, however many guards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared {
    inner: Arc<SharedInner>,
}

#[derive(Debug, Default)]
struct SharedInner {
    /// Guards the taking and the end of the share, so that there is one.
    share: Mutex<Weak<Share>>,
    holds: Holds,
}

/// The lock, held.
#[derive(Debug)]
struct Share {
    of: Arc<SharedInner>,
    _file: File,
}

impl Drop for Share {
    fn drop(&mut self) {
        let slot = self.of.share.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have taken a new share meanwhile, with holds of its own.
        if std::ptr::eq(slot.as_ptr(), self) {
            self.of.holds.release();
        }
    }
}

impl Shared {
    pub(crate) fn take(&self, path: &Path) -> Result<Guard> {
        let mut slot = self.inner.share.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = slot.upgrade() {
            return Ok(Guard { _share: share });
        }
        let file = open(path)?;
        flock(&file, path, FlockOperation::LockShared)?;
        let share = Arc::new(Share { of: Arc::clone(&self.inner), _file: file });
        *slot = Arc::downgrade(&share);
        Ok(Guard { _share: share })
    }

    /// Says whether this process has a share.
    pub(crate) fn held(&self) -> bool {
        self.inner.share.lock().unwrap_or_else(PoisonError::into_inner).strong_count() > 0
    }

    pub(crate) fn holds(&self) -> &Holds {
        &self.inner.holds
    }
}

/// Takes the lock alone; `None` when others have it and `wait` says not to wait, or when this
/// process itself has a share (waiting for oneself would never end).
pub(crate) fn exclusive(shared: &Shared, path: &Path, wait: Wait) -> Result<Option<Exclusive>> {
    if shared.held() {
        return Ok(None);
    }
    let file = open(path)?;
    let locked = match wait {
        Wait::Block => flock(&file, path, FlockOperation::LockExclusive).map(|()| true)?,
        Wait::Try => try_flock(&file, path)?,
    };
    Ok(locked.then_some(Exclusive { _file: file }))
}

/// Opens a lock file, making it when there is none.
pub(crate) fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|source| Error::io("open", path, source))
}

/// Tells whether a file is still the one with the name.
pub(crate) fn is_at(file: &File, path: &Path) -> Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let own = file.metadata().map_err(|source| Error::io("stat", path, source))?;
    let named = std::fs::metadata(path);
    Ok(named.is_ok_and(|named| named.ino() == own.ino() && named.dev() == own.dev()))
}

/// Takes a lock, waiting for it; a signal on the way does not count.
pub(crate) fn flock(file: &File, path: &Path, operation: FlockOperation) -> Result<()> {
    loop {
        match rustix::fs::flock(file, operation) {
            Err(Errno::INTR) => {}
            locked => return locked.map_err(|errno| Error::io("lock", path, errno)),
        }
    }
}

/// Takes a lock alone if it is free; says whether it was.
pub(crate) fn try_flock(file: &File, path: &Path) -> Result<bool> {
    try_lock(file, path, FlockOperation::NonBlockingLockExclusive)
}

/// Takes a lock if that is possible at once; says whether it was.
pub(crate) fn try_lock(file: &File, path: &Path, operation: FlockOperation) -> Result<bool> {
    loop {
        match rustix::fs::flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::io("lock", path, errno)),
        }
    }
}
