//! What kills and races leave behind: nothing wrong.

use nix::sys::signal::Signal;

use lathe_container::NetworkMode;
use lathe_container::Removal;

use crate::harness::Lathe;
use crate::harness::Test;
use crate::harness::eventually;
use crate::harness::is_gone;
use crate::harness::json;
use crate::harness::kill;
use crate::harness::output;
use crate::harness::processes;

pub(crate) const TESTS: &[Test] = &[
    ("a_killed_shim_takes_its_container_with_it", killed_shim),
    ("a_killed_shim_of_a_container_to_be_removed_leaves_nothing", killed_shim_removal),
    ("a_killed_shims_container_starts_again", killed_shim_restart),
    ("two_commands_cannot_take_one_name", name_race),
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

fn killed_shim(lathe: &Lathe) {
    let before = helpers();
    marked(lathe, "doomed", "98761", Removal::Keep);
    assert!(marked_runs("98761"));
    kill(lathe.shim_of("doomed").unwrap(), Signal::SIGKILL);
    eventually("the end of the process", || !marked_runs("98761"));
    eventually("the end of the helpers", || helpers() <= before);
    assert_eq!(lathe.status("doomed").as_deref(), Some("exited 137"));
    assert_eq!(lathe.good(&["wait", "doomed"]), "137\n");
    lathe.good(&["rm", "doomed"]);
}

fn killed_shim_removal(lathe: &Lathe) {
    marked(lathe, "doomed-rm", "98762", Removal::OnExit);
    let (record, _) = lathe.inspect("doomed-rm");
    let waiting = lathe.command(&["wait", "doomed-rm"]).spawn().unwrap();
    kill(lathe.shim_of("doomed-rm").unwrap(), Signal::SIGKILL);
    eventually("the end of the process", || !marked_runs("98762"));
    assert_eq!(lathe.status("doomed-rm"), None);
    assert!(is_gone(lathe, &record));
    // Depending on when it asked, it was told or found out.
    let waited = output(waiting);
    assert!(waited.stdout == "137\n" || waited.stderr.contains("no such container"), "{waited:?}");
}

fn killed_shim_restart(lathe: &Lathe) {
    marked(lathe, "phoenix", "98763", Removal::Keep);
    kill(lathe.shim_of("phoenix").unwrap(), Signal::SIGKILL);
    eventually("the end of the process", || !marked_runs("98763"));
    lathe.good(&["start", "phoenix"]);
    assert!(marked_runs("98763"));
    lathe.good(&["rm", "-f", "phoenix"]);
    assert!(!marked_runs("98763"));
}

fn name_race(lathe: &Lathe) {
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
        assert_eq!((output.code, output.stdout), (n.try_into().unwrap(), format!("{n}\n")));
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
