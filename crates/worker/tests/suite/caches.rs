//! Cache mounts: what is kept, who waits for whom, and what a cache begins with.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use lathe_event::Cancel;
use lathe_graph::{Cache, CacheSharing, ExecMountKind, ExecOp, InputIndex, Op};
use lathe_store::SnapshotId;
use rustix::fs::FlockOperation;

use super::{Bench, Case, Ran, Request, dump, exec, list, mount, plant, system};

pub(crate) const CASES: [(&str, Case); 7] = [
    ("caches_outlive_steps_and_are_in_no_layer", caches_outlive_steps),
    ("locked_caches_are_waited_for", locked_caches_are_waited_for),
    ("waiting_for_a_cache_can_be_cancelled", waiting_can_be_cancelled),
    ("instances_are_found_again", instances_are_found_again),
    ("caches_begin_with_their_seed", caches_begin_with_their_seed),
    ("a_new_cache_is_made_once", a_new_cache_is_made_once),
    ("one_step_may_mount_a_cache_twice", one_step_may_mount_a_cache_twice),
];

fn cache(id: &str, sharing: CacheSharing) -> Cache {
    let id = id.to_owned();
    Cache { id, seed: None, sharing, writable: true, mode: 0o750, owner: (0, 0) }
}

fn step(script: &str, cache: Cache) -> ExecOp {
    exec(&format!("set -e; {script}"), vec![mount("/cache", ExecMountKind::Cache(cache))])
}

fn run(bench: &Bench, base: SnapshotId, op: ExecOp) -> Ran {
    bench.run_with(Request::new(Op::Exec(Box::new(op)), Some(base)))
}

/// Returns the folders of caches.
fn folders(bench: &Bench) -> Vec<PathBuf> {
    let top = bench.store.directory().join("cache-mounts");
    let mut found: Vec<PathBuf> =
        fs::read_dir(top).expect("read").map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

/// Uses a cache as another process would.
fn hold(folder: &Path, operation: FlockOperation) -> File {
    let file = File::open(folder).expect("open the cache");
    rustix::fs::flock(&file, operation).expect("nobody uses it");
    file
}

fn caches_outlive_steps(bench: &Bench) {
    let Some(base) = system(bench) else { return };
    // An id is no path (CVE-2024-9675).
    for id in ["/root/.cache", "../../../outside", "a\0b"] {
        let shared = || cache(id, CacheSharing::Shared);
        let first = "test \"$(stat -c '%a %u' /cache)\" = '750 0'; touch /cache/kept";
        let ran = run(bench, base, step(first, shared()));
        let changes = bench.snapshots.changes(ran.snapshot());
        assert_eq!(list(&changes, &changes), [""; 0]);
        // Mode and owner are those of the first use.
        let other = Cache { mode: 0o700, ..shared() };
        let second = "test -e /cache/kept; test \"$(stat -c %a /cache)\" = 750";
        run(bench, base, step(second, other)).snapshot();
        let read_only = Cache { writable: false, ..shared() };
        run(bench, base, step("! touch /cache/new 2>/dev/null", read_only)).snapshot();
    }
    assert_eq!(folders(bench).len(), 3);
    assert!(!bench.folder.path().join("outside").exists());
    run(bench, base, step("test ! -e /cache/kept", cache("other", CacheSharing::Shared)))
        .snapshot();
    // What a failed step left is still in the cache.
    run(bench, base, step("touch /cache/late; exit 1", cache("other", CacheSharing::Shared)))
        .error();
    run(bench, base, step("test -e /cache/late", cache("other", CacheSharing::Shared))).snapshot();
}

fn locked_caches_are_waited_for(bench: &Bench) {
    let Some(base) = system(bench) else { return };
    let locked = || cache("id", CacheSharing::Locked);
    run(bench, base, step("true", locked())).snapshot();
    let held = hold(&folders(bench)[0], FlockOperation::NonBlockingLockShared);
    thread::scope(|scope| {
        let (notes, told) = mpsc::channel();
        let op = Op::Exec(Box::new(step("touch /cache/waited", locked())));
        let request = Request { notes: Some(notes), ..Request::new(op, Some(base)) };
        let waiting = scope.spawn(move || bench.run_with(request));
        let note = told.recv().expect("it says that it waits");
        assert!(note.contains("waiting for the cache `id`"), "{note}");
        assert!(!folders(bench)[0].join("fs/waited").exists());
        drop(held);
        waiting.join().expect("it goes on").snapshot();
    });
    assert_eq!(folders(bench).len(), 1);
    assert!(folders(bench)[0].join("fs/waited").exists());
}

fn waiting_can_be_cancelled(bench: &Bench) {
    let Some(base) = system(bench) else { return };
    let locked = || cache("id", CacheSharing::Locked);
    run(bench, base, step("true", locked())).snapshot();
    let before = bench.count();
    let _held = hold(&folders(bench)[0], FlockOperation::NonBlockingLockExclusive);
    let cancel = Cancel::new();
    thread::scope(|scope| {
        let (notes, told) = mpsc::channel();
        let op = Op::Exec(Box::new(step("true", locked())));
        let request =
            Request { cancel: cancel.clone(), notes: Some(notes), ..Request::new(op, Some(base)) };
        let waiting = scope.spawn(move || bench.run_with(request).output);
        told.recv().expect("it says that it waits");
        cancel.cancel();
        let output = waiting.join().expect("it ends");
        assert!(matches!(output, Err(lathe_worker::Error::Cancelled)), "{output:?}");
    });
    assert_eq!(bench.count(), before);
}

fn instances_are_found_again(bench: &Bench) {
    let Some(base) = system(bench) else { return };
    let private = || cache("id", CacheSharing::Private);
    let shared = || cache("id", CacheSharing::Shared);
    run(bench, base, step("touch /cache/first", private())).snapshot();
    let [first] = folders(bench).try_into().expect("one folder");
    {
        let _held = hold(&first, FlockOperation::NonBlockingLockShared);
        // Several share at once; who wants one alone gets another.
        run(bench, base, step("test -e /cache/first", shared())).snapshot();
        assert_eq!(folders(bench).len(), 1);
        run(bench, base, step("test ! -e /cache/first; touch /cache/second", private())).snapshot();
        assert_eq!(folders(bench).len(), 2);
        run(bench, base, step("test -e /cache/second", private())).snapshot();
        assert_eq!(folders(bench).len(), 2);
    }
    {
        let _held = hold(&first, FlockOperation::NonBlockingLockExclusive);
        run(bench, base, step("test -e /cache/second", shared())).snapshot();
        // One that would wait takes what is free, too.
        let locked = cache("id", CacheSharing::Locked);
        run(bench, base, step("test -e /cache/second", locked)).snapshot();
    }
    run(bench, base, step("test -e /cache/first", private())).snapshot();
}

fn caches_begin_with_their_seed(bench: &Bench) {
    let Some(base) = system(bench) else { return };
    plant(&bench.context(), &["seed/a=1", "seed/secret=2", ".dockerignore=**/secret"]);
    let seeded = |source: &str| {
        let seed = Some((InputIndex(1), source.to_owned()));
        Cache { seed, ..cache("id", CacheSharing::Shared) }
    };
    let script = "test \"$(cat /cache/a)\" = 1; test ! -e /cache/secret; touch /cache/more";
    run(bench, base, step(script, seeded("/seed"))).snapshot();
    // Only at first.
    plant(&bench.context(), &["seed/b=1"]);
    run(bench, base, step("test -e /cache/more; test ! -e /cache/b", seeded("/seed"))).snapshot();
    let error = run(bench, base, step("true", seeded("/none"))).error();
    assert!(error.contains("there is no `none`"), "{error}");
    seeds_stay_inside(bench, base, &seeded);
    half_a_cache_is_none(bench, base);
}

/// CVE-2024-23651: a link of the seed must not lead to the host.
fn seeds_stay_inside(bench: &Bench, base: SnapshotId, seeded: &dyn Fn(&str) -> Cache) {
    let outside = bench.folder.path().join("outside");
    plant(&outside, &["host=1"]);
    let target = outside.display().to_string();
    let from = bench.base(|root| {
        plant(root, &["here=1", "top->/", &format!("out->{target}")]);
    });
    let step = |script: &str, source: &str| {
        let op = Op::Exec(Box::new(step(script, seeded(source))));
        bench.run_with(Request { from: Some(from), ..Request::new(op, Some(base)) })
    };
    step("test -e /cache/here; test -L /cache/out", "/top").snapshot();
    assert!(step("true", "/out").error().contains("there is no"));
    assert_eq!(dump(&outside), ["host=1"]);
}

/// One who was killed while making a cache left it under another name.
fn half_a_cache_is_none(bench: &Bench, base: SnapshotId) {
    let id = || cache("half", CacheSharing::Shared);
    let before = folders(bench);
    run(bench, base, step("true", id())).snapshot();
    let folder = folders(bench).into_iter().find(|folder| !before.contains(folder));
    let folder = folder.expect("a new folder");
    fs::rename(folder.join("fs"), folder.join("new")).expect("rename");
    plant(&folder, &["new/half=1"]);
    run(bench, base, step("test ! -e /cache/half", id())).snapshot();
    assert_eq!(dump(&folder), ["fs/", "id=half"]);
    let metadata = fs::metadata(folder.join("fs")).expect("stat");
    assert_eq!((metadata.permissions().mode() & 0o777, metadata.uid()), (0o750, 0));
}

fn one_step_may_mount_a_cache_twice(bench: &Bench) {
    let Some(base) = system(bench) else { return };
    for sharing in [CacheSharing::Shared, CacheSharing::Private, CacheSharing::Locked] {
        let id = || ExecMountKind::Cache(cache("id", sharing));
        let script = "touch /a/file && test -e /b/file";
        let op = exec(script, vec![mount("/a", id()), mount("/b", id())]);
        run(bench, base, op).snapshot();
    }
    assert_eq!(folders(bench).len(), 1);
}

/// Steps that begin at once share a cache that was not there.
fn a_new_cache_is_made_once(bench: &Bench) {
    let Some(base) = system(bench) else { return };
    thread::scope(|scope| {
        let steps: Vec<_> = (0..6)
            .map(|number| {
                let script = format!("touch /cache/{number}");
                let op = step(&script, cache("id", CacheSharing::Shared));
                scope.spawn(move || run(bench, base, op).snapshot())
            })
            .collect();
        for step in steps {
            step.join().expect("it runs");
        }
    });
    let [folder] = folders(bench).try_into().expect("one folder");
    assert_eq!(list(&folder.join("fs"), &folder.join("fs")), ["0", "1", "2", "3", "4", "5"]);
}
