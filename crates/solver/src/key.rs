//! Cache keys: the identity of an operation's output across builds and machines.
//!
//! A key is the hash of a recipe, and a recipe is a list of named parts, so that the question
//! "why was this not cached?" is answered by comparing two lists.
//!
//! | in the recipe | not in it |
//! |---|---|
//! | the format version | display names, positions in a file |
//! | the operation's own parts | secrets, proxies, resource limits |
//! | of an input: its canonical key | which machine, which user, what time |
//! | of an input by content: the digests of the selected content | |
//!
//! A node that uses an input by content has two keys. The *definition* key has the input's
//! canonical key in the place of its content: it is known without any output, and a hit on it
//! saves making the input. The *content* key is canonical: what stands on this node refers to
//! it, so that it does not matter by which of the two it was found.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Changes whenever equal parts would make another key, or the same key would mean another
/// output.
const FORMAT: &str = "lathe-key-1";

/// A named part of a recipe; the name is one that users may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPart {
    /// As `command` or `file package.json`.
    pub name: String,
    /// The value, or its digest where it is long.
    pub value: String,
}

impl KeyPart {
    /// Makes a part.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// What a key is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRecipe {
    /// The parts, in a fixed order.
    pub parts: Vec<KeyPart>,
}

impl KeyRecipe {
    /// Returns the key: the hash of the format version and of all parts, each with its length.
    pub fn key(&self) -> CacheKey {
        let mut hash = Sha256::new();
        hash.update(FORMAT);
        for part in &self.parts {
            for text in [&part.name, &part.value] {
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text);
            }
        }
        CacheKey(hash.finalize().into())
    }
}

/// Identity of an output across builds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(pub [u8; 32]);

impl fmt::Display for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(parts: &[(&str, &str)]) -> KeyRecipe {
        KeyRecipe { parts: parts.iter().map(|(name, value)| KeyPart::new(*name, *value)).collect() }
    }

    #[test]
    fn inv_solver_key_equal_parts_make_equal_keys_and_others_do_not() {
        let key = recipe(&[("command", "npm ci"), ("user", "")]).key();
        assert_eq!(key, recipe(&[("command", "npm ci"), ("user", "")]).key());
        for other in [
            &[("command", "npm"), (" ciuser", "")][..],
            &[("user", ""), ("command", "npm ci")],
            &[("command", "npm ci"), ("user", ""), ("", "")],
            &[("command", "npm ci")],
        ] {
            assert_ne!(key, recipe(other).key(), "{other:?}");
        }
    }

    #[test]
    fn inv_solver_key_is_the_same_on_every_machine() {
        assert_eq!(
            recipe(&[("op", "exec")]).key().to_string(),
            "69c0ca7f04956938c78b7afbc2c521416890c77df4ea04aaa0489f98df8067a8"
        );
    }
}
