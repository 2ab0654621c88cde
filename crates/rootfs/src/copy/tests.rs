//! The table in the module doc, case by case.

use super::*;
use crate::root::FileOptions;
use crate::walk::Selection;
use lathe_tree::Device;
use lathe_tree::FileKind;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;

struct Scene {
    temporary: tempfile::TempDir,
    from: Root,
    to: Root,
}

/// Makes `from/` and `to/`. Lines are `dir/`, `file=content`, `link->target`.
fn scene(from: &[&str], to: &[&str]) -> Scene {
    let temporary = tempfile::tempdir().expect("temporary directory");
    for (name, lines) in [("from", from), ("to", to)] {
        let root = temporary.path().join(name);
        fs::create_dir(&root).expect("root made");
        for line in lines {
            make(&root, line);
        }
    }
    let open = |name| Root::open(&temporary.path().join(name)).expect("opened");
    Scene { from: open("from"), to: open("to"), temporary }
}

fn make(root: &Path, line: &str) {
    let parent = |path: &Path| {
        fs::create_dir_all(path.parent().expect("below the root")).expect("made");
    };
    if let Some((path, target)) = line.split_once("->") {
        parent(&root.join(path));
        symlink(target, root.join(path)).expect("linked");
    } else if let Some((path, content)) = line.split_once('=') {
        parent(&root.join(path));
        fs::write(root.join(path), content).expect("written");
        let time = Timestamp { seconds: 1_000_000, nanos: 5 };
        let opened = Root::open(root).expect("opened");
        opened.set_times(Path::new(path), time).expect("times set");
    } else {
        fs::create_dir_all(root.join(line)).expect("made");
    }
}

fn mine() -> Owner {
    Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
}

impl Scene {
    fn copy_with(
        &self,
        source: &str,
        destination: &str,
        options: CopyOptions<'_>,
    ) -> Result<CopyReport> {
        let (source, destination) = (Path::new(source), Path::new(destination));
        // Missing directories get an owner that a normal user may set.
        let options = CopyOptions { owner: options.owner.or(Some(mine())), ..options };
        copy(&CopyRequest { from: &self.from, source, to: &self.to, destination, options })
    }

    fn copy(&self, source: &str, destination: &str) -> Result<CopyReport> {
        self.copy_with(source, destination, CopyOptions::default())
    }

    fn dump(&self) -> Vec<String> {
        let walk = self.to.walk(Path::new("/")).expect("walk");
        walk.map(|entry| {
            let entry = entry.expect("entry");
            let path = entry.path.display();
            match entry.metadata.kind {
                FileKind::Directory => format!("{path}/"),
                FileKind::Symlink => {
                    format!("{path}->{}", entry.read_link().expect("target").display())
                }
                FileKind::Regular => {
                    let content = self.to.read(&entry.path, 1000).expect("content");
                    format!("{path}={}", String::from_utf8_lossy(&content))
                }
                kind => format!("{path}:{kind:?}"),
            }
        })
        .collect()
    }

    fn host(&self, path: &str) -> PathBuf {
        self.temporary.path().join(path)
    }
}

fn check(from: &[&str], to: &[&str], (source, destination): (&str, &str), expected: &[&str]) {
    let scene = scene(from, to);
    let case = format!("{source} to {destination}");
    scene.copy(source, destination).unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_eq!(scene.dump(), expected, "{case}");
}

#[test]
fn destinations_are_found_as_by_buildkit() {
    let file: &[&str] = &["a=1"];
    check(file, &[], ("a", "b"), &["b=1"]);
    check(file, &[], ("a", "/b/"), &["b/", "b/a=1"]);
    check(file, &[], ("a", "b/."), &["b/", "b/a=1"]);
    check(file, &[], ("a", "/"), &["a=1"]);
    check(file, &[], ("a", "."), &["a=1"]);
    check(file, &[], ("a", "x/y/z"), &["x/", "x/y/", "x/y/z=1"]);
    check(file, &["b/"], ("a", "b"), &["b/", "b/a=1"]);
    check(file, &["b=0"], ("a", "b"), &["b=1"]);
    check(file, &["b->c", "c=0"], ("a", "b"), &["b->c", "c=1"]);
    check(file, &["b->c"], ("a", "b"), &["b->c", "c=1"]);
    check(file, &["b->/c/d"], ("a", "b/"), &["b->/c/d", "c/", "c/d/", "c/d/a=1"]);
    check(file, &["b->d", "d/"], ("a", "b"), &["b->d", "d/", "d/a=1"]);
    check(file, &["d/", "d/a->../x", "x=0"], ("a", "d/"), &["d/", "d/a=1", "x=0"]);
}

#[test]
fn directories_are_merged_as_by_buildkit() {
    let tree: &[&str] = &["d/x=1", "d/s/y=2", "d/l->x", "d/e/"];
    let all = &["b/", "b/e/", "b/l->x", "b/s/", "b/s/y=2", "b/x=1"];
    check(tree, &[], ("d", "b"), all);
    check(tree, &[], ("d/", "b/"), all);
    check(tree, &[], ("/d/.", "/b"), all);
    check(tree, &["b/"], ("d", "b"), all);
    check(tree, &["b/s/z=3"], ("d/s", "b/s"), &["b/", "b/s/", "b/s/y=2", "b/s/z=3"]);
    check(tree, &["b/x=0", "b/l->q"], ("d", "b"), all);
    check(tree, &["l->b", "b/"], ("d/s", "l"), &["b/", "b/y=2", "l->b"]);
    check(&["l->d", "d/x=1"], &[], ("l", "b"), &["b/", "b/x=1"]);
    check(&["x=1"], &[], ("/", "/b"), &["b/", "b/x=1"]);
    check(&["l->/x", "x=1"], &[], ("l", "b/"), &["b/", "b/l=1"]);
}

#[test]
fn a_directory_can_be_copied_by_its_name() {
    let options = || CopyOptions { contents_of_directory: false, ..CopyOptions::default() };
    let scene = scene(&["d/x=1"], &["b/"]);
    fs::set_permissions(scene.host("from/d"), fs::Permissions::from_mode(0o711)).expect("set");
    scene.copy_with("d", "b", options()).expect("copied");
    scene.copy_with("d", "c", options()).expect("copied");
    assert_eq!(scene.dump(), ["b/", "b/d/", "b/d/x=1", "c/", "c/x=1"]);
    assert_eq!(scene.to.stat(Path::new("b/d")).expect("stat").mode, 0o711);
}

#[test]
fn files_and_directories_do_not_replace_each_other() {
    let in_place_of_dir = scene(&["d/x=1"], &["b/x/"]).copy("d", "b");
    let text = in_place_of_dir.expect_err("a directory is there").to_string();
    assert_eq!(text, "cannot copy file `d/x` over directory `b/x`");
    let in_place_of_file = scene(&["d/x/"], &["b/x=1"]).copy("d", "b");
    let text = in_place_of_file.expect_err("a file is there").to_string();
    assert_eq!(text, "cannot copy directory `d/x` over file `b/x`");
    let in_place_of_link = scene(&["d/x/y=1"], &["b/x->/", "b/z=0"]).copy("d", "b");
    assert!(matches!(in_place_of_link, Err(Error::DirectoryOverFile { .. })));
    let onto_file = scene(&["d/x=1"], &["b=1"]).copy("d", "b");
    assert!(onto_file.is_err());
    assert!(scene(&[], &[]).copy("none", "b").expect_err("missing").is_not_found());
}

#[test]
fn nothing_leads_out_of_either_root() {
    let scene = scene(&["up->../secret", "abs->/secret", "d/in->../../secret"], &["out->../"]);
    fs::write(scene.host("secret"), "s").expect("written");
    fs::write(scene.host("from/a"), "1").expect("written");
    for source in ["up", "abs", "../secret"] {
        assert!(scene.copy(source, "x").expect_err(source).is_not_found());
    }
    scene.copy("a", "out/b").expect("copied");
    scene.copy("a", "../../c").expect("copied");
    scene.copy("d", "d").expect("copied");
    assert_eq!(scene.dump(), ["b=1", "c=1", "d/", "d/in->../../secret", "out->../"]);
    assert_eq!(fs::read_dir(scene.temporary.path()).expect("listed").count(), 3);
}

#[test]
fn metadata_is_that_of_the_source() {
    let scene = scene(&["d/s/x=1", "d/y=2"], &["b/s/"]);
    let set = |path: &str, mode| {
        fs::set_permissions(scene.host(path), fs::Permissions::from_mode(mode)).expect("set");
    };
    set("from/d", 0o700);
    set("from/d/s", 0o2711);
    set("from/d/s/x", 0o4751);
    set("from/d/y", 0o666);
    set("to/b", 0o705);
    let time = Timestamp { seconds: 5, nanos: 6 };
    scene.from.set_times(Path::new("d/s"), time).expect("set");
    scene.copy("d", "b").expect("copied");
    scene.copy("d", "new").expect("copied");
    let mode = |path: &str| scene.to.stat(Path::new(path)).expect(path).mode;
    assert_eq!(mode("b"), 0o705, "the destination keeps its mode");
    assert_eq!(mode("new"), 0o755, "a new destination is not like the source");
    assert_eq!(mode("b/s"), 0o2711, "a directory below is like the source");
    assert_eq!((mode("b/s/x"), mode("b/y")), (0o4751, 0o666));
    let mtime = |path: &str| scene.to.stat(Path::new(path)).expect(path).mtime;
    assert_eq!(mtime("b/s"), time);
    assert_eq!(mtime("b/y"), Timestamp { seconds: 1_000_000, nanos: 5 });
}

#[test]
fn modes_and_times_can_be_set() {
    let scene = scene(&["d/s/x=1", "d/l->x"], &[]);
    let options = CopyOptions {
        mode: ModeChange::parse("u=rwX,go=").expect("mode"),
        times: Times::Set(Timestamp::from_seconds(77)),
        parent_mtime: Some(Timestamp::from_seconds(78)),
        ..CopyOptions::default()
    };
    scene.copy_with("d/s", "p/q/", options).expect("copied");
    let stat = |path: &str| scene.to.stat(Path::new(path)).expect(path);
    assert_eq!(stat("p/q/x").mode, 0o600);
    assert_eq!(stat("p/q/x").mtime, Timestamp::from_seconds(77));
    assert_eq!((stat("p").mode, stat("p").mtime), (0o755, Timestamp::from_seconds(78)));
}

#[test]
fn owners_are_kept_or_set() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIP owners_are_kept_or_set: needs root");
        return;
    }
    let scene = scene(&["d/x=1", "d/s/y=2", "d/l->x"], &["g/"]);
    for path in ["d/x", "d/s", "d/l"] {
        if let Err(error) = scene.from.set_owner(Path::new(path), Owner { uid: 7, gid: 8 }) {
            eprintln!("SKIP owners_are_kept_or_set: {error}, ids are not mapped");
            return;
        }
    }
    scene.from.set_mode(Path::new("d/x"), 0o4755).expect("set");
    // A set-group-id directory hands down its group unless it is set right.
    scene.to.set_owner(Path::new("g"), Owner { uid: 0, gid: 50 }).expect("set");
    scene.to.set_mode(Path::new("g"), 0o2755).expect("set");
    let request = |destination, owner| CopyRequest {
        from: &scene.from,
        source: Path::new("d"),
        to: &scene.to,
        destination: Path::new(destination),
        options: CopyOptions { owner, ..CopyOptions::default() },
    };
    copy(&request("kept", None)).expect("copied");
    copy(&request("set", Some(Owner { uid: 1, gid: 2 }))).expect("copied");
    copy(&request("g", Some(Owner::ROOT))).expect("copied");
    let owner = |path: &str| {
        let metadata = scene.to.lstat(Path::new(path)).expect(path);
        (metadata.uid, metadata.gid)
    };
    for path in ["kept/x", "kept/s", "kept/l"] {
        assert_eq!(owner(path), (7, 8), "{path}");
    }
    assert_eq!((owner("kept"), owner("kept/s/y")), ((0, 0), (0, 0)));
    for path in ["set", "set/x", "set/s", "set/l", "set/s/y"] {
        assert_eq!(owner(path), (1, 2), "{path}");
    }
    for path in ["g/x", "g/s", "g/l", "g/s/y"] {
        assert_eq!(owner(path), (0, 0), "{path}");
    }
    let mode = scene.to.stat(Path::new("set/x")).expect("stat").mode;
    assert_eq!(mode, 0o4755, "the set-id bit survives the change of owner");
}

#[test]
fn hard_links_and_special_files_are_kept() {
    let scene = scene(&["d/a=1", "d/s/"], &["b/z=0"]);
    fs::hard_link(scene.host("from/d/a"), scene.host("from/d/s/b")).expect("linked");
    fs::hard_link(scene.host("from/d/a"), scene.host("from/d/z")).expect("linked");
    let fifo = Path::new("d/fifo");
    scene.from.make_node(fifo, FileKind::Fifo, 0o622, Device::default()).expect("made");
    scene.copy("d", "b").expect("copied");
    assert_eq!(scene.dump(), ["b/", "b/a=1", "b/fifo:Fifo", "b/s/", "b/s/b=1", "b/z=1"]);
    let inode = |path: &str| fs::metadata(scene.host(path)).expect(path).ino();
    assert_eq!(inode("to/b/a"), inode("to/b/s/b"));
    assert_eq!(inode("to/b/a"), inode("to/b/z"));
    assert_ne!(inode("to/b/a"), inode("from/d/a"));
    assert_eq!(scene.to.stat(Path::new("b/fifo")).expect("stat").mode, 0o622);
}

#[test]
fn files_are_linked_only_where_nothing_changes() {
    let scene = scene(&["d/a=1", "d/b=2"], &["b/b=0"]);
    let options = || CopyOptions { link: LinkPolicy::HardLink, ..CopyOptions::default() };
    scene.copy_with("d", "b", options()).expect("copied");
    let mode = ModeChange::Set(0o600);
    scene.copy_with("d", "c", CopyOptions { mode, ..options() }).expect("copied");
    let inode = |path: &str| fs::metadata(scene.host(path)).expect(path).ino();
    assert_eq!(inode("to/b/a"), inode("from/d/a"));
    assert_eq!(inode("to/b/b"), inode("from/d/b"));
    assert_ne!(inode("to/c/a"), inode("from/d/a"));
    assert_eq!(scene.dump(), ["b/", "b/a=1", "b/b=2", "c/", "c/a=1", "c/b=2"]);
}

#[test]
fn extended_attributes_are_copied() {
    let scene = scene(&["d/a=1", "d/s/"], &[]);
    for path in ["d/a", "d/s"] {
        match scene.from.set_xattr(Path::new(path), b"user.key", b"value") {
            Ok(()) => {}
            Err(error) => {
                eprintln!("SKIP extended_attributes_are_copied: {error}");
                return;
            }
        }
    }
    scene.copy("d", "b").expect("copied");
    for path in ["b/a", "b/s"] {
        let xattrs = scene.to.xattrs(Path::new(path)).expect("xattrs");
        assert_eq!(xattrs.get(&b"user.key"[..]).map(Vec::as_slice), Some(&b"value"[..]));
    }
}

#[test]
fn what_the_filter_drops_is_not_made() {
    let scene = scene(
        &["d/keep=1", "d/drop=2", "d/sub/keep=3", "d/sub/drop=4", "d/empty/drop=5", "d/gone/x=6"],
        &[],
    );
    fs::set_permissions(scene.host("from/d/sub"), fs::Permissions::from_mode(0o711)).expect("set");
    let filter = |path: &Path, kind: FileKind| match (path.file_name(), kind) {
        (Some(name), _) if name == "gone" || name == "drop" => Selection::Skip,
        (_, FileKind::Directory) => Selection::Descend,
        _ => Selection::Keep,
    };
    let options = CopyOptions { filter: Some(&filter), ..CopyOptions::default() };
    let report = scene.copy_with("d", "b", options).expect("copied");
    assert_eq!(scene.dump(), ["b/", "b/keep=1", "b/sub/", "b/sub/keep=3"]);
    assert_eq!(scene.to.stat(Path::new("b/sub")).expect("stat").mode, 0o711);
    assert_eq!(report, CopyReport { files: 2, directories: 1, bytes: 2 });
}

#[test]
fn the_destination_of_a_directory_gets_its_time_and_nothing_else() {
    let scene = scene(&["d/x=1"], &["b/"]);
    let time = Timestamp { seconds: 2_000_000, nanos: 7 };
    fs::set_permissions(scene.host("from/d"), fs::Permissions::from_mode(0o711)).expect("set");
    fs::set_permissions(scene.host("to/b"), fs::Permissions::from_mode(0o750)).expect("set");
    scene.from.set_times(Path::new("d"), time).expect("times set");
    for (destination, mode) in [("b", 0o750), ("new", 0o755)] {
        scene.copy("d", destination).expect("copied");
        let made = scene.to.stat(Path::new(destination)).expect("stat");
        assert_eq!((made.mtime, made.mode), (time, mode), "{destination}");
    }
}

/// Directories on the way to what was selected, that exist in the destination.
#[test]
fn lazy_directories_are_as_kept_and_entered_ones_only_get_the_mode() {
    let time = Timestamp { seconds: 2_000_000, nanos: 7 };
    for (selection, has_time) in [(Selection::Lazy, true), (Selection::Descend, false)] {
        let scene = scene(&["d/sub/keep=1", "d/sub/drop=2", "d/empty/drop=3"], &["b/sub/"]);
        let mode = fs::Permissions::from_mode(0o711);
        fs::set_permissions(scene.host("from/d/sub"), mode).expect("set");
        scene.from.set_times(Path::new("d/sub"), time).expect("times set");
        let filter = |path: &Path, kind: FileKind| match (path.file_name(), kind) {
            (_, FileKind::Directory) => selection,
            (Some(name), _) if name == "drop" => Selection::Skip,
            _ => Selection::Keep,
        };
        let options = CopyOptions { filter: Some(&filter), ..CopyOptions::default() };
        scene.copy_with("d", "b", options).expect("copied");
        assert_eq!(scene.dump(), ["b/", "b/sub/", "b/sub/keep=1"]);
        let sub = scene.to.stat(Path::new("b/sub")).expect("stat");
        assert_eq!((sub.mode, sub.mtime == time), (0o711, has_time), "{selection:?}");
    }
}

#[test]
fn trees_deeper_than_the_limit_are_refused() {
    let scene = scene(&[], &[]);
    let mut dir = scene.from.dir(Path::new("/")).expect("root");
    for _ in 0..400 {
        dir.create_dir(OsStr::new("d"), 0o700).expect("made");
        dir = dir.open_dir(OsStr::new("d")).expect("opened");
    }
    drop(dir);
    scene.copy("/", "/").expect("within the limit");
}

/// Enough files that threads are started; directories get their times after their last file.
#[test]
fn many_files_are_copied_with_the_metadata_of_their_directories() {
    let scene = scene(&[], &[]);
    for number in 0..600 {
        let dir = scene.host(&format!("from/d{}/e", number % 7));
        fs::create_dir_all(&dir).expect("made");
        fs::write(dir.join(number.to_string()), number.to_string()).expect("written");
    }
    let walk = |root: &Root| -> Vec<(PathBuf, Metadata)> {
        let walk = root.walk(Path::new("/")).expect("walk");
        walk.map(|entry| entry.map(|entry| (entry.path, entry.metadata)).expect("entry")).collect()
    };
    for (seconds, (path, metadata)) in (1..).zip(walk(&scene.from)) {
        scene.from.set_times(&path, Timestamp { seconds, nanos: 1 }).expect("set");
        if metadata.is_dir() {
            scene.from.set_mode(&path, 0o711).expect("set");
        }
    }
    for destination in ["new", "new"] {
        let report = scene.copy("/", destination).expect("copied");
        assert_eq!(report, CopyReport { files: 600, directories: 14, bytes: 1690 });
    }
    let copied = Root::open(&scene.host("to/new")).expect("opened");
    let essence = |(path, metadata): (PathBuf, Metadata)| {
        let size = if metadata.is_dir() { 0 } else { metadata.size };
        (path, metadata.kind, metadata.mode, metadata.mtime, size)
    };
    let all = |root: &Root| walk(root).into_iter().map(essence).collect::<Vec<_>>();
    assert_eq!(all(&copied), all(&scene.from));
}

#[test]
fn an_error_of_a_thread_is_the_error_of_the_copy() {
    let scene = scene(&[], &[]);
    for number in 0..600 {
        let dir = format!("d{}", number % 40);
        fs::create_dir_all(scene.host("from").join(&dir)).expect("made");
        fs::write(scene.host("from").join(&dir).join(number.to_string()), "").expect("written");
    }
    // A directory in the place of a file that comes late.
    fs::create_dir_all(scene.host("to/d9/569")).expect("made");
    let result = scene.copy("/", "/");
    assert!(matches!(result, Err(Error::FileOverDirectory { .. })), "{result:?}");
}

/// More names in one directory than one thread copies, and files that are copied on their own.
#[test]
fn large_directories_and_large_files_are_whole() {
    let scene = scene(&["d/link->0"], &[]);
    for number in 0..1100 {
        fs::write(scene.host(&format!("from/d/{number}")), number.to_string()).expect("written");
    }
    let large: Vec<u8> = (0..1_100_000_u32).map(|number| (number / 97).to_le_bytes()[0]).collect();
    for name in ["large1", "large2"] {
        fs::write(scene.host(&format!("from/d/{name}")), &large).expect("written");
    }
    let report = scene.copy("d", "b").expect("copied");
    assert_eq!((report.files, report.directories), (1103, 0));
    for number in 0..1100 {
        let copied = fs::read_to_string(scene.host(&format!("to/b/{number}"))).expect("read");
        assert_eq!(copied, number.to_string());
    }
    for name in ["large1", "large2"] {
        assert!(fs::read(scene.host(&format!("to/b/{name}"))).expect("read") == large, "{name}");
    }
}

#[test]
fn links_stay_links_whether_files_are_copied_or_linked() {
    for link in [LinkPolicy::Never, LinkPolicy::HardLink] {
        let scene = scene(&["d/a=1", "d/s/c=2", "d/l->a"], &["b/s/b=0", "b/l=0"]);
        fs::hard_link(scene.host("from/d/a"), scene.host("from/d/s/b")).expect("linked");
        let options = CopyOptions { link, ..CopyOptions::default() };
        scene.copy_with("d", "b", options).expect("copied");
        assert_eq!(scene.dump(), ["b/", "b/a=1", "b/l->a", "b/s/", "b/s/b=1", "b/s/c=2"]);
        let inode = |path: &str| fs::symlink_metadata(scene.host(path)).expect(path).ino();
        assert_eq!(inode("to/b/a"), inode("to/b/s/b"), "{link:?}");
        for path in ["a", "l", "s/c"] {
            let is_linked = inode(&format!("to/b/{path}")) == inode(&format!("from/d/{path}"));
            assert_eq!(is_linked, link == LinkPolicy::HardLink, "{link:?} {path}");
        }
    }
}

/// As two layers of an overlay that share a file.
#[test]
fn names_that_do_not_belong_together_become_files_of_their_own() {
    let identity = |path: &Path, metadata: &Metadata| {
        assert!(metadata.links > 1, "asked for what has one name: {}", path.display());
        u64::from(path.starts_with("d/upper"))
    };
    for link in [LinkPolicy::Never, LinkPolicy::HardLink] {
        let scene = scene(&["d/lower/a=1", "d/upper/x/", "d/single=2"], &[]);
        for path in ["from/d/lower/b", "from/d/upper/a", "from/d/upper/x/b"] {
            fs::hard_link(scene.host("from/d/lower/a"), scene.host(path)).expect("linked");
        }
        let options = CopyOptions { link, identity: Some(&identity), ..CopyOptions::default() };
        scene.copy_with("d", "b", options).expect("copied");
        let inode = |path: &str| fs::metadata(scene.host(path)).expect(path).ino();
        let (lower, upper) = (inode("to/b/lower/a"), inode("to/b/upper/a"));
        assert_eq!(lower, inode("to/b/lower/b"), "{link:?}");
        assert_eq!(upper, inode("to/b/upper/x/b"), "{link:?}");
        assert_ne!(lower, upper, "{link:?}");
        let shared = [lower, upper].contains(&inode("from/d/lower/a"));
        assert_eq!(shared, link == LinkPolicy::HardLink, "{link:?}");
    }
}

#[test]
fn marks_of_an_overlay_are_kept_on_demand() {
    let name = "marks_of_an_overlay_are_kept_on_demand";
    for (overlay, link) in [
        (OverlayMarks::Keep, LinkPolicy::Never),
        (OverlayMarks::Keep, LinkPolicy::HardLink),
        (OverlayMarks::Drop, LinkPolicy::Never),
    ] {
        let scene = scene(&["d/s/a=1"], &[]);
        let (gone, opaque) = (Path::new("d/s/gone"), Path::new("d/s"));
        for made in [
            scene.from.make_node(gone, FileKind::CharDevice, 0, Device::default()),
            scene.from.set_xattr(opaque, b"user.overlay.opaque", b"y"),
            scene.from.set_xattr(opaque, b"user.overlay.impure", b"y"),
        ] {
            if let Err(error) = made {
                eprintln!("SKIP {name}: {error}");
                return;
            }
        }
        let options = CopyOptions { link, overlay, ..CopyOptions::default() };
        scene.copy_with("d", "b", options).expect("copied");
        assert_eq!(scene.dump(), ["b/", "b/s/", "b/s/a=1", "b/s/gone:CharDevice"]);
        let marks = scene.to.xattrs(Path::new("b/s")).expect("attributes");
        let marks: Vec<&[u8]> = marks.keys().map(Vec::as_slice).collect();
        match overlay {
            OverlayMarks::Keep => assert_eq!(marks, [b"user.overlay.opaque"]),
            OverlayMarks::Drop => assert!(marks.is_empty()),
        }
    }
}

/// INV-ROOTFS-4: whatever is done to the one tree, a file that both share stays as it is.
#[test]
fn inv_rootfs_4_nothing_is_written_through_a_shared_file() {
    type Change<'a> = (&'a str, &'a dyn Fn(&Scene));
    let changes: [Change<'_>; 6] = [
        ("copied over", &|scene| {
            make(&scene.host("from"), "other/a=new");
            scene.copy("other", "b").map(drop).expect("copied");
        }),
        ("copied over with an owner", &|scene| {
            let options = CopyOptions { mode: ModeChange::Set(0o600), ..CopyOptions::default() };
            scene.copy_with("d", "b", options).map(drop).expect("copied");
        }),
        ("written", &|scene| {
            let options = FileOptions { owner: mine(), mode: 0o600, mtime: None };
            scene.to.write_file(Path::new("b/a"), b"new", &options).expect("written");
        }),
        ("linked over", &|scene| {
            make(&scene.host("to"), "other/a=new");
            let (from, to) = (Root::open(&scene.host("to")), &scene.to);
            let (source, destination) = (Path::new("other"), Path::new("b"));
            let options = CopyOptions { link: LinkPolicy::HardLink, ..CopyOptions::default() };
            let from = &from.expect("opened");
            copy(&CopyRequest { from, source, to, destination, options }).expect("copied");
        }),
        ("replaced by renaming", &|scene| {
            make(&scene.host("to"), "other=new");
            scene.to.rename(Path::new("other"), Path::new("b/a")).expect("renamed");
        }),
        ("removed", &|scene| scene.to.remove(Path::new("b")).expect("removed")),
    ];
    for (what, change) in changes {
        let scene = scene(&["d/a=1"], &[]);
        let options = CopyOptions { link: LinkPolicy::HardLink, ..CopyOptions::default() };
        scene.copy_with("d", "b", options).expect("copied");
        let state = || {
            let path = Path::new("d/a");
            let metadata = scene.from.lstat(path).expect("stat");
            let content = scene.from.read(path, 10).expect("read");
            (metadata.mode, metadata.mtime, metadata.owner(), metadata.inode, content)
        };
        let before = state();
        let inode = |path: &str| fs::metadata(scene.host(path)).ok().map(|file| file.ino());
        assert_eq!(inode("to/b/a"), Some(before.3), "linked at first");
        change(&scene);
        assert_eq!(state(), before, "{what}");
        assert_ne!(inode("to/b/a"), Some(before.3), "{what}");
    }
}
