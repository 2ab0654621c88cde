//! Layers of known trees, their bytes, and the way back.

use super::*;
use crate::unpack::OverlayAttributes;
use crate::unpack::UnpackOptions;
use crate::unpack::Whiteouts;
use crate::unpack::unpack;
use lathe_rootfs::DirOptions;
use lathe_tree::Device;
use lathe_tree::FileKind;
use lathe_tree::Owner;
use lathe_tree::Timestamp;
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

struct Tree {
    directory: tempfile::TempDir,
    root: Root,
}

fn tree() -> Tree {
    let directory = tempfile::tempdir().expect("temporary directory");
    let root = Root::open(directory.path()).expect("opened");
    Tree { directory, root }
}

impl Tree {
    fn file(&self, path: &str, content: &[u8]) {
        let host = self.directory.path().join(path);
        fs::create_dir_all(host.parent().expect("parent")).expect("made");
        fs::write(host, content).expect("written");
    }

    fn owner(&self) -> Owner {
        let metadata = fs::metadata(self.directory.path()).expect("stat");
        Owner { uid: metadata.uid(), gid: metadata.gid() }
    }

    fn stamp(&self) {
        let walk = self.root.walk(Path::new("/")).expect("walk");
        for entry in walk.collect::<lathe_rootfs::Result<Vec<_>>>().expect("entries") {
            self.root.set_times(&entry.path, Timestamp::from_seconds(1_600_000_000)).expect("set");
            if entry.metadata.kind != FileKind::Symlink {
                self.root.set_mode(&entry.path, 0o755).expect("set");
            }
        }
    }

    fn request(&self) -> PackRequest<'_> {
        PackRequest {
            changes: &self.root,
            lower: None,
            compression: Compression::None,
            level: None,
            epoch: None,
            threads: 1,
        }
    }
}

fn bytes(request: &PackRequest<'_>) -> Vec<u8> {
    let (bytes, packed) = pack_to(request, Vec::new()).expect("packed");
    assert_eq!(digest(request).expect("digest"), packed);
    if request.compression == Compression::None {
        assert_eq!(packed.diff_id.0, lathe_oci::Digest::of(&bytes));
        assert_eq!(packed.tar_size, bytes.len() as u64);
    }
    bytes
}

fn names(layer: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(layer);
    let entries = archive.entries().expect("entries");
    entries
        .map(|entry| {
            let entry = entry.expect("entry");
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            match entry.link_name_bytes() {
                Some(link) => format!("{path}->{}", String::from_utf8_lossy(&link)),
                None => path,
            }
        })
        .collect()
}

#[test]
fn entries_are_sorted_and_hard_links_kept() {
    let tree = tree();
    for path in ["b/z", "b/a", "a", "b-c", "b.d"] {
        tree.file(path, b"x");
    }
    tree.root.hard_link(Path::new("b/z"), Path::new("c")).expect("linked");
    tree.root.symlink("b/a".as_ref(), Path::new("b/l")).expect("linked");
    tree.root.make_node(Path::new("s"), FileKind::Socket, 0o600, Device::default()).expect("made");
    let layer = bytes(&tree.request());
    assert_eq!(names(&layer), ["a", "b/", "b/a", "b/l->b/a", "b/z", "b-c", "b.d", "c->b/z"]);
}

#[test]
fn an_empty_tree_is_two_zero_blocks() {
    let tree = tree();
    assert_eq!(bytes(&tree.request()), vec![0; 1024]);
}

/// INV-LAYER-1. Golden: a change of these bytes is a change of every layer.
#[test]
fn the_layer_of_a_fixed_tree_is_stable() {
    let tree = tree();
    if tree.owner() != Owner::ROOT {
        eprintln!("SKIP the_layer_of_a_fixed_tree_is_stable: needs root");
        return;
    }
    tree.file("etc/conf", b"key = value\n");
    tree.file("bin/program", &vec![b'p'; 3_000_000]);
    tree.file(&format!("{}/ü", "long/".repeat(40)), b"");
    tree.root.symlink("program".as_ref(), Path::new("bin/link")).expect("linked");
    tree.root.hard_link(Path::new("etc/conf"), Path::new("etc/conf2")).expect("linked");
    tree.stamp();
    for (compression, golden) in [
        (
            Compression::None,
            "sha256:cbebf96caf15a9c4255915d93894cadc948cbea12eae2fefb2a8e9a914011152",
        ),
        (
            Compression::Gzip,
            "sha256:637c14673f54918a0619ad64141ed10c61f01864e0230269f59824ca720ec6c3",
        ),
        (
            Compression::Zstd,
            "sha256:1fcccbbb0c9c87dfd4f1400af306a26777a9eb60fc6e72e1cfbc495cc2ca9332",
        ),
    ] {
        let digest = |threads| {
            let bytes = bytes(&PackRequest { compression, threads, ..tree.request() });
            lathe_oci::Digest::of(&bytes).to_string()
        };
        let one = digest(1);
        assert_eq!(one, digest(2), "{compression}");
        assert_eq!(one, digest(4), "{compression}");
        assert_eq!(one, golden, "{compression}");
    }
}

#[test]
fn times_are_whole_seconds_and_at_most_the_epoch() {
    let tree = tree();
    tree.file("new", b"");
    tree.file("old", b"");
    let set = |path: &str, seconds| {
        let time = Timestamp { seconds, nanos: 999 };
        tree.root.set_times(Path::new(path), time).expect("set");
    };
    set("new", 2_000_000_000);
    set("old", 5);
    let times = |epoch| {
        let layer = bytes(&PackRequest { epoch, ..tree.request() });
        let mut archive = tar::Archive::new(&layer[..]);
        let entries = archive.entries().expect("entries");
        entries.map(|entry| entry.expect("entry").header().mtime().expect("mtime")).collect()
    };
    let with_epoch: Vec<u64> = times(Some(1_000_000_000));
    assert_eq!(with_epoch, [1_000_000_000, 5]);
    let without: Vec<u64> = times(None);
    assert_eq!(without, [2_000_000_000, 5]);
}

#[test]
fn a_file_that_shrinks_is_an_error() {
    // procfs says 0, so a sparse trick: sysfs files claim 4096 bytes and give fewer.
    let Ok(root) = Root::open(Path::new("/sys/kernel/mm/transparent_hugepage")) else {
        eprintln!("SKIP a_file_that_shrinks_is_an_error: no such directory here");
        return;
    };
    let request = PackRequest {
        changes: &root,
        lower: None,
        level: None,
        compression: Compression::None,
        epoch: None,
        threads: 1,
    };
    let result = pack_to(&request, Vec::new());
    assert!(matches!(result, Err(Error::Shrunk { .. } | Error::PackEntry { .. })));
}

/// Sets attributes as overlayfs does; `false` when this file system or user may not.
fn set_marks(tree: &Tree, marks: &[(&str, &str, &str)]) -> bool {
    marks.iter().all(|(path, name, value)| {
        tree.root.set_xattr(Path::new(path), name.as_bytes(), value.as_bytes()).is_ok()
    })
}

/// INV-LAYER-4, on the way out.
#[test]
fn marks_of_overlayfs_become_whiteouts() {
    let (tree, lower) = (tree(), tree());
    tree.file("dir/file", b"x");
    tree.file("fresh/file", b"x");
    tree.file("nested", b"");
    lower.file("dir/hidden", b"x");
    let marks = [
        ("dir", "user.overlay.opaque", "y"),
        ("dir", "user.overlay.origin", "whatever"),
        ("dir", "user.kept", "1"),
        ("fresh", "user.overlay.opaque", "y"),
        ("nested", "user.overlay.whiteout", ""),
    ];
    let gone = Path::new("dir/gone");
    let made = tree.root.make_node(gone, FileKind::CharDevice, 0, Device::default());
    if made.is_err() || !set_marks(&tree, &marks) {
        eprintln!("SKIP marks_of_overlayfs_become_whiteouts: no user attributes here");
        return;
    }
    let request = PackRequest { lower: Some(&lower.root), ..tree.request() };
    let layer = bytes(&request);
    let expected = ["dir/", "dir/.wh..wh..opq", "dir/file", "dir/.wh.gone", "fresh/", "fresh/file"];
    assert_eq!(names(&layer)[..6], expected);
    assert_eq!(names(&layer)[6..], [".wh.nested"]);
    let text = String::from_utf8_lossy(&layer);
    assert!(text.contains("SCHILY.xattr.user.kept=1") && !text.contains("overlay"));
    // And back: the bare directory of this layer gives the same layer again.
    let back = self::tree();
    let whiteouts = Whiteouts::Overlay(OverlayAttributes::User);
    let options = UnpackOptions { whiteouts, ..UnpackOptions::default() };
    unpack(&layer[..], Compression::None, &back.root, &options).expect("unpacked");
    assert!(bytes(&PackRequest { changes: &back.root, ..request }) == layer);
}

#[test]
fn what_only_the_overlay_can_read_is_refused() {
    let tree = tree();
    tree.file("dir/file", b"x");
    if !set_marks(&tree, &[("dir", "user.overlay.redirect", "/other")]) {
        eprintln!("SKIP what_only_the_overlay_can_read_is_refused: no user attributes here");
        return;
    }
    let result = pack_to(&tree.request(), Vec::new());
    assert!(matches!(result, Err(Error::OverlayFeature { .. })));
}

/// What a random tree is made of.
#[derive(Debug, Clone)]
enum Node {
    File(Vec<u8>, u32),
    Directory(u32),
    Symlink(String),
    Link,
}

fn nodes() -> impl Strategy<Value = Vec<(String, Node)>> {
    let name = "([a-dü]|[a-b]{60}|[a-b]{120})(/([a-dü]|[b-c]{60})){0,3}";
    let node = prop_oneof![
        (proptest::collection::vec(any::<u8>(), 0..2000), 0o400..0o7777_u32)
            .prop_map(|(content, mode)| Node::File(content, mode | 0o400)),
        (0o700..0o7777_u32).prop_map(|mode| Node::Directory(mode | 0o700)),
        "[a-z/.]{1,150}".prop_map(Node::Symlink),
        Just(Node::Link),
    ];
    proptest::collection::vec((name, node), 0..25)
}

/// Makes what can be made; names that are in each other's way are left out.
fn grow(tree: &Tree, nodes: &[(String, Node)]) {
    let host = |path: &str| tree.directory.path().join(path);
    let mut modes = Vec::new();
    let mut last_file = None;
    for (path, node) in nodes {
        let free = fs::symlink_metadata(host(path)).is_err();
        let parent = host(path).parent().expect("parent").to_owned();
        let no_link = Path::new(path).ancestors().skip(1).all(|above| {
            fs::symlink_metadata(tree.directory.path().join(above))
                .map_or(true, |metadata| metadata.is_dir())
        });
        if !free || !no_link || fs::create_dir_all(parent).is_err() {
            continue;
        }
        match node {
            Node::File(content, mode) => {
                fs::write(host(path), content).expect("written");
                modes.push((path.clone(), *mode));
                last_file = Some(path.clone());
            }
            Node::Directory(mode) => {
                fs::create_dir(host(path)).expect("made");
                modes.push((path.clone(), *mode));
            }
            Node::Symlink(target) => {
                std::os::unix::fs::symlink(target, host(path)).expect("linked");
            }
            Node::Link => {
                if let Some(file) = &last_file {
                    fs::hard_link(host(file), host(path)).expect("linked");
                }
            }
        }
    }
    tree.stamp();
    for (path, mode) in modes {
        tree.root.set_mode(Path::new(&path), mode).expect("set");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn packing_what_was_unpacked_gives_the_same_layer(nodes in nodes()) {
        let (tree, back) = (tree(), tree());
        grow(&tree, &nodes);
        let layer = bytes(&tree.request());
        let unpacked = unpack(
            &layer[..],
            Compression::None,
            &back.root,
            &UnpackOptions::default(),
        ).expect("unpacked");
        prop_assert_eq!(unpacked.unpacked_size <= layer.len() as u64, true);
        prop_assert!(bytes(&back.request()) == layer);
    }
}

#[test]
fn a_directory_that_is_as_below_and_holds_no_change_is_left_out() {
    let (tree, lower) = (tree(), tree());
    for (name, mtime) in [("touched", 1), ("way", 1), ("way/changed", 1), ("newer", 2)] {
        for (side, mtime) in [(&tree, mtime), (&lower, 1)] {
            let mtime = Some(Timestamp::from_seconds(mtime));
            let options = DirOptions { owner: tree.owner(), mode: 0o755, mtime };
            side.root.create_dir_all(Path::new(name), &options).expect("made");
        }
    }
    tree.file("way/changed/file", b"x");
    for side in [&tree, &lower] {
        for name in ["way", "way/changed"] {
            side.root.set_times(Path::new(name), Timestamp::from_seconds(1)).expect("set");
        }
    }
    let request = PackRequest { lower: Some(&lower.root), ..tree.request() };
    assert_eq!(names(&bytes(&request)), ["newer/", "way/", "way/changed/", "way/changed/file"]);
}

/// A tree of all that is special, some of it large, and one below it. `None` where it cannot be
/// made.
fn many_kinds() -> Option<(Tree, Tree)> {
    let (tree, lower) = (tree(), tree());
    let root = &tree.root;
    for number in 0..700_usize {
        let content = vec![u8::try_from(number % 251).expect("fits"); number * 37 % 9000];
        tree.file(&format!("d{}/e{}/f{number}", number % 23, number % 5), &content);
    }
    for size in [131_071, 131_072, 131_073, 262_144, 1_000_000, 3 * 1024 * 1024 + 5] {
        let content: Vec<u8> = (0..size).map(|at: usize| at.to_le_bytes()[at % 2]).collect();
        tree.file(&format!("large/{size}"), &content);
    }
    for (name, begin, end) in [("begin", 0, 700_000), ("middle", 300_000, 900_000), ("all", 0, 0)] {
        use std::os::unix::fs::FileExt as _;
        tree.file(&format!("holes/{name}"), b"");
        let host = tree.directory.path().join("holes").join(name);
        let file = fs::OpenOptions::new().write(true).open(host).expect("opened");
        file.write_all_at(b"content", end).expect("written");
        file.write_all_at(b"content", begin).expect("written");
        file.set_len(1_234_567).expect("longer");
    }
    for (first, second) in [("d1/e1/f1", "a"), ("large/1000000", "large/other"), ("d2/e0/f25", "z")]
    {
        root.hard_link(Path::new(first), Path::new(second)).expect("linked");
    }
    root.symlink("d1".as_ref(), Path::new("d7/link")).expect("linked");
    tree.file("d3/empty", b"");
    root.hard_link(Path::new("d3/empty"), Path::new("d4/empty")).expect("linked");
    for gone in ["d1/gone", "d9/gone"] {
        lower.file(gone, b"x");
        root.make_node(Path::new(gone), FileKind::CharDevice, 0, Device::default()).ok()?;
    }
    lower.file("d5/hidden", b"x");
    for number in 0..200 {
        let name = format!("same/{number}/{number}");
        tree.file(&format!("{name}/file"), b"x");
        lower.file(&format!("{name}/file"), b"y");
        if number % 3 > 0 {
            root.remove(Path::new(&format!("{name}/file"))).expect("removed");
        }
    }
    for name in ["d3/mark", "d4/mark"] {
        tree.file(name, b"");
    }
    let marks = [("d5", "user.overlay.opaque", "y"), ("d6", "user.kept", "1")];
    let marks = marks.into_iter().chain([("d3/mark", "user.overlay.whiteout", "")]);
    if !set_marks(&tree, &marks.collect::<Vec<_>>()) {
        return None;
    }
    // Two names of one whiteout, as overlayfs makes them.
    root.hard_link(Path::new("d3/mark"), Path::new("d8/mark")).expect("linked");
    tree.stamp();
    lower.stamp();
    Some((tree, lower))
}

/// INV-LAYER-1, of reading ahead.
#[test]
fn readers_leave_no_trace() {
    let Some((tree, lower)) = many_kinds() else {
        eprintln!("SKIP readers_leave_no_trace: no whiteouts or user attributes here");
        return;
    };
    for lower in [None, Some(&lower.root)] {
        let of = |threads| bytes(&PackRequest { lower, threads, ..tree.request() });
        let expected = of(1);
        for threads in [2, 3, 8, 100] {
            assert!(of(threads) == expected, "{threads} threads");
        }
        let names = names(&expected);
        let has = |name: &str| names.iter().any(|found| found == name);
        assert!(has("d1/e1/f1->a") && has("large/other->large/1000000"), "{names:?}");
        assert!(has("d2/e0/f25") && has("z->d2/e0/f25") && has("d4/empty->d3/empty"));
        assert!(has("d3/.wh.mark") && has("d8/.wh.mark") && has("d4/mark"));
        assert_eq!(has("d5/.wh..wh..opq"), lower.is_some());
        assert_eq!(has("same/1/"), lower.is_none());
        assert!(has("same/3/3/file"));
        let mut archive = tar::Archive::new(&expected[..]);
        for entry in archive.entries().expect("entries") {
            use std::io::Read as _;
            let mut entry = entry.expect("entry");
            let path = entry.path().expect("path").into_owned();
            if entry.header().entry_type() == tar::EntryType::Regular && !path.ends_with(".wh.mark")
            {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).expect("content");
                let Ok(file) = fs::read(tree.directory.path().join(&path)) else { continue };
                assert!(file == content, "{}", path.display());
            }
        }
    }
}

#[test]
fn an_error_of_a_reader_ends_the_packing() {
    let tree = tree();
    for number in 0..3000 {
        tree.file(&format!("d{}/{number}", number % 7), b"content");
    }
    tree.file("d5/mark", b"");
    if !set_marks(&tree, &[("d5/mark", "user.overlay.metacopy", "")]) {
        eprintln!("SKIP an_error_of_a_reader_ends_the_packing: no user attributes here");
        return;
    }
    for threads in [1, 2, 8] {
        let result = digest(&PackRequest { threads, ..tree.request() });
        assert!(matches!(result, Err(Error::OverlayFeature { .. })), "{threads}: {result:?}");
    }
}

#[test]
fn an_output_that_fails_ends_the_packing() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let tree = tree();
    tree.file("large", &vec![7; 20 * 1024 * 1024]);
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        for threads in [1, 4] {
            let request = PackRequest { compression, threads, ..tree.request() };
            let result = pack_to(&request, Full(100));
            let is_full = matches!(&result, Err(Error::WriteLayer { source })
                if source.kind() == io::ErrorKind::StorageFull);
            assert!(is_full, "{compression} with {threads}");
        }
    }
}
