//! Physical lines and the logical lines that continuations make of them.
//!
//! A logical line is one joined text with a table that leads back to the
//! file, so that the parsers of the instructions work on plain strings and
//! still report exact places.

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

/// The line without its continuation mark, if it ends in one.
///
/// The mark may have blanks behind it; doubled it is an escaped escape and no
/// mark.
pub(crate) fn strip_continuation(line: &str, escape: char) -> Option<&str> {
    let rest = line.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    if rest.ends_with(escape) { None } else { Some(rest) }
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
        let mut more = line.append(trimmed, start, escape);
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
            more = line.append(next.text, next.start, escape);
        }
        line
    }

    /// Adds a piece; whether another line follows.
    fn append(&mut self, text: &str, at: usize, escape: char) -> bool {
        let (content, more) =
            strip_continuation(text, escape).map_or((text, false), |content| (content, true));
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
    use super::{Lines, LogicalLine, strip_continuation};

    #[test]
    fn only_a_single_escape_at_the_end_continues_a_line() {
        assert_eq!(strip_continuation("a \\", '\\'), Some("a "));
        assert_eq!(strip_continuation("a \\ \t", '\\'), Some("a "));
        assert_eq!(strip_continuation("\\", '\\'), Some(""));
        assert_eq!(strip_continuation("a \\\\", '\\'), None);
        assert_eq!(strip_continuation("a `", '\\'), None);
        assert_eq!(strip_continuation("a `", '`'), Some("a "));
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
