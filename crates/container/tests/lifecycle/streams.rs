//! What an attached command sees and sends.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::process::Stdio;

use lathe_container::StdinMode;
use lathe_container::Terminal;
use nix::sys::signal::Signal;

use crate::harness::Lathe;
use crate::harness::Test;
use crate::harness::json;
use crate::harness::kill;
use crate::harness::output;

pub(crate) const TESTS: &[Test] = &[
    ("output_goes_to_the_streams_it_was_written_to", both_streams),
    ("all_output_arrives_whole_here_and_in_the_log", much_output),
    ("input_reaches_the_process_and_ends", input),
    ("without_interactive_there_is_no_input", no_input),
    ("a_signal_to_the_command_goes_to_the_container", signal),
    ("killing_the_command_leaves_the_container", killed_command),
    ("a_terminal_is_one", terminal),
    ("logs_follow_until_the_end", follow),
    ("attach_joins_a_running_container", attach),
];

fn both_streams(lathe: &Lathe) {
    let output = lathe.foreground(&lathe.spec("both", "echo out; echo err >&2"));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
}

fn much_output(lathe: &Lathe) {
    let script = "seq 1 200000; printf end";
    let output = lathe.foreground(&lathe.spec("much", script));
    let want: String = (1..=200_000).map(|n| format!("{n}\n")).chain(["end".to_owned()]).collect();
    assert!(output.stdout == want, "{} bytes of {}", output.stdout.len(), want.len());
    assert!(lathe.good(&["logs", "much"]) == want);
}

fn input(lathe: &Lathe) {
    let mut spec = lathe.spec("reader", "cat; echo over");
    spec.process.stdin = StdinMode::Open;
    let mut command = lathe.command(&["run", "attached", &json(&spec)]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // More than all the buffers on the way: nobody may wait for anybody.
    let text = "all work and no play\n".repeat(100_000);
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            stdin.write_all(text.as_bytes()).unwrap();
            drop(stdin);
        });
        let output = output(child);
        assert!(output.stdout == format!("{text}over\n"), "{} bytes", output.stdout.len());
    });
}

fn no_input(lathe: &Lathe) {
    let mut command =
        lathe.command(&["run", "attached", &json(&lathe.spec("closed", "cat; echo over"))]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take();
    assert_eq!(output(child).stdout, "over\n");
    drop(stdin);
}

fn signal(lathe: &Lathe) {
    let script = "trap 'echo got it; exit 5' INT; echo ready; while :; do sleep 0.05; done";
    let spec = lathe.spec("signalled", script);
    let mut child = lathe.command(&["run", "attached", &json(&spec)]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    kill(child.id().try_into().unwrap(), Signal::SIGINT);
    line.clear();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "got it\n");
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

fn killed_command(lathe: &Lathe) {
    let script = "echo ready; trap 'echo still here; exit 0' TERM; while :; do sleep 0.05; done";
    let spec = lathe.spec("orphan", script);
    let mut child = lathe.command(&["run", "attached", &json(&spec)]).spawn().unwrap();
    lathe.await_log("orphan", "ready");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(lathe.status("orphan").as_deref(), Some("running 0"));
    lathe.good(&["stop", "20", "orphan"]);
    assert_eq!(lathe.good(&["logs", "orphan"]), "ready\nstill here\n");
}

fn terminal(lathe: &Lathe) {
    let mut spec = lathe.spec("tty", "tty; echo $TERM; stty size; echo err >&2");
    spec.process.terminal = Terminal::Allocate;
    let output = lathe.foreground(&spec);
    // One stream, and lines end as a terminal ends them.
    assert_eq!(output.stdout, "/dev/pts/0\r\nxterm\r\n24 80\r\nerr\r\n", "{output:?}");
}

fn follow(lathe: &Lathe) {
    let script = "echo one; until [ -e /go ]; do sleep 0.02; done; echo two; exit 3";
    lathe.start(&lathe.spec("followed", script));
    let mut child = lathe.command(&["logs", "-f", "followed"]).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "one\n");
    lathe.good(&["exec", "-", "followed", "touch", "/go"]);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "two\n");
    assert!(child.wait().unwrap().success());
}

fn attach(lathe: &Lathe) {
    let script = "until [ -e /go ]; do sleep 0.02; done; echo late; exit 8";
    lathe.start(&lathe.spec("joined", script));
    let child = lathe.command(&["attach", "joined"]).spawn().unwrap();
    lathe.good(&["exec", "-", "joined", "touch", "/go"]);
    let output = output(child);
    assert_eq!(output.code, 8, "{output:?}");
}
