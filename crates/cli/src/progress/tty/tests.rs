//! What stands on a terminal after our frames.

mod terminal;

use std::sync::Arc;

use lathe_event::{Disposition, StepId, Transfer, TransferId, TransferKind};

use self::terminal::Terminal;
use super::{
    super::{
        cells,
        tests::{SIZE, download, failed, finished, log, ms, planned},
    },
    *,
};

fn building() -> Tty {
    Tty::new(false, Some("Building"))
}

/// The lines of a frame that shows a renderer's state.
fn tick(renderer: &mut Tty, at: u64, size: Size) -> Vec<String> {
    let mut out = Vec::new();
    renderer.tick(ms(at), size, &mut out);
    let mut terminal = Terminal::new(size.columns.max(1), 1000);
    // The first frame after a change of size is whole.
    renderer.screen = Screen::new(false);
    out.clear();
    renderer.tick(ms(at), size, &mut out);
    terminal.frame(&out);
    let mut lines = terminal.history();
    lines.pop();
    lines
}

fn feed(renderer: &mut Tty, events: &[(u64, Event)]) {
    let mut none = Vec::new();
    for (at, event) in events {
        renderer.event(ms(*at), event, &mut none);
    }
    assert!(none.is_empty(), "events alone draw nothing");
}

#[test]
fn a_frame_shows_steps_with_times_at_the_right_edge() {
    let mut renderer = building();
    let events = [
        (0, planned(&["[1/3] FROM node:18", "[2/3] RUN npm ci", "[3/3] COPY . ."])),
        (0, finished(0, Disposition::Hit, 0)),
        (100, Event::StepStarted(StepId(1))),
        (200, log(1, "\x1b[32madded\x1b[0m 57 packages\n50%\r60%")),
    ];
    feed(&mut renderer, &events);
    let want = [
        "[+] Building 1.3s (1/3)",
        " => CACHED [1/3] FROM node:18                           0.0s",
        " => [2/3] RUN npm ci                                    1.2s",
        " => => # added 57 packages",
        " => => # 60%",
    ];
    assert_eq!(tick(&mut renderer, 1300, SIZE), want);
}

#[test]
fn frames_replace_each_other_and_the_last_stays() {
    let mut renderer = building();
    let mut terminal = Terminal::new(SIZE.columns, SIZE.rows);
    let mut show = |renderer: &mut Tty, at, last| {
        let mut out = Vec::new();
        if last {
            renderer.finish(ms(at), SIZE, &mut out);
        } else {
            renderer.tick(ms(at), SIZE, &mut out);
        }
        terminal.frame(&out);
        terminal.history()
    };
    let begin = [
        (0, planned(&["one", "two"])),
        (0, Event::StepStarted(StepId(0))),
        (0, log(0, "working\n")),
    ];
    feed(&mut renderer, &begin);
    show(&mut renderer, 100, false);
    feed(&mut renderer, &[(150, Event::Warning(Arc::from("mind")))]);
    let want = [
        "warning: mind",
        "[+] Building 0.2s (0/2)",
        " => one                                                 0.2s",
        " => => # working",
        "",
    ];
    assert_eq!(show(&mut renderer, 200, false), want);
    let end =
        [(250, finished(0, Disposition::Ran, 250)), (250, finished(1, Disposition::Skipped, 0))];
    feed(&mut renderer, &end);
    let want = [
        "warning: mind",
        "[+] Building 0.3s (1/1) FINISHED",
        " => one                                                 0.2s",
        "",
    ];
    assert_eq!(show(&mut renderer, 300, true), want);
}

#[test]
fn what_is_over_folds_on_a_low_terminal() {
    let mut renderer = building();
    let names: Vec<String> = (0..20).map(|number| format!("step {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut events = vec![(0, planned(&names))];
    for step in 0..19 {
        events.push((1, Event::StepStarted(StepId(step))));
        events.push((1, finished(step, Disposition::Ran, 1)));
    }
    events.push((1, Event::StepStarted(StepId(19))));
    events.push((1, log(19, "a\nb\nc\n")));
    feed(&mut renderer, &events);
    let mut check = |rows, want: &[&str]| {
        let lines = tick(&mut renderer, 10, Size { columns: 40, rows });
        let starts: Vec<&str> =
            lines.iter().map(|line| line.split("  ").next().expect("one")).collect();
        assert_eq!(starts, want, "{rows} rows");
    };
    let header = "[+] Building 0.0s (19/20)";
    check(
        8,
        &[
            header,
            " => … 18 finished",
            " => step 18",
            " => step 19",
            " => => # a",
            " => => # b",
            " => => # c",
        ],
    );
    check(6, &[header, " => … 19 finished", " => step 19", " => => # b", " => => # c"]);
    check(4, &[header, " => … 19 finished", " => step 19"]);
    check(3, &[header, " => step 19"]);
    check(2, &[header]);
    let lines = tick(&mut renderer, 10, Size { columns: 40, rows: 30 });
    assert_eq!(lines.len(), 24, "there is room for all");
}

#[test]
fn many_that_run_share_the_room() {
    let mut renderer = building();
    let mut events = vec![(0, planned(&["s"; 12]))];
    for step in 0..12 {
        events.push((0, Event::StepStarted(StepId(step))));
        events.push((0, log(step, "a\nb\nc\n")));
    }
    feed(&mut renderer, &events);
    let count = |renderer: &mut Tty, rows, start: &str| {
        let lines = tick(renderer, 10, Size { columns: 40, rows });
        assert!(lines.len() < rows, "{lines:?}");
        lines.iter().filter(|line| line.starts_with(start)).count()
    };
    assert_eq!(count(&mut renderer, 60, " => => #"), 36);
    assert_eq!(count(&mut renderer, 30, " => => #"), 12);
    assert_eq!(count(&mut renderer, 16, " => s"), 12);
    assert_eq!(count(&mut renderer, 10, " => s"), 7);
    assert_eq!(count(&mut renderer, 10, " => … 5 more running"), 1);
}

#[test]
fn a_step_that_failed_or_was_stopped_is_marked() {
    let mut renderer = building();
    let events = [
        (0, planned(&["RUN npm test", "RUN sleep"])),
        (0, Event::StepStarted(StepId(0))),
        (0, Event::StepStarted(StepId(1))),
        (10, log(0, "1 failing\n")),
        (20, failed(0, 20)),
    ];
    feed(&mut renderer, &events);
    let mut out = Vec::new();
    renderer.finish(ms(3000), SIZE, &mut out);
    let mut terminal = Terminal::new(SIZE.columns, SIZE.rows);
    terminal.frame(&out);
    let want = [
        "[+] Building 3.0s (1/2)",
        " => ERROR RUN npm test                                  0.0s",
        " => CANCELED RUN sleep                                  3.0s",
        "",
    ];
    assert_eq!(terminal.history(), want);
}

fn moving(id: u64, kind: TransferKind, label: &str, total: u64, step: Option<u32>) -> Event {
    Event::TransferStarted(Transfer {
        id: TransferId(id),
        kind,
        label: Arc::from(label),
        total: Some(total),
        step: step.map(StepId),
    })
}

#[test]
fn a_pull_shows_a_bar_for_each_layer_and_one_for_all() {
    let mut renderer = Tty::new(false, None);
    let wide = Size { columns: 90, rows: 24 };
    let done = |id, done| Event::TransferProgress { id: TransferId(id), done };
    feed(&mut renderer, &[(0, download(None)), (1000, done(1, 1_000_000))]);
    let bar = |filled: usize, width: usize| {
        format!("[{}>{}]", "=".repeat(filled), " ".repeat(width - 1 - filled))
    };
    let lines = tick(&mut renderer, 1000, wide);
    assert_eq!(
        lines,
        [format!("213ec9aee27d: Downloading {}  1MB/2MB  1MB/s  1s left", bar(18, 37))]
    );
    let download = TransferKind::Download;
    feed(
        &mut renderer,
        &[(1000, moving(2, download, "b", 8_000_000, None)), (2000, done(2, 2_000_000))],
    );
    let lines = tick(&mut renderer, 2000, wide);
    assert_eq!(lines[2], format!("Total: {}  3MB/10MB  2.5MB/s  3s left", bar(15, 50)));
    let unpack = TransferKind::Unpack;
    let events = [
        (2000, Event::TransferFinished(TransferId(1))),
        (2000, moving(3, unpack, "213ec9aee27d", 2_000_000, None)),
        (2100, Event::TransferFinished(TransferId(2))),
    ];
    feed(&mut renderer, &events);
    let lines = tick(&mut renderer, 2100, wide);
    assert!(
        lines[0].starts_with("213ec9aee27d: Extracting [>"),
        "one line for one layer: {lines:?}"
    );
    assert_eq!(lines[1..], ["b: Download complete"]);
    feed(&mut renderer, &[(2200, Event::TransferFinished(TransferId(3)))]);
    assert_eq!(
        tick(&mut renderer, 2200, wide),
        ["213ec9aee27d: Pull complete", "b: Download complete"]
    );
}

#[test]
fn a_question_leaves_no_header_behind() {
    let mut renderer = building();
    let mut terminal = Terminal::new(SIZE.columns, SIZE.rows);
    let mut out = Vec::new();
    renderer.tick(ms(100), SIZE, &mut out);
    terminal.frame(&out);
    assert_eq!(terminal.history()[0], "[+] Building 0.1s (0/0)");
    out.clear();
    renderer.finish(ms(200), SIZE, &mut out);
    terminal.frame(&out);
    assert_eq!(terminal.history(), [""]);
}

#[test]
fn a_frame_in_which_nothing_happened_is_small() {
    let mut renderer = building();
    let names: Vec<String> = (0..20).map(|number| format!("[{number}/20] RUN make")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut events = vec![(0, planned(&names))];
    events.extend((0..9).map(|step| (0, finished(step, Disposition::Ran, 5))));
    events.push((0, Event::StepStarted(StepId(10))));
    events.push((0, log(10, "a\nb\nc\nd\n")));
    feed(&mut renderer, &events);
    let bytes = |renderer: &mut Tty, at, size| {
        let mut out = Vec::new();
        renderer.tick(ms(at), size, &mut out);
        out.len()
    };
    let first = bytes(&mut renderer, 1000, SIZE);
    assert!(first > 700, "{first}");
    assert_eq!(bytes(&mut renderer, 1010, SIZE), 0, "no time has passed that shows");
    let idle = bytes(&mut renderer, 1100, SIZE);
    assert!(idle < 60, "two numbers have changed: {idle}");
    feed(&mut renderer, &[(1150, log(10, "e\n"))]);
    let one = bytes(&mut renderer, 1200, SIZE);
    assert!(one < 120, "the log has moved by a line: {one}");
}

/// A generator of numbers, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

const WORDS: [&str; 7] = [
    "make",
    "漢字漢字",
    "e\u{301}a\u{308}",
    "👩\u{200d}💻",
    "❤\u{fe0f}",
    "\x1b[31mred",
    "a/very/long/path/to/something",
];

fn event(numbers: &mut Numbers) -> Event {
    let step = u32::try_from(numbers.below(30)).expect("small");
    let mut text = String::new();
    for _ in 0..numbers.below(8) {
        text.push_str(WORDS[usize::try_from(numbers.below(7)).expect("small")]);
        text.push_str([" ", "\n", "\r"][usize::try_from(numbers.below(3)).expect("small")]);
    }
    let id = numbers.below(6);
    match numbers.below(12) {
        0 | 1 => Event::StepStarted(StepId(step)),
        2 => finished(step, Disposition::Ran, 70),
        3 => finished(step, Disposition::Hit, 0),
        4 => failed(step, 10),
        5..8 => log(step, &text),
        8 => moving(id, TransferKind::Download, WORDS[1], 9_000_000, Some(step)),
        9 => Event::TransferProgress { id: TransferId(id), done: numbers.below(9_000_000) },
        10 => Event::TransferFinished(TransferId(id)),
        _ => Event::Warning(Arc::from(text.replace('\n', " ").trim())),
    }
}

/// Draws many frames of a build in which anything happens, and looks at the terminal after each.
fn frames(seed: u64, resizing: bool) {
    let mut numbers = Numbers(seed);
    let columns = [200, 80, 40, 20, 7][usize::try_from(seed % 5).expect("small")];
    let mut size = Size { columns, rows: 12 };
    let mut terminal = Terminal::new(size.columns, size.rows);
    let mut renderer = building();
    let names: Vec<&str> = (0..30).map(|index| WORDS[index % 7]).collect();
    feed(&mut renderer, &[(0, planned(&names))]);
    let mut messages = Vec::new();
    for round in 0..120 {
        for _ in 0..numbers.below(5) {
            // A message may be wider than the terminal, and is then not told again here.
            let event = event(&mut numbers);
            let wide = |text: &Arc<str>| cells::width(text) + 9 > columns;
            if matches!(&event, Event::Warning(text) if resizing || wide(text)) {
                continue;
            }
            feed(&mut renderer, &[(round * 90, event)]);
        }
        let mut resized = false;
        if resizing && numbers.below(6) == 0 {
            let columns = usize::try_from(5 + numbers.below(100)).expect("small");
            size = Size { columns, rows: usize::try_from(2 + numbers.below(30)).expect("small") };
            terminal.resize(size.columns, size.rows);
            resized = true;
        }
        messages.extend(renderer.model.messages.iter().map(|text| clean(text.as_bytes())));
        let moment = Moment::Now;
        let want = frame(&renderer.model, renderer.title, ms(round * 90), size, moment);
        let afresh = resized || !renderer.model.messages.is_empty();
        let mut out = Vec::new();
        renderer.tick(ms(round * 90), size, &mut out);
        let flickers = terminal.frame(&out);
        let place = format!("seed {seed}, round {round}, {size:?}");
        assert!(afresh || flickers == 0, "{place}: {flickers} cells were cleared for nothing");
        assert!(!terminal.overran, "{place}: a line is too wide");
        assert!(want.len() < size.rows.max(2), "{place}: the block is too high");
        let want: Vec<&str> = want.iter().map(|row| row.text.trim_end()).collect();
        assert_eq!(terminal.above(want.len()), want, "{place}");
        assert!(terminal.at_start_of_last_line(), "{place}");
    }
    let want = frame(&renderer.model, renderer.title, ms(20_000), size, Moment::End);
    let mut out = Vec::new();
    renderer.finish(ms(20_000), size, &mut out);
    terminal.frame(&out);
    if !resizing {
        let rows = want.iter().map(|row| row.text.trim_end().to_owned());
        let messages = messages.iter().map(|text| super::super::clean::without_color(text));
        let messages = messages.map(|text| text.trim_end().to_owned());
        let all: Vec<String> = messages.chain(rows).chain([String::new()]).collect();
        assert_eq!(terminal.history(), all, "seed {seed}: all that was said stays, once");
    }
}

#[test]
fn after_each_frame_the_screen_is_what_the_model_says() {
    (0..40).for_each(|seed| frames(seed, false));
}

#[test]
fn a_terminal_may_change_its_size_at_any_time() {
    (100..140).for_each(|seed| frames(seed, true));
}
