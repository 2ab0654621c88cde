//! Time and memory of a command.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::sh::Cmd;

/// Pause between two looks at a process' memory: long beside what a look costs, short beside a build.
const LOOK: Duration = Duration::from_millis(5);

/// Runs a command that has to succeed and returns the seconds that it took.
pub(super) fn seconds(command: &Cmd) -> Result<f64> {
    let start = Instant::now();
    command.run()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Runs a command and returns the most memory, in megabytes, that one process of this program had resident.
///
/// The kernel keeps the peak of each process, `VmHWM`, so that looking now and then misses nothing but the growth
/// after the last look. What a process' resource usage says at its end is of no use: it has the peaks of all its
/// children in it, and so those of the compilers that a build runs.
pub(super) fn peak_megabytes(command: &Cmd, program: &Path) -> Result<f64> {
    let program =
        fs::canonicalize(program).with_context(|| format!("find {}", program.display()))?;
    let mut child = command.spawn(Stdio::null(), Stdio::null())?;
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_of_tree(child.id(), &program));
        if let Some(status) = child.try_wait().context("wait for a command")? {
            break status;
        }
        thread::sleep(LOOK);
    };
    ensure!(status.success(), "`{}` ended with {status}", command.line());
    ensure!(peak > 0, "`{}` ended before anybody looked at its memory", command.line());
    Ok(f64::from(peak) * 1024.0 / 1e6)
}

/// Returns the greatest peak, in KiB, of a process and its descendants that run `program`.
fn peak_of_tree(pid: u32, program: &Path) -> u32 {
    // Processes end while they are looked at: what cannot be read is gone.
    let is_program = fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let own = if is_program { high_water(&status) } else { 0 };
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = threads.flat_map(|thread| {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        children.split(' ').filter_map(|child| child.parse().ok()).collect::<Vec<u32>>()
    });
    children.map(|child| peak_of_tree(child, program)).max().unwrap_or(0).max(own)
}

fn high_water(status: &str) -> u32 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
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
        let peak = peak_megabytes(&command, &sh).expect("a peak");
        assert!(peak > 0.1 && peak < 20.0, "{peak}");
    }
}
