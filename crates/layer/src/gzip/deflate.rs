//! One piece of a stream, deflated on its own.
//!
//! libdeflate compresses a whole buffer at once, better and faster than zlib, but only to a whole
//! stream: its last block is marked as the last. The mark is cleared ([`walk`]) and an empty stored
//! block brings the piece to a byte border, so that pieces can be put one after the other.
//!
//! Parts that cannot become smaller ([`sample`]) are stored.

use super::sample;
use super::walk;
use libdeflater::CompressionLvl;
use libdeflater::Compressor;

/// Longest stored block.
const STORED: usize = 0xffff;

/// The last block of every stream: an empty one with fixed codes.
pub(super) const END: [u8; 2] = [3, 0];

/// Deflates pieces at one level.
pub(super) struct Deflater {
    /// `None` stores everything.
    compressor: Option<Compressor>,
}

impl Deflater {
    /// Takes gzip's levels, of which 0 stores; more than 9 is 9.
    pub(super) fn new(level: u8) -> Self {
        let level = CompressionLvl::new(i32::from(level.min(9))).expect("libdeflate has 0 to 12");
        let stores = level == CompressionLvl::new(0).expect("as above");
        Self { compressor: (!stores).then(|| Compressor::new(level)) }
    }

    /// Appends `piece` as blocks of which none is the last, ending on a byte border.
    pub(super) fn deflate(&mut self, piece: &[u8], output: &mut Vec<u8>) {
        let Some(compressor) = &mut self.compressor else { return store(piece, output) };
        let segments = sample::incompressible(piece);
        let mut rest = piece;
        for run in segments.chunk_by(|one, other| one == other) {
            let (part, after) = rest.split_at(rest.len().min(run.len() * sample::SEGMENT));
            rest = after;
            if run[0] {
                store(part, output);
            } else {
                compress(compressor, part, output);
            }
        }
    }
}

/// Appends `part` in stored blocks; the output ends on a byte border before and after.
fn store(part: &[u8], output: &mut Vec<u8>) {
    output.reserve(stored_size(part.len()));
    for block in part.chunks(STORED) {
        let length = u16::try_from(block.len()).expect("chunks are as long as a block may be");
        output.push(0);
        output.extend_from_slice(&length.to_le_bytes());
        output.extend_from_slice(&(!length).to_le_bytes());
        output.extend_from_slice(block);
    }
}

fn stored_size(length: usize) -> usize {
    length + length.div_ceil(STORED) * 5
}

/// Appends `part` compressed, or stored if that is shorter.
fn compress(compressor: &mut Compressor, part: &[u8], output: &mut Vec<u8>) {
    let begin = output.len();
    // What does not fit is longer than stored.
    output.resize(begin + stored_size(part.len()), 0);
    let size = compressor.deflate_compress(part, &mut output[begin..]).ok();
    // The sum is compared so that a mistake of the walk can cost size, never content.
    let last = size
        .and_then(|size| walk::last_block(&output[begin..begin + size]))
        .filter(|last| last.size == part.len() as u64);
    let Some(walk::Last { mark, end, .. }) = last else {
        output.truncate(begin);
        return store(part, output);
    };
    output[begin + mark / 8] &= !(1 << (mark % 8));
    // Three zero bits say "stored, not the last"; the padding of the last byte is zero, too.
    output.truncate(begin + end.div_ceil(8));
    output.resize(begin + (end + 3).div_ceil(8), 0);
    output.extend_from_slice(&[0, 0, 0xff, 0xff]);
}

#[cfg(test)]
mod tests;
