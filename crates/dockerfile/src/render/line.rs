//! One line of the file as it is shown, and which byte is in which column.

use std::ops::Range;

use unicode_width::UnicodeWidthChar;

/// Longer lines are cut around what is marked.
const COLUMNS: usize = 120;

/// How many columns of a cut line stand before the mark.
const LEAD: usize = 30;

/// What stands for a part that is cut off.
const CUT: char = '…';

/// Columns of a tab: fixed, since a line number stands before it.
const TAB: &str = "    ";

/// What is shown for a character: control characters and those that turn the
/// direction of writing must not reach a terminal.
fn shown(c: char) -> (char, usize) {
    let turns =
        matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || turns || c == '\u{feff}' {
        return (char::REPLACEMENT_CHARACTER, 1);
    }
    (c, c.width().unwrap_or(1))
}

/// A text without what could steer a terminal.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str(TAB),
            '\n' => out.push('\n'),
            c => out.push(shown(c).0),
        }
    }
    out
}

/// A line as it is shown.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) text: String,
    /// Byte offsets of characters with their columns before cutting, and the
    /// end of the line.
    columns: Vec<(usize, usize)>,
    /// The columns that are shown.
    window: Range<usize>,
}

impl Layout {
    /// Lays out a line; a long one is cut so that the bytes `focus` are seen.
    pub(super) fn new(line: &str, focus: Range<usize>) -> Self {
        let mut columns = Vec::with_capacity(line.len() + 1);
        let mut column = 0;
        for (at, c) in line.char_indices() {
            columns.push((at, column));
            column += if c == '\t' { TAB.len() } else { shown(c).1 };
        }
        columns.push((line.len(), column));
        let mut layout = Self { text: String::new(), columns, window: 0..column };
        if column > COLUMNS {
            let (start, end) = (layout.absolute(focus.start), layout.absolute(focus.end));
            let from = if end < COLUMNS { 0 } else { start.saturating_sub(LEAD) };
            let from = from.min(column - COLUMNS);
            layout.window = from..from + COLUMNS;
        }
        layout.text = layout.paint(line, column);
        layout
    }

    fn paint(&self, line: &str, width: usize) -> String {
        let mut text = String::with_capacity(line.len());
        // The marks of cutting take the place of the first and last column.
        let from = self.window.start + usize::from(self.window.start > 0);
        let to = self.window.end - usize::from(self.window.end < width);
        if self.window.start > 0 {
            text.push(CUT);
        }
        let mut at = from;
        for (c, pair) in line.chars().zip(self.columns.windows(2)) {
            let (start, end) = (pair[0].1, pair[1].1);
            if end <= from && start < from || start > to || start == to && end > start {
                continue;
            }
            if start < from || end > to || c == '\t' {
                // A tab, or half of a wide character.
                text.extend(std::iter::repeat_n(' ', end.min(to) - start.max(from)));
            } else {
                text.push(shown(c).0);
            }
            at = end.min(to);
        }
        text.extend(std::iter::repeat_n(' ', if self.window.end < width { to - at } else { 0 }));
        if self.window.end < width {
            text.push(CUT);
        }
        text
    }

    /// The column of a byte as if nothing were cut.
    fn absolute(&self, byte: usize) -> usize {
        let index = self.columns.partition_point(|&(at, _)| at < byte);
        self.columns.get(index).or(self.columns.last()).map_or(0, |&(_, column)| column)
    }

    /// The column of a byte in the shown text; that of a byte that is cut off
    /// is the nearest one.
    pub(super) fn column(&self, byte: usize) -> usize {
        self.absolute(byte).clamp(self.window.start, self.window.end) - self.window.start
    }
}
