//! Examples are what newcomers copy: each has what the tutorial tells them to have.

use super::Finding;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in tree.files.keys() {
        let Some((folder, name)) = path.rsplit_once('/') else { continue };
        if !folder.starts_with("examples/") {
            continue;
        }
        let beside = |name: &str| tree.files.contains_key(&format!("{folder}/{name}"));
        if name.starts_with("Dockerfile") && !beside(".dockerignore") {
            findings.push(Finding::new(path, 1, "examples", "no .dockerignore beside it"));
        }
        if name == "package.json" && !beside("package-lock.json") {
            findings.push(Finding::new(path, 1, "examples", "no package-lock.json beside it"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_without_its_companions_is_found() {
        let mut tree = Tree::default();
        for path in ["a/Dockerfile", "a/.dockerignore", "b/Dockerfile.single", "b/package.json"] {
            tree.add(&format!("examples/{path}"), "");
        }
        let found: Vec<String> = check(&tree).into_iter().map(|finding| finding.path).collect();
        assert_eq!(found, ["examples/b/Dockerfile.single", "examples/b/package.json"]);
    }
}
