//! What is printed: the table of rows, the failures, the sums.

use std::time::Duration;

use super::Verdicts;
use super::case::Case;
use super::rows::Rows;
use super::run::SLOW;

/// Lines of a failed build that are shown.
const SAID: usize = 12;

/// What the other builder thinks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Second {
    /// It was not asked.
    #[default]
    None,
    Same,
    /// It differs, and the case says why.
    Explained,
    Cannot,
}

/// What came of a case.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) failures: Vec<String>,
    /// Why it was not run.
    pub(super) skipped: Option<String>,
    pub(super) second: Second,
    /// What lathe wrote, if it failed.
    pub(super) said: String,
    pub(super) took: Duration,
}

/// All that is to be told.
#[derive(Debug)]
pub(super) struct Report<'a> {
    rows: &'a Rows,
    cases: &'a [Case],
    verdicts: Verdicts<'a>,
    /// What is wrong apart from the cases.
    pub(super) findings: Vec<String>,
}

impl<'a> Report<'a> {
    pub(super) fn new(rows: &'a Rows, cases: &'a [Case], verdicts: Verdicts<'a>) -> Self {
        Self { rows, cases, verdicts, findings: Vec::new() }
    }

    pub(super) fn is_good(&self) -> bool {
        self.findings.is_empty() && self.count(|verdict| !verdict.failures.is_empty()) == 0
    }

    fn count(&self, what: impl Fn(&Verdict) -> bool) -> usize {
        self.verdicts.iter().filter(|(_, verdict)| what(verdict)).count()
    }

    pub(super) fn print(&self, took: Duration) {
        self.print_table();
        for (case, verdict) in &self.verdicts {
            if let Some(reason) = &verdict.skipped {
                println!("SKIP conformance {}: {reason}", case.key());
            }
            if verdict.took > SLOW {
                println!("slow: {} took {:.1}s", case.key(), verdict.took.as_secs_f64());
            }
        }
        self.print_failures();
        for finding in &self.findings {
            println!("finding: {finding}");
        }
        self.print_sums(took);
    }

    fn print_table(&self) {
        println!("{:<34} {:>6} {:>6} {:>6}  row", "id", "cases", "passed", "failed");
        for row in &self.rows.rows {
            let of_row = |case: &Case| case.rows.contains(&row.id);
            let cases = self.cases.iter().filter(|case| of_row(case)).count();
            let run = || self.verdicts.iter().filter(|(case, _)| of_row(case));
            let failed = run().filter(|(_, verdict)| !verdict.failures.is_empty()).count();
            let skipped = run().filter(|(_, verdict)| verdict.skipped.is_some()).count();
            let passed = run().count() - failed - skipped;
            println!("{:<34} {cases:>6} {passed:>6} {failed:>6}  {}", row.id, row.title);
        }
    }

    fn print_failures(&self) {
        for (case, verdict) in self.verdicts.iter().filter(|(_, v)| !v.failures.is_empty()) {
            println!(
                "\nFAILED {}:{} {} [{}]",
                case.file,
                case.line,
                case.title,
                case.rows.join(" ")
            );
            for failure in &verdict.failures {
                println!("  {failure}");
            }
            let lines: Vec<&str> = verdict.said.trim_end().lines().collect();
            for line in &lines[lines.len().saturating_sub(SAID)..] {
                println!("    | {line}");
            }
        }
    }

    fn print_sums(&self, took: Duration) {
        let failed = self.count(|verdict| !verdict.failures.is_empty());
        let skipped = self.count(|verdict| verdict.skipped.is_some());
        let covered = self
            .rows
            .rows
            .iter()
            .filter(|row| self.cases.iter().any(|case| case.rows.contains(&row.id)))
            .count();
        println!(
            "\n{} cases: {} passed, {failed} failed, {skipped} skipped; {covered} of {} rows have \
             cases; {:.0}s",
            self.verdicts.len(),
            self.verdicts.len() - failed - skipped,
            self.rows.rows.len(),
            took.as_secs_f64()
        );
        let of = |second| self.count(|verdict| verdict.second == second);
        println!(
            "buildah: {} the same, {} different for a reason that the case names, {} it cannot build",
            of(Second::Same),
            of(Second::Explained),
            of(Second::Cannot)
        );
    }
}
