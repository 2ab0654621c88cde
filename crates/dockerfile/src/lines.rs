//! Physical lines and the logical lines that continuations make of them.
//!
//! A logical line is one joined text with a table that leads back to the
//! file, so that the parsers of the instructions work on plain strings and
//! still report exact places.

use crate::instruction::keyword;
use crate::span::Span;

/// Reads a text line by line and remembers where it is.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    text: &'a str,
    position: usize,
}

/// One line of the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PhysicalLine<'a> {
    /// The text without the line end.
    pub(crate) text: &'a str,
    /// Offset of the first byte.
    pub(crate) start: usize,
    /// Offset behind the line end.
    pub(crate) end: usize,
}

impl<'a> Lines<'a> {
    pub(crate) const fn new(text: &'a str, position: usize) -> Self {
        Self { text, position }
    }

    /// Offset of the next line.
    pub(crate) const fn offset(&self) -> usize {
        self.position
    }

    /// Goes back (or ahead) to a line start.
    pub(crate) fn seek(&mut self, position: usize) {
        self.position = position;
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// The next line, without going there.
    fn peek(&self) -> Option<PhysicalLine<'a>> {
        Self::new(self.text, self.position).next()
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = PhysicalLine<'a>;

    fn next(&mut self) -> Option<PhysicalLine<'a>> {
        let start = self.position;
        let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
        let length = rest.bytes().position(|byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
        self.position = start + length;
        let text = rest[..length].trim_end_matches(['\r', '\n']);
        Some(PhysicalLine { text, start, end: self.position })
    }
}

/// Whether the line is a comment: its first non-blank is `#`.
pub(crate) fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End<'a> {
    /// It is complete.
    Complete,
    /// It goes on in the next line; the text without the mark.
    Continued(&'a str),
    /// An escaped escape and then a mark, `\\\`: `BuildKit` takes the line as
    /// complete. It goes on unless the next line starts an instruction.
    Unclear(&'a str),
}

/// Whether the line ends in a continuation mark.
///
/// The mark may have blanks behind it; doubled it is an escaped escape and no
/// mark.
fn end(line: &str, escape: char) -> End<'_> {
    let Some(rest) = line.trim_end_matches([' ', '\t']).strip_suffix(escape) else {
        return End::Complete;
    };
    let before = rest.len() - rest.trim_end_matches(escape).len();
    match before {
        0 => End::Continued(rest),
        _ if before.is_multiple_of(2) => End::Unclear(rest),
        _ => End::Complete,
    }
}

/// Whether a line can only be the rest of an instruction.
fn is_rest(line: &str) -> bool {
    let line = line.trim_start();
    let word = line.find(char::is_whitespace).map_or(line, |at| &line[..at]);
    !line.is_empty() && !line.starts_with('#') && keyword(word).is_none()
}

/// A line with its continuation lines joined, comments left out.
#[derive(Debug, Default)]
pub(crate) struct LogicalLine {
    /// The joined text; leading blanks of the first line are off.
    pub(crate) text: String,
    /// Where pieces of `text` come from: (offset in text, offset in file).
    pieces: Vec<(usize, usize)>,
    /// Blank lines inside.
    pub(crate) empty_lines: Vec<Span>,
    /// Offset in the file behind the last byte, without the line end.
    pub(crate) end: usize,
}

impl LogicalLine {
    /// Reads a line and, as long as each ends in a continuation mark, the
    /// next ones.
    pub(crate) fn read(first: PhysicalLine<'_>, lines: &mut Lines<'_>, escape: char) -> Self {
        let trimmed = first.text.trim_start();
        let start = first.start + (first.text.len() - trimmed.len());
        let mut line = Self { end: first.start + first.text.len(), ..Self::default() };
        let mut more = line.append(trimmed, start, escape, lines);
        while more {
            let Some(next) = lines.next() else { break };
            line.end = next.start + next.text.len();
            if is_comment(next.text) {
                continue;
            }
            if next.text.trim().is_empty() {
                line.empty_lines.push(Span::between(next.start, next.end));
                continue;
            }
            more = line.append(next.text, next.start, escape, lines);
        }
        line
    }

    /// Adds a piece; whether another line follows.
    fn append(&mut self, text: &str, at: usize, escape: char, lines: &Lines<'_>) -> bool {
        let (content, more) = match end(text, escape) {
            End::Complete => (text, false),
            End::Continued(content) => (content, true),
            End::Unclear(content) => {
                if lines.peek().is_some_and(|next| is_rest(next.text)) {
                    (content, true)
                } else {
                    (text, false)
                }
            }
        };
        if !content.is_empty() {
            self.pieces.push((self.text.len(), at));
            self.text.push_str(content);
        }
        more
    }

    /// Where the byte at `offset` of the text stands in the file.
    fn physical(&self, offset: usize) -> usize {
        let piece = self.pieces.partition_point(|&(logical, _)| logical <= offset);
        match self.pieces.get(piece.wrapping_sub(1)) {
            Some(&(logical, physical)) => physical + (offset - logical),
            None => self.end,
        }
    }

    /// The span in the file of a range of the text.
    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        if start >= end {
            let at = self.physical(start).min(self.end);
            return Span::between(at, at);
        }
        Span::between(self.physical(start), self.physical(end - 1) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Lines, LogicalLine, end};

    #[test]
    fn only_an_escape_that_is_not_escaped_continues_a_line() {
        assert_eq!(end("a \\", '\\'), End::Continued("a "));
        assert_eq!(end("a \\ \t", '\\'), End::Continued("a "));
        assert_eq!(end("\\", '\\'), End::Continued(""));
        assert_eq!(end("a \\\\", '\\'), End::Complete);
        assert_eq!(end("a \\\\\\", '\\'), End::Unclear("a \\\\"));
        assert_eq!(end("a `", '\\'), End::Complete);
        assert_eq!(end("a `", '`'), End::Continued("a "));
        assert_eq!(end("a \\ x", '\\'), End::Complete);
    }

    #[test]
    fn a_line_goes_on_behind_an_escaped_escape_if_it_must() {
        let read = |text: &str| {
            let mut lines = Lines::new(text, 0);
            let first = lines.next().expect("there is a line");
            LogicalLine::read(first, &mut lines, '\\').text
        };
        assert_eq!(read("RUN a \\\\\\\n  b\n"), "RUN a \\\\  b");
        assert_eq!(read("RUN a \\\\\\\nrun b\n"), "RUN a \\\\\\");
        assert_eq!(read("RUN a \\\\\\\n\n b\n"), "RUN a \\\\\\");
        assert_eq!(read("RUN a \\\\\\"), "RUN a \\\\\\");
    }

    #[test]
    fn joined_text_leads_back_to_the_file() {
        let text = "  RUN a \\\n# note\n\n   b\nRUN c";
        let mut lines = Lines::new(text, 0);
        let first = lines.next().expect("there is a line");
        let line = LogicalLine::read(first, &mut lines, '\\');
        assert_eq!(line.text, "RUN a    b");
        assert_eq!(line.empty_lines.len(), 1);
        assert_eq!(line.span(0, 3).slice(text), "RUN");
        assert_eq!(line.span(9, 10).slice(text), "b");
        assert_eq!(&text[lines.offset()..], "RUN c");
    }
}
