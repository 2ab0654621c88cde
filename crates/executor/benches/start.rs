//! Measures one whole run of `true`: spawn, namespaces, mounts, exec, exit and
//! cleaning up, against a plain spawn of the same program.
//!
//! Run as root in a mount namespace of its own:
//! `unshare --mount cargo bench -p lathe-executor`.

use std::process::Command;
use std::process::ExitCode;
use std::time::Duration;
use std::time::Instant;

use lathe_event::Cancel;
use lathe_executor::Network;
use lathe_executor::Process;
use lathe_executor::Sandbox;
use lathe_executor::Stdio;
use lathe_executor::spawn;

const ROUNDS: usize = 300;

fn main() -> ExitCode {
    if let Some(code) = lathe_executor::init_main() {
        return ExitCode::from(u8::try_from(code).expect("codes are small"));
    }
    let rootfs = tempfile::tempdir().expect("a temporary directory");
    for directory in ["bin", "proc", "sys", "dev"] {
        std::fs::create_dir(rootfs.path().join(directory)).expect("a new directory");
    }
    let program = rootfs.path().join("bin/true");
    std::fs::copy("/bin/busybox", &program).expect("busybox-static is installed");
    report("plain spawn", || {
        Command::new(&program).status().expect("it runs");
    });
    let process = Process::new(["/bin/true"]);
    let mut sandbox = Sandbox::new(rootfs.path());
    report("sandbox, host network", || run(&sandbox, &process));
    sandbox.network = Network::None;
    report("sandbox, no network", || run(&sandbox, &process));
    ExitCode::SUCCESS
}

fn run(sandbox: &Sandbox, process: &Process) {
    let running = spawn(sandbox, process, Stdio::inherit()).expect("it starts");
    assert!(running.wait(&Cancel::new()).expect("it ends").success());
}

#[expect(clippy::print_stdout, reason = "the result of a benchmark")]
fn report(name: &str, mut once: impl FnMut()) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            once();
            start.elapsed()
        })
        .collect();
    times.sort();
    let at = |percent: usize| times[(ROUNDS - 1) * percent / 100];
    println!("{name:24} min {:8.2?}  median {:8.2?}  p95 {:8.2?}", at(0), at(50), at(95));
}
