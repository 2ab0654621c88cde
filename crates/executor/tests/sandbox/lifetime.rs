//! Who dies with whom; and joining those who live.

use std::io::BufRead as _;
use std::io::BufReader;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::process::ExitCode;
use std::time::Duration;

use lathe_event::Cancel;
use lathe_executor::Exit;
use lathe_executor::Lifetime;
use lathe_executor::Running;
use lathe_executor::Security;
use lathe_executor::UserIds;
use lathe_executor::exec_into;
use lathe_executor::spawn;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Signal;

use crate::runner::Cx;
use crate::runner::Mode;
use crate::runner::Test;
use crate::runner::skip;
use crate::setup::Rootfs;
use crate::setup::capture;
use crate::setup::quiet;
use crate::setup::run;
use crate::setup::shell;

pub(crate) const TESTS: &[Test] = &[
    ("a_signal_ends_the_process_and_is_told", signal),
    ("process_1_gets_signals_that_it_handles", handled_signal),
    ("cancelling_kills_everything", cancel),
    ("a_cancelled_token_kills_at_once", cancelled_before),
    ("dropping_kills_everything", dropped),
    ("the_end_of_process_1_ends_everything", orphans),
    ("killing_the_caller_kills_the_container", killed_caller),
    ("killing_the_stage_kills_the_container", killed_stage),
    ("a_container_with_a_life_of_its_own_goes_on", own_life),
    ("another_process_can_join", join),
    ("a_joined_process_is_held_back_as_well", join_restricted),
    ("joining_nobody_is_an_error", join_nobody),
];

/// A container that sleeps with a child; ready when the file is there.
fn sleeper(rootfs: &Rootfs) -> Running {
    let running =
        spawn(&rootfs.sandbox(), &shell("sleep 1000 & touch /ready; wait"), quiet()).unwrap();
    wait_ready(rootfs);
    running
}

fn wait_ready(rootfs: &Rootfs) {
    while !rootfs.join("ready").exists() {
        std::thread::yield_now();
    }
}

fn pidfd(pid: i32) -> OwnedFd {
    rustix::process::pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap()
}

/// Panics unless the process ends within ten seconds.
#[track_caller]
fn assert_ends(pidfd: &OwnedFd) {
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    let limit = rustix::event::Timespec::try_from(Duration::from_secs(10)).unwrap();
    assert_eq!(rustix::event::poll(&mut fds, Some(&limit)).unwrap(), 1, "still runs");
}

/// Returns the field of /proc/PID/stat with this number, counted from 1.
fn stat(pid: i32, field: usize) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = text.rsplit_once(") ").unwrap().1;
    rest.split(' ').nth(field - 3).unwrap().to_owned()
}

/// Returns the other processes in the pid namespace of a container's process 1.
fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|child| child.parse().unwrap()).collect()
}

fn signal(_: &Cx) {
    let rootfs = Rootfs::new();
    let running = sleeper(&rootfs);
    running.kill(9).unwrap();
    assert_eq!(running.wait(&Cancel::new()).unwrap(), Exit { code: 137, signal: Some(9) });
}

fn handled_signal(_: &Cx) {
    let rootfs = Rootfs::new();
    let script = "trap 'exit 3' TERM; touch /ready; while :; do sleep 0.01; done";
    let running = spawn(&rootfs.sandbox(), &shell(script), quiet()).unwrap();
    wait_ready(&rootfs);
    // SIGUSR1 has no handler, and the kernel spares process 1 the default.
    running.kill(10).unwrap();
    running.kill(15).unwrap();
    assert_eq!(running.wait(&Cancel::new()).unwrap().code, 3);
}

fn cancel(_: &Cx) {
    let rootfs = Rootfs::new();
    let running = sleeper(&rootfs);
    let child = pidfd(children(running.pid())[0]);
    let token = Cancel::new();
    let exit = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| running.wait(&token));
        token.cancel();
        waiter.join().unwrap().unwrap()
    });
    assert_eq!(exit.signal, Some(9));
    assert_ends(&child);
}

fn cancelled_before(_: &Cx) {
    let rootfs = Rootfs::new();
    let token = Cancel::new();
    token.cancel();
    assert_eq!(sleeper(&rootfs).wait(&token).unwrap().signal, Some(9));
}

fn dropped(_: &Cx) {
    let rootfs = Rootfs::new();
    let running = sleeper(&rootfs);
    let processes = [pidfd(running.pid()), pidfd(children(running.pid())[0])];
    drop(running);
    processes.iter().for_each(assert_ends);
    assert!(!rootfs.join("proc").exists());
}

fn orphans(_: &Cx) {
    let rootfs = Rootfs::new();
    let outcome = run(&rootfs.sandbox(), &shell("sleep 1000 & exit 0")).unwrap();
    // Its output pipes were closed, or this would have hung.
    assert_eq!(outcome.exit.code, 0);
}

/// The part of `killed_caller` that is killed: prints the pid of a container
/// and waits for it.
pub(crate) fn victim(rootfs: &str) -> ExitCode {
    let sandbox = lathe_executor::Sandbox::new(rootfs);
    let script = "trap '' TERM HUP INT; sleep 1000 & wait";
    let running = spawn(&sandbox, &shell(script), quiet()).unwrap();
    println!("{}", running.pid());
    running.wait(&Cancel::new()).unwrap();
    ExitCode::SUCCESS
}

fn killed_caller(cx: &Cx) {
    let rootfs = Rootfs::new();
    let mut caller = Command::new("/proc/self/exe")
        .args(["--inside", "root", "--victim", rootfs.path().to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(caller.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let container = pidfd(line.trim().parse().unwrap());
    caller.kill().unwrap();
    caller.wait().unwrap();
    assert_ends(&container);
    assert!(cx.mode != Mode::Root || !line.is_empty());
}

fn killed_stage(_: &Cx) {
    let rootfs = Rootfs::new();
    let running = sleeper(&rootfs);
    let container = pidfd(running.pid());
    let child = pidfd(children(running.pid())[0]);
    let stage: i32 = stat(running.pid(), 4).parse().unwrap();
    rustix::process::kill_process(Pid::from_raw(stage).unwrap(), Signal::KILL).unwrap();
    assert_ends(&container);
    assert_ends(&child);
    let error = running.wait(&Cancel::new()).unwrap_err();
    assert_eq!(error.to_string(), "the init stage was killed");
}

fn own_life(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    sandbox.lifetime = Lifetime::Own;
    let script = "touch /ready; while [ ! -e /end ]; do sleep 0.01; done; touch /ended";
    let running = spawn(&sandbox, &shell(script), quiet()).unwrap();
    wait_ready(&rootfs);
    let process = pidfd(running.pid());
    drop(running);
    std::fs::write(rootfs.join("end"), "").unwrap();
    assert_ends(&process);
    assert!(rootfs.join("ended").exists());
}

fn join(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    sandbox.hostname = Some("joined".to_owned());
    let running = spawn(&sandbox, &shell("touch /ready; sleep 1000"), quiet()).unwrap();
    wait_ready(&rootfs);
    let mut process = shell("hostname; pwd; ps | grep -c 'sleep 1000'; ls /proc/self/fd; exit 4");
    process.cwd.replace_range(.., "/etc");
    let outcome =
        capture(|stdio| exec_into(running.pid(), Security::Default, &process, stdio)).unwrap();
    assert_eq!(outcome.exit.code, 4, "{outcome:?}");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines[..2], ["joined", "/etc"]);
    assert_eq!(lines[3..], ["0", "1", "2", "3"]);
    for kind in ["mnt", "pid", "ipc", "uts", "cgroup", "net"] {
        let script = shell(&format!("readlink /proc/self/ns/{kind}; readlink /proc/1/ns/{kind}"));
        let outcome =
            capture(|stdio| exec_into(running.pid(), Security::Default, &script, stdio)).unwrap();
        let links: Vec<&str> = outcome.stdout.lines().collect();
        assert_eq!(links[0], links[1], "{kind}");
    }
}

fn join_restricted(cx: &Cx) {
    let rootfs = Rootfs::new();
    let running = sleeper(&rootfs);
    let script = "grep -E '^(CapEff|CapBnd|Seccomp):' /proc/self/status";
    let exec = |process: &lathe_executor::Process| {
        capture(|stdio| exec_into(running.pid(), Security::Default, process, stdio)).unwrap().stdout
    };
    let expected = "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nSeccomp:\t2\n";
    assert_eq!(exec(&shell(script)), expected);
    if cx.mode == Mode::Single {
        return skip("a_joined_process_is_held_back_as_well (user)", "one id only");
    }
    let mut process = shell(script);
    process.user = UserIds { uid: 5, gid: 5, additional: vec![5] };
    let expected = "CapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\nSeccomp:\t2\n";
    assert_eq!(exec(&process), expected);
}

fn join_nobody(_: &Cx) {
    let rootfs = Rootfs::new();
    let running = sleeper(&rootfs);
    let pid = running.pid();
    drop(running);
    let result = exec_into(pid, Security::Default, &shell("true"), quiet());
    assert!(result.is_err());
}
