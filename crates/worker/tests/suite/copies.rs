//! `COPY` and `ADD`, as they are written: what is in the image then, and what counts for the key.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use lathe_graph::{
    CopyAction, FileAction, FileOp, InputIndex, MakeDirAction, MergeOp, Op, Selector, Unpack,
};
use lathe_store::SnapshotId;
use lathe_tree::Timestamp;

use super::{Bench, Case, Ran, Request, dump, files, make_file, plant};

pub(crate) const CASES: [(&str, Case); 15] = [
    ("sources_are_found_as_by_buildkit", sources_are_found),
    ("parents_are_kept", parents_are_kept),
    ("excluded_files_are_left_out", excluded_files_are_left_out),
    ("ignored_files_are_not_there", ignored_files_are_not_there),
    ("links_are_followed_inside", links_are_followed_inside),
    ("what_is_in_the_way_is_told_with_both_paths", what_is_in_the_way_is_told),
    ("parents_keep_modes_and_existing_owners", parents_keep_modes),
    ("owners_are_found_in_the_image", owners_are_found_in_the_image),
    ("modes_are_set_on_all_that_is_copied", modes_are_set),
    ("times_are_the_source_s_or_the_epoch", times_are_the_sources_or_the_epoch),
    ("special_files_and_hard_links_are_kept", special_files_and_hard_links_are_kept),
    ("archives_are_unpacked_by_content", archives_are_unpacked),
    ("heredocs_are_files", heredocs_are_files),
    ("keys_are_by_content", keys_are_by_content),
    ("a_link_is_a_merge", a_link_is_a_merge),
];

/// Reads `COPY [--flags] sources… destination` as the frontend does.
pub(crate) fn parse(command: &str) -> CopyAction {
    let mut words = command.split_whitespace();
    let unpack = match words.next() {
        Some("ADD") => Unpack::ByContent,
        _ => Unpack::Never,
    };
    let mut action = CopyAction {
        from: InputIndex(1),
        select: Selector::default(),
        destination: String::new(),
        owner: None,
        mode: None,
        unpack,
        parents: false,
    };
    let mut paths = Vec::new();
    for word in words {
        match word.split_once('=') {
            Some(("--exclude", pattern)) => action.select.exclude.push(pattern.to_owned()),
            Some(("--chown", owner)) => action.owner = Some(owner.to_owned()),
            Some(("--chmod", mode)) => action.mode = Some(mode.to_owned()),
            _ if word == "--parents" => action.parents = true,
            _ => paths.push(word.to_owned()),
        }
    }
    action.destination = paths.pop().expect("a destination");
    action.select.paths = paths;
    action
}

fn copy(bench: &Bench, base: Option<SnapshotId>, command: &str) -> Ran {
    let base_index = base.map(|_| InputIndex(0));
    let op = FileOp { base: base_index, actions: vec![FileAction::Copy(parse(command))] };
    bench.run_with(Request::new(Op::File(op), base))
}

/// Makes the context anew.
pub(crate) fn set_context(bench: &Bench, lines: &[&str]) {
    fs::remove_dir_all(bench.context()).expect("remove the context");
    fs::create_dir(bench.context()).expect("make the context");
    plant(&bench.context(), lines);
}

#[track_caller]
fn check(bench: &Bench, context: &[&str], base: &[&str], command: &str, expected: &[&str]) {
    set_context(bench, context);
    let base = bench.base(|root| plant(root, base));
    let ran = copy(bench, Some(base), command);
    let view = bench.snapshots.view(ran.snapshot()).expect("view");
    assert_eq!(dump(view.path()), expected, "{command}");
}

#[track_caller]
fn check_error(bench: &Bench, context: &[&str], base: &[&str], command: &str, expected: &str) {
    set_context(bench, context);
    let base = bench.base(|root| plant(root, base));
    let before = bench.count();
    let error = copy(bench, Some(base), command).error();
    assert!(error.contains(expected), "{command}: {error}");
    assert_eq!(bench.count(), before, "{command}");
}

fn sources_are_found(bench: &Bench) {
    let context = &["a.txt=1", "b.txt=2", "c.md=3", "d/x=4", "d/e/y=5", ".hidden=6"];
    let check = |command, expected: &[&str]| check(bench, context, &["dst/"], command, expected);
    check("COPY a.txt /dst", &["dst/", "dst/a.txt=1"]);
    check("COPY a.txt /dst/new", &["dst/", "dst/new=1"]);
    check("COPY a.txt b.txt /dst/", &["dst/", "dst/a.txt=1", "dst/b.txt=2"]);
    check("COPY *.txt /dst/", &["dst/", "dst/a.txt=1", "dst/b.txt=2"]);
    check("COPY [ac].* /dst/", &["dst/", "dst/a.txt=1", "dst/c.md=3"]);
    check("COPY d /dst/", &["dst/", "dst/e/", "dst/e/y=5", "dst/x=4"]);
    check("COPY d /new", &["dst/", "new/", "new/e/", "new/e/y=5", "new/x=4"]);
    check("COPY */x /dst/", &["dst/", "dst/x=4"]);
    check("COPY .* /dst/", &["dst/", "dst/.hidden=6"]);
    // Several folders merge.
    check("COPY d d/e /dst/", &["dst/", "dst/e/", "dst/e/y=5", "dst/x=4", "dst/y=5"]);
    // A pattern may match nothing, also below a folder that is not there.
    check("COPY none* /dst/", &["dst/"]);
    check("COPY a.txt none* /dst/", &["dst/", "dst/a.txt=1"]);
    check("COPY none/* /dst/", &["dst/"]);
    let error = |command, text| check_error(bench, context, &[], command, text);
    error("COPY none /dst/", "there is no `none` in the build context");
    error("COPY a.txt none /dst/", "there is no `none`");
}

fn parents_are_kept(bench: &Bench) {
    let context = &["a/b/c.txt=1", "a/b/d.md=2", "a/e/c.txt=3", "x/c.txt=4"];
    let check = |command, expected: &[&str]| check(bench, context, &[], command, expected);
    check("COPY --parents a/b/c.txt /o/", &["o/", "o/a/", "o/a/b/", "o/a/b/c.txt=1"]);
    check("COPY --parents a/./b/c.txt /o/", &["o/", "o/b/", "o/b/c.txt=1"]);
    check(
        "COPY --parents a/b x/c.txt /o",
        &["o/", "o/a/", "o/a/b/", "o/a/b/c.txt=1", "o/a/b/d.md=2", "o/x/", "o/x/c.txt=4"],
    );
    check(
        "COPY --parents **/c.txt /o/",
        &[
            "o/",
            "o/a/",
            "o/a/b/",
            "o/a/b/c.txt=1",
            "o/a/e/",
            "o/a/e/c.txt=3",
            "o/x/",
            "o/x/c.txt=4",
        ],
    );
    check(
        "COPY --parents a/*/c.txt /o/",
        &["o/", "o/a/", "o/a/b/", "o/a/b/c.txt=1", "o/a/e/", "o/a/e/c.txt=3"],
    );
    check("COPY --parents a/./**/*.md /o/", &["o/", "o/b/", "o/b/d.md=2"]);
    check("COPY --parents */./b/*.txt /o/", &["o/", "o/b/", "o/b/c.txt=1"]);
    check(
        "COPY --parents --exclude=**/*.md a /o/",
        &["o/", "o/a/", "o/a/b/", "o/a/b/c.txt=1", "o/a/e/", "o/a/e/c.txt=3"],
    );
    check("COPY --parents **/none /o/", &["o/"]);
    check(
        "COPY --parents . /o/",
        &[
            "o/",
            "o/a/",
            "o/a/b/",
            "o/a/b/c.txt=1",
            "o/a/b/d.md=2",
            "o/a/e/",
            "o/a/e/c.txt=3",
            "o/x/",
            "o/x/c.txt=4",
        ],
    );
    let error = |command, text| check_error(bench, context, &[], command, text);
    error("COPY --parents a/none /o/", "there is no `a/none`");
    error("COPY --parents a/./none /o/", "there is no `a/none`");
}

fn excluded_files_are_left_out(bench: &Bench) {
    let context = &["d/a.go=1", "d/a.md=2", "d/e/b.go=3", "d/e/b.md=4", "d/t/u/v=5", "top.md=6"];
    let check = |command, expected: &[&str]| check(bench, context, &[], command, expected);
    // Relative to the source, and of the same language as the ignore file's.
    check(
        "COPY --exclude=*.md d /o/",
        &["o/", "o/a.go=1", "o/e/", "o/e/b.go=3", "o/e/b.md=4", "o/t/", "o/t/u/", "o/t/u/v=5"],
    );
    check("COPY --exclude=**/*.md --exclude=t d /o/", &["o/", "o/a.go=1", "o/e/", "o/e/b.go=3"]);
    check(
        "COPY --exclude=e --exclude=!e/b.go --exclude=t d /o/",
        &["o/", "o/a.go=1", "o/a.md=2", "o/e/", "o/e/b.go=3"],
    );
    check(
        "COPY --exclude=d --exclude=!d/e/b.go . /o/",
        &["o/", "o/d/", "o/d/e/", "o/d/e/b.go=3", "o/top.md=6"],
    );
    // A file that a pattern found is reached by its name, one that was named is not.
    check("COPY --exclude=*.md d/a.* /o/", &["o/", "o/a.go=1"]);
    check("COPY --exclude=*.md d/a.md /o/", &["o/", "o/a.md=2"]);
}

fn ignored_files_are_not_there(bench: &Bench) {
    let context = &[
        ".dockerignore=secret",
        "secret=1",
        "link->secret",
        "d/secret=2",
        "d/kept=3",
        "out/a=4",
        "out/keep/b=5",
    ];
    let all = &[
        "o/",
        "o/.dockerignore=secret",
        "o/d/",
        "o/d/kept=3",
        "o/d/secret=2",
        "o/link->secret",
        "o/out/",
        "o/out/a=4",
        "o/out/keep/",
        "o/out/keep/b=5",
    ];
    check(bench, context, &[], "COPY . /o/", all);
    check(bench, context, &[], "COPY sec* /o/", &[]);
    check_error(bench, context, &[], "COPY secret /o/", "there is no `secret`");
    // The link is there, what it leads to is not.
    check_error(bench, context, &[], "COPY link /o/", "there is no `link`");
    let negated = &[".dockerignore=*\n!out/keep", "a=1", "out/a=4", "out/keep/b=5"];
    check(bench, negated, &[], "COPY . /o/", &["o/", "o/out/", "o/out/keep/", "o/out/keep/b=5"]);
}

fn links_are_followed_inside(bench: &Bench) {
    let context =
        &["real/f=1", "real/in->f", "dir->real", "file->real/f", "up->../../real", "no->/none"];
    let check = |base: &[&str], command, expected: &[&str]| {
        check(bench, context, base, command, expected);
    };
    check(&[], "COPY dir /o/", &["o/", "o/f=1", "o/in->f"]);
    check(&[], "COPY file /o/", &["o/", "o/file=1"]);
    check(&[], "COPY dir/in /o/", &["o/", "o/in=1"]);
    check(&[], "COPY dir/* /o/", &["o/", "o/f=1", "o/in=1"]);
    check(&[], "COPY up /o/", &["o/", "o/f=1", "o/in->f"]);
    // A pattern looks into folders, not through links to them.
    check(&[], "COPY */f /o/", &["o/", "o/f=1"]);
    // Links of the destination are followed inside of the image.
    check(&["l->/d", "d/"], "COPY file /l/x", &["d/", "d/x=1", "l->/d"]);
    check(&["l->../../new"], "COPY file /l/", &["l->../../new", "new/", "new/file=1"]);
    check(&["d/file->/e", "e=0"], "COPY file /d/", &["d/", "d/file=1", "e=0"]);
    check_error(bench, context, &[], "COPY no /o/", "there is no `no`");
}

fn what_is_in_the_way_is_told(bench: &Bench) {
    let error = |context: &[&str], base: &[&str], command, expected| {
        check_error(bench, context, base, command, expected);
    };
    let both = "cannot copy file `d/x` over directory `o/x`";
    error(&["d/x=1"], &["o/x/"], "COPY d /o/", both);
    error(&["x=1"], &["o/x/"], "COPY x /o/", "cannot copy file `x` over directory `o/x`");
    let both = "cannot copy directory `d/x` over file `o/x`";
    error(&["d/x/y=1"], &["o/x=0"], "COPY d /o/", both);
    error(&["d/x=1"], &["o=0"], "COPY d /o", "cannot copy directory `d` over file `o`");
    error(&["x=1"], &["o=0"], "COPY x /o/", "`o`");
    // A link to a directory is no directory: nothing is written through it.
    error(&["d/x/y=1"], &["o/x->/e", "e/"], "COPY d /o/", "over file `o/x`");
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("stat").mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set the mode");
}

fn parents_keep_modes(bench: &Bench) {
    plant(&bench.context(), &["etc/app/conf=1"]);
    set_mode(&bench.context().join("etc"), 0o700);
    set_mode(&bench.context().join("etc/app"), 0o711);
    let base = bench.base(|root| {
        plant(root, &["etc/"]);
        set_mode(&root.join("etc"), 0o755);
    });
    let command = "COPY --parents --chown=0:0 --chmod=600 etc/app/conf /";
    let view = bench.snapshots.view(copy(bench, Some(base), command).snapshot()).expect("view");
    // Made by the copy: as asked. There before: only the mode, and the source's.
    assert_eq!(mode_of(&view.path().join("etc/app/conf")), 0o600);
    assert_eq!(mode_of(&view.path().join("etc/app")), 0o600);
    assert_eq!(mode_of(&view.path().join("etc")), 0o700);
    let view = copy(bench, Some(base), "COPY --parents etc/app/conf /");
    let view = bench.snapshots.view(view.snapshot()).expect("view");
    assert_eq!(mode_of(&view.path().join("etc/app")), 0o711);
}

/// Tells whether this process may give files to others.
pub(crate) fn can_chown(bench: &Bench) -> bool {
    let probe = bench.folder.path().join("probe");
    fs::write(&probe, "").expect("write");
    let can = std::os::unix::fs::chown(&probe, Some(1000), Some(1001)).is_ok();
    if !can {
        println!("SKIP owners: there is one id only");
    }
    can
}

fn owners_are_found_in_the_image(bench: &Bench) {
    plant(&bench.context(), &["f=1"]);
    let passwd = "root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:/bin/sh\n";
    let group = "root:x:0:\nweb:x:1002:\n";
    let base = bench.base(|root| {
        plant(root, &["etc/"]);
        fs::write(root.join("etc/passwd"), passwd).expect("write");
        fs::write(root.join("etc/group"), group).expect("write");
    });
    let failed =
        |base, owner: &str| copy(bench, base, &format!("COPY --chown={owner} f /o/")).error();
    assert!(failed(Some(base), "nobody").contains("unable to find user nobody"));
    assert!(failed(Some(base), "app:none").contains("unable to find group none"));
    assert!(failed(None, "app").contains("unable to find user app"));
    if !can_chown(bench) {
        return;
    }
    let check = |base, owner: &str, expected: (u32, u32)| {
        let ran = copy(bench, base, &format!("COPY --chown={owner} f /o/"));
        let view = bench.snapshots.view(ran.snapshot()).expect("view");
        for path in ["o", "o/f"] {
            let metadata = fs::symlink_metadata(view.path().join(path)).expect("stat");
            assert_eq!((metadata.uid(), metadata.gid()), expected, "{owner} of {path}");
        }
    };
    check(Some(base), "app", (1000, 1001));
    check(Some(base), "app:web", (1000, 1002));
    check(Some(base), "app:0", (1000, 0));
    // A number is a group, too, and needs no file.
    check(Some(base), "1000", (1000, 1000));
    check(Some(base), "7:web", (7, 1002));
    check(None, "12", (12, 12));
    check(None, "12:13", (12, 13));
    // `USER` is read like that for the folder of `WORKDIR`.
    let dir = MakeDirAction { path: "/w".to_owned(), mode: 0o755, owner: Some("1000".to_owned()) };
    let output = bench.run(files(vec![FileAction::MakeDir(dir)]), base).expect("make");
    let lathe_worker::Output::Snapshot(made) = output else { panic!("no snapshot") };
    let metadata = fs::metadata(bench.snapshots.changes(made).join("w")).expect("stat");
    assert_eq!((metadata.uid(), metadata.gid()), (1000, 1000));
    passwd_must_be_a_small_file(bench);
}

/// GHSA-72x6-4j93-7w86.
fn passwd_must_be_a_small_file(bench: &Bench) {
    let huge = bench.base(|root| {
        plant(root, &["etc/"]);
        let file = fs::File::create(root.join("etc/passwd")).expect("make");
        file.set_len(20 << 20).expect("grow");
    });
    let error = copy(bench, Some(huge), "COPY --chown=app f /o/").error();
    assert!(error.contains("longer than"), "{error}");
    let odd = bench.base(|root| plant(root, &["etc/passwd/"]));
    let error = copy(bench, Some(odd), "COPY --chown=app f /o/").error();
    assert!(error.contains("unable to find user app"), "{error}");
}

fn modes_are_set(bench: &Bench) {
    plant(&bench.context(), &["d/f=1", "d/run=2", "d/sub/g=3"]);
    for (path, mode) in [("d", 0o700), ("d/f", 0o640), ("d/run", 0o750), ("d/sub", 0o700)] {
        set_mode(&bench.context().join(path), mode);
    }
    let check = |mode: &str, expected: [u32; 4]| {
        let ran = copy(bench, None, &format!("COPY --chmod={mode} d /o"));
        let changes = bench.snapshots.changes(ran.snapshot());
        let modes = ["o", "o/f", "o/run", "o/sub"].map(|path| mode_of(&changes.join(path)));
        assert_eq!(modes.map(|mode| format!("{mode:o}")), expected.map(|mode| format!("{mode:o}")));
    };
    // The destination itself is made with 0755, as all folders that only lead there.
    check("755", [0o755, 0o755, 0o755, 0o755]);
    check("4711", [0o755, 0o4711, 0o4711, 0o4711]);
    check("u=rwX,go=rX", [0o755, 0o644, 0o755, 0o755]);
    check("+x", [0o755, 0o751, 0o751, 0o711]);
    for mode in ["10000", "8", "u=q"] {
        let error = copy(bench, None, &format!("COPY --chmod={mode} d /o")).error();
        assert!(error.contains(mode), "{error}");
    }
}

fn times_are_the_sources_or_the_epoch(bench: &Bench) {
    plant(&bench.context(), &["d/f=1", "d/sub/g=2"]);
    let root = lathe_rootfs::Root::open(&bench.context()).expect("open");
    for (path, seconds) in [("d/f", 1000), ("d/sub", 2000), ("d", 3000)] {
        root.set_times(Path::new(path), Timestamp::from_seconds(seconds)).expect("set");
    }
    for (epoch, expected) in [(None, [1000, 2000, 3000]), (Some(77), [77, 77, 77])] {
        let op = FileOp { base: None, actions: vec![FileAction::Copy(parse("COPY d /a/o"))] };
        let epoch = epoch.map(Timestamp::from_seconds);
        let ran = bench.run_with(Request { epoch, ..Request::new(Op::File(op), None) });
        let changes = bench.snapshots.changes(ran.snapshot());
        let time = |path| fs::metadata(changes.join(path)).expect("stat").mtime();
        assert_eq!(["a/o/f", "a/o/sub", "a/o"].map(time), expected);
    }
}

fn special_files_and_hard_links_are_kept(bench: &Bench) {
    let from = bench.base(|root| {
        plant(root, &["d/one=1", "d/s/"]);
        fs::hard_link(root.join("d/one"), root.join("d/s/two")).expect("link");
        let open = lathe_rootfs::Root::open(root).expect("open");
        let fifo = lathe_tree::FileKind::Fifo;
        open.make_node(Path::new("d/fifo"), fifo, 0o640, lathe_tree::Device::default())
            .expect("make a pipe");
        let big = fs::File::create(root.join("d/sparse")).expect("make");
        big.set_len(8 << 20).expect("grow");
    });
    let op = FileOp { base: None, actions: vec![FileAction::Copy(parse("COPY d /o"))] };
    let request = Request { from: Some(from), ..Request::new(Op::File(op), None) };
    let changes = bench.snapshots.changes(bench.run_with(request).snapshot());
    let stat = |path: &str| fs::symlink_metadata(changes.join(path)).expect("stat");
    assert_eq!(stat("o/one").ino(), stat("o/s/two").ino());
    assert!(stat("o/fifo").file_type().is_fifo());
    assert_eq!(stat("o/fifo").mode() & 0o777, 0o640);
    assert_eq!(stat("o/sparse").len(), 8 << 20);
    assert!(stat("o/sparse").blocks() < 100, "the hole is one no more");
}

/// Returns a tar with one file.
fn tar(name: &str, content: &str) -> Vec<u8> {
    let mut block = [0_u8; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    for (at, text) in [
        (100, "0000640\0".to_owned()),
        (108, "0000000\0".to_owned()),
        (116, "0000000\0".to_owned()),
        (124, format!("{:011o}\0", content.len())),
        (136, format!("{:011o}\0", 1234)),
        (148, "        ".to_owned()),
        (156, "0".to_owned()),
        (257, "ustar\0".to_owned()),
        (263, "00".to_owned()),
    ] {
        block[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = block.to_vec();
    archive.extend(content.as_bytes());
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

fn archives_are_unpacked(bench: &Bench) {
    fs::write(bench.context().join("a.bin"), tar("in/f", "packed")).expect("write");
    fs::write(bench.context().join("b.tar"), "no archive at all").expect("write");
    let unpacked = copy(bench, None, "ADD a.bin b.tar /o/");
    let changes = bench.snapshots.changes(unpacked.snapshot());
    let expected = ["o/", "o/b.tar=no archive at all", "o/in/", "o/in/f=packed"];
    assert_eq!(dump(&changes), expected);
    let file = fs::metadata(changes.join("o/in/f")).expect("stat");
    assert_eq!((file.mtime(), file.mode() & 0o777), (1234, 0o640));
    // COPY leaves archives alone.
    let copied = copy(bench, None, "COPY a.bin /o/");
    assert!(bench.snapshots.changes(copied.snapshot()).join("o/a.bin").exists());
}

fn heredocs_are_files(bench: &Bench) {
    let base = bench.base(|root| plant(root, &["dir/"]));
    let check = |path: &str, expected: &[&str]| {
        let output = bench.run(files(vec![make_file(path)]), base).expect("make");
        let lathe_worker::Output::Snapshot(made) = output else { panic!("no snapshot") };
        let view = bench.snapshots.view(made).expect("view");
        assert_eq!(dump(view.path()), expected, "{path}");
    };
    check("/new", &["dir/", "new=made"]);
    check("/new/", &["dir/", "new/", "new/file=made"]);
    check("/dir", &["dir/", "dir/file=made"]);
    check("/a/b", &["a/", "a/b=made", "dir/"]);
}

fn keys_are_by_content(bench: &Bench) {
    let key = |command: &str| copy(bench, None, command).key;
    let context = bench.context();
    let lines = ["d/f=1", "d/e/g=2", "link->d/f", "x/f=1", "x/e/g=2"];
    set_context(bench, &lines);
    let commands = ["COPY d /o/", "COPY link /o/", "COPY --parents d/*/g /o/"];
    let before = commands.map(key);
    // Times do not count, nor what is not copied.
    let root = lathe_rootfs::Root::open(&context).expect("open");
    root.set_times(Path::new("d/f"), Timestamp::from_seconds(1)).expect("set");
    plant(&context, &["other=1"]);
    assert_eq!(commands.map(key), before);
    let differs = |change: &dyn Fn(), commands: &[&str]| {
        let before: Vec<_> = commands.iter().map(|command| key(command)).collect();
        change();
        for (command, before) in commands.iter().zip(before) {
            assert_ne!(key(command), before, "{command}");
        }
        set_context(bench, &lines);
    };
    let write = |path: &str| fs::write(context.join(path), "new").expect("write");
    differs(&|| write("d/f"), &["COPY d /o/", "COPY link /o/", "COPY d/f /o/"]);
    differs(&|| set_mode(&context.join("d/f"), 0o600), &["COPY d /o/", "COPY link /o/"]);
    // What only leads to a file counts with `--parents`: its mode is copied.
    differs(&|| set_mode(&context.join("d"), 0o700), &["COPY --parents d/*/g /o/"]);
    differs(&|| set_mode(&context.join("d/e"), 0o700), &["COPY --parents d/*/g /o/"]);
    let parents = key("COPY --parents d/*/g /o/");
    write("d/f");
    assert_eq!(key("COPY --parents d/*/g /o/"), parents, "what is not selected does not count");
    // Names of what a pattern finds count.
    assert_ne!(key("COPY d/e/g /o/"), key("COPY x/e/g /o/"));
    let excluded = key("COPY --exclude=f d /o/");
    plant(&context, &["d/f=other"]);
    assert_eq!(key("COPY --exclude=f d /o/"), excluded);
}

fn a_link_is_a_merge(bench: &Bench) {
    plant(&bench.context(), &["f=new"]);
    let layer = copy(bench, None, "COPY --chmod=711 f /lib/app/").snapshot();
    let base = bench.base(|root| plant(root, &["usr/lib/kept=1", "lib->usr/lib"]));
    let merge = |base: Option<InputIndex>| Op::Merge(MergeOp { base, layer: InputIndex(1) });
    let ran = bench.run_with(Request {
        from: Some(layer),
        ..Request::new(merge(Some(InputIndex(0))), Some(base))
    });
    let view = bench.snapshots.view(ran.snapshot()).expect("view");
    // The link is replaced, not followed.
    let expected = ["lib/", "lib/app/", "lib/app/f=new", "usr/", "usr/lib/", "usr/lib/kept=1"];
    assert_eq!(dump(view.path()), expected);
    assert_eq!(mode_of(&view.path().join("lib/app/f")), 0o711);
    let alone = Request { from: Some(layer), ..Request::new(merge(None), None) };
    assert_eq!(bench.run_with(alone).snapshot(), layer);
}
