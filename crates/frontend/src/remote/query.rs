//! The query of a git URL: `?branch=main&subdir=docs`.

use lathe_dockerfile::{go_bool, suggest};
use lathe_graph::{GitReference, GitSource, GitTime};

use super::{RemoteError, folder, percent_decode};

/// The keys that there are.
pub(super) const KEYS: [&str; 10] = [
    "ref",
    "tag",
    "branch",
    "subdir",
    "checksum",
    "commit",
    "keep-git-dir",
    "submodules",
    "mtime",
    "fetch-by-commit",
];

/// Adds what a query says to a source.
pub(super) fn apply(mut source: GitSource, query: &str) -> Result<GitSource, RemoteError> {
    let mut seen: Vec<&'static str> = Vec::new();
    let (mut tag, mut branch) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decode(key)?, decode(value)?);
        let Some(known) = KEYS.into_iter().find(|known| *known == key) else {
            let near = suggest(&key, KEYS).and_then(|n| KEYS.into_iter().find(|k| *k == n));
            return Err(RemoteError::UnknownKey { key, near });
        };
        // `commit` is another word for `checksum`.
        let known = if known == "commit" { "checksum" } else { known };
        if seen.contains(&known) {
            return Err(RemoteError::Repeated(key));
        }
        seen.push(known);
        let is_flag = matches!(known, "keep-git-dir" | "submodules" | "fetch-by-commit");
        if value.is_empty() && !is_flag {
            return Err(RemoteError::MissingValue(key));
        }
        match known {
            "ref" => refer(&mut source, GitReference::Any(value))?,
            "tag" => tag = Some(value),
            "branch" => branch = Some(value),
            "subdir" => {
                let subdir = folder(&value);
                if let (Some(first), Some(second)) = (&source.subdir, &subdir) {
                    same("folder", first, second)?;
                }
                source.subdir = subdir.or(source.subdir);
            }
            "checksum" => source.checksum = Some(commit_prefix(&value)?),
            "keep-git-dir" => source.keep_git_dir = flag(known, &value)?,
            "submodules" => source.submodules = flag(known, &value)?,
            "fetch-by-commit" => source.fetch_by_commit = flag(known, &value)?,
            _ => source.mtime = time(&value)?,
        }
    }
    match (tag, branch) {
        (Some(_), Some(_)) => return Err(RemoteError::TagAndBranch),
        (Some(tag), None) => {
            let name = tag.strip_prefix("refs/tags/").unwrap_or(&tag).to_owned();
            refer(&mut source, GitReference::Tag(name))?;
        }
        (None, Some(branch)) => {
            let name = branch.strip_prefix("refs/heads/").unwrap_or(&branch).to_owned();
            refer(&mut source, GitReference::Branch(name))?;
        }
        (None, None) => {}
    }
    settle(source)
}

/// A commit alone says what to fetch.
fn settle(mut source: GitSource) -> Result<GitSource, RemoteError> {
    let full = source.checksum.as_ref().filter(|checksum| matches!(checksum.len(), 40 | 64));
    if source.fetch_by_commit && full.is_none() {
        return Err(RemoteError::NoCommit);
    }
    if let (Some(commit), GitReference::Head) = (full, &source.reference) {
        source.reference = GitReference::Any(commit.clone());
    }
    Ok(source)
}

fn refer(source: &mut GitSource, reference: GitReference) -> Result<(), RemoteError> {
    if source.reference != GitReference::Head {
        same("ref", &full_name(&source.reference), &full_name(&reference))?;
    }
    source.reference = reference;
    Ok(())
}

fn full_name(reference: &GitReference) -> String {
    match reference {
        GitReference::Head => String::new(),
        GitReference::Any(name) => name.clone(),
        GitReference::Tag(name) => format!("refs/tags/{name}"),
        GitReference::Branch(name) => format!("refs/heads/{name}"),
    }
}

fn same(what: &'static str, first: &str, second: &str) -> Result<(), RemoteError> {
    if first == second {
        return Ok(());
    }
    let (first, second) = (first.to_owned(), second.to_owned());
    Err(RemoteError::Conflict { what, first, second })
}

/// Reads the beginning of a commit's id; returns it in lower case.
pub(crate) fn commit_prefix(value: &str) -> Result<String, RemoteError> {
    let digits = value.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits && (7..=64).contains(&value.len()) {
        return Ok(value.to_ascii_lowercase());
    }
    Err(RemoteError::InvalidValue {
        key: "checksum",
        value: value.to_owned(),
        expected: "a commit is 40 or 64 hexadecimal digits, or at least the first 7 of them",
    })
}

/// A yes or no; no value means yes.
fn flag(key: &'static str, value: &str) -> Result<bool, RemoteError> {
    let given = if value.is_empty() { Some(true) } else { go_bool(value) };
    given.ok_or_else(|| RemoteError::InvalidValue {
        key,
        value: value.to_owned(),
        expected: "`true` or `false` is expected",
    })
}

fn time(value: &str) -> Result<GitTime, RemoteError> {
    match value {
        "commit" => Ok(GitTime::Commit),
        "checkout" => Ok(GitTime::Checkout),
        _ => Err(RemoteError::InvalidValue {
            key: "mtime",
            value: value.to_owned(),
            expected: "`checkout` or `commit` is expected",
        }),
    }
}

fn decode(text: &str) -> Result<String, RemoteError> {
    percent_decode(&text.replace('+', " "))
}
