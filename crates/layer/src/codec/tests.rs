//! Streams as the programs make them. Those of `xz` and `bzip2` are kept here as bytes, since the
//! crates that read them need not be able to write.

use super::*;

/// `printf 'hello, world\n' | bzip2`.
const BZIP2: &[u8] = &[
    0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, 0x54, 0xa4, 0x97, 0x84, 0x00, 0x00,
    0x02, 0xd1, 0x80, 0x00, 0x10, 0x40, 0x04, 0x06, 0x44, 0x90, 0x80, 0x20, 0x00, 0x31, 0x00, 0x30,
    0x20, 0x68, 0x62, 0x00, 0x49, 0xd4, 0xb2, 0x1f, 0x3f, 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, 0x54,
    0xa4, 0x97, 0x84,
];

/// `printf 'hello, world\n' | xz`.
const XZ: &[u8] = &[
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01,
    0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x0c, 0x68, 0x65, 0x6c, 0x6c, 0x6f,
    0x2c, 0x20, 0x77, 0x6f, 0x72, 0x6c, 0x64, 0x0a, 0x00, 0x00, 0x00, 0x00, 0x7b, 0x46, 0x5a, 0x81,
    0xc9, 0x12, 0xb8, 0xea, 0x00, 0x01, 0x25, 0x0d, 0x71, 0x19, 0xc4, 0xb6, 0x1f, 0xb6, 0xf3, 0x7d,
    0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
];

const TEXT: &[u8] = b"hello, world\n";

fn read(codec: Codec, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    codec.decoder(bytes).expect("a decoder").read_to_end(&mut content)?;
    Ok(content)
}

fn gzip(content: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(content).expect("written");
    gzip.finish().expect("finished")
}

/// All forms with a stream of each.
fn samples() -> Vec<(Codec, Vec<u8>)> {
    vec![
        (Compression::Gzip.into(), gzip(TEXT)),
        (Compression::Zstd.into(), zstd::encode_all(TEXT, 1).expect("zstd")),
        (Codec::Bzip2, BZIP2.to_vec()),
        (Codec::Xz, XZ.to_vec()),
    ]
}

#[test]
fn the_first_bytes_show_the_form() {
    for (codec, bytes) in samples() {
        assert_eq!(Codec::of_magic(&bytes[..Codec::MAGIC]), codec);
        assert_eq!(read(codec, &bytes).expect("read"), TEXT, "{codec}");
    }
    assert_eq!(Codec::of_magic(b"BZ"), Compression::None.into());
    assert_eq!(Codec::of_magic(b"\xfd7zX"), Compression::None.into());
    assert_eq!(Codec::of_magic(b""), Compression::None.into());
}

#[test]
fn streams_in_a_row_are_read_to_the_end() {
    for (codec, bytes) in samples() {
        let twice = [&bytes[..], &bytes].concat();
        assert_eq!(read(codec, &twice).expect("read"), [TEXT, TEXT].concat(), "{codec}");
    }
    // Between two streams of xz there may be padding of four bytes each.
    let padded = [XZ, &[0; 8], XZ, &[0; 4]].concat();
    assert_eq!(read(Codec::Xz, &padded).expect("read"), [TEXT, TEXT].concat());
}

#[test]
fn what_is_cut_off_or_damaged_is_an_error() {
    for (codec, bytes) in samples() {
        for length in 0..bytes.len() {
            // An empty stream of gzip or bzip2 is one without members.
            let read = read(codec, &bytes[..length]);
            let all = read.as_ref().is_ok_and(|content| content == TEXT);
            assert!(!all || codec == Compression::Zstd.into(), "{codec} of {length} bytes");
        }
    }
    for (codec, bytes) in samples() {
        for position in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[position] ^= 1 << bit;
                // Whatever comes of it: no panic, and no more than was there.
                drop(read(codec, &damaged));
            }
        }
    }
}

#[test]
fn a_dictionary_that_is_too_large_is_refused_before_it_is_there() {
    /// `xz --lzma2=dict=768MiB` of the same text: the size of the dictionary is one byte.
    const LARGE: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21,
        0x01, 0x23, 0x00, 0x00, 0x00, 0xe7, 0x27, 0x10, 0x64, 0x01, 0x00, 0x0c, 0x68, 0x65, 0x6c,
        0x6c, 0x6f, 0x2c, 0x20, 0x77, 0x6f, 0x72, 0x6c, 0x64, 0x0a, 0x00, 0x00, 0x00, 0x00, 0x7b,
        0x46, 0x5a, 0x81, 0xc9, 0x12, 0xb8, 0xea, 0x00, 0x01, 0x25, 0x0d, 0x71, 0x19, 0xc4, 0xb6,
        0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
    ];
    let error = read(Codec::Xz, LARGE).expect_err("refused");
    assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    assert!(error.to_string().contains("more than 256 MiB"), "{error}");
    let probed = crate::probe(LARGE).expect_err("refused");
    assert!(matches!(probed, crate::Error::ReadLayer { .. }), "{probed}");
}
