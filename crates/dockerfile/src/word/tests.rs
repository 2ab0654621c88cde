//! The tables of words: each line is a rule of the language.

use std::collections::BTreeMap;

use super::{WordError, expand, expand_heredoc, expand_shown, expand_words};
use crate::{Span, Word};

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

#[test]
fn special_names_are_names() {
    for name in ["@", "*", "#", "?", "-", "$", "!", "0"] {
        check(&format!("a${name}b"), "ab");
        check(&format!("a${{{name}}}b"), "ab");
    }
    check("$12x", "x");
    check("${1}", "one");
    check("$_a.", ".");
    check("$vé", "");
    check("${v}é", "valueé");
}

#[test]
fn words_of_modifiers_are_words_again() {
    check("${unset:-$two}", "a b");
    check("${unset-'$two'}", "$two");
    check("${unset:-${empty:-${v%e}}}", "valu");
    check("${v:+\"${two}\"}", "a b");
    check("${unset:-\\}}", "}");
    check("${unset:-a\\$v}", "a$v");
    check("\"${unset:-x}\"", "x");
    check("${path#${unset:-/usr}}", "/local/bin");
    check("${path%\\/*}", "/usr/local");
    check("${file%\\*}", "a.tar.gz");
    check("${v/?/\"V\"}", "Value");
    check("${path//[a-z]/x}", "/usr/local/bin");
    check("${two/ /_}", "a_b");
    check("${v/value/}", "");
    check("${v+$v}-${unset+$v}", "value-");
}

#[test]
fn bad_substitutions_are_refused() {
    let message = "bad substitution: a name is expected behind `${`";
    for word in ["${}", "${:x}", "${:}", "${{x}}", "${{x}", "\"${}\""] {
        assert_eq!(
            expand(word, &env(), '\\').map_err(|it| it.to_string()),
            Err(message.to_owned())
        );
    }
    check_error("${v:%x}", "unsupported modifier `:%` in `${v…}`", 0);
    check_error("${v,,}", "unsupported modifier `,` in `${v…}`", 0);
    check_error("${v", "`${` without its `}`", 0);
    check_error("${", "`${` without its `}`", 0);
    check_error("${v:", "`${` without its `}`", 0);
    check_error("${v//x}", "`${` without its `/`", 0);
    check_error("${v//x/y", "`${` without its `}`", 0);
    check_error("${unset:-${v}", "`${` without its `}`", 0);
}

#[test]
fn uses_of_unset_variables_have_their_place() {
    let raw = "a$x${y:-$x}\"${z#1}\"$v".to_owned();
    let text = format!("{}{raw}", " ".repeat(10));
    let word = Word { raw, span: Span::between(10, text.len()) };
    let expanded = expand(&word.raw, &env(), '\\').expect("valid word");
    let found: Vec<_> = expanded
        .unset_at
        .into_iter()
        .map(|it| {
            let span = word.locate_range(it.range);
            (it.name, span.slice(&text).to_owned(), span.start, it.guarded)
        })
        .collect();
    let owned = |name: &str, start, guarded| (name.to_owned(), name.to_owned(), start, guarded);
    assert_eq!(
        found,
        [owned("x", 12, false), owned("y", 15, true), owned("x", 19, false), owned("z", 24, false)]
    );
}

#[test]
fn a_shown_command_keeps_quotes_and_what_is_not_set() {
    let check = |text: &str, expected: &str| {
        assert_eq!(expand_shown(text, &env(), '\\'), expected, "{text}");
    };
    check("echo \"$v\" '$v' $HOME", "echo \"value\" '$v' $HOME");
    check(
        "${HOME}/x ${HOME:-$v} ${HOME#/} ${HOME//a/b} ${v#va}",
        "${HOME}/x ${HOME:-value} ${HOME#/} ${HOME//a/b} lue",
    );
    check("for i in $(ls); do $i; done", "for i in $(ls); do $i; done");
    check("it's", "it's");
}

#[test]
fn replacements_that_multiply_end_with_an_error() {
    let long = "x".repeat(2048);
    let env = std::collections::BTreeMap::from([("a".to_owned(), long)]);
    let error = crate::expand("${a//x/${a//x/$a}}", &env, '\\').unwrap_err();
    assert!(error.to_string().contains("more than 1 MiB"), "{error}");
    assert!(crate::expand("${a//x/y}", &env, '\\').is_ok());
}
