//! From the thread that makes a blob to the one that sends it.

use std::{
    io::{self, BufWriter, Read, Write},
    sync::{Condvar, Mutex, PoisonError, mpsc},
};

/// Bytes that go over at a time.
const PIECE: usize = 256 * 1024;

/// Pieces that are made and not sent yet, at most.
const PIECES: usize = 16;

/// Returns the two ends of a pipe; bytes that nobody takes any more go nowhere.
pub(super) fn channel() -> (BufWriter<Sending>, Pieces) {
    let (sender, receiver) = mpsc::sync_channel(PIECES);
    let sending = BufWriter::with_capacity(PIECE, Sending(Some(sender)));
    (sending, Pieces { receiver, present: Vec::new(), at: 0 })
}

/// Lets a few in at a time: whoever compresses has all cores busy, and buffers for each.
pub(super) struct Gate {
    free: Mutex<usize>,
    changed: Condvar,
}

/// A place behind the gate.
pub(super) struct Turn<'a>(&'a Gate);

impl Gate {
    /// Makes a gate with some places behind it.
    pub(super) const fn new(places: usize) -> Self {
        Self { free: Mutex::new(places), changed: Condvar::new() }
    }

    /// Waits for a place.
    pub(super) fn enter(&self) -> Turn<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_while(free, |free| *free == 0);
        *waited.unwrap_or_else(PoisonError::into_inner) -= 1;
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.changed.notify_one();
    }
}

/// Hands bytes to another thread; when that one is gone they go nowhere.
pub(super) struct Sending(Option<mpsc::SyncSender<Vec<u8>>>);

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(sender) = &self.0
            && sender.send(bytes.to_vec()).is_err()
        {
            self.0 = None;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What another thread hands over.
pub(super) struct Pieces {
    receiver: mpsc::Receiver<Vec<u8>>,
    present: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.present.len() {
            // An error of the channel is the end.
            self.present = self.receiver.recv().unwrap_or_default();
            self.at = 0;
        }
        let count = (&self.present[self.at..]).read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let (mut sending, mut pieces) = channel();
        let sent: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        let mut taken = Vec::new();
        thread::scope(|scope| {
            let sent = &sent;
            scope.spawn(move || {
                sent.chunks(70_000).for_each(|part| sending.write_all(part).unwrap());
                sending.flush().unwrap();
            });
            pieces.read_to_end(&mut taken).unwrap();
        });
        assert!(taken == sent);
    }

    #[test]
    fn what_nobody_takes_goes_nowhere() {
        let (mut sending, pieces) = channel();
        drop(pieces);
        sending.write_all(&vec![0; 20 * PIECE * PIECES]).unwrap();
        sending.flush().unwrap();
    }

    #[test]
    fn a_gate_lets_in_as_many_as_it_has_places() {
        let gate = Gate::new(2);
        let inside = Mutex::new((0, 0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _turn = gate.enter();
                    let mut now = inside.lock().unwrap();
                    now.0 += 1;
                    now.1 = now.1.max(now.0);
                    drop(now);
                    thread::yield_now();
                    inside.lock().unwrap().0 -= 1;
                });
            }
        });
        let (now, most) = *inside.lock().unwrap();
        assert!(now == 0 && most <= 2, "{most}");
    }
}
