//! Diagnostics as text, in the manner of good compilers.
//!
//! What is shown comes from a file that may be hostile: characters that steer
//! a terminal or turn the direction of writing are replaced, and long lines
//! are cut around what is marked.

mod line;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::ops::Range;

use crate::diagnostic::{Diagnostic, Rule, Severity};
use crate::span::Span;
use line::Layout;

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
    let offset = floor_boundary(text, offset as usize);
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    LineColumn {
        line: before.bytes().filter(|&byte| byte == b'\n').count() + 1,
        column: before[start..].chars().count() + 1,
    }
}

/// The nearest start of a character that is not behind `offset`.
fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
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
    let mut out = format!("{severity}: {}", line::visible(&diagnostic.message));
    if diagnostic.rule != Rule::SyntaxError {
        let _ = write!(out, " [{}]", diagnostic.rule.name());
    }
    let notes: Vec<_> =
        diagnostic.labels.iter().map(|label| (label.span, label.message.as_str())).collect();
    out.push('\n');
    if !diagnostic.rule.is_of_command_line() {
        out.push_str(&excerpt(text, file_name, diagnostic.span, &notes));
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(out, "help: {}", line::visible(help));
    }
    out
}

/// The place and source lines of `span`, with a caret under it, and the
/// places of `notes`. For errors that come up while building, too.
pub fn excerpt(text: &str, file_name: &str, span: Span, notes: &[(Span, &str)]) -> String {
    let place = line_column(text, span.start);
    let lines = marked_lines(text, span, notes);
    let last = lines.last().map_or(place.line, |line| line.number);
    let mut out = Page { out: String::new(), width: last.to_string().len(), bar: false };
    out.bar = lines.iter().any(|line| line.bar != Bar::None);
    let _ = writeln!(
        out.out,
        "{:width$}--> {file_name}:{}:{}",
        "",
        place.line,
        place.column,
        width = out.width
    );
    out.gutter("");
    let mut before: Option<usize> = None;
    for line in &lines {
        if before.is_some_and(|before| line.number > before + 1) {
            out.out.push_str("...\n");
        }
        out.line(line);
        before = Some(line.number);
    }
    out.out
}

/// More lines of one span are left out in the middle.
const LINES_SHOWN: usize = 6;

/// A line of the file, and what to mark there.
struct Line<'a> {
    number: usize,
    text: &'a str,
    bar: Bar,
    marks: Vec<Mark<'a>>,
}

/// The part of a span over several lines that a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bar {
    None,
    First,
    Middle,
    Last,
}

/// A mark under a line; the main one has no message.
struct Mark<'a> {
    range: Range<usize>,
    message: Option<&'a str>,
}

/// The lines to show, in order.
fn marked_lines<'a>(text: &'a str, span: Span, notes: &[(Span, &'a str)]) -> Vec<Line<'a>> {
    let mut lines = main_lines(text, span);
    for &(span, message) in notes {
        let (number, start, content) = line_at(text, span.start as usize);
        let range = in_line(span, start, content);
        let mark = Mark { range, message: Some(message) };
        match lines.iter_mut().find(|line| line.number == number) {
            Some(line) => line.marks.push(mark),
            None => lines.push(Line { number, text: content, bar: Bar::None, marks: vec![mark] }),
        }
    }
    lines.sort_by_key(|line| line.number);
    lines
}

/// The lines of the main span.
fn main_lines(text: &str, span: Span) -> Vec<Line<'_>> {
    let (first, mut start, mut content) = line_at(text, span.start as usize);
    let end = floor_boundary(text, (span.end as usize).saturating_sub(1)).max(span.start as usize);
    let (last, ..) = line_at(text, end);
    if first == last {
        let marks = vec![Mark { range: in_line(span, start, content), message: None }];
        return vec![Line { number: first, text: content, bar: Bar::None, marks }];
    }
    let mut lines = Vec::new();
    for number in first..=last {
        let bar = match number {
            _ if number == first => Bar::First,
            _ if number == last => Bar::Last,
            _ => Bar::Middle,
        };
        if bar != Bar::Middle || number < first + LINES_SHOWN - 1 {
            let mut marks = Vec::new();
            if bar == Bar::Last {
                let ends = content.len().min((span.end as usize).saturating_sub(start));
                marks.push(Mark { range: ends.saturating_sub(1)..ends, message: None });
            }
            lines.push(Line { number, text: content, bar, marks });
        }
        let next = text[start..].find('\n').map_or(text.len(), |at| start + at + 1);
        (start, content) = (next, line_text(text, next));
    }
    lines
}

/// Number, start and text of the line that holds the byte at `offset`.
fn line_at(text: &str, offset: usize) -> (usize, usize, &str) {
    let offset = floor_boundary(text, offset);
    let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let number = text[..start].bytes().filter(|&byte| byte == b'\n').count() + 1;
    (number, start, line_text(text, start))
}

fn line_text(text: &str, start: usize) -> &str {
    text[start..].split('\n').next().unwrap_or_default().trim_end_matches('\r')
}

/// The part of `span` in the line that starts at `start`, without blanks at
/// its end.
fn in_line(span: Span, start: usize, line: &str) -> Range<usize> {
    let from = floor_boundary(line, (span.start as usize).saturating_sub(start));
    let to = floor_boundary(line, (span.end as usize).saturating_sub(start)).max(from);
    from..from + line[from..to].trim_end().len()
}

/// The excerpt as it is written.
struct Page {
    out: String,
    /// Of the line numbers.
    width: usize,
    /// Whether room for the bar of a span over several lines is needed.
    bar: bool,
}

impl Page {
    /// A row without a line number.
    fn gutter(&mut self, content: &str) {
        let _ = write!(self.out, "{:width$} |", "", width = self.width);
        if !content.trim_end().is_empty() {
            let _ = write!(self.out, " {}", content.trim_end());
        }
        self.out.push('\n');
    }

    fn line(&mut self, line: &Line<'_>) {
        let focus = line.marks.iter().find(|mark| mark.message.is_none()).or(line.marks.first());
        let layout = Layout::new(line.text, focus.map_or(0..0, |mark| mark.range.clone()));
        let bar = match line.bar {
            Bar::First => "/ ",
            Bar::Middle | Bar::Last => "| ",
            Bar::None if self.bar => "  ",
            Bar::None => "",
        };
        let source = format!("{bar}{}", layout.text);
        let _ = write!(self.out, "{:>width$} |", line.number, width = self.width);
        if !source.trim_end().is_empty() {
            let _ = write!(self.out, " {source}");
        }
        self.out.push('\n');
        let mut marks: Vec<Painted<'_>> =
            line.marks.iter().map(|mark| Painted::new(mark, &layout)).collect();
        if line.bar == Bar::Last {
            // The bar ends in a caret below the last byte.
            let end = marks.first().map_or(0, |mark| mark.columns.start);
            self.gutter(&format!("|_{}^", "_".repeat(end)));
            marks.remove(0);
        }
        let indent = if self.bar { if line.bar == Bar::None { "  " } else { "| " } } else { "" };
        for row in rows(marks) {
            self.gutter(&format!("{indent}{row}"));
        }
    }
}

/// A mark in columns of the shown line.
struct Painted<'a> {
    columns: Range<usize>,
    message: Option<&'a str>,
}

impl<'a> Painted<'a> {
    fn new(mark: &Mark<'a>, layout: &Layout) -> Self {
        let start = layout.column(mark.range.start);
        let end = layout.column(mark.range.end).max(start + 1);
        Self { columns: start..end, message: mark.message }
    }
}

/// The rows below a line: all marks with the message of the last one, then
/// the other messages, from right to left.
fn rows(mut marks: Vec<Painted<'_>>) -> Vec<String> {
    let mut rows = Vec::new();
    if marks.is_empty() {
        return rows;
    }
    marks.sort_by_key(|mark| mark.columns.start);
    let width = marks.iter().map(|mark| mark.columns.end).max().unwrap_or(0);
    let mut first = vec![' '; width];
    // The main mark is painted last: it must not be hidden.
    for mark in marks.iter().filter(|mark| mark.message.is_some()) {
        first[mark.columns.clone()].fill('-');
    }
    for mark in marks.iter().filter(|mark| mark.message.is_none()) {
        first[mark.columns.clone()].fill('^');
    }
    let mut row: String = first.into_iter().collect();
    let is_free = |mark: &Painted<'_>| mark.columns.end == width;
    if let Some(message) = marks.last().filter(|mark| is_free(mark)).and_then(|mark| mark.message) {
        let _ = write!(row, " {}", line::visible(message));
        marks.pop();
    }
    rows.push(row);
    marks.retain(|mark| mark.message.is_some());
    while let Some(mark) = marks.pop() {
        let stems = |upto: &[Painted<'_>]| {
            upto.iter().fold(String::new(), |row, mark| {
                let column = mark.columns.start;
                let missing = column.saturating_sub(row.chars().count());
                if row.chars().count() > column { row } else { row + &" ".repeat(missing) + "|" }
            })
        };
        let column = mark.columns.start;
        let mut row = stems(&marks);
        let missing = column.saturating_sub(row.chars().count());
        let _ = write!(row, "{}{}", " ".repeat(missing), line::visible(mark.message.unwrap_or("")));
        marks.push(mark);
        rows.push(stems(&marks));
        marks.pop();
        rows.push(row);
    }
    rows
}
