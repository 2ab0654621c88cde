//! The pass over the characters of a word.

use std::collections::BTreeSet;

use super::pattern::Pattern;
use super::{Lookup, UnsetUse, WordError};

/// Deeper nesting of `${…}` is an error; keeps the recursion bounded.
const DEPTH_LIMIT: usize = 64;

/// Longest result of a replacement, in bytes: a variable of a process has 128 KiB at most on Linux.
const LONGEST: usize = 1 << 20;

/// What is special in a word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    /// The escape character.
    pub(super) escape: char,
    /// What quotes are.
    pub(super) quotes: Quotes,
    /// What variables that are not set become.
    pub(super) unset: Unset,
}

/// What quotes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quotes {
    /// Characters like others.
    Plain,
    /// They protect what is inside, and are taken off.
    Strip,
    /// They protect what is inside, and stay.
    Keep,
}

/// What variables that are not set become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unset {
    /// Nothing.
    Empty,
    /// They stay as they are written.
    Keep,
}

/// A value in the making: the text, and the words that it falls into.
#[derive(Debug, Default)]
pub(super) struct Value {
    /// The whole.
    pub(super) text: String,
    words: Vec<String>,
    word: String,
    in_word: bool,
}

impl Value {
    /// Adds text whose blanks split words.
    fn push_splitting(&mut self, text: &str) {
        self.text.push_str(text);
        for c in text.chars() {
            if !c.is_whitespace() {
                self.word.push(c);
                self.in_word = true;
            } else if self.in_word && !self.word.is_empty() {
                self.words.push(std::mem::take(&mut self.word));
                self.in_word = false;
            }
        }
    }

    /// Adds text that stays together.
    fn push_whole(&mut self, text: &str) {
        self.text.push_str(text);
        self.word.push_str(text);
        self.in_word = true;
    }

    fn push_char(&mut self, c: char, splits: bool) {
        let mut buffer = [0; 4];
        let text = c.encode_utf8(&mut buffer);
        if splits { self.push_splitting(text) } else { self.push_whole(text) }
    }

    /// The words.
    pub(super) fn words(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        self.words
    }
}

/// Walks over one word.
#[derive(Debug)]
pub(super) struct Lexer<'a, L: ?Sized> {
    text: &'a str,
    position: usize,
    env: &'a L,
    mode: Mode,
    depth: usize,
    pub(super) used: BTreeSet<String>,
    pub(super) unset: BTreeSet<String>,
    pub(super) unset_at: Vec<UnsetUse>,
}

impl<'a, L: Lookup + ?Sized> Lexer<'a, L> {
    pub(super) fn new(text: &'a str, env: &'a L, mode: Mode) -> Self {
        let (used, unset, unset_at) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        Self { text, position: 0, env, mode, depth: 0, used, unset, unset_at }
    }

    /// The whole word.
    pub(super) fn all(&mut self) -> Result<Value, WordError> {
        let value = self.until(None, false)?;
        // The word of a modifier is read before its variable is looked up.
        self.unset_at.sort_by_key(|unset| unset.range.start);
        // Without a stop character the pass ends at the end of the word.
        Ok(value.unwrap_or_default())
    }

    fn peek(&self) -> Option<char> {
        self.text[self.position..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.position += c.len_utf8();
        Some(c)
    }

    /// Up to `stop` (which is eaten) or the end; `None` if `stop` is missing.
    fn until(&mut self, stop: Option<char>, raw: bool) -> Result<Option<Value>, WordError> {
        let mut value = Value::default();
        while let Some(c) = self.peek() {
            if Some(c) == stop {
                self.position += c.len_utf8();
                return Ok(Some(value));
            }
            match c {
                '$' => {
                    let text = self.dollar()?;
                    value.push_splitting(&text);
                }
                '\'' if self.mode.quotes != Quotes::Plain => {
                    let text = self.single_quoted()?;
                    value.push_whole(text);
                }
                '"' if self.mode.quotes != Quotes::Plain => {
                    let text = self.double_quoted(raw)?;
                    value.push_whole(&text);
                }
                _ => self.plain(&mut value, raw),
            }
        }
        Ok(if stop.is_none() { Some(value) } else { None })
    }

    /// One character without meaning, or an escaped one.
    fn plain(&mut self, value: &mut Value, raw: bool) {
        let Some(c) = self.next() else { return };
        if c != self.mode.escape {
            value.push_char(c, true);
            return;
        }
        if raw {
            value.push_char(c, false);
        }
        if let Some(escaped) = self.next() {
            value.push_char(escaped, false);
        }
    }

    fn single_quoted(&mut self) -> Result<&'a str, WordError> {
        let offset = self.position;
        let start = offset + 1;
        let Some(length) = self.text[start..].find('\'') else {
            return Err(WordError::UnclosedQuote { quote: '\'', offset });
        };
        self.position = start + length + 1;
        match self.mode.quotes {
            Quotes::Keep => Ok(&self.text[offset..self.position]),
            _ => Ok(&self.text[start..start + length]),
        }
    }

    fn double_quoted(&mut self, raw: bool) -> Result<String, WordError> {
        let offset = self.position;
        self.position += 1;
        let mut value = String::new();
        if self.mode.quotes == Quotes::Keep {
            value.push('"');
        }
        loop {
            let Some(c) = self.peek() else {
                return Err(WordError::UnclosedQuote { quote: '"', offset });
            };
            if c == '$' {
                value.push_str(&self.dollar()?);
                continue;
            }
            self.position += c.len_utf8();
            if c == '"' {
                if self.mode.quotes == Quotes::Keep {
                    value.push('"');
                }
                return Ok(value);
            }
            if c == self.mode.escape {
                if raw {
                    value.push(c);
                }
                match self.peek() {
                    None => {}
                    Some(next) if matches!(next, '"' | '$') || next == self.mode.escape => {
                        self.position += next.len_utf8();
                        value.push(next);
                    }
                    Some(_) => value.push(c),
                }
                continue;
            }
            value.push(c);
        }
    }

    /// At a `$`: what it stands for.
    fn dollar(&mut self) -> Result<String, WordError> {
        let offset = self.position;
        self.position += 1;
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(self.value(name).unwrap_or_else(|| format!("${name}")));
        }
        self.position += 1;
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(WordError::TooDeep { offset });
        }
        let value = self.braces(offset)?;
        self.depth -= 1;
        Ok(value)
    }

    /// Behind `${`.
    fn braces(&mut self, offset: usize) -> Result<String, WordError> {
        match self.peek() {
            None => return Err(WordError::UnclosedBrace { closing: '}', offset }),
            Some('{' | '}' | ':') => return Err(WordError::BadSubstitution { offset }),
            Some(_) => {}
        }
        let name = self.name();
        match self.next() {
            None => Err(WordError::UnclosedBrace { closing: '}', offset }),
            Some('}') => Ok(self.value(name).unwrap_or_else(|| format!("${{{name}}}"))),
            Some(':') => match self.next() {
                Some(modifier @ ('-' | '+' | '?')) => self.default(name, modifier, true, offset),
                other => Err(unsupported(":", other, name, offset)),
            },
            Some(modifier @ ('-' | '+' | '?')) => self.default(name, modifier, false, offset),
            Some(modifier @ ('#' | '%')) => self.trim(name, modifier, offset),
            Some('/') => self.replace(name, offset),
            other => Err(unsupported("", other, name, offset)),
        }
    }

    /// A name; a number; or one special character.
    fn name(&mut self) -> &'a str {
        let rest = &self.text[self.position..];
        let length = match rest.chars().next() {
            Some(c) if c.is_numeric() && c.is_ascii_digit() => {
                rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
        };
        self.position += length;
        &rest[..length]
    }

    fn lookup(&mut self, name: &'a str, guarded: bool) -> Option<&'a str> {
        let value = self.env.get(name);
        if value.is_none() {
            // A name is a piece of the text, so its address is its place.
            let start = name.as_ptr() as usize - self.text.as_ptr() as usize;
            let range = start..start + name.len();
            self.unset_at.push(UnsetUse { name: name.to_owned(), range, guarded });
        }
        let names = if value.is_some() { &mut self.used } else { &mut self.unset };
        if !names.contains(name) {
            names.insert(name.to_owned());
        }
        value
    }

    /// The value; `None` if it is not set and to be kept as written.
    fn value(&mut self, name: &'a str) -> Option<String> {
        let value = self.lookup(name, false);
        if value.is_none() && self.mode.unset == Unset::Keep {
            return None;
        }
        Some(value.unwrap_or_default().to_owned())
    }

    /// Whether a variable is to be kept as written.
    fn keeps(&self, value: Option<&str>) -> bool {
        value.is_none() && self.mode.unset == Unset::Keep
    }

    /// The word of a modifier, up to `closing`.
    fn operand(&mut self, closing: char, raw: bool, offset: usize) -> Result<String, WordError> {
        let value = self.until(Some(closing), raw)?;
        value.map(|value| value.text).ok_or(WordError::UnclosedBrace { closing, offset })
    }

    /// `-`, `+` and `?`, with or without `:` (then empty counts as unset).
    fn default(
        &mut self,
        name: &'a str,
        modifier: char,
        empty_is_unset: bool,
        offset: usize,
    ) -> Result<String, WordError> {
        let word = self.operand('}', false, offset)?;
        let value = self.lookup(name, true);
        if self.keeps(value) {
            let colon = if empty_is_unset { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{modifier}{word}}}"));
        }
        let present = value.filter(|value| !(empty_is_unset && value.is_empty()));
        match (modifier, present) {
            ('-', None) | ('+', Some(_)) => Ok(word),
            ('?', None) => {
                let message = match (word.is_empty(), value) {
                    (false, _) => word,
                    (true, None) => "is not allowed to be unset".to_owned(),
                    (true, Some(_)) => "is not allowed to be empty".to_owned(),
                };
                Err(WordError::Required { name: name.to_owned(), message, offset })
            }
            (_, present) => Ok(present.unwrap_or_default().to_owned()),
        }
    }

    /// `#`, `##`, `%`, `%%`.
    fn trim(&mut self, name: &'a str, modifier: char, offset: usize) -> Result<String, WordError> {
        let word = self.operand('}', true, offset)?;
        let (longest, pattern) =
            word.strip_prefix(modifier).map_or((false, word.as_str()), |rest| (true, rest));
        let pattern = parse_pattern(pattern, name, offset)?;
        let value = self.lookup(name, false);
        if self.keeps(value) {
            return Ok(format!("${{{name}{modifier}{word}}}"));
        }
        let value = value.unwrap_or_default();
        Ok(match modifier {
            '#' => pattern.trim_prefix(value, longest),
            _ => pattern.trim_suffix(value, longest),
        }
        .to_owned())
    }

    /// `/pattern/replacement` and `//pattern/replacement`.
    fn replace(&mut self, name: &'a str, offset: usize) -> Result<String, WordError> {
        let all = self.peek() == Some('/');
        if all {
            self.position += 1;
        }
        let typed = self.operand('/', true, offset)?;
        let replacement = self.operand('}', true, offset)?;
        let pattern = parse_pattern(&typed, name, offset)?;
        let value = self.lookup(name, false);
        if self.keeps(value) {
            let first = if all { "//" } else { "/" };
            return Ok(format!("${{{name}{first}{typed}/{replacement}}}"));
        }
        let value = value.unwrap_or_default();
        let limit = if all { usize::MAX } else { 1 };
        let replaced = pattern.replace(value, &replacement, limit, LONGEST);
        replaced.ok_or_else(|| WordError::TooLong { name: name.to_owned(), offset })
    }
}

fn parse_pattern(text: &str, name: &str, offset: usize) -> Result<Pattern, WordError> {
    Pattern::parse(text).map_err(|escaped| WordError::BadPattern {
        escaped,
        name: name.to_owned(),
        offset,
    })
}

fn unsupported(prefix: &str, modifier: Option<char>, name: &str, offset: usize) -> WordError {
    let Some(modifier) = modifier else {
        return WordError::UnclosedBrace { closing: '}', offset };
    };
    WordError::UnsupportedModifier {
        modifier: format!("{prefix}{modifier}"),
        name: name.to_owned(),
        offset,
    }
}
