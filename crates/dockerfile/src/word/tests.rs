//! The tables of words: each line is a rule of the language.

use std::collections::BTreeMap;

use super::{WordError, expand, expand_heredoc, expand_words};

fn env() -> BTreeMap<String, String> {
    let pairs = [
        ("v", "value"),
        ("empty", ""),
        ("two", "a b"),
        ("path", "/usr/local/bin"),
        ("PATH", "/bin"),
        ("file", "a.tar.gz"),
        ("ports", "80 443/udp"),
        ("1", "one"),
    ];
    pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[track_caller]
fn check(word: &str, expected: &str) {
    let expanded = expand(word, &env(), '\\').map(|expanded| expanded.text);
    assert_eq!(expanded.as_deref(), Ok(expected), "{word}");
}

#[track_caller]
fn check_error(word: &str, message: &str, offset: usize) {
    let error = expand(word, &env(), '\\').expect_err(word);
    assert_eq!((error.to_string().as_str(), error.offset()), (message, offset), "{word}");
}

#[test]
fn variables_are_expanded() {
    check("a$v", "avalue");
    check("${v}x", "valuex");
    check("$unset.", ".");
    check("$v-$v", "value-value");
    check("/opt/venv/bin:$PATH", "/opt/venv/bin:/bin");
    check("$1x", "onex");
    check("$", "$");
    check("a$ b", "a$ b");
    check("$%", "$%");
    check("$$v", "v");
}

#[test]
fn quotes_and_escapes_are_taken_off() {
    check("'$v'", "$v");
    check("\"$v\"", "value");
    check("\"'$v'\"", "'value'");
    check("\\$v", "$v");
    check("\"\\$v\"", "$v");
    check("\"a\\nb\"", "a\\nb");
    check("a\\nb", "anb");
    check("\"a\\\"b\"", "a\"b");
    check("a\\ b", "a b");
    check("a\\", "a");
    check("a  b", "a  b");
}

#[test]
fn modifiers_choose_between_value_and_word() {
    check("${v:-d}", "value");
    check("${unset:-d}", "d");
    check("${empty:-d}", "d");
    check("${empty-d}", "");
    check("${unset-d}", "d");
    check("${v:+d}", "d");
    check("${empty:+d}", "");
    check("${empty+d}", "d");
    check("${unset+d}", "");
    check("${unset:-${v}}", "value");
    check("${unset:-\"a}b\"}", "a}b");
    check("${v:?gone}", "value");
    check("${empty?gone}", "");
}

#[test]
fn modifiers_cut_and_replace() {
    check("${path#*/}", "usr/local/bin");
    check("${path##*/}", "bin");
    check("${path%/*}", "/usr/local");
    check("${path%%/*}", "");
    check("${file%.*}", "a.tar");
    check("${file%%.*}", "a");
    check("${file#?.}", "tar.gz");
    check("${file#x}", "a.tar.gz");
    check("${path/local/share}", "/usr/share/bin");
    check("${path//\\//-}", "-usr-local-bin");
    check("${file/a*r/b}", "b.gz");
    check("${file//a/b}", "b.tbr.gz");
    check("${v/\\}/x}", "value");
    check("${v//x/y}", "value");
    check("${v//*/y}", "y");
    check("${unset/x/y}", "");
}

#[test]
fn mistakes_are_reported_with_their_place() {
    check_error("a'b", "' is never closed", 1);
    check_error("a\"b$v", "\" is never closed", 1);
    check_error("a${v", "`${` without its `}`", 1);
    check_error("a${v:-x", "`${` without its `}`", 1);
    check_error("${v/x}", "`${` without its `/`", 0);
    check_error("${}", "bad substitution: a name is expected behind `${`", 0);
    check_error("x${{v}}", "bad substitution: a name is expected behind `${`", 1);
    check_error("${v^}", "unsupported modifier `^` in `${v…}`", 0);
    check_error("${v:#x}", "unsupported modifier `:#` in `${v…}`", 0);
    check_error("${v#\\a}", "invalid escape `\\a` in the pattern of `${v…}`", 0);
    check_error("${unset:?must be given}", "unset: must be given", 0);
    check_error("${unset?}", "unset: is not allowed to be unset", 0);
    check_error("${empty:?}", "empty: is not allowed to be empty", 0);
    let deep = "${a:-".repeat(10_000);
    assert!(matches!(expand(&deep, &env(), '\\'), Err(WordError::TooDeep { .. })));
}

#[test]
fn another_escape_character_frees_the_backslash() {
    let text = |word| expand(word, &env(), '`').map(|expanded| expanded.text);
    assert_eq!(text("c:\\$v").as_deref(), Ok("c:\\value"));
    assert_eq!(text("`$v").as_deref(), Ok("$v"));
}

#[test]
fn names_are_told_apart_by_whether_they_are_set() {
    let expanded = expand("$v ${gone:-x} '$no'", &env(), '\\').expect("valid word");
    assert_eq!(expanded.used.into_iter().collect::<Vec<_>>(), ["v"]);
    assert_eq!(expanded.unset.into_iter().collect::<Vec<_>>(), ["gone"]);
}

#[track_caller]
fn check_words(word: &str, expected: &[&str]) {
    let expanded = expand_words(word, &env(), '\\').expect(word);
    assert_eq!(expanded.words, expected, "{word}");
}

#[test]
fn words_split_at_blanks_of_variables_but_not_of_quotes() {
    check_words("$ports", &["80", "443/udp"]);
    check_words("\"$ports\"", &["80 443/udp"]);
    check_words("$v/tcp", &["value/tcp"]);
    check_words("$unset", &[]);
    check_words("x$two", &["xa", "b"]);
    check_words("a\\ b c", &["a b", "c"]);
}

#[test]
fn heredocs_keep_their_quotes() {
    let text = |body| expand_heredoc(body, &env()).map(|expanded| expanded.text);
    assert_eq!(text("\"$v\" 'x' \\$v \\\\\n").as_deref(), Ok("\"value\" 'x' $v \\\n"));
}
