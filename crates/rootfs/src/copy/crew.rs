//! The threads that copy files while the walk goes on.
//!
//! Making a file is all kernel time, and most of it is per directory, so the files of different
//! directories are copied side by side. The walk makes the directories and hands out batches of
//! files; when all hands are busy it copies a batch itself, so nothing piles up. A small copy
//! never starts a thread.

use super::file::FileCopier;
use super::file::Rules;
use super::file::Source;
use super::level::Pair;
use crate::error::Error;
use crate::error::Result;
use lathe_tree::Metadata;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::Scope;

/// Files that are handed out together.
pub(super) const BATCH: usize = 64;

/// Batches on their way; each holds two directories open.
const QUEUE: usize = 16;

/// Files after which more threads pay.
const FEW: usize = 128;

/// Most threads: beyond, file systems only wait for themselves.
const THREADS: usize = 8;

/// Files of one directory.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) pair: Arc<Pair>,
    pub(super) files: Vec<(OsString, Metadata)>,
}

/// What the threads of one copy share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) rules: Rules,
    failed: AtomicBool,
    error: Mutex<Option<Error>>,
}

impl Shared {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, failed: AtomicBool::new(false), error: Mutex::new(None) }
    }

    /// Returns the first error of a thread, once all have ended.
    pub(super) fn into_error(self) -> Option<Error> {
        self.error.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: Error) {
        self.failed.store(true, Ordering::Relaxed);
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
    }

    /// Lets go of a directory; who is last gives it its metadata.
    pub(super) fn release(&self, pair: Arc<Pair>) -> Result<()> {
        match Arc::into_inner(pair) {
            Some(pair) => self.rules.finish_directory(&pair),
            None => Ok(()),
        }
    }
}

/// The walk's side.
pub(super) struct Crew<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    shared: &'scope Shared,
    /// Started by the first batch of a copy that is not small.
    queue: Option<mpsc::SyncSender<Batch>>,
    submitted: usize,
    /// For what the walk copies itself.
    pub(super) own: FileCopier<'scope>,
}

impl<'scope, 'env> Crew<'scope, 'env> {
    pub(super) fn new(scope: &'scope Scope<'scope, 'env>, shared: &'scope Shared) -> Self {
        let own = FileCopier::new(&shared.rules);
        Self { scope, shared, queue: None, submitted: 0, own }
    }

    /// Returns whether a thread failed, so that going on is in vain.
    pub(super) fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Has a batch copied, by a thread or at once.
    pub(super) fn submit(&mut self, batch: Batch) -> Result<()> {
        self.submitted += batch.files.len();
        let threads = lathe_stdx::threads().min(THREADS);
        if self.submitted <= FEW || threads < 2 {
            return copy_batch(&mut self.own, self.shared, batch);
        }
        let (scope, shared) = (self.scope, self.shared);
        let queue = self.queue.get_or_insert_with(|| start(scope, shared, threads - 1));
        match queue.try_send(batch) {
            Ok(()) => Ok(()),
            Err(mpsc::TrySendError::Full(batch) | mpsc::TrySendError::Disconnected(batch)) => {
                copy_batch(&mut self.own, self.shared, batch)
            }
        }
    }

    /// Lets go of a directory at the end of its walk.
    pub(super) fn release(&self, pair: Arc<Pair>) -> Result<()> {
        self.shared.release(pair)
    }
}

fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    shared: &'scope Shared,
    threads: usize,
) -> mpsc::SyncSender<Batch> {
    let (queue, received) = mpsc::sync_channel(QUEUE);
    let received = Arc::new(Mutex::new(received));
    for _ in 0..threads {
        let received = Arc::clone(&received);
        scope.spawn(move || work(shared, &received));
    }
    queue
}

fn work(shared: &Shared, received: &Mutex<mpsc::Receiver<Batch>>) {
    let mut copier = FileCopier::new(&shared.rules);
    loop {
        let next = received.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = next else { return };
        // After an error the rest is only taken from the queue.
        if !shared.failed.load(Ordering::Relaxed)
            && let Err(error) = copy_batch(&mut copier, shared, batch)
        {
            shared.fail(error);
        }
    }
}

fn copy_batch(copier: &mut FileCopier<'_>, shared: &Shared, batch: Batch) -> Result<()> {
    let Batch { pair, files } = batch;
    for (name, metadata) in &files {
        let source = Source { dir: &pair.source, name, metadata };
        copier.copy(source, &pair.target, name)?;
    }
    shared.release(pair)
}
