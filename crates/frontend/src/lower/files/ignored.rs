//! Whether what `COPY` asks for is kept out of the context.

use lathe_pattern::Ignore;

use crate::path::join;

/// A name that no pattern has but one that matches everything.
const ANY_NAME: &str = "\u{1}";

/// Tells whether a source is excluded for sure.
///
/// With negations in the file nothing is sure: something below may be taken in again. The root of
/// the context is excluded only if everything in it is.
pub(super) fn is_ignored(ignore: &Ignore, source: &str) -> bool {
    if ignore.is_empty() || ignore.has_negations() {
        return false;
    }
    match &join("/", source)[1..] {
        "" => ignore.matches(ANY_NAME),
        path => ignore.matches(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_looked_up_among_the_patterns() {
        let check = |lines: &[&str], source: &str, expected: bool| {
            let ignore = Ignore::new(lines).unwrap();
            assert_eq!(is_ignored(&ignore, source), expected, "{lines:?} {source}");
        };
        check(&["dist"], "dist", true);
        check(&["dist"], "./dist/", true);
        check(&["dist"], "/dist/main.js", true);
        check(&["dist"], "src", false);
        check(&["*.log"], "*.log", true);
        check(&["dist", "!dist/keep"], "dist", false);
        check(&["dist"], ".", false);
        check(&["*"], ".", true);
        check(&["**"], "/", true);
        check(&["*.md"], ".", false);
        check(&[], "x", false);
    }
}
