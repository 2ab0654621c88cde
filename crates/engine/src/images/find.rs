//! From what a user types to an image, in the order in which docker looks: digest, name,
//! beginning of an id.

use lathe_oci::{Digest, Reference};
use lathe_store::{ImageRecord, Store};

use super::{Error, Result, near::near};

/// Returns the image that `text` means.
///
/// # Errors
/// [`Error::NoSuchImage`], [`Error::Ambiguous`].
pub fn find(store: &Store, text: &str) -> Result<ImageRecord> {
    if let Some(id) = whole_id(text) {
        if let Some(image) = store.image(&id)? {
            return Ok(image);
        }
        return store.image_by_manifest(&id)?.ok_or_else(|| no_such(text, Vec::new()));
    }
    let reference = Reference::parse(text);
    if let Ok(reference) = &reference
        && let Some(image) = by_name(store, reference)?
    {
        return Ok(image);
    }
    if is_id_like(text) {
        let mut images = store.images_by_id_prefix(text)?;
        match images.len() {
            0 => {}
            1 => return Ok(images.remove(0)),
            _ => {
                let ids = images.iter().map(|image| image.id.short()).collect();
                return Err(Error::Ambiguous { prefix: text.to_owned(), ids });
            }
        }
    }
    // A reference that is none is a mistake of its own.
    let shown = reference?.with_default_tag().familiar();
    Err(no_such(&shown, near(store, text)?))
}

/// Tells whether `text` means an image by its id, not by a name.
pub(super) fn is_id_of(text: &str, image: &ImageRecord) -> bool {
    !text.is_empty() && (image.id.to_string().starts_with(text) || image.id.hex().starts_with(text))
}

/// Returns the image with a name; one with a digest is looked up among the manifests.
pub(super) fn by_name(store: &Store, reference: &Reference) -> Result<Option<ImageRecord>> {
    let Some(digest) = reference.digest() else {
        return Ok(store.image_by_name(&reference.clone().with_default_tag().to_string())?);
    };
    let wanted = format!("{}@{digest}", reference.name());
    for image in store.images()? {
        let named = image.repo_digests.contains(&wanted);
        let same_repository = |name: &String| {
            Reference::parse(name).is_ok_and(|name| name.name() == reference.name())
        };
        if named || (image.manifest.digest == *digest && image.names.iter().any(same_repository)) {
            return Ok(Some(image));
        }
    }
    Ok(None)
}

fn no_such(name: &str, near: Vec<String>) -> Error {
    Error::NoSuchImage { name: name.to_owned(), near }
}

fn whole_id(text: &str) -> Option<Digest> {
    let hex = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if hex { format!("sha256:{text}").parse().ok() } else { text.parse().ok() }
}

fn is_id_like(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    !hex.is_empty() && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
