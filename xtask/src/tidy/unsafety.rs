//! `unsafe` only in modules named `sys`; every other crate forbids it.

use super::Finding;
use super::rust::line_of;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, file, rust) in tree.rust() {
        if !is_sys(path) {
            for position in rust.words("unsafe") {
                let text = "`unsafe` stands in modules named `sys` only";
                findings.push(Finding::new(path, line_of(&file.text, position), "unsafe", text));
            }
        }
        let folder = path.strip_suffix("lib.rs").or_else(|| path.strip_suffix("main.rs"));
        if let Some(folder) = folder.filter(|folder| folder.ends_with("src/")) {
            let has_sys = tree.files.keys().any(|path| path.starts_with(folder) && is_sys(path));
            if !has_sys && !rust.code.contains("#![forbid(unsafe_code)]") {
                let text = "a crate without a module `sys` has `#![forbid(unsafe_code)]`";
                findings.push(Finding::new(path, 1, "unsafe", text));
            }
        }
    }
    findings
}

fn is_sys(path: &str) -> bool {
    path.ends_with("/sys.rs") || path.contains("/sys/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_code_is_found_outside_of_sys() {
        let mut tree = Tree::default();
        tree.add("crates/a/src/lib.rs", "mod b;\nmod sys;\n");
        tree.add("crates/a/src/b.rs", "fn f() {\n    unsafe { g() }\n}\n// unsafe\n");
        tree.add("crates/a/src/sys.rs", "unsafe { g() }\n");
        tree.add("crates/b/src/lib.rs", "fn f() {}\n");
        tree.add("crates/c/src/lib.rs", "#![forbid(unsafe_code)]\n");
        let findings = check(&tree);
        let found: Vec<_> = findings.iter().map(|f| (f.path.as_str(), f.line)).collect();
        assert_eq!(found, [("crates/a/src/b.rs", 2), ("crates/b/src/lib.rs", 1)]);
    }
}
