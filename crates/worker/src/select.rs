//! Which files of an input a `COPY` means: literal paths, patterns with Go's wildcards, and below
//! them what `--parents`, `--exclude` and the ignore file leave.
//!
//! The copy and the cache key ask the same [`Selected`], so that they cannot disagree.

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

use crate::{Error, Result, Worker};

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

/// How the paths of a selector are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// As sources: of a folder the content counts.
    Plain,
    /// As what is to be found again below the destination (`--parents`).
    Parents,
}

/// What a selector means in a tree.
pub(crate) struct Selected {
    /// In order of the selector, what one pattern finds in order of the names.
    pub(crate) found: Vec<Found>,
    exclude: Ignore,
}

/// One file or folder.
pub(crate) struct Found {
    /// As it was named; a link is still one here, and gives what is copied its name.
    pub(crate) path: PathBuf,
    /// The same without links.
    pub(crate) real: PathBuf,
    /// What below it is meant, where that is not all.
    include: Option<Ignore>,
    /// Which of the selector's patterns found it.
    pub(crate) pattern: usize,
}

impl Found {
    /// Tells whether all that is below it is meant, but for what is excluded.
    pub(crate) fn is_whole(&self) -> bool {
        self.include.is_none()
    }
}

impl Selected {
    /// Decides on what is below a found folder.
    pub(crate) fn select(
        &self,
        tree: Tree<'_>,
        found: &Found,
        below: &Path,
        kind: FileKind,
    ) -> Selection {
        let mut selection = exclude(&self.exclude, below, kind);
        if let Some(include) = &found.include {
            selection = selection.and(exclude(include, below, kind));
        }
        match tree {
            // Without an ignore file no path need be put together.
            Tree::Context(context)
                if selection != Selection::Skip && context.ignore_file().is_some() =>
            {
                selection.and(tree.select(&found.real.join(below), kind))
            }
            Tree::Context(_) | Tree::Snapshot(_) => selection,
        }
    }
}

impl Worker<'_> {
    /// As [`Selected::select`], and nothing more once the user wants it to stop.
    pub(crate) fn choose(
        &self,
        tree: Tree<'_>,
        selected: &Selected,
        found: &Found,
        below: &Path,
        kind: FileKind,
    ) -> Selection {
        if self.cancel.is_cancelled() {
            return Selection::Skip;
        }
        selected.select(tree, found, below, kind)
    }
}

impl Tree<'_> {
    pub(crate) fn root(&self) -> &Root {
        match self {
            Tree::Snapshot(root) => root,
            Tree::Context(context) => context.root(),
        }
    }

    /// Decides on a path that is relative to the root of the tree and has no links.
    pub(crate) fn select(&self, path: &Path, kind: FileKind) -> Selection {
        match self {
            Tree::Snapshot(_) => Selection::Keep,
            Tree::Context(context) => match context.select(path, kind) {
                // A folder of the context is there if anything in it is.
                Selection::Descend => Selection::Lazy,
                other => other,
            },
        }
    }

    /// Returns what the selector means. A pattern may match nothing; a literal path must exist.
    pub(crate) fn find(&self, selector: &Selector, style: Style, place: &str) -> Result<Selected> {
        let mut selected = Selected { found: Vec::new(), exclude: Ignore::new(&selector.exclude)? };
        for (position, pattern) in selector.paths.iter().enumerate() {
            let before = selected.found.len();
            match style {
                Style::Plain => self.find_plain(pattern, place, &mut selected)?,
                Style::Parents => self.find_parents(pattern, place, &mut selected)?,
            }
            selected.found[before..].iter_mut().for_each(|found| found.pattern = position);
        }
        Ok(selected)
    }

    fn find_plain(&self, pattern: &str, place: &str, selected: &mut Selected) -> Result<()> {
        if !has_wildcards(pattern) {
            let path = PathBuf::from(unescape(pattern));
            let real = self.check_exists(&path, place)?;
            selected.found.push(Found { path, real, include: None, pattern: 0 });
            return Ok(());
        }
        for path in self.glob(pattern)? {
            let real = self.check_exists(&path, place)?;
            // A file that a pattern found is not named: `--exclude` reaches it by its name.
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if selected.exclude.matches(&name) && !self.root().stat(&real)?.is_dir() {
                continue;
            }
            selected.found.push(Found { path, real, include: None, pattern: 0 });
        }
        Ok(())
    }

    /// What comes after `/./`, or all where there is none, is found again in the destination. It
    /// is matched as the lines of an ignore file are, so that `**` works; links below are links.
    fn find_parents(&self, pattern: &str, place: &str, selected: &mut Selected) -> Result<()> {
        let (start, kept) = pattern.split_once("/./").unwrap_or((".", pattern));
        let include = match kept.trim_matches('/') {
            "" | "." => None,
            kept => Some(Ignore::new(["**", &format!("!{kept}")])?),
        };
        if !has_wildcards(start) && !has_wildcards(kept) {
            let path = PathBuf::from(unescape(start)).join(unescape(kept));
            self.check_exists(&lathe_rootfs::clean(&path), place)?;
        }
        let starts = if has_wildcards(start) {
            self.glob(start)?
        } else {
            vec![PathBuf::from(unescape(start))]
        };
        for path in starts {
            // What is named by its parents is inside of a folder.
            let real = self.root().real_path(&path)?;
            if self.root().try_stat(&real)?.is_some_and(|metadata| metadata.is_dir()) {
                let include = include.clone();
                selected.found.push(Found { path, real, include, pattern: 0 });
            }
        }
        Ok(())
    }

    /// Returns what a pattern matches, sorted. Links are followed up to the first wildcard.
    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>> {
        let glob = Glob::new(pattern)?;
        let mut start = PathBuf::new();
        let mut depth = 0;
        while let Some(name) = glob.literal_segment(depth).filter(|_| depth + 1 < glob.depth()) {
            start.push(name);
            depth += 1;
        }
        let mut found = Vec::new();
        self.glob_below(&glob, depth, &self.root().real_path(&start)?, &mut found)?;
        Ok(found)
    }

    fn glob_below(
        &self,
        glob: &Glob,
        depth: usize,
        at: &Path,
        found: &mut Vec<PathBuf>,
    ) -> Result<()> {
        let last = depth + 1 == glob.depth();
        let names = match glob.literal_segment(depth) {
            Some(name) => vec![name.into()],
            None if self.root().try_stat(at)?.is_some_and(|metadata| metadata.is_dir()) => {
                self.root().list(at)?
            }
            None => Vec::new(),
        };
        for name in names {
            let matches = |name: &OsStr| glob.matches_segment(depth, &name.to_string_lossy());
            if !matches(&name) {
                continue;
            }
            let path = at.join(&name);
            let Some(metadata) = self.root().try_lstat(&path)? else { continue };
            match self.select(&path, metadata.kind) {
                Selection::Skip => {}
                _ if last => found.push(path),
                _ if metadata.is_dir() => self.glob_below(glob, depth + 1, &path, found)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns where a path leads, without links. What a link leads to must be in the context
    /// itself, not only the link.
    fn check_exists(&self, path: &Path, place: &str) -> Result<PathBuf> {
        let real = self.root().real_path(path)?;
        let metadata = self.root().try_stat(&real)?;
        let selected = metadata.as_ref().map(|metadata| self.select(&real, metadata.kind));
        if selected.is_some_and(|selected| selected != Selection::Skip) {
            return Ok(real);
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

/// Returns a pattern that means exactly this path.
pub(crate) fn escape(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// Decides by `--exclude` patterns, which are those of `.dockerignore`, on a path relative to the
/// source.
fn exclude(patterns: &Ignore, path: &Path, kind: FileKind) -> Selection {
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
