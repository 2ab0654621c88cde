//! Lines of words, some of them in quotes: how contexts and expectations are written.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail, ensure};

/// A word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) bytes: Vec<u8>,
    /// Whether it was in quotes, and so is content and no keyword.
    pub(super) quoted: bool,
}

impl Word {
    /// Returns the word as text.
    pub(super) fn text(&self) -> Result<String> {
        String::from_utf8(self.bytes.clone()).context("a word that is text")
    }

    /// Returns a word that is no content.
    pub(super) fn plain(&self) -> &str {
        let text = str::from_utf8(&self.bytes).unwrap_or_default();
        if self.quoted { "" } else { text }
    }
}

/// Splits a line at blanks outside of quotes.
///
/// Within `"…"` there are `\n`, `\r`, `\t`, `\0`, `\\`, `\"` and `\xNN`. A quote within a word begins a part of it.
pub(super) fn words(line: &str) -> Result<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let mut word = Word { bytes: Vec::new(), quoted: false };
        while let Some(c) = rest.chars().next().filter(|c| !c.is_whitespace()) {
            if c == '"' {
                word.quoted |= word.bytes.is_empty();
                rest = quoted(&rest[1..], &mut word.bytes)?;
            } else {
                word.bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[c.len_utf8()..];
            }
        }
        words.push(word);
        rest = rest.trim_start();
    }
    Ok(words)
}

/// Reads up to the closing quote and returns what follows it.
fn quoted<'a>(text: &'a str, out: &mut Vec<u8>) -> Result<&'a str> {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok(&text[at + 1..]),
            '\\' => match chars.next().context("something after `\\`")?.1 {
                'n' => out.push(b'\n'),
                'r' => out.push(b'\r'),
                't' => out.push(b'\t'),
                '0' => out.push(0),
                'x' => {
                    let code = text.get(at + 2..at + 4).context("two digits after `\\x`")?;
                    out.push(u8::from_str_radix(code, 16).context("two digits after `\\x`")?);
                    chars.next();
                    chars.next();
                }
                other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            },
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bail!("no closing quote in {text:?}")
}

/// Writes bytes so that [`words`] reads them as one word.
pub(super) fn quote(bytes: &[u8]) -> String {
    let mut text = "\"".to_owned();
    for &byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => {
                let _infallible = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push('"');
    text
}

/// Replaces each `%XX` by the byte that it names.
pub(super) fn unescaped(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut code = String::new();
        code.extend(bytes.by_ref().take(2).map(char::from));
        ensure!(code.len() == 2, "two digits after `%`");
        out.push(u8::from_str_radix(&code, 16).with_context(|| format!("what is `%{code}`?"))?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_is_read_as_it_was_written() {
        let bytes = b"a \"b\"\\\n\t\r\x00\xff";
        let line = format!("x {} y", quote(bytes));
        let read = words(&line).expect("three words");
        assert_eq!(read.len(), 3, "{line}");
        assert_eq!((read[1].bytes.as_slice(), read[1].quoted), (bytes.as_slice(), true));
        assert_eq!((read[2].plain(), read[1].plain()), ("y", ""));
    }

    #[test]
    fn mistakes_are_refused() {
        assert!(words("\"open").is_err());
        assert!(words("\"\\x4\"").is_err());
        assert!(unescaped("%4").is_err());
        assert_eq!(unescaped("%EF%bbx").expect("two bytes and one"), b"\xef\xbbx");
    }
}
