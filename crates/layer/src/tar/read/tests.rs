//! Archives by other writers, by our own, and broken ones.

use super::*;
use crate::tar::Writer;
use proptest::prelude::*;

fn entries(archive: &[u8]) -> Result<Vec<(Header, Vec<u8>)>> {
    let mut reader = Reader::new(archive);
    let mut found = Vec::new();
    while let Some(header) = reader.next()? {
        let mut content = io::Cursor::new(Vec::new());
        match reader.copy_content(&mut content) {
            Ok(_) => found.push((header, content.into_inner())),
            Err(CopyError::Read(source) | CopyError::Write(source)) => {
                return Err(Error::ReadLayer { source });
            }
        }
    }
    Ok(found)
}

fn file(path: &str, size: u64) -> Header {
    Header {
        path: path.as_bytes().to_vec(),
        kind: Kind::File(FileKind::Regular),
        link: Vec::new(),
        mode: 0o644,
        uid: 1,
        gid: 2,
        size,
        mtime: Timestamp::from_seconds(3),
        device: Device::default(),
        xattrs: Xattrs::new(),
    }
}

fn archive(entries: &[(Header, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (header, content) in entries {
        writer.header(header).expect("written");
        writer.content(content).expect("written");
        writer.pad(content.len() as u64).expect("written");
    }
    writer.finish().expect("written")
}

fn check_round_trip(entry: Header) {
    let content = match entry.kind {
        Kind::File(FileKind::Regular) => vec![b'x'; usize::try_from(entry.size).expect("small")],
        _ => Vec::new(),
    };
    let written = [(entry, content)];
    assert_eq!(entries(&archive(&written)).expect("read"), written);
}

#[test]
fn what_is_written_is_read() {
    for length in [1, 99, 100, 101, 155, 156, 254, 255, 256, 257, 300, 5000] {
        check_round_trip(file(&"n".repeat(length), 0));
        let nested: String = (0..length).map(|at| if at % 50 == 25 { '/' } else { 'd' }).collect();
        check_round_trip(file(nested.trim_end_matches('/'), 700));
        let directory = format!("{}/", nested.trim_end_matches('/'));
        check_round_trip(Header { kind: Kind::File(FileKind::Directory), ..file(&directory, 0) });
        for kind in [Kind::HardLink, Kind::File(FileKind::Symlink)] {
            check_round_trip(Header { kind, link: nested.clone().into_bytes(), ..file("l", 0) });
        }
    }
    check_round_trip(file("ümläut", 0));
    check_round_trip(Header { path: b"bad utf-8 \xff\xfe".to_vec(), ..file("", 0) });
    check_round_trip(Header { uid: 2_097_151, gid: 2_097_152, ..file("ids", 0) });
    check_round_trip(Header { uid: u32::MAX, ..file("ids", 0) });
    check_round_trip(Header { mtime: Timestamp::from_seconds(-5), ..file("early", 0) });
    check_round_trip(Header { mtime: Timestamp::from_seconds(1 << 33), ..file("late", 0) });
    for kind in [FileKind::CharDevice, FileKind::BlockDevice] {
        let device = Device { major: 4095, minor: 1_048_575 };
        check_round_trip(Header { kind: Kind::File(kind), device, ..file("dev", 0) });
    }
    check_round_trip(Header { kind: Kind::File(FileKind::Fifo), ..file("fifo", 0) });
    let value = b"1\n20 path=../escape\n\0\xff".to_vec();
    let xattrs = Xattrs::from([(b"security.capability".to_vec(), value)]);
    check_round_trip(Header { xattrs, ..file("capable", 3) });
}

/// The first eight GiB-and-more file has its size in a PAX record; content is not made here.
#[test]
fn large_sizes_are_read_from_the_extended_header() {
    let size = (1 << 33) + 5;
    let mut writer = Writer::new(Vec::new());
    writer.header(&file("large", size)).expect("written");
    let bytes = writer.finish().expect("written");
    let header = Reader::new(&bytes[..]).next().expect("read").expect("one entry");
    assert_eq!(header.size, size);
}

#[test]
fn headers_are_those_of_go() {
    // Laid out by hand after archive/tar: a file, a directory with a long name cut in two, and a
    // path that needs records.
    let block = archive(&[(Header { mode: 0o4755, ..file("bin/x", 0) }, Vec::new())]);
    assert_eq!(&block[..6], b"bin/x\0");
    assert_eq!(&block[100..124], b"0004755\x000000001\x000000002\0");
    assert_eq!(&block[124..148], b"00000000000\x0000000000003\0");
    assert_eq!(&block[154..157], b"\0 0");
    assert_eq!(&block[257..265], b"ustar\x0000");
    assert!(block[265..329].iter().all(|byte| *byte == 0), "no user and group names");
    assert_eq!(&block[329..345], b"0000000\x000000000\0");
    assert_eq!(block.len(), 512 + 1024);

    let long = format!("{}/{}/", "a".repeat(120), "b".repeat(60));
    let directory = Header { kind: Kind::File(FileKind::Directory), ..file(&long, 0) };
    let block = archive(&[(directory, Vec::new())]);
    assert_eq!(&block[..62], format!("{}/\0", "b".repeat(60)).as_bytes());
    assert_eq!(&block[345..466], format!("{}\0", "a".repeat(120)).as_bytes());

    let block = archive(&[(file("d/ü", 0), Vec::new())]);
    assert_eq!(&block[..17], b"d/PaxHeaders.0\0\0\0");
    assert_eq!(block[156], b'x');
    assert_eq!(&block[100..108], b"0000000\0");
    assert_eq!(&block[329..345], [0; 16], "an extended header has no device fields");
    assert_eq!(&block[512..526], "13 path=d/ü\n\0".as_bytes());
    assert_eq!(&block[1024..1027], b"d/\0");
}

#[test]
fn archives_of_another_writer_are_read() {
    let mut builder = tar::Builder::new(Vec::new());
    let long = format!("{}/{}", "l".repeat(150), "x".repeat(150));
    for (path, kind) in [("a", tar::EntryType::Regular), (&long, tar::EntryType::Continuous)] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(5);
        header.set_mode(0o100_640);
        header.set_mtime(77);
        header.set_uid(3_000_000);
        header.set_gid(9);
        builder.append_data(&mut header, path, &b"hello"[..]).expect("appended");
    }
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    link.set_mode(0o777);
    link.set_uid(0);
    link.set_gid(0);
    link.set_mtime(0);
    builder.append_link(&mut link, "link", &long).expect("appended");
    let found = entries(&builder.into_inner().expect("finished")).expect("read");
    assert_eq!(found.len(), 3);
    assert_eq!((&found[0].0.path[..], &found[0].1[..]), (&b"a"[..], &b"hello"[..]));
    assert_eq!((found[0].0.uid, found[0].0.mode), (3_000_000, 0o640));
    assert_eq!(found[1].0.path, long.as_bytes());
    assert_eq!(found[1].1, b"hello");
    assert_eq!(found[2].0.link, long.as_bytes());
    assert_eq!(found[2].0.kind, Kind::File(FileKind::Symlink));
}

#[test]
fn another_reader_reads_what_is_written() {
    let xattrs = Xattrs::from([(b"user.key".to_vec(), b"value".to_vec())]);
    let long = "p/".repeat(200) + "file";
    let bytes = archive(&[
        (Header { xattrs, ..file(&long, 600) }, vec![7; 600]),
        (Header { uid: 4_000_000, ..file("b", 0) }, Vec::new()),
    ]);
    let mut other = tar::Archive::new(&bytes[..]);
    let mut found = other.entries().expect("entries");
    let mut first = found.next().expect("first").expect("read");
    assert_eq!(&*first.path_bytes(), long.as_bytes());
    assert_eq!(first.size(), 600);
    let mut content = Vec::new();
    io::Read::read_to_end(&mut first, &mut content).expect("content");
    assert_eq!(content, vec![7; 600]);
    let second = found.next().expect("second").expect("read");
    assert_eq!(second.header().uid().expect("uid"), 4_000_000);
    assert!(found.next().is_none());
}

#[test]
fn directories_before_posix_are_files_with_a_slash() {
    for (flag, kind) in [(0, FileKind::Directory), (b'0', FileKind::Regular)] {
        let found = entries(&raw("d/", flag, b"")).expect("read");
        assert_eq!(found[0].0.kind, Kind::File(kind));
    }
}

#[test]
fn links_with_a_size_have_no_content() {
    let link = Header { kind: Kind::HardLink, link: b"a".to_vec(), ..file("b", 512) };
    let bytes = archive(&[(link, Vec::new()), (file("next", 0), Vec::new())]);
    let found = entries(&bytes).expect("read");
    assert_eq!(found.len(), 2, "the block after the link is a header");
    assert_eq!(found[1].0.path, b"next");
}

fn raw(name: &str, flag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = archive(&[(file(name, content.len() as u64), content.to_vec())]);
    bytes.truncate(bytes.len() - 1024);
    bytes[156] = flag;
    reseal(&mut bytes);
    bytes
}

fn reseal(bytes: &mut [u8]) {
    bytes[148..156].fill(b' ');
    let sum: u32 = bytes[..512].iter().map(|byte| u32::from(*byte)).sum();
    bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn fault_of(bytes: &[u8]) -> Fault {
    match entries(bytes) {
        Err(Error::Malformed { fault, .. }) => fault,
        Err(Error::ReadLayer { source }) if source.kind() == io::ErrorKind::UnexpectedEof => {
            Fault::Truncated
        }
        other => panic!("no fault: {other:?}"),
    }
}

#[test]
fn extended_records_win_over_the_header() {
    let records = b"12 path=new\n12 size=000\n";
    let bytes = [raw("x", b'x', records), raw("old", b'0', b"")].concat();
    let found = entries(&bytes).expect("read");
    assert_eq!(found[0].0.path, b"new");
    let global = [raw("g", b'g', b"12 path=all\n"), raw("one", b'0', b"")].concat();
    assert_eq!(entries(&global).expect("read")[0].0.path, b"one", "global records are ignored");
    let times = b"21 mtime=1500000000.5\n";
    assert_eq!(times.len(), 22);
    let times = [raw("x", b'x', b"22 mtime=1500000000.5\n"), raw("t", b'0', b"")].concat();
    let mtime = entries(&times).expect("read")[0].0.mtime;
    assert_eq!(mtime, Timestamp { seconds: 1_500_000_000, nanos: 500_000_000 });
}

#[test]
fn broken_archives_are_errors() {
    let good = archive(&[(file("a", 1000), vec![1; 1000])]);
    assert_eq!(fault_of(&good[..700]), Fault::Truncated);
    assert_eq!(fault_of(&good[..100]), Fault::Truncated);
    let mut broken = good.clone();
    broken[0] ^= 1;
    assert_eq!(fault_of(&broken), Fault::Checksum);
    let mut number = good.clone();
    number[125] = b'9';
    reseal(&mut number);
    assert_eq!(fault_of(&number), Fault::Number);
    assert_eq!(fault_of(&raw("v", b'V', b"")), Fault::Kind);
    assert_eq!(fault_of(&raw("x", b'x', b"garbage")), Fault::Pax);
    assert_eq!(fault_of(&raw("x", b'x', b"13 path=a\0bc\n")), Fault::Pax);
    assert_eq!(fault_of(&raw("L", b'L', &vec![b'n'; (1 << 20) + 1])), Fault::ExtendedTooLong);
    let single_zero = [vec![0; 512], good].concat();
    assert_eq!(fault_of(&single_zero), Fault::Checksum);
    assert_eq!(fault_of(&[raw("x", b'x', b"13 uid=-1000\n"), raw("a", b'0', b"")].concat()), {
        Fault::Number
    });
}

#[test]
fn old_gnu_files_with_holes_are_filled() {
    let mut bytes = raw("holes", b'S', b"abcdefgh");
    bytes[257..265].copy_from_slice(b"ustar  \0");
    bytes[386..410].copy_from_slice(b"00000001000\x0000000000005\0");
    bytes[410..434].copy_from_slice(b"00000003000\x0000000000003\0");
    bytes[483..495].copy_from_slice(b"00000004000\0");
    reseal(&mut bytes);
    let mut expected = vec![0; 0o4000];
    expected[0o1000..0o1005].copy_from_slice(b"abcde");
    expected[0o3000..0o3003].copy_from_slice(b"fgh");
    let found = entries(&bytes).expect("read");
    assert_eq!(found[0].0.size, 0o4000);
    assert!(found[0].1 == expected);
    // A map that claims more than is stored.
    bytes[410..434].copy_from_slice(b"00000003000\x0000000000777\0");
    reseal(&mut bytes);
    assert_eq!(fault_of(&bytes), Fault::Sparse);
}

#[test]
fn pax_files_with_holes_are_filled() {
    let mut map = b"2\n10\n3\n20\n2\n".to_vec();
    map.resize(512, 0);
    map.extend_from_slice(b"abcde");
    let mut records = Vec::new();
    for (key, value) in [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "real"),
        ("GNU.sparse.realsize", "30"),
    ] {
        pax::append(&mut records, key.as_bytes(), value.as_bytes());
    }
    let bytes = [raw("x", b'x', &records), raw("GNUSparseFile.0/real", b'0', &map)].concat();
    let found = entries(&bytes).expect("read");
    let expected = b"\0\0\0\0\0\0\0\0\0\0abc\0\0\0\0\0\0\0de\0\0\0\0\0\0\0\0";
    assert_eq!((&found[0].0.path[..], &found[0].1[..]), (&b"real"[..], &expected[..]));
}

#[test]
fn binary_numbers_are_read() {
    assert_eq!(number(b"0000644\0"), Some(0o644));
    assert_eq!(number(b"   644 \0"), Some(0o644));
    assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
    assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 1, 2]), Some(258));
    assert_eq!(signed(&[0xff; 12]), Some(-1));
    assert_eq!(number(&[0xff; 12]), None);
    assert_eq!(number(b"-644\0\0\0\0"), None);
    assert_eq!(signed(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]), None);
}

#[test]
fn decimal_times_are_read() {
    let check = |text: &str, seconds, nanos| {
        assert_eq!(time(text.as_bytes()), Some(Timestamp { seconds, nanos }), "{text}");
    };
    check("5", 5, 0);
    check("5.25", 5, 250_000_000);
    check("-1.5", -2, 500_000_000);
    check("-0.5", -1, 500_000_000);
    check("7.1234567899", 7, 123_456_789);
    assert_eq!(time(b"x"), None);
    assert_eq!(time(b"1.-5"), None);
}

proptest! {
    #[test]
    fn any_bytes_end_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        drop(entries(&bytes));
    }

    #[test]
    fn any_damage_ends_without_panic(
        at in 0..2560_usize,
        value in any::<u8>(),
        seal in any::<bool>(),
    ) {
        let xattrs = Xattrs::from([(b"user.key".to_vec(), b"value".to_vec())]);
        let mut bytes = archive(&[
            (Header { xattrs, ..file(&"long/".repeat(60), 9) }, vec![1; 9]),
        ]);
        let at = at.min(bytes.len() - 1);
        bytes[at] = value;
        if seal {
            reseal(&mut bytes);
        }
        drop(entries(&bytes));
    }

    #[test]
    fn any_header_survives(
        path in "[a-zäß/]{1,200}",
        ids in any::<(u32, u32)>(),
        seconds in any::<i64>(),
        value in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let path = format!("{}x", path.trim_matches('/'));
        let xattrs = Xattrs::from([(b"user.x".to_vec(), value)]);
        let mtime = Timestamp::from_seconds(seconds);
        check_round_trip(Header { uid: ids.0, gid: ids.1, mtime, xattrs, ..file(&path, 20) });
    }
}
