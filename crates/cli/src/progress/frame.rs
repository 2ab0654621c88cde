//! What a terminal shows of a command: from the model to lines that fit.
//!
//! ```text
//! [+] Building 3.2s (5/9)
//!  => CACHED [builder 1/5] FROM node:18                      0.0s
//!  => [builder 2/5] RUN npm ci                               2.1s
//!  => => # added 57 packages
//! ```
//!
//! Where there is not room for all, what is over gives way first and is counted in one line,
//! then output, then transfers; what runs is told to the last.

use std::time::Duration;

use lathe_event::{StepId, TransferKind};

use super::{
    Size, bar, cells,
    clean::{clean, without_color},
    model::{Model, Moving, Status, Step},
    plain::finished_text,
    screen::{Paint, Row},
};

/// Lines of output shown below a step that runs, where there is room.
const TAIL: usize = 6;

/// Which frame it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// One of many: it fits the terminal.
    Now,
    /// The one that stays: all steps, no output.
    End,
}

/// What gives way when the terminal is too low; the last first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Header,
    RunningStep,
    Transfer,
    Output,
    OverTransfer,
    OverStep,
}

#[derive(Debug)]
struct Line {
    row: Row,
    rank: Rank,
}

/// Makes the lines of a frame.
pub(super) fn frame(
    model: &Model,
    title: Option<&str>,
    now: Duration,
    size: Size,
    moment: Moment,
) -> Vec<Row> {
    let lines = lines(model, title, now, size, moment);
    let rows = match moment {
        Moment::Now => fit(lines, size),
        Moment::End => lines,
    };
    rows.into_iter().map(|line| line.row).collect()
}

fn lines(
    model: &Model,
    title: Option<&str>,
    now: Duration,
    size: Size,
    moment: Moment,
) -> Vec<Line> {
    let mut lines = Vec::new();
    let planned = !model.steps.is_empty();
    if let Some(title) = title.filter(|_| planned || moment == Moment::Now) {
        let (settled, all) = model.counts();
        let end = if moment == Moment::End && settled == all { " FINISHED" } else { "" };
        let text = format!("[+] {title} {:.1}s ({settled}/{all}){end}", now.as_secs_f64());
        lines.push(line(cells::cut(&text, size.columns), Paint::None, Rank::Header));
    }
    let seen = model.seen();
    let window = window(&seen, size);
    for (id, step) in seen {
        lines.push(step_line(step, now, size.columns, moment));
        if moment == Moment::End || step.running_since().is_none() {
            continue;
        }
        transfers(model, Some(id), now, size.columns, &mut lines);
        for text in step.tail(window) {
            let text = format!(" => => # {}", without_color(&clean(text)).replace('\t', "  "));
            lines.push(line(cells::cut(&text, size.columns), Paint::Dim, Rank::Output));
        }
    }
    transfers(model, None, now, size.columns, &mut lines);
    if !planned && moment == Moment::Now {
        lines.extend(sum(model, now, size.columns));
    }
    lines
}

/// Lines of output that each running step may show: all the same, after one for each step.
fn window(steps: &[(StepId, &Step)], size: Size) -> usize {
    let running = steps.iter().filter(|(_, step)| step.running_since().is_some()).count();
    // Above there are the header and the line of what is folded, below the cursor's.
    let room = size.rows.saturating_sub(running + 3);
    room.checked_div(running).unwrap_or(0).min(TAIL)
}

fn step_line(step: &Step, now: Duration, columns: usize, moment: Moment) -> Line {
    let (word, took, paint) = match &step.status {
        // What runs while the command ends was stopped because another step failed.
        Status::Running { since } if moment == Moment::End => {
            ("CANCELED ", now.saturating_sub(*since), Paint::Canceled)
        }
        Status::Running { since } => ("", now.saturating_sub(*since), Paint::None),
        Status::Done { took } => ("", *took, Paint::Done),
        Status::Cached => ("CACHED ", Duration::ZERO, Paint::Done),
        Status::WouldRun => ("WOULD RUN ", Duration::ZERO, Paint::None),
        Status::MayRun => ("MAY RUN ", Duration::ZERO, Paint::None),
        Status::Failed { took } => ("ERROR ", *took, Paint::Failed),
        Status::Waiting | Status::Skipped => ("", Duration::ZERO, Paint::None),
    };
    // A step that failed ends the build: it is what everybody looks for.
    let rank = match step.status {
        Status::Running { .. } | Status::Failed { .. } => Rank::RunningStep,
        _ => Rank::OverStep,
    };
    let left = format!(" => {word}{}", without_color(&clean(step.name.as_bytes())));
    let right = format!("{:.1}s", took.as_secs_f64());
    line(cells::justify(&left, &right, columns), paint, rank)
}

/// Adds a line for each thing that is transferred. One thing may be so several times, a layer
/// that is downloaded and then unpacked, and has one line.
fn transfers(
    model: &Model,
    step: Option<StepId>,
    now: Duration,
    columns: usize,
    lines: &mut Vec<Line>,
) {
    let indent = match step {
        Some(_) => " => => ",
        None if model.steps.is_empty() => "",
        None => " => ",
    };
    let mut shown: Vec<&Moving> = Vec::new();
    for moving in model.transfers_of(step) {
        match shown.iter_mut().find(|other| other.transfer.label == moving.transfer.label) {
            Some(other) if other.finished => *other = moving,
            Some(_) => {}
            None => shown.push(moving),
        }
    }
    for moving in shown {
        let label = format!("{indent}{}:", without_color(&clean(moving.transfer.label.as_bytes())));
        lines.push(if moving.finished {
            let text = format!("{label} {}", finished_text(moving.transfer.kind));
            line(cells::shorten(&text, columns), Paint::None, Rank::OverTransfer)
        } else {
            let label = format!("{label} {}", verb(moving.transfer.kind));
            let (total, rate) = (moving.transfer.total, moving.rate(now));
            let text = bar::line(&label, moving.done, total, rate, columns);
            line(text, Paint::None, Rank::Transfer)
        });
    }
}

/// docker's words, and some more in their manner.
fn verb(kind: TransferKind) -> &'static str {
    match kind {
        TransferKind::Download => "Downloading",
        TransferKind::Unpack => "Extracting",
        TransferKind::Upload => "Pushing",
        TransferKind::Pack => "Packing",
        TransferKind::Export => "Exporting",
    }
}

/// The line below several transfers: all of them together.
fn sum(model: &Model, now: Duration, columns: usize) -> Option<Line> {
    let moves = |kind| matches!(kind, TransferKind::Download | TransferKind::Upload);
    let all: Vec<&Moving> =
        model.transfers_of(None).filter(|moving| moves(moving.transfer.kind)).collect();
    let open = all.iter().filter(|moving| !moving.finished);
    let rate = open.clone().filter_map(|moving| moving.rate(now)).reduce(u64::saturating_add);
    if all.len() < 2 || open.count() == 0 {
        return None;
    }
    let totals = all.iter().map(|moving| moving.transfer.total);
    let total = totals.reduce(|sum, one| Some(sum?.saturating_add(one?))).flatten();
    let done = all.iter().map(|moving| match moving.transfer.total {
        Some(total) if moving.finished => total,
        _ => moving.done,
    });
    let text = bar::line("Total:", done.fold(0, u64::saturating_add), total, rate, columns);
    Some(line(text, Paint::None, Rank::Transfer))
}

/// Drops lines until the rest is lower than the terminal, and says how many steps went.
fn fit(lines: Vec<Line>, size: Size) -> Vec<Line> {
    // The cursor has a line of its own.
    let rows = size.rows.saturating_sub(1).max(1);
    let surplus = lines.len().saturating_sub(rows);
    if surplus == 0 {
        return lines;
    }
    let is_step = |line: &Line| matches!(line.rank, Rank::OverStep | Rank::RunningStep);
    let steps = lines.iter().filter(|line| line.rank == Rank::OverStep).count();
    let others = lines.iter().filter(|line| line.rank > Rank::RunningStep).count() - steps;
    // The line that counts what went takes the room of one more.
    let counted = rows > 2 && (steps > 0 || surplus > others);
    let (mut kept, gone) = drop_lines(lines, surplus + usize::from(counted));
    if counted {
        let (over, more): (Vec<&Line>, Vec<&Line>) =
            gone.iter().filter(|line| is_step(line)).partition(|line| line.rank == Rank::OverStep);
        let mut parts = Vec::new();
        if !over.is_empty() {
            parts.push(format!("{} finished", over.len()));
        }
        if !more.is_empty() {
            parts.push(format!("{} more running", more.len()));
        }
        let text = cells::shorten(&format!(" => … {}", parts.join(", ")), size.columns);
        let at = kept.iter().take_while(|line| line.rank == Rank::Header).count();
        kept.insert(at, line(text, Paint::Dim, Rank::Header));
    }
    kept
}

/// Takes away so many lines: the highest rank first, and of one rank the oldest.
fn drop_lines(lines: Vec<Line>, surplus: usize) -> (Vec<Line>, Vec<Line>) {
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(lines[index].rank), index));
    let going: Vec<usize> = order.into_iter().take(surplus).collect();
    let (mut kept, mut gone) = (Vec::new(), Vec::new());
    for (index, line) in lines.into_iter().enumerate() {
        if going.contains(&index) { gone.push(line) } else { kept.push(line) }
    }
    (kept, gone)
}

fn line(text: String, paint: Paint, rank: Rank) -> Line {
    Line { row: Row { text, paint }, rank }
}
