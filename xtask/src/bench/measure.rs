//! Time and memory of commands.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::tool::Tool;
use crate::sh::Cmd;

/// Pause between two looks at processes' memory: long beside what a look costs, short beside a build.
const LOOK: Duration = Duration::from_millis(2);

/// A tool that has had so much time for one figure takes part in no further round of it.
const BUDGET: Duration = Duration::from_secs(10);

/// Runs a command that has to succeed and returns the seconds that it took.
pub(super) fn seconds(command: &Cmd) -> Result<f64> {
    let start = Instant::now();
    command.run()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Lets the tools take turns, and returns the median for each, in their order.
///
/// lathe, the first, has to succeed; another tool that fails has no figure.
pub(super) fn in_turn(
    tools: &[Tool],
    rounds: usize,
    mut measure: impl FnMut(&Tool, usize) -> Result<f64>,
) -> Result<Vec<Option<f64>>> {
    let mut samples = vec![Vec::new(); tools.len()];
    let mut spent = vec![Duration::ZERO; tools.len()];
    for round in 0..rounds {
        for (index, tool) in tools.iter().enumerate() {
            if spent[index] > BUDGET {
                continue;
            }
            let start = Instant::now();
            match measure(tool, round) {
                Ok(figure) => samples[index].push(figure),
                Err(error) if index > 0 => {
                    println!("{} has no figure: {error:#}", tool.name());
                    spent[index] = Duration::MAX;
                }
                Err(error) => return Err(error),
            }
            spent[index] = spent[index].saturating_add(start.elapsed());
        }
    }
    Ok(samples.iter().map(|samples| (!samples.is_empty()).then(|| median(samples))).collect())
}

/// What a command took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watched {
    /// To a few milliseconds.
    pub(super) seconds: f64,
    /// The most memory that all processes of a program had resident at once.
    pub(super) megabytes: f64,
}

/// Runs a command that has to succeed, with an eye on the memory of those of its processes that run `program`.
///
/// The sum over the tree is taken at each look. The kernel keeps the peak of each process besides (`VmHWM`), so that
/// a peak between two looks is only missed where it is one of several processes together. What a process' resource
/// usage says at its end is of no use: it has the peaks of all its children in it, and so those of the compilers that
/// a build runs.
pub(super) fn watched(command: &Cmd, program: &Path) -> Result<Watched> {
    let program =
        fs::canonicalize(program).with_context(|| format!("find {}", program.display()))?;
    let start = Instant::now();
    let (mut reader, writer) = io::pipe().context("make a pipe")?;
    let mut child = command.spawn(Stdio::null(), Stdio::from(writer))?;
    let said = thread::spawn(move || {
        let mut text = String::new();
        // What cannot be read is missing in a message, no more.
        drop(reader.read_to_string(&mut text));
        text
    });
    let mut peak = 0;
    let status = loop {
        let mut tree = BTreeMap::new();
        look(child.id(), &program, &mut tree);
        let sum = tree.values().map(|memory| memory.now).sum();
        let single = tree.values().map(|memory| memory.peak).max().unwrap_or(0);
        peak = peak.max(sum).max(single);
        if let Some(status) = child.try_wait().context("wait for a command")? {
            break status;
        }
        thread::sleep(LOOK);
    };
    let seconds = start.elapsed().as_secs_f64();
    let said = said.join().unwrap_or_default();
    ensure!(status.success(), "`{}` ended with {status}:\n{said}", command.line());
    ensure!(peak > 0, "`{}` ended before anybody looked at its memory", command.line());
    Ok(Watched { seconds, megabytes: f64::from(peak) * 1024.0 / 1e6 })
}

/// Resident memory of a process, in KiB.
#[derive(Debug, Clone, Copy)]
struct Memory {
    now: u32,
    peak: u32,
}

/// Notes the memory of a process and of its descendants that run `program`.
fn look(pid: u32, program: &Path, found: &mut BTreeMap<u32, Memory>) {
    // Processes end while they are looked at: what cannot be read is gone.
    if fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let memory = Memory { now: field(&status, "VmRSS:"), peak: field(&status, "VmHWM:") };
        found.insert(pid, memory);
    }
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    for thread in threads {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split(' ').filter_map(|child| child.parse().ok()) {
            look(child, program, found);
        }
    }
}

fn field(status: &str, name: &str) -> u32 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Returns the middle of some figures, of which there is one at least.
pub(super) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let found = [&[3.0, 1.0, 2.0][..], &[4.0, 1.0, 2.0, 3.0]].map(median);
        assert!(found[0].total_cmp(&2.0).is_eq() && found[1].total_cmp(&2.5).is_eq(), "{found:?}");
    }

    #[test]
    fn only_the_program_itself_is_looked_at() {
        let sh = fs::canonicalize("/bin/sh").expect("a shell");
        // The shell reads the end of its input at once, and its child too; the outer one waits for it.
        let command =
            Cmd::new("/bin/sh").args(["-c", "head -c 30000000 /dev/zero | tail -c 1 | wc -c; cat"]);
        let peak = watched(&command, &sh).expect("a peak").megabytes;
        assert!(peak > 0.1 && peak < 20.0, "{peak}");
    }
}
