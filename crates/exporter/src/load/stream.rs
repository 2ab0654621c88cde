//! The outermost form of an archive, as its first bytes tell: whatever docker loads.

use std::io::Read;

use lathe_layer::Codec;

use crate::{Error, Result};

/// Looks at the first bytes of `reader`; returns it decompressed.
pub(super) fn decompressed<'a>(
    mut reader: impl Read + Send + 'a,
) -> Result<Box<dyn Read + Send + 'a>> {
    let mut first = Vec::new();
    let start = (&mut reader).take(Codec::MAGIC as u64);
    { start }.read_to_end(&mut first).map_err(|source| Error::ReadArchive { source })?;
    if first.is_empty() {
        return Err(Error::archive("it is empty"));
    }
    Ok(Codec::of_magic(&first).decoder(std::io::Cursor::new(first).chain(reader))?)
}
