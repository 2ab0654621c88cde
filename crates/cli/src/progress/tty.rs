//! Progress on a terminal: a block of lines that is redrawn in place.
//!
//! Each frame is one write: cursor up to the first line of the block, every line followed by
//! "clear to end of line" (clearing all first would flicker), "clear below", and no line is
//! wider or the block higher than the terminal, else the cursor could not find back. The size
//! is asked for at every frame, so a change needs no signal; after a narrowing the old lines
//! take more rows, which is reckoned with.

use std::{fmt::Write as _, time::Duration};

use lathe_event::Event;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{
    Renderer, Size,
    bar::bar,
    clean::without_color,
    model::{Model, Moving, Status, Step},
    plain::finished_text,
};

/// Lines of output shown below a step that runs.
const TAIL: usize = 6;

/// The renderer.
#[derive(Debug)]
pub(super) struct Tty {
    model: Model,
    color: bool,
    /// Widths of the lines of the last frame.
    drawn: Vec<usize>,
}

/// One line of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    text: String,
    paint: Paint,
    /// Lines that give way first when the terminal is too low have the highest number.
    yields: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paint {
    None,
    Done,
    Failed,
    Dim,
}

impl Tty {
    pub(super) fn new(color: bool) -> Self {
        Self { model: Model::default(), color, drawn: Vec::new() }
    }

    fn draw(&mut self, lines: &[Line], size: Size, out: &mut Vec<u8>) {
        let mut frame = String::from("\x1b[?25l");
        let rows: usize =
            self.drawn.iter().map(|width| width.div_ceil(size.columns.max(1)).max(1)).sum();
        if rows > 0 {
            write!(frame, "\x1b[{rows}A").expect("writing to a string cannot fail");
        }
        frame.push('\r');
        for message in self.model.messages.drain(..) {
            frame.push_str(&super::clean::clean(message.as_bytes()));
            frame.push_str("\x1b[K\n");
        }
        for line in lines {
            self.push(line, &mut frame);
        }
        frame.push_str("\x1b[J\x1b[?25h");
        self.drawn = lines.iter().map(|line| line.text.width()).collect();
        out.extend_from_slice(frame.as_bytes());
    }

    fn push(&self, line: &Line, frame: &mut String) {
        let color = match line.paint {
            Paint::Done => "\x1b[34m",
            Paint::Failed => "\x1b[31m",
            Paint::Dim => "\x1b[2m",
            Paint::None => "",
        };
        if self.color && !color.is_empty() {
            write!(frame, "{color}{}\x1b[0m", line.text).expect("writing to a string cannot fail");
        } else {
            frame.push_str(&line.text);
        }
        frame.push_str("\x1b[K\n");
    }
}

impl Renderer for Tty {
    fn event(&mut self, now: Duration, event: &Event, _out: &mut Vec<u8>) {
        self.model.apply(now, event);
    }

    fn tick(&mut self, now: Duration, size: Size, out: &mut Vec<u8>) {
        let lines = fit(frame(&self.model, now, size.columns, false), size.rows.saturating_sub(1));
        self.draw(&lines, size, out);
    }

    fn finish(&mut self, now: Duration, size: Size, out: &mut Vec<u8>) {
        let lines = frame(&self.model, now, size.columns, true);
        if !(lines.is_empty() && self.drawn.is_empty() && self.model.messages.is_empty()) {
            self.draw(&lines, size, out);
        }
    }
}

/// Makes the lines of one frame; the last frame holds no output of steps.
fn frame(model: &Model, now: Duration, columns: usize, last: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    if !model.steps.is_empty() {
        let (settled, all) = model.counts();
        let end = if last { " FINISHED" } else { "" };
        let text = format!("[+] Building {:.1}s ({settled}/{all}){end}", now.as_secs_f64());
        lines.push(Line { text: cut(&text, columns), paint: Paint::None, yields: 0 });
    }
    for (id, step) in model.seen() {
        lines.push(step_line(step, now, columns, last));
        if last || step.running_since().is_none() {
            continue;
        }
        for moving in model.transfers_of(Some(id)) {
            lines.push(transfer_line(moving, now, columns, " => => "));
        }
        let skip = step.tail.len().saturating_sub(TAIL);
        for (_, text) in step.tail.iter().skip(skip) {
            let text = format!(" => => # {}", without_color(text).replace('\t', "  "));
            lines.push(Line { text: cut(&text, columns), paint: Paint::Dim, yields: 2 });
        }
    }
    for moving in model.transfers_of(None) {
        let indent = if model.steps.is_empty() { "" } else { " => " };
        lines.push(transfer_line(moving, now, columns, indent));
    }
    lines
}

fn step_line(step: &Step, now: Duration, columns: usize, last: bool) -> Line {
    let (word, took, paint, yields) = match &step.status {
        // What runs while the command ends was stopped because another step failed.
        Status::Running { since } if last => {
            ("CANCELED ", now.saturating_sub(*since), Paint::Failed, 1)
        }
        Status::Running { since } => ("", now.saturating_sub(*since), Paint::None, 1),
        Status::Done { took } => ("", *took, Paint::Done, 3),
        Status::Cached => ("CACHED ", Duration::ZERO, Paint::Done, 4),
        Status::Failed { took, .. } => ("ERROR ", *took, Paint::Failed, 1),
        Status::Waiting | Status::Skipped => ("", Duration::ZERO, Paint::None, 4),
    };
    let left = format!(" => {word}{}", step.name);
    Line { text: justify(&left, &format!("{:.1}s", took.as_secs_f64()), columns), paint, yields }
}

fn transfer_line(moving: &Moving, now: Duration, columns: usize, indent: &str) -> Line {
    let label = &moving.transfer.label;
    if moving.finished.is_some() {
        let text = format!("{indent}{label}: {}", finished_text(moving.transfer.kind));
        return Line { text: cut(&text, columns), paint: Paint::None, yields: 3 };
    }
    let verb = match moving.transfer.kind {
        lathe_event::TransferKind::Download => "Downloading",
        lathe_event::TransferKind::Unpack => "Extracting",
        lathe_event::TransferKind::Upload => "Pushing",
        lathe_event::TransferKind::Pack => "Packing",
        lathe_event::TransferKind::Export => "Exporting",
    };
    let bar = bar(moving.done, moving.transfer.total, now.saturating_sub(moving.since));
    let text = format!("{indent}{label}: {verb} {bar}");
    Line { text: cut(&text, columns), paint: Paint::None, yields: 1 }
}

/// Drops lines until at most `rows` are left: those that yield most, the oldest first.
fn fit(mut lines: Vec<Line>, rows: usize) -> Vec<Line> {
    for level in (0..=4).rev() {
        let mut surplus = lines.len().saturating_sub(rows);
        lines.retain(|line| {
            let drop = surplus > 0 && line.yields == level;
            surplus -= usize::from(drop);
            !drop
        });
    }
    lines
}

/// Puts `right` at the right edge, and cuts `left` where they would meet.
fn justify(left: &str, right: &str, columns: usize) -> String {
    let room = columns.saturating_sub(right.width() + 1);
    let left = cut(left, room);
    let blanks = columns.saturating_sub(left.width() + right.width());
    cut(&format!("{left}{}{right}", " ".repeat(blanks)), columns)
}

/// Cuts to a width in terminal columns.
fn cut(text: &str, columns: usize) -> String {
    let mut width = 0;
    let fits = |letter: &char| {
        width += letter.width().unwrap_or(0);
        width <= columns
    };
    text.chars().filter(|letter| !letter.is_control()).take_while(fits).collect()
}
