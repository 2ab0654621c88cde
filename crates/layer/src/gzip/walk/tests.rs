//! The walk against streams whose structure is known from elsewhere.

use super::*;
use flate2::Compress;
use flate2::Compression;
use flate2::Decompress;
use flate2::FlushCompress;
use flate2::FlushDecompress;
use flate2::Status;
use proptest::prelude::*;

/// Inputs of all sorts, of a size.
fn inputs(size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut bytes = |of: &mut dyn FnMut(u64, usize) -> u8| -> Vec<u8> {
        (0..size).map(|at| of(next(), at)).collect()
    };
    let skewed = |random: u64| u8::try_from(random.trailing_zeros() * 3).expect("below 193");
    let mut inputs = vec![
        ("zeros", bytes(&mut |_, _| 0)),
        ("random", bytes(&mut |random, _| random.to_le_bytes()[5])),
        ("four letters", bytes(&mut |random, _| b"acgt"[(random >> 9) as usize % 4])),
        // Few symbols are frequent and many rare: the longest code words there can be.
        ("skewed", bytes(&mut |random, _| skewed(random))),
        ("rising", bytes(&mut |_, at| (at / 7).to_le_bytes()[at % 7 % 2])),
        (
            "mixed",
            bytes(&mut |random, at| match at / 9000 % 3 {
                0 => random.to_le_bytes()[2],
                1 => b"no more than a few words "[at % 25],
                _ => skewed(random),
            }),
        ),
    ];
    let copies = inputs[1].1.iter().copied().cycle().skip(size / 3).take(size / 2);
    let far: Vec<u8> = inputs[3].1.iter().copied().take(size / 2).chain(copies).collect();
    inputs.push(("far copies", far));
    inputs
}

fn by_libdeflate(input: &[u8], level: i32) -> Vec<u8> {
    let level = libdeflater::CompressionLvl::new(level).expect("a level");
    let mut compressor = libdeflater::Compressor::new(level);
    let mut output = vec![0; compressor.deflate_compress_bound(input.len())];
    let size = compressor.deflate_compress(input, &mut output).expect("fits");
    output.truncate(size);
    output
}

fn by_zlib(input: &[u8], level: u32, flush: FlushCompress) -> Vec<u8> {
    let mut compress = Compress::new(Compression::new(level), false);
    let mut output = Vec::with_capacity(input.len() * 2 + 1000);
    let (first, second) = input.split_at(input.len() / 2);
    // With a flush in the middle there are empty blocks, too.
    compress.compress_vec(first, &mut output, flush).expect("compressed");
    let status = compress.compress_vec(second, &mut output, FlushCompress::Finish);
    assert_eq!(status.expect("compressed"), Status::StreamEnd);
    output
}

fn inflate(stream: &[u8], size: usize) -> (Status, Vec<u8>, usize) {
    let mut inflate = Decompress::new(false);
    let mut output = Vec::with_capacity(size + 100);
    let status = inflate.decompress_vec(stream, &mut output, FlushDecompress::Finish);
    let status = status.unwrap_or(Status::BufError);
    (status, output, usize::try_from(inflate.total_in()).expect("fits"))
}

/// Checks what the walk says of a stream with what a decompressor makes of it when it is changed.
fn check(stream: &[u8], input: &[u8], what: &str) {
    let last = last_block(stream).unwrap_or_else(|| panic!("{what}: no last block"));
    assert_eq!(last.size, input.len() as u64, "{what}");
    assert_eq!(last.end.div_ceil(8), stream.len(), "{what}");
    assert_eq!(stream[last.mark / 8] >> (last.mark % 8) & 1, 1, "{what}");
    // Without the mark the stream goes on: with another block, here the empty one that is last.
    let mut longer = stream.to_vec();
    longer[last.mark / 8] &= !(1 << (last.mark % 8));
    longer.resize((last.end + 3).div_ceil(8), 0);
    longer.extend_from_slice(&[0, 0, 0xff, 0xff]);
    let (status, output, _) = inflate(&longer, input.len());
    assert!(status != Status::StreamEnd && output == input, "{what}: {status:?}");
    longer.extend_from_slice(&[3, 0]);
    let (status, output, consumed) = inflate(&longer, input.len());
    assert!(status == Status::StreamEnd && output == input, "{what}: {status:?}");
    assert_eq!(consumed, longer.len(), "{what}");
}

#[test]
fn the_last_block_of_libdeflate_is_found_at_every_level() {
    for (size, step) in [(0, 1), (1, 1), (2, 1), (100, 1), (5000, 1), (40_000, 1), (400_000, 6)] {
        for (name, input) in inputs(size) {
            for level in (0..=12).step_by(step) {
                let stream = by_libdeflate(&input, level);
                check(&stream, &input, &format!("{name} of {size} at {level}"));
            }
        }
    }
}

#[test]
fn the_last_block_of_zlib_is_found() {
    for size in [0, 1, 300, 70_000] {
        for (name, input) in inputs(size) {
            for level in [0, 1, 3, 6, 9] {
                for flush in [FlushCompress::None, FlushCompress::Sync, FlushCompress::Partial] {
                    let stream = by_zlib(&input, level, flush);
                    check(&stream, &input, &format!("{name} of {size} at {level}, {flush:?}"));
                }
            }
        }
    }
}

#[test]
fn a_stream_that_is_cut_off_has_no_last_block() {
    for (name, input) in inputs(3000) {
        let stream = by_libdeflate(&input, 6);
        for length in 0..stream.len() {
            assert_eq!(last_block(&stream[..length]), None, "{name} to {length}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_bytes_are_a_stream_for_zlib_are_one_here(
        bytes in proptest::collection::vec(any::<u8>(), 1..200),
        kind in 0..3_u8,
    ) {
        let mut bytes = bytes;
        // Each kind of block is there often enough; it is the last.
        bytes[0] = bytes[0] & 0xf8 | 1 | kind << 1;
        let (status, output, consumed) = inflate(&bytes, 100_000);
        if status == Status::StreamEnd {
            let last = last_block(&bytes).expect("a stream");
            prop_assert_eq!(last.size, output.len() as u64);
            prop_assert_eq!(last.end.div_ceil(8), consumed);
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_damaged_stream_is_walked_as_zlib_reads_it(at in 0..100_000_usize, bit in 0..8, kind in 0..7_usize) {
        let (_, input) = inputs(20_000).swap_remove(kind);
        let mut stream = by_libdeflate(&input, 6);
        let at = at % stream.len();
        stream[at] ^= 1_u8 << bit;
        let (status, output, consumed) = inflate(&stream, 3_000_000);
        let last = last_block(&stream);
        if status == Status::StreamEnd {
            let last = last.expect("a stream");
            prop_assert_eq!(last.size, output.len() as u64);
            prop_assert_eq!(last.end.div_ceil(8), consumed);
        }
    }
}
