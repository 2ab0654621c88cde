//! Tells cheaply which parts of a piece deflate could not make smaller: what is compressed or
//! encrypted already is half of many a layer, and trying it costs as much as text does.
//!
//! Two looks at each segment, both functions of its bytes alone:
//! - how even the values of the bytes are, from one in eight of them. Text, programs and numbers
//!   are far from even;
//! - whether what was there within deflate's window comes again. Samples at fixed places would miss
//!   repeats at odd distances, so the places are chosen by content: wherever one byte has a fixed
//!   value, the bytes after it are looked for. What comes twice has its places twice. In a segment
//!   whose bytes are even there is one in 256.

/// Bytes that are judged together.
pub(super) const SEGMENT: usize = 64 * 1024;

/// Farthest that deflate copies from.
const WINDOW: usize = 32 * 1024;

/// Less than this is not worth a look.
const SHORTEST: usize = 4 * 1024;

/// Samples of the first look: this many bytes in a row, and begin to begin. The latter is odd, so
/// that records of a round length are seen at all of their places.
const TAKEN: usize = 8;
const STRIDE: usize = 61;

/// Value of the byte that chooses a place. Any would do.
const CHOSEN: u8 = 0x6b;

/// Places that are remembered, by a hash.
const PLACES: usize = 4096;

/// Bytes after a chosen one that make a repeat. With the chosen one that is one more than the
/// shortest match, which alone saves next to nothing.
const REPEAT: usize = 3;

/// Tells for each segment of a piece whether it is incompressible.
pub(super) fn incompressible(piece: &[u8]) -> Vec<bool> {
    let mut even: Vec<bool> = piece.chunks(SEGMENT).map(is_even).collect();
    if !even.contains(&true) {
        return even;
    }
    for segment in segments_with_repeats(piece, &even) {
        // What comes again lies in the segment before, perhaps, and is no use when stored apart.
        even[segment] = false;
        even[segment.saturating_sub(1)] = false;
    }
    even
}

/// Tells whether all values of bytes are about as frequent.
fn is_even(segment: &[u8]) -> bool {
    if segment.len() < SHORTEST {
        return false;
    }
    let mut counts = [0_u32; 256];
    let mut total = 0;
    for taken in segment.chunks(STRIDE) {
        for byte in &taken[..TAKEN.min(taken.len())] {
            counts[usize::from(*byte)] += 1;
        }
        total += TAKEN.min(taken.len()) as u64;
    }
    // How often two samples are equal: one in 256 of the pairs, if they are even. A sixteenth more
    // of that is about half a percent that Huffman codes could save.
    let pairs: u64 = counts.iter().map(|count| u64::from(*count)).map(|n| n * n - n).sum();
    pairs * 256 * 16 < total * total * 17
}

/// Returns the even segments in which more than one of 64 chosen places has been there before.
fn segments_with_repeats(piece: &[u8], even: &[bool]) -> Vec<usize> {
    let mut places = vec![0_u32; PLACES];
    let mut found = Vec::new();
    for (number, is_even) in even.iter().enumerate() {
        if !is_even {
            continue;
        }
        let begin = number * SEGMENT;
        // The window before is looked at too, if that was not done as the segment before.
        let before = number > 0 && !even[number - 1];
        if before {
            remember(piece, begin - WINDOW, begin, &mut places);
        }
        let end = piece.len().min(begin + SEGMENT);
        let (chosen, repeated) = remember(piece, begin, end, &mut places);
        // Where the chosen value is rare, on purpose perhaps, nothing is known.
        if repeated * 64 > chosen || chosen * 1024 < end - begin {
            found.push(number);
        }
    }
    found
}

/// Remembers the chosen places; returns how many there are and how many of them are repeats.
fn remember(piece: &[u8], begin: usize, end: usize, places: &mut [u32]) -> (usize, usize) {
    let (mut chosen, mut repeated) = (0, 0);
    let mut look = |at: usize| {
        let Some(bytes) = piece[at + 1..].first_chunk::<REPEAT>() else { return };
        let word = u32::from_le_bytes([0, bytes[0], bytes[1], bytes[2]]);
        let hash = word.wrapping_mul(0x9e37_79b1) >> (32 - PLACES.ilog2());
        let place = &mut places[hash as usize];
        chosen += 1;
        let earlier = *place as usize;
        // Zero is no place: the very first byte is none that matters.
        if earlier != 0 && at - earlier <= WINDOW && piece[earlier + 1..].starts_with(bytes) {
            repeated += 1;
        }
        *place = u32::try_from(at).expect("a piece is shorter than 4 GiB");
    };
    let (words, rest) = piece[begin..end].as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let mut hits = chosen_bytes(u64::from_le_bytes(*word));
        while hits != 0 {
            look(begin + number * 8 + hits.trailing_zeros() as usize / 8);
            hits &= hits - 1;
        }
    }
    for (number, byte) in rest.iter().enumerate() {
        if *byte == CHOSEN {
            look(begin + words.len() * 8 + number);
        }
    }
    (chosen, repeated)
}

/// Returns a word with the highest bit of each byte that has the chosen value, and no other.
fn chosen_bytes(word: u64) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let other = word ^ u64::from_ne_bytes([CHOSEN; 8]);
    // Exact, unlike the shorter form that is well known: no carry goes from byte to byte.
    !(((other & LOW) + LOW) | other | LOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(size: usize, seed: u64) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64 ^ seed;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..size).map(|_| next()).collect()
    }

    fn text(size: usize) -> Vec<u8> {
        let words = ["layer", "of", "a", "tree", "is", "packed", "again\n", "and", "stored"];
        let order = random(size, 5);
        let mut text: Vec<u8> = Vec::with_capacity(size + 10);
        for byte in order {
            text.extend_from_slice(words[usize::from(byte) % words.len()].as_bytes());
            text.push(b' ');
        }
        text.truncate(size);
        text
    }

    fn check(piece: &[u8], expected: &[bool], what: &str) {
        assert_eq!(incompressible(piece), expected, "{what}");
    }

    #[test]
    fn random_bytes_are_incompressible_and_text_is_not() {
        check(&[], &[], "nothing");
        check(&random(100, 1), &[false], "little");
        check(&random(SEGMENT, 1), &[true], "a segment");
        check(&random(2 * SEGMENT + SHORTEST, 2), &[true; 3], "with a short rest");
        check(&text(2 * SEGMENT), &[false; 2], "text");
        check(&vec![0; SEGMENT + 9000], &[false; 2], "zeros");
        let both = [random(SEGMENT, 3), text(SEGMENT), random(SEGMENT, 4)].concat();
        check(&both, &[true, false, true], "both");
        for seed in 0..200 {
            check(&random(SEGMENT, seed << 20), &[true], "any seed");
        }
    }

    #[test]
    fn repeats_within_the_window_are_found_at_every_distance() {
        for distance in [300, 1021, 4096, 10_007, 20_000, WINDOW - 600] {
            let unit = random(distance, 7);
            let piece: Vec<u8> = unit.iter().copied().cycle().take(2 * SEGMENT).collect();
            check(&piece, &[false; 2], &format!("distance {distance}"));
        }
        let unit = random(WINDOW + 5000, 7);
        let piece: Vec<u8> = unit.iter().copied().cycle().take(2 * SEGMENT).collect();
        check(&piece, &[true; 2], "farther than the window");
    }

    #[test]
    fn repeats_over_the_border_of_segments_take_both() {
        let mut piece = random(3 * SEGMENT, 9);
        let copy = piece[2 * SEGMENT - 20_000..2 * SEGMENT].to_vec();
        piece[2 * SEGMENT..2 * SEGMENT + 20_000].copy_from_slice(&copy);
        check(&piece, &[true, false, false], "the second and the third");
        piece[SEGMENT..2 * SEGMENT - 40_000].fill(b'x');
        check(&piece, &[true, false, false], "one of them is not even anyway");
    }

    #[test]
    fn words_of_random_bytes_are_found() {
        let words = random(4 * 1024, 11);
        let order = random(SEGMENT, 12);
        let of = |pair: &[u8]| usize::from(u16::from_le_bytes([pair[0], pair[1]])) % 1024 * 4;
        let piece: Vec<u8> = order
            .chunks_exact(2)
            .flat_map(|pair| words[of(pair)..of(pair) + 4].to_vec())
            .take(SEGMENT)
            .collect();
        check(&piece, &[false], "words of four bytes");
    }

    #[test]
    fn nothing_is_concluded_where_the_chosen_byte_is_missing() {
        let mut unit = random(9000, 13);
        unit.retain(|byte| *byte != CHOSEN);
        let piece: Vec<u8> = unit.iter().copied().cycle().take(SEGMENT).collect();
        check(&piece, &[false], "repeats without the byte");
    }

    #[test]
    fn the_chosen_byte_is_found_wherever_it_is() {
        for place in 0..8 {
            for around in [0, 1, CHOSEN - 1, CHOSEN + 1, CHOSEN ^ 0x80, 0x80, 0xff] {
                let mut bytes = [around; 8];
                bytes[place] = CHOSEN;
                let hits = chosen_bytes(u64::from_le_bytes(bytes));
                assert_eq!(hits, 0x80 << (place * 8), "{place} {around}");
            }
        }
    }
}
