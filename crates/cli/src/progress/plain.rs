//! Progress as lines, in the form of BuildKit's `--progress=plain`.
//!
//! ```text
//! #5 [builder 2/4] RUN npm ci
//! #5 0.314 added 57 packages
//! #5 DONE 1.2s
//!
//! #6 [builder 3/4] COPY . .
//! #6 CACHED
//! ```
//!
//! Steps that run at once take turns, else their lines could not be told apart: one step has
//! the floor until it ends or is silent for a while, and the others' lines are held back.

use std::{collections::BTreeMap, io::Write as _, sync::Arc, time::Duration};

use lathe_event::{Disposition, Event, StepId, Transfer, TransferId, TransferKind};

use super::{Renderer, Size, clean::Lines};
use crate::render::human_size;

/// A step that said nothing for this long loses the floor.
const SILENCE: Duration = Duration::from_secs(1);
/// Time between two lines about one transfer.
const TRANSFER_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Step {
    name: Arc<str>,
    number: usize,
    started: Duration,
    lines: Lines,
    held: Vec<String>,
    over: bool,
    announced: bool,
}

#[derive(Debug)]
struct Moving {
    transfer: Transfer,
    started: Duration,
    told: Duration,
    done: u64,
}

/// The renderer.
#[derive(Debug, Default)]
pub(super) struct Plain {
    names: BTreeMap<StepId, Arc<str>>,
    steps: BTreeMap<StepId, Step>,
    transfers: BTreeMap<TransferId, Moving>,
    /// The step that has the floor, and when it last spoke.
    floor: Option<(StepId, Duration)>,
    anything: bool,
}

impl Renderer for Plain {
    fn event(&mut self, now: Duration, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::BuildStarted(_)
            | Event::StepFinished { disposition: Disposition::Skipped, .. } => {}
            Event::Planned { steps } => self.names.extend(steps.iter().cloned()),
            Event::StepStarted(id) => {
                self.step(*id, now).started = now;
                self.say(*id, now, None, out);
            }
            Event::StepLog { step, bytes, .. } => self.log(*step, now, bytes, out),
            Event::StepFinished { step, disposition, duration } => {
                let end = match disposition {
                    Disposition::Hit => "CACHED".to_owned(),
                    Disposition::WouldRun => "WOULD RUN".to_owned(),
                    Disposition::Unknown => "MAY RUN".to_owned(),
                    Disposition::Ran | Disposition::Skipped => {
                        format!("DONE {:.1}s", duration.as_secs_f64())
                    }
                };
                self.end(*step, now, &end, out);
            }
            Event::StepFailed { step, message, .. } => {
                self.end(*step, now, &format!("ERROR: {message}"), out);
            }
            Event::TransferStarted(transfer) => self.transfer_started(now, transfer, out),
            Event::TransferTotal { id, total } => {
                if let Some(moving) = self.transfers.get_mut(id) {
                    moving.transfer.total = Some(*total);
                }
            }
            Event::TransferProgress { id, done } => self.transfer_moved(now, *id, *done, out),
            Event::TransferFinished(id) => self.transfer_finished(now, *id, out),
            Event::Warning(text) => message(&format!("warning: {text}"), out),
            Event::Note(text) => message(&format!("note: {text}"), out),
        }
    }

    fn finish(&mut self, _now: Duration, _size: Size, out: &mut Vec<u8>) {
        while let Some(id) = self.next_speaker() {
            self.take_floor(id, Duration::ZERO, out);
        }
        // What runs while the command ends was stopped because another step failed.
        let stopped: Vec<StepId> =
            self.steps.iter().filter(|(_, step)| !step.over).map(|(id, _)| *id).collect();
        for id in stopped {
            self.end(id, Duration::ZERO, "CANCELED", out);
        }
    }
}

impl Plain {
    fn step(&mut self, id: StepId, now: Duration) -> &mut Step {
        let number = self.steps.len() + 1;
        let name = self.names.get(&id).cloned();
        self.steps.entry(id).or_insert_with(|| Step {
            name: name.unwrap_or_else(|| Arc::from(format!("step {}", id.0))),
            number,
            started: now,
            lines: Lines::default(),
            held: Vec::new(),
            over: false,
            announced: false,
        })
    }

    fn log(&mut self, id: StepId, now: Duration, bytes: &[u8], out: &mut Vec<u8>) {
        let step = self.step(id, now);
        let stamp = stamp(now.saturating_sub(step.started));
        let mut fresh = Vec::new();
        step.lines.push(bytes, |line| fresh.push(format!("{stamp} {line}")));
        for line in fresh {
            self.say(id, now, Some(line), out);
        }
    }

    fn end(&mut self, id: StepId, now: Duration, text: &str, out: &mut Vec<u8>) {
        let step = self.step(id, now);
        let stamp = stamp(now.saturating_sub(step.started));
        let rest = step.lines.flush().map(|line| format!("{stamp} {line}"));
        step.over = true;
        if let Some(line) = rest {
            self.say(id, now, Some(line), out);
        }
        self.say(id, now, Some(text.to_owned()), out);
        while self.floor.is_none()
            && let Some(next) = self.next_speaker()
        {
            self.take_floor(next, now, out);
        }
    }

    /// Prints a line of a step, or holds it back while another step has the floor.
    fn say(&mut self, id: StepId, now: Duration, line: Option<String>, out: &mut Vec<u8>) {
        let step = self.step(id, now);
        step.held.extend(line);
        let free = self
            .floor
            .is_none_or(|(speaker, spoke)| speaker == id || now.saturating_sub(spoke) > SILENCE);
        if free {
            self.take_floor(id, now, out);
        }
    }

    fn take_floor(&mut self, id: StepId, now: Duration, out: &mut Vec<u8>) {
        let before = self.floor.replace((id, now)).map(|(step, _)| step).filter(|step| *step != id);
        let changed = before.is_some();
        if let Some(other) = before.and_then(|other| self.steps.get_mut(&other)) {
            other.announced = false;
            line(out, format_args!("#{} ...", other.number));
        }
        let Some(step) = self.steps.get_mut(&id) else { return };
        if !step.announced || changed {
            step.announced = true;
            if self.anything {
                out.push(b'\n');
            }
            self.anything = true;
            line(out, format_args!("#{} {}", step.number, step.name));
        }
        for text in step.held.drain(..) {
            line(out, format_args!("#{} {text}", step.number));
        }
        if step.over {
            self.floor = None;
        }
    }

    /// The step whose held lines come next: those that are over first, then by number.
    fn next_speaker(&self) -> Option<StepId> {
        let waiting = self.steps.iter().filter(|(_, step)| !step.held.is_empty());
        waiting.min_by_key(|(_, step)| (!step.over, step.number)).map(|(id, _)| *id)
    }

    fn transfer_started(&mut self, now: Duration, transfer: &Transfer, out: &mut Vec<u8>) {
        if transfer.step.is_none() {
            let text = match transfer.kind {
                TransferKind::Download => "Pulling fs layer",
                TransferKind::Upload => "Preparing",
                TransferKind::Unpack | TransferKind::Pack | TransferKind::Export => "",
            };
            if !text.is_empty() {
                line(out, format_args!("{}: {text}", transfer.label));
            }
        }
        let moving = Moving { transfer: transfer.clone(), started: now, told: now, done: 0 };
        self.transfers.insert(transfer.id, moving);
    }

    fn transfer_moved(&mut self, now: Duration, id: TransferId, done: u64, out: &mut Vec<u8>) {
        let Some(moving) = self.transfers.get_mut(&id) else { return };
        moving.done = done;
        if now.saturating_sub(moving.told) >= TRANSFER_PAUSE {
            moving.told = now;
            if let Some(step) = moving.transfer.step {
                let text = moving.text(now);
                self.say(step, now, Some(text), out);
            }
        }
    }

    fn transfer_finished(&mut self, now: Duration, id: TransferId, out: &mut Vec<u8>) {
        let Some(mut moving) = self.transfers.remove(&id) else { return };
        moving.done = moving.transfer.total.unwrap_or(moving.done);
        match moving.transfer.step {
            Some(step) => self.say(step, now, Some(format!("{} done", moving.text(now))), out),
            // In a build only what took its time is worth a line.
            None if !self.names.is_empty()
                && now.saturating_sub(moving.started) < TRANSFER_PAUSE => {}
            None => line(
                out,
                format_args!("{}: {}", moving.transfer.label, finished_text(moving.transfer.kind)),
            ),
        }
    }
}

impl Moving {
    fn text(&self, now: Duration) -> String {
        let verb = match self.transfer.kind {
            TransferKind::Download => "",
            TransferKind::Unpack => "extracting ",
            TransferKind::Upload => "pushing ",
            TransferKind::Pack => "packing ",
            TransferKind::Export => "exporting ",
        };
        let seconds = now.saturating_sub(self.started).as_secs_f64();
        let total = self.transfer.total.map(|total| format!(" / {}", human_size(total)));
        let (label, done) = (&self.transfer.label, human_size(self.done));
        format!("{verb}{label} {done}{} {seconds:.1}s", total.unwrap_or_default())
    }
}

/// docker's word for a transfer that is complete.
pub(super) fn finished_text(kind: TransferKind) -> &'static str {
    match kind {
        TransferKind::Download => "Download complete",
        TransferKind::Unpack => "Pull complete",
        TransferKind::Upload => "Pushed",
        TransferKind::Pack => "Packed",
        TransferKind::Export => "Exported",
    }
}

/// Only warnings; what fails is told by the error that ends the command.
#[derive(Debug)]
pub(super) struct Quiet;

impl Renderer for Quiet {
    fn event(&mut self, _now: Duration, event: &Event, out: &mut Vec<u8>) {
        if let Event::Warning(text) = event {
            message(&format!("warning: {text}"), out);
        }
    }

    fn finish(&mut self, _now: Duration, _size: Size, _out: &mut Vec<u8>) {}
}

/// Seconds with as many decimals as BuildKit shows: `0.314`, `12.34`, `123.4`.
fn stamp(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let places = match seconds {
        s if s < 10.0 => 3,
        s if s < 100.0 => 2,
        _ => 1,
    };
    format!("{seconds:.places$}")
}

fn message(text: &str, out: &mut Vec<u8>) {
    line(out, format_args!("{}", super::clean::clean(text.as_bytes())));
}

fn line(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to memory cannot fail");
}
