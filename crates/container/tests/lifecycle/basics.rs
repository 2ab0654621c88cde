//! The life of a container, from its creation to its removal.

use std::time::Instant;

use lathe_container::Access;
use lathe_container::Init;
use lathe_container::Removal;

use crate::harness::Lathe;
use crate::harness::Test;
use crate::harness::is_gone;
use crate::harness::json;

pub(crate) const TESTS: &[Test] = &[
    ("a_detached_container_outlives_its_command", detached),
    ("the_exit_code_of_the_process_is_the_commands", exit_codes),
    ("commands_that_cannot_run_have_dockers_codes", cannot_run),
    ("a_container_that_could_not_start_stays_created_unless_rm", failed_start),
    ("stop_sends_the_stop_signal_and_waits", stop_politely),
    ("stop_kills_after_the_grace", stop_kills),
    ("kill_ends_with_128_and_the_signal", kill),
    ("rm_refuses_what_runs_and_force_does_not", remove),
    ("rm_on_exit_leaves_nothing", remove_on_exit),
    ("names_are_unique_and_containers_found_by_prefix", names),
    ("a_name_is_made_up_when_none_is_given", made_up_name),
    ("wait_tells_the_code_to_all_who_wait", wait),
    ("a_restarted_container_keeps_its_files", restart),
    ("identity_environment_and_directory_are_the_specs", process),
    ("a_read_only_root_cannot_be_written", read_only),
    ("an_init_reaps_orphans", init),
];

fn detached(lathe: &Lathe) {
    let script = "echo out; echo err >&2; trap 'exit 3' TERM; while :; do sleep 0.05; done";
    lathe.start(&lathe.spec("detached", script));
    assert_eq!(lathe.status("detached").as_deref(), Some("running 0"));
    lathe.await_log("detached", "out\n");
    lathe.good(&["stop", "20", "detached"]);
    let logs = lathe.run(&["logs", "detached"]);
    assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(lathe.status("detached").as_deref(), Some("exited 3"));
    let (_, state) = lathe.inspect("detached");
    assert!(state.started.unwrap() <= state.finished.unwrap());
    assert_eq!(state.pid, 0);
}

fn exit_codes(lathe: &Lathe) {
    for (name, script, code) in
        [("code-0", "exit 0", 0), ("code-7", "exit 7", 7), ("code-9", "kill -9 $$; exit 5", 5)]
    {
        assert_eq!(lathe.foreground(&lathe.spec(name, script)).code, code, "{script}");
        assert_eq!(lathe.status(name), Some(format!("exited {code}")));
    }
}

fn cannot_run(lathe: &Lathe) {
    for (name, command, code, message) in [
        ("no-such", "/bin/nothing", 127, "nothing"),
        ("no-path", "nothing", 127, "executable file not found in $PATH"),
        ("no-exec", "/bin/noexec", 126, "permission denied"),
        ("no-file", "/etc", 126, ""),
    ] {
        let output = lathe.foreground(&lathe.spec_of(name, &[command]));
        assert_eq!(output.code, code, "{output:?}");
        assert!(output.stderr.contains(message), "{output:?}");
    }
    let mut spec = lathe.spec("no-user", "true");
    spec.process.user = "nobody-here".into();
    let output = lathe.foreground(&spec);
    assert_eq!(output.code, 125);
    assert!(output.stderr.contains("unable to find user nobody-here"), "{output:?}");
}

fn failed_start(lathe: &Lathe) {
    let mut spec = lathe.spec_of("never", &["/nothing"]);
    assert_eq!(lathe.foreground(&spec).code, 127);
    assert_eq!(lathe.status("never").as_deref(), Some("created 127"));
    lathe.good(&["rm", "never"]);
    spec.removal = Removal::OnExit;
    assert_eq!(lathe.foreground(&spec).code, 127);
    assert_eq!(lathe.status("never"), None);
}

fn stop_politely(lathe: &Lathe) {
    let script = "trap 'echo bye; exit 4' USR1; echo ready; while :; do sleep 0.05; done";
    let mut spec = lathe.spec("polite", script);
    spec.stop_signal = Some("SIGUSR1".to_owned());
    lathe.start(&spec);
    lathe.await_log("polite", "ready");
    lathe.good(&["stop", "20", "polite"]);
    assert_eq!(lathe.status("polite").as_deref(), Some("exited 4"));
    assert_eq!(lathe.good(&["logs", "polite"]), "ready\nbye\n");
    // Stopping what has stopped is fine, as with docker.
    lathe.good(&["stop", "20", "polite"]);
}

fn stop_kills(lathe: &Lathe) {
    // Process 1 without a handler does not even see the signal.
    lathe.start(&lathe.spec_of("deaf", &["sleep", "1000"]));
    let begun = Instant::now();
    lathe.good(&["stop", "1", "deaf"]);
    assert!(begun.elapsed().as_secs() >= 1);
    assert_eq!(lathe.status("deaf").as_deref(), Some("exited 137"));
}

fn kill(lathe: &Lathe) {
    lathe.start(&lathe.spec_of("victim", &["sleep", "1000"]));
    lathe.good(&["kill", "SIGKILL", "victim"]);
    assert_eq!(lathe.good(&["wait", "victim"]), "137\n");
    let output = lathe.run(&["kill", "KILL", "victim"]);
    assert_ne!(output.code, 0);
    assert!(output.stderr.contains("is not running"), "{output:?}");
    assert!(lathe.run(&["kill", "NOPE", "victim"]).stderr.contains("invalid signal `NOPE`"));
}

fn remove(lathe: &Lathe) {
    lathe.start(&lathe.spec_of("busy", &["sleep", "1000"]));
    let (record, _) = lathe.inspect("busy");
    let output = lathe.run(&["rm", "busy"]);
    assert_ne!(output.code, 0);
    assert!(output.stderr.contains("container is running"), "{output:?}");
    lathe.good(&["rm", "-f", "busy"]);
    assert_eq!(lathe.status("busy"), None);
    assert!(is_gone(lathe, &record));
    assert!(lathe.run(&["rm", "busy"]).stderr.contains("No such container: busy"));
}

fn remove_on_exit(lathe: &Lathe) {
    let mut spec = lathe.spec("brief", "echo said; mkdir -m 0 /closed; exit 6");
    spec.removal = Removal::OnExit;
    spec.image_volumes = vec!["/data".to_owned()];
    let output = lathe.foreground(&spec);
    assert_eq!((output.code, output.stdout.as_str()), (6, "said\n"), "{output:?}");
    assert_eq!(lathe.status("brief"), None);
    let volumes = std::fs::read_dir(lathe.store().join("volumes")).unwrap();
    assert_eq!(volumes.count(), 0);
}

fn names(lathe: &Lathe) {
    let spec = lathe.spec_of("taken", &["true"]);
    let id = lathe.good(&["create", &json(&spec)]);
    let output = lathe.run(&["create", &json(&spec)]);
    assert_ne!(output.code, 0);
    let want =
        format!("the container name \"/taken\" is already in use by container \"{}\"", id.trim());
    assert!(output.stderr.contains(&want), "{output:?}");
    assert_eq!(lathe.inspect(&id[..5]).0.name, "taken");
    lathe.good(&["rm", "taken"]);
    lathe.good(&["create", &json(&spec)]);
    let invalid = lathe.spec_of("a/b", &["true"]);
    assert!(lathe.run(&["create", &json(&invalid)]).stderr.contains("invalid container name"));
}

fn made_up_name(lathe: &Lathe) {
    let mut spec = lathe.spec_of("", &["true"]);
    spec.name = None;
    let id = lathe.good(&["create", &json(&spec)]);
    assert!(lathe.inspect(id.trim()).0.name.contains('_'));
}

fn wait(lathe: &Lathe) {
    let script = "trap 'exit 11' TERM; echo ready; while :; do sleep 0.05; done";
    lathe.start(&lathe.spec("awaited", script));
    lathe.await_log("awaited", "ready");
    let waiting: Vec<_> =
        (0..3).map(|_| lathe.command(&["wait", "awaited"]).spawn().unwrap()).collect();
    lathe.good(&["kill", "TERM", "awaited"]);
    for command in waiting {
        assert_eq!(crate::harness::output(command).stdout, "11\n");
    }
    assert_eq!(lathe.good(&["wait", "awaited"]), "11\n");
}

fn restart(lathe: &Lathe) {
    let spec = lathe.spec("again", "cat /kept; echo one more >> /kept; rm -f /second; ls /second");
    lathe.start(&spec);
    assert_eq!(lathe.good(&["wait", "again"]), "1\n");
    lathe.good(&["start", "again"]);
    assert_eq!(lathe.good(&["wait", "again"]), "1\n");
    lathe.good(&["restart", "again"]);
    assert_eq!(lathe.good(&["wait", "again"]), "1\n");
    assert_eq!(lathe.good(&["logs", "again"]), "one more\none more\none more\n");
    lathe.start(&lathe.spec_of("twice", &["sleep", "1000"]));
    let output = lathe.run(&["start", "twice"]);
    assert!(output.stderr.contains("already running"), "{output:?}");
}

fn process(lathe: &Lathe) {
    let script = "id -u; pwd; echo $HOME $HOSTNAME $A; cat /etc/hostname; hostname; \
                  grep -c here /etc/hosts; env | grep -c PATH=";
    let mut spec = lathe.spec("typical", script);
    spec.process.env = vec!["A=1".to_owned(), "A=2".to_owned()];
    spec.process.working_dir = "/made/for/it".into();
    spec.hostname = Some("here".to_owned());
    if lathe.user == crate::harness::User::Root {
        spec.process.user = "web".into();
        let output = lathe.foreground(&spec);
        assert_eq!(output.stdout, "7\n/made/for/it\n/www here 2\nhere\nhere\n1\n1\n", "{output:?}");
        spec.process.user = String::new();
        spec.name = Some("typical-root".to_owned());
    }
    let output = lathe.foreground(&spec);
    assert_eq!(output.stdout, "0\n/made/for/it\n/root here 2\nhere\nhere\n1\n1\n", "{output:?}");
}

fn read_only(lathe: &Lathe) {
    let mut spec = lathe.spec("sealed", "touch /x; echo $?; touch /dev/shm/x; echo $?");
    spec.rootfs_access = Access::ReadOnly;
    assert_eq!(lathe.foreground(&spec).stdout, "1\n0\n");
}

fn init(lathe: &Lathe) {
    let mut spec = lathe.spec("tended", "echo $$; exit 9");
    spec.init = Init::Reaper;
    let output = lathe.foreground(&spec);
    assert_eq!(output.code, 9, "{output:?}");
    assert_ne!(output.stdout.trim(), "1");
}
