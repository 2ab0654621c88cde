//! The build context: a folder of this machine, seen through its ignore file.
//!
//! Nothing is transferred: files are read where they lie. Every path is resolved below the
//! folder, so that a link in it cannot lead to a file outside.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use lathe_pattern::{Ignore, IgnoreFile, Walk};
use lathe_rootfs::{Root, Selection};
use lathe_tree::FileKind;

use crate::{Error, Result};

/// Largest ignore file that is read, in bytes.
const IGNORE_LIMIT: u64 = 1 << 20;

/// A folder as a build input.
#[derive(Debug)]
pub struct Context {
    root: Root,
    ignore: Option<Arc<Ignore>>,
    ignore_file: Option<PathBuf>,
}

impl Context {
    /// Opens a folder; `ignore_file` is `<Dockerfile>.dockerignore` inside of it if there is
    /// one, else `.dockerignore`.
    pub fn open(folder: &Path, dockerfile: Option<&Path>) -> Result<Self> {
        let root = Root::open(folder)?;
        let beside = dockerfile.and_then(|path| {
            let mut name = path.strip_prefix(folder).ok()?.as_os_str().to_owned();
            name.push(".dockerignore");
            Some(PathBuf::from(name))
        });
        for path in beside.into_iter().chain([PathBuf::from(".dockerignore")]) {
            // A link could lead to a file that is not meant to be read as patterns.
            let is_file = root.try_lstat(&path)?.is_some_and(|metadata| metadata.is_file());
            if is_file {
                let bytes = root.read(&path, IGNORE_LIMIT)?;
                let file = IgnoreFile::parse(&String::from_utf8_lossy(&bytes));
                let ignore = file
                    .compile()
                    .map_err(|source| Error::Ignore { path: path.clone(), source })?;
                return Ok(Self { root, ignore: Some(Arc::new(ignore)), ignore_file: Some(path) });
            }
        }
        Ok(Self { root, ignore: None, ignore_file: None })
    }

    /// Returns the folder.
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// Returns the ignore file, relative to the folder.
    pub fn ignore_file(&self) -> Option<&Path> {
        self.ignore_file.as_deref()
    }

    /// Returns the patterns of the ignore file.
    pub fn ignore(&self) -> Option<Arc<Ignore>> {
        self.ignore.clone()
    }

    /// Tells whether a file belongs to the context, and whether a folder is to be entered.
    /// `path` is relative to the context.
    pub fn select(&self, path: &Path, kind: FileKind) -> Selection {
        let Some(ignore) = &self.ignore else { return Selection::Keep };
        // Names that are no text match as what they show as.
        let text = path.to_string_lossy();
        if text.is_empty() {
            return Selection::Keep;
        }
        if kind != FileKind::Directory {
            return if ignore.matches(&text) { Selection::Skip } else { Selection::Keep };
        }
        match ignore.decision(&text) {
            Walk::Keep => Selection::Keep,
            Walk::Skip => Selection::Skip,
            Walk::Descend => Selection::Descend,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn context(ignore: &str) -> (tempfile::TempDir, Result<Context>) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".dockerignore"), ignore).unwrap();
        let context = Context::open(folder.path(), None);
        (folder, context)
    }

    #[test]
    fn the_ignore_file_decides() {
        let (_folder, context) = context("node_modules\n*.md\n!README.md\n");
        let context = context.unwrap();
        let file = |path: &str| context.select(Path::new(path), FileKind::Regular);
        assert_eq!(file("src/a.js"), Selection::Keep);
        assert_eq!(file("notes.md"), Selection::Skip);
        assert_eq!(file("README.md"), Selection::Keep);
        assert_eq!(file("node_modules/x"), Selection::Skip);
        assert_ne!(context.select(Path::new("node_modules"), FileKind::Directory), Selection::Keep);
    }

    #[test]
    fn a_bad_pattern_is_told_with_its_line() {
        let error = context("a\n[\n").1.unwrap_err().to_string();
        assert!(error.starts_with("`.dockerignore`: line 2"), "{error}");
    }

    #[test]
    fn inv_source_inside_a_linked_ignore_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join(".dockerignore")).unwrap();
        assert!(Context::open(folder.path(), None).unwrap().ignore_file().is_none());
    }

    #[test]
    fn the_ignore_file_of_the_dockerfile_wins() {
        let (folder, _) = context("a\n");
        fs::write(folder.path().join("Dockerfile.prod.dockerignore"), "b\n").unwrap();
        let dockerfile = folder.path().join("Dockerfile.prod");
        let context = Context::open(folder.path(), Some(&dockerfile)).unwrap();
        assert_eq!(context.ignore_file(), Some(Path::new("Dockerfile.prod.dockerignore")));
        assert_eq!(context.select(Path::new("b"), FileKind::Regular), Selection::Skip);
    }
}
