//! Further processes in a running container.

use std::io::Write as _;
use std::process::Stdio;

use crate::harness::Lathe;
use crate::harness::Test;
use crate::harness::User;
use crate::harness::output;

pub(crate) const TESTS: &[Test] = &[
    ("exec_runs_beside_the_process_in_its_namespaces", namespaces),
    ("exec_has_the_codes_of_docker", codes),
    ("exec_takes_input_directory_and_user", options),
    ("exec_with_a_terminal_has_one", terminal),
    ("a_detached_exec_runs_on", detached),
    ("an_exec_ends_with_its_container", ends_with_container),
];

fn sleeper(lathe: &Lathe, name: &str) {
    let mut spec = lathe.spec_of(name, &["sleep", "1000"]);
    spec.hostname = Some("inside".to_owned());
    spec.process.env = vec!["GIVEN=spec".to_owned(), "OTHER=spec".to_owned()];
    lathe.start(&spec);
}

fn namespaces(lathe: &Lathe) {
    sleeper(lathe, "beside");
    let script = "hostname; echo $GIVEN $OTHER; tr '\\0' ' ' < /proc/1/cmdline; echo; echo e >&2";
    let output = lathe.run(&["exec", "-", "beside", "sh", "-c", script]);
    assert_eq!(output.stdout, "inside\nexec spec\nsleep 1000 \n", "{output:?}");
    assert_eq!(output.stderr, "e\n");
    lathe.good(&["rm", "-f", "beside"]);
    assert_ne!(lathe.run(&["exec", "-", "beside", "true"]).code, 0);
}

fn codes(lathe: &Lathe) {
    sleeper(lathe, "codes");
    for (command, code) in [
        (&["true"][..], 0),
        (&["sh", "-c", "exit 7"], 7),
        (&["sh", "-c", "kill -9 $$"], 137),
        (&["/nothing"], 127),
        (&["nothing"], 127),
        (&["/bin/noexec"], 126),
    ] {
        let args = [&["exec", "-", "codes"], command].concat();
        assert_eq!(lathe.run(&args).code, code, "{command:?}");
    }
    lathe.good(&["kill", "KILL", "codes"]);
    lathe.good(&["wait", "codes"]);
    let output = lathe.run(&["exec", "-", "codes", "true"]);
    assert!(output.stderr.contains("is not running"), "{output:?}");
}

fn options(lathe: &Lathe) {
    sleeper(lathe, "options");
    let mut command = lathe.command(&["exec", "iw", "options", "sh", "-c", "pwd; cat"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"typed\n").unwrap();
    assert_eq!(output(child).stdout, "/tmp\ntyped\n");
    if lathe.user == User::Root {
        assert_eq!(
            lathe.good(&["exec", "u", "options", "sh", "-c", "id -u; echo $HOME"]),
            "7\n/www\n"
        );
    }
}

fn terminal(lathe: &Lathe) {
    sleeper(lathe, "exec-tty");
    let output = lathe.run(&["exec", "t", "exec-tty", "sh", "-c", "tty; seq 1 5000; exit 4"]);
    assert_eq!(output.code, 4, "{output:?}");
    assert!(output.stdout.starts_with("/dev/pts/"), "{output:?}");
    assert!(output.stdout.ends_with("4999\r\n5000\r\n"), "{output:?}");
}

fn detached(lathe: &Lathe) {
    sleeper(lathe, "background");
    lathe.good(&["exec", "d", "background", "sh", "-c", "sleep 0.1; touch /done; sleep 1000"]);
    crate::harness::eventually("the file of a detached exec", || {
        lathe.run(&["exec", "-", "background", "ls", "/done"]).code == 0
    });
}

fn ends_with_container(lathe: &Lathe) {
    sleeper(lathe, "cut");
    let child = lathe.command(&["exec", "-", "cut", "sleep", "1000"]).spawn().unwrap();
    crate::harness::eventually("the exec", || {
        lathe.good(&["exec", "-", "cut", "ps"]).matches("sleep 1000").count() == 2
    });
    lathe.good(&["kill", "KILL", "cut"]);
    assert_eq!(output(child).code, 137);
}
