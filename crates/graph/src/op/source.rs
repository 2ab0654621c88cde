//! Operations that bring files from outside of the build.

use lathe_oci::{Digest, Platform};

use super::Parts;

/// Files from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceOp {
    /// The file tree of an image.
    Image {
        /// The reference as the user wrote it, for messages; no part of the identity.
        name: String,
        /// The manifest.
        manifest: Digest,
        /// For which platform it was chosen.
        platform: Platform,
    },
    /// The build context, or a named one: a folder of this machine, or what was fetched before
    /// the build began. What is in it is known only by looking, so that it has no key of its
    /// own: what copies from it is keyed by content.
    Local {
        /// `context`, or the name of a named context.
        name: String,
    },
    /// A file from a web server. Known in advance only with a checksum.
    Http(HttpSource),
    /// The files of a commit of a git repository. Known in advance only by its full commit.
    Git(GitSource),
}

/// A file from a web server (`ADD https://…`). Becomes a tree with that one file in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSource {
    /// The URL, as it is asked for.
    pub url: String,
    /// Name of the file: the last part of the URL's path.
    pub name: String,
    /// `--checksum`: what the file must be.
    pub checksum: Option<Digest>,
}

/// What a name in a git repository is looked up as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitReference {
    /// The branch that the repository gives by default.
    Head,
    /// A branch, tag, full name or commit, as after `#`.
    Any(String),
    /// `?tag=`.
    Tag(String),
    /// `?branch=`.
    Branch(String),
}

/// Times of the files of a checkout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GitTime {
    /// That of the commit, so that equal commits make equal layers.
    #[default]
    Commit,
    /// That of the checkout (`?mtime=checkout`).
    Checkout,
}

/// The files of a commit of a git repository (`ADD https://….git`, contexts).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSource {
    /// The repository, as git takes it.
    pub url: String,
    /// Which commit.
    pub reference: GitReference,
    /// The folder that is wanted, relative; all where `None`.
    pub subdir: Option<String>,
    /// `--checksum`, `?checksum=`, `?commit=`: the beginning of the commit's id, in lower case.
    pub checksum: Option<String>,
    /// `--keep-git-dir`.
    pub keep_git_dir: bool,
    /// Whether submodules are checked out; they are unless `?submodules=false`.
    pub submodules: bool,
    /// Times of the files.
    pub mtime: GitTime,
    /// `?fetch-by-commit=true`: asks for the commit of the checksum, not for a name.
    pub fetch_by_commit: bool,
}

impl GitSource {
    /// Returns the commit where it is known without asking: the name is a full id, or the full id
    /// of the checksum is fetched by itself. Else the name decides, and has to be asked for, even
    /// if the checksum says what it ought to be.
    pub fn commit(&self) -> Option<&str> {
        let full = |text: &&str| {
            matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let checksum = self.checksum.as_deref().filter(full);
        let name = match &self.reference {
            GitReference::Any(name) => Some(name.as_str()).filter(full),
            GitReference::Head | GitReference::Tag(_) | GitReference::Branch(_) => None,
        };
        name.or(checksum.filter(|_| self.fetch_by_commit))
    }
}

impl SourceOp {
    /// Tells whether the parts alone say what the files are, without looking at them.
    pub fn is_pinned(&self) -> bool {
        match self {
            Self::Image { .. } => true,
            Self::Local { .. } => false,
            Self::Http(http) => http.checksum.is_some(),
            Self::Git(git) => git.commit().is_some(),
        }
    }

    pub(super) fn parts(&self, parts: &mut Parts) {
        match self {
            Self::Image { manifest, platform, .. } => {
                parts.add("op", "image");
                parts.add("manifest", manifest);
                parts.add("platform", platform);
            }
            Self::Local { name } => {
                parts.add("op", "local");
                parts.add("context", name);
            }
            Self::Http(http) => {
                parts.add("op", "http");
                parts.add("url", &http.url);
                parts.add("name", &http.name);
                parts.add_debug("checksum", http.checksum.map(|digest| digest.to_string()));
            }
            Self::Git(git) => {
                parts.add("op", "git");
                parts.add("repository", &git.url);
                parts.add_debug("reference", &git.reference);
                parts.add_debug("folder", &git.subdir);
                parts.add_debug("checksum", &git.checksum);
                parts.add("keep git folder", git.keep_git_dir);
                parts.add("submodules", git.submodules);
                parts.add_debug("times", git.mtime);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "0123456789abcdef0123456789abcdef01234567";

    fn git(reference: GitReference, checksum: Option<&str>) -> GitSource {
        GitSource {
            url: "https://example.com/a.git".to_owned(),
            reference,
            subdir: None,
            checksum: checksum.map(str::to_owned),
            keep_git_dir: false,
            submodules: true,
            mtime: GitTime::Commit,
            fetch_by_commit: false,
        }
    }

    #[test]
    fn a_commit_is_known_by_its_full_id_alone() {
        let any = |name: &str| GitReference::Any(name.to_owned());
        let check = |reference, checksum, expected| {
            let source = git(reference, checksum);
            assert_eq!(source.commit(), expected, "{source:?}");
            assert_eq!(SourceOp::Git(source.clone()).is_pinned(), expected.is_some());
        };
        check(GitReference::Head, None, None);
        check(any("main"), None, None);
        check(any(FULL), None, Some(FULL));
        // The name may have moved to another commit, which is to be told.
        check(any("main"), Some(FULL), None);
        let by_commit = GitSource { fetch_by_commit: true, ..git(GitReference::Head, Some(FULL)) };
        assert_eq!(by_commit.commit(), Some(FULL));
        check(any("main"), Some("0123456"), None);
        check(GitReference::Tag(FULL.to_owned()), None, None);
        check(any(&FULL.replace('0', "g")), None, None);
    }

    #[test]
    fn how_a_commit_is_fetched_is_no_part_of_the_source() {
        let parts = |source: GitSource| crate::Op::Source(SourceOp::Git(source)).parts();
        let plain = git(GitReference::Head, Some(FULL));
        let by_commit = GitSource { fetch_by_commit: true, ..plain.clone() };
        assert_eq!(parts(plain.clone()), parts(by_commit));
        let kept = GitSource { keep_git_dir: true, ..plain.clone() };
        assert_ne!(parts(plain), parts(kept));
    }

    #[test]
    fn a_download_is_known_by_its_checksum() {
        let http = HttpSource {
            url: "https://example.com/a".to_owned(),
            name: "a".to_owned(),
            checksum: None,
        };
        assert!(!SourceOp::Http(http.clone()).is_pinned());
        let checked = HttpSource { checksum: Some(Digest::of(b"a")), ..http };
        assert!(SourceOp::Http(checked).is_pinned());
    }
}
