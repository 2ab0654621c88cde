//! How long it takes to match a big context against a long ignore file.
//!
//! `cargo run --release -p lathe-pattern --example match_speed [PATHS [PATTERNS]]` prints one
//! line. Paths and patterns look like those of a web project: most paths lie deep in a few big
//! folders, most patterns are names, extensions and folders, some are negations. The paths come
//! in the order of a walk, once as files only, as a build context is matched.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example speaks to the terminal")]

use std::env;
use std::time::{Duration, Instant};

use lathe_pattern::Ignore;

/// Runs of which the fastest counts: others on the machine can only slow one down.
const RUNS: usize = 7;

const FOLDERS: [&str; 8] =
    ["src", "lib", "packages/app/src", "packages/ui/components", "docs", "tests", "public", "api"];
const EXTENSIONS: [&str; 10] =
    ["js", "ts", "tsx", "css", "json", "md", "png", "snap", "map", "test.ts"];

fn main() {
    let mut numbers = env::args().skip(1).map(|word| word.parse().unwrap_or(0));
    let paths = paths(numbers.next().unwrap_or(100_000));
    let patterns = patterns(numbers.next().unwrap_or(100));
    let mut best = Duration::MAX;
    let mut excluded = 0;
    for _ in 0..RUNS {
        // Compiled anew: nothing may be remembered from run to run.
        let ignore = Ignore::new(&patterns).expect("the patterns are valid");
        let start = Instant::now();
        excluded = paths.iter().filter(|path| ignore.matches(path)).count();
        best = best.min(start.elapsed());
    }
    let (paths, patterns) = (paths.len(), patterns.len());
    let milliseconds = best.as_secs_f64() * 1000.0;
    println!("paths={paths} patterns={patterns} excluded={excluded} ms={milliseconds:.1}");
}

/// Paths of files in the order of a walk: ten in a folder.
fn paths(count: usize) -> Vec<String> {
    let mut paths: Vec<String> = (0..count)
        .map(|i| {
            let folder = i / 10;
            let top = FOLDERS[folder % FOLDERS.len()];
            let feature = folder / FOLDERS.len();
            let extension = EXTENSIONS[i % EXTENSIONS.len()];
            format!("{top}/feature{}/part{feature}/view-{i}.{extension}", feature % 40)
        })
        .collect();
    paths.sort();
    paths
}

/// Patterns of eight kinds in turn, the common ones first.
fn patterns(count: usize) -> Vec<String> {
    (0..count)
        .map(|i| match i % 8 {
            0 => format!("generated{i}/"),
            1 => format!("**/cache{i}"),
            2 if i < 8 => "**/*.map".to_owned(),
            2 => format!("**/*.ext{i}"),
            3 => format!("packages/app{i}/dist"),
            4 => format!("*.log{i}"),
            5 => format!("src/**/fixture{i}/*.json"),
            6 => format!("docs/feature{}/part*/view-?{i}*.md", i % 40),
            _ if i % 16 == 7 => format!("**/__tmp{i}__/**"),
            _ => format!("!docs/feature{}/**/*.md", i % 40),
        })
        .collect()
}
