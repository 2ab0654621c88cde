//! A pattern, cut at its slashes.

use crate::glob::split_segments;
use crate::token::{self, Token};

/// A pattern of whole segments: `head/**/tail/**`, where each part may lack.
///
/// It matches a path that starts with the segments of `head` and ends with
/// those of `tail`, with any segments between them if it is `open`, and any
/// but none behind them if it reaches `below`.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    pub(super) head: Vec<Segment>,
    pub(super) open: bool,
    pub(super) tail: Vec<Segment>,
    pub(super) below: bool,
}

/// What one name has to look like.
#[derive(Clone, Debug)]
pub(super) enum Segment {
    /// `name`
    Literal(Box<[u8]>),
    /// `*`
    Any,
    /// `name*`
    Prefix(Box<[u8]>),
    /// `*.ext`
    Suffix(Box<[u8]>),
    /// Whatever else.
    Tokens(Vec<Token>),
}

impl Shape {
    /// Cuts a pattern; `None` if some piece of it can match across a slash
    /// other than as whole segments.
    pub(super) fn of(tokens: &[Token]) -> Option<Self> {
        if tokens.iter().any(|token| matches!(token, Token::Class(class) if class.contains('/'))) {
            return None;
        }
        // `**suffix`: the first name of the suffix may begin in any way.
        if let [Token::Rest, Token::Literal(suffix)] = tokens {
            let tail = segments(&[Token::Star, Token::Literal(suffix.clone())])?;
            return Some(Self { open: true, tail, ..Self::default() });
        }
        let (below, body) = match tokens {
            [body @ .., Token::Folders, Token::Rest] | [body @ .., Token::Rest] => (true, body),
            _ => (false, tokens),
        };
        let is_folders = |token: &Token| matches!(token, Token::Folders);
        let mut parts = body.split(is_folders);
        let (head, tail, open) = match (parts.next(), parts.next(), parts.next()) {
            (Some(head), None, _) => (head, &[][..], false),
            (Some(head), Some(tail), None) => (head, tail, true),
            _ => return None,
        };
        let head = if open || below && tail.is_empty() { before_slash(head)? } else { head.into() };
        let tail = if below { before_slash(tail)? } else { tail.into() };
        // A `**` between slashes is all that may stand on an end.
        if open && tail.is_empty() {
            return None;
        }
        Some(Self { head: segments(&head)?, open, tail: segments(&tail)?, below })
    }
}

/// The tokens without the slash that they end in; `None` without one, and if
/// it is all there is: no path starts with a slash.
fn before_slash(tokens: &[Token]) -> Option<Vec<Token>> {
    let Some((last, others)) = tokens.split_last() else { return Some(Vec::new()) };
    let Token::Literal(literal) = last else { return None };
    let rest = literal.strip_suffix(b"/").filter(|rest| others.len() + rest.len() > 0)?;
    let mut tokens = others.to_vec();
    if !rest.is_empty() {
        tokens.push(Token::Literal(rest.into()));
    }
    Some(tokens)
}

/// `None` if a segment is empty: no path has such.
fn segments(tokens: &[Token]) -> Option<Vec<Segment>> {
    if tokens.is_empty() {
        return Some(Vec::new());
    }
    let segments = split_segments(tokens);
    if segments.iter().any(Vec::is_empty) {
        return None;
    }
    Some(segments.into_iter().map(Segment::of).collect())
}

impl Segment {
    fn of(tokens: Vec<Token>) -> Self {
        match tokens.as_slice() {
            [Token::Literal(text)] => Self::Literal(text.clone()),
            [Token::Star] => Self::Any,
            [Token::Literal(text), Token::Star] => Self::Prefix(text.clone()),
            [Token::Star, Token::Literal(text)] => Self::Suffix(text.clone()),
            _ => Self::Tokens(tokens),
        }
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        let bytes = name.as_bytes();
        match self {
            Self::Literal(text) => bytes == &**text,
            Self::Any => true,
            Self::Prefix(text) => bytes.starts_with(text),
            Self::Suffix(text) => bytes.ends_with(text),
            Self::Tokens(tokens) => token::matches(tokens, name),
        }
    }

    /// The byte that every match starts with, if there is one.
    pub(super) fn first(&self) -> Option<u8> {
        match self {
            Self::Literal(text) | Self::Prefix(text) => text.first().copied(),
            Self::Tokens(tokens) => match tokens.first() {
                Some(Token::Literal(text)) => text.first().copied(),
                _ => None,
            },
            Self::Any | Self::Suffix(_) => None,
        }
    }

    /// The byte that every match ends in, if there is one.
    pub(super) fn last(&self) -> Option<u8> {
        match self {
            Self::Literal(text) | Self::Suffix(text) => text.last().copied(),
            Self::Tokens(tokens) => match tokens.last() {
                Some(Token::Literal(text)) => text.last().copied(),
                _ => None,
            },
            Self::Any | Self::Prefix(_) => None,
        }
    }
}
