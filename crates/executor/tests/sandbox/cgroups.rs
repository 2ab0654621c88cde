//! Control groups.

use std::path::Path;

use lathe_event::Cancel;
use lathe_executor::ControlGroup;
use lathe_executor::ResourceLimits;
use lathe_executor::Sandbox;
use lathe_executor::Unavailable;
use lathe_executor::spawn;

use crate::runner::Cx;
use crate::runner::Mode;
use crate::runner::Test;
use crate::runner::skip;
use crate::setup::Rootfs;
use crate::setup::output;
use crate::setup::quiet;
use crate::setup::run;
use crate::setup::shell;

pub(crate) const TESTS: &[Test] = &[
    ("a_group_limits_memory_and_goes", memory),
    ("a_group_can_have_a_given_parent", given_parent),
    ("a_group_goes_with_a_killed_sandbox", killed),
    ("a_parent_that_climbs_is_refused", climbing),
    ("a_group_that_cannot_be_had_says_why", unavailable),
];

const LIMIT: u64 = 32 << 20;

fn limits() -> ResourceLimits {
    ResourceLimits { memory: Some(LIMIT), ..ResourceLimits::default() }
}

/// Returns a group, if this machine lets us have one.
fn group(test: &str, parent: Option<&str>, limits: &ResourceLimits) -> Option<ControlGroup> {
    match ControlGroup::create(parent, limits) {
        Ok(group) => Some(group),
        Err(error) => {
            skip(test, &error.to_string());
            None
        }
    }
}

fn sandbox_in(rootfs: &Rootfs, group: &ControlGroup) -> Sandbox {
    Sandbox { cgroups: group.directories().to_vec(), ..rootfs.sandbox() }
}

fn exists(directories: &[std::path::PathBuf]) -> bool {
    directories.iter().any(|directory| directory.exists())
}

fn memory(_: &Cx) {
    let Some(group) = group("a_group_limits_memory_and_goes", None, &limits()) else { return };
    let rootfs = Rootfs::new();
    let sandbox = sandbox_in(&rootfs, &group);
    let directories = group.directories().to_vec();
    let limit = ["memory.limit_in_bytes", "memory.max"]
        .iter()
        .find_map(|name| std::fs::read_to_string(directories[0].join(name)).ok());
    assert_eq!(limit.unwrap().trim(), LIMIT.to_string());
    // A string that doubles until there is no memory.
    let greedy = "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done";
    let outcome = run(&sandbox, &shell(&format!("grep -c . /proc/self/cgroup; {greedy}"))).unwrap();
    assert_eq!(outcome.exit.signal, Some(9), "{outcome:?}");
    assert!(!exists(&directories), "{directories:?}");
}

/// Inside, the group is the root: nothing tells where it is outside.
fn given_parent(cx: &Cx) {
    let parent = format!("/lathe-test-{}/inner", std::process::id());
    let Some(group) = group("a_group_can_have_a_given_parent", Some(&parent), &limits()) else {
        return;
    };
    let rootfs = Rootfs::new();
    let directories = group.directories().to_vec();
    assert!(directories.iter().all(|path| path.to_str().unwrap().contains(&parent)));
    let found = output(&sandbox_in(&rootfs, &group), "grep memory: /proc/self/cgroup; true");
    assert!(found.is_empty() || found.ends_with(":memory:/\n"), "{found} {}", cx.mode.name());
    drop(group);
    for directory in &directories {
        let inner = directory.parent().unwrap();
        std::fs::remove_dir(inner).unwrap();
        std::fs::remove_dir(inner.parent().unwrap()).unwrap();
    }
}

fn killed(_: &Cx) {
    let limits = ResourceLimits { cpu_shares: Some(512), ..limits() };
    let Some(group) = group("a_group_goes_with_a_killed_sandbox", None, &limits) else { return };
    let rootfs = Rootfs::new();
    let directories = group.directories().to_vec();
    // Only the stage is left to remove it.
    std::mem::forget(group);
    let sandbox = Sandbox { cgroups: directories.clone(), ..rootfs.sandbox() };
    let running = spawn(&sandbox, &shell("sleep 1000 & wait"), quiet()).unwrap();
    let members = std::fs::read_to_string(directories[0].join("cgroup.procs")).unwrap();
    assert!(members.lines().any(|pid| pid == running.pid().to_string()), "{members}");
    running.kill(9).unwrap();
    running.wait(&Cancel::new()).unwrap();
    assert!(!exists(&directories), "{directories:?}");
}

fn climbing(_: &Cx) {
    for parent in ["../x", "/a/../../x"] {
        let error = ControlGroup::create(Some(parent), &limits()).unwrap_err();
        let text = format!("`{parent}` is no path of a control group");
        assert!(error.reason == text || error.reason.contains("no control groups"), "{error}");
    }
}

fn unavailable(cx: &Cx) {
    if cx.mode == Mode::Root || !Path::new("/sys/fs/cgroup").exists() {
        return skip("a_group_that_cannot_be_had_says_why", "root can have one");
    }
    match ControlGroup::create(Some("/nobody-s"), &limits()) {
        Ok(_) => skip("a_group_that_cannot_be_had_says_why", "this user can have one"),
        Err(Unavailable { controller, reason }) => {
            assert_eq!(controller, "cpu");
            assert!(reason.contains("/nobody-s"), "{reason}");
        }
    }
}
