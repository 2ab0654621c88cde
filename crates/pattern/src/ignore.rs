//! `.dockerignore`, as moby's patternmatcher reads and BuildKit applies it.
//!
//! A path is excluded if the last pattern that matches it or one of the
//! folders above it is not a negation, with one exception that is told at
//! `Index::match_folder`.
//!
//! Where moby's regular expressions leave what Go's `filepath.Match` and the
//! documentation say, this does not follow: `\d` is a `d` and no digit, `[*]`
//! is a star, `[[:alpha:]]` no class of letters, `^` in a pattern with
//! wildcards a character, and a line feed in a name a character like others.

mod bits;
mod compile;
mod segment;
#[cfg(test)]
mod tests;
mod trail;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Error, token};
use compile::Pattern;
use trail::{Index, Trail};

/// The lines of an ignore file: comments, blanks and surplus slashes off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoreFile {
    /// The patterns with their lines (from 1).
    pub patterns: Vec<(usize, String)>,
}

impl IgnoreFile {
    /// Reads the text of a `.dockerignore`. Whether the patterns are valid
    /// shows when they are compiled.
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().enumerate();
        let pattern = |(index, line): (usize, &str)| {
            // A comment starts in the first column; `  #x` is a pattern.
            if line.starts_with('#') {
                return None;
            }
            compile::read_line(line).map(|pattern| (index + 1, pattern))
        };
        Self { patterns: lines.filter_map(pattern).collect() }
    }

    /// Compiles the patterns; errors name the line.
    pub fn compile(&self) -> Result<Ignore, Error> {
        let mut patterns = Vec::with_capacity(self.patterns.len());
        for (line, pattern) in &self.patterns {
            let compiled = Pattern::compile(pattern)
                .map_err(|source| Error::Line { line: *line, source: Box::new(source) })?;
            patterns.extend(compiled);
        }
        Ok(Ignore::of(patterns))
    }
}

/// What to do with a folder on a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// It is not excluded: take it and look into it.
    Keep,
    /// It is excluded with all that is in it.
    Skip,
    /// It is excluded itself, but a negation can bring back something in it.
    Descend,
}

/// Threads that find what they know of the last path again.
const TRAILS: usize = 8;

/// Compiled patterns.
///
/// Paths may be asked for in any order and from any thread; those of one
/// folder after each other by one thread are answered fastest.
#[derive(Debug, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
    index: Index,
    negations: bool,
    /// Only save work: without them the answers are the same. A thread comes
    /// back to the one that it had, so that walks through different folders
    /// do not drive each other out.
    trails: [Mutex<Trail>; TRAILS],
}

impl Clone for Ignore {
    fn clone(&self) -> Self {
        Self::of(self.patterns.clone())
    }
}

impl Ignore {
    /// Compiles the lines of an ignore file, which may be no comments here.
    /// Blank ones and `.` are left out.
    pub fn new<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        let mut patterns = Vec::new();
        for line in lines {
            if let Some(pattern) = compile::read_line(line.as_ref()) {
                patterns.extend(Pattern::compile(&pattern)?);
            }
        }
        Ok(Self::of(patterns))
    }

    fn of(patterns: Vec<Pattern>) -> Self {
        let index = Index::new(&patterns);
        let negations = patterns.iter().any(|pattern| pattern.negated);
        Self { patterns, index, negations, trails: Default::default() }
    }

    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether any pattern is a negation.
    pub fn has_negations(&self) -> bool {
        self.negations
    }

    /// Whether a path (relative, with `/`) is excluded, as a walk from the
    /// root finds it.
    ///
    /// A folder that matches takes all with it that is in it, unless a later
    /// negation matches.
    pub fn matches(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.with_trail(|trail| trail.excludes(&self.index, &self.patterns, path))
    }

    /// Whether a path is excluded when it is looked at by itself: the last
    /// pattern that matches it or a folder above it decides, without
    /// exception.
    ///
    /// moby's `MatchesOrParentMatches`, with which BuildKit's check
    /// `CopyIgnoredFile` looks at the sources of `COPY`.
    pub fn matches_by_itself(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let ends = || path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let matches = |pattern: &&Pattern| {
            !path.is_empty() && ends().any(|end| token::matches(&pattern.tokens, &path[..end]))
        };
        self.patterns.iter().rev().find(matches).is_some_and(|pattern| !pattern.negated)
    }

    /// What a walk does with a folder.
    pub fn decision(&self, folder: &str) -> Walk {
        let folder = folder.trim_end_matches('/');
        self.with_trail(|trail| {
            if !trail.excludes(&self.index, &self.patterns, folder) {
                Walk::Keep
            } else if self.negations && trail.reaches_into(&self.index, &self.patterns, folder) {
                Walk::Descend
            } else {
                Walk::Skip
            }
        })
    }

    /// Hands out what is known from the last path of this thread; if another
    /// thread has that, what is known from another path.
    fn with_trail<T>(&self, ask: impl FnOnce(&mut Trail) -> T) -> T {
        if self.patterns.is_empty() {
            return ask(&mut Trail::default());
        }
        let place = place_of_thread();
        let free = |step: usize| self.trails[(place + step) % TRAILS].try_lock().ok();
        match (0..TRAILS).find_map(free) {
            Some(mut trail) => ask(&mut trail),
            None => ask(&mut Trail::default()),
        }
    }
}

/// Returns which trail a thread uses: its number, as far as there are that many.
fn place_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % TRAILS;
    }
    PLACE.with(|place| *place)
}
