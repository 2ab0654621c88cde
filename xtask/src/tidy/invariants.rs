//! Invariants and their tests: each is named by one, and none is named that does not exist.
//!
//! An invariant has an id, `INV-` and words in capitals, and is stated in `ARCHITECTURE.md` or in the documentation
//! of a crate's `lib.rs`. A test names it in its own name (`inv_solver_once_…`), or in a comment or message.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::rust::{is_word, line_of};
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let stated = stated(tree);
    let mut tested = BTreeSet::new();
    let mut findings = Vec::new();
    // These rules' own tests speak of made-up invariants.
    let files = tree.rust().filter(|(path, ..)| !path.starts_with("xtask/"));
    for (path, file, rust) in files {
        for (position, id) in ids(&file.text) {
            if !stated.contains_key(&id) {
                let text = format!("{id} is stated neither in ARCHITECTURE.md nor in a lib.rs");
                findings.push(Finding::new(
                    path,
                    line_of(&file.text, position),
                    "invariants",
                    text,
                ));
            } else if rust.is_test(position) {
                tested.insert(id);
            }
        }
        for position in inv_functions(&rust.code).filter(|&position| rust.is_test(position)) {
            let name = &rust.code[position..];
            let id = stated.keys().filter(|id| is_named_after(name, id)).max_by_key(|id| id.len());
            if let Some(id) = id {
                tested.insert(id.clone());
            } else {
                let line = line_of(&file.text, position);
                let name = &name[..name.find(|c| !is_word(c)).unwrap_or(name.len())];
                let text = format!("`{name}` names no invariant that is stated");
                findings.push(Finding::new(path, line, "invariants", text));
            }
        }
    }
    for (id, (path, line)) in stated.iter().filter(|(id, _)| !tested.contains(*id)) {
        findings.push(Finding::new(path, *line, "invariants", format!("no test names {id}")));
    }
    findings
}

/// Returns the invariants and where they are stated first.
fn stated(tree: &Tree) -> BTreeMap<String, (String, usize)> {
    let mut stated: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for (path, file) in &tree.files {
        let text = match &file.rust {
            Some(rust) if path.ends_with("/src/lib.rs") => &rust.comments,
            None if path == "ARCHITECTURE.md" => &file.text,
            _ => continue,
        };
        for (position, id) in ids(text) {
            let place = (path.clone(), line_of(text, position));
            let first = stated.entry(id).or_insert_with(|| place.clone());
            // A crate's own statement is nearer than the overview's.
            if first.0 == "ARCHITECTURE.md" {
                *first = place;
            }
        }
    }
    stated
}

/// Returns the ids in a text: `INV-` and one or more words of capitals and digits.
fn ids(text: &str) -> Vec<(usize, String)> {
    let found = text
        .match_indices("INV-")
        .filter(|(position, _)| !text[..*position].chars().next_back().is_some_and(is_word));
    found
        .filter_map(|(position, prefix)| {
            let rest = &text[position..];
            let end = rest
                .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-'))
                .unwrap_or(rest.len());
            let id = rest[..end].trim_end_matches('-');
            (id.len() > prefix.len()).then(|| (position, id.to_owned()))
        })
        .collect()
}

/// Returns where the names of functions called `inv_…` begin.
fn inv_functions(code: &str) -> impl Iterator<Item = usize> {
    code.match_indices("fn inv_").map(|(position, _)| position + "fn ".len())
}

fn is_named_after(name: &str, id: &str) -> bool {
    let id = id.to_ascii_lowercase().replace('-', "_");
    name.strip_prefix(&id).is_some_and(|rest| rest.starts_with(['_', '(']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tests: &str, expected: &[&str]) {
        let mut tree = Tree::default();
        tree.add(
            "crates/a/src/lib.rs",
            "//! A.\n//! # Invariants\n//! - INV-A-ONE: x.\n//! - INV-A-1: y.\n",
        );
        tree.add("crates/a/src/b/tests.rs", tests);
        let found: Vec<String> = super::check(&tree).into_iter().map(|f| f.text).collect();
        assert_eq!(found, expected, "{tests}");
    }

    #[test]
    fn every_invariant_has_a_test_and_every_test_an_invariant() {
        let one = "fn inv_a_one_holds() {}\n";
        check(&format!("{one}// INV-A-1\n"), &[]);
        check(&format!("{one}fn inv_a_1() {{}}\n"), &[]);
        check(one, &["no test names INV-A-1"]);
        check(
            &format!("{one}// INV-A-12\n"),
            &[
                "INV-A-12 is stated neither in ARCHITECTURE.md nor in a lib.rs",
                "no test names INV-A-1",
            ],
        );
        check(
            &format!("{one}// INV-A-1.\nfn inv_b_holds() {{}}\n"),
            &["`inv_b_holds` names no invariant that is stated"],
        );
    }
}
