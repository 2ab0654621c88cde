//! The one place that turns errors into text and exit codes.
//!
//! ```text
//! error: what was wanted
//! cause: what happened
//! hint: what to do about it
//! ```

use std::{fmt, io};

use lathe_engine::{FailureKind, images};

use crate::progress::safe;

/// Exit code after an interrupt, as shells expect it (128 + SIGINT).
pub(crate) const INTERRUPTED: u8 = 130;

/// An error with a hint: a command or flag that the user can type.
#[derive(Debug)]
pub(crate) struct Hinted {
    pub(crate) error: anyhow::Error,
    pub(crate) hint: String,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Hinted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// An outcome that ends with a code and has told its reasons already, or needs none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) u8);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}", self.0)
    }
}

impl std::error::Error for Exit {}

/// The command was cancelled by the user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// An error with an exit code of its own.
#[derive(Debug)]
pub(crate) struct Coded {
    pub(crate) error: anyhow::Error,
    pub(crate) code: u8,
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Coded {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// What to print on standard error, and the code to exit with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) text: String,
    pub(crate) code: u8,
}

/// Turns an error into its report.
pub(crate) fn report(error: &anyhow::Error) -> Report {
    if is_broken_pipe(error) {
        return Report { text: String::new(), code: 0 };
    }
    if let Some(Exit(code)) = error.downcast_ref() {
        return Report { text: String::new(), code: *code };
    }
    if error.is::<Interrupted>() {
        return Report { text: "error: interrupted\n".to_owned(), code: INTERRUPTED };
    }
    let interrupted = |link: &(dyn std::error::Error + 'static)| {
        let engine = link.downcast_ref::<lathe_engine::Error>().map(lathe_engine::Error::kind);
        let images = link.downcast_ref::<images::Error>().map(images::Error::kind);
        engine.or(images) == Some(FailureKind::Interrupted)
    };
    if error.chain().any(interrupted) {
        return Report { text: "error: interrupted\n".to_owned(), code: INTERRUPTED };
    }
    let code =
        error.chain().find_map(|link| link.downcast_ref::<Coded>()).map_or(1, |coded| coded.code);
    Report { text: text(error), code }
}

fn text(error: &anyhow::Error) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (index, link) in error.chain().enumerate() {
        let text = safe(link.to_string().trim_end());
        let label = if index == 0 { "error" } else { "cause" };
        // A wrapper that only repeats its source tells nothing new.
        if lines.last().is_some_and(|last| last.ends_with(&text)) {
            continue;
        }
        // Findings about a Dockerfile bring their own label.
        let labelled = text.starts_with("error: ");
        lines.push(if labelled { text } else { format!("{label}: {text}") });
    }
    let hints = error.chain().filter_map(|link| link.downcast_ref::<Hinted>());
    let hints = hints.map(|hinted| hinted.hint.clone());
    let engine = error.chain().filter_map(|link| link.downcast_ref::<lathe_engine::Error>());
    let images = error.chain().filter_map(|link| link.downcast_ref::<images::Error>());
    let hints = hints.chain(engine.filter_map(lathe_engine::Error::hint));
    let hints = hints.chain(images.filter_map(images::Error::hint));
    lines.extend(hints.map(|hint| format!("hint: {hint}")));
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// Tells whether the error is that nobody reads our output any more.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context as _, anyhow};

    fn check(error: &anyhow::Error, text: &str, code: u8) {
        assert_eq!(report(error), Report { text: text.to_owned(), code });
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let error =
            Err::<(), _>(anyhow!("no such file")).context("reading `x`").expect_err("is an error");
        check(&error, "error: reading `x`\ncause: no such file\n", 1);
    }

    #[test]
    fn findings_keep_their_label_and_output_of_steps_is_made_safe() {
        check(
            &anyhow!("error: unknown instruction\n --> Dockerfile:1:1\n"),
            "error: unknown instruction\n --> Dockerfile:1:1\n",
            1,
        );
        check(&anyhow!("`x` failed\n  | a\x1b[2Jb"), "error: `x` failed\n  | ab\n", 1);
    }

    #[test]
    fn hints_come_last() {
        let hint = "run `lathe doctor`".to_owned();
        let error = anyhow::Error::new(Hinted { error: anyhow!("no sub-ids"), hint });
        check(&error, "error: no sub-ids\nhint: run `lathe doctor`\n", 1);
        let error = error.context("building");
        check(&error, "error: building\ncause: no sub-ids\nhint: run `lathe doctor`\n", 1);
    }

    #[test]
    fn codes_follow_the_kind() {
        check(&anyhow::Error::new(Exit(3)), "", 3);
        check(&anyhow::Error::new(Interrupted), "error: interrupted\n", 130);
        let error = anyhow::Error::new(Coded { error: anyhow!("no `sh`"), code: 127 });
        check(&error, "error: no `sh`\n", 127);
        check(&anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe)), "", 0);
    }
}
