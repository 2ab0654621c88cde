//! Extraction and its opposite.

use super::*;
use lathe_tree::Timestamp;
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
    root.set_times(Path::new("f"), Timestamp::from_seconds(99)).expect("set");
    write_tree(&root, Path::new("/"), None, Vec::new()).expect("written")
}

fn mine(root: &Root) -> ExtractOptions {
    let metadata = fs::metadata(root.host_path()).expect("stat");
    let owner = Some(Owner { uid: metadata.uid(), gid: metadata.gid() });
    ExtractOptions { owner, ..ExtractOptions::default() }
}

#[test]
fn archives_are_known_by_their_content() {
    let tar = sample();
    let check = |bytes: &[u8], expected| {
        assert_eq!(probe(bytes).expect("probed"), expected);
    };
    check(&tar, Probe::Archive(Compression::None));
    check(&zstd::encode_all(&tar[..], 1).expect("zstd"), Probe::Archive(Compression::Zstd));
    let gzip = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).expect("written");
        gzip.finish().expect("finished")
    };
    check(&gzip(&tar), Probe::Archive(Compression::Gzip));
    check(&gzip(b"a text"), Probe::Other);
    check(&gzip(&[0; 4096]), Probe::Other);
    check(b"", Probe::Other);
    check(b"a text", Probe::Other);
    check(&[0; 1024], Probe::Other);
    check(&gzip(&tar)[..30], Probe::Other);
    check(b"BZh91AY", Probe::Unsupported("bzip2"));
    check(b"\xfd7zXZ\0\0", Probe::Unsupported("xz"));
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
