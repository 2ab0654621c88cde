//! The documented behavior of moby's patternmatcher and of BuildKit's walk,
//! as tables, and a comparison with a second, plain matcher.

mod reference;

use proptest::prelude::*;

use self::reference::Reference;
use super::{Ignore, IgnoreFile, Walk};
use crate::Error;

/// One pattern: both ways of matching agree.
#[track_caller]
fn check(pattern: &str, path: &str, expected: bool) {
    let ignore = Ignore::new([pattern]).expect("valid pattern");
    assert_eq!(ignore.matches(path), expected, "{pattern} on {path}");
    assert_eq!(ignore.matches_by_itself(path), expected, "{pattern} on {path} by itself");
    let reference = Reference::read(pattern).expect("valid pattern");
    assert_eq!(reference.walk(path), expected, "{pattern} on {path}, the reference");
}

#[test]
fn stars_match_within_a_name() {
    check("*", "file", true);
    check("*", "dir/file", true);
    check("*", ".hidden", true);
    check("*.go", "main.go", true);
    check("*.go", "pkg/main.go", false);
    check("*/*.go", "pkg/main.go", true);
    check("*/*.go", "a/pkg/main.go", false);
    check("*/*/*.go", "a/pkg/main.go", true);
    check("m*n.go", "main.go", true);
    check("m*n.go", "mn.go", true);
    check("m*n.go", "man.gone", false);
    check("m**n", "mn", true);
    check("*a*b*", "xxaxxbxx", true);
    check("*a*b*", "xxbxxaxx", false);
    check("*.tar.*", "a.tar.gz", true);
    check("*.tar.*", "a.tar", false);
    check("temp?", "tempa", true);
    check("temp?", "temp", false);
    check("temp?", "tempab", false);
    check("temp?", "tempé", true);
    check("temp??", "tempé", false);
    check("a?b", "a/b", false);
    check("*/temp*", "somedir/temporary.txt", true);
    check("*/temp*", "somedir/temp", true);
    check("*/*/temp*", "somedir/subdir/temporary.txt", true);
    check("*/temp*", "temporary.txt", false);
    check(".*", ".env", true);
    check(".*", "env", false);
    check("*.md", ".md", true);
    check("x*x", "x", false);
}

#[test]
fn double_stars_match_folders() {
    check("**", "file", true);
    check("**", "dir/file", true);
    check("**/", "file", true);
    check("**/**", "dir/file", true);
    check("**/*", "a/b/c", true);
    check("dir/**", "dir/file", true);
    check("dir/**", "dir/sub/file", true);
    check("dir/**", "dir", false);
    check("dir/**", "dirty/file", false);
    check("dir**", "dirty/file", true);
    check("dir**", "dir", true);
    check("**/dir", "dir", true);
    check("**/dir", "a/b/dir", true);
    check("**/dir", "a/dir/file", true);
    check("**/dir", "a/mydir", false);
    check("**/dir/*", "a/dir/file", true);
    check("**/dir/*", "a/dir/sub/file", true);
    check("**/dir/*", "dir", false);
    check("**/dir/**", "a/dir/sub/file", true);
    check("**/dir/**", "a/dir", false);
    check("**file", "file", true);
    check("**file", "dir/myfile", true);
    check("**file", "dir/filed", false);
    check("**.go", "a/b.go", true);
    check("**.go", ".go", true);
    check("**.go", "b.god", false);
    check("**.go", "a.go/b", true);
    check("**c/d", "a/bc/d", true);
    check("**c/d", "a/b/d", false);
    check("**/*.txt", "file.txt", true);
    check("**/*.txt", "a/b/file.txt", true);
    check("**/*.txt", "a/b/file.txt2", false);
    check("**/**/*.txt", "file.txt", true);
    check("**/file*", "a/file.txt", true);
    check("**/file*txt", "a/b/file.txt", true);
    check("**file*", "a/myfile", false);
    check("a**/*.txt", "a/file.txt", true);
    check("a**/*.txt", "ab/c/file.txt", true);
    check("a**b", "ab", true);
    check("a**b", "ax/b", true);
    check("a**b", "axb", false);
    check("a/**/z", "a/z", true);
    check("a/**/z", "a/b/c/z", true);
    check("a/**/z", "az", false);
    check("a/**/z", "b/a/z", false);
    check("a/**/y/z", "a/y/z", true);
    check("a/**/y/z", "a/b/y/z", true);
    check("a/**/y/z", "a/y/b/z", false);
    check("a/*/**", "a/b", false);
    check("a/*/**", "a/b/c", true);
    check("a/**/*", "a/b", true);
    check("**/a/**/b", "x/a/y/b", true);
    check("**/a/**/b", "x/a/b", true);
    check("**/a/**/b", "x/b/a", false);
    check("a/*.txt**", "a/file.txt", true);
    check("a/*.txt**", "a/file.txt.d/x", true);
    check("**/.git", ".git/config", true);
    check("**/.git", "sub/.git/config", true);
    check("**/.git", "my.git", false);
    check("***", "a/b", true);
    check("a/***", "a/b/c", true);
}

#[test]
fn a_matched_folder_takes_its_tree() {
    check("node_modules", "node_modules/x/y.js", true);
    check("node_modules", "node_modules", true);
    check("node_modules", "node_modules2", false);
    check("node_modules", "a/node_modules", false);
    check("*/node_modules", "a/node_modules/x", true);
    check("a/b", "a/b/c/d", true);
    check("a/b", "a", false);
    check("a/b", "a/bc", false);
    check("a/b", "x/a/b", false);
    check("a?c", "abc/deep/file", true);
}

#[test]
fn paths_are_cleaned() {
    check("/foo", "foo", true);
    check("//foo", "foo", true);
    check("foo/", "foo/bar", true);
    check("foo//bar", "foo/bar", true);
    check("./foo", "foo", true);
    check("foo/.", "foo", true);
    check("./foo/../bar", "bar", true);
    check("./foo/../bar", "foo", false);
    check("/../foo", "foo", true);
    check("../foo", "foo", false);
    check("foo/..", "foo", false);
    check("  foo  ", "foo", true);
    check("foo bar ", "foo bar", true);
    check("foo\t", "foo", true);
    check("\u{a0}foo", "foo", true);
    check("/ foo", "foo", true);
    check("/", "foo", false);
    check(".", "foo", false);
    check("./", "foo", false);
    check("", "foo", false);
    check("foo", "foo/", true);
}

#[test]
fn classes_and_escapes_are_those_of_go() {
    check("a[b-d]e", "ace", true);
    check("a[b-d]e", "aae", false);
    check("a[b-d]e", "ae", false);
    check("a[^b-d]e", "aze", true);
    check("a[^b-d]e", "ace", false);
    check("[abc]", "b", true);
    check("[a-cx-z]", "y", true);
    check("[a-cx-z]", "m", false);
    check("[!a]", "!", true);
    check("[!a]", "b", false);
    check("[\\]]", "]", true);
    check("[\\-a]", "-", true);
    check("[a\\-z]", "m", false);
    check("[a-ζ]*", "α", true);
    check("a[^a]b", "a☺b", true);
    check("a]b", "a]b", true);
    // Go's Match lets a class match a slash.
    check("a[^x]b", "a/b", true);
    check("a[.-9]b", "a/b", true);
    check("a[^x]b", "a/b/c", true);
    check("[*]", "*", true);
    check("[*]", "a", false);
    check("a\\*b", "a*b", true);
    check("a\\*b", "axb", false);
    check("a\\?b", "a?b", true);
    check("a\\[b", "a[b", true);
    check("a\\\\", "a\\", true);
    check("\\a", "a", true);
    check("a\\/b", "a/b", true);
    check("\\!keep", "!keep", true);
    check("\\#x", "#x", true);
    check("**\\*x", "d/*x", true);
    // A slash that is escaped survives cleaning, and no path starts with one.
    check("\\/***", "a", false);
    check("\\/**", "a/b", false);
    check("**/\\/a", "a", false);
    check("abc.def", "abcXdef", false);
    check("a(b)c/def", "a(b)c/def", true);
    check("a(b)c/def", "a(b)c/xyz", false);
    check("a.|)$(}+{bc", "a.|)$(}+{bc", true);
    check("{a,b}", "a", false);
    check("a^b*", "a^bc", true);
    check("*.py-[0-9]+", "x.py-3+", true);
}

/// Several lines: (lines, path, excluded on a walk, excluded by itself).
#[track_caller]
fn check_lines(lines: &str, path: &str, walk: bool, alone: bool) {
    let ignore = IgnoreFile::parse(lines).compile().expect("valid patterns");
    assert_eq!(ignore.matches(path), walk, "{lines:?} on {path}");
    assert_eq!(ignore.matches_by_itself(path), alone, "{lines:?} on {path} by itself");
    let reference = Reference::read(lines).expect("valid patterns");
    assert_eq!(reference.walk(path), walk, "{lines:?} on {path}, the reference");
    assert_eq!(reference.alone(path), alone, "{lines:?} on {path} by itself, the reference");
}

#[test]
fn the_last_match_wins() {
    let same = |lines, path, excluded| check_lines(lines, path, excluded, excluded);
    same("**\n!util/docker/web", "util/docker/web/foo", false);
    same("**\n!util/docker/web\nutil/docker/web/foo", "util/docker/web/foo", true);
    same("!main.go\nmain.go", "main.go", true);
    same("main.go\n!main.go", "main.go", false);
    same("*.md\n!README.md", "README.md", false);
    same("*.md\n!README.md", "NEWS.md", true);
    same("*.md\n!README.md\nREADME-secret.md", "README-secret.md", true);
    same("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true);
    same("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", false);
    same("docs\n!docs/README.md", "docs/README.md", false);
    same("docs\n!docs/README.md", "docs/other.md", true);
    same("docs/\n!docs/README.md", "docs/README.md", false);
    same("docs/*\n!docs/README.md", "docs/README.md", false);
    same("docs/**\n!docs/a/**", "docs/a/b/c", false);
    same("docs/**\n!docs/a/**", "docs/b/c", true);
    same("**/*.md\n! docs/x.md", "docs/x.md", false);
    same("*\n!src\n!Makefile", "src/a/b.c", false);
    same("*\n!src\n!Makefile", "Makefile", false);
    same("*\n!src\n!Makefile", "other/a", true);
    same("*\n!src\nsrc/gen", "src/gen/x", true);
    same("*\n!src\nsrc/gen\n!src/gen/keep", "src/gen/keep", false);
    same("a\n!a/b\na/b/c\n!a/b/c/d", "a/b/c/d/e", false);
    same("a\n!a/b\na/b/c\n!a/b/c/d", "a/b/c/x", true);
    same("**\n!**/*.go", "x/y/z.go", false);
    same("**\n!**/*.go", "x/y/z.c", true);
    same("!**", "x", false);
    same(".\n/\n", "anything", false);
    same("", "anything", false);
    same("/!x\nx", "x", true);
    same("x\n/!x", "x", false);
    same("x\n./!x", "x", false);
    same("!!x\n", "!x", false);
    same("!x\n\\!x", "!x", true);
}

#[test]
fn what_a_folder_was_not_asked_its_files_do_not_know() {
    // `!docs` has nothing to negate at `docs`, so it says nothing of what is
    // in it, where only `!docs/…` is asked.
    check_lines("**/*.md\n!docs", "docs/a.md", true, false);
    check_lines("**/*.md\n!docs", "docs", false, false);
    check_lines("**/*.md\n!docs/**", "docs/a.md", false, false);
    check_lines("**/*.md\n!docs/**", "docs/a/b.md", false, false);
    check_lines("**/*.md\n!docs/*", "docs/a.md", false, false);
    check_lines("**/*.md\n!docs/*", "docs/a/b.md", true, false);
    check_lines("*\n!docs\n**/*.md\n!docs", "docs/a.md", true, false);
    check_lines("x/y\n!x", "x/y", true, false);
    // The other way round: the second `x` changes nothing at `x`.
    check_lines("x\n!x/y\nx", "x/y", false, true);
    check_lines("x\n!x/y\nx/*", "x/y", true, true);
    check_lines("*\n!x\n*", "x/y", true, true);
}

#[test]
fn the_order_of_questions_does_not_matter() {
    let ignore = Ignore::new(["a/b", "!a/b/c", "**/*.o", "x/**/t/*", "!x/k"]).expect("valid");
    let paths = [
        "a",
        "a/b",
        "a/b/c",
        "a/b/c/d",
        "a/b/d",
        "a/bb/c",
        "a.o",
        "q/a.o",
        "x/t/1",
        "x/k/t/1",
        "x/y/t/2",
        "a/b/c/e",
        "a/bb",
        "x",
        "a/b/c/d/e/f.o",
        "a/b",
        "z/z",
        "x/y/t",
    ];
    for first in paths {
        for second in paths {
            let fresh = ignore.clone();
            assert!(fresh.matches(first) == ignore.matches(first), "{first}");
            assert_eq!(fresh.matches(second), ignore.matches(second), "{first}, then {second}");
        }
    }
}

#[test]
fn any_thread_may_ask() {
    let ignore = Ignore::new(["**/*.o", "a/b", "!a/b/c"]).expect("valid patterns");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let ignore = &ignore;
            scope.spawn(move || {
                for i in 0..2000 {
                    assert!(ignore.matches(&format!("d{thread}/e{i}/x.o")));
                    assert!(!ignore.matches(&format!("a/b/c/{i}")));
                    assert!(ignore.matches(&format!("a/b/{i}")));
                }
            });
        }
    });
}

#[test]
fn more_patterns_than_a_word_has_bits_keep_their_order() {
    let mut lines: Vec<String> = (0..200).map(|i| format!("dir{i}")).collect();
    lines.push("!dir7/x".to_owned());
    lines.extend((0..64).map(|i| format!("**/other{i}")));
    lines.push("!dir130/**".to_owned());
    let ignore = Ignore::new(&lines).expect("valid patterns");
    assert!(ignore.matches("dir7/y"));
    assert!(!ignore.matches("dir7/x"));
    assert!(ignore.matches("dir7/x/other3"));
    assert!(!ignore.matches("dir130/x/other3"));
    assert_eq!(ignore.decision("dir7"), Walk::Descend);
    assert_eq!(ignore.decision("dir8"), Walk::Skip);
    assert_eq!(ignore.decision("dir130"), Walk::Descend);
    assert!(ignore.matches("dir199/a/b"));
    assert!(!ignore.matches("dir200"));
}

#[test]
fn files_are_read_line_by_line() {
    let text = "\u{feff}# comment\r\n\r\n  node_modules/ \n #not-a-comment\n!\tkeep\n/a/../b\n! ";
    let patterns = IgnoreFile::parse(text).patterns;
    let expected = [(3, "node_modules"), (4, "#not-a-comment"), (5, "!keep"), (6, "b"), (7, "!")];
    let found: Vec<(usize, &str)> = patterns.iter().map(|(n, p)| (*n, p.as_str())).collect();
    assert_eq!(found, expected);
    assert!(IgnoreFile::parse("a\n\u{feff}#b").patterns.len() == 2, "only at the start");
}

#[test]
fn bad_patterns_are_errors_with_their_line() {
    let bad = [
        "a[", "[]", "[^]", "[^", "a[b-", "[a-b-c]", "[-x]", "[x-]", "[]a]", "x\\", "\\", "[z-a]",
        "a/b[/c", "!", "! ", "!/", "![", "!a\\",
    ];
    for pattern in bad {
        assert!(Ignore::new([pattern]).is_err(), "{pattern}");
        assert!(Reference::read(pattern).is_none(), "{pattern}, the reference");
    }
    let error = IgnoreFile::parse("ok\n\n[").compile().expect_err("bad pattern");
    assert!(matches!(error, Error::Line { line: 3, .. }), "{error}");
    assert_eq!(error.to_string(), "line 3: invalid pattern `[`: `[` is never closed");
    assert_eq!(Ignore::new(["!"]).expect_err("nothing"), Error::EmptyNegation);
    let error = IgnoreFile::parse("# x\n!").compile().expect_err("nothing to negate");
    assert_eq!(error.to_string(), "line 2: `!` needs a pattern behind it");
}

#[track_caller]
fn check_walk(patterns: &[&str], folder: &str, expected: Walk) {
    let ignore = Ignore::new(patterns).expect("valid patterns");
    assert_eq!(ignore.decision(folder), expected, "{patterns:?} on {folder}");
}

#[test]
fn excluded_folders_are_walked_only_where_a_negation_reaches() {
    check_walk(&["node_modules"], "node_modules", Walk::Skip);
    check_walk(&["node_modules"], "node_modules/a", Walk::Skip);
    check_walk(&["node_modules"], "src", Walk::Keep);
    check_walk(&["node_modules", "!src/x"], "node_modules", Walk::Skip);
    check_walk(&["node_modules", "!node_modules/x"], "node_modules", Walk::Descend);
    check_walk(&["!node_modules/x", "node_modules"], "node_modules", Walk::Skip);
    check_walk(&["*", "!src/x"], "src", Walk::Descend);
    check_walk(&["*", "!src/x"], "other", Walk::Skip);
    check_walk(&["*", "!src/x"], "src/y", Walk::Skip);
    check_walk(&["*", "!src/x/y"], "src/x", Walk::Descend);
    check_walk(&["*", "!src/x/y"], "src/z", Walk::Skip);
    check_walk(&["*", "!**/*.go"], "any", Walk::Descend);
    check_walk(&["*", "!**/x/y"], "any/where", Walk::Descend);
    check_walk(&["*", "!src/**/*.go"], "src/a", Walk::Descend);
    check_walk(&["*", "!src/**/*.go"], "lib", Walk::Skip);
    check_walk(&["*", "!src/**"], "src", Walk::Descend);
    check_walk(&["*", "!s*/x"], "src", Walk::Descend);
    check_walk(&["*", "!s*/x"], "lib", Walk::Skip);
    check_walk(&["*", "!a[^b]c"], "a", Walk::Descend);
    check_walk(&["*", "!a**c"], "ab", Walk::Descend);
    check_walk(&["*", "!a**c"], "b", Walk::Skip);
    check_walk(&["*", "!src"], "src", Walk::Keep);
    // All of `src/gen` is excluded after what `!src` takes back.
    check_walk(&["*", "!src", "src/gen"], "src/gen", Walk::Skip);
    check_walk(&["*", "!src", "src/gen", "!src/gen/a"], "src/gen", Walk::Descend);
}

/// The decision must never lose a file that `matches` would keep.
fn walk_agrees(ignore: &Ignore, path: &str) -> Result<(), TestCaseError> {
    let excluded = ignore.matches(path);
    prop_assert_eq!(ignore.decision(path) != Walk::Keep, excluded, "{}", path);
    for (at, _) in path.match_indices('/').filter(|_| !excluded) {
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

    /// All shortcuts must say what the plain matcher says.
    #[test]
    fn the_reference_agrees(
        lines in prop::collection::vec("!?(\\*\\*/|[ab*?/]{0,3}|[ab]/)[ab*?/]{0,4}(/|\\[\\^a\\]|/\\*\\*)?", 1..6),
        paths in prop::collection::vec("[ab]{1,2}(/[ab]{1,2}){0,4}", 1..6),
    ) {
        let text = lines.join("\n");
        let ignore = IgnoreFile::parse(&text).compile().ok();
        let reference = Reference::read(&text);
        prop_assert_eq!(ignore.is_some(), reference.is_some(), "{}", text);
        let (Some(ignore), Some(reference)) = (ignore, reference) else { return Ok(()) };
        for path in &paths {
            prop_assert_eq!(ignore.matches(path), reference.walk(path), "{:?} on {}", text, path);
            let alone = ignore.matches_by_itself(path);
            prop_assert_eq!(alone, reference.alone(path), "{:?} on {} by itself", text, path);
            walk_agrees(&ignore, path)?;
        }
    }
}

/// Threads that walk through different folders share the patterns and nothing that they remember.
#[test]
fn answers_do_not_depend_on_what_other_threads_ask() {
    let mut lines: Vec<String> = (0..90).map(|i| format!("folder{i}/generated")).collect();
    lines.extend((0..5).map(|i| format!("**/*.ext{i}")));
    lines.extend((0..5).map(|i| format!("a{i}*/b?c")));
    let ignore = Ignore::new(&lines).expect("valid patterns");
    let excluded = |thread: usize| {
        let path = |i| format!("src/module{}/deep/file{i}.ext{}", (i + thread) % 100, i % 10);
        (0..2000).map(path).filter(|path| ignore.matches(path)).count()
    };
    std::thread::scope(|scope| {
        // More than there are trails.
        let threads: Vec<_> = (0..12).map(|thread| scope.spawn(move || excluded(thread))).collect();
        for thread in threads {
            assert_eq!(thread.join().expect("no panic"), 1000);
        }
    });
}

#[test]
fn hostile_patterns_come_to_an_end() {
    let ignore = Ignore::new(["**/a".repeat(40) + "[^b]", "*a".repeat(60)]).expect("valid");
    // Trying all ways to place forty wildcards would not end in this century.
    assert!(!ignore.matches(&("a/".repeat(100) + "b")));
}
