//! Ceilings: how long a file may be, and what every file and crate says of itself first.
//!
//! Functions have clippy's `too_many_lines` for theirs.

use super::Finding;
use super::tree::Tree;

/// Most lines of a file, tests apart. Past 300 look for a seam; past this there is one.
const FILE_CEILING: usize = 800;
/// Most lines of a `lib.rs`, which only has documentation, `mod` and `pub use`.
const LIB_CEILING: usize = 150;

/// Files that may be longer, each with the reason.
const LONG_FILES: [(&str, &str); 0] = [];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, file, rust) in tree.rust() {
        let is_lib = path.ends_with("/src/lib.rs");
        let lines = rust.production_lines();
        let ceiling = if is_lib { LIB_CEILING } else { FILE_CEILING };
        if lines > ceiling && !LONG_FILES.iter().any(|(long, _)| *long == path) {
            let text =
                format!("{lines} lines of production code are over the ceiling of {ceiling}");
            findings.push(Finding::new(path, ceiling, "file size", text));
        }
        let is_unit_test = path.ends_with("/tests.rs");
        if !is_unit_test && !file.text.starts_with("//!") {
            let text = "the file begins with a `//!` that says what it is for";
            findings.push(Finding::new(path, 1, "module doc", text));
        }
        if is_lib && !rust.comments.lines().any(|line| line.contains("Invariants")) {
            let text = "the documentation of a crate has a line `Invariants`";
            findings.push(Finding::new(path, 1, "invariants", text));
        }
    }
    for (path, _) in LONG_FILES.iter().filter(|(path, _)| !tree.files.contains_key(*path)) {
        findings.push(Finding::new(path, 1, "file size", "this exception names no file"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expected: &[&str]) {
        let mut tree = Tree::default();
        tree.add(path, text);
        let found: Vec<&str> = super::check(&tree).iter().map(|finding| finding.rule).collect();
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn long_files_are_found_without_their_tests() {
        let long = format!("//! Doc.\n{}", "fn a() {}\n".repeat(FILE_CEILING));
        check("crates/a/src/b.rs", &long, &["file size"]);
        check("crates/a/tests/b.rs", &long, &[]);
        let tested = format!("//! Doc.\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
        check("crates/a/src/b.rs", &tested, &[]);
    }

    #[test]
    fn files_and_crates_say_what_they_are() {
        check("crates/a/src/b.rs", "fn a() {}\n", &["module doc"]);
        check("crates/a/src/b/tests.rs", "fn a() {}\n", &[]);
        check("crates/a/src/lib.rs", "//! A crate.\n", &["invariants"]);
        check("crates/a/src/lib.rs", "//! A crate.\n//! # Invariants\n", &[]);
    }
}
