//! Blocks of tar bytes that several threads look at: one hashes them, another compresses them.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Bytes in a block. Part of what determines the bytes of a gzip layer.
pub(crate) const BLOCK: usize = 1024 * 1024;

/// Buffers that were used and can be used again: fresh memory costs a page fault for every 4 KiB.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<Vec<u8>>>);

impl Pool {
    /// Returns an empty buffer with room for at least `capacity` bytes.
    pub(crate) fn take(&self, capacity: usize) -> Vec<u8> {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = used.unwrap_or_default();
        buffer.clear();
        buffer.reserve(capacity);
        buffer
    }

    /// Returns a buffer of `length` bytes, whatever they are. One that had this length before is
    /// not cleared again.
    pub(crate) fn take_full(&self, length: usize) -> Vec<u8> {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = used.unwrap_or_default();
        buffer.resize(length, 0);
        buffer
    }

    /// Gives a buffer back.
    pub(crate) fn put(&self, buffer: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

/// Bytes that go back to their pool when nobody looks at them any more.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    pool: Arc<Pool>,
}

impl Block {
    pub(crate) fn new(bytes: Vec<u8>, pool: &Arc<Pool>) -> Self {
        Self { bytes, pool: Arc::clone(pool) }
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.pool.put(std::mem::take(&mut self.bytes));
    }
}
