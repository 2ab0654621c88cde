//! Compiled patterns and the matcher.

use crate::class::Class;

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// These bytes.
    Literal(Box<[u8]>),
    /// `?`: one character but `/`.
    One,
    /// `[…]`
    Class(Class),
    /// `*`: any characters but `/`.
    Star,
    /// `**/` (or `**` inside): nothing, or anything that ends in `/`.
    Folders,
    /// `**` at the end, or before a plain text at the start (`**.go`):
    /// anything.
    Rest,
}

/// Whether `tokens` match the whole of `path`.
pub(crate) fn matches(tokens: &[Token], path: &str) -> bool {
    if let Some(answer) = simple(tokens, path.as_bytes()) {
        return answer;
    }
    // With few stars trying everything is cheap. With more, what failed is
    // remembered per (token, offset), which bounds the work.
    let stars = tokens.iter().filter(|token| matches!(token, Token::Star | Token::Folders)).count();
    let mut failed = Vec::new();
    if stars > 2 {
        if least(tokens) > path.len() {
            return false;
        }
        failed.resize((tokens.len() + 1) * (path.len() + 1), false);
    }
    search(tokens, path, 0, 0, &mut failed)
}

/// The common shapes, without a table: no wildcard at all, and one star.
fn simple(tokens: &[Token], path: &[u8]) -> Option<bool> {
    match tokens {
        [] => Some(path.is_empty()),
        [Token::Literal(all)] => Some(**all == *path),
        [Token::Star] => Some(!path.contains(&b'/')),
        [Token::Star, Token::Literal(tail)] => {
            Some(path.strip_suffix(&**tail).is_some_and(|head| !head.contains(&b'/')))
        }
        [Token::Literal(head), Token::Star] => {
            Some(path.strip_prefix(&**head).is_some_and(|tail| !tail.contains(&b'/')))
        }
        [Token::Literal(head), Token::Star, Token::Literal(tail)] => Some(
            path.strip_prefix(&**head)
                .and_then(|rest| rest.strip_suffix(&**tail))
                .is_some_and(|middle| !middle.contains(&b'/')),
        ),
        [Token::Literal(head), Token::Rest] => Some(path.starts_with(head)),
        [Token::Rest] => Some(true),
        [Token::Folders, Token::Literal(tail)] => Some(ends_in(path, tail)),
        [Token::Rest, Token::Literal(tail)] => Some(path.ends_with(tail)),
        [Token::Folders, Token::Star, Token::Literal(tail)] if !tail.contains(&b'/') => {
            Some(path.ends_with(tail))
        }
        _ => None,
    }
}

/// How many bytes a match has at least.
fn least(tokens: &[Token]) -> usize {
    let length = |token: &Token| match token {
        Token::Literal(literal) => literal.len(),
        Token::One | Token::Class(_) => 1,
        Token::Star | Token::Folders | Token::Rest => 0,
    };
    tokens.iter().map(length).sum()
}

/// Whether `path` is `tail` or ends in `/tail`.
fn ends_in(path: &[u8], tail: &[u8]) -> bool {
    path.strip_suffix(tail).is_some_and(|head| head.is_empty() || head.ends_with(b"/"))
}

fn search(
    tokens: &[Token],
    path: &str,
    mut token: usize,
    mut at: usize,
    failed: &mut [bool],
) -> bool {
    let bytes = path.as_bytes();
    let width = path.len() + 1;
    loop {
        let Some(current) = tokens.get(token) else { return at == bytes.len() };
        if failed.get(token * width + at) == Some(&true) {
            return false;
        }
        let step = match current {
            Token::Literal(literal) => bytes[at..].starts_with(literal).then_some(literal.len()),
            Token::One => next_char(path, at).filter(|&c| c != '/').map(char::len_utf8),
            Token::Class(class) => {
                next_char(path, at).filter(|&c| class.contains(c)).map(char::len_utf8)
            }
            Token::Rest => return true,
            Token::Star | Token::Folders => {
                let from = (token, at);
                let matched = repeat(tokens, path, from, failed);
                if !matched {
                    remember(failed, token * width + at);
                }
                return matched;
            }
        };
        let Some(step) = step else {
            remember(failed, token * width + at);
            return false;
        };
        token += 1;
        at += step;
    }
}

/// Tries the tokens behind a `*` or `**/` at every place it can reach.
///
/// Recursion is as deep as the pattern has stars.
fn repeat(tokens: &[Token], path: &str, (token, at): (usize, usize), failed: &mut [bool]) -> bool {
    let bytes = path.as_bytes();
    let folders = tokens[token] == Token::Folders;
    for end in at..=bytes.len() {
        let reachable =
            if folders { end == at || bytes[end - 1] == b'/' } else { path.is_char_boundary(end) };
        if reachable && search(tokens, path, token + 1, end, failed) {
            return true;
        }
        if !folders && bytes.get(end) == Some(&b'/') {
            return false;
        }
    }
    false
}

fn next_char(path: &str, at: usize) -> Option<char> {
    path.get(at..)?.chars().next()
}

fn remember(failed: &mut [bool], index: usize) {
    if let Some(slot) = failed.get_mut(index) {
        *slot = true;
    }
}
