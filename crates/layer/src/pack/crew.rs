//! Threads that prepare ahead, and the one that takes what they prepared, in order.
//!
//! A reader takes the planner's lock, gets a job, and queues the place where its batch will be
//! before it lets go: so the places are in the order of the jobs, whoever is done first. The queue
//! is short, which bounds the memory, and readers wait there when the taker is slower.

use super::plan::Planner;
use super::prepare::Batch;
use super::prepare::Preparer;
use crate::error::Result;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::thread;

/// Jobs that are done before threads are started: most layers are small.
const ALONE: usize = 2;

/// Batches under way, besides those that are being prepared.
const QUEUE: usize = 8;

/// More readers than this do not make one hash faster.
const MOST_READERS: usize = 8;

type Place = mpsc::Receiver<Result<Batch>>;

/// Does all jobs, on `readers` threads if there are many, and hands the batches to `take` in order.
pub(super) fn run(
    mut planner: Planner<'_>,
    preparer: &Preparer<'_>,
    readers: usize,
    mut take: impl FnMut(&mut Batch) -> Result<()>,
) -> Result<()> {
    let mut take = |mut batch: Batch| -> Result<()> {
        take(&mut batch)?;
        preparer.recycle(batch);
        Ok(())
    };
    let mut done = 0;
    while done < ALONE || readers <= 1 {
        let Some(job) = planner.next()? else { return Ok(()) };
        take(preparer.prepare(job)?)?;
        done += 1;
    }
    let planner = Mutex::new(planner);
    let (places, ordered) = mpsc::sync_channel::<Place>(QUEUE);
    thread::scope(|scope| {
        for _ in 0..readers.min(MOST_READERS) {
            let places = places.clone();
            let planner = &planner;
            scope.spawn(move || read(planner, preparer, &places));
        }
        drop(places);
        for place in ordered {
            // Without a batch the thread has panicked, which the scope hands on.
            let Ok(batch) = place.recv() else { break };
            take(batch?)?;
        }
        Ok(())
    })
}

/// Does jobs until there are no more, one failed, or nobody takes them.
fn read(planner: &Mutex<Planner<'_>>, preparer: &Preparer<'_>, places: &mpsc::SyncSender<Place>) {
    loop {
        let mut next = planner.lock().unwrap_or_else(PoisonError::into_inner);
        let job = next.next();
        if matches!(job, Ok(None)) {
            return;
        }
        let (batch, place) = mpsc::channel();
        let queued = places.send(place);
        drop(next);
        let prepared = match job {
            Ok(Some(job)) => preparer.prepare(job),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let failed = prepared.is_err();
        if queued.is_err() || batch.send(prepared).is_err() || failed {
            return;
        }
    }
}
