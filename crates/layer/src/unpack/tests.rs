//! Hostile archives (INV-LAYER-2), whiteouts, and what a layer is to leave behind. Every archive is unpacked
//! into `root/` beside a file that must stay as it is.

use super::*;
use crate::error::Error;
use crate::error::Fault;
use crate::tar::Header;
use crate::tar::Kind;
use crate::tar::Writer;
use lathe_tree::Device;
use lathe_tree::FileKind;
use lathe_tree::Owner;
use lathe_tree::Timestamp;
use lathe_tree::Xattrs;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Entry by a short text: `dir/`, `file=content`, `link->target`, `hard=>target`, `|fifo`.
fn entry(text: &str) -> (Header, Vec<u8>) {
    let owner = mine();
    let header = |path: &str, kind, link: &str, size: usize| Header {
        path: path.as_bytes().to_vec(),
        kind,
        link: link.as_bytes().to_vec(),
        mode: if kind == Kind::File(FileKind::Directory) { 0o755 } else { 0o644 },
        uid: owner.uid,
        gid: owner.gid,
        size: size as u64,
        mtime: Timestamp::from_seconds(1000),
        device: Device::default(),
        xattrs: Xattrs::new(),
    };
    if let Some((path, target)) = text.split_once("=>") {
        return (header(path, Kind::HardLink, target, 0), Vec::new());
    }
    if let Some((path, target)) = text.split_once("->") {
        return (header(path, Kind::File(FileKind::Symlink), target, 0), Vec::new());
    }
    if let Some((path, content)) = text.split_once('=') {
        let content = content.as_bytes().to_vec();
        return (header(path, Kind::File(FileKind::Regular), "", content.len()), content);
    }
    if let Some(path) = text.strip_prefix('|') {
        return (header(path, Kind::File(FileKind::Fifo), "", 0), Vec::new());
    }
    (header(text, Kind::File(FileKind::Directory), "", 0), Vec::new())
}

fn mine() -> Owner {
    let temporary = tempfile::tempdir().expect("temporary directory");
    let metadata = fs::metadata(temporary.path()).expect("stat");
    Owner { uid: metadata.uid(), gid: metadata.gid() }
}

fn is_root() -> bool {
    mine().uid == 0
}

fn layer(entries: &[(Header, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (header, content) in entries {
        writer.header(header).expect("written");
        writer.content(content).expect("written");
        writer.pad(content.len() as u64).expect("written");
    }
    writer.finish().expect("written")
}

struct Scene {
    temporary: tempfile::TempDir,
    root: Root,
}

fn scene() -> Scene {
    let temporary = tempfile::tempdir().expect("temporary directory");
    fs::create_dir(temporary.path().join("root")).expect("made");
    fs::write(temporary.path().join("secret"), "secret").expect("written");
    let root = Root::open(&temporary.path().join("root")).expect("opened");
    Scene { temporary, root }
}

impl Scene {
    fn unpack_with(
        &self,
        entries: &[(Header, Vec<u8>)],
        options: &UnpackOptions,
    ) -> Result<Unpacked> {
        let layer = layer(entries);
        let result = unpack(&layer[..], Compression::None, &self.root, options);
        let mut names: Vec<_> = fs::read_dir(self.temporary.path())
            .expect("listed")
            .map(|entry| entry.expect("entry").file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["root", "secret"], "nothing is made outside");
        let secret = self.temporary.path().join("secret");
        assert_eq!(fs::read(&secret).expect("read"), b"secret");
        assert_eq!(fs::metadata(&secret).expect("stat").nlink(), 1);
        if let Ok(unpacked) = &result {
            assert_eq!(unpacked.diff_id.0, lathe_oci::Digest::of(&layer));
            assert_eq!(unpacked.bytes, layer.len() as u64);
        }
        result
    }

    fn unpack(&self, entries: &[&str]) -> Result<Unpacked> {
        let entries: Vec<_> = entries.iter().map(|text| entry(text)).collect();
        self.unpack_with(&entries, &UnpackOptions::default())
    }

    fn dump(&self) -> Vec<String> {
        let walk = self.root.walk(Path::new("/")).expect("walk");
        walk.map(|entry| {
            let entry = entry.expect("entry");
            let path = entry.path.display();
            match entry.metadata.kind {
                FileKind::Directory => format!("{path}/"),
                FileKind::Symlink => {
                    format!("{path}->{}", entry.read_link().expect("target").display())
                }
                FileKind::Regular => {
                    let content = self.root.read(&entry.path, 1000).expect("content");
                    format!("{path}={}", String::from_utf8_lossy(&content))
                }
                kind => format!("{path}:{kind:?}"),
            }
        })
        .collect()
    }

    fn host(&self, path: &str) -> PathBuf {
        self.temporary.path().join("root").join(path)
    }
}

fn check(layers: &[&[&str]], expected: &[&str]) {
    let scene = scene();
    for layer in layers {
        scene.unpack(layer).unwrap_or_else(|error| panic!("{layer:?}: {error}"));
    }
    assert_eq!(scene.dump(), expected, "{layers:?}");
}

fn check_fault(entries: &[&str], expected: Fault) {
    match scene().unpack(entries) {
        Err(Error::Malformed { fault, .. }) => assert_eq!(fault, expected, "{entries:?}"),
        other => panic!("{entries:?}: {other:?}"),
    }
}

#[test]
fn names_stay_below_the_root() {
    check(&[&["../../secret=1"]], &["secret=1"]);
    check(&[&["/etc/", "/etc/passwd=1"]], &["etc/", "etc/passwd=1"]);
    check(&[&["./", "./a/", "./a/../b=1", "a/./c=2"]], &["a/", "a/c=2", "b=1"]);
    check(&[&["../"]], &[]);
    check_fault(&["/=1"], Fault::ReplacesRoot);
    check_fault(&["x/..->/"], Fault::ReplacesRoot);
    check_fault(&["..=>a"], Fault::ReplacesRoot);
}

#[test]
fn links_lead_inside_the_root() {
    check(&[&["l->../..", "l/secret=1"]], &["l->../..", "secret=1"]);
    check(&[&["l->/", "l/x/", "l/x/y=1"]], &["l->/", "x/", "x/y=1"]);
    check(&[&["a/", "l->/a", "l/b=1", "a/b=2"]], &["a/", "a/b=2", "l->/a"]);
    check(&[&["l->/new/dir", "l/x=1"]], &["l->/new/dir", "new/", "new/dir/", "new/dir/x=1"]);
}

#[test]
fn nothing_is_written_through_a_link() {
    check(&[&["l->/../../secret", "l=1"]], &["l=1"]);
    check(&[&["t=0", "l->t", "l=1"]], &["l=1", "t=0"]);
    check(&[&["t=0", "h=>t", "h=1"]], &["h=1", "t=0"]);
    check(&[&["d/", "l->d", "l/", "l/x=1"]], &["d/", "l/", "l/x=1"]);
    check(&[&["l->t", "l->u"]], &["l->u"]);
}

#[test]
fn hard_links_name_only_what_is_inside() {
    check(&[&["a=1", "b=>a"]], &["a=1", "b=1"]);
    check(&[&["a=1", "b=>/../../a"]], &["a=1", "b=1"]);
    check(&[&["s->/../secret", "h=>s"]], &["h->/../secret", "s->/../secret"]);
    check(&[&["s->/../secret", "h=>s", "h=1"]], &["h=1", "s->/../secret"]);
    check(&[&["d/", "d/a=1", "l->/d", "b=>l/a"]], &["b=1", "d/", "d/a=1", "l->/d"]);
    check(&[&["a=1", "a=>a"]], &["a=1"]);
    check(&[&["a=1", "b=>a", "b=>a", "a=>b"]], &["a=1", "b=1"]);
    for target in ["../secret", "/secret", "missing/x", "/"] {
        let result = scene().unpack(&[&format!("h=>{target}")]);
        assert!(matches!(result, Err(Error::MissingLinkTarget { .. })), "{target}: {result:?}");
    }
    assert!(scene().unpack(&["d/", "h=>d"]).is_err(), "no second name for a directory");
}

#[test]
fn later_entries_replace_earlier_ones() {
    check(&[&["a=1", "a=2"]], &["a=2"]);
    check(&[&["a=1", "a/", "a/b=2"]], &["a/", "a/b=2"]);
    check(&[&["a/", "a/b=1", "a=2"]], &["a=2"]);
    check(&[&["a/", "a/b=1", "a->x", "|f", "f=3"]], &["a->x", "f=3"]);
    check(&[&["a/", "a/b=1", "a/"]], &["a/", "a/b=1"]);
    check(&[&["a/", "a/b=1"], &["a/", "a/c=2"]], &["a/", "a/b=1", "a/c=2"]);
}

#[test]
fn whiteouts_remove_what_lower_layers_have() {
    let lower: &[&str] = &["a/", "a/b=1", "a/c/", "a/c/d=2", "e=3"];
    check(&[lower, &["a/", "a/.wh.b", ".wh.e"]], &["a/", "a/c/", "a/c/d=2"]);
    check(&[lower, &[".wh.a"]], &["e=3"]);
    check(&[lower, &[".wh.missing", "none/.wh.missing"]], lower);
    check(&[lower, &["a/", "a/.wh..wh..opq"]], &["a/", "e=3"]);
    check(&[lower, &[".wh..wh..opq"]], &[]);
    check(&[lower, &[".wh.e/", ".wh..wh.plnk/x=1", ".wh..wh.aufs=1"]], &lower[..4]);
}

#[test]
fn whiteouts_do_not_touch_their_own_layer() {
    let lower: &[&str] = &["a/", "a/b=1", "a/c/", "a/c/d=2", "e=3"];
    let opaque = &["a/", "a/c/", "a/c/new=4", "a/.wh..wh..opq"];
    check(&[lower, opaque], &["a/", "a/c/", "a/c/new=4", "e=3"]);
    let implicit = &["a/c/new=4", "a/.wh..wh..opq"];
    check(&[lower, implicit], &["a/", "a/c/", "a/c/new=4", "e=3"]);
    check(&[lower, &["e=4", ".wh.e"]], &["a/", "a/b=1", "a/c/", "a/c/d=2", "e=4"]);
    check(&[lower, &[".wh.e", "e=4"]], &["a/", "a/b=1", "a/c/", "a/c/d=2", "e=4"]);
    check(&[lower, &[".wh.a", "a/", "a/x=4"]], &["a/", "a/x=4", "e=3"]);
    check(&[lower, &["a/", "a/x=4", ".wh.a"]], &["a/", "a/x=4", "e=3"]);
    check(&[lower, &["a/x=4", "a/.wh.c"]], &["a/", "a/b=1", "a/x=4", "e=3"]);
}

#[test]
fn whiteouts_through_links_stay_inside() {
    check(&[&["l->../.."], &["l/.wh.secret", "l/.wh.root"]], &["l->../.."]);
    check(&[&["l->/"], &["l/.wh..wh..opq"]], &[]);
    check(&[&["d/", "d/x=1", "l->d"], &["l/.wh..wh..opq"]], &["d/", "l->d"]);
    check(&[&["d/", "d/x=1", "l->d"], &["l/.wh.x"]], &["d/", "l->d"]);
    check(&[&["d/", "d/x=1", "l->d"], &[".wh.l"]], &["d/", "d/x=1"]);
    check(&[&["d/", "d/x=1", "l->/d"], &["l/y=2", "l/.wh..wh..opq"]], &["d/", "d/y=2", "l->/d"]);
}

#[test]
fn whiteouts_of_nothing_are_refused() {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh..", "a/.wh.../"] {
        check_fault(&["a/", &format!("{name}=")], Fault::Whiteout);
    }
}

#[test]
fn the_bare_directory_of_a_layer_gets_the_marks_of_overlayfs() {
    let scene = scene();
    let attributes = OverlayAttributes::User;
    let options =
        UnpackOptions { whiteouts: Whiteouts::Overlay(attributes), ..UnpackOptions::default() };
    let entries = [
        "a/",
        "a/.wh.gone=",
        "o/",
        "o/.wh..wh..opq=",
        "o/new=1",
        ".wh.dir=",
        "dir/",
        "dir/x=2",
        ".wh.file=",
        "file=3",
        "b/",
        "b/y=4",
        ".wh.b=",
        ".wh..wh..opq=",
        "p/q/.wh.r=",
    ]
    .map(entry);
    let unpacked = match scene.unpack_with(&entries, &options) {
        Err(Error::Rootfs(error))
            if error.io_kind() == Some(std::io::ErrorKind::PermissionDenied)
                || error.io_kind() == Some(std::io::ErrorKind::Unsupported) =>
        {
            eprintln!("SKIP the_bare_directory_of_a_layer_gets_the_marks_of_overlayfs: {error}");
            return;
        }
        result => result.expect("unpacked"),
    };
    assert_eq!(
        scene.dump(),
        [
            "a/",
            "a/gone:CharDevice",
            "b/",
            "b/y=4",
            "dir/",
            "dir/x=2",
            "file=3",
            "o/",
            "o/new=1",
            "p/",
            "p/q/",
            "p/q/r:CharDevice",
        ]
    );
    let opaque = |path: &str| {
        let xattrs = scene.root.xattrs(Path::new(path)).expect("xattrs");
        xattrs.get(&b"user.overlay.opaque"[..]).map(Vec::as_slice) == Some(b"y")
    };
    assert!(opaque("o") && opaque("dir") && opaque("b"));
    assert!(!opaque("a") && !opaque("p"));
    assert_eq!(unpacked.implicit_directories, [PathBuf::from("p"), PathBuf::from("p/q")]);
    let at_root = Skipped { path: PathBuf::new(), reason: SkipReason::OpaqueRoot };
    assert_eq!(unpacked.skipped, [at_root]);
}

#[test]
fn modes_and_times_are_those_of_the_archive() {
    let scene = scene();
    let with = |text, mode, seconds| {
        let (header, content) = entry(text);
        let mtime = Timestamp { seconds, nanos: 0 };
        (Header { mode, mtime, ..header }, content)
    };
    let entries = [
        with("d/", 0o1777, 5),
        with("d/suid=x", 0o6755, 6),
        with("d/none=", 0, 7),
        with("d/sub/", 0o500, 8),
        with("d/sub/x=1", 0o444, 9),
        with("d/link->x", 0o777, 10),
        with("|d/fifo", 0o622, 11),
        with("late=1", 0o600, 12),
    ];
    let unpacked = scene.unpack_with(&entries, &UnpackOptions::default()).expect("unpacked");
    assert_eq!((unpacked.entries, unpacked.unpacked_size), (8, 3));
    for (header, _) in &entries {
        let path = Path::new(std::ffi::OsStr::from_bytes(&header.path));
        let metadata = scene.root.lstat(path).expect("stat");
        if metadata.kind != FileKind::Symlink {
            assert_eq!(metadata.mode, header.mode, "{}", path.display());
        }
        assert_eq!(metadata.mtime, header.mtime, "{}", path.display());
    }
    // So that a normal user can remove it.
    fs::set_permissions(scene.host("d/sub"), fs::Permissions::from_mode(0o755)).expect("set");
}

#[test]
fn owners_are_those_of_the_archive() {
    if !is_root() {
        eprintln!("SKIP owners_are_those_of_the_archive: needs root");
        return;
    }
    let scene = scene();
    let entries = ["d/", "d/f=1", "d/l->x", "|d/p"].map(|text| {
        let (header, content) = entry(text);
        (Header { uid: 7, gid: 100_000, mode: header.mode | 0o4000, ..header }, content)
    });
    let unpacked = scene.unpack_with(&entries, &UnpackOptions::default()).expect("unpacked");
    if !unpacked.skipped.is_empty() {
        assert!(unpacked.skipped.iter().all(|skipped| skipped.reason == SkipReason::Owner));
        let exact = UnpackOptions { owners: Owners::Exact, ..UnpackOptions::default() };
        assert!(scene.unpack_with(&entries, &exact).is_err());
        eprintln!("SKIP owners_are_those_of_the_archive: ids are not mapped");
        return;
    }
    for path in ["d", "d/f", "d/l", "d/p"] {
        let metadata = scene.root.lstat(Path::new(path)).expect("stat");
        assert_eq!((metadata.uid, metadata.gid), (7, 100_000), "{path}");
    }
    assert_eq!(scene.root.lstat(Path::new("d/f")).expect("stat").mode, 0o4644);
}

#[test]
fn devices_are_made_or_reported() {
    let scene = scene();
    let device = |text, major| {
        let (header, content) = entry(text);
        let kind = Kind::File(FileKind::CharDevice);
        (Header { kind, device: Device { major, minor: major }, ..header }, content)
    };
    let entries = [device("null", 1), device("mark", 0)];
    let unpacked = scene.unpack_with(&entries, &UnpackOptions::default()).expect("unpacked");
    let mark = Skipped { path: PathBuf::from("mark"), reason: SkipReason::OverlayMark };
    assert!(unpacked.skipped.contains(&mark), "{:?}", unpacked.skipped);
    assert!(scene.root.try_lstat(Path::new("mark")).expect("stat").is_none());
    let null = Skipped { path: PathBuf::from("null"), reason: SkipReason::Device };
    match scene.root.try_lstat(Path::new("null")).expect("stat") {
        Some(metadata) => assert_eq!(metadata.device, Device { major: 1, minor: 1 }),
        None => assert!(unpacked.skipped.contains(&null)),
    }
}

/// INV-LAYER-4, on the way in.
#[test]
fn attributes_are_set_but_not_those_of_overlayfs() {
    let scene = scene();
    let xattrs: Xattrs = ["user.key", "user.overlay.redirect", "trusted.overlay.opaque"]
        .map(|name| (name.as_bytes().to_vec(), b"/etc".to_vec()))
        .into();
    let entries = ["f=1", "d/"].map(|text| {
        let (header, content) = entry(text);
        (Header { xattrs: xattrs.clone(), ..header }, content)
    });
    let unpacked = scene.unpack_with(&entries, &UnpackOptions::default()).expect("unpacked");
    let count = |reason| unpacked.skipped.iter().filter(|one| one.reason == reason).count();
    assert_eq!(count(SkipReason::OverlayMark), 4);
    if count(SkipReason::Xattr) > 0 {
        eprintln!("SKIP attributes_are_set_but_not_those_of_overlayfs: no user attributes here");
        return;
    }
    for path in ["f", "d"] {
        let found = scene.root.xattrs(Path::new(path)).expect("xattrs");
        assert_eq!(found.keys().collect::<Vec<_>>(), [b"user.key"]);
    }
}

#[test]
fn capabilities_survive_the_change_of_owner() {
    if !is_root() {
        eprintln!("SKIP capabilities_survive_the_change_of_owner: needs root");
        return;
    }
    let scene = scene();
    // Version 2, effective, CAP_NET_RAW.
    let value = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec();
    let xattrs = Xattrs::from([(b"security.capability".to_vec(), value)]);
    let (header, content) = entry("ping=x");
    let entries = [(Header { uid: 9, xattrs: xattrs.clone(), ..header }, content)];
    let unpacked = scene.unpack_with(&entries, &UnpackOptions::default()).expect("unpacked");
    if unpacked.skipped.is_empty() {
        assert_eq!(scene.root.xattrs(Path::new("ping")).expect("xattrs"), xattrs);
    } else {
        eprintln!("SKIP capabilities_survive_the_change_of_owner: {:?}", unpacked.skipped);
    }
}

#[test]
fn every_compression_is_read_to_its_end() {
    use std::io::Write as _;
    let mut plain = layer(&["a/", "a/b=1"].map(entry));
    // Tars from elsewhere are filled up to records of 10 KiB; the digest covers that, too.
    plain.extend_from_slice(&[0; 8192]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&plain[..700]).expect("written");
    let mut members = gzip.finish().expect("finished");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain[700..]).expect("written");
    members.extend(gzip.finish().expect("finished"));
    let zstd = zstd::encode_all(&plain[..], 1).expect("compressed");
    for (compression, bytes) in
        [(Compression::None, &plain), (Compression::Gzip, &members), (Compression::Zstd, &zstd)]
    {
        let scene = scene();
        let options = UnpackOptions::default();
        let unpacked = unpack(&bytes[..], compression, &scene.root, &options).expect("unpacked");
        assert_eq!(unpacked.diff_id.0, lathe_oci::Digest::of(&plain), "{compression}");
        assert_eq!(scene.dump(), ["a/", "a/b=1"]);
        assert_eq!(Compression::of_magic(bytes), compression);
    }
}

#[test]
fn broken_compression_is_an_error() {
    let plain = layer(&[entry(&format!("a={}", "x".repeat(100_000)))]);
    let zstd = zstd::encode_all(&plain[..], 1).expect("compressed");
    let options = UnpackOptions::default();
    for (compression, bytes) in
        [(Compression::Gzip, &plain[..]), (Compression::Zstd, &zstd[..zstd.len() / 2])]
    {
        let result = unpack(bytes, compression, &scene().root, &options);
        assert!(matches!(result, Err(Error::ReadLayer { .. })), "{compression}: {result:?}");
    }
    let cut = unpack(&plain[..2000], Compression::None, &scene().root, &options);
    assert!(matches!(cut, Err(Error::Malformed { fault: Fault::Truncated, .. })), "{cut:?}");
}

/// INV-LAYER-3, with the limit on extended headers in the tests of the reader.
#[test]
fn bombs_hit_the_limit() {
    let zeros = vec![0; 4 << 20];
    let zstd = zstd::encode_all(&zeros[..], 1).expect("compressed");
    let options = UnpackOptions { limit: Some(1 << 20), ..UnpackOptions::default() };
    // Also behind the end mark.
    let result = unpack(&zstd[..], Compression::Zstd, &scene().root, &options);
    assert!(matches!(result, Err(Error::LimitExceeded { limit: 1_048_576 })), "{result:?}");
}

#[test]
fn long_names_are_made_or_refused_by_the_file_system() {
    let deep = "d".repeat(200);
    let path = [deep.as_str(); 15].join("/");
    let scene = scene();
    scene.unpack(&[&format!("{path}=1")]).expect("unpacked");
    assert_eq!(scene.root.read(Path::new(&path), 9).expect("read"), b"1");
    assert!(scene.unpack(&[&format!("{}=1", "n".repeat(256))]).is_err());
    assert!(scene.unpack(&[&format!("{path}/{path}=1")]).is_err());
}

#[test]
fn many_directories_do_not_use_up_descriptors() {
    let scene = scene();
    let names: Vec<String> =
        (0..800).flat_map(|number| [format!("{number}/"), format!("{number}/x=")]).collect();
    let mut entries: Vec<&str> = names.iter().map(String::as_str).collect();
    let nested: Vec<String> = (1..300).map(|depth| "d/".repeat(depth)).collect();
    entries.extend(nested.iter().map(String::as_str));
    scene.unpack(&entries).expect("unpacked");
}
