//! Archives as contexts.

use std::fs;

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
