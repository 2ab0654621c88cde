//! Archives as contexts.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use lathe_source::{Error, is_archive};
use lathe_testkit::fixture::{Entry, archive, gzip};

use crate::common::{Place, can_own};

fn entries() -> Vec<u8> {
    archive(&[
        Entry::dir("src").mode(0o750),
        Entry::file("src/a", "a").mode(0o640),
        Entry::symlink("link", "/etc/passwd"),
        Entry::file("../outside", "x"),
    ])
}

#[test]
fn an_archive_is_unpacked_as_it_is_and_stays_inside() {
    if !can_own("an_archive_is_unpacked_as_it_is_and_stays_inside") {
        return;
    }
    for bytes in [entries(), gzip(&entries())] {
        let place = Place::new();
        let fetched = place.remotes.archive(&bytes[..], "standard input").unwrap();
        assert_eq!(place.names(&fetched), ["link", "outside", "src/a"]);
        assert_eq!((fetched.time, &fetched.revision), (None, &None));
        assert!(!place.tree(fetched.snapshot).join("../outside").exists());
        let list = place.list(&fetched);
        assert!(list.iter().any(|line| line.starts_with("src/ 750 ")), "{list:?}");
    }
}

#[test]
fn what_is_no_archive_is_refused_and_leaves_nothing() {
    let place = Place::new();
    for bytes in [&b"FROM scratch\n"[..], b"", &gzip(b"FROM scratch\n")] {
        let error = place.remotes.archive(bytes, "standard input").unwrap_err();
        assert!(matches!(error, Error::NoArchive(_)), "{error}");
        let text = "standard input is no tar archive, compressed or not";
        assert_eq!(error.to_string(), text);
    }
    let half = &entries()[..1600];
    assert!(place.remotes.archive(half, "standard input").is_err());
    assert_eq!(place.snapshots(), 0);
}

/// Compresses with a program; `None` if the machine does not have it.
fn compress(program: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut child = Command::new(program)
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    let input = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().ok()?;
    writer.join().ok()?.ok()?;
    output.status.success().then_some(output.stdout)
}

#[test]
fn archives_are_known_by_their_first_megabyte_however_they_are_packed() {
    if !can_own("archives_are_known_by_their_first_megabyte_however_they_are_packed") {
        return;
    }
    // What does not get smaller fills the largest blocks that there are.
    let noise = (0..3_000_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]);
    let mut state = 1_u32;
    let noise: Vec<u8> = noise
        .map(|byte| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            byte ^ state.to_le_bytes()[3]
        })
        .collect();
    let tar = archive(&[Entry::file("noise", noise)]);
    for program in ["gzip", "bzip2", "xz", "zstd"] {
        let Some(packed) = compress(program, &tar) else {
            eprintln!("SKIP archives_are_known: {program} is not installed");
            continue;
        };
        assert!(is_archive(&packed[..512]), "{program}");
        let place = Place::new();
        let fetched = place.remotes.archive(&packed[..], program).unwrap();
        assert_eq!(place.names(&fetched), ["noise"], "{program}");
    }
}

/// Gives some bytes, then fails.
struct Breaking<'a>(&'a [u8]);

impl std::io::Read for Breaking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer) {
            Ok(0) => Err(std::io::Error::other("broken")),
            result => result,
        }
    }
}

#[test]
fn a_stream_that_breaks_between_two_entries_is_an_error() {
    let place = Place::new();
    let entry = archive(&[Entry::file("a", vec![b'x'; (2 << 20) - 512])]);
    let whole = &entry[..2 << 20];
    let error = place.remotes.archive(Breaking(whole), "standard input").unwrap_err();
    assert_eq!(error.to_string(), "cannot read standard input: broken");
    assert_eq!(place.snapshots(), 0);
}

#[test]
fn a_canceled_archive_is_an_interruption() {
    let place = Place::new();
    place.cancel.cancel();
    let error = place.remotes.archive(&entries()[..], "standard input").unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert_eq!(fs::read_dir(place.store().directory().join("snapshots")).unwrap().count(), 0);
}

#[test]
fn archives_are_told_from_dockerfiles_by_their_first_bytes() {
    let tar = entries();
    let check = |head: &[u8], expected| assert_eq!(is_archive(head), expected, "{head:?}");
    check(&tar[..512], true);
    check(&tar[..511], false);
    check(b"\x1f\x8b\x08rest", true);
    check(b"\x1f\x8b\x00", false);
    check(b"BZh9", true);
    check(b"\xfd7zXZ\0", true);
    check(b"\x28\xb5\x2f\xfd", true);
    check(b"FROM scratch\n", false);
    check(b"", false);
    check(&[0; 1024], false);
    check(&[b'#'; 1024], false);
}
