//! Names and attributes by which a layer says "removed" (OCI `layer.md`, "Whiteouts") and by which
//! overlayfs does (kernel `filesystems/overlayfs.rst`).

use lathe_tree::Device;
use lathe_tree::FileKind;
use lathe_tree::Metadata;
use lathe_tree::Xattrs;

/// Begin of a name that removes the rest of the name.
pub(crate) const PREFIX: &[u8] = b".wh.";

/// Begin of names that are instructions by themselves; of those only [`OPAQUE`] is in use today,
/// the others are left overs of aufs and are skipped as Docker does.
pub(crate) const META_PREFIX: &[u8] = b".wh..wh.";

/// Name that hides everything which lower layers have in its directory.
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";

/// Prefixes of the attributes that overlayfs keeps its books in.
pub(crate) const ATTRIBUTES: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

/// Returns whether a file of an overlay's upper directory marks a removed one: a character device
/// 0:0, or an empty file with an attribute (Linux 6.7, written by nested overlays).
pub(crate) fn is_whiteout(metadata: &Metadata, xattrs: &Xattrs) -> bool {
    match metadata.kind {
        FileKind::CharDevice => metadata.device == Device { major: 0, minor: 0 },
        FileKind::Regular => metadata.size == 0 && attribute(xattrs, b"whiteout").is_some(),
        _ => false,
    }
}

/// Returns whether a directory of an overlay's upper directory hides the lower ones.
pub(crate) fn is_opaque(xattrs: &Xattrs) -> bool {
    attribute(xattrs, b"opaque") == Some(b"y")
}

/// Returns the attribute that makes a file unreadable without its overlay.
pub(crate) fn unsupported_attribute(xattrs: &Xattrs) -> Option<&'static str> {
    ["redirect", "metacopy"].into_iter().find(|name| attribute(xattrs, name.as_bytes()).is_some())
}

/// Returns whether an attribute belongs to overlayfs.
pub(crate) fn is_overlay_attribute(name: &[u8]) -> bool {
    ATTRIBUTES.iter().any(|prefix| name.starts_with(prefix))
}

fn attribute<'a>(xattrs: &'a Xattrs, name: &[u8]) -> Option<&'a [u8]> {
    if xattrs.is_empty() {
        return None;
    }
    let find = |prefix: &&[u8]| xattrs.get(&[*prefix, name].concat());
    ATTRIBUTES.iter().find_map(find).map(Vec::as_slice)
}
