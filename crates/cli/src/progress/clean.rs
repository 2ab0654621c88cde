//! Makes output of steps safe for a terminal.
//!
//! A RUN step may print anything: sequences that retitle the window, move the cursor over
//! lines of ours, or make the terminal answer as if the user had typed. Of all control
//! sequences only SGR (colours) pass; of control characters only the tab. A carriage return
//! drops the part of the line that it would overwrite. Direction overrides are dropped, since
//! they make text read as another.

/// Longest line that is kept together; longer ones are broken.
const MAX_LINE: usize = 16 * 1024;

/// Gathers bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Takes bytes and hands each whole line on, cleaned.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(String)) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.pending.extend_from_slice(&bytes[..end]);
            line(clean(&self.pending));
            self.pending.clear();
            bytes = &bytes[end + 1..];
        }
        self.pending.extend_from_slice(bytes);
        while self.pending.len() > MAX_LINE {
            let rest = self.pending.split_off(MAX_LINE);
            line(clean(&self.pending));
            self.pending = rest;
        }
    }

    /// Returns the rest that no newline ended.
    pub(super) fn flush(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.pending);
        (!rest.is_empty()).then(|| clean(&rest))
    }
}

/// Cleans a text of several lines.
pub(crate) fn safe(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| clean(line.as_bytes())).collect();
    lines.join("\n")
}

/// Cleans one line.
pub(super) fn clean(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let start = line.iter().rposition(|&byte| byte == b'\r').map_or(0, |at| at + 1);
    let text = String::from_utf8_lossy(&line[start..]);
    let mut out = String::with_capacity(text.len());
    let mut colored = false;
    let mut rest = &*text;
    while let Some(letter) = rest.chars().next() {
        if letter == '\x1b' {
            let (sequence, after) = escape(rest);
            if is_sgr(sequence) {
                colored = !matches!(sequence, "\x1b[m" | "\x1b[0m");
                out.push_str(sequence);
            }
            rest = after;
            continue;
        }
        if letter == '\t' || !(letter.is_control() || is_direction(letter)) {
            out.push(letter);
        }
        rest = &rest[letter.len_utf8()..];
    }
    if colored {
        out.push_str("\x1b[0m");
    }
    out
}

/// Removes the colours that [`clean`] leaves.
pub(super) fn without_color(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        out.push_str(&rest[..at]);
        rest = escape(&rest[at..]).1;
    }
    out.push_str(rest);
    out
}

/// Splits the escape sequence off the front of a text that begins with ESC (ECMA-48, 5.3-5.6).
fn escape(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let end = match bytes.get(1) {
        // CSI: parameters and intermediates, then a final byte.
        Some(b'[') => {
            let body = &bytes[2..];
            body.iter().position(|byte| !(0x20..=0x3f).contains(byte)).map(|at| {
                // A byte that cannot end the sequence is not part of it.
                at + if (0x40..=0x7e).contains(&body[at]) { 3 } else { 2 }
            })
        }
        // OSC, DCS, SOS, PM, APC: a string up to BEL or ST.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => string_end(bytes),
        // Character sets and the like: intermediates, then one more byte.
        Some(0x20..=0x2f) => {
            bytes[1..].iter().position(|byte| !(0x20..=0x2f).contains(byte)).map(|at| at + 2)
        }
        Some(0x30..=0x7e) => Some(2),
        _ => Some(1),
    };
    let mut end = end.unwrap_or(bytes.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    text.split_at(end)
}

fn string_end(bytes: &[u8]) -> Option<usize> {
    (2..bytes.len()).find_map(|at| match bytes[at] {
        0x07 => Some(at + 1),
        0x1b if bytes.get(at + 1) == Some(&b'\\') => Some(at + 2),
        _ => None,
    })
}

fn is_sgr(sequence: &str) -> bool {
    sequence.strip_prefix("\x1b[").and_then(|rest| rest.strip_suffix('m')).is_some_and(
        |parameters| {
            parameters.bytes().all(|byte| byte.is_ascii_digit() || byte == b';' || byte == b':')
        },
    )
}

fn is_direction(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &[u8], want: &str) {
        assert_eq!(clean(raw), want, "{:?}", String::from_utf8_lossy(raw));
    }

    #[test]
    fn plain_text_and_colours_pass() {
        check(b"hello\tworld", "hello\tworld");
        check("grüße ✓".as_bytes(), "grüße ✓");
        check(b"\x1b[1;32mok\x1b[0m done", "\x1b[1;32mok\x1b[0m done");
        check(b"\x1b[38:2:1:2:3mx\x1b[m", "\x1b[38:2:1:2:3mx\x1b[m");
    }

    #[test]
    fn a_colour_that_is_left_open_is_closed() {
        check(b"\x1b[31mred", "\x1b[31mred\x1b[0m");
    }

    #[test]
    fn sequences_that_steer_the_terminal_are_dropped() {
        check(b"a\x1b[2Jb", "ab");
        check(b"a\x1b[10;5Hb", "ab");
        check(b"a\x1b[?1049hb", "ab");
        check(b"a\x1b[>0;1mb", "ab");
        check(b"a\x1b]0;title\x07b", "ab");
        check(b"a\x1b]52;c;aGk=\x1b\\b", "ab");
        check(b"a\x1bPq#0;2\x1b\\b", "ab");
        check(b"a\x1b(0b", "ab");
        check(b"a\x1bcb", "ab");
        check(b"a\x1b[31", "a");
        check(b"a\x1b", "a");
        check(b"a\x1b]never ends", "a");
        check("a\x1b[\u{e9}b".as_bytes(), "a\u{e9}b");
    }

    #[test]
    fn control_characters_and_direction_marks_are_dropped() {
        check(b"a\x00\x07\x08\x7fb", "ab");
        check("a\u{9b}2Jb".as_bytes(), "a2Jb");
        check("a\u{202e}b\u{2066}c".as_bytes(), "abc");
        check(b"a\xffb", "a\u{fffd}b");
    }

    #[test]
    fn a_carriage_return_keeps_what_was_written_last() {
        check(b"10%\r50%\r100%", "100%");
        check(b"line\r", "line");
        check(b"1%\r2%\r", "2%");
    }

    #[test]
    fn lines_are_gathered_from_any_pieces() {
        let whole = "one\ntwo é\r\nthree".as_bytes();
        for cut in 0..whole.len() {
            let mut lines = Lines::default();
            let mut got = Vec::new();
            lines.push(&whole[..cut], |line| got.push(line));
            lines.push(&whole[cut..], |line| got.push(line));
            got.extend(lines.flush());
            assert_eq!(got, ["one", "two é", "three"], "{cut}");
        }
    }

    #[test]
    fn an_endless_line_is_broken() {
        let mut lines = Lines::default();
        let mut count = 0;
        lines.push(&vec![b'x'; 5 * MAX_LINE], |line| {
            count += 1;
            assert!(line.len() <= MAX_LINE);
        });
        assert!(count >= 4);
    }

    #[test]
    fn colours_can_be_taken_away() {
        assert_eq!(without_color("\x1b[1;32mok\x1b[0m done"), "ok done");
    }
}
