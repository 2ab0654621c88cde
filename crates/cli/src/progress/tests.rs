//! What each form of progress shows for the same events.

use lathe_event::{Disposition, StepId, Stream, Transfer, TransferId, TransferKind};

use super::*;

pub(super) const SIZE: Size = Size { columns: 60, rows: 24 };

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn planned(names: &[&str]) -> Event {
    let steps = names.iter().zip(0..).map(|(name, id)| (StepId(id), Arc::from(*name))).collect();
    Event::Planned { steps }
}

pub(super) fn log(step: u32, text: &str) -> Event {
    Event::StepLog { step: StepId(step), stream: Stream::Stdout, bytes: Arc::from(text.as_bytes()) }
}

pub(super) fn finished(step: u32, disposition: Disposition, millis: u64) -> Event {
    Event::StepFinished { step: StepId(step), disposition, duration: ms(millis) }
}

pub(super) fn failed(step: u32, millis: u64) -> Event {
    let message = Arc::from("exit code: 1");
    Event::StepFailed { step: StepId(step), message, duration: ms(millis) }
}

pub(super) fn download(step: Option<u32>) -> Event {
    Event::TransferStarted(Transfer {
        id: TransferId(1),
        kind: TransferKind::Download,
        label: Arc::from("213ec9aee27d"),
        total: Some(2_000_000),
        step: step.map(StepId),
    })
}

/// Renders events at their times, and the end.
fn render(mut renderer: impl Renderer, events: &[(u64, Event)]) -> String {
    let mut out = Vec::new();
    for (at, event) in events {
        renderer.event(ms(*at), event, &mut out);
    }
    renderer.finish(ms(events.last().map_or(0, |(at, _)| *at)), SIZE, &mut out);
    String::from_utf8(out).expect("text")
}

#[test]
fn plain_is_in_buildkits_form() {
    let events = [
        (
            0,
            planned(&[
                "[builder 1/3] FROM node:18",
                "[builder 2/3] RUN npm ci",
                "[builder 3/3] COPY . .",
                "unused",
            ]),
        ),
        (10, finished(0, Disposition::Hit, 0)),
        (10, Event::StepStarted(StepId(1))),
        (324, log(1, "added 57 ")),
        (324, log(1, "packages\nfound 0\x1b[2J\npart")),
        (1210, finished(1, Disposition::Ran, 1200)),
        (1210, finished(3, Disposition::Skipped, 0)),
        (1210, Event::StepStarted(StepId(2))),
        (
            1300,
            Event::StepFailed {
                step: StepId(2),
                message: Arc::from("no such file"),
                duration: ms(90),
            },
        ),
    ];
    let want = "\
#1 [builder 1/3] FROM node:18
#1 CACHED

#2 [builder 2/3] RUN npm ci
#2 0.314 added 57 packages
#2 0.314 found 0
#2 1.200 part
#2 DONE 1.2s

#3 [builder 3/3] COPY . .
#3 ERROR: no such file
";
    assert_eq!(render(plain::Plain::default(), &events), want);
}

#[test]
fn a_step_that_runs_at_the_end_was_canceled() {
    let events = [
        (0, planned(&["RUN sleep", "RUN false"])),
        (0, Event::StepStarted(StepId(0))),
        (0, Event::StepStarted(StepId(1))),
        (10, failed(1, 10)),
    ];
    let want = "#1 RUN sleep\n#1 ...\n\n#2 RUN false\n#2 ERROR: exit code: 1\n\n#1 RUN sleep\n#1 CANCELED\n";
    assert_eq!(render(plain::Plain::default(), &events), want);
    let text = render(tty::Tty::new(false, Some("Building")), &events);
    assert!(text.contains(" => CANCELED RUN sleep"), "{text}");
}

#[test]
fn plain_lets_one_step_speak_at_a_time() {
    let events = [
        (0, planned(&["one", "two"])),
        (0, Event::StepStarted(StepId(0))),
        (0, Event::StepStarted(StepId(1))),
        (100, log(1, "b1\n")),
        (200, log(0, "a1\n")),
        (300, log(1, "b2\n")),
        (400, finished(1, Disposition::Ran, 400)),
        (500, finished(0, Disposition::Ran, 500)),
    ];
    let want = "\
#1 one
#1 0.200 a1
#1 DONE 0.5s

#2 two
#2 0.100 b1
#2 0.300 b2
#2 DONE 0.4s
";
    assert_eq!(render(plain::Plain::default(), &events), want);
}

#[test]
fn plain_takes_the_floor_from_a_silent_step() {
    let events = [
        (0, planned(&["one", "two"])),
        (0, Event::StepStarted(StepId(0))),
        (10, Event::StepStarted(StepId(1))),
        (5000, log(1, "b\n")),
        (5100, log(0, "a\n")),
        (9000, finished(0, Disposition::Ran, 9000)),
        (9100, finished(1, Disposition::Ran, 9090)),
    ];
    let want = "\
#1 one
#1 ...

#2 two
#2 4.990 b
#2 ...

#1 one
#1 5.100 a
#1 DONE 9.0s

#2 two
#2 DONE 9.1s
";
    assert_eq!(render(plain::Plain::default(), &events), want);
}

#[test]
fn plain_tells_transfers_of_steps_and_of_pulls() {
    let of_step = [
        (0, planned(&["FROM alpine"])),
        (0, Event::StepStarted(StepId(0))),
        (0, download(Some(0))),
        (500, Event::TransferProgress { id: TransferId(1), done: 1_000_000 }),
        (5000, Event::TransferProgress { id: TransferId(1), done: 1_500_000 }),
        (6000, Event::TransferFinished(TransferId(1))),
        (6000, finished(0, Disposition::Ran, 6000)),
    ];
    let want = "\
#1 FROM alpine
#1 213ec9aee27d 1.5MB / 2MB 5.0s
#1 213ec9aee27d 2MB / 2MB 6.0s done
#1 DONE 6.0s
";
    assert_eq!(render(plain::Plain::default(), &of_step), want);
    let of_pull = [(0, download(None)), (10, Event::TransferFinished(TransferId(1)))];
    let want = "213ec9aee27d: Pulling fs layer\n213ec9aee27d: Download complete\n";
    assert_eq!(render(plain::Plain::default(), &of_pull), want);
}

#[test]
fn quiet_tells_warnings_only() {
    let events = [
        (0, planned(&["RUN make"])),
        (0, Event::StepStarted(StepId(0))),
        (1, log(0, "x\n")),
        (1, Event::Note(Arc::from("n"))),
        (2, Event::Warning(Arc::from("w"))),
        (2, failed(0, 2)),
    ];
    assert_eq!(render(plain::Quiet, &events), "warning: w\n");
}

#[test]
fn rawjson_has_one_document_per_line() {
    let events = [
        (0, planned(&["RUN make"])),
        (5, Event::StepStarted(StepId(0))),
        (6, log(0, "hi\n")),
        (6, download(Some(0))),
        (7, Event::TransferFinished(TransferId(1))),
        (1005, finished(0, Disposition::Hit, 1000)),
        (1005, Event::Warning(Arc::from("careful"))),
    ];
    let text = render(rawjson::RawJson::new(Duration::from_secs(1_700_000_000)), &events);
    let documents: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(documents.len(), 7);
    assert_eq!(documents[0]["vertexes"][0]["name"], "RUN make");
    assert_eq!(documents[1]["vertexes"][0]["started"], "2023-11-14T22:13:20.005Z");
    assert_eq!(documents[2]["logs"][0]["data"], "aGkK");
    assert_eq!(documents[2]["logs"][0]["vertex"], documents[0]["vertexes"][0]["digest"]);
    assert_eq!(documents[3]["statuses"][0]["total"], 2_000_000);
    assert_eq!(documents[4]["statuses"][0]["completed"], "2023-11-14T22:13:20.007Z");
    assert_eq!(documents[5]["vertexes"][0]["cached"], true);
    assert_eq!(documents[5]["vertexes"][0]["completed"], "2023-11-14T22:13:21.005Z");
    assert_eq!(documents[6]["warnings"][0]["short"], "Y2FyZWZ1bA==");
}

#[test]
fn the_mode_follows_flag_environment_and_terminal() {
    let around = |stderr_is_tty, term: Option<&str>, progress: Option<&str>| Surroundings {
        stderr_is_tty,
        term: term.map(str::to_owned),
        progress: progress.map(str::to_owned),
    };
    let check = |asked, quiet, around, want| assert_eq!(mode(asked, quiet, &around), want);
    check(ProgressArg::Auto, false, around(true, Some("xterm"), None), Mode::Tty);
    check(ProgressArg::Auto, false, around(true, Some("dumb"), None), Mode::Plain);
    check(ProgressArg::Auto, false, around(false, Some("xterm"), None), Mode::Plain);
    check(ProgressArg::Tty, false, around(false, Some("xterm"), None), Mode::Plain);
    check(ProgressArg::Auto, false, around(true, None, Some("plain")), Mode::Plain);
    check(ProgressArg::Tty, false, around(true, None, Some("plain")), Mode::Tty);
    check(ProgressArg::Rawjson, false, around(true, None, None), Mode::RawJson);
    check(ProgressArg::Plain, true, around(true, None, None), Mode::Quiet);
    check(ProgressArg::Quiet, false, around(true, None, None), Mode::Quiet);
}
