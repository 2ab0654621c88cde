//! The keys of outputs, and which kinds of output have them.

/// A kind of output, as `type=` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Registry,
    Oci,
    Docker,
    Tar,
    Local,
    CacheOnly,
}

use Kind::{Docker, Image, Local, Oci, Registry, Tar};

impl Kind {
    pub(super) const NAMES: [(&'static str, Self); 7] = [
        ("image", Image),
        ("registry", Registry),
        ("oci", Oci),
        ("docker", Docker),
        ("tar", Tar),
        ("local", Local),
        ("cacheonly", Self::CacheOnly),
    ];

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let names = Self::NAMES.map(|(name, _)| name);
        if let Some((_, kind)) = Self::NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*kind);
        }
        Err(match (text, near(text, &names)) {
            ("nydus" | "overlaybd", _) => format!(
                "type `{text}` is an image for a file system of its own, which lathe does not write"
            ),
            (_, Some(known)) => format!("unknown type `{text}`; did you mean `{known}`?"),
            (_, None) => format!("unknown type `{text}`; known are {}", names.join(", ")),
        })
    }

    pub(super) fn as_str(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, kind)| *kind == self);
        found.expect("all kinds are in the table").0
    }
}

const STORED: &[Kind] = &[Image, Registry];
const ARCHIVES: &[Kind] = &[Oci, Docker];
const IMAGES: &[Kind] = &[Image, Registry, Oci, Docker];
const FILES: &[Kind] = &[Tar, Local];

/// Each key with the kinds of output that have it; `type` has every kind.
const KEYS: [(&str, &[Kind]); 25] = [
    ("dest", &[Oci, Docker, Tar, Local]),
    ("name", IMAGES),
    ("push", STORED),
    ("push-by-digest", STORED),
    ("registry.insecure", STORED),
    ("dangling-name-prefix", STORED),
    ("name-canonical", STORED),
    ("store", STORED),
    ("unpack", STORED),
    ("tar", ARCHIVES),
    ("compression", IMAGES),
    ("compression-level", IMAGES),
    ("force-compression", IMAGES),
    ("oci-mediatypes", IMAGES),
    ("oci-artifact", IMAGES),
    ("prefer-nondist-layers", IMAGES),
    ("attestation-inline", IMAGES),
    ("buildinfo", IMAGES),
    ("buildinfo-attrs", IMAGES),
    ("rewrite-timestamp", IMAGES),
    ("source-date-epoch", &[Image, Registry, Oci, Docker, Tar, Local]),
    ("annotation", IMAGES),
    ("platform-split", FILES),
    ("attestation-prefix", FILES),
    ("mode", &[Local]),
];

/// Checks that a kind of output has a key.
pub(super) fn check(kind: Kind, key: &str) -> Result<(), String> {
    let name = kind.as_str();
    let of_kind = || KEYS.iter().filter(|(_, kinds)| kinds.contains(&kind)).map(|(key, _)| *key);
    let has = |key: &str| of_kind().any(|known| known == key);
    if has(key) {
        return Ok(());
    }
    if let Some((key, kinds)) =
        KEYS.iter().find(|(known, kinds)| *known == key && !kinds.is_empty())
    {
        let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        return Err(format!("type `{name}` has no `{key}`; {} have it", kinds.join(", ")));
    }
    let known: Vec<&str> = of_kind().chain(["type"]).collect();
    Err(match near(key, &known) {
        Some(known) => format!("unknown key `{key}`; did you mean `{known}`?"),
        None => format!("unknown key `{key}`; type `{name}` has {}", known.join(", ")),
    })
}

/// Returns the one of `known` that differs from `word` by at most two letters, if any does.
pub(crate) fn near<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let limit = if word.len() < 4 { 1 } else { 2 };
    let ranked = known.iter().map(|other| (distance(word.as_bytes(), other.as_bytes()), *other));
    ranked.filter(|(distance, _)| *distance <= limit).min().map(|(_, other)| other)
}

/// Levenshtein distance.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
