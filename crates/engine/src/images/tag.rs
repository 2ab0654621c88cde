//! Another name for an image.

use lathe_oci::Reference;

use super::{Error, Result, find};
use crate::Engine;

/// Gives an image a name, which any other image loses.
pub fn tag(engine: &Engine, source: &str, target: &str) -> Result<Reference> {
    let _share = engine.store.share()?;
    let image = find(&engine.store, source)?;
    let target = Reference::parse(target)?;
    if target.digest().is_some() {
        return Err(Error::DigestTag);
    }
    let target = target.with_default_tag();
    engine.store.set_tag(&target.to_string(), &image)?;
    Ok(target)
}
