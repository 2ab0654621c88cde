//! Which files of an input a `COPY` means: literal paths, and patterns with Go's wildcards.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
};

use lathe_graph::Selector;
use lathe_pattern::{Glob, Ignore, Walk, has_wildcards};
use lathe_rootfs::{Root, Selection};
use lathe_source::Context;
use lathe_tree::FileKind;

use crate::{Error, Result};

/// At most this many paths are offered for a path that is missing.
const NEAR: usize = 400;

/// Entries that are looked at in the search for paths near a missing one.
const SEARCH: usize = 20_000;

/// The files of an input.
#[derive(Clone, Copy)]
pub(crate) enum Tree<'a> {
    /// A mounted snapshot.
    Snapshot(&'a Root),
    /// A folder, seen through its ignore file.
    Context(&'a Arc<Context>),
}

impl Tree<'_> {
    pub(crate) fn root(&self) -> &Root {
        match self {
            Tree::Snapshot(root) => root,
            Tree::Context(context) => context.root(),
        }
    }

    /// Decides on a path that is relative to the root of the tree.
    pub(crate) fn select(&self, path: &Path, kind: FileKind) -> Selection {
        match self {
            Tree::Snapshot(_) => Selection::Keep,
            Tree::Context(context) => context.select(path, kind),
        }
    }

    /// Returns the paths that the selector means, in order of the selector, each pattern sorted.
    ///
    /// A pattern may match nothing; a literal path must exist.
    pub(crate) fn find(&self, selector: &Selector, place: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for pattern in &selector.paths {
            if has_wildcards(pattern) {
                let glob = Glob::new(pattern)?;
                self.glob(&glob, 0, Path::new(""), &mut found)?;
            } else {
                let path = PathBuf::from(unescape(pattern));
                self.check_exists(&path, place)?;
                found.push(path);
            }
        }
        Ok(found)
    }

    fn glob(&self, glob: &Glob, depth: usize, at: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
        let last = depth + 1 == glob.depth();
        let names = match glob.literal_segment(depth) {
            Some(name) => vec![name.into()],
            None => self.root().list(at)?,
        };
        for name in names {
            let matches = |name: &OsStr| glob.matches_segment(depth, &name.to_string_lossy());
            if !matches(&name) {
                continue;
            }
            let path = at.join(&name);
            let Some(metadata) = self.root().try_stat(&path)? else { continue };
            match self.select(&path, metadata.kind) {
                Selection::Keep | Selection::Descend if last => found.push(path),
                Selection::Keep | Selection::Descend if metadata.is_dir() => {
                    self.glob(glob, depth + 1, &path, found)?;
                }
                Selection::Keep | Selection::Descend | Selection::Skip => {}
            }
        }
        Ok(())
    }

    fn check_exists(&self, path: &Path, place: &str) -> Result<()> {
        if path == Path::new(".") {
            return Ok(());
        }
        let metadata = self.root().try_stat(path)?;
        let selected = metadata.as_ref().map(|metadata| self.select(path, metadata.kind));
        if matches!(selected, Some(Selection::Keep | Selection::Descend)) {
            return Ok(());
        }
        let ignored_by = match self {
            Tree::Context(context) if metadata.is_some() => {
                context.ignore_file().map(Path::to_owned)
            }
            _ => None,
        };
        let slash = if matches!(self, Tree::Snapshot(_)) { "/" } else { "" };
        Err(Error::MissingSource {
            path: format!("{slash}{}", path.display()),
            place: place.to_owned(),
            near: if ignored_by.is_some() { Vec::new() } else { self.near(path, slash)? },
            ignored_by,
        })
    }

    /// Returns paths that exist beside the missing one, and those elsewhere with its name.
    fn near(&self, path: &Path, slash: &str) -> Result<Vec<String>> {
        let show = |path: &Path| format!("{slash}{}", path.display());
        let mut near = Vec::new();
        let mut folder = path.parent();
        while let Some(at) = folder {
            if self.root().try_stat(at)?.is_some_and(|metadata| metadata.is_dir()) {
                near.extend(
                    self.root().list(at)?.iter().take(NEAR).map(|name| show(&at.join(name))),
                );
                break;
            }
            folder = at.parent();
        }
        let start = folder.unwrap_or(Path::new(""));
        let name = path.file_name();
        for entry in self.root().walk(start)?.take(SEARCH) {
            // Only a hint: what cannot be read is left out.
            let Ok(entry) = entry else { continue };
            if Some(entry.name()) == name && near.len() < NEAR {
                near.push(show(&start.join(&entry.path)));
            }
        }
        Ok(near)
    }
}

/// Removes the escapes of a pattern without wildcards.
fn unescape(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    let mut escaped = false;
    for c in pattern.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            text.push(c);
            escaped = false;
        }
    }
    text
}

/// Decides by `--exclude` patterns, which are those of `.dockerignore`, on a path relative to the
/// source.
pub(crate) fn exclude(patterns: &Ignore, path: &Path, kind: FileKind) -> Selection {
    // The source itself was named.
    if patterns.is_empty() || path.as_os_str().is_empty() {
        return Selection::Keep;
    }
    match patterns.decision(&path.to_string_lossy()) {
        Walk::Keep => Selection::Keep,
        Walk::Descend if kind == FileKind::Directory => Selection::Descend,
        Walk::Descend | Walk::Skip => Selection::Skip,
    }
}
