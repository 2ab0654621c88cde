//! References: `[registry/]repository[:tag][@digest]`, by the grammar of
//! `distribution/reference`, with Docker's short names.

use std::{fmt, str::FromStr};

use crate::{Digest, Error, Result};

/// The registry that a name without one means.
pub const DEFAULT_REGISTRY: &str = "docker.io";

/// A parsed reference. Always has a registry; `docker.io` names have `library/` filled in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Parses what a user types; `node` means `docker.io/library/node` without tag.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |reason| Error::InvalidReference { text: text.to_owned(), reason };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest =
                    digest.parse().map_err(|_| invalid("the part after `@` is no digest"))?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        // A colon after the last slash starts a tag; one before it belongs to a port.
        let tag_at = name.rfind(':').filter(|colon| !name[*colon..].contains('/'));
        let (name, tag) = match tag_at {
            Some(colon) => (&name[..colon], Some(&name[colon + 1..])),
            None => (name, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(invalid(
                "a tag has 1 to 128 letters, digits, `_`, `.` or `-`, the first no `.` or `-`",
            ));
        }
        let (registry, repository) = split_registry(name);
        check_name(registry, &repository).map_err(invalid)?;
        Ok(Self {
            registry: if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry }
                .to_owned(),
            repository,
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// Returns the registry's host, with its port where it has one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns the repository's path in the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag, where one was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest, where one was given.
    pub const fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns the reference with `latest` filled in where neither tag nor digest was given.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// Returns the reference with this digest.
    #[must_use]
    pub const fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// Returns the name without tag and digest, as `docker.io/library/node`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Returns the name as docker shows it: without `docker.io/` and `library/`.
    pub fn familiar_name(&self) -> String {
        let bare = Self { tag: None, digest: None, ..self.clone() };
        bare.familiar()
    }

    /// Returns the whole reference as docker shows it, as `node:18`.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        match full.strip_prefix("docker.io/") {
            Some(rest) => rest.strip_prefix("library/").unwrap_or(rest).to_owned(),
            None => full,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// Docker's rule: the first component is a registry if it has a dot, a colon or an upper-case
/// letter, or is `localhost`.
fn split_registry(name: &str) -> (&str, String) {
    match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            let docker = matches!(first, "docker.io" | "index.docker.io");
            let rest = if docker && !rest.contains('/') {
                format!("library/{rest}")
            } else {
                rest.to_owned()
            };
            (first, rest)
        }
        Some(_) => (DEFAULT_REGISTRY, name.to_owned()),
        None => (DEFAULT_REGISTRY, format!("library/{name}")),
    }
}

fn check_name(registry: &str, repository: &str) -> std::result::Result<(), &'static str> {
    if !is_registry(registry) {
        return Err("the registry is no host name with an optional port");
    }
    if repository.len() + registry.len() + 1 > 255 {
        return Err("the name is longer than 255 characters");
    }
    if repository.strip_prefix("library/").unwrap_or(repository).is_empty() {
        return Err("the repository name is empty");
    }
    if repository.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("the repository name must be lower case");
    }
    if repository.len() == 64 && repository.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("the repository name cannot be 64 hexadecimal digits");
    }
    if repository.split('/').all(is_component) {
        Ok(())
    } else {
        Err(
            "a part of the repository name has letters and digits, parted by `.`, `_`, `__` or dashes",
        )
    }
}

fn is_registry(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((v6, rest)) => {
                let valid =
                    !v6.is_empty() && v6.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
                return valid && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
            }
            None => return false,
        },
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().enumerate().all(|(i, b)| word(b) || (i > 0 && (b == b'.' || b == b'-')))
        && !tag.is_empty()
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !alphanumeric(*first) || !alphanumeric(*last) {
        return false;
    }
    bytes.split(|b| alphanumeric(*b)).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_are_filled_in_and_shown_short() {
        let check = |text: &str, full: &str, familiar: &str| {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), full, "{text}");
            assert_eq!(reference.familiar(), familiar, "{text}");
            assert_eq!(Reference::parse(full).unwrap(), reference, "{text}");
        };
        check("node", "docker.io/library/node", "node");
        check("node:18-alpine", "docker.io/library/node:18-alpine", "node:18-alpine");
        check("docker.io/node", "docker.io/library/node", "node");
        check("index.docker.io/library/node", "docker.io/library/node", "node");
        check("me/app:1", "docker.io/me/app:1", "me/app:1");
        check("localhost/app", "localhost/app", "localhost/app");
        check("localhost:5000/app:x", "localhost:5000/app:x", "localhost:5000/app:x");
        check("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b");
        check("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app");
        check(
            "ghcr.io/a/b__c/d--e:v1.0_x",
            "ghcr.io/a/b__c/d--e:v1.0_x",
            "ghcr.io/a/b__c/d--e:v1.0_x",
        );
        let digest = format!("node:18@{DIGEST}");
        check(&digest, &format!("docker.io/library/{digest}"), &digest);
    }

    #[test]
    fn bad_references_say_what_is_wrong() {
        let check = |text: &str, reason: &str| {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        };
        check("", "empty");
        check("Node", "lower case");
        check("a/B", "lower case");
        check("node:", "tag");
        check("node:-x", "tag");
        check("node@sha256:12", "digest");
        check("a..b", "part of the repository");
        check("a___b", "part of the repository");
        check("-a", "part of the repository");
        check("a//b", "part of the repository");
        check("exa_mple.com/a", "host name");
        check(&"a".repeat(300), "255");
    }

    #[test]
    fn latest_is_filled_in_only_where_nothing_was_said() {
        let tagged = |text: &str| Reference::parse(text).unwrap().with_default_tag().familiar();
        assert_eq!(tagged("node"), "node:latest");
        assert_eq!(tagged("node:18"), "node:18");
        assert_eq!(tagged(&format!("node@{DIGEST}")), format!("node@{DIGEST}"));
    }
}
