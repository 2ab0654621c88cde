//! Exit codes, signals, errors, environment, directory, limits.

use std::os::unix::fs::PermissionsExt as _;

use lathe_event::Cancel;
use lathe_executor::Error;
use lathe_executor::Exit;
use lathe_executor::Init;
use lathe_executor::Process;
use lathe_executor::Resource;
use lathe_executor::Rlimit;
use lathe_executor::spawn;

use crate::runner::Cx;
use crate::runner::Mode;
use crate::runner::Test;
use crate::setup::Rootfs;
use crate::setup::output;
use crate::setup::output_of;
use crate::setup::process;
use crate::setup::quiet;
use crate::setup::run;
use crate::setup::shell;

pub(crate) const TESTS: &[Test] = &[
    ("a_process_runs_and_its_code_comes_back", codes),
    ("a_missing_command_is_127_and_a_file_without_x_is_126", missing_commands),
    ("an_empty_command_is_an_error", empty_command),
    ("only_the_given_environment_is_there", environment),
    ("the_working_directory_is_entered", working_directory),
    ("a_missing_working_directory_is_named", missing_directory),
    ("limits_are_set_as_far_as_they_may_be", limits),
    ("every_limit_of_docker_s_can_be_set", all_limits),
    ("the_mask_is_docker_s", mask),
    ("ignored_signals_are_not_inherited", signals_reset),
    ("init_reaps_orphans_and_keeps_the_code", init_reaps),
    ("init_forwards_signals", init_forwards),
    ("many_processes_run_at_once", parallel),
];

#[track_caller]
fn check_code(process: &Process, expected: i32) {
    let outcome = run(&Rootfs::new().sandbox(), process).unwrap();
    assert_eq!(outcome.exit, Exit { code: expected, signal: None }, "{outcome:?}");
}

fn codes(_: &Cx) {
    check_code(&process(&["true"]), 0);
    check_code(&process(&["/bin/false"]), 1);
    check_code(&shell("exit 42"), 42);
    check_code(&shell("sh -c 'kill -TERM $$'; exit $?"), 143);
}

#[track_caller]
fn check_error(process: &Process, code: i32, text: &str) {
    let rootfs = Rootfs::new();
    std::fs::write(rootfs.join("plain"), "x").unwrap();
    std::fs::write(rootfs.join("script"), "#!/no/such/shell\n").unwrap();
    std::fs::set_permissions(rootfs.join("script"), std::fs::Permissions::from_mode(0o755))
        .unwrap();
    let error = run(&rootfs.sandbox(), process).unwrap_err();
    assert_eq!((error.exit_code(), error.to_string().as_str()), (code, text));
}

fn missing_commands(_: &Cx) {
    check_error(&process(&["foo"]), 127, "exec \"foo\": executable file not found in $PATH");
    check_error(&process(&["/bin/foo"]), 127, "exec \"/bin/foo\": no such file or directory");
    check_error(&process(&["/plain"]), 126, "exec \"/plain\": permission denied");
    check_error(&process(&["/etc"]), 126, "exec \"/etc\": permission denied");
    check_error(
        &process(&["/script"]),
        127,
        "exec \"/script\": no such file or directory (the file exists: its interpreter does not)",
    );
}

fn empty_command(_: &Cx) {
    let result = run(&Rootfs::new().sandbox(), &process(&[]));
    assert!(matches!(result, Err(Error::NoCommand)), "{result:?}");
}

fn environment(_: &Cx) {
    let mut process = process(&["env"]);
    process.env.push("A=1 2".to_owned());
    assert_eq!(output_of(&Rootfs::new().sandbox(), &process), "PATH=/bin\nA=1 2\n");
}

fn working_directory(_: &Cx) {
    let mut process = shell("pwd");
    process.cwd.replace_range(.., "/etc");
    assert_eq!(output_of(&Rootfs::new().sandbox(), &process), "/etc\n");
}

fn missing_directory(_: &Cx) {
    let mut process = shell("pwd");
    process.cwd.replace_range(.., "/no/such");
    check_error(&process, 125, "chdir \"/no/such\": no such file or directory");
}

fn limits(cx: &Cx) {
    let rootfs = Rootfs::new();
    let mut process = shell("ulimit -Sn; ulimit -Hn; ulimit -Sc");
    process.rlimits = vec!["nofile=100:200".parse().unwrap(), "core=0:-1".parse().unwrap()];
    assert_eq!(output_of(&rootfs.sandbox(), &process), "100\n200\n0\n");
    // Above the own hard limit: only root of the machine may.
    let own = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap();
    let hard = own + 1;
    process.rlimits = vec![Rlimit { resource: Resource::Nofile, soft: 100, hard }];
    let capabilities = rustix::thread::capabilities(None).unwrap().effective;
    let may_raise = capabilities.contains(rustix::thread::CapabilitySet::SYS_RESOURCE);
    let expected = if cx.mode == Mode::Root && may_raise { hard } else { own };
    let limits = output_of(&rootfs.sandbox(), &process);
    assert!(limits.starts_with(&format!("100\n{expected}\n")), "{limits}");
}

fn all_limits(_: &Cx) {
    let mut process = process(&["cat", "/proc/self/limits"]);
    let names = "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime \
                 sigpending stack";
    process.rlimits = names
        .split_whitespace()
        .map(|name| {
            let soft = if name == "data" || name == "stack" { 8 << 20 } else { 100 };
            format!("{name}={soft}").parse().unwrap()
        })
        .collect();
    // What only root may raise is cut.
    for limit in &mut process.rlimits {
        if matches!(limit.resource, Resource::Nice | Resource::Rtprio) {
            (limit.soft, limit.hard) = (0, 0);
        }
    }
    let limits = output_of(&Rootfs::new().sandbox(), &process);
    let set = limits.lines().filter(|line| line.contains(" 100 ") || line.contains(" 8388608 "));
    assert_eq!(set.count(), 13, "{limits}");
}

fn mask(_: &Cx) {
    assert_eq!(output(&Rootfs::new().sandbox(), "umask"), "0022\n");
}

fn signals_reset(_: &Cx) {
    let process = process(&["grep", "-E", "SigIgn|SigBlk", "/proc/self/status"]);
    let expected = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n";
    assert_eq!(output_of(&Rootfs::new().sandbox(), &process), expected);
}

fn init_reaps(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    sandbox.init = Init::Reaper;
    // The orphan ends before the program does, and is no zombie then.
    let script = "echo $$ $PPID; (sleep 0 & echo $! > /pid); \
                  while [ -e /proc/$(cat /pid) ]; do :; done; exit 7";
    let outcome = run(&sandbox, &shell(script)).unwrap();
    assert_eq!((outcome.exit.code, outcome.stdout.as_str()), (7, "2 1\n"), "{outcome:?}");
}

fn init_forwards(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    sandbox.init = Init::Reaper;
    let script = "trap 'exit 9' TERM; touch /ready; while :; do sleep 0.01; done";
    let running = spawn(&sandbox, &shell(script), quiet()).unwrap();
    while !rootfs.join("ready").exists() {
        std::thread::yield_now();
    }
    running.kill(15).unwrap();
    assert_eq!(running.wait(&Cancel::new()).unwrap().code, 9);
}

fn parallel(_: &Cx) {
    let rootfs = Rootfs::new();
    // The stubs of one run would be the other's mount points.
    for directory in ["proc", "sys", "dev"] {
        std::fs::create_dir(rootfs.join(directory)).unwrap();
    }
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let sandbox = rootfs.sandbox();
            scope.spawn(move || {
                for round in 0..5 {
                    let code = thread * 5 + round;
                    let outcome = run(&sandbox, &shell(&format!("ls /proc/self/fd; exit {code}")));
                    let outcome = outcome.unwrap();
                    assert_eq!(outcome.exit.code, code, "{outcome:?}");
                    assert_eq!(outcome.stdout, "0\n1\n2\n3\n", "{outcome:?}");
                }
            });
        }
    });
}
