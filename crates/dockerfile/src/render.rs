//! Diagnostics as text, in the manner of good compilers.

use std::fmt::Write as _;

use crate::diagnostic::{Diagnostic, Rule, Severity};
use crate::span::Span;

/// A place as people count: from one, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineColumn {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// The line and column of a byte offset; past the end is the end.
pub fn line_column(text: &str, offset: u32) -> LineColumn {
    let mut offset = (offset as usize).min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    LineColumn {
        line: before.bytes().filter(|&byte| byte == b'\n').count() + 1,
        column: before[start..].chars().count() + 1,
    }
}

/// A diagnostic with its source line.
///
/// ```text
/// error: unknown instruction `COPPY`
///  --> Dockerfile:7:1
///   |
/// 7 | COPPY . .
///   | ^^^^^
/// help: did you mean `COPY`?
/// ```
pub fn render(diagnostic: &Diagnostic, text: &str, file_name: &str) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut title = format!("{severity}: {}", diagnostic.message);
    if diagnostic.rule != Rule::SyntaxError {
        let _ = write!(title, " [{}]", diagnostic.rule.name());
    }
    let notes: Vec<_> =
        diagnostic.labels.iter().map(|label| (label.span, label.message.as_str())).collect();
    let mut out = title;
    out.push('\n');
    out.push_str(&excerpt(text, file_name, diagnostic.span, &notes));
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(out, "help: {help}");
    }
    out
}

/// The place and source lines of `span`, with a caret under it, and the
/// places of `notes`. For errors that come up while building, too.
pub fn excerpt(text: &str, file_name: &str, span: Span, notes: &[(Span, &str)]) -> String {
    let place = line_column(text, span.start);
    let last = notes
        .iter()
        .map(|(span, _)| line_column(text, span.start).line)
        .chain([last_line(text, span)])
        .max()
        .unwrap_or(place.line);
    let width = last.to_string().len();
    let mut out = String::new();
    let _ = writeln!(out, "{:width$}--> {file_name}:{}:{}", "", place.line, place.column);
    let _ = writeln!(out, "{:width$} |", "");
    marked(&mut out, text, span, None, width);
    for (span, message) in notes {
        marked(&mut out, text, *span, Some(message), width);
    }
    out
}

/// Longer spans are cut in the middle.
const LINES_SHOWN: usize = 6;

/// The line of the last byte of a span.
fn last_line(text: &str, span: Span) -> usize {
    line_column(text, span.end.saturating_sub(1).max(span.start)).line
}

/// The lines of a span; a caret line if it is on one line, else a bar.
fn marked(out: &mut String, text: &str, span: Span, message: Option<&str>, width: usize) {
    let first = line_column(text, span.start);
    let last = last_line(text, span);
    let lines: Vec<&str> = text.split('\n').collect();
    let line = |number: usize| lines.get(number - 1).map_or("", |line| line.trim_end_matches('\r'));
    if first.line == last {
        let source = line(first.line);
        let _ = writeln!(out, "{:>width$} | {}", first.line, visible(source));
        let length = span.slice(text).trim_end().chars().count().max(1);
        let mark = if message.is_some() { "-" } else { "^" }.repeat(length);
        let indent: String = source
            .chars()
            .take(first.column - 1)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let message = message.map_or(String::new(), |message| format!(" {message}"));
        let _ = writeln!(out, "{:width$} | {}{mark}{message}", "", visible(&indent));
        return;
    }
    for number in first.line..=last {
        let skipped = number >= first.line + LINES_SHOWN - 1 && number < last;
        if skipped {
            if number == first.line + LINES_SHOWN - 1 {
                let _ = writeln!(out, "{:>width$} | …", "");
            }
            continue;
        }
        let _ = writeln!(out, "{number:>width$} | {}", visible(line(number)));
    }
    if let Some(message) = message {
        let _ = writeln!(out, "{:width$} = {message}", "");
    }
}

/// Tabs as four blanks, control characters as `�`: a Dockerfile is not to
/// write to the terminal.
fn visible(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '\t' => out.push_str("    "),
            c if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}
