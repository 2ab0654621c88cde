//! One line of an ignore file, compiled.

use crate::Error;
use crate::class::Class;
use crate::glob::{Builder, split_segments};
use crate::token::Token;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// It starts with `!`.
    pub(super) negated: bool,
    /// The text of a pattern without wildcards.
    pub(super) literal: Option<String>,
    /// What every match starts with: one comparison sorts out most paths.
    pub(super) prefix: String,
    /// The first byte of every match, if known.
    pub(super) first: Option<u8>,
    /// The last byte of what the whole pattern matches, if known.
    pub(super) last: Option<u8>,
    pub(super) tokens: Vec<Token>,
    /// How many segments a match has; `None` with `**`.
    pub(super) depth: Option<usize>,
    /// Patterns of single segments; `None` where `**` stands, behind which
    /// nothing is known.
    pub(super) segments: Vec<Option<Vec<Token>>>,
}

/// Blanks off, path cleaned, leading slash off. `None` for what means
/// nothing: a blank line, `.`, `/`.
pub(super) fn normalize(line: &str) -> Option<String> {
    let line = line.trim();
    let (negation, path) = match line.strip_prefix('!') {
        Some(rest) => ("!", rest.trim()),
        None => ("", line),
    };
    if path.is_empty() {
        return (!negation.is_empty()).then(|| negation.to_owned());
    }
    let path = clean(path);
    if path.is_empty() { None } else { Some(format!("{negation}{path}")) }
}

/// Go's `filepath.Clean`, then without the leading slash; `.` is empty.
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
    segments.join("/")
}

impl Pattern {
    /// Compiles a normalized pattern.
    pub(super) fn compile(pattern: &str) -> Result<Self, Error> {
        let (negated, text) = match pattern.strip_prefix('!') {
            Some("") => return Err(Error::EmptyNegation),
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        let bad = |reason| Error::BadPattern { pattern: pattern.to_owned(), reason };
        let tokens = tokens(text).map_err(bad)?;
        let text_of = |literal: &[u8]| String::from_utf8_lossy(literal).into_owned();
        let literal = match tokens.as_slice() {
            [Token::Literal(literal)] => Some(text_of(literal)),
            _ => None,
        };
        let prefix = match tokens.first() {
            Some(Token::Literal(literal)) => text_of(literal),
            _ => String::new(),
        };
        let segments = segments(&tokens);
        let depth = segments.iter().all(Option::is_some).then_some(segments.len());
        let first = prefix.bytes().next();
        let last = match tokens.last() {
            Some(Token::Literal(tail)) => tail.last().copied(),
            _ => None,
        };
        Ok(Self { negated, literal, prefix, first, last, tokens, depth, segments })
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
            '[' => builder.push(Token::Class(Class::read(&mut chars)?)),
            '\\' => builder.literal(chars.next().ok_or("`\\` at the end escapes nothing")?),
            _ => builder.literal(c),
        }
    }
    Ok(builder.finish())
}

/// The segments up to the first `**`.
fn segments(tokens: &[Token]) -> Vec<Option<Vec<Token>>> {
    let open = tokens.iter().position(|token| matches!(token, Token::Folders | Token::Rest));
    let mut segments: Vec<Option<Vec<Token>>> =
        split_segments(&tokens[..open.unwrap_or(tokens.len())]).into_iter().map(Some).collect();
    if open.is_some() {
        // What stands before `**` in its segment (`a**`) is no whole segment.
        segments.pop();
        segments.push(None);
    }
    segments
}
