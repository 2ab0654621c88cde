//! `cargo xtask conformance`: is the language of Dockerfiles what it is elsewhere?
//!
//! The cases are text files in `conformance/` (its `README.md` has their format): a Dockerfile and a context go in, a
//! file tree, a configuration and a history come out. Each case names the rows of the checklist that it proves
//! (`conformance/rows.txt`), so that what is printed is a table of the language, and not of tests. Every image is
//! read here, layer by layer, with no code of the product: a mistake is not checked against itself.
//!
//! Another builder's result is stored beside the cases as a second opinion; `--update` asks it again.

mod archive;
mod case;
mod check;
mod compatibility;
mod expectation;
mod image;
mod line;
mod opinion;
mod options;
mod oracle;
mod place;
mod report;
mod rows;
mod run;
mod web;
mod world;

use std::fs;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};

use self::case::Case;
use self::options::Options;
use self::report::{Report, Verdict};
use self::rows::Rows;
use self::world::World;
use crate::sh;

/// Cases, rows and stored opinions, below the root of the repository.
const FOLDER: &str = "conformance";

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let options = Options::parse(arguments)?;
    let begin = Instant::now();
    let rows = Rows::read(&sh::repository().join(FOLDER).join("rows.txt"))?;
    let Some(world) = World::start(&options)? else {
        println!("SKIP conformance: busybox-static is not installed");
        return Ok(ExitCode::SUCCESS);
    };
    let cases = read_cases(&world, &rows)?;
    let chosen: Vec<&Case> = cases.iter().filter(|case| options.wants(case)).collect();
    if options.update {
        oracle::update(&world, &options, &cases, &chosen)?;
    }
    let opinions = opinion::read_all(&sh::repository().join(FOLDER))?;
    let verdicts = in_parallel(&chosen, options.jobs, |case| {
        let opinion = opinions.get(&case.key()).filter(|_| options.oracle);
        run::judge(&world, case, opinion, options.oracle)
    });
    let page = compatibility::Page::read(&sh::repository().join("docs/compatibility.md"))?;
    let mut report = Report::new(&rows, &cases, verdicts);
    if options.is_whole() {
        report.findings.extend(page.findings(&rows, &cases));
        report.findings.extend(opinion::forgotten(&opinions, &cases));
    }
    report.print(begin.elapsed());
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads the cases of all files, in the order of their names.
fn read_cases(world: &World, rows: &Rows) -> Result<Vec<Case>> {
    let folder = sh::repository().join(FOLDER);
    let entries = fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.context("list the cases")?.path();
        if path.extension().is_some_and(|extension| extension == "case") {
            names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    let mut cases = Vec::new();
    for name in names {
        let path = folder.join(&name);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        for case in case::split(&name, &text)? {
            let number = cases.len();
            cases.push(Case::parse(&case, world, number, rows)?);
        }
    }
    case::refuse_twins(&cases)?;
    Ok(cases)
}

/// Does something with each case on a few threads; the results are in the order of the cases.
fn in_parallel<'a, T: Send>(
    cases: &[&'a Case],
    jobs: usize,
    work: impl Fn(&'a Case) -> T + Sync,
) -> Vec<(&'a Case, T)> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = work(case);
                    done.lock().expect("no thread panics with it").push((*case, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no thread panicked with it");
    done.sort_by_key(|(case, _)| case.number);
    done
}

/// What came of the cases that were run.
type Verdicts<'a> = Vec<(&'a Case, Verdict)>;
