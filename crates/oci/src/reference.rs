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
    ///
    /// What is accepted, and what it means, is as in `distribution/reference` 0.6
    /// (`ParseNormalizedNamed`), except that of digests only those of known algorithms are.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |reason| Error::InvalidReference { text: text.to_owned(), reason };
        if is_id(text) {
            return Err(invalid("64 hexadecimal digits are an image id, no name"));
        }
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

    /// Returns the reference as people look it up: as docker shows it, without `:latest`.
    pub fn shortest(&self) -> String {
        let mut text = self.familiar();
        if text.ends_with(":latest") {
            text.truncate(text.len() - ":latest".len());
        }
        text
    }

    /// Returns the whole reference as docker shows it, as `node:18`.
    ///
    /// What is shown can be typed: a name whose short form would mean another one is shown in
    /// full, unlike docker does it (`docker.io/localhost/x`).
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let Some(path) = full.strip_prefix("docker.io/") else { return full };
        if let Some(name) = path.strip_prefix("library/")
            && !self.repository["library/".len()..].contains('/')
            && !is_id(name)
        {
            return name.to_owned();
        }
        match self.repository.split_once('/') {
            Some((first, _)) if names_registry(first) => full,
            _ => path.to_owned(),
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
fn names_registry(first: &str) -> bool {
    first.contains(['.', ':'])
        || first == "localhost"
        || first.chars().any(|letter| letter.to_lowercase().ne([letter]))
}

/// Tells whether a text is the hexadecimal part of a SHA-256 digest, which docker takes for an id.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn split_registry(name: &str) -> (&str, String) {
    match name.split_once('/') {
        Some((first, rest)) if names_registry(first) => {
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
    if repository.len() > 255 {
        return Err("the repository name is longer than 255 characters");
    }
    if repository.strip_prefix("library/").unwrap_or(repository).is_empty() {
        return Err("the repository name is empty");
    }
    if repository.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("the repository name must be lower case");
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
        check(&"a".repeat(248), "255");
        check(&format!("ghcr.io/{}", "a".repeat(256)), "255");
        check(&"0".repeat(64), "image id");
        check("a@b/c", "digest");
        check("a@", "digest");
        check("node:1:2", "part of the repository");
        check("a:5/b:5x/c", "part of the repository");
        check("a:x/b", "host name");
        check("a:/b", "host name");
        check(":5000/b", "host name");
        check("foo./x", "host name");
        check("-foo.com/x", "host name");
        check("[::1/x", "host name");
        check("[]:1/x", "host name");
        check("[::1]x/y", "host name");
        check("[fe80::1%eth0]/y", "host name");
        check("docker.io/", "empty");
        check("localhost/", "empty");
        check("a._b", "part of the repository");
        check("a_-b", "part of the repository");
        check("a/", "part of the repository");
        check("/a", "part of the repository");
        check("na me", "part of the repository");
        check("n\u{e4}me", "part of the repository");
        check("\u{c4}/x", "host name");
        check("https://ghcr.io/a", "host name");
        check("node:\u{e4}", "tag");
        check(&format!("node:{}", "a".repeat(129)), "tag");
    }

    #[test]
    fn odd_names_are_accepted_as_docker_accepts_them() {
        let check = |text: &str, full: &str| {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), full, "{text}");
            assert_eq!(Reference::parse(&reference.familiar()).unwrap(), reference, "{text}");
            assert_eq!(Reference::parse(full).unwrap(), reference, "{text}");
        };
        check("localhost", "docker.io/library/localhost");
        check("localhost:5000", "docker.io/library/localhost:5000");
        check("docker.io", "docker.io/library/docker.io");
        check("Foo/bar", "Foo/bar");
        check("a--b/c", "docker.io/a--b/c");
        check("a----b", "docker.io/library/a----b");
        check("foo.com:0/x", "foo.com:0/x");
        check("[2001:DB8::1]/x:y", "[2001:DB8::1]/x:y");
        check("library/a/b", "docker.io/library/a/b");
        check("docker.io/localhost/x", "docker.io/localhost/x");
        check("docker.io/foo.bar/x:1", "docker.io/foo.bar/x:1");
        check("1/2/3:_", "docker.io/1/2/3:_");
        let id = "0".repeat(64);
        check(&format!("ghcr.io/{id}"), &format!("ghcr.io/{id}"));
        check(&format!("docker.io/library/{id}"), &format!("docker.io/library/{id}"));
        check(&format!("{id}:x"), &format!("docker.io/library/{id}:x"));
        let long = "a".repeat(255);
        let host = format!("{}.example", "b".repeat(60));
        check(&format!("{host}/{long}"), &format!("{host}/{long}"));
        check(
            &format!("a:{}", "t".repeat(128)),
            &format!("docker.io/library/a:{}", "t".repeat(128)),
        );
    }

    #[test]
    fn latest_is_filled_in_only_where_nothing_was_said() {
        let tagged = |text: &str| Reference::parse(text).unwrap().with_default_tag().familiar();
        assert_eq!(tagged("node"), "node:latest");
        assert_eq!(tagged("node:18"), "node:18");
        assert_eq!(tagged(&format!("node@{DIGEST}")), format!("node@{DIGEST}"));
    }
}
