//! Links between documents lead somewhere.

use std::path::Path;

use super::Finding;
use super::rust::line_of;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_document = |path: &str| Path::new(path).extension().is_some_and(|end| end == "md");
    for (path, file) in tree.files.iter().filter(|(path, _)| is_document(path)) {
        for (position, _) in file.text.match_indices("](") {
            let rest = &file.text[position + 2..];
            let target = rest.split([')', '#', ' ', '\n']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || leads_somewhere(tree, path, target) {
                continue;
            }
            let line = line_of(&file.text, position);
            findings.push(Finding::new(path, line, "links", format!("`{target}` is not there")));
        }
    }
    findings
}

fn leads_somewhere(tree: &Tree, from: &str, target: &str) -> bool {
    let mut place: Vec<&str> = from.split('/').collect();
    place.pop();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            place.pop();
        } else {
            place.push(part);
        }
    }
    let path = place.join("/");
    let folder = format!("{path}/");
    path.is_empty() || tree.files.keys().any(|file| *file == path || file.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_nowhere_is_found() {
        let mut tree = Tree::default();
        tree.add(
            "docs/a.md",
            "[b](b.md#part) [up](../README.md) [web](https://example.org/x) [no](../c.md)\n",
        );
        tree.add("docs/b.md", "[folder](../docs) [root](..) [here](#here)\n");
        tree.add("README.md", "");
        let found: Vec<String> = check(&tree).into_iter().map(|finding| finding.text).collect();
        assert_eq!(found, ["`../c.md` is not there"]);
    }
}
