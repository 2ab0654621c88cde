//! Numbers that look random and are the same in each run, on every machine.

/// A generator (`SplitMix64`): small, quick, and good enough that no packer finds a pattern in its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Starts a row of numbers; equal seeds give equal rows.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, which is not zero; how even the numbers are does not matter here.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("a length is no more than 64 bits");
        usize::try_from(self.next() % end).expect("it is below a length")
    }

    /// Fills `bytes`.
    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Words of a made-up language, for text that compresses about as well as source code does.
#[derive(Debug)]
pub(crate) struct Words {
    /// Much text, from which pieces are cut.
    text: Vec<u8>,
    random: Random,
}

/// Bytes of text that pieces are cut from.
const TEXT: usize = 4 << 20;
const VOCABULARY: usize = 4000;

impl Words {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let words: Vec<Vec<u8>> = (0..VOCABULARY)
            .map(|_| {
                let length = 3 + random.below(8);
                let letters = b"abcdefghijklmnopqrstuvwxyz";
                (0..length).map(|_| letters[random.below(letters.len())]).collect()
            })
            .collect();
        let mut text = Vec::with_capacity(TEXT + 16);
        while text.len() < TEXT {
            text.extend_from_slice(&words[random.below(words.len())]);
            text.push(if random.below(9) == 0 { b'\n' } else { b' ' });
        }
        Self { text, random }
    }

    /// Returns a piece of text of `length` bytes, at most a few MiB.
    pub(crate) fn piece(&mut self, length: usize) -> &[u8] {
        let start = self.random.below(self.text.len() - length);
        &self.text[start..start + length]
    }

    /// Returns a piece of text with a length in this range.
    pub(crate) fn piece_of(&mut self, lengths: std::ops::RangeInclusive<usize>) -> &[u8] {
        let length = lengths.start() + self.random.below(lengths.end() - lengths.start() + 1);
        self.piece(length)
    }

    /// Returns one of these numbers.
    pub(crate) fn one_of(&mut self, numbers: &[usize]) -> usize {
        numbers[self.random.below(numbers.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers() {
        let row = |seed| {
            let mut random = Random::new(seed);
            [random.next(), random.next()]
        };
        // The first number of this generator from seed 0, as its paper has it.
        assert_eq!(row(0)[0], 0xE220_A839_7B1D_CDAF);
        assert_eq!(row(7), row(7));
        assert_ne!(row(7), row(8));
    }

    #[test]
    fn pieces_have_the_lengths_that_are_asked_for() {
        let mut words = Words::new(1);
        assert_eq!(words.piece(700).len(), 700);
        for _ in 0..100 {
            assert!((1024..=4096).contains(&words.piece_of(1024..=4096).len()));
        }
    }
}
