//! The documented behavior of moby's patternmatcher, as tables.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Ignore, IgnoreFile, Walk};
use crate::Error;

#[track_caller]
fn check(patterns: &[&str], path: &str, expected: bool) {
    let ignore = Ignore::new(patterns).expect("valid patterns");
    assert_eq!(ignore.matches(path), expected, "{patterns:?} on {path}");
}

#[test]
fn single_patterns_match_as_in_moby() {
    let table = [
        ("**", "file", true),
        ("**", "dir/file", true),
        ("**/", "file", true),
        ("**/**", "dir/file", true),
        ("dir/**", "dir/file", true),
        ("dir/**", "dir/dir2/file", true),
        ("**/dir", "dir", true),
        ("**/dir", "dir/file", true),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/*", "dir/dir2/dir2/file", true),
        ("**/dir2/**", "dir/dir2/dir2/file", true),
        ("**file", "file", true),
        ("**file", "dir/file", true),
        ("**file", "dir/myfile", true),
        ("**.go", "a/b.go", true),
        ("**.go", "b.go", true),
        ("**.go", "b.god", false),
        ("**/file", "myfile", false),
        ("**/file", "dir/dir/file", true),
        ("**/file*", "dir/dir/file.txt", true),
        ("**/file*txt", "dir/dir/file.txt", true),
        ("**/file*.txt", "dir/dir/file.txt", true),
        ("**/file*.txt*", "dir/dir/file.txt", true),
        ("**/**/*.txt", "dir/dir/file.txt", true),
        ("**/**/*.txt2", "dir/dir/file.txt", false),
        ("**/*.txt", "file.txt", true),
        ("**/**/*.txt", "file.txt", true),
        ("a**/*.txt", "a/file.txt", true),
        ("a**/*.txt", "a/dir/file.txt", true),
        ("a**/*.txt", "a/dir/dir/file.txt", true),
        ("a/*.txt", "a/dir/file.txt", false),
        ("a/*.txt", "a/file.txt", true),
        ("a/*.txt**", "a/file.txt", true),
        ("a[b-d]e", "ae", false),
        ("a[b-d]e", "ace", true),
        ("a[b-d]e", "aae", false),
        ("a[^b-d]e", "aze", true),
        (".*", ".foo", true),
        (".*", "foo", false),
        ("abc.def", "abcdef", false),
        ("abc.def", "abc.def", true),
        ("abc?def", "abcZdef", true),
        ("abc?def", "abcdef", false),
        ("a\\\\", "a\\", true),
        ("**/foo/bar", "foo/bar", true),
        ("**/foo/bar", "dir/foo/bar", true),
        ("**/foo/bar", "dir/dir2/foo/bar", true),
        ("abc/**", "abc", false),
        ("abc/**", "abc/def", true),
        ("abc/**", "abc/def/ghi", true),
        ("**/.foo", ".foo", true),
        ("**/.foo", "bar.foo", false),
        ("a(b)c/def", "a(b)c/def", true),
        ("a(b)c/def", "a(b)c/xyz", false),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", true),
        ("node_modules", "node_modules/x/y.js", true),
        ("node_modules", "node_modules2", false),
        ("node_modules", "a/node_modules", false),
        ("*/node_modules", "a/node_modules/x", true),
        ("/foo", "foo", true),
        ("foo/", "foo/bar", true),
        ("  foo  ", "foo", true),
        ("./foo/../bar", "bar", true),
    ];
    for (pattern, path, expected) in table {
        check(&[pattern], path, expected);
    }
}

#[test]
fn the_last_match_wins() {
    check(&["**", "!util/docker/web"], "util/docker/web/foo", false);
    check(&["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo", true);
    check(&["!fileutils.go", "fileutils.go"], "fileutils.go", true);
    check(&["fileutils.go", "!fileutils.go"], "fileutils.go", false);
    check(&["*.md", "!README.md"], "README.md", false);
    check(&["*.md", "!README.md", "README-secret.md"], "README-secret.md", true);
    check(&["docs", "!docs/README.md"], "docs/README.md", false);
    check(&["docs", "!docs/README.md"], "docs/other.md", true);
    check(&["**/*.md", "! docs/x.md"], "docs/x.md", false);
    check(&[".", "/"], "anything", false);
    check(&[], "anything", false);
}

#[test]
fn files_are_read_line_by_line() {
    let text = "\u{feff}# comment\r\n\r\n  node_modules/ \n #not-a-comment\n!\tkeep\n.\n/a/../b\n";
    let patterns = IgnoreFile::parse(text).patterns;
    let expected = [(3, "node_modules"), (4, "#not-a-comment"), (5, "!keep"), (7, "b")];
    let found: Vec<(usize, &str)> = patterns.iter().map(|(n, p)| (*n, p.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn bad_patterns_are_errors_with_their_line() {
    for pattern in ["a[", "[]", "[^]", "a[b-", "x\\", "!"] {
        assert!(Ignore::new([pattern]).is_err(), "{pattern}");
    }
    let error = IgnoreFile::parse("ok\n\n[").compile().expect_err("bad pattern");
    assert!(matches!(error, Error::Line { line: 3, .. }), "{error}");
    assert_eq!(error.to_string(), "line 3: invalid pattern `[`: `[` is never closed");
    assert_eq!(Ignore::new(["!"]).expect_err("nothing"), Error::EmptyNegation);
}

#[track_caller]
fn check_walk(patterns: &[&str], folder: &str, expected: Walk) {
    let ignore = Ignore::new(patterns).expect("valid patterns");
    assert_eq!(ignore.decision(folder), expected, "{patterns:?} on {folder}");
}

#[test]
fn excluded_folders_are_walked_only_where_a_negation_reaches() {
    check_walk(&["node_modules"], "node_modules", Walk::Skip);
    check_walk(&["node_modules"], "src", Walk::Keep);
    check_walk(&["node_modules", "!src/x"], "node_modules", Walk::Skip);
    check_walk(&["*", "!src/x"], "src", Walk::Descend);
    check_walk(&["*", "!src/x"], "other", Walk::Skip);
    check_walk(&["*", "!src/x/y"], "src/x", Walk::Descend);
    check_walk(&["*", "!src/x/y"], "src/z", Walk::Skip);
    check_walk(&["*", "!**/*.go"], "any", Walk::Descend);
    check_walk(&["*", "!src/**/*.go"], "src/a", Walk::Descend);
    check_walk(&["*", "!src/**/*.go"], "lib", Walk::Skip);
    check_walk(&["*", "!s*/x"], "src", Walk::Descend);
    check_walk(&["*", "!src"], "src", Walk::Keep);
    check_walk(&["*", "!src", "src/gen"], "src/gen", Walk::Descend);
}

/// The decision must never lose a file that `matches` would keep.
fn walk_agrees(ignore: &Ignore, path: &str) -> Result<(), TestCaseError> {
    if ignore.matches(path) {
        return Ok(());
    }
    for (at, _) in path.match_indices('/') {
        prop_assert_ne!(ignore.decision(&path[..at]), Walk::Skip, "{}", path);
    }
    Ok(())
}

proptest! {
    #[test]
    fn nothing_panics(patterns in prop::collection::vec("\\PC{0,12}", 0..6), path in "\\PC{0,24}") {
        if let Ok(ignore) = Ignore::new(&patterns) {
            let _: bool = ignore.matches(&path);
            let _: Walk = ignore.decision(&path);
        }
        drop(IgnoreFile::parse(&patterns.join("\n")));
        if let Ok(glob) = crate::Glob::new(&patterns.concat()) {
            let _: bool = glob.matches(&path);
        }
    }

    #[test]
    fn walks_lose_nothing(
        patterns in prop::collection::vec("!?[ab*?/]{1,6}", 1..5),
        path in "[ab]{1,2}(/[ab]{1,2}){0,3}",
    ) {
        if let Ok(ignore) = Ignore::new(&patterns) {
            walk_agrees(&ignore, &path)?;
        }
    }

    /// The shortcuts must say what the general matcher says.
    #[test]
    fn a_bracketed_pattern_matches_the_same(
        pattern in "[ab*?/]{1,8}",
        path in "[ab]{1,2}(/[ab]{1,2}){0,3}",
    ) {
        // `[a]` is `a` to a person, but never takes a shortcut. A leading `**`
        // before plain text is moby's own shortcut with its own meaning.
        prop_assume!(!pattern.starts_with("**") || pattern.starts_with("**/"));
        let general = pattern.replace('a', "[a]").replace('b', "[b]");
        let (plain, general) = (Ignore::new([&pattern]), Ignore::new([&general]));
        if let (Ok(plain), Ok(general)) = (plain, general) {
            prop_assert_eq!(plain.matches(&path), general.matches(&path));
        }
    }
}

/// A generous bound for a debug build on a busy machine: the goal of 150 ms
/// is for a release build.
#[test]
fn many_patterns_on_many_paths_are_fast() {
    let mut lines: Vec<String> = (0..90).map(|i| format!("folder{i}/generated")).collect();
    lines.extend((0..5).map(|i| format!("**/*.ext{i}")));
    lines.extend((0..5).map(|i| format!("a{i}*/b?c")));
    let ignore = Ignore::new(&lines).expect("valid patterns");
    let paths: Vec<String> =
        (0..20_000).map(|i| format!("src/module{}/deep/file{i}.rs", i % 100)).collect();
    let start = Instant::now();
    let excluded = paths.iter().filter(|path| ignore.matches(path)).count();
    assert_eq!(excluded, 0);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
