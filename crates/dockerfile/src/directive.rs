//! Parser directives: the `# key=value` lines at the very top.

use crate::ast::Word;
use crate::diagnostic::Diagnostic;
use crate::json;
use crate::lines::{Lines, PhysicalLine};
use crate::span::Span;

/// The known directives.
const KEYS: [&str; 3] = ["syntax", "escape", "check"];

/// The directives of a file; unknown keys are comments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `# syntax=`: the value as typed; its first word is the front end.
    pub syntax: Option<Word>,
    /// `# escape=`
    pub escape: Option<Word>,
    /// `# check=`, as typed.
    pub check: Option<Word>,
}

impl Directives {
    /// The front end that `# syntax=` asks for: the first word of the value.
    pub fn frontend(&self) -> Option<&str> {
        self.syntax.as_ref().and_then(|word| word.raw.split_whitespace().next())
    }

    /// Reads a line as a directive; `false` if it is none, which ends them.
    ///
    /// Unlike a comment, a directive starts in the first column; only
    /// `escape` may be indented, as `BuildKit` reads it elsewhere.
    pub(crate) fn read(
        &mut self,
        line: PhysicalLine<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> bool {
        let Some((key, value)) = split(unindented(line), "#") else { return false };
        let slot = match key.to_ascii_lowercase().as_str() {
            "syntax" => &mut self.syntax,
            "escape" => &mut self.escape,
            "check" => &mut self.check,
            _ => return false,
        };
        if unindented(line).start != line.start && !key.eq_ignore_ascii_case("escape") {
            return false;
        }
        if let Some(first) = slot {
            diagnostics.push(
                Diagnostic::error(value.span, format!("directive `{key}` is given twice"))
                    .label(first.span, "first given here")
                    .help("remove one of the two lines"),
            );
            return true;
        }
        if key.eq_ignore_ascii_case("escape") && !matches!(value.raw.as_str(), "\\" | "`") {
            diagnostics.push(
                Diagnostic::error(value.span, format!("invalid escape character `{}`", value.raw))
                    .help("write `# escape=\\` or ``# escape=` ``"),
            );
        }
        *slot = Some(value);
        true
    }

    /// The escape character of the file.
    pub(crate) fn escape_char(&self) -> char {
        match &self.escape {
            Some(word) if word.raw == "`" => '`',
            _ => '\\',
        }
    }
}

/// The front end that a text asks for, in any of the forms that `BuildKit`
/// knows: `# syntax=…`, `// syntax=…` or `{"syntax": "…"}`, with or without a
/// `#!` line before.
///
/// The value is as typed; its first word is the reference of an image.
pub fn detect_syntax(text: &str) -> Option<Word> {
    ["#", "//"]
        .into_iter()
        .find_map(|mark| syntax_behind(text, mark))
        .or_else(|| syntax_of_json(text))
}

/// The same, unless it is written as a Dockerfile writes it.
pub(crate) fn foreign_syntax(text: &str) -> Option<Word> {
    let body = &text[body_start(text)..];
    if body.starts_with("//") {
        return syntax_behind(text, "//");
    }
    body.trim_start().starts_with('{').then(|| syntax_of_json(text)).flatten()
}

/// The line without the blanks at its start.
fn unindented(line: PhysicalLine<'_>) -> PhysicalLine<'_> {
    let text = line.text.trim_start();
    PhysicalLine { text, start: line.start + (line.text.len() - text.len()), end: line.end }
}

/// Behind the byte order mark and a `#!` line.
fn body_start(text: &str) -> usize {
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    if !text[start..].starts_with("#!") {
        return start;
    }
    text[start..].find('\n').map_or(text.len(), |at| start + at + 1)
}

fn syntax_behind(text: &str, mark: &str) -> Option<Word> {
    let mut seen = Vec::new();
    for line in Lines::new(text, body_start(text)) {
        let (key, value) = split(line, mark)?;
        let key = key.to_ascii_lowercase();
        if !KEYS.contains(&key.as_str()) || seen.contains(&key) {
            return None;
        }
        if key == "syntax" {
            return Some(value);
        }
        seen.push(key);
    }
    None
}

fn syntax_of_json(text: &str) -> Option<Word> {
    let start = body_start(text);
    let (raw, from, to) = json::member(&text[start..], "syntax")?;
    Some(Word { raw, span: Span::between(start + from, start + to) })
}

/// Cuts `# key = value`, with `mark` for `#`.
fn split<'a>(line: PhysicalLine<'a>, mark: &str) -> Option<(&'a str, Word)> {
    let content = line.text.strip_prefix(mark)?;
    let (key, value) = content.split_once('=')?;
    let key = key.trim();
    let mut letters = key.bytes();
    if !letters.next()?.is_ascii_alphabetic() || !letters.all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let trimmed = value.trim();
    if trimmed.is_empty() {
        return None;
    }
    let end = line.start + line.text.trim_end().len();
    let span = Span::between(end - trimmed.len(), end);
    Some((key, Word { raw: trimmed.to_owned(), span }))
}

#[cfg(test)]
mod tests {
    use super::detect_syntax;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let found = detect_syntax(text);
        assert_eq!(found.as_ref().map(|word| word.raw.as_str()), expected, "{text}");
        if let Some(word) = found {
            assert!(word.span.slice(text).contains(&word.raw), "{text}");
        }
    }

    #[test]
    fn the_front_end_is_found_in_every_form() {
        check("# syntax=a/b:1\nFROM x\n", Some("a/b:1"));
        check("#syntax = a/b:1 --opt \nFROM x\n", Some("a/b:1 --opt"));
        check("#\tSyNtAx=a\r\n", Some("a"));
        check("\u{feff}#!/usr/bin/env x\n# escape=`\n# syntax=a\n", Some("a"));
        check("#!/bin/sh\n// syntax=a\nbody\n", Some("a"));
        check("// check=skip=all\n//syntax=a\n", Some("a"));
        check("{\"x\": [1, {}], \"syntax\": \"a b\"}\n", Some("a b"));
        check("#!/x\n  {\"syntax\": \"a\"}", Some("a"));
    }

    #[test]
    fn what_is_no_directive_asks_for_nothing() {
        check("", None);
        check("FROM x\n# syntax=a\n", None);
        check(" # syntax=a\n", None);
        check("# hello\n# syntax=a\n", None);
        check("\n# syntax=a\n", None);
        check("# unknown=1\n# syntax=a\n", None);
        check("# syntax=\n", None);
        check("{\"syntax\": 1}", None);
        check("{\"syntax\": \"a\"} x", None);
        check("[\"syntax\"]", None);
    }
}
