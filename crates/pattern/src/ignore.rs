//! `.dockerignore`, as moby's patternmatcher reads it.
//!
//! A path is excluded if the last pattern that matches it or one of the
//! folders above it is not a negation.

mod compile;
#[cfg(test)]
mod tests;

use crate::Error;
use crate::token;
use compile::Pattern;

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
            compile::normalize(line).map(|pattern| (index + 1, pattern))
        };
        Self { patterns: lines.filter_map(pattern).collect() }
    }

    /// Compiles the patterns; errors name the line.
    pub fn compile(&self) -> Result<Ignore, Error> {
        let mut ignore = Ignore::default();
        for (line, pattern) in &self.patterns {
            ignore
                .push(pattern)
                .map_err(|source| Error::Line { line: *line, source: Box::new(source) })?;
        }
        Ok(ignore)
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

/// Compiled patterns.
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
    negations: bool,
}

impl Ignore {
    /// Compiles patterns in order. Blank ones and `.` are left out.
    pub fn new<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        let mut ignore = Self::default();
        for line in lines {
            if let Some(pattern) = compile::normalize(line.as_ref()) {
                ignore.push(&pattern)?;
            }
        }
        Ok(ignore)
    }

    /// Adds a normalized pattern.
    fn push(&mut self, pattern: &str) -> Result<(), Error> {
        let pattern = Pattern::compile(pattern)?;
        self.negations |= pattern.negated;
        self.patterns.push(pattern);
        Ok(())
    }

    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether any pattern is a negation.
    pub fn has_negations(&self) -> bool {
        self.negations
    }

    /// Whether a path (relative, with `/`) is excluded.
    ///
    /// A folder that matches takes all with it that is in it, unless a later
    /// negation matches.
    pub fn matches(&self, path: &str) -> bool {
        // The last pattern that matches decides, so the search starts there.
        let ends = segment_ends(path);
        let last = self.patterns.iter().rev().find(|pattern| pattern.matches(path, &ends));
        last.is_some_and(|pattern| !pattern.negated)
    }

    /// What a walk does with a folder.
    pub fn decision(&self, folder: &str) -> Walk {
        if !self.matches(folder) {
            return Walk::Keep;
        }
        let reaches = |pattern: &Pattern| pattern.negated && pattern.reaches_into(folder);
        if self.negations && self.patterns.iter().any(reaches) { Walk::Descend } else { Walk::Skip }
    }
}

/// Where the segments of a path end.
fn segment_ends(path: &str) -> Vec<usize> {
    let mut ends = Vec::with_capacity(16);
    ends.extend(path.bytes().enumerate().filter(|&(_, byte)| byte == b'/').map(|(at, _)| at));
    ends.push(path.len());
    ends
}

impl Pattern {
    /// Whether the pattern matches the path or a folder above it. `ends` are
    /// the offsets where the segments of the path end.
    fn matches(&self, path: &str, ends: &[usize]) -> bool {
        // Single bytes sort out most patterns without a call.
        let bytes = path.as_bytes();
        if self.first.is_some() && self.first != bytes.first().copied() {
            return false;
        }
        if let Some(literal) = &self.literal {
            let rest = path.as_bytes().strip_prefix(literal.as_bytes());
            return rest.is_some_and(|rest| rest.first().is_none_or(|&byte| byte == b'/'));
        }
        if !path.as_bytes().starts_with(self.prefix.as_bytes()) {
            return false;
        }
        let matches_to = |end: usize| {
            let fits = self.last.is_none() || self.last == bytes[..end].last().copied();
            fits && token::matches(&self.tokens, &path[..end])
        };
        match self.depth {
            // Without `**` only the part with as many segments can match.
            Some(depth) => {
                let end = ends.get(depth - 1);
                end.is_some_and(|&end| matches_to(end))
            }
            None => ends.iter().rev().any(|&end| matches_to(end)),
        }
    }

    /// Whether the pattern can match something below a folder.
    fn reaches_into(&self, folder: &str) -> bool {
        let mut names = folder.split('/');
        for segment in &self.segments {
            let Some(segment) = segment else { return true };
            match names.next() {
                None => return true,
                Some(name) if token::matches(segment, name) => {}
                Some(_) => return false,
            }
        }
        // The pattern matches the folder or one above it: all below match.
        true
    }
}
