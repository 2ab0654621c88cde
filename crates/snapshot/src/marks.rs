//! The marks by which a layer of an overlay removes and replaces what is below it.

use std::fs::Metadata;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Where overlay keeps its marks: as root of the machine, and in user namespaces.
pub(crate) const PREFIXES: [&str; 2] = ["trusted.overlay.", "user.overlay."];

/// The mark of a directory that hides what is below.
pub(crate) const OPAQUE: &str = "opaque";

/// The mark of a file that stands for a removed one.
pub(crate) const WHITEOUT: &str = "whiteout";

/// Says whether an entry of a layer removes what is below: a character device 0:0, or an empty file
/// with an attribute (kernel 6.7).
pub(crate) fn is_whiteout(path: &Path, metadata: &Metadata) -> bool {
    if metadata.file_type().is_char_device() {
        return metadata.rdev() == 0;
    }
    metadata.is_file() && metadata.len() == 0 && is_marked(path, WHITEOUT)
}

/// Says whether a directory of a layer hides what is below.
pub(crate) fn is_opaque(path: &Path) -> bool {
    is_marked(path, OPAQUE)
}

fn is_marked(path: &Path, mark: &str) -> bool {
    PREFIXES.iter().any(|prefix| {
        let mut value = [0_u8; 2];
        let name = format!("{prefix}{mark}");
        matches!(rustix::fs::lgetxattr(path, name, &mut value), Ok(1) if value[0] == b'y')
    })
}
