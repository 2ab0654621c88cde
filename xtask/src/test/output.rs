//! What tests say of themselves.

use std::collections::BTreeSet;

/// How many lines of a failed tier the terminal shows.
const TAIL_LINES: usize = 150;

/// A test, or a part of one, that did not run here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Skip {
    pub(super) test: String,
    pub(super) reason: String,
}

/// Counts of a tier.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skips: BTreeSet<Skip>,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skips.extend(other.skips);
    }

    /// Reads the last line with sums of a task that counts by itself: `… 7 passed, 0 failed …`.
    pub(super) fn of_sums(text: &str) -> Self {
        let sums = text.lines().rfind(|line| line.contains(" passed, ")).unwrap_or_default();
        let skips = text.lines().filter_map(skip).collect();
        Self { passed: count(sums, " passed"), failed: count(sums, " failed"), skips }
    }

    /// Reads the output of one or more test executables.
    ///
    /// Those with the standard harness end in a line `test result: …`; others say `… ok` per case, or
    /// nothing at all, and are one test then. A test that skips returns as if it had passed, after a line
    /// `SKIP test: reason`.
    pub(super) fn read(text: &str, success: bool) -> Self {
        let mut tally = Self::default();
        let (mut results, mut cases, mut silent) = (0, 0, BTreeSet::new());
        for line in text.lines() {
            if let Some((_, counts)) = line.split_once("test result: ") {
                results += 1;
                tally.passed += count(counts, " passed");
                tally.failed += count(counts, " failed");
            } else if let Some(skip) = skip(line) {
                silent.insert(skip);
            } else if let Some(ignored) = ignored(line) {
                tally.skips.insert(ignored);
            } else if line == "ok" || line.ends_with(" ok") {
                cases += 1;
            }
        }
        if results == 0 {
            tally.passed = if success { cases.max(1) } else { cases };
            tally.failed = usize::from(!success);
        } else {
            let tests: BTreeSet<&str> = silent.iter().map(|skip| skip.test.as_str()).collect();
            tally.passed = tally.passed.saturating_sub(tests.len());
        }
        tally.skips.extend(silent);
        tally
    }
}

/// Returns the end of a text, for the terminal.
pub(super) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Returns the number before a word.
fn count(text: &str, word: &str) -> usize {
    let before = text.split(word).next().unwrap_or_default();
    let number = before.rsplit(|c: char| !c.is_ascii_digit()).next();
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Reads `SKIP test: reason`; with several threads, the name of another test may stand before it.
fn skip(line: &str) -> Option<Skip> {
    let at = line.find("SKIP ")?;
    let before = &line[..at];
    if !before.is_empty() && !before.ends_with(' ') {
        return None;
    }
    // Names hold `::`, never `: `.
    let (test, reason) = line[at + "SKIP ".len()..].split_once(": ")?;
    Some(Skip { test: test.to_owned(), reason: reason.to_owned() })
}

/// Reads libtest's line of an ignored test.
fn ignored(line: &str) -> Option<Skip> {
    let (test, reason) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    let reason = reason.trim_start_matches(", ");
    let reason = if reason.is_empty() { "ignored" } else { reason };
    Some(Skip { test: test.to_owned(), reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, success: bool, passed: usize, failed: usize, skips: &[(&str, &str)]) {
        let tally = Tally::read(text, success);
        let found: Vec<(&str, &str)> =
            tally.skips.iter().map(|skip| (skip.test.as_str(), skip.reason.as_str())).collect();
        assert_eq!(
            (tally.passed, tally.failed, found.as_slice()),
            (passed, failed, skips),
            "{text}"
        );
    }

    #[test]
    fn results_of_all_executables_are_added() {
        let line = "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        check(&format!("{line}noise\n{line}"), true, 24, 0, &[]);
        check("test result: FAILED. 3 passed; 2 failed; 0 ignored;", false, 3, 2, &[]);
    }

    #[test]
    fn a_test_that_skips_has_not_passed() {
        let text = "test a ... SKIP b::c: needs root: really\nok\nSKIP b::c: needs root: really\n\
                    test d ... ignored, slow\ntest result: ok. 3 passed; 0 failed; 1 ignored;";
        check(text, true, 2, 0, &[("b::c", "needs root: really"), ("d", "slow")]);
    }

    #[test]
    fn executables_without_a_harness_count_their_cases() {
        check("Root overlay: a_case ok\nRoot overlay: another ok\n", true, 2, 0, &[]);
        check("", true, 1, 0, &[]);
        check("Root overlay: a_case ok\npanicked\n", false, 1, 1, &[]);
        check("SKIP overlay: Native(\"why\")\n", true, 1, 0, &[("overlay", "Native(\"why\")")]);
    }

    #[test]
    fn a_task_that_counts_by_itself_is_believed() {
        let text =
            "SKIP conformance a.case x: no git\n9 cases: 7 passed, 1 failed, 1 skipped; 3s\n";
        let tally = Tally::of_sums(text);
        assert_eq!((tally.passed, tally.failed, tally.skips.len()), (7, 1, 1));
    }
}
