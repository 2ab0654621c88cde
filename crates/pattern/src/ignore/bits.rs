//! Sets of patterns: bit `i` stands for pattern `i`.
//!
//! Plain slices of words, so that the sets of a level can be filled again
//! without an allocation.

/// How many patterns a word holds.
const WIDTH: usize = u64::BITS as usize;

/// How many words hold a set of `count` patterns.
pub(super) const fn words(count: usize) -> usize {
    count.div_ceil(WIDTH)
}

pub(super) fn insert(set: &mut [u64], index: usize) {
    set[index / WIDTH] |= 1 << (index % WIDTH);
}

pub(super) fn contains(set: &[u64], index: usize) -> bool {
    set[index / WIDTH] & (1 << (index % WIDTH)) != 0
}

/// The members of a word from the first to the last; `word` is its place.
pub(super) fn ascending(mut bits: u64, word: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
        Some(word * WIDTH + bit)
    })
}

/// The greatest member of a word.
pub(super) fn greatest(bits: u64, word: usize) -> Option<usize> {
    let bit = bits.checked_ilog2()? as usize;
    Some(word * WIDTH + bit)
}

/// The members of a word behind pattern `index`, or all without one.
pub(super) fn behind(bits: u64, word: usize, index: Option<usize>) -> u64 {
    let Some(index) = index else { return bits };
    match word.cmp(&(index / WIDTH)) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => bits & (u64::MAX << (index % WIDTH)) & !(1 << (index % WIDTH)),
        std::cmp::Ordering::Greater => bits,
    }
}
