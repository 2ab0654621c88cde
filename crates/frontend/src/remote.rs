//! Which sources are not paths: web servers and git repositories, told from their text alone.
//!
//! The forms are `BuildKit`'s: `http(s)://…` is a download unless its path ends with `.git`;
//! `git://`, `ssh://` and `user@host:path` are repositories; all else is a path. A repository may
//! say more in a fragment (`#ref:folder`) or a query (`?branch=…&subdir=…`). The queries are in
//! `query.rs`.

mod query;
#[cfg(test)]
mod tests;

pub(crate) use query::commit_prefix;

use lathe_graph::{GitReference, GitSource, GitTime, HttpSource};

/// Name of a download whose URL has none.
const UNNAMED: &str = "__unnamed__";

/// A source that is not a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// A file from a web server.
    Http(HttpSource),
    /// Files of a git repository.
    Git(GitSource),
}

/// Why a source that is not a path cannot be used. Messages never hold the URL, which may hold
/// credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// There is no host, or a `%` without its two digits.
    #[error("the URL is not valid: {0}")]
    InvalidUrl(&'static str),
    /// A key that no git URL has.
    #[error("unknown key `{key}` in the query of the git URL")]
    UnknownKey {
        /// As typed.
        key: String,
        /// A key that was probably meant.
        near: Option<&'static str>,
    },
    /// `?ref=` without a value.
    #[error("the key `{0}` of the git URL needs a value")]
    MissingValue(String),
    /// `?ref=a&ref=b`.
    #[error("the key `{0}` of the git URL is given more than once")]
    Repeated(String),
    /// A value that is none of those possible.
    #[error("invalid value `{value}` for the key `{key}` of the git URL: {expected}")]
    InvalidValue {
        /// The key.
        key: &'static str,
        /// As typed.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Two parts of the URL say different things.
    #[error("the git URL names two values for its {what}: `{first}` and `{second}`")]
    Conflict {
        /// As `ref`.
        what: &'static str,
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// `?tag=` with `?branch=`.
    #[error("the git URL names a tag and a branch")]
    TagAndBranch,
    /// `?fetch-by-commit=true` without `?checksum=`.
    #[error("`fetch-by-commit` needs a full commit in `checksum`")]
    NoCommit,
}

impl RemoteError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownKey { near: Some(near), .. } => Some(format!("did you mean `{near}`?")),
            Self::UnknownKey { near: None, .. } => {
                Some(format!("the keys are {}", query::KEYS.join(", ")))
            }
            Self::TagAndBranch => Some("leave one of them out".to_owned()),
            _ => None,
        }
    }
}

/// Reads a source of `ADD`; `None` if it is a path.
pub fn parse_remote(text: &str) -> Option<Result<Remote, RemoteError>> {
    if text.starts_with("./") || text.starts_with("../") {
        return None;
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => Some(web(text)),
            "git" | "ssh" => Some(git(text).map(Remote::Git)),
            _ => None,
        };
    }
    is_scp_style(text).then(|| git(text).map(Remote::Git))
}

/// Reads the context of a build: as [`parse_remote`], and `github.com/owner/name` is a repository.
pub fn parse_remote_context(text: &str) -> Option<Result<Remote, RemoteError>> {
    if text.starts_with("github.com/") {
        return Some(git(&format!("https://{text}")).map(Remote::Git));
    }
    parse_remote(text)
}

/// Reads a source that is known to be a repository, since `--keep-git-dir` was given.
pub(crate) fn parse_known_git(text: &str) -> Option<Result<Remote, RemoteError>> {
    match parse_remote(text)? {
        Ok(Remote::Http(_)) => Some(git(text).map(Remote::Git)),
        other => Some(other),
    }
}

/// Hides passwords and tokens of the URLs in a text.
pub fn redact(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after.find(['/', '?', '#', ' ', '\t', '"', '\'']).unwrap_or(after.len());
        let (authority, behind) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, host)) => {
                // The user name of ssh is no secret, one of https may be a token.
                let ssh = before.ends_with("ssh://") && !user.contains(':');
                shown.push_str(if ssh { user } else { "xxxxx" });
                shown.push('@');
                shown.push_str(host);
            }
            None => shown.push_str(authority),
        }
        rest = behind;
    }
    shown.push_str(rest);
    shown
}

/// The parts of a URL, as typed.
struct Parts<'a> {
    /// Scheme, host and path.
    remote: &'a str,
    path: &'a str,
    query: &'a str,
    fragment: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self, RemoteError> {
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (remote, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = if let Some((_, behind)) = remote.split_once("://") {
            let (authority, path) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
                return Err(RemoteError::InvalidUrl("it has no host"));
            }
            path
        } else {
            remote.split_once(':').map_or("", |(_, path)| path)
        };
        Ok(Self { remote, path, query, fragment })
    }
}

fn web(text: &str) -> Result<Remote, RemoteError> {
    let parts = Parts::of(text)?;
    let path = percent_decode(parts.path)?;
    if path.strip_suffix(".git").is_some() {
        return git(text).map(Remote::Git);
    }
    let url = text.split_once('#').map_or(text, |(url, _)| url).to_owned();
    Ok(Remote::Http(HttpSource { url, name: file_name(&path), checksum: None }))
}

/// Returns the last part of a URL's path.
fn file_name(path: &str) -> String {
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    // A server or Dockerfile that is up to no good could name the folder itself or its parent.
    if matches!(name, "" | "." | "..") || name.contains('\0') {
        return UNNAMED.to_owned();
    }
    name.to_owned()
}

fn git(text: &str) -> Result<GitSource, RemoteError> {
    let parts = Parts::of(text)?;
    let fragment = percent_decode(parts.fragment)?;
    let (reference, subdir) = fragment.split_once(':').unwrap_or((&fragment, ""));
    let source = GitSource {
        url: parts.remote.to_owned(),
        reference: match reference {
            "" => GitReference::Head,
            name => GitReference::Any(name.to_owned()),
        },
        subdir: folder(subdir),
        checksum: None,
        keep_git_dir: false,
        submodules: true,
        mtime: GitTime::default(),
        fetch_by_commit: false,
    };
    query::apply(source, parts.query)
}

/// Returns a folder relative to the root of a repository, which it cannot leave.
fn folder(text: &str) -> Option<String> {
    let path = crate::path::join("/", text);
    (path != "/").then(|| path[1..].to_owned())
}

/// Tells whether a text is `user@host:path`, as ssh takes it.
fn is_scp_style(text: &str) -> bool {
    let Some((user, rest)) = text.split_once('@') else { return false };
    let Some((host, _)) = rest.split_once(':') else { return false };
    let all = |text: &str, extra: &[u8]| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
    };
    all(user, b"-_") && all(host, b"-.")
}

fn percent_decode(text: &str) -> Result<String, RemoteError> {
    let invalid = RemoteError::InvalidUrl("a `%` needs two hexadecimal digits behind it");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let plain = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let value = plain.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(value.ok_or_else(|| invalid.clone())?);
        rest = &behind[2..];
    }
    String::from_utf8(bytes).map_err(|_| RemoteError::InvalidUrl("it is not UTF-8"))
}
