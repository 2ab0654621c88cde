//! Which crate may use which: the table here is the rule, `ARCHITECTURE.md` its picture.
//!
//! A crate uses crates of strictly lower levels only, and of these only the ones in its row. A new edge is a change
//! of this table in the same commit. `testkit` is for tests of all crates, and no crate's product code uses it; `xtask`
//! does, whose conformance cases need the same registries and images.

use std::collections::BTreeMap;

use super::Finding;
use super::tree::Tree;

/// Most packages in `Cargo.lock`, our own ones included. Each one is code that a reviewer of lathe has to trust.
const BUDGET: usize = 220;

/// A row of the table.
struct Row {
    name: &'static str,
    level: u8,
    uses: &'static [&'static str],
}

const fn row(name: &'static str, level: u8, uses: &'static [&'static str]) -> Row {
    Row { name, level, uses }
}

/// Tests use it at whatever level they are.
const FOR_TESTS: &str = "testkit";

#[rustfmt::skip]
const TABLE: [Row; 25] = [
    row("dockerfile", 0, &[]),
    row("event", 0, &[]),
    row("oci", 0, &[]),
    row("pattern", 0, &[]),
    row("stdx", 0, &[]),
    row("tree", 0, &[]),
    row("userns", 0, &[]),
    row("graph", 1, &["oci"]),
    row("rootfs", 1, &["stdx", "tree"]),
    row("solver", 1, &["event"]),
    row("store", 1, &["oci"]),
    row(FOR_TESTS, 1, &["oci"]),
    row("executor", 2, &["event", "rootfs", "userns"]),
    row("frontend", 2, &["dockerfile", "graph", "oci", "pattern"]),
    row("layer", 2, &["oci", "rootfs", "store", "tree"]),
    row("registry", 2, &["event", "oci"]),
    row("snapshot", 2, &["rootfs", "store", "tree", "userns"]),
    row("container", 3, &["event", "executor", "oci", "rootfs", "snapshot", "store", "userns"]),
    row("exporter", 3, &["event", "layer", "oci", "registry", "rootfs", "snapshot", "store"]),
    row("source", 3, &["event", "graph", "layer", "oci", "pattern", "registry", "rootfs", "snapshot", "store", "tree"]),
    row("worker", 4, &["event", "executor", "graph", "layer", "oci", "pattern", "rootfs", "snapshot", "solver",
                       "source", "store", "tree"]),
    row("engine", 5, &["container", "dockerfile", "event", "executor", "exporter", "frontend", "graph", "layer",
                       "oci", "pattern", "registry", "rootfs", "snapshot", "solver", "source", "store", "tree",
                       "userns", "worker"]),
    row("cli", 6, &["engine", "event", "oci", "userns"]),
    row("fuzz", 6, &["dockerfile", "layer", "oci", "pattern", "rootfs"]),
    row("xtask", 6, &[FOR_TESTS]),
];

/// A line of a `Cargo.toml` that names one of our crates.
#[derive(Debug, PartialEq, Eq)]
struct Edge {
    line: usize,
    to: String,
    /// Only tests use it.
    dev: bool,
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let rows: BTreeMap<&str, &Row> = TABLE.iter().map(|row| (row.name, row)).collect();
    let mut findings = Vec::new();
    for row in &TABLE {
        let level = |name: &str| rows.get(name).map(|row| row.level);
        for used in row.uses.iter().filter(|used| level(used).is_none_or(|l| l >= row.level)) {
            findings.push(Finding::new(
                "xtask/src/tidy/edges.rs",
                1,
                "crate levels",
                format!(
                    "`{}` (level {}) uses `{used}`, which is not below it",
                    row.name, row.level
                ),
            ));
        }
    }
    for (path, file) in &tree.files {
        let Some(folder) = path.strip_suffix("/Cargo.toml") else { continue };
        let name = folder.rsplit('/').next().unwrap_or(folder);
        let Some(row) = rows.get(name) else {
            findings.push(Finding::new(path, 1, "crate edges", "this crate is not in the table"));
            continue;
        };
        findings.extend(edges(&file.text).iter().filter_map(|edge| judge(path, row, edge, &rows)));
    }
    findings.extend(check_budget(tree));
    findings
}

fn judge(path: &str, row: &Row, edge: &Edge, rows: &BTreeMap<&str, &Row>) -> Option<Finding> {
    let below = rows.get(edge.to.as_str()).is_some_and(|to| to.level < row.level);
    let allowed =
        if edge.dev { edge.to == FOR_TESTS || below } else { row.uses.contains(&edge.to.as_str()) };
    let text = format!(
        "`{}` may not use `{}`; the table is in xtask/src/tidy/edges.rs",
        row.name, edge.to
    );
    (!allowed).then(|| Finding::new(path, edge.line, "crate edges", text))
}

/// Returns the edges of a `Cargo.toml`: lines that begin with one of our names, by section.
fn edges(manifest: &str) -> Vec<Edge> {
    let mut section = "";
    let mut edges = Vec::new();
    for (index, line) in manifest.lines().enumerate() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
        } else if section.ends_with("dependencies")
            && let Some(rest) = line.strip_prefix("lathe-")
            && let Some(to) = rest.split(['.', ' ', '=']).next()
        {
            let dev = section.ends_with("dev-dependencies");
            edges.push(Edge { line: index + 1, to: to.to_owned(), dev });
        }
    }
    edges
}

fn check_budget(tree: &Tree) -> Option<Finding> {
    let lock = &tree.files.get("Cargo.lock")?.text;
    let packages = lock.lines().filter(|line| *line == "[[package]]").count();
    let text = format!("{packages} packages are over the budget of {BUDGET}");
    (packages > BUDGET).then(|| Finding::new("Cargo.lock", 1, "dependency budget", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, manifest: &str, expected: &[(usize, &str)]) {
        let mut tree = Tree::default();
        tree.add(&format!("crates/{name}/Cargo.toml"), manifest);
        let findings = super::check(&tree);
        let found: Vec<(usize, &str)> = findings.iter().map(|f| (f.line, f.rule)).collect();
        assert_eq!(found, expected, "{findings:?}");
    }

    #[test]
    fn only_edges_of_the_table_are_allowed() {
        check("graph", "[dependencies]\nlathe-oci.workspace = true\n", &[]);
        check("graph", "[dependencies]\nlathe-store = { path = \"x\" }\n", &[(2, "crate edges")]);
        check(
            "snapshot",
            "[dependencies]\nlathe-executor.workspace = true\n",
            &[(2, "crate edges")],
        );
        check("unheard-of", "[package]\n", &[(1, "crate edges")]);
    }

    #[test]
    fn tests_may_use_what_is_below_and_the_testkit() {
        let manifest =
            "[dev-dependencies]\nlathe-testkit.workspace = true\nlathe-oci.workspace = true\n";
        check("registry", manifest, &[]);
        check(
            "registry",
            "[dev-dependencies]\nlathe-engine.workspace = true\n",
            &[(2, "crate edges")],
        );
        check(
            "registry",
            "[dependencies]\nlathe-testkit.workspace = true\n",
            &[(2, "crate edges")],
        );
    }

    #[test]
    fn a_lock_file_over_the_budget_is_found() {
        let mut tree = Tree::default();
        tree.add("Cargo.lock", "[[package]]\n".repeat(BUDGET));
        assert_eq!(check_budget(&tree), None);
        tree.add("Cargo.lock", "[[package]]\n".repeat(BUDGET + 1));
        assert!(check_budget(&tree).is_some());
    }
}
