//! What `FROM` sees: the global arguments with their defaults.

use std::collections::{BTreeMap, BTreeSet};

use crate::ast::{Dockerfile, Word};
use crate::word::{Expanded, expand};

/// The variables that are there without an `ARG`, as a build for one platform
/// without build arguments has them.
///
/// The platform itself does not matter here: only whether a name becomes
/// valid.
const PREDEFINED: [(&str, &str); 11] = [
    ("BUILDPLATFORM", "linux/amd64"),
    ("BUILDOS", "linux"),
    ("BUILDOSVERSION", ""),
    ("BUILDARCH", "amd64"),
    ("BUILDVARIANT", ""),
    ("TARGETPLATFORM", "linux/amd64"),
    ("TARGETOS", "linux"),
    ("TARGETOSVERSION", ""),
    ("TARGETARCH", "amd64"),
    ("TARGETVARIANT", ""),
    ("TARGETSTAGE", "default"),
];

/// The global arguments of a file.
pub(super) struct Globals {
    escape: char,
    values: BTreeMap<String, String>,
    /// All names, also of those without a default.
    declared: BTreeSet<String>,
    /// A default cannot be expanded: then nothing can be said about values.
    pub(super) broken: bool,
}

impl Globals {
    pub(super) fn of(file: &Dockerfile) -> Self {
        let values: BTreeMap<_, _> =
            PREDEFINED.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let declared = values.keys().cloned().collect();
        let mut globals = Self { escape: file.escape, values, declared, broken: false };
        for entry in file.global_args.iter().flat_map(|arg| &arg.entries) {
            globals.declared.insert(entry.name.clone());
            let Some(default) = &entry.default else { continue };
            match globals.expand(default) {
                Some(expanded) => {
                    globals.values.insert(entry.name.clone(), expanded.text);
                }
                None => globals.broken = true,
            }
        }
        globals
    }

    /// The word with the defaults; `None` if it cannot be expanded.
    pub(super) fn expand(&self, word: &Word) -> Option<Expanded> {
        expand(&word.raw, &self.values, self.escape).ok()
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(super) fn declares(&self, name: &str) -> bool {
        self.declared.contains(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.declared.iter().map(String::as_str)
    }
}
