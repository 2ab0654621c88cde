//! How many columns a text takes on a terminal, and cutting to that.
//!
//! Widths are summed by character, which is what terminals do. What joins characters to one
//! picture (variation selectors, joiners) is left out of what is shown: terminals differ in
//! how wide the result is, and a line that is wider than thought would break the frame.

use unicode_width::UnicodeWidthChar as _;

/// Marks that one character may carry; more would only be there to cover other lines.
const MARKS: usize = 4;

/// Returns the width of a text in columns.
pub(super) fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(width_of).sum() }
}

/// Returns the longest front of a text that is at most `columns` wide, with only what can be
/// shown.
pub(super) fn cut(text: &str, columns: usize) -> String {
    let mut out = String::with_capacity(text.len().min(columns * 4));
    let (mut used, mut marks) = (0, 0);
    for letter in text.chars().filter(|letter| !letter.is_control() && !joins(*letter)) {
        let wide = width_of(letter);
        if wide == 0 {
            marks += 1;
            if marks > MARKS || used == 0 {
                continue;
            }
        } else {
            marks = 0;
        }
        if used + wide > columns {
            break;
        }
        used += wide;
        out.push(letter);
    }
    out
}

/// Cuts as [`cut`] does, with `…` at the end of what was too long.
pub(super) fn shorten(text: &str, columns: usize) -> String {
    let whole = cut(text, usize::MAX / 8);
    if width(&whole) <= columns {
        return whole;
    }
    let mut short = cut(&whole, columns.saturating_sub(1));
    if columns > 0 {
        short.push('…');
    }
    short
}

/// Puts `right` at the right edge, and cuts `left` where they would meet.
pub(super) fn justify(left: &str, right: &str, columns: usize) -> String {
    let room = columns.saturating_sub(width(right) + 1);
    let mut line = shorten(left, room);
    let blanks = columns.saturating_sub(width(&line) + width(right));
    line.extend(std::iter::repeat_n(' ', blanks));
    line.push_str(right);
    cut(&line, columns)
}

fn width_of(letter: char) -> usize {
    letter.width().unwrap_or(0)
}

/// Tells whether a character only changes how its neighbours are drawn.
fn joins(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_what_they_take_on_the_screen() {
        let check = |text: &str, columns, want: &str| {
            let got = cut(text, columns);
            assert_eq!(got, want, "{text:?} to {columns}");
            assert!(width(&got) <= columns);
        };
        check("hello", 3, "hel");
        check("hello", 9, "hello");
        check("漢字x", 4, "漢字");
        check("漢字x", 3, "漢");
        check("漢", 1, "");
        check("e\u{301}a\u{308}o", 2, "e\u{301}a\u{308}");
        check("❤\u{fe0f}x", 2, "❤x");
        check("👩\u{200d}💻!", 4, "👩💻");
        check("a\x07b", 2, "ab");
        let many = format!("a{}b", "\u{301}".repeat(100));
        check(&many, 2, "a\u{301}\u{301}\u{301}\u{301}b");
        check("\u{301}a", 1, "a");
    }

    #[test]
    fn what_is_too_long_says_so() {
        assert_eq!(shorten("hello", 5), "hello");
        assert_eq!(shorten("hello", 4), "hel…");
        assert_eq!(shorten("漢字", 3), "漢…");
        assert_eq!(shorten("hello", 0), "");
    }

    #[test]
    fn both_edges_are_kept() {
        assert_eq!(justify(" => ab", "1.0s", 12), " => ab  1.0s");
        assert_eq!(justify(" => abcdef", "1.0s", 12), " => ab… 1.0s");
        assert_eq!(justify(" => ab", "1.0s", 3), "1.0");
        assert_eq!(width(&justify(&"漢字".repeat(9), "1.0s", 20)), 20);
    }
}
