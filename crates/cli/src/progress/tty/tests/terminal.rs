//! A terminal as small as our frames need: what is on it after a stream of bytes.
//!
//! It wraps late, as terminals do: after the last column is written the cursor stands on it
//! until the next character, so that erasing there takes the character away. What is erased
//! and written again within one frame is counted: an eye would see it flicker.

use super::super::super::cells;

/// A line; a wide character has an empty cell after it.
#[derive(Debug, Clone, Default)]
struct Line {
    cells: Vec<String>,
    /// Whether the next line goes on with this one.
    wrapped: bool,
}

#[derive(Debug)]
pub(super) struct Terminal {
    columns: usize,
    rows: usize,
    /// All lines since the beginning; the last `rows` of them are on the screen.
    lines: Vec<Line>,
    row: usize,
    column: usize,
    wrap: bool,
    erased: Vec<(usize, usize)>,
    /// Whether any character had to go to a next line by itself.
    pub(super) overran: bool,
}

impl Terminal {
    pub(super) fn new(columns: usize, rows: usize) -> Self {
        let lines = vec![Line::default()];
        let (row, column, wrap, overran) = (0, 0, true, false);
        Self { columns, rows, lines, row, column, wrap, erased: Vec::new(), overran }
    }

    /// All lines from the beginning to the cursor's, without blanks at their ends.
    pub(super) fn history(&self) -> Vec<String> {
        self.lines.iter().map(|line| line.cells.concat().trim_end().to_owned()).collect()
    }

    /// The lines above the cursor's.
    pub(super) fn above(&self, count: usize) -> Vec<String> {
        self.history()[self.row.saturating_sub(count)..self.row].to_vec()
    }

    pub(super) fn at_start_of_last_line(&self) -> bool {
        self.column == 0 && self.row + 1 == self.lines.len()
    }

    /// Takes one frame and returns how many cells were erased and written again.
    pub(super) fn frame(&mut self, bytes: &[u8]) -> usize {
        self.erased.clear();
        let mut rest = std::str::from_utf8(bytes).expect("text");
        while let Some(letter) = rest.chars().next() {
            rest = match letter {
                '\x1b' => self.sequence(&rest[1..]),
                letter => {
                    self.letter(letter);
                    &rest[letter.len_utf8()..]
                }
            };
        }
        assert!(self.wrap, "a frame leaves the terminal as it was");
        let blank = |cell: Option<&String>| cell.is_none_or(|text| text.trim().is_empty());
        let again = |(row, column): &&(usize, usize)| {
            !blank(self.lines.get(*row).and_then(|line| line.cells.get(*column)))
        };
        self.erased.iter().filter(again).count()
    }

    /// Changes the size as a terminal does that wraps lines anew.
    pub(super) fn resize(&mut self, columns: usize, rows: usize) {
        assert_eq!(self.column, 0, "between frames the cursor is at the start of a line");
        let mut lines = Vec::new();
        let mut whole: Vec<String> = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            if index == self.row {
                self.row = usize::MAX;
            }
            whole.extend(line.cells.iter().cloned());
            if line.wrapped && self.row != usize::MAX {
                continue;
            }
            if self.row == usize::MAX {
                self.row = lines.len();
            }
            while whole.last().is_some_and(|cell| cell == " ") {
                whole.pop();
            }
            while whole.len() > columns {
                // A wide character is not cut in two.
                let cut = if whole[columns].is_empty() { columns - 1 } else { columns };
                let after = whole.split_off(cut);
                lines.push(Line { cells: std::mem::replace(&mut whole, after), wrapped: true });
            }
            lines.push(Line { cells: std::mem::take(&mut whole), wrapped: false });
        }
        (self.lines, self.columns, self.rows) = (lines, columns, rows);
    }

    fn letter(&mut self, letter: char) {
        match letter {
            '\r' => self.column = 0,
            '\n' => {
                (self.row, self.column) = (self.row + 1, 0);
                if self.row == self.lines.len() {
                    self.lines.push(Line::default());
                }
            }
            letter => {
                assert!(!letter.is_control(), "{letter:?}");
                self.put(letter);
            }
        }
    }

    fn put(&mut self, letter: char) {
        let wide = cells::width(letter.encode_utf8(&mut [0; 4]));
        if wide > 0 && self.column + wide > self.columns {
            self.overran = true;
            if self.wrap {
                self.lines[self.row].wrapped = true;
                self.letter('\n');
            } else {
                self.column = self.columns - wide;
            }
        }
        let line = &mut self.lines[self.row].cells;
        if wide == 0 {
            let before = line[..self.column].iter_mut().rev().find(|cell| !cell.is_empty());
            before.expect("a mark follows a character").push(letter);
            return;
        }
        if line.len() < self.column + wide {
            line.resize(self.column + wide, " ".to_owned());
        }
        // Half of a wide character that is written over goes.
        if line[self.column].is_empty() && self.column > 0 {
            line[self.column - 1] = " ".to_owned();
        }
        if line.get(self.column + wide).is_some_and(String::is_empty) {
            line[self.column + wide] = " ".to_owned();
        }
        line[self.column] = letter.to_string();
        for cell in &mut line[self.column + 1..self.column + wide] {
            cell.clear();
        }
        self.column += wide;
    }

    /// Does one control sequence and returns what follows it.
    fn sequence<'a>(&mut self, text: &'a str) -> &'a str {
        let end = text.find(|c: char| c.is_ascii_alphabetic()).expect("it ends");
        let (body, name) = (text[..end].strip_prefix('[').expect("CSI"), &text[end..=end]);
        let number = body.parse::<usize>();
        match name {
            "A" => {
                let top = self.lines.len().saturating_sub(self.rows);
                self.row = self.row.saturating_sub(number.expect("a count")).max(top);
            }
            "B" => {
                let to = self.row + number.expect("a count");
                assert!(to < self.lines.len(), "a line that is there");
                self.row = to;
            }
            "G" => {
                self.column = number.expect("a column") - 1;
                assert!(self.column < self.columns);
            }
            "K" => self.erase(self.row),
            "J" => {
                self.erase(self.row);
                for row in self.row + 1..self.lines.len() {
                    self.column = 0;
                    self.erase(row);
                }
                self.lines.truncate(self.row + 1);
            }
            "h" | "l" if body == "?7" => self.wrap = name == "h",
            "h" | "l" => assert!(["?25", "?2026"].contains(&body), "{body}"),
            "m" => {}
            other => panic!("unknown sequence {body}{other}"),
        }
        &text[end + 1..]
    }

    fn erase(&mut self, row: usize) {
        // Where the line is full the cursor still stands on its last character.
        let from = self.column.min(self.columns - 1);
        let cells = &mut self.lines[row].cells;
        let gone = (from..cells.len()).filter(|&at| !cells[at].trim().is_empty());
        self.erased.extend(gone.map(|at| (row, at)));
        cells.truncate(from);
    }
}
