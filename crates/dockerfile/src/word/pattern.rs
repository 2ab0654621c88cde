//! Shell patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*` and `?` only.

/// A parsed pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    tokens: Vec<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// `*`: any characters of one line.
    Any,
    /// `?`: one character that is no line end.
    One,
    /// This character.
    Char(char),
}

impl Pattern {
    /// Parses; the error is a character that must not be escaped.
    pub(super) fn parse(text: &str) -> Result<Self, char> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Any,
                '?' => Token::One,
                '\\' => match chars.next() {
                    Some(next @ ('*' | '?' | '\\' | '}' | '/')) => Token::Char(next),
                    other => return Err(other.unwrap_or('\\')),
                },
                _ => Token::Char(c),
            });
        }
        Ok(Self { tokens })
    }

    /// The value without the shortest or longest prefix that matches.
    pub(super) fn trim_prefix<'a>(&self, value: &'a str, longest: bool) -> &'a str {
        match match_end(&self.tokens, value.char_indices().map(|(_, c)| c), longest) {
            Some(count) => &value[byte_at(value, count)..],
            None => value,
        }
    }

    /// The value without the shortest or longest suffix that matches.
    pub(super) fn trim_suffix<'a>(&self, value: &'a str, longest: bool) -> &'a str {
        let backwards: Vec<Token> = self.tokens.iter().rev().copied().collect();
        match match_end(&backwards, value.chars().rev(), longest) {
            Some(count) => &value[..byte_at(value, value.chars().count() - count)],
            None => value,
        }
    }

    /// Replaces the first `limit` longest matches from the left; `None` if the result is longer
    /// than `longest` bytes: nested replacements multiply.
    pub(super) fn replace(
        &self,
        value: &str,
        replacement: &str,
        limit: usize,
        longest: usize,
    ) -> Option<String> {
        let mut result = String::new();
        let mut rest = value;
        let mut left = limit;
        let mut behind_match = false;
        while left > 0 {
            if result.len() > longest {
                return None;
            }
            let end = match_end(&self.tokens, rest.chars(), true).map(|n| byte_at(rest, n));
            match end {
                Some(end) if end > 0 || !behind_match => {
                    result.push_str(replacement);
                    left -= 1;
                    rest = &rest[end..];
                    behind_match = end > 0;
                    if end > 0 {
                        continue;
                    }
                }
                _ => behind_match = false,
            }
            let Some(c) = rest.chars().next() else { break };
            result.push(c);
            rest = &rest[c.len_utf8()..];
        }
        result.push_str(rest);
        (result.len() <= longest).then_some(result)
    }
}

fn byte_at(text: &str, chars: usize) -> usize {
    text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at)
}

/// How many characters from the start match: the least or the most.
///
/// Runs all states at once, so no pattern takes more than characters times
/// tokens.
fn match_end(tokens: &[Token], chars: impl Iterator<Item = char>, longest: bool) -> Option<usize> {
    let mut states = vec![false; tokens.len() + 1];
    states[0] = true;
    close(tokens, &mut states);
    let mut end = states[tokens.len()].then_some(0);
    for (index, c) in chars.enumerate() {
        if end.is_some() && !longest {
            break;
        }
        let mut next = vec![false; tokens.len() + 1];
        for (state, token) in tokens.iter().enumerate().filter(|&(state, _)| states[state]) {
            match token {
                Token::Any if c != '\n' => next[state] = true,
                Token::One if c != '\n' => next[state + 1] = true,
                Token::Char(wanted) if *wanted == c => next[state + 1] = true,
                _ => {}
            }
        }
        close(tokens, &mut next);
        if !next.contains(&true) {
            break;
        }
        if next[tokens.len()] {
            end = Some(index + 1);
        }
        states = next;
    }
    end
}

/// `*` may match nothing.
fn close(tokens: &[Token], states: &mut [bool]) {
    for (state, token) in tokens.iter().enumerate() {
        if states[state] && *token == Token::Any {
            states[state + 1] = true;
        }
    }
}
