//! From one form of a layer to another: the tar inside stays as it is, and so does the diffID.

use crate::compression::Compression;
use crate::decode::Rest;
use crate::decode::decode;
use crate::encode::Encoded;
use crate::encode::Encoder;
use crate::error::Error;
use crate::error::Result;
use lathe_oci::DiffId;
use std::io::BufRead as _;
use std::io::Read;
use std::io::Write;

/// The form that a layer shall have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recompression {
    pub from: Compression,
    pub to: Compression,
    /// As [`PackRequest::level`](crate::PackRequest).
    pub level: Option<u8>,
    /// Threads that compress. Without influence on the bytes.
    pub threads: usize,
}

/// Writes a layer in another form; returns the output and the diffID, which the caller compares
/// with the one that it knows.
///
/// The bytes are those that packing in that form would have made.
pub fn recompress<W: Write>(
    reader: impl Read + Send,
    form: Recompression,
    output: W,
) -> Result<(W, DiffId)> {
    let mut encoder = Encoder::new(output, form.to, form.level, form.threads)?;
    let failed = |source| Error::WriteLayer { source };
    // All of it is read below, and hashed by the encoder.
    decode(reader, form.from.into(), None, Rest::Ignore, |chunks| {
        loop {
            let chunk = chunks.fill_buf().map_err(|source| Error::ReadLayer { source })?;
            if chunk.is_empty() {
                return Ok(());
            }
            encoder.write_all(chunk).map_err(failed)?;
            let count = chunk.len();
            chunks.consume(count);
        }
    })?;
    let (output, Encoded { diff_id, .. }) = encoder.finish()?;
    Ok((output, diff_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recompressed(
        bytes: &[u8],
        from: Compression,
        to: Compression,
        level: Option<u8>,
    ) -> Vec<u8> {
        let form = Recompression { from, to, level, threads: 2 };
        let (output, diff_id) = recompress(bytes, form, Vec::new()).expect("recompressed");
        assert_eq!(diff_id.0, lathe_oci::Digest::of(&sample()), "{from} to {to}");
        output
    }

    fn sample() -> Vec<u8> {
        (0..3_000_000_u32).map(|number| number.wrapping_mul(number >> 7).to_le_bytes()[1]).collect()
    }

    #[test]
    fn the_form_before_leaves_no_trace() {
        let plain = sample();
        let all = [Compression::None, Compression::Gzip, Compression::Zstd];
        let direct = all.map(|to| recompressed(&plain, Compression::None, to, None));
        assert!(direct[0] == plain);
        for (from, bytes) in all.iter().zip(&direct) {
            for (to, expected) in all.iter().zip(&direct) {
                assert!(recompressed(bytes, *from, *to, None) == *expected, "{from} to {to}");
            }
        }
    }

    #[test]
    fn levels_matter_and_the_usual_one_is_the_default() {
        let plain = sample();
        for (to, usual, high) in [(Compression::Gzip, 6, 9), (Compression::Zstd, 3, 19)] {
            let of = |level| recompressed(&plain, Compression::None, to, level);
            assert!(of(None) == of(Some(usual)), "{to}");
            assert!(of(Some(high)).len() < of(Some(1)).len(), "{to}");
        }
    }

    #[test]
    fn a_damaged_layer_is_an_error() {
        let gzip = recompressed(&sample(), Compression::None, Compression::Gzip, None);
        let form = Recompression {
            from: Compression::Gzip,
            to: Compression::Zstd,
            level: None,
            threads: 1,
        };
        let result = recompress(&gzip[..gzip.len() - 20], form, Vec::new());
        assert!(matches!(result, Err(Error::ReadLayer { .. })), "{:?}", result.map(|_| ()));
    }
}
