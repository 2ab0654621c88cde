//! What kills and races leave behind: nothing wrong.

use nix::sys::signal::Signal;
use rustix::fs::FlockOperation;

use lathe_container::NetworkMode;
use lathe_container::Removal;
use lathe_container::Status;

use crate::harness::Lathe;
use crate::harness::Test;
use crate::harness::eventually;
use crate::harness::is_gone;
use crate::harness::json;
use crate::harness::kill;
use crate::harness::output;
use crate::harness::processes;

pub(crate) const TESTS: &[Test] = &[
    ("the_lock_alone_tells_whether_a_container_runs", inv_container_1_the_lock_decides),
    ("a_killed_shim_takes_its_container_with_it", inv_container_3_a_killed_shim_leaves_nothing),
    ("a_killed_shim_of_a_container_to_be_removed_leaves_nothing", killed_shim_removal),
    ("a_killed_shims_container_starts_again", killed_shim_restart),
    ("two_commands_cannot_take_one_name", inv_container_2_a_name_is_taken_once),
    ("two_commands_cannot_start_one_container", start_race),
    ("containers_started_at_once_all_run", many),
    ("no_shim_is_left", no_shims),
];

/// Starts a container whose process can be told from all others.
fn marked(lathe: &Lathe, name: &str, mark: &str, removal: Removal) {
    let mut spec = lathe.spec_of(name, &["sleep", mark]);
    spec.network.mode = NetworkMode::Private;
    spec.removal = removal;
    lathe.start(&spec);
}

fn marked_runs(mark: &str) -> bool {
    processes().iter().any(|(_, line)| line.trim() == format!("sleep {mark}"))
}

fn helpers() -> usize {
    let helper = |line: &str| line.contains("pasta ") || line.contains("lathe-shim guard");
    processes().iter().filter(|(_, line)| helper(line)).count()
}

/// Writes another process id into the state of a container.
fn forge_pid(lathe: &Lathe, name: &str, pid: u32) {
    let (record, mut state) = lathe.inspect(name);
    (state.status, state.pid) = (Status::Running, pid.try_into().unwrap());
    let path = lathe.store().join("containers").join(record.id.as_str()).join("state.json");
    std::fs::write(path, serde_json::to_vec(&state).unwrap()).unwrap();
}

fn inv_container_1_the_lock_decides(lathe: &Lathe) {
    marked(lathe, "locked", "98760", Removal::Keep);
    let folder = lathe.store().join("containers").join(lathe.inspect("locked").0.id.as_str());
    let is_held = || {
        let lock = std::fs::File::open(folder.join("lock")).unwrap();
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_err()
    };
    assert!(is_held());
    // No process has this id: it is above the kernel's limit.
    forge_pid(lathe, "locked", 4_194_304 + 1);
    assert_eq!(lathe.status("locked").as_deref(), Some("running 0"));
    let shim = lathe.shim_of("locked").unwrap();
    kill(shim, Signal::SIGKILL);
    eventually("the release of the lock", || !is_held());
    // A process with the id that the state names runs, but it is this one.
    let mut other = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    forge_pid(lathe, "locked", other.id());
    let refused = lathe.run(&["kill", "KILL", "locked"]);
    assert!(refused.stderr.contains("is not running"), "{refused:?}");
    assert_eq!(lathe.status("locked").as_deref(), Some("exited 137"));
    lathe.good(&["rm", "-f", "locked"]);
    assert!(other.try_wait().unwrap().is_none(), "a stranger was killed");
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(!marked_runs("98760"));
}

/// Returns the mount points in the store that a process sees.
fn mounts(lathe: &Lathe, pid: i32) -> Vec<String> {
    // A process that has ended sees nothing.
    let text = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    let store = lathe.store().display().to_string();
    let points = text.lines().filter_map(|line| line.split(' ').nth(4));
    points.filter(|point| point.starts_with(&store)).map(str::to_owned).collect()
}

fn inv_container_3_a_killed_shim_leaves_nothing(lathe: &Lathe) {
    let before = helpers();
    marked(lathe, "doomed", "98761", Removal::Keep);
    assert!(marked_runs("98761"));
    let shim = lathe.shim_of("doomed").unwrap();
    let mounted = mounts(lathe, shim);
    assert_ne!(mounted, [""; 0]);
    kill(shim, Signal::SIGKILL);
    eventually("the end of the process", || !marked_runs("98761"));
    eventually("the end of the helpers", || helpers() <= before);
    eventually("the end of the mounts", || {
        !processes().iter().any(|(pid, _)| mounts(lathe, *pid).iter().any(|m| mounted.contains(m)))
    });
    eventually("the end of the shim", || lathe.status("doomed").as_deref() == Some("exited 137"));
    assert_eq!(lathe.good(&["wait", "doomed"]), "137\n");
    lathe.good(&["rm", "doomed"]);
}

fn killed_shim_removal(lathe: &Lathe) {
    marked(lathe, "doomed-rm", "98762", Removal::OnExit);
    let (record, _) = lathe.inspect("doomed-rm");
    let waiting = lathe.command(&["wait", "doomed-rm"]).spawn().unwrap();
    kill(lathe.shim_of("doomed-rm").unwrap(), Signal::SIGKILL);
    eventually("the end of the process", || !marked_runs("98762"));
    // The killed shim's lock goes when the kernel has torn it down, a moment after the process.
    eventually("the end of the container", || lathe.status("doomed-rm").is_none());
    // The waiting command may be the one that removes it: the row goes first, the files after.
    eventually("the end of the files", || is_gone(lathe, &record));
    // Depending on when it asked, it was told or found out.
    let waited = output(waiting);
    assert!(waited.stdout == "137\n" || waited.stderr.contains("No such container"), "{waited:?}");
}

fn killed_shim_restart(lathe: &Lathe) {
    marked(lathe, "phoenix", "98763", Removal::Keep);
    kill(lathe.shim_of("phoenix").unwrap(), Signal::SIGKILL);
    eventually("the end of the process", || !marked_runs("98763"));
    eventually("the end of the shim", || lathe.status("phoenix").as_deref() == Some("exited 137"));
    lathe.good(&["start", "phoenix"]);
    assert!(marked_runs("98763"));
    lathe.good(&["rm", "-f", "phoenix"]);
    assert!(!marked_runs("98763"));
}

fn inv_container_2_a_name_is_taken_once(lathe: &Lathe) {
    let spec = json(&lathe.spec_of("wanted", &["true"]));
    let racers: Vec<_> =
        (0..8).map(|_| lathe.command(&["create", &spec]).spawn().unwrap()).collect();
    let codes: Vec<i32> = racers.into_iter().map(|racer| output(racer).code).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
}

fn start_race(lathe: &Lathe) {
    let spec = json(&lathe.spec_of("contested", &["sleep", "1000"]));
    lathe.good(&["create", &spec]);
    let racers: Vec<_> =
        (0..4).map(|_| lathe.command(&["start", "contested"]).spawn().unwrap()).collect();
    let outputs: Vec<_> = racers.into_iter().map(output).collect();
    assert_eq!(outputs.iter().filter(|output| output.code == 0).count(), 1, "{outputs:?}");
    lathe.good(&["rm", "-f", "contested"]);
}

fn many(lathe: &Lathe) {
    let spec = |n: usize| json(&lathe.spec(&format!("many-{n}"), &format!("echo {n}; exit {n}")));
    let commands: Vec<_> =
        (0..8).map(|n| lathe.command(&["run", "attached", &spec(n)]).spawn().unwrap()).collect();
    for (n, command) in commands.into_iter().enumerate() {
        let output = output(command);
        let (code, stdout) = (n.try_into().unwrap(), format!("{n}\n"));
        assert_eq!((output.code, &output.stdout), (code, &stdout), "{}", output.stderr);
    }
}

fn no_shims(lathe: &Lathe) {
    for line in lathe.good(&["ps"]).lines() {
        lathe.good(&["rm", "-f", line.split(' ').next().unwrap()]);
    }
    let store = lathe.store().display().to_string();
    eventually("the end of all shims", || {
        !processes().iter().any(|(_, line)| line.contains("lathe-shim") && line.contains(&store))
    });
    assert_eq!(std::fs::read_dir(lathe.store().join("containers")).unwrap().count(), 0);
}
