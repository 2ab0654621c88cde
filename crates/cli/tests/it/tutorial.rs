//! The Dockerfiles of a tutorial, when it lies beside the checkout.

use std::{fs, path::PathBuf};

use lathe_testkit::sandbox::skip;

use crate::sandbox;

fn document() -> Option<String> {
    let beside = || {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        root.join("../shared/seed/multi-stage-builds.md")
    };
    let path = std::env::var_os("LATHE_TUTORIAL").map_or_else(beside, PathBuf::from);
    fs::read_to_string(path).ok()
}

/// Returns the blocks that are whole Dockerfiles: they begin with `FROM`, comments aside, and use
/// each name of a stage that they copy from.
fn dockerfiles(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = document;
    while let Some((_, after)) = rest.split_once("```dockerfile\n") {
        let Some((block, after)) = after.split_once("\n```") else { break };
        let mut lines = block.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        if lines.next().is_some_and(|line| line.starts_with("FROM ")) {
            found.push(format!("{block}\n"));
        }
        rest = after;
    }
    let mut rest = document;
    while let Some((_, after)) = rest.split_once("<<EOF\n") {
        let Some((block, after)) = after.split_once("\nEOF\n") else { break };
        found.push(format!("{block}\n"));
        rest = after;
    }
    found
}

#[test]
fn every_dockerfile_is_understood() {
    let Some(document) = document() else {
        return skip("the tutorial is not beside the checkout; LATHE_TUTORIAL may name it");
    };
    let Some(sandbox) = sandbox() else { return };
    let found = dockerfiles(&document);
    assert!(found.len() >= 12, "{} Dockerfiles", found.len());
    for text in found {
        // What is only a sketch has prose in the place of instructions.
        if text.contains("scratch or alpine")
            || text.contains("-image")
            || text.contains("COPY code")
            // A comment behind an instruction is a part of it, for docker as well.
            || text.lines().any(|line| line.starts_with("FROM ") && line.contains(" # "))
        {
            continue;
        }
        let output = sandbox.dockerfile(&text).try_build(&[]);
        // It is understood when nothing but its images is missing: the registry has none of them.
        if output.code != 0 {
            let unknown = ["not found", "no such", "unknown", "does not exist"];
            let said = output.stderr.to_lowercase();
            assert!(unknown.iter().any(|word| said.contains(word)), "{text}\n{}", output.stderr);
            let line = text.lines().any(|line| {
                line.starts_with("FROM ")
                    && output.stderr.contains(line.split(" #").next().unwrap_or(line).trim())
            });
            assert!(line, "the error is not about an image:\n{text}\n{}", output.stderr);
        }
    }
}
