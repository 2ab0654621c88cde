//! Whether a text can be the name of an image.
//!
//! The grammar is that of `distribution/reference` with Docker's short names.
//! Own code, though `lathe-oci` parses references: both crates are of the
//! lowest level, and here a yes or no is enough.

/// Longest name without tag and digest, with its registry.
const NAME_LIMIT: usize = 255;

/// Longest tag.
const TAG_LIMIT: usize = 128;

/// Whether `text` is a reference such as `node:18`, `localhost:5000/a/b` or
/// `a@sha256:…`.
pub(super) fn is_valid(text: &str) -> bool {
    if text.len() == 64 && text.bytes().all(is_lower_hex) {
        // 64 digits are the id of an image, which cannot be pulled.
        return false;
    }
    let (named, digest) = match text.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (text, None),
    };
    let slash = named.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match named[slash..].find(':') {
        Some(at) => (&named[..slash + at], Some(&named[slash + at + 1..])),
        None => (named, None),
    };
    is_name(name) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest)
}

fn is_name(name: &str) -> bool {
    let (registry, path) = match name.split_once('/') {
        Some((first, rest)) if is_registry(first) => (Some(first), rest),
        _ => (None, name),
    };
    name.len() <= NAME_LIMIT
        && registry.is_none_or(is_host)
        && path.split('/').all(is_path_component)
}

/// Whether the first part of a name is a host: only hosts have dots, colons
/// or capitals.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.to_lowercase() != first
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if !port.is_none_or(is_port) {
        return false;
    }
    if let Some(address) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.contains(':')
            && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
    }
    name.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

/// Lower case letters and digits, with `.`, `_`, `__` or dashes in between.
fn is_path_component(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separators = part.split(|c: char| c.is_ascii() && is_word(c as u8));
    let inner =
        part.bytes().next().is_some_and(is_word) && part.bytes().last().is_some_and(is_word);
    let mut separators = separators.filter(|separator| !separator.is_empty());
    inner
        && separators.all(|separator| {
            matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_LIMIT
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    let wanted = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == wanted && hex.bytes().all(is_lower_hex)
}

const fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn names_of_images_are_told_from_other_text() {
        let digest = "a".repeat(64);
        let with_digest = format!("node:18@sha256:{digest}");
        for good in [
            "node",
            "node:18-alpine",
            "library/node",
            "localhost/a",
            "localhost:5000/a/b:1",
            "Example.com/a__b/c--d.e",
            "[::1]:5000/a",
            "scratch",
            with_digest.as_str(),
        ] {
            assert!(is_valid(good), "{good}");
        }
        let long = "a".repeat(256);
        for bad in [
            "",
            "node:",
            ":18",
            "Node",
            "a//b",
            "a:b:c",
            "a b",
            "a/",
            "/a",
            "a..b",
            "a@sha256:1",
            "a:-x",
            "-a",
            "a:b/c/",
            &digest,
            &long,
            "x:y@",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
