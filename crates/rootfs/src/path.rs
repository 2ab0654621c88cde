//! Paths as text: cleaning and cutting.
//!
//! Both absolute and relative paths mean "below the root". `..` is resolved on the text, as
//! Docker does with every path of a Dockerfile and a layer (Go's `path.Join("/", p)`), and cannot
//! climb above the root; `..` inside the *target* of a symbolic link is the kernel's business.

use crate::error::Error;
use crate::error::PathFault;
use crate::error::Result;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;

/// Returns `path` relative to the root, without `.`, `..`, doubled or trailing slashes; the root
/// itself is the empty path.
pub fn clean(path: &Path) -> Cow<'_, Path> {
    let bytes = path.as_os_str().as_bytes();
    let trimmed = trim_slashes(bytes);
    let is_clean = trimmed
        .split(|byte| *byte == b'/')
        .all(|part| !part.is_empty() && part != b"." && part != b"..");
    if is_clean {
        return Cow::Borrowed(Path::new(OsStr::from_bytes(trimmed)));
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in trimmed.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    Cow::Owned(PathBuf::from(OsStr::from_bytes(&parts.join(&b'/'))))
}

/// Cuts a clean path into directory (empty for the root) and last name.
pub(crate) fn split(path: &Path) -> Result<(&Path, &OsStr)> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        return Err(Error::path(Path::new("/"), PathFault::IsRoot));
    }
    check_nul(path)?;
    let (parent, name) = match bytes.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&bytes[..slash], &bytes[slash + 1..]),
        None => (&bytes[..0], bytes),
    };
    Ok((Path::new(OsStr::from_bytes(parent)), OsStr::from_bytes(name)))
}

/// Refuses what the kernel would see cut short.
pub(crate) fn check_nul(path: &Path) -> Result<()> {
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(Error::path(path, PathFault::Nul));
    }
    Ok(())
}

fn trim_slashes(mut bytes: &[u8]) -> &[u8] {
    while let [b'/', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b'/'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_and_stay_below_the_root() {
        for (path, cleaned) in [
            ("", ""),
            ("/", ""),
            ("//", ""),
            (".", ""),
            ("..", ""),
            ("a", "a"),
            ("/a/b/", "a/b"),
            ("./a//b/.", "a/b"),
            ("a/../b", "b"),
            ("../../a", "a"),
            ("a/../../../b/..", ""),
            ("a/...", "a/..."),
        ] {
            assert_eq!(clean(Path::new(path)).as_os_str(), cleaned, "{path}");
        }
    }

    #[test]
    fn the_root_has_no_name() {
        assert!(matches!(split(Path::new("")), Err(Error::Path { fault: PathFault::IsRoot, .. })));
        let (parent, name) = split(Path::new("a/b")).expect("two parts");
        assert_eq!((parent, name), (Path::new("a"), OsStr::new("b")));
        assert_eq!(split(Path::new("a")).expect("one part").0.as_os_str(), "");
    }
}
