//! Compares what came of a build with what its case expects.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use serde_json::Value;

use super::case::Case;
use super::expectation::{Expectation, Want};
use super::image::{Image, Kind, Node, Tree};
use super::line::quote;
use super::run::Outcome;

/// The names of all lint rules, without our own.
const RULES: [&str; 22] = [
    "StageNameCasing",
    "FromAsCasing",
    "NoEmptyContinuation",
    "ConsistentInstructionCasing",
    "DuplicateStageName",
    "ReservedStageName",
    "JSONArgsRecommended",
    "MaintainerDeprecated",
    "UndefinedArgInFrom",
    "WorkdirRelativePath",
    "UndefinedVar",
    "MultipleInstructionsDisallowed",
    "LegacyKeyValueFormat",
    "InvalidBaseImagePlatform",
    "RedundantTargetPlatform",
    "SecretsUsedInArgOrEnv",
    "InvalidDefaultArgInFrom",
    "FromPlatformFlagConstDisallowed",
    "CopyIgnoredFile",
    "InvalidDefinitionDescription",
    "ExposeProtoCasing",
    "ExposeInvalidFormat",
];

/// Returns a sentence for each expectation that is not met.
pub(super) fn failures(case: &Case, outcome: &Outcome) -> Vec<String> {
    let mut found = Vec::new();
    let exit = case.expect.iter().find_map(|one| match one {
        Expectation::Exit(code) => Some(*code),
        _ => None,
    });
    let failure = case.expect.iter().any(Expectation::is_of_failure);
    let wanted = exit.unwrap_or(i32::from(failure));
    if outcome.code != wanted {
        found.push(format!("exit code {}, not {wanted}", outcome.code));
    }
    for one in &case.expect {
        if one.is_of_image() {
            let Some(image) = &outcome.image else {
                found.push("there is no image to look at".to_owned());
                break;
            };
            found.extend(of_image(case, one, image));
        } else {
            found.extend(of_words(one, outcome));
        }
    }
    found
}

fn of_image(case: &Case, one: &Expectation, image: &Image) -> Vec<String> {
    match one {
        Expectation::Entry(path, want) => entry(&image.tree, path, want),
        Expectation::Diff => diff(case, image),
        Expectation::Only(folder) => only(case, &image.tree, folder),
        Expectation::Config(field, value) => {
            let found = image.field(field);
            unless(is_equal(found, value), || format!("{field} is {found}, not {value}"))
        }
        Expectation::ConfigHas(field, value) => {
            let found = image.field(field);
            unless(has(found, value), || format!("{field} has no {value}: {found}"))
        }
        Expectation::ConfigLacks(field, value) => {
            let found = image.field(field);
            unless(!has(found, value), || format!("{field} has {value}: {found}"))
        }
        Expectation::Layers(count) => unless(image.own_layers == *count, || {
            format!("{} layers, not {count}", image.own_layers)
        }),
        Expectation::History(items) => {
            let found = image.history();
            unless(found == *items, || {
                format!(
                    "history:\n    {}\n  not:\n    {}",
                    found.join("\n    "),
                    items.join("\n    ")
                )
            })
        }
        Expectation::HistoryHas(text) => {
            let found = image.history().join("\n    ");
            unless(found.contains(text), || format!("no `{text}` in the history:\n    {found}"))
        }
        Expectation::HistoryLacks(text) => {
            let found = image.history().join("\n    ");
            unless(!found.contains(text), || format!("`{text}` in the history:\n    {found}"))
        }
        _ => Vec::new(),
    }
}

fn unless(good: bool, text: impl FnOnce() -> String) -> Vec<String> {
    if good { Vec::new() } else { vec![text()] }
}

/// What is empty is as good as absent: documents may leave it out.
fn is_equal(found: &Value, wanted: &Value) -> bool {
    found == wanted || (is_empty(found) && is_empty(wanted))
}

pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Tells whether a list has an item, an object has these members, or a text has a part.
fn has(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Array(items), _) => items.contains(wanted),
        (Value::Object(members), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| members.get(key) == Some(value))
        }
        (Value::Object(members), Value::String(key)) => members.contains_key(key),
        (Value::String(text), Value::String(part)) => text.contains(part),
        _ => false,
    }
}

fn entry(tree: &Tree, path: &str, want: &Want) -> Vec<String> {
    let Some(node) = tree.get(path) else {
        return unless(want.absent, || {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let beside = format!("{folder}/");
            let near: Vec<&str> = tree
                .keys()
                .filter(|near| near.starts_with(&beside) && !near.starts_with("/bin/"))
                .map(String::as_str)
                .take(12)
                .collect();
            format!("no {path}; beside it: {}", near.join(" "))
        });
    };
    let mut wrong = compare(node, want);
    if let Some(other) = &want.same_as
        && tree.get(other).is_none_or(|other| other.first != node.first)
    {
        wrong.push(format!("no other name of {other}"));
    }
    unless(wrong.is_empty(), || format!("{path} is {}: {}", node.line(), wrong.join(", ")))
}

/// Returns in what a file is not what is wanted.
fn compare(node: &Node, want: &Want) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut fail = |text: String| wrong.push(text);
    if want.absent {
        fail("should not be there".to_owned());
    }
    if let Some(kind) = want.kind.filter(|kind| *kind != node.kind) {
        fail(format!("should be a {kind:?}"));
    }
    if let Some(mode) = want.mode.filter(|mode| *mode != node.mode) {
        fail(format!("mode should be {mode:04o}"));
    }
    if let Some((uid, gid)) =
        want.owner.filter(|(u, g)| (u64::from(*u), u64::from(*g)) != node.owner)
    {
        fail(format!("owner should be {uid}:{gid}"));
    }
    if let Some(bytes) = want.content.as_ref().filter(|bytes| **bytes != *node.bytes) {
        fail(format!("content should be {}", quote(bytes)));
    }
    if let Some(part) = &want.part
        && !String::from_utf8_lossy(&node.bytes).contains(part.as_str())
    {
        fail(format!("content should have {part:?}"));
    }
    if let Some(target) = want.target.as_ref().filter(|target| **target != node.target) {
        fail(format!("target should be {target}"));
    }
    if let Some(mtime) = want.mtime.filter(|mtime| *mtime != node.mtime) {
        fail(format!("mtime is {} and should be {mtime}", node.mtime));
    }
    for (name, value) in &want.attributes {
        if node.attributes.get(name).map(Vec::as_slice) != Some(value.as_bytes()) {
            fail(format!("attribute {name} should be {value}"));
        }
    }
    wrong
}

/// Returns the paths of the entries that a case expects.
fn listed(case: &Case) -> impl Iterator<Item = (&str, &Want)> {
    case.expect.iter().filter_map(|one| match one {
        Expectation::Entry(path, want) => Some((path.as_str(), want)),
        _ => None,
    })
}

/// Whatever differs from the base must be listed, but for plain folders that lead to what is.
fn diff(case: &Case, image: &Image) -> Vec<String> {
    let mut found = Vec::new();
    for (path, node) in image.diff() {
        let is_listed = listed(case).any(|(listed, _)| listed == path);
        let leads = listed(case)
            .any(|(listed, _)| listed.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')));
        let is_plain = node.is_some_and(|node| {
            node.kind == Kind::Folder && node.mode == 0o755 && node.owner == (0, 0)
        });
        if !(is_listed || (leads && is_plain)) {
            let line = node.map_or_else(|| "absent".to_owned(), Node::line);
            found.push(format!("not expected: {path} {line}"));
        }
    }
    found
}

fn only(case: &Case, tree: &Tree, folder: &str) -> Vec<String> {
    let prefix = format!("{}/", folder.trim_end_matches('/'));
    let below = tree.keys().filter(|path| path.starts_with(&prefix));
    let others = below.filter(|path| !listed(case).any(|(listed, _)| listed == path.as_str()));
    others.map(|path| format!("not expected: {path} {}", tree[path].line())).collect()
}

fn of_words(one: &Expectation, outcome: &Outcome) -> Vec<String> {
    let (stdout, stderr) = (&outcome.stdout, &outcome.stderr);
    let both = format!("{stdout}{stderr}");
    match one {
        Expectation::Out(path, want) => out(&outcome.folder.join(path), want),
        Expectation::Says(text) | Expectation::Error(text) => {
            unless(stderr.contains(text), || format!("standard error has no `{text}`"))
        }
        Expectation::SaysNot(text) => {
            unless(!both.contains(text), || format!("the output has `{text}`"))
        }
        Expectation::Prints(text) => {
            unless(stdout.contains(text), || format!("standard output has no `{text}`"))
        }
        Expectation::PrintsNot(text) => {
            unless(!stdout.contains(text), || format!("standard output has `{text}`"))
        }
        Expectation::PrintsJson(pointer, value) => prints_json(stdout, pointer, value),
        Expectation::Warns(text) => warns(&both, text),
        Expectation::WarnsNot(rule) => {
            unless(!both.contains(rule), || format!("the output has {rule}"))
        }
        Expectation::WarnsNothing => {
            let rules = RULES.iter().filter(|rule| both.contains(&format!("[{rule}]")));
            rules.map(|rule| format!("a warning: {rule}")).collect()
        }
        Expectation::At(place) => {
            let found = stderr.lines().any(|line| is_at(line, place));
            unless(found, || format!("no error at {place}"))
        }
        _ => Vec::new(),
    }
}

/// Tells whether a line is the place of a message: ` --> Dockerfile:3:5`.
fn is_at(line: &str, place: &str) -> bool {
    let Some((_, rest)) = line.split_once("--> ") else { return false };
    let Some((_, rest)) = rest.split_once(':') else { return false };
    rest == place || rest.strip_prefix(place).is_some_and(|rest| rest.starts_with(':'))
}

/// Checks `RULE` or `RULE LINE`.
fn warns(text: &str, wanted: &str) -> Vec<String> {
    let (rule, line) = wanted.split_once(' ').unwrap_or((wanted, ""));
    let mut lines = text.lines();
    let found = lines.any(|head| head.contains(rule));
    if !found {
        return vec![format!("no warning {rule}")];
    }
    if line.is_empty() {
        return Vec::new();
    }
    let all: Vec<&str> = text.lines().collect();
    let at = all.windows(2).any(|pair| pair[0].contains(rule) && is_at(pair[1], line));
    unless(at, || format!("no warning {rule} at line {line}"))
}

fn prints_json(stdout: &str, pointer: &str, value: &Value) -> Vec<String> {
    let Ok(document) = serde_json::from_str::<Value>(stdout) else {
        return vec!["standard output is no JSON".to_owned()];
    };
    let found = document.pointer(pointer).unwrap_or(&Value::Null);
    unless(is_equal(found, value), || format!("{pointer} is {found}, not {value}"))
}

/// Checks a file that an exporter wrote.
fn out(path: &Path, want: &Want) -> Vec<String> {
    let node = match node_of(path) {
        Ok(node) => node,
        Err(error) => {
            return unless(want.absent, || format!("{}: {error}", path.display()));
        }
    };
    let wrong = compare(&node, want);
    unless(wrong.is_empty(), || {
        format!("{} is {}: {}", path.display(), node.line(), wrong.join(", "))
    })
}

fn node_of(path: &Path) -> std::io::Result<Node> {
    let metadata = fs::symlink_metadata(path)?;
    let kind = match metadata.file_type() {
        kind if kind.is_dir() => Kind::Folder,
        kind if kind.is_symlink() => Kind::Symlink,
        kind if kind.is_fifo() => Kind::Pipe,
        kind if kind.is_file() => Kind::File,
        _ => Kind::Device,
    };
    let bytes = if kind == Kind::File { fs::read(path)? } else { Vec::new() };
    let target = match kind {
        Kind::Symlink => fs::read_link(path)?.display().to_string(),
        _ => String::new(),
    };
    Ok(Node {
        kind,
        mode: metadata.permissions().mode() & 0o7777,
        owner: (metadata.uid().into(), metadata.gid().into()),
        mtime: u64::try_from(metadata.mtime()).unwrap_or_default(),
        bytes: bytes.into(),
        target,
        attributes: std::collections::BTreeMap::default(),
        first: path.display().to_string(),
    })
}
