//! What the terminal renderer knows: every step and transfer, and the tails of their output.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use lathe_event::{Disposition, Event, StepId, Transfer, TransferId};

use super::clean::Lines;

/// Lines of output kept per step.
const TAIL: usize = 20;

/// Where a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Status {
    Waiting,
    Running { since: Duration },
    Done { took: Duration },
    Cached,
    Failed { took: Duration, message: Arc<str> },
    Skipped,
}

#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: Arc<str>,
    pub(super) status: Status,
    /// Position among the steps that were seen at work.
    pub(super) seen: Option<usize>,
    /// The last lines of output, with the time since the step began.
    pub(super) tail: VecDeque<(Duration, String)>,
    lines: Lines,
}

#[derive(Debug)]
pub(super) struct Moving {
    pub(super) transfer: Transfer,
    pub(super) done: u64,
    pub(super) since: Duration,
    pub(super) finished: Option<Duration>,
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
        let (tail, lines) = (VecDeque::new(), Lines::default());
        Self { name, status: Status::Waiting, seen: None, tail, lines }
    }

    /// When the step began, while it runs.
    pub(super) fn running_since(&self) -> Option<Duration> {
        match self.status {
            Status::Running { since } => Some(since),
            _ => None,
        }
    }

    fn keep(&mut self, at: Duration, line: String) {
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back((at, line));
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
            Event::StepLog { step, bytes, .. } => self.log(*step, now, bytes),
            Event::StepFinished { step, disposition, duration } => {
                let status = match disposition {
                    Disposition::Hit => Status::Cached,
                    Disposition::Ran => Status::Done { took: *duration },
                    Disposition::Skipped | Disposition::WouldRun | Disposition::Unknown => {
                        Status::Skipped
                    }
                };
                self.settle(*step, now, status);
            }
            Event::StepFailed { step, message, duration } => {
                let status = Status::Failed { took: *duration, message: Arc::clone(message) };
                self.settle(*step, now, status);
            }
            Event::TransferStarted(transfer) => {
                let moving =
                    Moving { transfer: transfer.clone(), done: 0, since: now, finished: None };
                self.transfers.insert(transfer.id, moving);
            }
            Event::TransferTotal { id, total } => {
                if let Some(moving) = self.transfers.get_mut(id) {
                    moving.transfer.total = Some(*total);
                }
            }
            Event::TransferProgress { id, done } => {
                if let Some(moving) = self.transfers.get_mut(id) {
                    moving.done = *done;
                }
            }
            Event::TransferFinished(id) => {
                if let Some(moving) = self.transfers.get_mut(id) {
                    moving.finished = Some(now);
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
        let settled = |step: &&Step| {
            matches!(step.status, Status::Done { .. } | Status::Cached | Status::Failed { .. })
        };
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

    fn log(&mut self, id: StepId, now: Duration, bytes: &[u8]) {
        let step = self.step(id);
        let at = now.saturating_sub(step.running_since().unwrap_or(now));
        let mut lines = std::mem::take(&mut step.lines);
        lines.push(bytes, |line| step.keep(at, line));
        step.lines = lines;
    }

    fn settle(&mut self, id: StepId, now: Duration, status: Status) {
        let step = self.step(id);
        let at = now.saturating_sub(step.running_since().unwrap_or(now));
        if let Some(line) = step.lines.flush() {
            step.keep(at, line);
        }
        step.status = status;
    }
}
