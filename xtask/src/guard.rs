//! `cargo xtask guard`: a build makes no more system calls than it did.
//!
//! Seconds on a shared machine say little about a change; the calls that a build makes are nearly the same in each
//! run. Three builds are counted with `strace`: one that is cached as a whole, the further steps of a longer
//! Dockerfile, and the further files of a larger context that did not change. `.ci/guard.toml` has the numbers that
//! were found last; more is a failure, fewer is news, and `--update` writes what was found.

mod builds;
mod calls;
mod limits;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use self::builds::Builds;
use self::limits::{Limits, Verdict};
use crate::cargo::{self, cargo};
use crate::sh;

const USAGE: &str = "usage: cargo xtask guard [--update] [--lathe FILE]

Counts the system calls of a few builds and compares them with .ci/guard.toml. Needs root.

  --update      write what was found
  --lathe FILE  use this program instead of building it";

/// Where the numbers are, below the root of the repository.
const FILE: &str = ".ci/guard.toml";

/// The name of the only test, for its skip.
const TEST: &str = "system_calls";

/// Runs the task with the arguments that follow its name.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let (mut update, mut program) = (false, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--update" => update = true,
            "--lathe" => {
                let path = words.next().context("`--lathe` needs a value")?;
                program = Some(std::path::absolute(path).context("make a path absolute")?);
            }
            "-h" | "--help" => {
                println!("{USAGE}");
                return Ok(ExitCode::SUCCESS);
            }
            other => bail!("unknown argument `{other}`\n{USAGE}"),
        }
    }
    if let Some(reason) = missing() {
        println!("SKIP {TEST}: {reason}\n0 passed, 0 failed");
        return Ok(ExitCode::SUCCESS);
    }
    let program = program.map_or_else(build, Ok)?;
    let Some(builds) = Builds::prepare(program)? else {
        println!("SKIP {TEST}: busybox-static is not installed\n0 passed, 0 failed");
        return Ok(ExitCode::SUCCESS);
    };
    compare(&builds, update)
}

/// Returns why nothing can be counted here.
fn missing() -> Option<&'static str> {
    if !sh::is_root() {
        return Some("without root, builds go through programs that `strace` cannot follow");
    }
    (!sh::have("strace")).then_some("strace is not installed")
}

fn build() -> Result<PathBuf> {
    cargo().args(["build", "--quiet", "--package", "lathe-cli"]).stream()?;
    Ok(cargo::target_folder()?.join("debug/lathe"))
}

fn compare(builds: &Builds, update: bool) -> Result<ExitCode> {
    let file = sh::repository().join(FILE);
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let mut limits = Limits::parse(&text).with_context(|| format!("read {}", file.display()))?;
    let (mut passed, mut failed, mut fewer) = (0, 0, 0);
    for (name, counted) in builds.count()? {
        for (class, found) in counted {
            let verdict = limits.judge(name, class, found);
            match verdict {
                Verdict::AsBefore { .. } => passed += 1,
                Verdict::Fewer { .. } => (passed, fewer) = (passed + 1, fewer + 1),
                Verdict::More { .. } | Verdict::Unknown => failed += 1,
            }
            println!("{name:<3} {:<9} {found:>9.2}  {verdict}", class.name());
            limits.set(name, class, found);
        }
    }
    if update {
        fs::write(&file, limits.to_string()).with_context(|| format!("write {FILE}"))?;
        println!("written to {FILE}");
        return Ok(ExitCode::SUCCESS);
    }
    if fewer > 0 {
        println!(
            "{fewer} numbers are lower than in {FILE}: `cargo xtask guard --update` writes them"
        );
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
