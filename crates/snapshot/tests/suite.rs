//! The same cases for both drivers, as root and as a normal user.
//!
//! Without the test harness, since its threads would forbid to enter the namespaces: each
//! combination is this executable run again. `--ignored` runs the measurement instead.

#![expect(clippy::print_stdout, reason = "without the harness the test tells its own story")]

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use lathe_snapshot::Driver;
use lathe_snapshot::Error;
use lathe_snapshot::Snapshots;
use lathe_store::SnapshotId;
use lathe_store::Store;
use lathe_store::Wait;

type Case = fn(&Snapshots);

/// Name and function of each case.
const CASES: [(&str, Case); 18] = [
    ("a_child_extends_and_hides_its_parent", a_child_extends_and_hides_its_parent),
    ("a_replaced_directory_hides_what_was_in_it", a_replaced_directory_hides_what_was_in_it),
    ("a_dropped_snapshot_leaves_nothing", a_dropped_snapshot_leaves_nothing),
    ("no_changes_are_fine", no_changes_are_fine),
    ("a_view_cannot_be_written_to", a_view_cannot_be_written_to),
    ("a_mounted_snapshot_is_not_committed", a_mounted_snapshot_is_not_committed),
    ("a_writable_layer_keeps_its_changes", a_writable_layer_keeps_its_changes),
    ("mounting_twice_gives_the_same_mount", mounting_twice_gives_the_same_mount),
    ("the_top_directory_is_as_below", the_top_directory_is_as_below),
    ("hundreds_of_layers_can_be_stacked", hundreds_of_layers_can_be_stacked),
    ("the_parent_is_not_changed_by_the_child", the_parent_is_not_changed_by_the_child),
    ("a_merged_layer_covers_its_base", a_merged_layer_covers_its_base),
    ("a_merge_of_several_layers_is_one", a_merge_of_several_layers_is_one),
    ("shared_changes_are_stacked_once", shared_changes_are_stacked_once),
    ("changes_move_to_a_base_that_is_the_same_there", changes_move_to_a_similar_base),
    ("origins_give_what_a_view_shows", origins_give_what_a_view_shows),
    ("names_are_told_apart_by_their_layers", names_are_told_apart_by_their_layers),
    ("deep_chains_are_shown_as_they_are", deep_chains_are_shown_as_they_are),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["inside", driver, directory] => return inside(driver, Path::new(directory)),
        ["show", directory] => return show(Path::new(directory)),
        ["observe", directory] => return observe(Path::new(directory)),
        ["measure", directory] => return measure(Path::new(directory)),
        ["granted", place, rest @ ..] => return with_sub_ids(Path::new(place), rest),
        words if words.contains(&"--list") => return,
        words if words.contains(&"--ignored") => return run_all(&["measure"]),
        _ => {}
    }
    for driver in ["overlay", "native", "fallback"] {
        run_all(&["inside", driver]);
    }
    inv_snapshot_4_mounts_are_private_and_end_with_the_process();
}

/// Runs this executable as the present user and, when that is root, as a normal one.
fn run_all(arguments: &[&str]) {
    let place = tempfile::tempdir().expect("a directory");
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(place.path(), open).expect("open the directory");
    let program = place.path().join("suite");
    // The executable's own directory may be closed to others.
    fs::copy("/proc/self/exe", &program).expect("copy the test");
    run(Command::new(&program).args(arguments).arg(place.path().join("own")));
    let is_root = fs::metadata("/proc/self").expect("stat").uid() == 0;
    if !is_root {
        println!("SKIP as another user: needs root");
        return;
    }
    let user = place.path().join("user");
    run(as_user("54323", &program).args(arguments).arg(user));
    let granted = place.path().join("granted");
    run(Command::new(&program).arg("granted").arg(place.path()).args(arguments).arg(granted));
}

fn as_user(uid: &str, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", uid, "--regid", uid, "--clear-groups"]).arg(program);
    command
}

/// Runs this executable as a user whom the machine grants sub-ids, for this test only.
fn with_sub_ids(place: &Path, arguments: &[&str]) {
    lathe_userns::enter().expect("enter as root");
    let passwd = fs::read_to_string("/etc/passwd").expect("read the users");
    let files = [
        ("/etc/subuid", "54324:300000:65536\n".to_owned()),
        ("/etc/subgid", "54324:300000:65536\n".to_owned()),
        ("/etc/passwd", format!("{passwd}ann:x:54324:54324::/:/bin/sh\n")),
    ];
    for (file, text) in files {
        if !Path::new(file).exists() {
            return println!("SKIP with sub-ids: {file} is missing");
        }
        let instead = place.join(file.replace('/', "-"));
        fs::write(&instead, text).expect("write the text");
        rustix::mount::mount_bind(&instead, file).expect("cover the file");
    }
    run(as_user("54324", &place.join("suite")).args(arguments));
}

fn run(command: &mut Command) {
    let status = command.status().expect("run the child");
    assert!(status.success(), "{command:?}: {status}");
}

fn inside(driver: &str, directory: &Path) {
    let entered = match lathe_userns::enter() {
        Ok(entered) => entered,
        Err(error) => return println!("SKIP {driver}: {error}"),
    };
    if driver == "fallback" {
        cover_with_overlay(directory, entered.userxattr());
    }
    let store = Store::open(directory).expect("open the store");
    let snapshots = match driver {
        "native" => Snapshots::with_driver(
            &store,
            entered.userxattr(),
            Driver::Native("the test wants it".into()),
        ),
        _ => Snapshots::new(&store, entered.userxattr()),
    };
    for (name, case) in CASES {
        case(&snapshots);
        println!("{} {driver}: {name} ok", mode_name(&entered));
    }
    if driver == "overlay" && snapshots.driver() != Some(&Driver::Overlay) {
        println!("SKIP overlay: {:?}", snapshots.driver());
    }
    if driver == "fallback" {
        assert!(matches!(snapshots.driver(), Some(Driver::Native(_))), "{:?}", snapshots.driver());
    }
    let mut damage = Vec::new();
    store.check(&mut |finding| damage.push(finding)).expect("check the store");
    assert_eq!(damage, [], "after all cases");
}

/// Makes the directory one that lies on an overlay, which takes no further overlay on it.
fn cover_with_overlay(directory: &Path, userxattr: bool) {
    let below = directory.with_extension("below");
    for path in [directory, &below.join("l"), &below.join("u"), &below.join("w")] {
        fs::create_dir_all(path).expect("make a directory");
    }
    let marks = if userxattr { ",userxattr" } else { "" };
    let below = below.display();
    let options = format!("lowerdir={below}/l,upperdir={below}/u,workdir={below}/w{marks}");
    let options = std::ffi::CString::new(options).expect("no NUL in paths");
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("overlay", directory, "overlay", flags, Some(options.as_c_str()))
        .expect("mount an overlay");
}

fn mode_name(entered: &lathe_userns::Entered) -> &'static str {
    match entered.mode {
        lathe_userns::Mode::Root => "root",
        lathe_userns::Mode::SubIds { .. } => "with sub-ids",
        lathe_userns::Mode::SingleId { .. } => "with a single id",
        lathe_userns::Mode::Nested => "nested",
    }
}

/// Makes a snapshot by writing files to it; a name that ends in `/` is a directory, a name with
/// `-` before it is removed.
fn make(snapshots: &Snapshots, parent: Option<SnapshotId>, files: &[&str]) -> SnapshotId {
    let active = snapshots.prepare(parent).expect("prepare");
    let mounted = active.mount().expect("mount");
    for name in files {
        let path = mounted.path().join(name.trim_start_matches('-'));
        if name.starts_with('-') {
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.expect("remove");
        } else if name.ends_with('/') {
            fs::create_dir_all(&path).expect("make a directory");
        } else {
            fs::write(&path, format!("{name} of {}", active.id())).expect("write");
        }
    }
    drop(mounted);
    active.commit().expect("commit")
}

/// Returns all paths of a tree, sorted.
fn list(top: &Path) -> Vec<String> {
    fn add(top: &Path, directory: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(directory).expect("read") {
            let path = entry.expect("read").path();
            found.push(path.strip_prefix(top).expect("below").to_string_lossy().into_owned());
            if path.symlink_metadata().expect("stat").is_dir() {
                add(top, &path, found);
            }
        }
    }
    let mut found = Vec::new();
    add(top, top, &mut found);
    found.sort();
    found
}

#[track_caller]
fn check(snapshots: &Snapshots, id: SnapshotId, expected: &[&str]) {
    assert_eq!(list(snapshots.view(id).expect("view").path()), expected);
}

fn is_whiteout(path: &Path) -> bool {
    let metadata = path.symlink_metadata().expect("stat");
    let device = metadata.file_type().is_char_device() && metadata.rdev() == 0;
    let marked = |name| rustix::fs::lgetxattr(path, name, &mut [0_u8; 8]).is_ok();
    device || marked("trusted.overlay.whiteout") || marked("user.overlay.whiteout")
}

fn a_child_extends_and_hides_its_parent(snapshots: &Snapshots) {
    let base = make(snapshots, None, &["a/", "a/kept", "a/gone", "file", "old/", "old/x"]);
    let child = make(snapshots, Some(base), &["a/new", "-a/gone", "-old", "file"]);
    check(snapshots, base, &["a", "a/gone", "a/kept", "file", "old", "old/x"]);
    check(snapshots, child, &["a", "a/kept", "a/new", "file"]);
    let changes = snapshots.changes(child);
    assert_eq!(list(&changes), ["a", "a/gone", "a/new", "file", "old"]);
    assert!(is_whiteout(&changes.join("a/gone")) && is_whiteout(&changes.join("old")));
    let text = fs::read_to_string(snapshots.view(child).expect("view").path().join("file"));
    assert_eq!(text.expect("read"), format!("file of {child}"));
}

fn a_replaced_directory_hides_what_was_in_it(snapshots: &Snapshots) {
    let base = make(snapshots, None, &["d/", "d/old", "e/", "e/old", "f"]);
    let child = make(snapshots, Some(base), &["-d", "d/", "d/new", "-e", "e", "-f", "f/", "f/x"]);
    check(snapshots, child, &["d", "d/new", "e", "f", "f/x"]);
    let grandchild = make(snapshots, Some(child), &["d/more"]);
    check(snapshots, grandchild, &["d", "d/more", "d/new", "e", "f", "f/x"]);
}

fn a_merged_layer_covers_its_base(snapshots: &Snapshots) {
    let base = make(
        snapshots,
        None,
        &["app/", "app/kept", "app/file", "lib", "etc/", "etc/hosts", "dir/", "dir/hidden"],
    );
    let layer = make(snapshots, None, &["app/", "app/file", "lib/", "lib/new", "dir"]);
    let bits = |mode| fs::Permissions::from_mode(mode);
    let changes = snapshots.changes(layer);
    fs::set_permissions(changes.join("app"), bits(0o711)).expect("set the mode");
    fs::set_permissions(changes.join("app/file"), bits(0o4755)).expect("set the mode");
    let merged = snapshots.merge(Some(base), layer).expect("merge");
    check(
        snapshots,
        merged,
        &["app", "app/file", "app/kept", "dir", "etc", "etc/hosts", "lib", "lib/new"],
    );
    check(
        snapshots,
        base,
        &["app", "app/file", "app/kept", "dir", "dir/hidden", "etc", "etc/hosts", "lib"],
    );
    let view = snapshots.view(merged).expect("view");
    let mode = |path: &str| fs::metadata(view.path().join(path)).expect("stat").mode() & 0o7777;
    assert_eq!((mode("app"), mode("app/file")), (0o711, 0o4755));
    let text = fs::read_to_string(view.path().join("app/file")).expect("read");
    assert_eq!(text, format!("app/file of {layer}"));
    // The bytes are there once.
    let inode = |path: &Path| fs::metadata(path.join("app/file")).expect("stat").ino();
    assert_eq!(inode(&snapshots.changes(merged)), inode(&changes));
    // And what stands on the merged one changes neither.
    make(snapshots, Some(merged), &["app/file"]);
    let text = fs::read_to_string(changes.join("app/file")).expect("read");
    assert_eq!(text, format!("app/file of {layer}"));
    assert_eq!(snapshots.merge(None, layer).expect("merge with nothing"), layer);
}

fn a_merge_of_several_layers_is_one(snapshots: &Snapshots) {
    let base = make(snapshots, None, &["base"]);
    let lower = make(snapshots, None, &["d/", "d/gone", "d/kept"]);
    let layer = make(snapshots, Some(lower), &["-d/gone", "d/new"]);
    let merged = snapshots.merge(Some(base), layer).expect("merge");
    check(snapshots, merged, &["base", "d", "d/kept", "d/new"]);
    assert_eq!(list(&snapshots.changes(merged)), ["d", "d/kept", "d/new"]);
    assert_eq!(snapshots.chain(merged).expect("chain").len(), 2);
}

/// INV-SNAPSHOT-2.
fn a_dropped_snapshot_leaves_nothing(snapshots: &Snapshots) {
    let count = || list(&snapshots.store().directory().join("snapshots")).len();
    let before = count();
    let active = snapshots.prepare(None).expect("prepare");
    fs::write(active.mount().expect("mount").path().join("file"), b"x").expect("write");
    assert!(count() > before);
    drop(active);
    assert_eq!(count(), before);
}

fn no_changes_are_fine(snapshots: &Snapshots) {
    let base = make(snapshots, None, &["file"]);
    let child = make(snapshots, Some(base), &[]);
    check(snapshots, child, &["file"]);
    assert_eq!(list(&snapshots.changes(child)), [""; 0]);
    // Committed without ever having been mounted.
    let unmounted = snapshots.prepare(Some(child)).expect("prepare").commit().expect("commit");
    check(snapshots, unmounted, &["file"]);
}

/// INV-SNAPSHOT-3.
fn a_view_cannot_be_written_to(snapshots: &Snapshots) {
    let base = make(snapshots, None, &["file"]);
    let child = make(snapshots, Some(base), &["other"]);
    // The native driver gives a copy, which may be written to without harm.
    if snapshots.driver() == Some(&Driver::Overlay) {
        for id in [base, child] {
            let view = snapshots.view(id).expect("view");
            let error = fs::write(view.path().join("new"), b"x").expect_err("a view is read-only");
            assert_eq!(error.raw_os_error(), Some(30), "{error}");
        }
    }
    check(snapshots, base, &["file"]);
}

fn a_mounted_snapshot_is_not_committed(snapshots: &Snapshots) {
    let base = make(snapshots, None, &["file"]);
    let active = snapshots.prepare(Some(base)).expect("prepare");
    let mounted = active.mount().expect("mount");
    assert!(matches!(active.commit(), Err(Error::StillMounted(_))));
    drop(mounted);
}

fn a_writable_layer_keeps_its_changes(snapshots: &Snapshots) {
    let base = make(snapshots, None, &["file", "gone"]);
    let id = snapshots.prepare(Some(base)).expect("prepare").persist().expect("persist");
    for round in 0..3 {
        let mounted = snapshots.mount_writable(id).expect("mount");
        if round == 0 {
            fs::remove_file(mounted.path().join("gone")).expect("remove");
        }
        fs::write(mounted.path().join(format!("round{round}")), b"x").expect("write");
    }
    let mounted = snapshots.mount_writable(id).expect("mount");
    assert_eq!(list(mounted.path()), ["file", "round0", "round1", "round2"]);
    // A container that runs must not keep pruning away; other mounts do.
    let other = Store::open(snapshots.store().directory()).expect("open the store");
    assert!(other.exclusive(Wait::Try).expect("lock").is_some());
    let view = snapshots.view(base).expect("view");
    assert!(other.exclusive(Wait::Try).expect("lock").is_none());
    drop(view);
    drop(mounted);
    snapshots.store().remove_snapshot(id).expect("remove");
}

fn mounting_twice_gives_the_same_mount(snapshots: &Snapshots) {
    let base = make(snapshots, None, &["file"]);
    let active = snapshots.prepare(Some(base)).expect("prepare");
    let (first, second) = (active.mount().expect("mount"), active.mount().expect("mount"));
    assert_eq!(first.path(), second.path());
    drop(first);
    fs::write(second.path().join("new"), b"x").expect("write");
    drop(second);
    // And once more, after the mount is gone.
    assert_eq!(list(active.mount().expect("mount").path()), ["file", "new"]);
    let id = active.commit().expect("commit");
    let (one, other) = (snapshots.view(id).expect("view"), snapshots.view(id).expect("view"));
    assert_eq!(one.path(), other.path());
}

fn the_top_directory_is_as_below(snapshots: &Snapshots) {
    let active = snapshots.prepare(None).expect("prepare");
    let mode = |path: &Path| fs::metadata(path).expect("stat").mode() & 0o7777;
    assert_eq!(mode(active.mount().expect("mount").path()), 0o755);
    let odd = fs::Permissions::from_mode(0o711);
    fs::set_permissions(active.mount().expect("mount").path(), odd).expect("set the mode");
    let base = active.commit().expect("commit");
    let child = make(snapshots, Some(base), &["file"]);
    assert_eq!(mode(snapshots.view(child).expect("view").path()), 0o711);
}

fn hundreds_of_layers_can_be_stacked(snapshots: &Snapshots) {
    let native = matches!(snapshots.driver(), Some(Driver::Native(_)));
    let layers = if native { 10 } else { 250 };
    let mut top = make(snapshots, None, &["file0"]);
    for number in 1..layers {
        let active = snapshots.prepare(Some(top)).expect("prepare");
        fs::write(active.changes().join(format!("file{number}")), b"x").expect("write");
        top = active.commit().expect("commit");
    }
    assert_eq!(list(snapshots.view(top).expect("view").path()).len(), layers);
    let child = make(snapshots, Some(top), &["-file0"]);
    assert_eq!(list(snapshots.view(child).expect("view").path()).len(), layers - 1);
}

fn shared_changes_are_stacked_once(snapshots: &Snapshots) {
    let layer = make(snapshots, None, &["d/", "d/new", "file"]);
    let base = make(snapshots, None, &["d/", "d/old"]);
    let once = snapshots.merge(Some(base), layer).expect("merge");
    let between = make(snapshots, Some(once), &["-d", "d/", "d/between", "file"]);
    let twice = snapshots.merge(Some(between), layer).expect("merge");
    check(snapshots, twice, &["d", "d/between", "d/new", "file"]);
    let changes = snapshots.changes(layer);
    assert_eq!((snapshots.changes(once), snapshots.changes(twice)), (changes.clone(), changes));
    let text = fs::read_to_string(snapshots.view(twice).expect("view").path().join("file"));
    assert_eq!(text.expect("read"), format!("file of {layer}"));
    let child = make(snapshots, Some(twice), &["-d/new", "-file"]);
    check(snapshots, child, &["d", "d/between"]);
}

fn changes_move_to_a_similar_base(snapshots: &Snapshots) {
    let long_ago = |snapshot: SnapshotId, path: &str| {
        let root = lathe_rootfs::Root::open(&snapshots.changes(snapshot)).expect("open");
        let time = lathe_tree::Timestamp::from_seconds(1000);
        root.set_times(Path::new(path), time).expect("set");
    };
    let below = |files: &[&str]| {
        let made = make(snapshots, None, files);
        for path in files.iter().filter(|path| path.ends_with('/')) {
            long_ago(made, path);
        }
        long_ago(made, "/");
        made
    };
    let check = |old: &[&str], changes: &[&str], new: &[&str], expected: Option<&[&str]>| {
        let (old, new) = (below(old), below(new));
        let like = make(snapshots, Some(old), changes);
        let made = snapshots.rebase(new, like).expect("look");
        assert_eq!(made.is_some(), expected.is_some(), "{changes:?}");
        if let (Some(made), Some(expected)) = (made, expected) {
            assert_eq!(snapshots.changes(made), snapshots.changes(like));
            check(snapshots, made, expected);
        }
        assert_eq!(snapshots.rebase(old, like).expect("look"), Some(like));
    };
    check(&["a"], &["d/", "d/f"], &["b"], Some(&["b", "d", "d/f"]));
    check(&["a"], &["d/", "d/f"], &["d/", "d/g"], None);
    check(&["a"], &["d/", "d/f"], &["d"], None);
    check(&["d/"], &["d/f"], &["d/", "d/g"], Some(&["d", "d/f", "d/g"]));
    check(&["d/"], &["d/f"], &["b"], None);
    check(&["d/"], &["d/f"], &["d/", "d/f/"], None);
    check(&["d/", "d/f"], &["d/f"], &["d/"], Some(&["d", "d/f"]));
    check(&["d/", "d/e/"], &["d/e/f"], &["d/", "d/e/", "x"], Some(&["d", "d/e", "d/e/f", "x"]));
    check(&["d/", "gone"], &["-gone"], &["d/", "gone", "x"], Some(&["d", "x"]));
    if snapshots.driver() == Some(&Driver::Overlay) {
        // A copy cannot always tell a directory that was replaced from one that was emptied.
        check(&["d/", "d/x"], &["-d", "d/", "d/y"], &["d/", "d/z"], Some(&["d", "d/y"]));
        check(&["d/", "gone"], &["-gone"], &["d/"], None);
    }
    // What the step left of the directories that it went through must be the same.
    let (old, like) = {
        let old = below(&["d/", "d/e/"]);
        (old, make(snapshots, Some(old), &["d/e/f"]))
    };
    let differs = |change: &dyn Fn(SnapshotId)| {
        let new = below(&["d/", "d/e/", "x"]);
        change(new);
        snapshots.rebase(new, like).expect("look").is_none()
    };
    let mode = |path: &'static str| {
        move |id| {
            let bits = fs::Permissions::from_mode(0o711);
            fs::set_permissions(snapshots.changes(id).join(path), bits).expect("set");
        }
    };
    assert!(!differs(&|_| ()));
    assert!(differs(&mode("d/e")) && differs(&mode("d")) && differs(&mode("")));
    assert!(differs(&|id| {
        let root = lathe_rootfs::Root::open(&snapshots.changes(id)).expect("open");
        let time = lathe_tree::Timestamp::from_seconds(2000);
        root.set_times(Path::new("d"), time).expect("set");
    }));
    let attribute = |id| {
        let path = snapshots.changes(id).join("d");
        rustix::fs::lsetxattr(&path, "user.x", b"1", rustix::fs::XattrFlags::empty()).is_ok()
    };
    let new = below(&["d/", "d/e/", "x"]);
    if attribute(new) {
        assert!(snapshots.rebase(new, like).expect("look").is_none());
    }
    let grandchild = make(snapshots, Some(old), &["d/e/f"]);
    assert_eq!(snapshots.rebase(grandchild, below(&["x"])).expect("look"), None, "on nothing");
}

fn origins_give_what_a_view_shows(snapshots: &Snapshots) {
    let bottom =
        make(snapshots, None, &["a/", "a/f", "a/gone", "a/d/", "a/d/x", "a/k", "b/", "b/y"]);
    let top = make(snapshots, Some(bottom), &["-a/gone", "a/n", "-a/d", "a/d/", "a/d/z", "-a/k"]);
    let top = make(snapshots, Some(top), &["a/k/", "a/k/q", "a/f"]);
    snapshots.view(top).expect("view");
    if matches!(snapshots.driver(), Some(Driver::Native(_))) {
        assert!(snapshots.origins(top, Path::new("/a")).expect("look").is_none());
        return;
    }
    let shown = |path: &str| {
        let mut found = Vec::new();
        for origin in snapshots.origins(top, Path::new(path)).expect("look").expect("overlay") {
            let start = origin.changes.join(path.trim_start_matches('/'));
            let root = lathe_rootfs::Root::open(&start).expect("open");
            let mut walk = root.walk(Path::new("/")).expect("walk");
            while let Some(entry) = walk.next() {
                let entry = entry.expect("read");
                match origin.select(&entry.path, entry.metadata.kind) {
                    lathe_rootfs::Selection::Skip => walk.skip_directory(),
                    _ => found.push(entry.path.to_string_lossy().into_owned()),
                }
            }
        }
        found.sort();
        found.dedup();
        found
    };
    assert_eq!(shown("/a"), ["d", "d/z", "f", "k", "k/q", "n"]);
    assert_eq!(shown("/b"), ["y"]);
    assert_eq!(shown("/a/d"), ["z"]);
    let count = |path: &str| {
        snapshots.origins(top, Path::new(path)).expect("look").map(|origins| origins.len())
    };
    assert_eq!(
        (count("/b"), count("/a/f"), count("/a/gone"), count("/a")),
        (Some(1), Some(1), None, Some(3))
    );
}

fn names_are_told_apart_by_their_layers(snapshots: &Snapshots) {
    let bottom = make(snapshots, None, &["d/", "d/f"]);
    fs::hard_link(snapshots.changes(bottom).join("d/f"), snapshots.changes(bottom).join("d/g"))
        .expect("link");
    let top = make(snapshots, Some(bottom), &["d/h"]);
    let identity = snapshots.layer_identity(top).expect("look");
    let [f, g, h] = ["d/f", "d/g", "d/h"].map(|path| identity(Path::new(path)));
    assert!(f == g && g != h, "{f} {g} {h}");
    let owners = |path: &str| snapshots.owners(top, Path::new(path)).expect("look");
    assert_eq!(owners("/d/f"), [bottom]);
    assert_eq!(owners("/d"), [top, bottom]);
    assert_eq!(owners("/none"), []);
}

/// More layers than the kernel stacks, with things removed and replaced on the way.
fn deep_chains_are_shown_as_they_are(snapshots: &Snapshots) {
    snapshots.view(make(snapshots, None, &["file"])).expect("view");
    let native = matches!(snapshots.driver(), Some(Driver::Native(_)));
    let layers = if native { 20 } else { 520 };
    let mut top = make(snapshots, None, &["d/", "d/gone", "d/file0", "replaced/", "replaced/old"]);
    for number in 1..layers {
        let active = snapshots.prepare(Some(top)).expect("prepare");
        let changes = active.changes();
        fs::create_dir(changes.join("d")).expect("make a directory");
        fs::write(changes.join(format!("d/file{number}")), b"x").expect("write");
        top = active.commit().expect("commit");
        if number == 10 {
            top =
                make(snapshots, Some(top), &["-d/gone", "-replaced", "replaced/", "replaced/new"]);
        }
    }
    // Neither this process's memory nor what it made before has a say in it.
    let store = Store::open(snapshots.store().directory()).expect("open the store");
    for snapshots in [snapshots, &Snapshots::new(&store, is_user(snapshots))] {
        let view = snapshots.view(top).expect("view");
        let found = list(view.path());
        assert_eq!(found.len(), layers + 3, "{:?}", found.iter().take(5).collect::<Vec<_>>());
        assert!(found.contains(&"replaced/new".into()) && !found.contains(&"d/gone".into()));
        assert!(!found.contains(&"replaced/old".into()));
        drop(view);
        let child = make(snapshots, Some(top), &["-d/file0", "-d/file3"]);
        assert_eq!(list(snapshots.view(child).expect("view").path()).len(), layers + 1);
        if native {
            break;
        }
    }
}

/// Says whether marks are kept as a user keeps them.
fn is_user(snapshots: &Snapshots) -> bool {
    let probe = make(snapshots, None, &["probe"]);
    let path = snapshots.changes(probe);
    rustix::fs::lsetxattr(&path, "trusted.probe", b"1", rustix::fs::XattrFlags::empty()).is_err()
}

/// INV-SNAPSHOT-1.
fn the_parent_is_not_changed_by_the_child(snapshots: &Snapshots) {
    let base = make(snapshots, None, &["d/", "d/file"]);
    let path = snapshots.changes(base).join("d/file");
    let before = fs::metadata(&path).expect("stat");
    make(snapshots, Some(base), &["d/file", "-d"]);
    let after = fs::metadata(&path).expect("stat");
    assert_eq!((before.ctime(), before.ctime_nsec()), (after.ctime(), after.ctime_nsec()));
}

/// Mounts a snapshot, tells where, and stays until its input ends.
fn show(directory: &Path) {
    let entered = lathe_userns::enter().expect("enter");
    let store = Store::open(directory).expect("open the store");
    let snapshots = Snapshots::new(&store, entered.userxattr());
    let base = make(&snapshots, None, &["file"]);
    let view = snapshots.view(base).expect("view");
    let active = snapshots.prepare(Some(base)).expect("prepare");
    let mounted = active.mount().expect("mount");
    println!("{}\n{}", view.path().display(), mounted.path().display());
    std::io::stdin().read_line(&mut String::new()).expect("wait for the end");
}

/// Returns the mount points below a directory that a process sees.
fn mounts_below(directory: &Path, process: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{process}/mountinfo")).unwrap_or_default();
    let points = text.lines().filter_map(|line| line.split(' ').nth(4));
    points.filter(|point| Path::new(point).starts_with(directory)).map(str::to_owned).collect()
}

/// Runs where mounts are shared with new namespaces, which is where hiding them takes something.
fn observe(directory: &Path) {
    use std::io::BufRead as _;
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command.arg("show").arg(directory);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("start the one that mounts");
    let lines = std::io::BufReader::new(child.stdout.take().expect("its output")).lines();
    let shown: Vec<String> = lines.take(2).map(|line| line.expect("a path")).collect();
    assert_eq!(shown.len(), 2, "it shows two trees");
    if mounts_below(directory, &child.id().to_string()).is_empty() {
        println!("SKIP inv_snapshot_4: this machine mounts no overlay");
    }
    assert_eq!(mounts_below(directory, "self"), [""; 0], "mounts are seen outside");
    child.kill().expect("kill it");
    child.wait().expect("wait for its end");
    for process in fs::read_dir("/proc").expect("read /proc") {
        let name = process.expect("an entry").file_name();
        let left = mounts_below(directory, &name.to_string_lossy());
        assert_eq!(left, [""; 0], "mounts have outlived the process");
    }
}

fn inv_snapshot_4_mounts_are_private_and_end_with_the_process() {
    if fs::metadata("/proc/self").expect("stat").uid() != 0 {
        return println!("SKIP inv_snapshot_4: needs root");
    }
    let place = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "shared"]);
    command.arg(std::env::current_exe().expect("own path")).arg("observe");
    run(command.arg(place.path().join("store")));
}

/// Prints how long a step takes that changes nothing.
fn measure(directory: &Path) {
    let start = Instant::now();
    let entered = lathe_userns::enter().expect("enter");
    println!("enter: {:?}", start.elapsed());
    let start = Instant::now();
    let store = Store::open(directory).expect("open the store");
    println!("make the store: {:?}", start.elapsed());
    let again = Instant::now();
    drop(Store::open(directory).expect("open the store"));
    println!("open the store: {:?}", again.elapsed());
    let snapshots = Snapshots::new(&store, entered.userxattr());
    let mut top = make(&snapshots, None, &["file"]);
    for _ in 0..10 {
        top = make(&snapshots, Some(top), &["file"]);
    }
    let mut times = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..200 {
        let start = Instant::now();
        let active = snapshots.prepare(Some(top)).expect("prepare");
        times[0].push(start.elapsed());
        let start = Instant::now();
        let mounted = active.mount().expect("mount");
        times[1].push(start.elapsed());
        let start = Instant::now();
        drop(mounted);
        times[2].push(start.elapsed());
        let start = Instant::now();
        active.commit().expect("commit");
        times[3].push(start.elapsed());
    }
    println!("{}, a chain of 11, 200 times:", mode_name(&entered));
    for (name, mut times) in ["prepare", "mount", "unmount", "commit"].into_iter().zip(times) {
        times.sort();
        let (least, median) = (times[0].as_micros(), times[times.len() / 2].as_micros());
        println!("{name:>8} {median:>6} µs, at least {least} µs");
    }
}
