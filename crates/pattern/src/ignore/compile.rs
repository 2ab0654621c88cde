//! One line of an ignore file, compiled.

use super::segment::{Segment, Shape};
use crate::Error;
use crate::class::{Class, Separator};
use crate::glob::Builder;
use crate::token::Token;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// It starts with `!`.
    pub(super) negated: bool,
    /// What a whole path has to look like.
    pub(super) tokens: Vec<Token>,
    /// The same segment by segment; `None` if the pattern cannot be cut at
    /// its slashes (`a**b`, `x[^a]y`).
    pub(super) shape: Option<Shape>,
    /// What every match starts with.
    pub(super) prefix: Box<[u8]>,
}

/// Reads a line as moby's `ignorefile` does: blanks off, path cleaned,
/// leading slash off. `None` for blank lines.
///
/// A negation without a path stays, for its error.
pub(super) fn read_line(line: &str) -> Option<String> {
    let line = line.trim();
    let (negation, path) = match line.strip_prefix('!') {
        Some(rest) => ("!", rest.trim()),
        None if line.is_empty() => return None,
        None => ("", line),
    };
    if path.is_empty() {
        return Some(negation.to_owned());
    }
    let path = clean(path);
    let relative = if path.len() > 1 { path.strip_prefix('/').unwrap_or(&path) } else { &path };
    Some(format!("{negation}{relative}"))
}

/// Go's `filepath.Clean`.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." if segments.last().is_some_and(|&last| last != "..") => drop(segments.pop()),
            ".." if rooted => {}
            _ => segments.push(segment),
        }
    }
    let joined = segments.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

impl Pattern {
    /// Compiles a line that [`read_line`] returned; `None` if it means
    /// nothing: blank, `.` or `/`.
    ///
    /// moby trims and cleans a second time here and only then looks for the
    /// `!`, so that `/!x` is a negation and `!/` is nothing behind a `!`.
    pub(super) fn compile(line: &str) -> Result<Option<Self>, Error> {
        let trimmed = line.trim();
        if trimmed.is_empty() {
            return Ok(None);
        }
        let pattern = clean(trimmed);
        let (negated, text) = match pattern.strip_prefix('!') {
            Some("") => return Err(Error::EmptyNegation),
            Some(rest) => (true, rest),
            None => (false, pattern.as_str()),
        };
        let bad = |reason| Error::BadPattern { pattern: pattern.clone(), reason };
        let tokens = tokens(text).map_err(bad)?;
        if matches!(text, "." | "/") {
            return Ok(None);
        }
        let prefix = match tokens.first() {
            Some(Token::Literal(literal)) => literal.clone(),
            _ => Box::default(),
        };
        let shape = Shape::of(&tokens);
        Ok(Some(Self { negated, tokens, shape, prefix }))
    }

    /// The part that the last segment of a match has to look like, if the
    /// pattern has one.
    pub(super) fn last_segment(&self) -> Option<&Segment> {
        let shape = self.shape.as_ref()?;
        shape.tail.last().or_else(|| shape.head.last())
    }
}

/// As moby's regular expression: `**` is any folders, at the end anything.
fn tokens(pattern: &str) -> Result<Vec<Token>, &'static str> {
    // moby takes `**.go` as a suffix, though `**x*` means a whole name.
    let special = |c| matches!(c, '*' | '?' | '[' | ']' | '\\');
    if let Some(suffix) = pattern.strip_prefix("**")
        && !suffix.is_empty()
        && !suffix.starts_with('/')
        && !suffix.contains(special)
    {
        return Ok(vec![Token::Rest, Token::Literal(suffix.as_bytes().into())]);
    }
    let mut builder = Builder::default();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.as_str().starts_with('*') => {
                chars.next();
                if chars.as_str().starts_with('/') {
                    chars.next();
                }
                let at_end = chars.as_str().is_empty();
                builder.push(if at_end { Token::Rest } else { Token::Folders });
            }
            '*' => builder.push(Token::Star),
            '?' => builder.push(Token::One),
            '[' => builder.push(Token::Class(class(&mut chars)?)),
            '\\' => builder.literal(chars.next().ok_or("`\\` at the end escapes nothing")?),
            _ => builder.literal(c),
        }
    }
    Ok(builder.finish())
}

fn class(chars: &mut std::str::Chars<'_>) -> Result<Class, &'static str> {
    let class = Class::read(chars, Separator::Character)?;
    // Go's Match takes it and matches nothing; moby's regular expression is
    // invalid then, and the build fails.
    if class.has_reversed_range() { Err("a range ends before it begins") } else { Ok(class) }
}
