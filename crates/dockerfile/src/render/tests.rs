//! Whole renderings: what people see.

use super::{excerpt, line_column, render};
use crate::{Diagnostic, Span, parse};

/// The span of the `nth` occurrence of `part`.
fn find(text: &str, part: &str, nth: usize) -> Span {
    let at = text.match_indices(part).nth(nth).expect(part).0;
    Span::between(at, at + part.len())
}

#[track_caller]
fn check(text: &str, span: Span, notes: &[(Span, &str)], expected: &str) {
    let found = excerpt(text, "Dockerfile", span, notes);
    assert_eq!(found, expected.trim_start_matches('\n'), "\n{found}");
}

#[test]
fn a_mistake_has_a_place_a_caret_and_help() {
    let text = "FROM a\nCOPPY . .\n";
    let error = &parse(text).diagnostics[0];
    let expected = "\
error: unknown instruction `COPPY`
 --> Dockerfile:2:1
  |
2 | COPPY . .
  | ^^^^^
help: did you mean `COPY`?
";
    assert_eq!(render(error, text, "Dockerfile"), expected);
}

#[test]
fn labels_on_one_line_share_it() {
    let text = "FROM a\nRUN --network=none --network=host x\n";
    let first = find(text, "--network=none", 0);
    check(
        text,
        find(text, "--network=host", 0),
        &[(first, "first given here")],
        "
 --> Dockerfile:2:20
  |
2 | RUN --network=none --network=host x
  |     -------------- ^^^^^^^^^^^^^^
  |     |
  |     first given here
",
    );
    check(
        text,
        find(text, "RUN", 0),
        &[(first, "one"), (find(text, "--network=host", 0), "two")],
        "
 --> Dockerfile:2:1
  |
2 | RUN --network=none --network=host x
  | ^^^ -------------- -------------- two
  |     |
  |     one
",
    );
}

#[test]
fn three_labels_are_told_from_right_to_left() {
    let text = "ENV a=1 b=2 c=3\n";
    check(
        text,
        find(text, "ENV", 0),
        &[
            (find(text, "b=2", 0), "second"),
            (find(text, "a=1", 0), "first"),
            (find(text, "c=3", 0), "third"),
        ],
        "
 --> Dockerfile:1:1
  |
1 | ENV a=1 b=2 c=3
  | ^^^ --- --- --- third
  |     |   |
  |     |   second
  |     |
  |     first
",
    );
}

#[test]
fn labels_on_other_lines_come_in_order() {
    let text = "FROM a AS b\n\n\n\n\n\n\n\n\nFROM c AS b\n";
    check(
        text,
        find(text, "b", 1),
        &[(find(text, "b", 0), "first used here")],
        "
  --> Dockerfile:10:11
   |
 1 | FROM a AS b
   |           - first used here
...
10 | FROM c AS b
   |           ^
",
    );
}

#[test]
fn a_span_over_lines_has_a_bar() {
    let text = "FROM a\nRUN x && \\\n  y && \\\n  z\nCMD []\n";
    check(
        text,
        find(text, "RUN x && \\\n  y && \\\n  z", 0),
        &[],
        r"
 --> Dockerfile:2:1
  |
2 | / RUN x && \
3 | |   y && \
4 | |   z
  | |___^
",
    );
}

#[test]
fn a_long_span_is_cut_in_the_middle_and_labels_stay_aligned() {
    let body: Vec<String> = (1..10).map(|line| format!("line {line}")).collect();
    let text = format!("FROM a\nRUN <<EOF\n{}\nEOF\n", body.join("\n"));
    let span = Span::between(7, text.len() - 1);
    check(
        &text,
        span,
        &[(find(&text, "a", 0), "the base")],
        "
  --> Dockerfile:2:1
   |
 1 |   FROM a
   |        - the base
 2 | / RUN <<EOF
 3 | | line 1
 4 | | line 2
 5 | | line 3
 6 | | line 4
...
12 | | EOF
   | |___^
",
    );
}

#[test]
fn carets_stand_below_wide_characters_and_tabs() {
    let text = "\tRUN 画像\té bad x\n";
    check(
        text,
        find(text, "bad", 0),
        &[(find(text, "画像", 0), "wide")],
        "
 --> Dockerfile:1:11
  |
1 |     RUN 画像    é bad x
  |         ----      ^^^
  |         |
  |         wide
",
    );
}

#[test]
fn what_could_steer_a_terminal_is_not_shown() {
    let text = "RUN \u{1b}[31m \u{202e}x\r\n";
    check(
        text,
        find(text, "x", 0),
        &[],
        "
 --> Dockerfile:1:12
  |
1 | RUN \u{fffd}[31m \u{fffd}x
  |            ^
",
    );
    let error = Diagnostic::error(Span::new(0, 1), "unknown \u{1b}[2J").help("\u{1b}");
    assert!(!render(&error, text, "Dockerfile").contains('\u{1b}'));
}

#[test]
fn long_lines_are_cut_around_the_mark() {
    let text = format!("RUN {} HERE {}\n", "a".repeat(500), "b".repeat(500));
    let found = excerpt(&text, "Dockerfile", find(&text, "HERE", 0), &[]);
    let expected = format!(
        " --> Dockerfile:1:506\n  |\n1 | …{} HERE {}…\n  | {}^^^^\n",
        "a".repeat(28),
        "b".repeat(84),
        " ".repeat(30)
    );
    assert_eq!(found, expected);
    // A mark that is longer than the line is cut too.
    let found = excerpt(&text, "Dockerfile", Span::between(0, text.len() - 1), &[]);
    assert!(found.ends_with(&format!("{}\n", "^".repeat(120))), "{found}");
    // Half of a wide character is a blank.
    let text = format!("{}x{}", "画".repeat(100), "像".repeat(100));
    let found = excerpt(&text, "Dockerfile", find(&text, "x", 0), &[]);
    assert!(found.contains(&format!("\n  | {}^\n", " ".repeat(30))), "{found}");
}

#[test]
fn the_end_of_the_text_can_be_marked() {
    check("", Span::new(0, 0), &[], " --> Dockerfile:1:1\n  |\n1 |\n  | ^\n");
    check("x\n", Span::new(2, 2), &[], " --> Dockerfile:2:1\n  |\n2 |\n  | ^\n");
    check("x", Span::new(90, 99), &[], " --> Dockerfile:1:2\n  |\n1 | x\n  |  ^\n");
    assert_eq!(line_column("é\nx", 1).column, 1);
}
