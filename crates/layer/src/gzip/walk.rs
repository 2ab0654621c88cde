//! Finds the last block of a deflate stream (RFC 1951) and where it ends.
//!
//! libdeflate marks the last block of whatever it compresses as the last of the stream. To go on
//! after it, that mark has to be cleared, and nothing but reading all symbols before it tells
//! where it is: blocks begin at any bit and carry no length. (Looking for it from the end is
//! guessing: bits that look like a block with the mark and end right can be part of another.)
//!
//! So this is the half of a decompressor that costs little: symbols are looked up and skipped,
//! several at a time, and nothing is written. A tenth of the time that compressing took.
//! The length of what the symbols stand for is added up, so that the caller can tell that the walk
//! was right.

/// Bits that the tables are indexed by; longer codes are rare and decoded bit by bit.
const LITLEN_BITS: u32 = 11;
const OFFSET_BITS: u32 = 9;
const PRECODE_BITS: u32 = 7;

/// Longest code word.
const LONGEST: usize = 15;

/// A symbol of any alphabet; there are less than 289.
const SYMBOLS: usize = 288;

/// Order of the lengths of the code that the lengths are written in (3.2.7).
const PRECODE_ORDER: [usize; 19] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Base and extra bits of the lengths, symbol 257 on (3.2.5).
const LENGTHS: [(u32, u32); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// The last block of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last {
    /// Position in bits of the mark that it is the last.
    pub(super) mark: usize,
    /// Position in bits of what follows it.
    pub(super) end: usize,
    /// Bytes that the whole stream decompresses to.
    pub(super) size: u64,
}

/// Walks a stream to its last block; `None` when it is malformed or cut off. Distances are not
/// checked against what there is to copy from.
pub(super) fn last_block(stream: &[u8]) -> Option<Last> {
    let mut bits = Bits { bytes: stream, at: 0, buffer: 0, count: 0 };
    let mut tables = Tables::default();
    let mut size = 0;
    loop {
        bits.refill()?;
        let mark = bits.position();
        let is_last = bits.take(1) == 1;
        size += match bits.take(2) {
            0 => bits.stored()?,
            1 => {
                tables.fixed()?;
                symbols(&mut bits, &tables)?
            }
            2 => {
                tables.dynamic(&mut bits)?;
                symbols(&mut bits, &tables)?
            }
            _ => return None,
        };
        let end = bits.position();
        if end > stream.len() * 8 {
            return None;
        }
        if is_last {
            return Some(Last { mark, end, size });
        }
    }
}

/// Bits of a stream, the lowest of a byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// Next byte that is not in the buffer.
    at: usize,
    /// The next bits; those above `count` are zero or right.
    buffer: u64,
    count: u32,
}

impl Bits<'_> {
    /// Fills the buffer to at least 56 bits, after the end of the stream with zeros.
    #[inline]
    fn refill(&mut self) -> Option<()> {
        if let Some(next) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            self.buffer |= u64::from_le_bytes(*next) << self.count;
            self.at += (63 - self.count as usize) >> 3;
            self.count |= 0x38;
            return Some(());
        }
        self.refill_at_end()
    }

    #[cold]
    fn refill_at_end(&mut self) -> Option<()> {
        // More than a buffer of zeros behind the end: nothing ends any more.
        if self.at > self.bytes.len() + 16 {
            return None;
        }
        while self.count <= 56 {
            let byte = self.bytes.get(self.at).copied().unwrap_or(0);
            self.buffer |= u64::from(byte) << self.count;
            self.at += 1;
            self.count += 8;
        }
        Some(())
    }

    fn position(&self) -> usize {
        self.at * 8 - self.count as usize
    }

    #[inline]
    fn skip(&mut self, count: u32) {
        self.buffer >>= count;
        self.count -= count;
    }

    /// Takes a few bits that are in the buffer.
    fn take(&mut self, count: u32) -> u32 {
        let value = self.buffer & ((1 << count) - 1);
        self.skip(count);
        u32::try_from(value).expect("at most 32 bits are taken")
    }

    /// Skips a stored block.
    fn stored(&mut self) -> Option<u64> {
        let from = self.position().div_ceil(8);
        let header = self.bytes.get(from..)?.first_chunk::<4>()?;
        let length = u16::from_le_bytes([header[0], header[1]]);
        if length != !u16::from_le_bytes([header[2], header[3]]) {
            return None;
        }
        self.at = from + 4 + usize::from(length);
        (self.buffer, self.count) = (0, 0);
        Some(u64::from(length))
    }
}

/// What a look-up gives: bits to skip (0 to 7), kind (8, 9), extra bits among those (12 to 15),
/// value (from 16 on).
type Look = u32;

const KIND: Look = 3 << 8;
/// Literals; the value is how many.
const LITERALS: Look = 0;
/// A length, perhaps after literals; the value is without the extra bits, which are the last. Also
/// an offset, whose value is of no use here.
const LENGTH: Look = 1 << 8;
const END: Look = 2 << 8;
/// No code word of the table's bits begins so: a longer one, or none.
const LONG: Look = 3 << 8;

fn litlen(symbol: usize) -> Option<Look> {
    match symbol {
        0..256 => Some(LITERALS | 1 << 16),
        256 => Some(END),
        _ => {
            let (base, extra) = *LENGTHS.get(symbol - 257)?;
            Some(LENGTH | extra << 12 | base << 16 | extra)
        }
    }
}

fn offset(symbol: usize) -> Option<Look> {
    let extra = u32::try_from(symbol / 2).unwrap_or(0).saturating_sub(1);
    (symbol < 30).then_some(LENGTH | extra << 12 | extra)
}

fn precode(symbol: usize) -> Option<Look> {
    Some(LENGTH | u32::try_from(symbol).ok()? << 16)
}

/// Skips the symbols of a block; returns how many bytes they stand for.
fn symbols(bits: &mut Bits<'_>, tables: &Tables) -> Option<u64> {
    let (litlens, offsets) = (&tables.litlens, &tables.offsets);
    let mut size = 0;
    loop {
        bits.refill()?;
        let mut look = litlens.look(bits.buffer);
        // Three look-ups fit into what a refill gives.
        if look & KIND == LITERALS {
            size += u64::from(look >> 16);
            bits.skip(look & 0xff);
            look = litlens.look(bits.buffer);
            if look & KIND == LITERALS {
                size += u64::from(look >> 16);
                bits.skip(look & 0xff);
                look = litlens.look(bits.buffer);
                if look & KIND == LITERALS {
                    size += u64::from(look >> 16);
                    bits.skip(look & 0xff);
                    continue;
                }
            }
            // A length and an offset have up to 48 bits.
            bits.refill()?;
        }
        if look & KIND == LONG {
            look = litlens.long(bits.buffer, litlen)?;
        }
        match look & KIND {
            LITERALS => {
                size += u64::from(look >> 16);
                bits.skip(look & 0xff);
            }
            END => {
                bits.skip(look & 0xff);
                return Some(size);
            }
            _ => {
                let (count, extra) = (look & 0xff, look >> 12 & 0xf);
                size += u64::from(look >> 16);
                size += bits.buffer >> (count - extra) & ((1 << extra) - 1);
                bits.skip(count);
                look = offsets.look(bits.buffer);
                if look & KIND == LONG {
                    look = offsets.long(bits.buffer, offset)?;
                }
                bits.skip(look & 0xff);
            }
        }
    }
}

/// The codes of a block.
#[derive(Default)]
struct Tables {
    litlens: Table<{ 1 << LITLEN_BITS }>,
    offsets: Table<{ 1 << OFFSET_BITS }>,
    precodes: Table<{ 1 << PRECODE_BITS }>,
}

impl Tables {
    /// The codes of 3.2.6.
    fn fixed(&mut self) -> Option<()> {
        let mut lengths = [8; SYMBOLS];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.litlens.fill(&lengths, litlen)?;
        self.litlens.join();
        self.offsets.fill(&[5; 32], offset)
    }

    /// The codes that the block brings (3.2.7).
    fn dynamic(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        bits.refill()?;
        let litlen_count = bits.take(5) as usize + 257;
        let offset_count = bits.take(5) as usize + 1;
        let precode_count = bits.take(4) as usize + 4;
        let mut precodes = [0; 19];
        for position in &PRECODE_ORDER[..precode_count] {
            bits.refill()?;
            precodes[*position] = u8::try_from(bits.take(3)).expect("three bits fit");
        }
        self.precodes.fill(&precodes, precode)?;
        let count = litlen_count + offset_count;
        let mut lengths = [0; SYMBOLS + 32];
        let mut at = 0;
        while at < count {
            bits.refill()?;
            let look = self.precodes.look(bits.buffer);
            if look & KIND == LONG {
                return None;
            }
            bits.skip(look & 0xff);
            let (length, repeat) = match look >> 16 {
                16 => (*lengths.get(at.checked_sub(1)?)?, 3 + bits.take(2)),
                17 => (0, 3 + bits.take(3)),
                18 => (0, 11 + bits.take(7)),
                length => (u8::try_from(length).ok()?, 1),
            };
            let end = at + repeat as usize;
            if end > count {
                return None;
            }
            lengths[at..end].fill(length);
            at = end;
        }
        let (litlens, offsets) = lengths[..count].split_at(litlen_count);
        if litlens[256] == 0 {
            return None;
        }
        self.litlens.fill(litlens, litlen)?;
        self.litlens.join();
        self.offsets.fill(offsets, offset)
    }
}

/// A Huffman code, looked up by the next bits.
struct Table<const SIZE: usize> {
    looks: [Look; SIZE],
    /// Code words by length.
    counts: [u16; LONGEST + 1],
    /// Symbols by code word.
    sorted: [u16; SYMBOLS],
}

impl<const SIZE: usize> Default for Table<SIZE> {
    fn default() -> Self {
        Self { looks: [LONG; SIZE], counts: [0; LONGEST + 1], sorted: [0; SYMBOLS] }
    }
}

impl<const SIZE: usize> Table<SIZE> {
    #[inline]
    fn look(&self, buffer: u64) -> Look {
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are what is wanted")]
        let index = buffer as usize & (SIZE - 1);
        self.looks[index]
    }

    /// Makes the canonical code of these lengths; `None` when there are more words than fit.
    fn fill(&mut self, lengths: &[u8], look: fn(usize) -> Option<Look>) -> Option<()> {
        self.counts.fill(0);
        for length in lengths {
            self.counts[usize::from(*length)] += 1;
        }
        self.counts[0] = 0;
        let mut places = [0; LONGEST + 2];
        let mut words = [0_u32; LONGEST + 2];
        for length in 1..=LONGEST {
            let count = self.counts[length];
            places[length + 1] = places[length] + count;
            words[length + 1] = (words[length] + u32::from(count)) << 1;
            if words[length] + u32::from(count) > 1 << length {
                return None;
            }
        }
        self.looks.fill(LONG);
        for (symbol, length) in lengths.iter().enumerate() {
            let length = usize::from(*length);
            if length == 0 {
                continue;
            }
            self.sorted[usize::from(places[length])] = u16::try_from(symbol).ok()?;
            places[length] += 1;
            let word = words[length];
            words[length] += 1;
            let step = 1 << length;
            if step > SIZE {
                continue;
            }
            // Code words begin at their highest bit, the buffer at its lowest.
            let first = (word.reverse_bits() >> (32 - length)) as usize;
            if let Some(look) = look(symbol) {
                let look = look + u32::try_from(length).expect("at most 15");
                for place in self.looks[first..].iter_mut().step_by(step) {
                    *place = look;
                }
            }
        }
        Some(())
    }

    /// Lets one look-up give all the literals that its bits hold, and a length after them.
    fn join(&mut self) {
        // What a look-up is joined with has a lower index, and is still a single symbol.
        for index in (1..SIZE).rev() {
            let mut look = self.looks[index];
            while look & KIND == LITERALS {
                let used = look & 0xff;
                let next = self.looks[index >> used];
                // The extra bits need not be in the table's.
                let fits = used + (next & 0xff) - (next >> 12 & 0xf) <= SIZE.ilog2();
                if !fits || !matches!(next & KIND, LITERALS | LENGTH) {
                    break;
                }
                // The sum has the bits and the values of both, and the kind of the latter.
                look += next;
            }
            self.looks[index] = look;
        }
    }

    /// Decodes a word that is longer than the table's bits.
    #[cold]
    fn long(&self, buffer: u64, look: fn(usize) -> Option<Look>) -> Option<Look> {
        let (mut word, mut first, mut place) = (0, 0, 0);
        for length in 1..=LONGEST {
            word |= u32::from(buffer >> (length - 1) & 1 == 1);
            let count = u32::from(self.counts[length]);
            if word < first + count {
                let symbol = self.sorted[usize::try_from(place + word - first).ok()?];
                return Some(look(usize::from(symbol))? + u32::try_from(length).ok()?);
            }
            place += count;
            first = (first + count) << 1;
            word <<= 1;
        }
        None
    }
}

#[cfg(test)]
mod tests;
