//! Claims: who does a piece of work while others wait for its result.
//!
//! A claim is a `flock` on `run/claims/<key>`: it goes with the process, however that ends, and
//! holds between the threads of one process as well, since each claim is an open file of its own.
//! Whoever is done removes the file before the lock goes, so that others may be waiting for a file
//! that has no name any more: they see that and begin again with the new one.
//!
//! Waiting is asking again, ever more slowly: the kernel could only wait in a way that nobody can
//! cancel.

use std::fs;
use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use lathe_oci::Digest;

use crate::error::Error;
use crate::error::Result;
use crate::lock::is_at;
use crate::lock::open;
use crate::lock::try_flock;
use crate::prune::entries;
use crate::store::Store;

/// The first pause between two questions.
const SHORT_PAUSE: Duration = Duration::from_millis(1);

/// The longest pause between two questions: what waiting may cost at the end.
const LONG_PAUSE: Duration = Duration::from_millis(20);

/// The longest key that is a file name by itself.
const NAME_LIMIT: usize = 128;

/// The right to do a piece of work alone. Dropping it lets the next one have it.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    waited: bool,
    _file: File,
}

impl Claim {
    /// Tells whether another one had the claim first: then the work may be done.
    pub fn waited(&self) -> bool {
        self.waited
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // What cannot be removed is only a name: the next prune takes it.
        drop(fs::remove_file(&self.path));
    }
}

impl Store {
    /// Takes the claim on a key, waiting while another process or thread has it; `None` when
    /// `cancelled` says so while waiting.
    pub fn claim(&self, key: &str, cancelled: &dyn Fn() -> bool) -> Result<Option<Claim>> {
        let path = self.inner.layout.claims().join(name_of(key));
        let mut waited = false;
        let mut pause = SHORT_PAUSE;
        loop {
            let file = self.open_claim(&path)?;
            if try_flock(&file, &path)? {
                if is_at(&file, &path)? {
                    return Ok(Some(Claim { path, waited, _file: file }));
                }
                waited = true;
                continue;
            }
            waited = true;
            if cancelled() {
                return Ok(None);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONG_PAUSE);
        }
    }

    /// Returns the files of claims that nobody has, left by processes that were killed.
    pub(crate) fn free_claims(&self) -> Result<Vec<PathBuf>> {
        let mut free = Vec::new();
        for path in entries(&self.inner.layout.claims())? {
            // One that is gone was nobody's rubbish.
            if let Ok(file) = File::open(&path)
                && try_flock(&file, &path)?
            {
                free.push(path);
            }
        }
        Ok(free)
    }

    fn open_claim(&self, path: &std::path::Path) -> Result<File> {
        match open(path) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            opened => return opened,
        }
        let directory = self.inner.layout.claims();
        fs::create_dir_all(&directory).map_err(|source| Error::io("create", &directory, source))?;
        open(path)
    }
}

/// Returns a file name for any key.
fn name_of(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':');
    if !key.is_empty() && key.len() <= NAME_LIMIT && key.bytes().all(plain) {
        key.to_owned()
    } else {
        Digest::of(key.as_bytes()).hex()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn one_at_a_time_has_a_claim_and_nothing_stays() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let (inside, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                // Each is a store of its own, as another process has one.
                let store = Store::open(directory.path()).unwrap();
                let (inside, done) = (&inside, &done);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let claim = store.claim("key", &|| false).unwrap().unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        done.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                        drop(claim);
                    }
                });
            }
        });
        assert_eq!(done.load(Ordering::SeqCst), 400);
        assert_eq!(fs::read_dir(store.inner.layout.claims()).unwrap().count(), 0);
    }

    #[test]
    fn waiting_for_a_claim_can_be_cancelled_and_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let first = store.claim("../a key/", &|| false).unwrap().unwrap();
        assert!(!first.waited());
        assert!(store.claim("../a key/", &|| true).unwrap().is_none());
        assert!(!store.claim("another", &|| true).unwrap().unwrap().waited());
        let (asked, first_question) = mpsc::sync_channel(1);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let asks = || {
                    let _ = asked.try_send(());
                    false
                };
                store.claim("../a key/", &asks).unwrap().unwrap().waited()
            });
            first_question.recv().unwrap();
            drop(first);
            assert!(waiting.join().unwrap());
        });
    }
}
