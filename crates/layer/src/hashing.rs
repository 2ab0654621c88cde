//! The digest of a stream, on a thread of its own when it is long.

use crate::block::Block;
use lathe_oci::Digest;
use lathe_oci::Digester;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::thread::JoinHandle;

/// Blocks that wait to be hashed.
const QUEUE: usize = 4;

/// Hashes blocks.
pub(crate) enum Hashing {
    Here(Digester),
    Apart(HashThread),
}

impl Default for Hashing {
    fn default() -> Self {
        Self::Here(Digester::default())
    }
}

impl Hashing {
    /// Goes on on another thread.
    pub(crate) fn move_apart(&mut self) {
        if let Self::Here(digester) = self {
            *self = Self::Apart(HashThread::start(std::mem::take(digester)));
        }
    }

    pub(crate) fn update(&mut self, block: &Arc<Block>) {
        match self {
            Self::Here(digester) => digester.update(block),
            Self::Apart(thread) => thread.update(Arc::clone(block)),
        }
    }

    pub(crate) fn finish(self) -> Digest {
        match self {
            Self::Here(digester) => digester.finish(),
            Self::Apart(thread) => thread.finish(),
        }
    }
}

/// Thread that hashes, since that alone takes a core when the compression is fast.
pub(crate) struct HashThread {
    blocks: mpsc::SyncSender<Arc<Block>>,
    thread: JoinHandle<Digester>,
}

impl HashThread {
    fn start(mut digester: Digester) -> Self {
        let (blocks, received) = mpsc::sync_channel::<Arc<Block>>(QUEUE);
        let thread = thread::spawn(move || {
            for block in received {
                digester.update(&block);
            }
            digester
        });
        Self { blocks, thread }
    }

    fn update(&self, block: Arc<Block>) {
        self.blocks.send(block).expect("the thread takes blocks until there are no more");
    }

    fn finish(self) -> Digest {
        drop(self.blocks);
        let digester = self.thread.join();
        digester.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).finish()
    }
}
