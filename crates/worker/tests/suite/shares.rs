//! Copies that cost less than copying: links from snapshot to snapshot, and changes that several
//! snapshots share. What is in the image then is the same.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use lathe_graph::{FileAction, FileOp, InputIndex, Op};
use lathe_snapshot::Driver;
use lathe_store::SnapshotId;
use lathe_tree::Timestamp;

use super::copies::{can_chown, parse};
use super::{Bench, Case, Request, dump, list, plant};

pub(crate) const CASES: [(&str, Case); 7] = [
    ("copies_between_snapshots_are_links", copies_are_links),
    ("links_and_copies_give_the_same_files", links_and_copies_give_the_same),
    ("names_of_different_layers_stay_different_files", names_stay_different),
    ("a_copy_on_a_similar_base_shares_changes", a_copy_on_a_similar_base_shares),
    ("a_copy_on_a_different_base_is_made_again", a_copy_on_a_different_base_is_made),
    ("what_lies_in_the_same_layer_is_digested_once", digests_are_by_layer),
    ("what_did_not_change_in_a_context_is_linked", unchanged_files_are_linked),
];

/// Copies from one snapshot onto another.
#[track_caller]
fn copy(bench: &Bench, from: SnapshotId, base: Option<SnapshotId>, command: &str) -> SnapshotId {
    copy_at(bench, from, base, command, None)
}

#[track_caller]
fn copy_at(
    bench: &Bench,
    from: SnapshotId,
    base: Option<SnapshotId>,
    command: &str,
    epoch: Option<Timestamp>,
) -> SnapshotId {
    let index = base.map(|_| InputIndex(0));
    let op = FileOp { base: index, actions: vec![FileAction::Copy(parse(command))] };
    let request = Request::new(Op::File(op), base);
    bench.run_with(Request { from: Some(from), epoch, ..request }).snapshot()
}

/// Makes a snapshot on another one.
fn child(bench: &Bench, parent: SnapshotId, change: impl FnOnce(&Path)) -> SnapshotId {
    let active = bench.snapshots.prepare(Some(parent)).expect("prepare");
    change(active.mount().expect("mount").path());
    active.commit().expect("commit")
}

fn is_native(bench: &Bench) -> bool {
    matches!(bench.snapshots.driver(), Some(Driver::Native(_)))
}

fn copies_are_links(bench: &Bench) {
    let from = bench.base(|root| plant(root, &["app/f=1", "app/s/g=2"]));
    let base = bench.base(|root| plant(root, &["kept=1", "there/f=old"]));
    let inode = |snapshot: SnapshotId, path: &str| {
        fs::metadata(bench.snapshots.changes(snapshot).join(path)).expect("stat").ino()
    };
    // A first mount says which driver it is.
    bench.snapshots.view(base).expect("view");
    if is_native(bench) {
        return println!("SKIP copies_between_snapshots_are_links: no overlay here");
    }
    for (base, command, path) in [
        (None, "COPY app /o", "o/f"),
        (Some(base), "COPY app /o/new/", "o/new/f"),
        (Some(base), "COPY app /there", "there/f"),
        (Some(base), "COPY app/f /there", "there/f"),
        (Some(base), "COPY app/f /there/other", "there/other"),
        (Some(base), "COPY app/f /", "f"),
    ] {
        let made = copy(bench, from, base, command);
        assert_eq!(inode(made, path), inode(from, "app/f"), "{command}");
    }
    // What gets another owner, mode or time is another file.
    for command in ["COPY --chmod=711 app /o", "COPY --chown=0:0 --chmod=600 app /o"] {
        assert_ne!(inode(copy(bench, from, None, command), "o/f"), inode(from, "app/f"));
    }
    let epoch = Some(Timestamp::from_seconds(7));
    let made = copy_at(bench, from, None, "COPY app /o", epoch);
    assert_ne!(inode(made, "o/f"), inode(from, "app/f"));
}

/// Returns all that a copy should keep, by path.
fn look(root: &Path) -> BTreeMap<String, (u32, u32, i64, i64, String)> {
    let contents = dump(root).into_iter();
    let paths = list(root, root);
    let entry = |(path, content): (String, String)| {
        let found = fs::symlink_metadata(root.join(&path)).expect("stat");
        (path, (found.mode(), found.uid(), found.mtime(), found.mtime_nsec(), content))
    };
    paths.into_iter().zip(contents).map(entry).collect()
}

fn links_and_copies_give_the_same(bench: &Bench) {
    let bottom = bench.base(|root| {
        plant(root, &["a/f=1", "a/gone=2", "a/old/x=3", "b/y=4", "c=5", "l->a", "a/kind=6"]);
    });
    let middle = child(bench, bottom, |root| {
        fs::remove_file(root.join("a/gone")).expect("remove");
        fs::remove_dir_all(root.join("a/old")).expect("remove");
        plant(root, &["a/old/new=7", "a/g=8", "d/z=9"]);
        fs::remove_file(root.join("a/kind")).expect("remove");
        plant(root, &["a/kind/is=dir"]);
        fs::set_permissions(root.join("a"), fs::Permissions::from_mode(0o711)).expect("set");
    });
    let top = child(bench, middle, |root| {
        plant(root, &["a/f=10", "a/h->f", "d/w=11"]);
        fs::remove_dir_all(root.join("b")).expect("remove");
        let open = lathe_rootfs::Root::open(root).expect("open");
        for path in ["a", "d", "a/old"] {
            open.set_times(Path::new(path), Timestamp::from_seconds(1234)).expect("set");
        }
    });
    let base = bench.base(|root| plant(root, &["o/a/f=base", "o/a/kept=1", "o/l->x"]));
    for paths in ["/ /o", "/a /o/a", "/a /new/", "/d /o/", "/l /o/", "/c /o/c", "/a/f /o/a"] {
        for base in [None, Some(base)] {
            // An exclusion of nothing is not known to be one: it is copied.
            let copied = copy(bench, top, base, &format!("COPY --exclude=none {paths}"));
            let linked = copy(bench, top, base, &format!("COPY {paths}"));
            let view = |id| bench.snapshots.view(id).expect("view");
            let (copied, linked) = (view(copied), view(linked));
            let (mut expected, mut found) = (look(copied.path()), look(linked.path()));
            // Those have the time of their making.
            for path in ["o", "o/a", "new"] {
                if let (Some(one), Some(other)) = (expected.get_mut(path), found.get_mut(path))
                    && one.2 != 1234
                {
                    (one.2, one.3) = (other.2, other.3);
                }
            }
            assert_eq!(found, expected, "{paths}");
        }
    }
}

fn names_stay_different(bench: &Bench) {
    let one = bench.base(|root| {
        plant(root, &["f=1"]);
        fs::hard_link(root.join("f"), root.join("same")).expect("link");
    });
    let two = copy(bench, one, Some(one), "COPY f /g");
    for command in ["COPY / /o", "COPY --exclude=none / /o"] {
        let made = bench.snapshots.changes(copy(bench, two, None, command));
        let inode = |path: &str| fs::metadata(made.join("o").join(path)).expect("stat").ino();
        assert_ne!(inode("f"), inode("g"), "{command}");
        assert_eq!(inode("f"), inode("same"), "{command}");
    }
}

fn owner_of(bench: &Bench, snapshot: SnapshotId) -> SnapshotId {
    bench.store.snapshot_content(snapshot).expect("read the index")
}

fn a_copy_on_a_similar_base_shares(bench: &Bench) {
    let from = bench.base(|root| plant(root, &["app/f=1", "app/s/g=2"]));
    let below = bench.base(|root| plant(root, &["etc/passwd=ann:x:5:6::/:/bin/sh", "work/f=1"]));
    let mut commands = vec!["COPY app /work", "COPY app /new/dir/"];
    if can_chown(bench) {
        commands.push("COPY --chown=ann --chmod=711 app /n");
    }
    for command in commands {
        let one = child(bench, below, |root| plant(root, &["one=1"]));
        let first = copy(bench, from, Some(one), command);
        let other = child(bench, below, |root| plant(root, &["two=1", "other/x=1"]));
        let second = copy(bench, from, Some(other), command);
        assert_ne!(first, second, "{command}");
        assert_eq!(owner_of(bench, first), owner_of(bench, second), "{command}");
        let view = bench.snapshots.view(second).expect("view");
        let found = dump(view.path());
        assert!(found.contains(&"two=1".to_owned()) && !found.contains(&"one=1".to_owned()));
        assert!(found.iter().any(|line| line.ends_with("s/g=2")), "{found:?}");
    }
    // From the context as well.
    super::copies::set_context(bench, &["c/f=1"]);
    let from_context = |base| {
        let actions = vec![FileAction::Copy(parse("COPY c /c"))];
        let op = FileOp { base: Some(InputIndex(0)), actions };
        bench.run_with(Request::new(Op::File(op), Some(base))).snapshot()
    };
    let first = from_context(below);
    let second = from_context(child(bench, below, |root| plant(root, &["x=1"])));
    assert_eq!(owner_of(bench, first), owner_of(bench, second));
}

fn a_copy_on_a_different_base_is_made(bench: &Bench) {
    let from = bench.base(|root| plant(root, &["app/f=1"]));
    let ann = "etc/passwd=ann:x:5:6::/:/bin/sh";
    let check = |one: &[&str], other: &[&str], command: &str, expected: &str| {
        let one = bench.base(|root| plant(root, one));
        let other = bench.base(|root| plant(root, other));
        let first = copy(bench, from, Some(one), command);
        let second = copy(bench, from, Some(other), command);
        assert_ne!(owner_of(bench, first), owner_of(bench, second), "{command}");
        let view = bench.snapshots.view(second).expect("view");
        let found = dump(view.path());
        assert!(found.contains(&expected.to_owned()), "{command}: {found:?}");
    };
    // The destination is a directory in one of them.
    check(&["o/"], &["x"], "COPY app /o", "o/f=1");
    check(&["x"], &["o/kept=1"], "COPY app /o", "o/kept=1");
    check(&["o/"], &["x"], "COPY app/f /o", "o=1");
    // A link leads elsewhere.
    check(&["o->a", "a/"], &["o->b", "b/"], "COPY app /o/", "b/f=1");
    check(&["o/"], &["o->b", "b/"], "COPY app /o/", "b/f=1");
    // A user has another number.
    let bob = "etc/passwd=ann:x:7:8::/:/bin/sh";
    if can_chown(bench) {
        check(&[ann], &[bob], "COPY --chown=ann app /o", "o/f=1");
    }
}

fn digests_are_by_layer(bench: &Bench) {
    let below = bench.base(|root| plant(root, &["app/m/f=1", "app/n/g=2"]));
    let top = child(bench, below, |root| plant(root, &["app/src=1"]));
    let key = |from: SnapshotId, command: &str| {
        let op = FileOp { base: None, actions: vec![FileAction::Copy(parse(command))] };
        let request = Request { from: Some(from), ..Request::new(Op::File(op), None) };
        let ran = bench.run_with(request);
        ran.snapshot();
        ran.key
    };
    let before = key(below, "COPY app/m /o");
    let whole = key(below, "COPY app /o");
    // Nobody does this to a snapshot: only so is it seen that the file is not read again.
    let file = bench.snapshots.changes(below).join("app/m/f");
    fs::write(file, "changed behind its back").expect("write");
    assert_eq!(key(top, "COPY app/m /o"), before);
    assert_ne!(key(top, "COPY app /o"), whole, "the top layer is another one");
}

/// Waits until the clock shows a time that no change before has: files that changed just now are
/// not remembered.
fn let_time_pass() {
    let start = std::time::Instant::now();
    while start.elapsed() < std::time::Duration::from_millis(80) {
        std::thread::yield_now();
    }
}

fn unchanged_files_are_linked(bench: &Bench) {
    let context = bench.context();
    super::copies::set_context(
        bench,
        &["c/a/f=1", "c/a/g=2", "c/b/h=3", "c/b/l->h", "c/top=4", "c/e/x=5", "c/k/z=6"],
    );
    let base = bench.base(|root| plant(root, &["o/kept=1", "o/a/f=old"]));
    bench.snapshots.view(base).expect("view");
    if is_native(bench) {
        return println!("SKIP what_did_not_change_in_a_context_is_linked: no overlay here");
    }
    let copy = |base: Option<SnapshotId>, command: &str| {
        let index = base.map(|_| InputIndex(0));
        let op = FileOp { base: index, actions: vec![FileAction::Copy(parse(command))] };
        bench.run_with(Request::new(Op::File(op), base)).snapshot()
    };
    let inode = |snapshot: SnapshotId, path: &str| {
        fs::metadata(bench.snapshots.changes(snapshot).join(path)).expect("stat").ino()
    };
    let see = |snapshot| look(bench.snapshots.view(snapshot).expect("view").path());
    for (base, command) in [(None, "COPY c /o"), (Some(base), "COPY --chmod=700 c /o")] {
        super::copies::set_context(
            bench,
            &["c/a/f=1", "c/a/g=2", "c/b/h=3", "c/b/l->h", "c/top=4", "c/e/x=5", "c/k/z=6"],
        );
        let_time_pass();
        let first = copy(base, command);
        let before = see(first);
        plant(&context, &["c/a/f=new", "c/n/y=7"]);
        fs::remove_dir_all(context.join("c/e")).expect("remove");
        fs::remove_dir_all(context.join("c/k")).expect("remove");
        plant(&context, &["c/k=8"]);
        let second = copy(base, command);
        assert_eq!(inode(first, "o/b/h"), inode(second, "o/b/h"), "{command}");
        assert_ne!(inode(first, "o/a/g"), inode(second, "o/a/g"), "{command}");
        // The same from the beginning.
        let mut fresh = see(copy(base, &command.replace("COPY", "COPY --exclude=none")));
        let found = see(second);
        let time = found["o"].2;
        fresh.get_mut("o").expect("it is made").2 = time;
        fresh.get_mut("o").expect("it is made").3 = found["o"].3;
        assert_eq!(found, fresh, "{command}");
        assert_eq!(see(first), before, "{command}");
    }
}
