//! Files in `test_data`: each `.dockerfile` has a `.snap` beside it with the
//! tree and the rendered diagnostics.
//!
//! A missing snapshot is written; with `CI` set it is a failure, as is a
//! different one. `UPDATE=1` writes all.

use std::fs;
use std::path::{Path, PathBuf};

use lathe_dockerfile::{Diagnostic, dump, lint, parse, render, settle};

/// Whether the files of a folder may have errors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Errors,
    NoErrors,
}

fn rendered(diagnostics: &[Diagnostic], text: &str) -> String {
    diagnostics
        .iter()
        .fold(String::new(), |out, diagnostic| out + &render(diagnostic, text, "Dockerfile") + "\n")
}

fn snapshot(text: &str, expect: Expect) -> String {
    let parsed = parse(text);
    let has_errors = parsed.has_errors();
    let mut findings = parsed.diagnostics;
    if !has_errors {
        findings.extend(lint(&parsed.file, text));
    }
    let mut out = rendered(&settle(&parsed.file, findings, None), text);
    match expect {
        Expect::Errors => assert!(has_errors, "no error in:\n{text}"),
        Expect::NoErrors => {
            assert!(!has_errors, "{out}");
            out.push_str(&dump(&parsed.file));
        }
    }
    out
}

fn set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0")
}

fn check(path: &Path, expect: Expect) -> Result<(), String> {
    let text = fs::read_to_string(path).expect("readable test file");
    let found = snapshot(&text, expect);
    let snap = path.with_extension("snap");
    match fs::read_to_string(&snap) {
        Ok(expected) if expected == found => return Ok(()),
        Ok(expected) if !set("UPDATE") => {
            return Err(format!(
                "{} differs\n--- expected\n{expected}\n--- found\n{found}",
                snap.display()
            ));
        }
        Err(_) if set("CI") => return Err(format!("{} is missing", snap.display())),
        _ => {}
    }
    fs::write(&snap, found).expect("writable snapshot");
    Ok(())
}

fn check_folder(name: &str, expect: Expect) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("test_data").join(name);
    let entries = fs::read_dir(&folder).expect("test folder");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("readable entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "dockerfile"));
    paths.sort();
    assert!(!paths.is_empty(), "no files in {}", folder.display());
    let failures: Vec<String> = paths.iter().filter_map(|path| check(path, expect).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn valid_files_have_their_trees() {
    check_folder("ok", Expect::NoErrors);
}

#[test]
fn wrong_files_have_their_errors() {
    check_folder("err", Expect::Errors);
}

/// Every Dockerfile below `folder`.
fn dockerfiles(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("readable folder") {
        let path = entry.expect("readable entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            dockerfiles(&path, found);
        } else if name.starts_with("Dockerfile") && !name.ends_with(".dockerignore") {
            found.push(path);
        }
    }
}

#[test]
fn the_examples_of_the_project_have_no_errors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut paths = Vec::new();
    dockerfiles(&folder, &mut paths);
    assert!(!paths.is_empty(), "no examples in {}", folder.display());
    for path in paths {
        let text = fs::read_to_string(&path).expect("readable example");
        let diagnostics = parse(&text).diagnostics;
        assert!(diagnostics.is_empty(), "{}:\n{}", path.display(), rendered(&diagnostics, &text));
    }
}
