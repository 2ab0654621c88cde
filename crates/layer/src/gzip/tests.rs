//! Streams of several blocks.

use super::*;
use crate::block::BLOCK;
use crate::compression::Compression;
use crate::encode::Encoder;
use std::io::Read as _;

fn gzip(content: &[u8], threads: usize, step: usize) -> Vec<u8> {
    let encoder = Encoder::new(Vec::new(), Compression::Gzip, None, threads);
    let mut encoder = encoder.expect("header written");
    for part in content.chunks(step) {
        encoder.write_all(part).expect("written");
    }
    let (output, encoded) = encoder.finish().expect("finished");
    assert_eq!(encoded.size, content.len() as u64);
    assert_eq!(encoded.diff_id.0, lathe_oci::Digest::of(content));
    output
}

/// Bytes with some order in them, and the same on every machine.
fn sample(size: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if state >> 31 == 0 { state.to_le_bytes()[3] } else { b'a' }
    };
    (0..size).map(|_| next()).collect()
}

fn random(size: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..size).map(|_| next()).collect()
}

/// Reads one member only.
fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut back = Vec::new();
    let mut decoder = flate2::bufread::GzDecoder::new(bytes);
    decoder.read_to_end(&mut back).expect("valid gzip");
    assert!(decoder.into_inner().is_empty(), "one member to the end");
    back
}

#[test]
fn output_is_one_member_and_does_not_depend_on_threads_or_write_sizes() {
    for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 5 * BLOCK + 17] {
        let content = sample(size);
        let expected = gzip(&content, 1, BLOCK);
        for (threads, step) in [(2, 65_537), (4, 1_000_003)] {
            assert!(gzip(&content, threads, step) == expected, "{size} by {threads}");
        }
        assert!(gunzip(&expected) == content, "{size}");
    }
}

#[test]
fn what_cannot_become_smaller_is_stored() {
    let content = random(2 * BLOCK + 5);
    let compressed = gzip(&content, 2, BLOCK);
    // Five bytes for each 64 KiB, header and trailer.
    assert!(compressed.len() < content.len() + content.len() / 10_000 + 100);
    assert!(gunzip(&compressed) == content);
}

#[test]
fn programs_read_it() {
    use std::process::Command;
    use std::process::Stdio;
    let content = [sample(BLOCK + 1000), random(BLOCK), sample(70_000)].concat();
    let compressed = gzip(&content, 2, BLOCK);
    let python = "import sys, zlib; d = zlib.decompressobj(31); \
                  out = d.decompress(sys.stdin.buffer.read()) + d.flush(); \
                  assert d.eof and not d.unused_data; sys.stdout.buffer.write(out)";
    let mut programs =
        [("gzip", vec!["-dc"]), ("pigz", vec!["-dc"]), ("python3", vec!["-c", python])].into_iter();
    let read = |(program, arguments): (&str, Vec<&str>)| {
        let command = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = command else {
            println!("SKIP programs_read_it: {program} is not installed");
            return true;
        };
        let mut input = child.stdin.take().expect("piped");
        let output = std::thread::scope(|scope| {
            scope.spawn(|| {
                input.write_all(&compressed).expect("written");
                drop(input);
            });
            child.wait_with_output().expect("ended")
        });
        output.status.success() && output.stdout == content
    };
    assert!(programs.all(read));
}

#[test]
fn bytes_are_stable() {
    // Changes only when the compressor does, which is a new form of every layer: see the comment
    // of the module before touching it.
    let compressed = gzip(&sample(2 * BLOCK + 100), 2, 4096);
    assert_eq!(
        lathe_oci::Digest::of(&compressed).to_string(),
        "sha256:17de523bd05be2e487413c69361ea1fc84123bc0ffa90ce32f2d4b372a76db8c"
    );
}
