//! The forms in which a layer travels. What else an archive may be is [`Codec`](crate::Codec).

use lathe_oci::MediaType;
use std::io;
use std::io::Read;

/// Compression of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Returns the media type of a layer in this form.
    pub fn media_type(self) -> MediaType {
        match self {
            Self::None => MediaType::OciLayer,
            Self::Gzip => MediaType::OciLayerGzip,
            Self::Zstd => MediaType::OciLayerZstd,
        }
    }

    /// Returns the form that the media type of a layer states, if it states one.
    pub fn of_media_type(media_type: &MediaType) -> Option<Self> {
        // OCI says `…tar+gzip`, Docker `…tar.gzip`.
        match media_type.as_str().rsplit(['.', '+']).next() {
            Some("gzip") => Some(Self::Gzip),
            Some("zstd") => Some(Self::Zstd),
            Some("tar") => Some(Self::None),
            _ => None,
        }
    }

    /// Returns the form that the first bytes show; four are enough.
    pub fn of_magic(first: &[u8]) -> Self {
        match first {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // Or one of zstd's skippable frames before the others.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// Returns the highest level that [`PackRequest::level`](crate::PackRequest) may have; `None`
    /// where there are no levels.
    pub const fn max_level(self) -> Option<u8> {
        match self {
            Self::None => None,
            Self::Gzip => Some(9),
            Self::Zstd => Some(22),
        }
    }

    /// Returns a short stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads until `buffer` is full or the input ends; returns how much there is.
pub(crate) fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    match fill(reader, buffer) {
        (filled, None) => Ok(filled),
        (_, Some(error)) => Err(error),
    }
}

/// Reads until `buffer` is full, the input ends or fails: what came before a fault is good.
pub(crate) fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_name_their_compression() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let media_type = compression.media_type();
            assert_eq!(Compression::of_media_type(&media_type), Some(compression));
        }
        let of = Compression::of_media_type;
        assert_eq!(of(&MediaType::DockerLayerGzip), Some(Compression::Gzip));
        assert_eq!(of(&MediaType::DockerForeignLayer), Some(Compression::Gzip));
        assert_eq!(of(&MediaType::DockerLayer), Some(Compression::None));
        assert_eq!(of(&MediaType::OciConfig), None);
    }
}
