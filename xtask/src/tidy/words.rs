//! Words that say nothing, and words that say "later".

use super::Finding;
use super::rust::{Rust, is_word, line_of};
use super::tree::Tree;

/// A type that ends so has no noun of its own: it is named after what it is, not after what is done with it.
const BANNED_SUFFIXES: [&str; 8] =
    ["Manager", "Helper", "Util", "Utils", "Info", "Data", "Impl", "Handler"];

/// Words of other systems that end so.
const FOREIGN: [&str; 0] = [];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, file, rust) in tree.rust() {
        let mut find = |position: usize, rule, text: String| {
            findings.push(Finding::new(path, line_of(&file.text, position), rule, text));
        };
        for (position, name) in type_names(rust) {
            let banned = BANNED_SUFFIXES.iter().find(|suffix| name.ends_with(**suffix));
            if let Some(suffix) = banned.filter(|_| !FOREIGN.contains(&name)) {
                find(position, "names", format!("`{name}` ends in `{suffix}`"));
            }
        }
        for (position, _) in rust.code.match_indices("#[ignore]") {
            find(position, "ignored test", "`#[ignore = \"reason\"]` says why".to_owned());
        }
        for position in rust.words("sleep").filter(|&position| rust.is_test(position)) {
            find(position, "sleep in a test", "wait for what has to happen instead".to_owned());
        }
        for position in unnumbered(&rust.comments) {
            let text = "name the issue, like `TODO(#12)`, or do it".to_owned();
            find(position, "unfinished", text);
        }
        if !path.ends_with("/lib.rs") && !rust.is_test(0) {
            for position in foreign_exports(&rust.code) {
                let text = "only `lib.rs` exports what is not of this module".to_owned();
                find(position, "exports", text);
            }
        }
    }
    findings
}

/// Returns the names that types, traits and aliases are given.
fn type_names(rust: &Rust) -> impl Iterator<Item = (usize, &str)> {
    ["struct", "enum", "trait", "type", "union"].into_iter().flat_map(move |keyword| {
        rust.words(keyword).filter_map(move |position| {
            let rest = rust.code[position + keyword.len()..].trim_start();
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            (end > 0).then(|| (position, &rest[..end]))
        })
    })
}

/// Returns the `pub use` lines whose names are not of a module below this one.
fn foreign_exports(code: &str) -> Vec<usize> {
    let uses = code.match_indices("\npub use ").map(|(position, start)| (position, start.len()));
    uses.filter(|(position, length)| {
        let path = code[position + length..].trim_start_matches("self::");
        let first = &path[..path.find(|c| !is_word(c)).unwrap_or(path.len())];
        !code.contains(&format!("mod {first};"))
    })
    .map(|(position, _)| position + 1)
    .collect()
}

/// Returns where comments promise something without the number of an issue.
fn unnumbered(comments: &str) -> Vec<usize> {
    let marks = ["TODO", "FIXME", "XXX"];
    let found =
        marks.iter().flat_map(|mark| comments.match_indices(mark).map(|(at, _)| (at, *mark)));
    found
        .filter(|(position, mark)| {
            let before = comments[..*position].chars().next_back();
            let after = &comments[position + mark.len()..];
            let is_name = before.is_some_and(is_word) || after.chars().next().is_some_and(is_word);
            // In a document's text the mark may be spoken of, `between quotes`.
            !is_name && before != Some('`') && !after.starts_with("(#")
        })
        .map(|(position, _)| position)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(usize, &str)]) {
        for path in ["crates/a/tests/b.rs", "crates/a/src/b/tests.rs"] {
            let mut tree = Tree::default();
            tree.add(path, text);
            let findings = super::check(&tree);
            let found: Vec<(usize, &str)> = findings.iter().map(|f| (f.line, f.rule)).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn empty_names_are_found() {
        check("pub(crate) struct FileHandler<T>(T);", &[(1, "names")]);
        check("struct File;\nenum BuildInfo {}", &[(2, "names")]);
        check("// struct FileHandler\nlet text = \"struct FileHandler\";", &[]);
        check("struct Database;", &[]);
    }

    #[test]
    fn tests_neither_sleep_nor_hide() {
        check("fn a() {\n    thread::sleep(x);\n}", &[(2, "sleep in a test")]);
        check("#[ignore]\nfn a() {}", &[(1, "ignored test")]);
        check("#[ignore = \"slow\"]\nfn a() {}", &[]);
    }

    #[test]
    fn promises_have_a_number() {
        check("// TODO: later", &[(1, "unfinished")]);
        check("// TODO(#12): later", &[]);
        check("let todo = TODO;", &[]);
    }

    #[test]
    fn only_lib_exports_what_is_far_away() {
        let mut tree = Tree::default();
        let text = "//! B.\npub use c::D;\npub(crate) use c::E;\nmod f;\npub use f::G;\n";
        tree.add("crates/a/src/b.rs", text);
        tree.add("crates/a/src/lib.rs", "\npub use b::D;\n");
        let found: Vec<usize> = super::check(&tree).iter().map(|finding| finding.line).collect();
        assert_eq!(found, [2]);
    }
}
