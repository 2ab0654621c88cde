//! `cargo xtask test`: everything that has to hold before a change is taken, in one command.
//!
//! Tiers run in order, from the cheap to the dear; a failed one does not stop the others. Each tier's full output
//! goes to a file, the terminal shows one line per tier, the end of a failed one's output, and at last the counts
//! and the list of what was skipped. On continuous integration (`CI=true`) a skip that `.ci/skips.txt` does not
//! list is a failure: else a machine that lacks a feature would be green for ever.

mod output;
mod skips;
mod tier;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use self::output::{Skip, Tally};
use self::skips::Allowed;
use self::tier::{Tier, Verdict};
use crate::{cargo, packages, sh};

const USAGE: &str = "usage: cargo xtask test [--fast] [--tier NAME]… [--no-install]

  --fast        leave out the tiers that build images (guard, conform, e2e)
  --tier NAME   run only this one: fmt, clippy, tidy, unit, doc, data, sandbox, guard, conform, e2e
  --no-install  do not install Debian packages that tests want";

/// What the command line asks for.
#[derive(Debug)]
struct Request {
    tiers: Vec<Tier>,
    install: bool,
}

/// What became of a tier.
#[derive(Debug)]
struct Outcome {
    tier: Tier,
    tally: Tally,
    time: Duration,
}

/// Runs the task with the arguments that follow its name.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let Some(request) = parse(arguments)? else {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    if request.install && request.tiers.iter().any(|tier| tier.runs_programs()) {
        packages::install(&packages::TO_RUN);
        packages::install(&packages::TO_TEST);
    }
    let logs = cargo::target_folder()?.join("xtask");
    fs::create_dir_all(&logs).with_context(|| format!("create {}", logs.display()))?;
    let mut outcomes = Vec::new();
    for tier in request.tiers {
        outcomes.push(run_tier(tier, &logs.join(format!("{}.log", tier.name()))));
    }
    let allowed = Allowed::read(sh::repository())?;
    Ok(if report(&outcomes, &allowed) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn parse(arguments: &[String]) -> Result<Option<Request>> {
    let mut request = Request { tiers: Vec::new(), install: true };
    let mut fast = false;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--fast" => fast = true,
            "--no-install" => request.install = false,
            "--tier" => {
                let name = words.next().context("`--tier` needs a name")?;
                let tier =
                    Tier::from_name(name).with_context(|| format!("no tier `{name}`\n{USAGE}"))?;
                request.tiers.push(tier);
            }
            "-h" | "--help" => return Ok(None),
            other => bail!("unknown argument `{other}`\n{USAGE}"),
        }
    }
    if request.tiers.is_empty() {
        request.tiers =
            Tier::ALL.into_iter().filter(|tier| !fast || !tier.builds_images()).collect();
    }
    Ok(Some(request))
}

fn run_tier(tier: Tier, log: &Path) -> Outcome {
    println!("{:<9} {}", tier.name(), tier.purpose());
    let start = Instant::now();
    let Verdict { mut tally, text, error } = tier.run();
    if let Some(error) = error {
        // Its error belongs to the counts, whatever else the output says.
        tally.failed = tally.failed.max(1);
        let tail = output::tail(&text);
        println!(
            "{tail}\n{:<9} FAILED: {error:#}; all of its output: {}",
            tier.name(),
            log.display()
        );
    }
    if let Err(error) = fs::write(log, &text) {
        println!("{}: {error}", log.display());
    }
    Outcome { tier, tally, time: start.elapsed() }
}

/// Prints the counts and the skips; the last line is plain, for machines. Returns whether all is well.
fn report(outcomes: &[Outcome], allowed: &Allowed) -> bool {
    println!("\n{:<9} {:>7} {:>7} {:>7} {:>9}", "tier", "passed", "failed", "skipped", "seconds");
    let mut sum = Tally::default();
    for Outcome { tier, tally, time } in outcomes {
        let seconds = time.as_secs_f64();
        let (passed, failed, skipped) = (tally.passed, tally.failed, tally.skips.len());
        println!("{:<9} {passed:>7} {failed:>7} {skipped:>7} {seconds:>9.1}", tier.name());
        sum.passed += passed;
        sum.failed += failed;
    }
    let skips: Vec<(Tier, &Skip)> = outcomes
        .iter()
        .flat_map(|outcome| outcome.tally.skips.iter().map(|skip| (outcome.tier, skip)))
        .collect();
    if !skips.is_empty() {
        println!("\nskipped:");
    }
    let strict = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    for (tier, skip) in &skips {
        let listed = allowed.has(tier.name(), &skip.test);
        let verdict = if strict && !listed { "  <- not in .ci/skips.txt" } else { "" };
        println!("  {}: {}: {}{verdict}", tier.name(), skip.test, skip.reason);
        sum.failed += usize::from(strict && !listed);
    }
    println!("\n{} passed, {} failed, {} skipped", sum.passed, sum.failed, skips.len());
    sum.failed == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiers(arguments: &[&str]) -> Vec<&'static str> {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let request = parse(&arguments).expect("known arguments").expect("not only help");
        request.tiers.into_iter().map(Tier::name).collect()
    }

    #[test]
    fn a_fast_run_builds_no_image() {
        assert_eq!(tiers(&[]).len(), Tier::ALL.len());
        assert!(!tiers(&["--fast"]).contains(&"e2e"));
        assert_eq!(tiers(&["--tier", "e2e", "--tier", "tidy"]), ["e2e", "tidy"]);
    }
}
