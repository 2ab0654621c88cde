//! A blob that is read while it arrives.
//!
//! One thread writes it to the store, another reads the same file as far as it has been written,
//! and waits where it has not. The reader sees the end only when the blob was verified: bytes that
//! turn out to be others than promised have been looked at, but whoever looked gets an error in
//! place of the end, so that nothing comes of it (`INV-SOURCE-VERIFIED`).

use std::{
    fs::File,
    io::{self, Read},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::{Error, Result};

/// What is known of a blob on its way.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The file that it is written to, until the reader takes it.
    file: Option<File>,
    /// Bytes that can be read.
    available: u64,
    /// The blob is in the store, or never will be.
    ended: Option<Ended>,
    /// Nobody reads any more.
    given_up: bool,
}

#[derive(Debug)]
enum Ended {
    Verified,
    /// The reason, until somebody asks for it.
    Failed(Option<Error>),
}

impl Arrival {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that bytes go to `file`, which has some already.
    pub(crate) fn begin(&self, file: File, available: u64) {
        let mut state = self.state();
        (state.file, state.available) = (Some(file), available);
        self.changed.notify_all();
    }

    /// Says how many bytes there are; an error when nobody wants them.
    pub(crate) fn advance(&self, available: u64) -> io::Result<()> {
        let mut state = self.state();
        state.available = available;
        self.changed.notify_all();
        if state.given_up { Err(io::Error::other("nobody waits for it")) } else { Ok(()) }
    }

    /// Says that the blob is in the store and verified, or why not.
    pub(crate) fn end(&self, result: Result<()>) {
        let ended = match result {
            Ok(()) => Ended::Verified,
            Err(error) => Ended::Failed(Some(error)),
        };
        self.state().ended = Some(ended);
        self.changed.notify_all();
    }

    /// Says that nobody will read it.
    pub(crate) fn give_up(&self) {
        self.state().given_up = true;
    }

    /// Waits for its first bytes; `stored` opens it where it is in the store already.
    pub(crate) fn open<E: Into<Error>>(
        &self,
        stored: impl FnOnce() -> std::result::Result<File, E>,
    ) -> Result<Follower<'_>> {
        let wait = |state: &mut State| state.file.is_none() && state.ended.is_none();
        let waited = self.changed.wait_while(self.state(), wait);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = state.file.take() {
            return Ok(Follower { arrival: Some(self), file, at: 0 });
        }
        if let Some(Ended::Failed(error)) = &mut state.ended {
            return Err(error.take().unwrap_or(Error::Cancelled));
        }
        drop(state);
        Ok(Follower { arrival: None, file: stored().map_err(Into::into)?, at: 0 })
    }

    /// Waits until the blob is in the store; the reason when it never will be.
    pub(crate) fn outcome(&self) -> Result<()> {
        let waited = self.changed.wait_while(self.state(), |state| state.ended.is_none());
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        match &mut state.ended {
            Some(Ended::Failed(error)) => Err(error.take().unwrap_or(Error::Cancelled)),
            _ => Ok(()),
        }
    }
}

/// Reads a blob as it arrives.
#[derive(Debug)]
pub(crate) struct Follower<'a> {
    /// `None` for a blob that is in the store.
    arrival: Option<&'a Arrival>,
    file: File,
    at: u64,
}

impl Read for Follower<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(arrival) = self.arrival else { return self.file.read(buffer) };
        let at = self.at;
        let wait = |state: &mut State| state.available <= at && state.ended.is_none();
        let waited = arrival.changed.wait_while(arrival.state(), wait);
        let state = waited.unwrap_or_else(PoisonError::into_inner);
        let ready = state.available.saturating_sub(at);
        if ready == 0 {
            return match state.ended {
                Some(Ended::Verified) => Ok(0),
                _ => Err(io::Error::other("the download failed")),
            };
        }
        drop(state);
        let most = usize::try_from(ready).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read(&mut buffer[..most])?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, thread};

    use super::*;

    /// Hands over some bytes and the end; returns what a reader makes of it.
    fn read(parts: &[&[u8]], end: Result<()>) -> (io::Result<Vec<u8>>, Result<()>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blob");
        let mut file = File::create(&path).unwrap();
        let arrival = Arrival::default();
        let read = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut reader =
                    arrival.open(|| File::open("/nowhere").map_err(|_| Error::Cancelled))?;
                let mut bytes = Vec::new();
                Ok::<_, Error>(reader.read_to_end(&mut bytes).map(|_| bytes))
            });
            arrival.begin(File::open(&path).unwrap(), 0);
            let mut available = 0;
            for part in parts {
                file.write_all(part).unwrap();
                available += part.len() as u64;
                arrival.advance(available).unwrap();
            }
            arrival.end(end);
            reader.join().unwrap().unwrap()
        });
        (read, arrival.outcome())
    }

    #[test]
    fn all_bytes_are_read_in_their_order_and_the_end_when_they_were_verified() {
        let (bytes, outcome) = read(&[b"one ", b"", b"two ", b"three"], Ok(()));
        assert_eq!(bytes.unwrap(), b"one two three");
        assert!(outcome.is_ok());
        assert_eq!(read(&[], Ok(())).0.unwrap(), b"");
    }

    #[test]
    fn inv_source_verified_what_is_not_verified_has_no_end() {
        let (bytes, outcome) = read(&[b"all of it"], Err(Error::Cancelled));
        assert!(bytes.is_err());
        assert!(matches!(outcome, Err(Error::Cancelled)));
    }

    #[test]
    fn what_is_in_the_store_is_read_there_and_what_failed_is_not_opened() {
        let arrival = Arrival::default();
        arrival.end(Ok(()));
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"stored").unwrap();
        let stored = || File::open(file.path()).map_err(|_| Error::Cancelled);
        let mut bytes = Vec::new();
        arrival.open(stored).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, b"stored");
        let failed = Arrival::default();
        failed.end(Err(Error::Cancelled));
        assert!(matches!(failed.open(stored), Err(Error::Cancelled)));
    }

    #[test]
    fn a_download_that_nobody_waits_for_ends() {
        let arrival = Arrival::default();
        arrival.advance(1).unwrap();
        arrival.give_up();
        assert!(arrival.advance(2).is_err());
    }
}
