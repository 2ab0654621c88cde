//! From a source of `ADD` and the flags around it to what is downloaded.

use lathe_dockerfile::{Diagnostic, Span, ast::Add};
use lathe_graph::{HttpSource, SourceOp};

use crate::{
    Remote, RemoteError,
    remote::{commit_prefix, parse_known_git, parse_remote},
};

/// The flags of `ADD` that say how a source is brought.
pub(crate) struct Asked<'a> {
    /// `--checksum`
    pub(crate) checksum: Option<&'a str>,
    /// `--keep-git-dir`
    pub(crate) keep_git_dir: Option<bool>,
}

/// Why a source cannot be brought.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// The URL is wrong.
    Url(RemoteError),
    /// The checksum is none.
    Checksum(String),
    /// The flag and the URL differ.
    Differ(&'static str),
}

impl FetchError {
    /// Returns the finding; `source` is where the URL stands.
    pub(crate) fn at(self, add: &Add, source: Span) -> Diagnostic {
        let checksum = add.checksum.as_ref().map_or(source, |word| word.span);
        match self {
            Self::Url(error) => {
                let mut finding = Diagnostic::error(source, error.to_string());
                finding.help = error.help();
                finding
            }
            Self::Checksum(message) => Diagnostic::error(checksum, message)
                .help("a file has `--checksum=sha256:…`, a git repository a commit"),
            Self::Differ(flag) => {
                let message = format!("`--{flag}` and the URL say different things");
                Diagnostic::error(source, message).help("leave one of them out")
            }
        }
    }
}

/// Returns what a source of `ADD` brings; `None` if it is a path.
pub(crate) fn fetch(text: &str, asked: &Asked<'_>) -> Option<Result<SourceOp, FetchError>> {
    // Who says what becomes of `.git` says that it is a repository.
    let remote = match asked.keep_git_dir {
        Some(_) => parse_known_git(text),
        None => parse_remote(text),
    };
    Some(match remote? {
        Ok(remote) => source(remote, asked),
        Err(error) => Err(FetchError::Url(error)),
    })
}

fn source(remote: Remote, asked: &Asked<'_>) -> Result<SourceOp, FetchError> {
    match remote {
        Remote::Http(http) => {
            let checksum = asked.checksum.map(|text| {
                text.parse().map_err(|error: lathe_oci::Error| {
                    FetchError::Checksum(format!("invalid checksum: {error}"))
                })
            });
            Ok(SourceOp::Http(HttpSource { checksum: checksum.transpose()?, ..http }))
        }
        Remote::Git(mut git) => {
            if let Some(keep) = asked.keep_git_dir {
                if git.keep_git_dir && !keep {
                    return Err(FetchError::Differ("keep-git-dir"));
                }
                git.keep_git_dir = keep;
            }
            if let Some(text) = asked.checksum {
                let commit = commit_prefix(text).map_err(|_| {
                    let message = "invalid checksum: a commit is 40 or 64 hexadecimal digits, \
                                   or at least the first 7 of them";
                    FetchError::Checksum(message.to_owned())
                })?;
                if git.checksum.as_ref().is_some_and(|known| *known != commit) {
                    return Err(FetchError::Differ("checksum"));
                }
                git.checksum = Some(commit);
            }
            Ok(SourceOp::Git(git))
        }
    }
}
