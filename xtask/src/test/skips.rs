//! `.ci/skips.txt`: what may be skipped on continuous integration.
//!
//! One line per test, `TIER: TEST`; a `*` at the end stands for any end, and `#` begins a comment.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The list of that file.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    /// Tier and test.
    lines: Vec<(String, String)>,
}

impl Allowed {
    /// Reads the list of the repository at `root`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let path = root.join(".ci/skips.txt");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("read {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = Vec::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                let (tier, test) = line
                    .split_once(": ")
                    .with_context(|| format!("`{line}` is not `TIER: TEST`"))?;
                lines.push((tier.to_owned(), test.trim().to_owned()));
            }
        }
        Ok(Self { lines })
    }

    /// Returns whether the list has this test.
    pub(super) fn has(&self, tier: &str, test: &str) -> bool {
        self.lines.iter().any(|(listed_tier, listed)| {
            let fits = match listed.strip_suffix('*') {
                Some(start) => test.starts_with(start),
                None => test == listed,
            };
            fits && listed_tier == tier
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_names_and_beginnings() {
        let allowed = Allowed::parse("# why\nunit: a::b # because\n\ne2e: c*\n").expect("parses");
        assert!(allowed.has("unit", "a::b"));
        assert!(!allowed.has("e2e", "a::b"));
        assert!(allowed.has("e2e", "cd"));
        assert!(!allowed.has("e2e", "dc"));
        assert!(Allowed::parse("nonsense\n").is_err());
    }
}
