//! The files of the repository, read once for all rules.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Finding;
use super::rust::Rust;

/// Folders with what tools make; they are not part of the repository.
const MADE: [&str; 3] = [".git", "node_modules", "__pycache__"];

/// Text files by their path below the root.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Where the tree lies on this machine.
    pub(super) root: String,
    pub(super) files: BTreeMap<String, File>,
}

/// A text file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) text: String,
    /// The same text as Rust sees it, for Rust's files.
    pub(super) rust: Option<Rust>,
}

impl Tree {
    /// Reads the tree that is at `root`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self { root: root.display().to_string(), files: BTreeMap::new() };
        tree.read_folder(root, "")?;
        Ok(tree)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("list {}", folder.display()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().with_context(|| format!("look at {name}"))?;
            let made = prefix.is_empty() && name.starts_with("target");
            if kind.is_dir() && !made && !MADE.contains(&name.as_str()) {
                self.read_folder(&entry.path(), &format!("{prefix}{name}/"))?;
            } else if kind.is_file() {
                let bytes = fs::read(entry.path())
                    .with_context(|| format!("read {}", entry.path().display()))?;
                // What is not text is test data that no rule speaks of.
                if let Ok(text) = String::from_utf8(bytes) {
                    self.add(&format!("{prefix}{name}"), text);
                }
            }
        }
        Ok(())
    }

    /// Adds a file; tests make their trees with it.
    pub(super) fn add(&mut self, path: &str, text: impl Into<String>) {
        let text = text.into();
        let is_rust = Path::new(path).extension().is_some_and(|extension| extension == "rs");
        let rust = is_rust.then(|| Rust::read(path, &text));
        self.files.insert(path.to_owned(), File { text, rust });
    }

    /// Returns Rust's files.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&str, &File, &Rust)> {
        self.files
            .iter()
            .filter_map(|(path, file)| Some((path.as_str(), file, file.rust.as_ref()?)))
    }
}

/// Finds files that no `mod` line names: the compiler never sees them.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter(|(path, ..)| !is_named(tree, path))
        .map(|(path, ..)| Finding::new(path, 1, "forgotten file", "no `mod` line names this file"))
        .collect()
}

fn is_named(tree: &Tree, path: &str) -> bool {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let name = file.trim_end_matches(".rs");
    let is_crate_root = matches!(name, "lib" | "main" | "build")
        || ["src", "tests", "benches", "examples"].iter().any(|place| {
            folder.ends_with(&format!("/{place}")) && *place != "src"
        })
        // Fuzz targets and the like are roots that their Cargo.toml names.
        || folder.ends_with("/bin") || folder.ends_with("/fuzz_targets");
    if is_crate_root {
        return true;
    }
    // `a/b/c.rs` is named in `a/b.rs`, or in the root of a crate in `a/b/`.
    let parents = [
        format!("{folder}.rs"),
        format!("{folder}/lib.rs"),
        format!("{folder}/main.rs"),
        format!("{folder}/mod.rs"),
    ];
    let line = format!("mod {name};");
    parents
        .iter()
        .filter_map(|parent| tree.files.get(parent)?.rust.as_ref())
        .any(|parent| parent.code.lines().any(|code| code.trim_end().ends_with(&line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_mod_line_is_found() {
        let mut tree = Tree::default();
        tree.add("crates/a/src/lib.rs", "mod b;\npub(crate) mod e;\n// mod d;\n");
        tree.add("crates/a/src/b.rs", "mod c;\n");
        for file in ["b/c.rs", "d.rs", "e.rs"] {
            tree.add(&format!("crates/a/src/{file}"), "");
        }
        tree.add("crates/a/tests/it/main.rs", "mod one;\n");
        tree.add("crates/a/tests/it/one.rs", "");
        tree.add("crates/a/tests/it/two.rs", "");
        let found: Vec<String> = check(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(found, ["crates/a/src/d.rs", "crates/a/tests/it/two.rs"]);
    }
}
