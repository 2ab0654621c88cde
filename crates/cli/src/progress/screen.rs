//! A block of lines on a terminal, changed in place with as few bytes as can be.
//!
//! The cursor rests at the start of the line below the block. A frame goes up to the first
//! change, writes what differs of each line, and comes back: what stays is never cleared, so
//! that nothing flickers even where the terminal draws while it reads. A whole frame is one
//! write, between the marks of a synchronized update (private mode 2026, which terminals that
//! do not know it ignore).
//!
//! No line is wider than the terminal, and erasing never follows a line that fills it: there
//! the cursor still stands on the last character. After a change of size all lines are written
//! again, from where they begin if the terminal has wrapped those that are now too wide.

use std::fmt::Write as _;

use super::{Size, cells};

const INFALLIBLE: &str = "writing to a string cannot fail";

/// How a line is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Paint {
    #[default]
    None,
    Done,
    Failed,
    Canceled,
    Dim,
}

impl Paint {
    /// The colours of BuildKit's own display.
    fn sequence(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Done => "\x1b[34m",
            Self::Failed => "\x1b[31m",
            Self::Canceled => "\x1b[33m",
            Self::Dim => "\x1b[2m",
        }
    }
}

/// One line, cut to the width of the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) text: String,
    pub(super) paint: Paint,
}

/// What stands on the terminal.
#[derive(Debug)]
pub(super) struct Screen {
    color: bool,
    rows: Vec<Row>,
    size: Option<Size>,
}

impl Screen {
    pub(super) fn new(color: bool) -> Self {
        Self { color, rows: Vec::new(), size: None }
    }

    /// Tells whether a block stands on the terminal.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Replaces the block by `rows`; `above` are lines that stay above it from now on.
    pub(super) fn show(&mut self, above: &[String], rows: Vec<Row>, size: Size, out: &mut Vec<u8>) {
        let resized = self.size.replace(size).is_some_and(|before| before != size);
        if above.is_empty() && !resized && rows == self.rows {
            return;
        }
        let mut frame = String::from("\x1b[?2026h\x1b[?25l");
        let again = resized || !above.is_empty();
        if again {
            self.begin(size, &mut frame);
            for text in above {
                frame.push_str("\x1b[K");
                frame.push_str(text);
                frame.push('\n');
            }
        }
        let fragile = rows.iter().any(|row| !row.text.is_ascii());
        if fragile {
            // A terminal that finds a character wider than we do must not wrap the line.
            frame.push_str("\x1b[?7l");
        }
        if again {
            self.redraw(&rows, &mut frame);
        } else {
            self.change(&rows, &mut frame);
        }
        if fragile {
            frame.push_str("\x1b[?7h");
        }
        frame.push_str("\x1b[?25h\x1b[?2026l");
        self.rows = rows;
        out.extend_from_slice(frame.as_bytes());
    }

    /// Goes to where the block begins, which a terminal may have wrapped when it got narrower.
    fn begin(&self, size: Size, frame: &mut String) {
        let columns = size.columns.max(1);
        let height = |row: &Row| cells::width(&row.text).div_ceil(columns).max(1);
        up(self.rows.iter().map(height).sum(), frame);
        frame.push('\r');
    }

    /// Writes all lines again.
    fn redraw(&self, rows: &[Row], frame: &mut String) {
        for row in rows {
            frame.push_str("\x1b[K");
            self.paint(row, &row.text, frame);
            frame.push('\n');
        }
        frame.push_str("\x1b[J");
    }

    /// Writes what differs from the block that stands there.
    fn change(&self, rows: &[Row], frame: &mut String) {
        let old = &self.rows;
        // The line that the cursor is on, counted from the first of the block.
        let mut at = old.len();
        for (index, row) in rows.iter().enumerate() {
            match old.get(index) {
                Some(before) if before == row => {}
                Some(before) => {
                    go(&mut at, index, frame);
                    self.replace(before, row, frame);
                }
                None => {
                    go(&mut at, index, frame);
                    // Something may have been typed there.
                    frame.push_str("\r\x1b[K");
                    self.paint(row, &row.text, frame);
                    frame.push('\n');
                    at += 1;
                }
            }
        }
        go(&mut at, rows.len(), frame);
        if rows.len() < old.len() {
            frame.push_str("\r\x1b[J");
        } else {
            frame.push('\r');
        }
    }

    /// Writes the part of a line that differs, on the line that the cursor is on.
    fn replace(&self, before: &Row, after: &Row, frame: &mut String) {
        let (mut start, mut end) = (0, after.text.len());
        let (old, new) = (cells::width(&before.text), cells::width(&after.text));
        if before.paint == after.paint {
            let same = |(a, b): &(char, char)| a == b;
            let front = before.text.chars().zip(after.text.chars());
            start = front.take_while(same).map(|(letter, _)| letter.len_utf8()).sum();
            // A mark belongs to the character before it.
            while start > 0 && !is_start(&after.text[start..]) | !is_start(&before.text[start..]) {
                start -= after.text[..start].chars().next_back().map_or(0, char::len_utf8);
            }
            if old == new && after.text.is_ascii() && before.text.is_ascii() {
                let rest =
                    before.text[start..].bytes().rev().zip(after.text[start..].bytes().rev());
                end -= rest.take_while(|(a, b)| a == b).count();
            }
        }
        let column = cells::width(&after.text[..start]);
        if column > 0 {
            write!(frame, "\x1b[{}G", column + 1).expect(INFALLIBLE);
        } else {
            frame.push('\r');
        }
        if start < end {
            self.paint(after, &after.text[start..end], frame);
        }
        if new < old {
            frame.push_str("\x1b[K");
        }
    }

    fn paint(&self, row: &Row, text: &str, frame: &mut String) {
        let sequence = row.paint.sequence();
        if self.color && !sequence.is_empty() {
            write!(frame, "{sequence}{text}\x1b[0m").expect(INFALLIBLE);
        } else {
            frame.push_str(text);
        }
    }
}

/// Tells whether a text begins with a character that has a place of its own.
fn is_start(text: &str) -> bool {
    text.chars().next().is_none_or(|letter| cells::width(letter.encode_utf8(&mut [0; 4])) > 0)
}

/// Moves the cursor to another line of the block; the column is any.
fn go(at: &mut usize, to: usize, frame: &mut String) {
    if to < *at {
        up(*at - to, frame);
    } else if to > *at {
        write!(frame, "\x1b[{}B", to - *at).expect(INFALLIBLE);
    }
    *at = to;
}

fn up(rows: usize, frame: &mut String) {
    if rows > 0 {
        write!(frame, "\x1b[{rows}A").expect(INFALLIBLE);
    }
}
