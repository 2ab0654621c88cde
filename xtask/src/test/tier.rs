//! The tiers and how each is run.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Error, Result, anyhow, bail};

use super::output::{self, Tally};
use crate::cargo::{self, cargo};
use crate::sh::Cmd;
use crate::tidy;

/// The package and the test with the cases that run the program as a user does.
const E2E: (&str, &str) = ("lathe-cli", "it");

/// Seconds after which a tier hangs for sure.
const PATIENCE: &str = "1500";

/// How long the output may stay open and silent after its command has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A group of checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    Format,
    Clippy,
    Tidy,
    Unit,
    Doc,
    Data,
    Sandbox,
    Guard,
    Conformance,
    EndToEnd,
}

/// How a tier ended.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) tally: Tally,
    /// All that was written.
    pub(super) text: String,
    pub(super) error: Option<Error>,
}

impl Tier {
    pub(super) const ALL: [Self; 10] = [
        Self::Format,
        Self::Clippy,
        Self::Tidy,
        Self::Unit,
        Self::Doc,
        Self::Data,
        Self::Sandbox,
        Self::Guard,
        Self::Conformance,
        Self::EndToEnd,
    ];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Format => "fmt",
            Self::Clippy => "clippy",
            Self::Tidy => "tidy",
            Self::Unit => "unit",
            Self::Doc => "doc",
            Self::Data => "data",
            Self::Sandbox => "sandbox",
            Self::Guard => "guard",
            Self::Conformance => "conform",
            Self::EndToEnd => "e2e",
        }
    }

    pub(super) fn purpose(self) -> &'static str {
        match self {
            Self::Format => "the code has rustfmt's form",
            Self::Clippy => "the compiler and clippy have nothing to say",
            Self::Tidy => "the rules of this repository (cargo xtask tidy)",
            Self::Unit => "tests inside of the crates",
            Self::Doc => "examples in the documentation",
            Self::Data => "tests beside the crates: data, properties, protocols, fuzzed inputs",
            Self::Sandbox => "tests that enter namespaces, without a harness",
            Self::Guard => "builds make no more system calls than they did (cargo xtask guard)",
            Self::Conformance => "cases of the Dockerfile language (cargo xtask conformance)",
            Self::EndToEnd => "the program as root and as a normal user run it",
        }
    }

    /// Returns whether it builds and runs images, which takes minutes.
    pub(super) fn builds_images(self) -> bool {
        matches!(self, Self::Guard | Self::Conformance | Self::EndToEnd)
    }

    /// Returns whether it makes use of Debian's packages.
    pub(super) fn runs_programs(self) -> bool {
        !matches!(self, Self::Format | Self::Clippy | Self::Tidy)
    }

    pub(super) fn run(self) -> Verdict {
        let verdict = match self {
            Self::Format => Ok(one(&["fmt", "--all", "--check"])),
            Self::Clippy => {
                Ok(one(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
            }
            Self::Tidy => run_tidy(),
            Self::Unit => Ok(tests(&["--workspace", "--lib", "--bins"], SHOW)),
            Self::Doc => Ok(tests(&["--workspace", "--doc"], &[])),
            Self::Data => run_targets(true).map(|mut verdict| {
                verdict.add(task(&["fuzz", "--replay"]));
                verdict
            }),
            Self::Sandbox => run_targets(false),
            Self::Guard => Ok(run_guard()),
            Self::Conformance => Ok(run_conformance()),
            Self::EndToEnd => Ok(run_end_to_end()),
        };
        verdict.unwrap_or_else(|error| Verdict { error: Some(error), ..Verdict::default() })
    }
}

impl Verdict {
    /// Adds what a further command of the same tier did.
    fn add(&mut self, other: Self) {
        self.tally.add(other.tally);
        self.text.push_str(&other.text);
        self.error = self.error.take().or(other.error);
    }
}

/// libtest keeps what passing tests print, and so their skips, unless it is told not to.
const SHOW: &[&str] = &["--nocapture"];

/// Runs a cargo command that is one check.
fn one(arguments: &[&str]) -> Verdict {
    let mut verdict = capture(&cargo().args(arguments));
    verdict.tally = Tally { passed: usize::from(verdict.error.is_none()), ..Tally::default() };
    verdict
}

fn run_tidy() -> Result<Verdict> {
    let findings = tidy::findings()?;
    let mut text = String::new();
    for finding in &findings {
        writeln!(text, "{finding}").expect("a string can be written to");
    }
    let error = (!findings.is_empty()).then(|| anyhow!("{} findings\n{text}", findings.len()));
    let tally = Tally { passed: usize::from(findings.is_empty()), ..Tally::default() };
    Ok(Verdict { tally, text, error })
}

fn tests(selection: &[&str], words: &[&str]) -> Verdict {
    capture(&cargo().args(["test", "--no-fail-fast"]).args(selection).arg("--").args(words))
}

/// Runs the test executables that have a harness, or those that have none.
fn run_targets(has_harness: bool) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    for target in cargo::test_targets()? {
        if target.has_harness == has_harness
            && (target.package.as_str(), target.name.as_str()) != E2E
        {
            let words = if has_harness { SHOW } else { &[] };
            verdict.add(tests(&["-p", &target.package, "--test", &target.name], words));
        }
    }
    Ok(verdict)
}

/// Runs another task of this program.
fn task(arguments: &[&str]) -> Verdict {
    match std::env::current_exe() {
        Ok(program) => capture(&Cmd::new(program).args(arguments)),
        Err(error) => Verdict { error: Some(error.into()), ..Verdict::default() },
    }
}

fn run_guard() -> Verdict {
    let mut verdict = task(&["guard"]);
    verdict.tally = Tally::of_sums(&verdict.text);
    verdict
}

fn run_conformance() -> Verdict {
    // The cases take the newest program there is, which is to be this source's.
    let mut verdict = one(&["build", "--package", "lathe-cli"]);
    if verdict.error.is_none() {
        verdict = conformance(&[]);
        // The cases are the same for everybody.
        if crate::sh::is_root() {
            verdict.add(conformance(&["--as-user"]));
        }
    }
    verdict
}

fn conformance(options: &[&str]) -> Verdict {
    let mut verdict = task(&[&["conformance"], options].concat());
    verdict.tally = Tally::of_sums(&verdict.text);
    verdict
}

fn run_end_to_end() -> Verdict {
    let (package, name) = E2E;
    tests(&["-p", package, "--test", name], SHOW)
}

/// Runs a command and keeps what it writes to both ends, in order.
fn capture(command: &Cmd) -> Verdict {
    let mut verdict = Verdict::default();
    match read_all(command, &mut verdict.text) {
        Ok(true) => {}
        Ok(false) => {
            let tail = output::tail(&verdict.text);
            verdict.error = Some(anyhow!("`{}` failed:\n{tail}", command.line()));
        }
        Err(error) => verdict.error = Some(error),
    }
    verdict.tally = Tally::read(&verdict.text, verdict.error.is_none());
    verdict
}

fn read_all(command: &Cmd, text: &mut String) -> Result<bool> {
    let (reader, writer) = std::io::pipe().context("make a pipe")?;
    let errors = writer.try_clone().context("share a pipe")?;
    let bounded = command.clone().within(PATIENCE);
    let mut child = bounded.spawn(Stdio::from(writer), Stdio::from(errors))?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            // Nobody waits for lines after the command has ended long ago.
            if sender.send(std::mem::take(&mut line)).is_err() {
                return;
            }
        }
    });
    let mut ended = None;
    loop {
        match lines.recv_timeout(LAST_WORDS) {
            Ok(line) => text.push_str(&String::from_utf8_lossy(&line)),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if ended.is_some() => {
                bail!("a process that the tests left behind holds their output open");
            }
            Err(RecvTimeoutError::Timeout) => ended = child.try_wait().context("wait")?,
        }
    }
    Ok(child.wait().context("wait for a command")?.success())
}
