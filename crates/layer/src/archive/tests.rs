//! Extraction and its opposite.

use super::*;
use crate::compression::Compression;
use crate::tar::Header;
use crate::tar::Kind;
use crate::tar::Writer;
use lathe_tree::Device;
use lathe_tree::FileKind;
use lathe_tree::Xattrs;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

fn root() -> (tempfile::TempDir, Root) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let root = Root::open(directory.path()).expect("opened");
    (directory, root)
}

fn sample() -> Vec<u8> {
    let (directory, root) = root();
    fs::create_dir(directory.path().join("d")).expect("made");
    fs::write(directory.path().join("d/.wh.x"), "1").expect("written");
    fs::write(directory.path().join("f"), "2").expect("written");
    // The same bytes each time, so that they compress to the same.
    for path in ["d/.wh.x", "d", "f"] {
        root.set_times(Path::new(path), Timestamp::from_seconds(99)).expect("set");
    }
    write_tree(&root, Path::new("/"), None, Vec::new()).expect("written")
}

fn mine(root: &Root) -> ExtractOptions {
    let metadata = fs::metadata(root.host_path()).expect("stat");
    let owner = Some(Owner { uid: metadata.uid(), gid: metadata.gid() });
    ExtractOptions { owner, ..ExtractOptions::default() }
}

/// Compresses with a program; `None`, with a line that says so, where it is not installed.
fn piped(test: &str, program: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    use std::process::{Command, Stdio};
    let command = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = command else {
        println!("SKIP {test}: {program} is not installed");
        return None;
    };
    child.stdin.take().expect("piped").write_all(bytes).expect("written");
    Some(child.wait_with_output().expect("ended").stdout)
}

/// Header of a directory (`name/`), link (`name->target`), hard link (`name=>target`) or file.
fn header(text: &str, mode: u32, seconds: i64) -> Header {
    let (path, kind, link) = if let Some((path, target)) = text.split_once("=>") {
        (path, Kind::HardLink, target)
    } else if let Some((path, target)) = text.split_once("->") {
        (path, Kind::File(FileKind::Symlink), target)
    } else if text.ends_with('/') {
        (text, Kind::File(FileKind::Directory), "")
    } else {
        (text, Kind::File(FileKind::Regular), "")
    };
    let (_directory, root) = root();
    let owner = mine(&root).owner.expect("set");
    Header {
        path: path.as_bytes().to_vec(),
        kind,
        link: link.as_bytes().to_vec(),
        mode,
        uid: owner.uid,
        gid: owner.gid,
        size: 0,
        mtime: Timestamp::from_seconds(seconds),
        device: Device::default(),
        xattrs: Xattrs::new(),
    }
}

fn archive(headers: &[Header]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for header in headers {
        writer.header(header).expect("written");
    }
    writer.finish().expect("written")
}

/// Extracts empty files, directories and links to `/to`, where `before` was extracted first;
/// returns all paths of the root.
fn extracted(before: &[&str], entries: &[&str]) -> Vec<String> {
    let (_directory, root) = root();
    for entries in [before, entries] {
        let headers: Vec<_> = entries.iter().map(|text| header(text, 0o755, 7)).collect();
        let options = ExtractOptions { owner: None, ..mine(&root) };
        extract(&archive(&headers)[..], Codec::of_magic(b""), &root, Path::new("to"), &options)
            .unwrap_or_else(|error| panic!("{entries:?}: {error}"));
    }
    let walk = root.walk(Path::new("/")).expect("walk");
    walk.map(|entry| {
        let entry = entry.expect("entry");
        match entry.metadata.kind {
            FileKind::Symlink => {
                let target = entry.read_link().expect("a link");
                format!("{}->{}", entry.path.display(), target.display())
            }
            _ => entry.path.display().to_string(),
        }
    })
    .collect()
}

#[test]
fn links_of_an_archive_lead_below_the_destination() {
    #[track_caller]
    fn check(before: &[&str], entries: &[&str], expected: &[&str]) {
        assert_eq!(extracted(before, entries), expected, "{before:?} {entries:?}");
    }
    check(&[], &["l->/etc", "l/x"], &["to", "to/etc", "to/etc/x", "to/l->/etc"]);
    check(&[], &["l->../../etc", "l/x"], &["to", "to/etc", "to/etc/x", "to/l->../../etc"]);
    check(&[], &["../x", "/y"], &["to", "to/x", "to/y"]);
    check(&[], &["l->/../../x", "l"], &["to", "to/l"]);
    check(&[], &["f", "h=>/../f"], &["to", "to/f", "to/h"]);
}

#[test]
fn nothing_outside_of_the_destination_is_reached() {
    let check = |entries: &[&str]| {
        let (directory, root) = root();
        let outside = directory.path().join("etc");
        fs::create_dir(&outside).expect("made");
        fs::write(outside.join("passwd"), "mine").expect("written");
        let headers: Vec<_> = entries.iter().map(|text| header(text, 0o4777, 7)).collect();
        let options = ExtractOptions { owner: None, ..mine(&root) };
        // Some are errors; the tree outside is the same after all of them.
        let result =
            extract(&archive(&headers)[..], Compression::None, &root, Path::new("to"), &options);
        let passwd = fs::metadata(outside.join("passwd")).expect("stat");
        assert_eq!((passwd.nlink(), passwd.mode() & 0o7777, passwd.len()), (1, 0o644, 4));
        assert_eq!(root.list(Path::new("etc")).expect("listed"), ["passwd"], "{entries:?}");
        assert_eq!(root.list(Path::new("")).expect("listed"), ["etc", "to"], "{entries:?}");
        result.is_ok()
    };
    assert!(check(&["l->../etc", "l/passwd"]), "a link, then a file through it");
    assert!(!check(&["l->../etc", "h=>l/passwd"]), "a hard link through a link");
    assert!(!check(&["h=>../etc/passwd"]), "a hard link to a name above");
    assert!(check(&["l->../etc/passwd", "h=>l", "h"]), "a second name of a link, then a file");
    assert!(check(&["l->../etc/passwd", "l"]), "a link, then a file of its name");
    assert!(check(&["l->../etc", "l/"]), "a directory where there is a link");
    assert!(check(&["a->..", "b->a/..", "b/etc/passwd"]), "links in a row");
    assert!(check(&["../etc/passwd", "/etc/passwd", "x/../../etc/passwd"]), "names above");
    assert!(check(&["l->../etc", "l/.wh.passwd", "l/.wh..wh..opq"]), "no whiteouts here");
    assert!(check(&["l->.", "l/l/l/x"]), "a link to its own directory");
}

#[test]
fn a_directory_goes_where_a_link_in_its_place_leads() {
    #[track_caller]
    fn check(before: &[&str], entries: &[&str], expected: &[&str]) {
        assert_eq!(extracted(before, entries), expected, "{before:?} {entries:?}");
    }
    let merged = ["to", "to/lib->usr/lib", "to/usr", "to/usr/lib", "to/usr/lib/a", "to/usr/lib/b"];
    check(&["usr/lib/a", "lib->usr/lib"], &["lib/", "lib/b"], &merged);
    check(&["l->there"], &["l/", "l/x"], &["to", "to/l->there", "to/there", "to/there/x"]);
    check(&["f", "l->f"], &["l/", "l/x"], &["to", "to/f", "to/f/x", "to/l->f"]);
    check(&["l->/"], &["l/", "l/x"], &["to", "to/l->/", "to/x"]);
    check(&["d/", "d/x", "l->d"], &["l"], &["to", "to/d", "to/d/x", "to/l"]);
}

#[test]
fn a_loop_of_links_is_an_error() {
    let (_directory, root) = root();
    let entries = ["a->b", "b->a", "a/"].map(|text| header(text, 0o755, 7));
    let options = ExtractOptions { owner: None, ..mine(&root) };
    let result =
        extract(&archive(&entries)[..], Compression::None, &root, Path::new("to"), &options);
    assert!(result.is_err(), "{result:?}");
}

#[test]
fn metadata_is_that_of_the_archive() {
    let (_directory, root) = root();
    let headers = [
        header("d/", 0o1750, 10),
        header("d/f", 0o640, 11),
        header("d/h=>d/f", 0o4751, 12),
        header("made/x", 0o600, 13),
    ];
    let made_mtime = Some(Timestamp::from_seconds(5));
    let options = ExtractOptions { owner: None, made_mtime, ..mine(&root) };
    extract(&archive(&headers)[..], Compression::None, &root, Path::new("to"), &options)
        .expect("extracted");
    let check = |path: &str, mode, seconds| {
        let metadata = root.lstat(Path::new(path)).expect("stat");
        assert_eq!((metadata.mode, metadata.mtime.seconds), (mode, seconds), "{path}");
    };
    check("to/d", 0o1750, 10);
    // Both names are one file, and the entry that comes last speaks for it.
    check("to/d/f", 0o4751, 12);
    check("to/d/h", 0o4751, 12);
    check("to/made", 0o755, 0);
    check("to/made/x", 0o600, 13);
}

#[test]
fn an_owner_is_given_to_what_the_archive_has() {
    let (_directory, root) = root();
    if mine(&root).owner != Some(Owner::ROOT) {
        println!("SKIP an_owner_is_given_to_what_the_archive_has: only root can give files away");
        return;
    }
    let headers = ["d/", "d/f", "h=>d/f", "s->d", "made/x"].map(|text| header(text, 0o755, 7));
    let owner = Owner { uid: 1000, gid: 1001 };
    let options = ExtractOptions { owner: Some(owner), ..ExtractOptions::default() };
    extract(&archive(&headers)[..], Compression::None, &root, Path::new("to/deep"), &options)
        .expect("extracted");
    for path in ["to", "to/deep", "to/deep/d", "to/deep/d/f", "to/deep/s", "to/deep/made/x"] {
        assert_eq!(root.lstat(Path::new(path)).expect("stat").owner(), owner, "{path}");
    }
    let implied = root.lstat(Path::new("to/deep/made")).expect("stat");
    assert_eq!(implied.owner(), Owner::ROOT, "the archive does not have it");
}

#[test]
fn what_follows_the_end_is_not_looked_at() {
    let check = |bytes: &[u8], codec: Codec, good: bool| {
        let (_directory, root) = root();
        let result = extract(bytes, codec, &root, Path::new("to"), &mine(&root));
        assert_eq!(result.is_ok(), good, "{codec}: {result:?}");
    };
    let plain = sample();
    let gzip = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).expect("written");
        gzip.finish().expect("finished")
    };
    check(&[&gzip(&plain)[..], &[0; 300]].concat(), Compression::Gzip.into(), true);
    check(&[&plain[..], b"anything"].concat(), Compression::None.into(), true);
    // Cut off between two entries, or within one: not the same as an end.
    let whole = gzip(&plain);
    check(&whole[..whole.len() - 9], Compression::Gzip.into(), true);
    check(&whole[..whole.len() / 2], Compression::Gzip.into(), false);
    // One archive over two members.
    let (first, second) = plain.split_at(700);
    check(&[gzip(first), gzip(second)].concat(), Compression::Gzip.into(), true);
}

#[test]
fn archives_are_known_by_their_content() {
    let tar = sample();
    let check = |bytes: &[u8], expected| {
        assert_eq!(probe(bytes).expect("probed"), expected);
    };
    check(&tar, Probe::Archive(Compression::None.into()));
    check(&zstd::encode_all(&tar[..], 1).expect("zstd"), Probe::Archive(Compression::Zstd.into()));
    let gzip = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).expect("written");
        gzip.finish().expect("finished")
    };
    check(&gzip(&tar), Probe::Archive(Compression::Gzip.into()));
    check(&gzip(b"a text"), Probe::Other);
    check(&gzip(&[0; 4096]), Probe::Other);
    check(b"", Probe::Other);
    check(b"a text", Probe::Other);
    check(&[0; 1024], Probe::Other);
    check(&gzip(&tar)[..30], Probe::Other);
    check(&gzip(b""), Probe::Other);
    check(&gzip(&tar[..100]), Probe::Other);
    check(b"BZh91AY", Probe::Other);
    check(b"\xfd7zXZ\0\0", Probe::Other);
    for (program, codec) in [("bzip2", Codec::Bzip2), ("xz", Codec::Xz)] {
        let test = "archives_are_known_by_their_content";
        let Some(compressed) = piped(test, program, &tar) else { continue };
        check(&compressed, Probe::Archive(codec));
        check(&piped(test, program, b"a text").expect("there"), Probe::Other);
        check(&piped(test, program, b"").expect("there"), Probe::Other);
        check(&compressed[..20], Probe::Other);
    }
}

#[test]
fn archives_are_extracted_below_the_destination() {
    let (directory, root) = root();
    std::os::unix::fs::symlink("/real", directory.path().join("link")).expect("linked");
    let extracted =
        extract(&sample()[..], Compression::None, &root, Path::new("/link/sub"), &mine(&root))
            .expect("extracted");
    assert_eq!((extracted.entries, extracted.bytes), (3, 2));
    let read = |path: &str| root.read(Path::new(path), 10).expect("read");
    assert_eq!(read("real/sub/d/.wh.x"), b"1", "no whiteout outside of layers");
    assert_eq!(read("real/sub/f"), b"2");
    let metadata = root.stat(Path::new("real/sub/f")).expect("stat");
    assert_eq!(metadata.mtime, Timestamp::from_seconds(99));
}

#[test]
fn extraction_merges_with_what_is_there() {
    let (directory, root) = root();
    fs::create_dir(directory.path().join("d")).expect("made");
    fs::write(directory.path().join("d/kept"), "0").expect("written");
    fs::write(directory.path().join("f"), "0").expect("written");
    extract(&sample()[..], Compression::None, &root, Path::new("/"), &mine(&root))
        .expect("extracted");
    assert_eq!(root.list(Path::new("d")).expect("listed"), [".wh.x", "kept"]);
    assert_eq!(root.read(Path::new("f"), 10).expect("read"), b"2");
}

#[test]
fn what_is_written_is_extracted_again() {
    let (directory, root) = root();
    let sample = sample();
    extract(&sample[..], Compression::None, &root, Path::new("/a"), &mine(&root))
        .expect("extracted");
    let again = write_tree(&root, Path::new("a"), None, Vec::new()).expect("written");
    assert!(again == sample);
    let clamped = write_tree(&root, Path::new("a"), Some(5), Vec::new()).expect("written");
    assert!(clamped != sample);
    drop(directory);
}

#[test]
fn an_inode_in_two_layers_is_two_files() {
    let (directory, root) = root();
    for name in ["a", "b", "c", "d"] {
        let path = directory.path().join(name);
        if name == "a" {
            fs::write(path, "content").expect("written");
        } else {
            fs::hard_link(directory.path().join("a"), path).expect("linked");
        }
    }
    let links = |identity: Option<&(dyn Fn(&Path) -> u64 + Sync)>| -> Vec<String> {
        let options = TreeOptions { epoch: None, identity };
        let bytes = write_tree_with(&root, Path::new("/"), &options, Vec::new()).expect("written");
        let mut archive = tar::Archive::new(&bytes[..]);
        let entries = archive.entries().expect("entries");
        entries
            .map(|entry| {
                let entry = entry.expect("entry");
                let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
                format!("{}>{}", entry.size(), String::from_utf8_lossy(&link.unwrap_or_default()))
            })
            .collect()
    };
    assert_eq!(links(None), ["7>", "0>a", "0>a", "0>a"]);
    assert_eq!(links(Some(&|_| 5)), ["7>", "0>a", "0>a", "0>a"]);
    let by_name = |path: &Path| u64::from(path == Path::new("b") || path == Path::new("d"));
    assert_eq!(links(Some(&by_name)), ["7>", "7>", "0>a", "0>b"]);
}
