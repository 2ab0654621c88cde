//! Steps with how each came to its result: `build --explain`, `--dry-run`, `why-not-cached`.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// How a step came to its result, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepWord {
    Hit,
    Ran,
    NotNeeded,
    WouldRun,
    MayRun,
}

/// One step.
#[derive(Debug, Clone)]
pub(crate) struct StepRow {
    /// `[builder 2/5] RUN npm ci`.
    pub(crate) name: String,
    /// The line of the Dockerfile, where one asks for the step.
    pub(crate) line: Option<usize>,
    pub(crate) word: StepWord,
    /// Why it was not found, in words.
    pub(crate) cause: Option<String>,
    /// Seconds that it ran.
    pub(crate) seconds: f64,
    /// Seconds that its result took to make, whenever that was.
    pub(crate) cost: f64,
}

impl StepWord {
    fn text(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Ran => "RAN",
            Self::NotNeeded => "SKIPPED",
            Self::WouldRun => "WOULD RUN",
            Self::MayRun => "MAY RUN",
        }
    }
}

impl StepRow {
    fn tail(&self) -> String {
        match (&self.cause, self.word) {
            (Some(cause), _) => format!(": {cause}"),
            (None, StepWord::Hit | StepWord::NotNeeded) => String::new(),
            (None, StepWord::Ran | StepWord::WouldRun | StepWord::MayRun) => {
                ": nothing to compare it with".to_owned()
            }
        }
    }
}

/// One line for each step: the word, the name and, where it was not found, why.
///
/// Steps that nobody wrote are told when they have a cause of their own.
pub(crate) fn steps(rows: &[StepRow]) -> String {
    let shown = || rows.iter().filter(|row| row.line.is_some() || row.cause.is_some());
    let width = shown().map(|row| row.word.text().len()).max().unwrap_or(0);
    let mut text = String::new();
    for row in shown() {
        writeln!(text, "{:width$}  {}{}", row.word.text(), row.name, row.tail())
            .expect("writing to a string cannot fail");
    }
    text
}

/// The same as data.
pub(crate) fn steps_document(rows: &[StepRow]) -> Value {
    let row = |row: &StepRow| {
        json!({
            "Name": row.name,
            "Line": row.line,
            "Status": row.word.text(),
            "Cause": row.cause,
            "Seconds": row.seconds,
            "Cost": row.cost,
        })
    };
    rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, word: StepWord, cause: Option<&str>) -> StepRow {
        let cause = cause.map(str::to_owned);
        StepRow { name: name.to_owned(), line: Some(1), word, cause, seconds: 0.5, cost: 2.0 }
    }

    #[test]
    fn each_step_has_its_line() {
        let internal = StepRow { line: None, ..row("[internal] context", StepWord::Ran, None) };
        let rows = [
            row("[1/3] FROM alpine", StepWord::Hit, None),
            internal,
            row("[2/3] COPY a .", StepWord::WouldRun, Some("a changed")),
            row("[3/3] RUN make", StepWord::MayRun, None),
        ];
        let want = "\
HIT        [1/3] FROM alpine
WOULD RUN  [2/3] COPY a .: a changed
MAY RUN    [3/3] RUN make: nothing to compare it with
";
        assert_eq!(steps(&rows), want);
        assert_eq!(steps(&rows[..1]), "HIT  [1/3] FROM alpine\n");
        assert_eq!(steps_document(&rows)[2]["Cause"], "a changed");
        assert_eq!(steps_document(&rows)[0]["Status"], "HIT");
    }
}
