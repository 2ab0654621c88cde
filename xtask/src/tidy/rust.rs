//! Rust text, split into code and comments, with the lines that are tests.
//!
//! Both halves keep the length of the text: what belongs to the other half, and what stands in string and
//! character literals, is blanked. So a position in one is the same position in all, and a line too.

use std::ops::Range;

/// A file of Rust.
#[derive(Debug)]
pub(super) struct Rust {
    /// Without comments and without the content of literals.
    pub(super) code: String,
    /// Nothing but comments.
    pub(super) comments: String,
    /// The bytes of tests: modules and functions under `#[cfg(test)]`, or all.
    tests: Vec<Range<usize>>,
}

impl Rust {
    pub(super) fn read(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        let all = 0..text.len();
        let tests = if is_test_file(path) { Vec::from([all]) } else { test_items(&code) };
        Self { code, comments, tests }
    }

    /// Returns whether this byte belongs to a test.
    pub(super) fn is_test(&self, position: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&position))
    }

    /// Returns how many lines do not belong to tests.
    pub(super) fn production_lines(&self) -> usize {
        let tested: usize =
            self.tests.iter().map(|range| self.code[range.clone()].lines().count()).sum();
        self.code.lines().count().saturating_sub(tested)
    }

    /// Returns where a word stands in the code, as a whole word.
    pub(super) fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.match_indices(word).map(|(position, _)| position).filter(move |&position| {
            let before = self.code[..position].chars().next_back();
            let after = self.code[position + word.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
    }
}

/// Returns the line of a byte, counted from 1.
pub(super) fn line_of(text: &str, position: usize) -> usize {
    1 + text[..position].matches('\n').count()
}

/// Returns whether names may hold this character.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs")
        || path.contains("/tests/")
        || path.contains("/benches/")
        || path.starts_with("crates/testkit/")
}

/// What the lexer is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Code,
    LineComment,
    /// Nested this deep.
    BlockComment(usize),
    Text,
    /// Ends with a quote and this many `#`.
    RawText(usize),
}

fn split(text: &str) -> (String, String) {
    let bytes = text.as_bytes();
    let (mut code, mut comments) = (Vec::with_capacity(bytes.len()), Vec::new());
    let mut mode = Mode::Code;
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (length, now, next) = token(rest, mode, code.last().copied());
        for &byte in &rest[..length] {
            let blank = if byte == b'\n' { b'\n' } else { b' ' };
            code.push(if now == Mode::Code { byte } else { blank });
            let is_comment = matches!(now, Mode::LineComment | Mode::BlockComment(_));
            comments.push(if is_comment { byte } else { blank });
        }
        at += length;
        mode = next;
    }
    let utf8 = |bytes| String::from_utf8(bytes).expect("blanks replace whole characters");
    (utf8(code), utf8(comments))
}

/// Returns the length of what stands first in `rest`, what it is, and what comes after it.
fn token(rest: &[u8], mode: Mode, before: Option<u8>) -> (usize, Mode, Mode) {
    let character = utf8_length(rest[0]).min(rest.len());
    match mode {
        Mode::LineComment if rest[0] == b'\n' => (1, mode, Mode::Code),
        Mode::BlockComment(depth) if rest.starts_with(b"*/") => {
            (2, mode, if depth == 1 { Mode::Code } else { Mode::BlockComment(depth - 1) })
        }
        Mode::BlockComment(depth) if rest.starts_with(b"/*") => {
            (2, mode, Mode::BlockComment(depth + 1))
        }
        Mode::Text if rest[0] == b'\\' && rest.len() > 1 => {
            (1 + utf8_length(rest[1]).min(rest.len() - 1), mode, mode)
        }
        Mode::Text if rest[0] == b'"' => (1, Mode::Code, Mode::Code),
        Mode::RawText(hashes) if rest[0] == b'"' && starts_with_hashes(&rest[1..], hashes) => {
            (1 + hashes, Mode::Code, Mode::Code)
        }
        Mode::Code => code_token(rest, before, character),
        _ => (character, mode, mode),
    }
}

fn code_token(rest: &[u8], before: Option<u8>, character: usize) -> (usize, Mode, Mode) {
    if rest.starts_with(b"//") {
        return (2, Mode::LineComment, Mode::LineComment);
    }
    if rest.starts_with(b"/*") {
        return (2, Mode::BlockComment(1), Mode::BlockComment(1));
    }
    if rest[0] == b'"' {
        return (1, Mode::Code, Mode::Text);
    }
    if rest[0] == b'r' && !before.is_some_and(|b| is_word(b.into()) && b != b'b' && b != b'c') {
        let hashes = rest[1..].iter().take_while(|&&byte| byte == b'#').count();
        if rest.get(1 + hashes) == Some(&b'"') {
            return (2 + hashes, Mode::Code, Mode::RawText(hashes));
        }
    }
    if rest[0] == b'\'' && rest.len() > 2 {
        // A quote begins a character if another one closes it, else a lifetime.
        let inner = if rest[1] == b'\\' {
            rest.iter().skip(3).position(|&byte| byte == b'\'').map(|end| end + 2)
        } else {
            let length = utf8_length(rest[1]);
            (rest.get(1 + length) == Some(&b'\'')).then_some(length)
        };
        if let Some(inner) = inner {
            return (inner + 2, Mode::Text, Mode::Code);
        }
    }
    (character, Mode::Code, Mode::Code)
}

fn starts_with_hashes(rest: &[u8], hashes: usize) -> bool {
    rest.len() >= hashes && rest[..hashes].iter().all(|&byte| byte == b'#')
}

fn utf8_length(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

/// Returns the bytes of the items under `#[cfg(test)]`, from the attribute to the closing brace.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items: Vec<Range<usize>> = Vec::new();
    for (start, _) in code.match_indices("#[cfg(test)]").chain(code.match_indices("#[cfg(all(test"))
    {
        let mut depth = 0_usize;
        let mut end = code.len();
        for (offset, c) in code[start..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && (c == '}' || c == ';') {
                end = start + offset + 1;
                break;
            }
        }
        items.push(start..end);
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        let check = |text: &str, code: &str, comments: &str| {
            let (found_code, found_comments) = split(text);
            assert_eq!(found_code.trim_end(), code, "{text}");
            assert_eq!(found_comments.trim(), comments, "{text}");
            assert_eq!(found_code.len(), text.len(), "{text}");
        };
        check("a // b", "a", "// b");
        check("a /* b /* c */ d */ e", "a                   e", "/* b /* c */ d */");
        check(r#"a("b // \" c") // d"#, r#"a("         ")"#, "// d");
        check(r##"r#"unsafe " x"# y"##, r##"r#"          "# y"##, "");
        check("'a' 'é' '\\'' x", "              x", "");
        check("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)", "");
        check("\"é\" z", "\"  \" z", "");
    }

    #[test]
    fn test_modules_are_no_production_lines() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n";
        let rust = Rust::read("crates/a/src/lib.rs", text);
        assert_eq!(rust.production_lines(), 2);
        assert!(rust.is_test(text.find("fn b").expect("is there")));
        assert!(!rust.is_test(text.find("fn c").expect("is there")));
        assert_eq!(Rust::read("crates/a/tests/b.rs", text).production_lines(), 0);
    }

    #[test]
    fn words_are_whole_words() {
        let rust = Rust::read("a.rs", "unsafe_code unsafe {} // unsafe\n");
        assert_eq!(rust.words("unsafe").collect::<Vec<_>>(), [12]);
    }
}
