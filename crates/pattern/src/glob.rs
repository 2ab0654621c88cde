//! Go's `filepath.Match`, as `COPY` and `ADD` use it for their sources.

use crate::Error;
use crate::class::{Class, Separator};
use crate::token::{self, Token};

/// Whether a source of `COPY` is a pattern: it has an unescaped `*`, `?` or
/// `[`.
pub fn has_wildcards(path: &str) -> bool {
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' | b'[' => return true,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    false
}

/// A pattern: `*` and `?` match within a segment, `[a-z]` and `[^a]` one
/// character, `\` takes the meaning off the next character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    pattern: String,
    tokens: Vec<Token>,
    /// Patterns of the single segments.
    segments: Vec<Vec<Token>>,
    wildcards: bool,
}

impl Glob {
    /// Compiles a pattern; a leading `/` or `./` means nothing.
    pub fn new(pattern: &str) -> Result<Self, Error> {
        let relative = clean(pattern);
        let bad = |reason| Error::BadPattern { pattern: pattern.to_owned(), reason };
        let tokens = compile(&relative).map_err(bad)?;
        let segments = split_segments(&tokens);
        let wildcards = has_wildcards(&relative);
        Ok(Self { pattern: relative, tokens, segments, wildcards })
    }

    /// Whether the pattern matches the whole of a relative path.
    pub fn matches(&self, path: &str) -> bool {
        token::matches(&self.tokens, path)
    }

    /// How many segments a matching path has.
    pub fn depth(&self) -> usize {
        self.segments.len()
    }

    /// Whether one segment of the pattern (from 0) matches a name: for a walk
    /// that lists only folders that can hold a match.
    pub fn matches_segment(&self, index: usize, name: &str) -> bool {
        self.segments.get(index).is_some_and(|tokens| token::matches(tokens, name))
    }

    /// One segment of the pattern without wildcards, unescaped: it needs no
    /// listing of its folder.
    pub fn literal_segment(&self, index: usize) -> Option<&str> {
        match self.segments.get(index)?.as_slice() {
            [Token::Literal(literal)] => std::str::from_utf8(literal).ok(),
            _ => None,
        }
    }

    /// Whether there is any wildcard.
    pub fn has_wildcards(&self) -> bool {
        self.wildcards
    }

    /// The pattern, cleaned.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }
}

/// Without empty and `.` segments; `..` cannot leave the root.
fn clean(pattern: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in pattern.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    segments.join("/")
}

fn compile(pattern: &str) -> Result<Vec<Token>, &'static str> {
    let mut builder = Builder::default();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => builder.push(Token::Star),
            '?' => builder.push(Token::One),
            '[' => builder.push(Token::Class(Class::read(&mut chars, Separator::Apart)?)),
            '\\' => builder.literal(chars.next().ok_or("`\\` at the end escapes nothing")?),
            _ => builder.literal(c),
        }
    }
    Ok(builder.finish())
}

/// Collects tokens and joins literals.
#[derive(Default)]
pub(crate) struct Builder {
    tokens: Vec<Token>,
    literal: String,
}

impl Builder {
    pub(crate) fn literal(&mut self, c: char) {
        self.literal.push(c);
    }

    pub(crate) fn push(&mut self, token: Token) {
        self.flush();
        // `**` of a glob is `*`, and doubled tokens mean the same.
        let doubled = matches!(token, Token::Star | Token::Folders);
        if !(doubled && self.tokens.last() == Some(&token)) {
            self.tokens.push(token);
        }
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            let bytes = std::mem::take(&mut self.literal).into_bytes();
            self.tokens.push(Token::Literal(bytes.into_boxed_slice()));
        }
    }

    pub(crate) fn finish(mut self) -> Vec<Token> {
        self.flush();
        self.tokens
    }
}

/// The tokens between slashes. Slashes are only ever in literals.
pub(crate) fn split_segments(tokens: &[Token]) -> Vec<Vec<Token>> {
    let mut segments = vec![Vec::new()];
    for token in tokens {
        let Token::Literal(literal) = token else {
            push_last(&mut segments, token.clone());
            continue;
        };
        for (index, part) in literal.split(|&byte| byte == b'/').enumerate() {
            if index > 0 {
                segments.push(Vec::new());
            }
            if !part.is_empty() {
                push_last(&mut segments, Token::Literal(part.into()));
            }
        }
    }
    segments
}

fn push_last(segments: &mut [Vec<Token>], token: Token) {
    if let Some(last) = segments.last_mut() {
        last.push(token);
    }
}

#[cfg(test)]
mod tests {
    use super::{Glob, has_wildcards};

    #[track_caller]
    fn check(pattern: &str, path: &str, expected: bool) {
        let glob = Glob::new(pattern).expect("valid pattern");
        assert_eq!(glob.matches(path), expected, "{pattern} on {path}");
    }

    /// The table of Go's `path/filepath/match_test.go`, as far as it is about
    /// relative paths.
    #[test]
    fn patterns_match_as_in_go() {
        check("abc", "abc", true);
        check("*", "abc", true);
        check("*c", "abc", true);
        check("a*", "a", true);
        check("a*", "abc", true);
        check("a*", "ab/c", false);
        check("a*/b", "abc/b", true);
        check("a*/b", "a/c/b", false);
        check("a*b*c*d*e*/f", "axbxcxdxe/f", true);
        check("a*b*c*d*e*/f", "axbxcxdxexxx/f", true);
        check("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false);
        check("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false);
        check("a*b?c*x", "abxbbxdbxebxczzx", true);
        check("a*b?c*x", "abxbbxdbxebxczzy", false);
        check("ab[c]", "abc", true);
        check("ab[b-d]", "abc", true);
        check("ab[e-g]", "abc", false);
        check("ab[^c]", "abc", false);
        check("ab[^b-d]", "abc", false);
        check("ab[^e-g]", "abc", true);
        check("a\\*b", "a*b", true);
        check("a\\*b", "ab", false);
        check("a?b", "a☺b", true);
        check("a[^a]b", "a☺b", true);
        check("a???b", "a☺b", false);
        check("a[^a][^a][^a]b", "a☺b", false);
        check("[a-ζ]*", "α", true);
        check("*[a-ζ]", "A", false);
        check("a?b", "a/b", false);
        check("a*b", "a/b", false);
        check("[\\]a]", "]", true);
        check("[\\-]", "-", true);
        check("[x\\-]", "x", true);
        check("[x\\-]", "z", false);
        check("*x", "xxx", true);
        check("package*.json", "package.json", true);
        check("package*.json", "package-lock.json", true);
        check("package*.json", "package.js", false);
        check("a[^x]b", "a/b", false);
    }

    #[test]
    fn bad_patterns_are_errors() {
        for pattern in ["[]a]", "[-]", "[x-]", "[-x]", "a[", "a[b", "[a-b-c]", "[", "[^", "a\\"] {
            assert!(Glob::new(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn patterns_are_cleaned() {
        check("/app/*", "app/x", true);
        check("./a//b/../*.go", "a/x.go", true);
        check("../*", "x", true);
    }

    #[test]
    fn segments_can_be_matched_one_by_one() {
        let glob = Glob::new("src/*/lib?.rs").expect("valid pattern");
        assert_eq!(glob.depth(), 3);
        assert_eq!(glob.literal_segment(0), Some("src"));
        assert_eq!(glob.literal_segment(1), None);
        assert!(glob.matches_segment(1, "any"));
        assert!(glob.matches_segment(2, "lib1.rs"));
        assert!(!glob.matches_segment(2, "lib.rs"));
        assert!(!glob.matches_segment(3, "x"));
    }

    #[test]
    fn wildcards_can_be_escaped() {
        assert!(has_wildcards("a*b"));
        assert!(has_wildcards("[a]"));
        assert!(!has_wildcards("a\\*b"));
        assert!(!has_wildcards("a/b.c"));
    }

    #[test]
    fn hostile_patterns_stay_fast() {
        let pattern = "*a".repeat(50) + "b";
        let glob = Glob::new(&pattern).expect("valid pattern");
        assert!(!glob.matches(&"a".repeat(255)));
    }
}
