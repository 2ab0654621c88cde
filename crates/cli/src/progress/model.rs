//! What the terminal renderer knows: every step and transfer, and the tails of their output.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use lathe_event::{Disposition, Event, StepId, Transfer, TransferId};

use super::bar::Meter;

/// Lines of output kept per step.
const TAIL: usize = 10;
/// Bytes kept of a line that has not ended.
const PENDING: usize = 4096;

/// Where a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Status {
    Waiting,
    Running {
        since: Duration,
    },
    Done {
        took: Duration,
    },
    Cached,
    Failed {
        took: Duration,
    },
    Skipped,
    /// In a dry run: it would run.
    WouldRun,
    /// In a dry run: what is below it decides.
    MayRun,
}

#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: Arc<str>,
    pub(super) status: Status,
    /// Position among the steps that were seen at work.
    pub(super) seen: Option<usize>,
    /// The last lines of output as they came; only those that are shown are made safe.
    tail: VecDeque<Vec<u8>>,
    /// The line that has not ended.
    pending: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Moving {
    pub(super) transfer: Transfer,
    pub(super) done: u64,
    pub(super) meter: Meter,
    pub(super) finished: bool,
}

impl Moving {
    /// Bytes per second of late.
    pub(super) fn rate(&self, now: Duration) -> Option<u64> {
        self.meter.rate(now, self.done)
    }
}

/// State of one command.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) steps: BTreeMap<StepId, Step>,
    pub(super) transfers: BTreeMap<TransferId, Moving>,
    /// Warnings and notes that were not shown yet.
    pub(super) messages: Vec<String>,
    seen: usize,
}

impl Step {
    fn new(name: Arc<str>) -> Self {
        let (tail, pending) = (VecDeque::new(), Vec::new());
        Self { name, status: Status::Waiting, seen: None, tail, pending }
    }

    /// When the step began, while it runs.
    pub(super) fn running_since(&self) -> Option<Duration> {
        match self.status {
            Status::Running { since } => Some(since),
            _ => None,
        }
    }

    /// The last lines of output, at most `most`, the one that has not ended among them.
    pub(super) fn tail(&self, most: usize) -> Vec<&[u8]> {
        let pending = (!self.pending.is_empty()).then_some(self.pending.as_slice());
        let all = self.tail.iter().map(Vec::as_slice).chain(pending);
        let skip = all.clone().count().saturating_sub(most);
        all.skip(skip).collect()
    }

    fn keep(&mut self, bytes: &[u8]) {
        // Of much output at once only the end is looked at.
        let ends = bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
        let start = ends.map(|(at, _)| at + 1).nth(TAIL).unwrap_or(0);
        if start > 0 {
            self.pending.clear();
        }
        for line in bytes[start..].split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(line);
            let surplus = self.pending.len().saturating_sub(PENDING);
            self.pending.drain(..surplus);
            if self.pending.pop_if(|byte| *byte == b'\n').is_some() {
                let line = std::mem::take(&mut self.pending);
                if self.tail.len() == TAIL {
                    self.tail.pop_front();
                }
                self.tail.push_back(line);
            }
        }
    }
}

impl Model {
    pub(super) fn apply(&mut self, now: Duration, event: &Event) {
        match event {
            Event::BuildStarted(_) => {}
            Event::Planned { steps } => {
                let new = |(id, name): &(StepId, Arc<str>)| (*id, Step::new(Arc::clone(name)));
                self.steps.extend(steps.iter().map(new));
            }
            Event::StepStarted(id) => self.step(*id).status = Status::Running { since: now },
            Event::StepLog { step, bytes, .. } => self.step(*step).keep(bytes),
            Event::StepFinished { step, disposition, duration } => {
                let status = match disposition {
                    Disposition::Hit => Status::Cached,
                    Disposition::Ran => Status::Done { took: *duration },
                    Disposition::Skipped => Status::Skipped,
                    Disposition::WouldRun => Status::WouldRun,
                    Disposition::Unknown => Status::MayRun,
                };
                self.step(*step).status = status;
            }
            Event::StepFailed { step, duration, .. } => {
                self.step(*step).status = Status::Failed { took: *duration };
            }
            Event::TransferStarted(transfer) => {
                let mut meter = Meter::default();
                meter.note(now, 0);
                let transfer = transfer.clone();
                let id = transfer.id;
                self.transfers.insert(id, Moving { transfer, done: 0, meter, finished: false });
            }
            Event::TransferTotal { id, total } => {
                if let Some(moving) = self.transfers.get_mut(id) {
                    moving.transfer.total = Some(*total);
                }
            }
            Event::TransferProgress { id, done } => {
                if let Some(moving) = self.transfers.get_mut(id) {
                    moving.done = *done;
                    moving.meter.note(now, *done);
                }
            }
            Event::TransferFinished(id) => {
                if let Some(moving) = self.transfers.get_mut(id) {
                    moving.finished = true;
                }
            }
            Event::Warning(text) => self.messages.push(format!("warning: {text}")),
            Event::Note(text) => self.messages.push(format!("note: {text}")),
        }
    }

    /// The steps that were seen at work, in the order in which they were.
    pub(super) fn seen(&self) -> Vec<(StepId, &Step)> {
        let mut steps: Vec<_> = self
            .steps
            .iter()
            .filter(|(_, step)| step.seen.is_some() && step.status != Status::Skipped)
            .map(|(id, step)| (*id, step))
            .collect();
        steps.sort_by_key(|(_, step)| step.seen);
        steps
    }

    /// Numbers of settled steps and of all that count.
    pub(super) fn counts(&self) -> (usize, usize) {
        let counted = || self.steps.values().filter(|step| step.status != Status::Skipped);
        let settled =
            |step: &&Step| !matches!(step.status, Status::Waiting | Status::Running { .. });
        (counted().filter(settled).count(), counted().count())
    }

    /// Transfers of a step, or those of no step.
    pub(super) fn transfers_of(&self, step: Option<StepId>) -> impl Iterator<Item = &Moving> {
        self.transfers.values().filter(move |moving| moving.transfer.step == step)
    }

    fn step(&mut self, id: StepId) -> &mut Step {
        let step =
            self.steps.entry(id).or_insert_with(|| Step::new(Arc::from(format!("step {}", id.0))));
        if step.seen.is_none() {
            step.seen = Some(self.seen);
            self.seen += 1;
        }
        step
    }
}
