//! Pieces, alone and in a row.

use super::*;
use flate2::Decompress;
use flate2::FlushDecompress;
use flate2::Status;
use proptest::prelude::*;

fn check(pieces: &[Vec<u8>], level: u8) -> usize {
    let mut deflater = Deflater::new(level);
    let mut stream = Vec::new();
    for piece in pieces {
        deflater.deflate(piece, &mut stream);
    }
    stream.extend_from_slice(&END);
    let content = pieces.concat();
    let mut output = Vec::with_capacity(content.len() + 1);
    let status = Decompress::new(false)
        .decompress_vec(&stream, &mut output, FlushDecompress::Finish)
        .expect("a stream");
    assert!(status == Status::StreamEnd && output == content, "level {level}");
    stream.len()
}

fn bytes(size: usize, of: impl Fn(u64) -> u8) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        of(state)
    };
    (0..size).map(|_| next()).collect()
}

#[test]
fn pieces_of_all_sorts_are_one_stream_at_every_level() {
    let random = |size| bytes(size, |random| random.to_le_bytes()[1]);
    let text = |size| bytes(size, |random| b"few letters"[(random >> 7) as usize % 11]);
    let pieces = [
        text(200_000),
        random(200_000),
        Vec::new(),
        [random(sample::SEGMENT), text(sample::SEGMENT), random(70_000)].concat(),
        vec![1],
        text(sample::SEGMENT + 1),
        random(sample::SEGMENT * 2 + 1),
        vec![0; 500_000],
    ];
    let sizes: Vec<usize> = (0..=9).map(|level| check(&pieces, level)).collect();
    let content = pieces.concat().len();
    assert!(sizes[0] > content && sizes[0] < content + content / 5000, "{sizes:?}");
    assert!(sizes[9] < sizes[1] && sizes[1] < content / 2, "{sizes:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn small_pieces_are_one_stream(
        pieces in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..300),
                proptest::collection::vec(0..3_u8, 0..3000),
            ],
            0..8,
        ),
        level in 0..=9_u8,
    ) {
        check(&pieces, level);
    }
}
