//! What cargo knows of the workspace.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::sh::{self, Cmd};

/// An executable with tests in a crate's `tests/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestTarget {
    pub(crate) package: String,
    pub(crate) name: String,
    /// Whether the standard harness runs it; without it, the executable tells its own story.
    pub(crate) has_harness: bool,
}

/// Starts a command of the cargo that runs this task.
pub(crate) fn cargo() -> Cmd {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Cmd::new(program).dir(sh::repository())
}

/// Returns the folder that cargo builds to.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let metadata = metadata()?;
    let folder = metadata["target_directory"].as_str().context("cargo names no target folder")?;
    Ok(folder.into())
}

/// Returns the test executables of all crates.
pub(crate) fn test_targets() -> Result<Vec<TestTarget>> {
    let mut found = Vec::new();
    for package in metadata()?["packages"].as_array().into_iter().flatten() {
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let manifest =
            std::fs::read_to_string(manifest).with_context(|| format!("read {manifest}"))?;
        for target in package["targets"].as_array().into_iter().flatten() {
            if target["kind"][0] == "test" {
                let name = target["name"].as_str().unwrap_or_default().to_owned();
                let package = package["name"].as_str().unwrap_or_default().to_owned();
                let has_harness = has_harness(&manifest, &name);
                found.push(TestTarget { package, name, has_harness });
            }
        }
    }
    Ok(found)
}

fn metadata() -> Result<Value> {
    let text = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).read()?;
    serde_json::from_str(&text).context("parse what `cargo metadata` says")
}

/// Returns whether a manifest leaves a test its harness; cargo's metadata does not tell.
fn has_harness(manifest: &str, name: &str) -> bool {
    let own = format!("name = \"{name}\"");
    !manifest.split("[[test]]").skip(1).any(|section| {
        let section = section.split("\n[").next().unwrap_or_default();
        section.contains(&own) && section.contains("harness = false")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_tells_who_has_a_harness() {
        let manifest = "[[test]]\nname = \"a\"\nharness = false\n\n[[test]]\nname = \"b\"\n\
                        [[bench]]\nname = \"c\"\nharness = false\n";
        let found = ["a", "b", "c"].map(|name| has_harness(manifest, name));
        assert_eq!(found, [false, true, true]);
    }
}
