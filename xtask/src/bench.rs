//! `cargo xtask bench`: how fast and how small, beside other builders where they are installed.
//!
//! The tools take turns in one run, on the same files and the same registry, so that what else the machine does
//! meets all; each figure is a median, and what counts is their ratio. Beside them stands the floor: what plain
//! programs take for the part of the work that has to be. The result is a table between two marks in
//! `docs/benchmarks.md`. `bench growth` measures how cost grows with the work, and draws it.

mod floor;
mod growth;
mod images;
mod job;
mod measure;
mod place;
pub(crate) mod random;
mod registry;
mod report;
mod row;
mod rows;
mod tool;
pub(crate) mod work;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};

use self::place::Place;
use self::report::{Circumstances, Part};
use self::row::Row;
use self::rows::{GROUPS, World};
use self::tool::Tool;
use self::work::Work;
use crate::lathe::{self, Lathe};
use crate::{packages, registries, sh};

const USAGE: &str =
    "usage: cargo xtask bench [--only ID,…] [--alone] [--rounds N] [--check] [--lathe FILE]
       cargo xtask bench growth [--only NAME,…] [--lathe FILE]
       cargo xtask bench work FOLDER

Measures builds and writes the tables of docs/benchmarks.md; `work` only writes the
contexts that are built.

  --only ID,…   only these groups of rows (a, b, c, d, e1, e2, e3, f, g, h, mem, start, parts), or
                kinds of growth (files, steps, stages, layers, images); nothing is written then
  --alone       without other builders; nothing is written then
  --rounds N    repeat each short measurement at most N times (default 9)
  --check       write nothing, and fail if a goal is missed
  --lathe FILE  use this program instead of building it";

/// What the command line asks for.
#[derive(Debug, Default)]
pub(crate) struct Request {
    rounds: usize,
    check: bool,
    alone: bool,
    program: Option<PathBuf>,
    only: Vec<String>,
}

/// Runs the task with the arguments that follow its name.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["-h" | "--help", ..] => println!("{USAGE}"),
        ["work", folder] => {
            for work in Work::ALL {
                println!("{}", work.folder(Path::new(folder))?.display());
            }
        }
        ["growth", ..] => return growth::run(&parse(&arguments[1..])?),
        [floor::ALONE, .., "inside"] => floor::run_inside(&arguments[1..arguments.len() - 1])?,
        [floor::ALONE, ..] => floor::run_alone(&arguments[1..])?,
        _ => return bench(&parse(arguments)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(arguments: &[String]) -> Result<Request> {
    let mut request = Request { rounds: 9, ..Request::default() };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("`{word}` needs a value"));
        match word.as_str() {
            "--rounds" => request.rounds = value()?.parse().context("`--rounds` needs a number")?,
            "--only" => request.only.extend(value()?.split(',').map(str::to_owned)),
            "--check" => request.check = true,
            "--alone" => request.alone = true,
            "--lathe" => {
                let path = std::path::absolute(value()?).context("make a path absolute")?;
                request.program = Some(path);
            }
            other => bail!("unknown argument `{other}`\n{USAGE}"),
        }
    }
    ensure!(request.rounds > 0, "`--rounds` needs at least 1");
    Ok(request)
}

impl Request {
    /// Returns whether this part of the measurements is wanted.
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    fn lathe(&self, place: &Path, registries: &Path) -> Result<Lathe> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => lathe::build_release()?,
        };
        Ok(Lathe { program, registries: registries.to_owned(), root: Some(place.join("lathe")) })
    }
}

fn bench(request: &Request) -> Result<ExitCode> {
    for only in &request.only {
        ensure!(GROUPS.iter().any(|(name, _)| name == only), "no rows `{only}`\n{USAGE}");
    }
    packages::install(&packages::TO_MEASURE);
    let place = Place::make()?;
    let registries = registries::prepare(place.folder())?;
    let lathe = request.lathe(place.folder(), &registries.file)?;
    let mut tools = vec![Tool::Lathe(lathe.clone())];
    tools[0].pull("busybox", place.folder())?;
    if !request.alone {
        tools.extend(tool::peers(place.folder(), &registries)?);
    }
    let world = World { place: &place, lathe, tools, rounds: request.rounds };

    let (mut rows, mut failed) = (Vec::<Row>::new(), false);
    for (name, measure) in GROUPS.into_iter().filter(|(name, _)| request.wants(name)) {
        match measure(&world) {
            Ok(found) => rows.extend(found.into_iter().inspect(say)),
            Err(error) => {
                println!("{name}: no figures: {error:#}");
                failed = true;
            }
        }
    }
    let versions: Vec<String> = world.tools.iter().map(Tool::version).collect::<Result<_>>()?;
    let run = Circumstances { versions: &versions, rounds: request.rounds, place: place.kind };
    let table = report::table(&rows, &world.names(), &run)?;
    println!("\n{table}");
    let missed = rows.iter().any(|row| row.is_reached() == Some(false));
    if request.only.is_empty() && !request.check && !request.alone {
        report::write(&sh::repository().join("docs/benchmarks.md"), Part::Table, &table)?;
    }
    let bad = failed || request.check && missed;
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Says a figure as soon as there is one: a whole run takes minutes.
fn say(row: &Row) {
    let show = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |f| row.unit.show(f));
    let figures: Vec<String> = row.figures.iter().map(|figure| show(*figure)).collect();
    println!(
        "{:<5} {:<62} {:>26}  at most {}, floor {}",
        row.id,
        row.what,
        figures.join(" "),
        show(row.limit),
        show(row.floor)
    );
}
