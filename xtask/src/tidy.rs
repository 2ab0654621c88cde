//! `cargo xtask tidy`: the rules of this repository that neither rustfmt nor clippy knows.
//!
//! Each rule is a module that looks at the tree as plain text and returns findings; a finding names its file, line
//! and rule. All rules also run as a test of this crate, so that `cargo test` is the whole truth. The rules read
//! Rust with a small lexer in `rust.rs` instead of a parser: they ask for words outside of comments and
//! literals, and a parser would be the biggest dependency of the workspace.

mod edges;
mod examples;
mod invariants;
mod links;
mod private;
mod rust;
mod size;
mod tree;
mod unsafety;
mod words;

use std::fmt::{Display, Formatter};

use anyhow::{Result, bail};

use self::tree::Tree;
use crate::sh;

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Below the root of the repository.
    path: String,
    /// Counted from 1.
    line: usize,
    rule: &'static str,
    text: String,
}

impl Finding {
    fn new(path: &str, line: usize, rule: &'static str, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule, text: text.into() }
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.text)
    }
}

/// One rule, or a few that look at the same thing.
type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: [Rule; 9] = [
    edges::check,
    examples::check,
    invariants::check,
    links::check,
    private::check,
    size::check,
    tree::check,
    unsafety::check,
    words::check,
];

/// Runs the task with the arguments that follow its name.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if let Some(argument) = arguments.first() {
        bail!("unknown argument `{argument}`\nusage: cargo xtask tidy");
    }
    let findings = findings()?;
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} findings", findings.len());
    }
    println!("tidy: nothing found");
    Ok(())
}

/// Returns what breaks a rule in this repository, in the order of the files.
pub(crate) fn findings() -> Result<Vec<Finding>> {
    let tree = Tree::read(sh::repository())?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    findings.sort();
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    #[test]
    fn the_tree_is_tidy() {
        let findings = super::findings().expect("the tree can be read");
        let mut text = String::new();
        for finding in &findings {
            writeln!(text, "{finding}").expect("strings can be written to");
        }
        assert!(text.is_empty(), "{} findings\n{text}", findings.len());
    }
}
