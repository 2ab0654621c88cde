//! Go's `text/tabwriter`, as docker sets it: minimum width 10, padding 3, spaces.
//!
//! A cell is text that ends with a tab; the text after the last tab of a line belongs to no
//! column. A column is a run of adjacent lines that have such a cell, so a line without one
//! splits it, which only templates with several lines can bring about.

const MIN_WIDTH: usize = 10;
const PADDING: usize = 3;

/// Lays out text whose cells end with tabs.
pub(crate) fn align(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|_| Vec::new()).collect();
    measure(&lines, &mut widths, 0, 0..lines.len());
    let mut out = String::with_capacity(text.len() * 2);
    for (number, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
        if number > 0 {
            out.push('\n');
        }
        for (index, cell) in cells.iter().enumerate() {
            out.push_str(cell);
            if let Some(width) = widths.get(index) {
                let blanks = width.saturating_sub(cell.chars().count());
                out.extend(std::iter::repeat_n(' ', blanks));
            }
        }
    }
    out
}

/// Finds the blocks of `column` in a range of lines, and within each block those of the next.
fn measure(
    lines: &[Vec<&str>],
    widths: &mut [Vec<usize>],
    column: usize,
    range: std::ops::Range<usize>,
) {
    let has_cell = |line: usize| lines[line].len() > column + 1;
    let mut start = range.start;
    while start < range.end {
        if !has_cell(start) {
            start += 1;
            continue;
        }
        let end = (start..range.end).find(|&line| !has_cell(line)).unwrap_or(range.end);
        let widest = (start..end).map(|line| lines[line][column].chars().count()).max();
        let width = (widest.unwrap_or(0) + PADDING).max(MIN_WIDTH);
        widths[start..end].iter_mut().for_each(|line| line.push(width));
        measure(lines, widths, column + 1, start..end);
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: &str) {
        assert_eq!(align(text), want);
    }

    #[test]
    fn columns_are_as_wide_as_their_content_plus_three_but_at_least_ten() {
        check("TAG\tID\nx\ty\n", "TAG       ID\nx         y\n");
        check(
            "REPOSITORY\tTAG\nnode-multistage\tlatest\n",
            "REPOSITORY        TAG\nnode-multistage   latest\n",
        );
        check("a\tb\tc\n\t\t\n", "a         b         c\n                    \n");
    }

    #[test]
    fn the_last_cell_of_a_line_is_not_padded() {
        check("a\tlooooooooooooong\nb\tc\n", "a         looooooooooooong\nb         c\n");
    }

    #[test]
    fn a_line_without_the_column_splits_it() {
        check("loooooooooong\tb\nplain\nc\td\n", "loooooooooong   b\nplain\nc         d\n");
    }

    #[test]
    fn width_is_counted_in_characters() {
        check("ééééééé\tb\nc\td\n", "ééééééé   b\nc         d\n");
    }
}
