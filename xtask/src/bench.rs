//! `cargo xtask bench`: how fast and how small, beside buildah from Debian where it is installed.
//!
//! The tools take turns in one run, on the same files and the same registry, so that what else the machine does
//! meets both; each figure is a median, and what counts is their ratio. The result is a table between two marks
//! in `docs/benchmarks.md`.

mod measure;
mod report;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};

use self::report::{Row, Unit};
use self::tool::Tool;
use crate::cargo;
use crate::examples::{self, Example};
use crate::lathe::{self, Lathe};
use crate::registries;
use crate::sh::{self, Cmd};

const USAGE: &str = "usage: cargo xtask bench [--rounds N] [--check] [--lathe FILE]

Measures builds and writes the table of docs/benchmarks.md.

  --rounds N    repeat each short measurement N times (default 15)
  --check       write nothing, and fail if a goal is missed
  --lathe FILE  use this program instead of building it";

/// `RUN` steps of the build that measures what one costs.
const STEPS: usize = 50;

/// A program of a crate that measures a part by itself, and prints `name=value` pairs.
struct Measurement {
    what: &'static str,
    package: &'static str,
    program: &'static str,
    figure: &'static str,
    goal: f64,
}

const PARSE: Measurement = Measurement {
    what: "a Dockerfile of 10,000 lines, parsed",
    package: "lathe-dockerfile",
    program: "parse_speed",
    figure: "parse_ms",
    goal: 10.0,
};

const MATCH: Measurement = Measurement {
    what: "100,000 paths against 100 ignore patterns, beyond the walk",
    package: "lathe-pattern",
    program: "match_speed",
    figure: "ms",
    goal: 150.0,
};

/// What the command line asks for.
#[derive(Debug)]
struct Request {
    rounds: usize,
    check: bool,
    program: Option<PathBuf>,
}

/// Runs the task with the arguments that follow its name.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let Some(request) = parse(arguments)? else {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    let place = std::env::temp_dir().join(format!("lathe-bench-{}", std::process::id()));
    let result = bench(&request, &place);
    clean_up(&place);
    result
}

fn parse(arguments: &[String]) -> Result<Option<Request>> {
    let mut request = Request { rounds: 15, check: false, program: None };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("`{word}` needs a value"));
        match word.as_str() {
            "--rounds" => request.rounds = value()?.parse().context("`--rounds` needs a number")?,
            "--check" => request.check = true,
            "--lathe" => {
                let path = std::path::absolute(value()?).context("make a path absolute")?;
                request.program = Some(path);
            }
            "-h" | "--help" => return Ok(None),
            other => bail!("unknown argument `{other}`\n{USAGE}"),
        }
    }
    ensure!(request.rounds > 0, "`--rounds` needs at least 1");
    Ok(Some(request))
}

fn bench(request: &Request, place: &Path) -> Result<ExitCode> {
    let program = match &request.program {
        Some(program) => program.clone(),
        None => lathe::build_release()?,
    };
    let registries = registries::prepare(place)?;
    let store = place.join("lathe");
    let lathe = Lathe { program, registries: registries.file.clone(), root: Some(store) };
    let buildah =
        sh::have("buildah").then(|| tool::Buildah::new(place, &registries)).transpose()?;
    let mut tools = vec![Tool::Lathe(lathe)];
    tools.extend(buildah.map(Tool::Buildah).filter(|tool| works(tool, place)));

    let mut rows = Vec::new();
    for example in [examples::NODE, examples::GO] {
        rows.push(first(&tools, example)?);
    }
    rows.push(cached(&tools, request.rounds)?);
    rows.push(steps(&tools, place, request.rounds.min(5))?);
    rows.push(memory(&tools[0], place)?);
    rows.push(example(&PARSE, tools.len())?);
    rows.push(example(&MATCH, tools.len())?);
    let table = report::table(&rows, &tools, request.rounds)?;
    println!("\n{table}");
    if request.check {
        let missed = rows.iter().filter(|row| !row.is_met()).count();
        return Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    report::write(&sh::repository().join("docs/benchmarks.md"), &table)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a measurement of a part, which other tools do not have.
fn example(part: &Measurement, tools: usize) -> Result<Row> {
    let Measurement { what, package, program, figure, goal } = part;
    let words = ["run", "--release", "--quiet", "--package", package, "--example", program];
    let text = cargo::cargo().args(words).read()?;
    let prefix = format!("{figure}=");
    let value = text.split_whitespace().find_map(|word| word.strip_prefix(&prefix));
    let value = value.with_context(|| format!("`{program}` says no {figure}: {text}"))?;
    let value: f64 = value.parse().with_context(|| format!("`{program}` says {figure}={value}"))?;
    println!("{what}: {value:.1} ms");
    let mut figures = vec![Some(value)];
    figures.resize(tools, None);
    Ok(Row { what: (*what).to_owned(), unit: Unit::Milliseconds, figures, goal: Some(*goal) })
}

/// Removes what the tools have left; a build that failed may leave mounts, which would make `rm` fail.
fn clean_up(place: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut points: Vec<&str> =
        points.filter(|point| Path::new(point).starts_with(place)).collect();
    points.reverse();
    for point in points {
        // One that stays keeps its files, of which the removal below then tells.
        let _unmounted = Cmd::new("umount").arg(point).succeeds();
    }
    if let Err(error) = fs::remove_dir_all(place) {
        println!("{} is left: {error}", place.display());
    }
}

/// Returns whether a tool builds anything here; other people's tools want other things of a machine.
fn works(tool: &Tool, place: &Path) -> bool {
    let command = tool.build_text(place, "probe", "FROM busybox\nRUN true\n");
    let result = command.and_then(|command| command.run());
    if let Err(error) = &result {
        println!("{} does not work here and is left out: {error:#}", tool.name());
    }
    result.is_ok()
}

/// Builds an example for the first time, with its base images pulled before.
fn first(tools: &[Tool], example: Example) -> Result<Row> {
    let mut figures = Vec::new();
    for tool in tools {
        for base in tool::bases(&example)? {
            tool.pull(&base).run()?;
        }
        let seconds = measure::seconds(&tool.build(&example))?;
        println!("first build of {:<10} {:<8} {seconds:>9.2} s", example.folder, tool.name());
        figures.push(Some(seconds));
    }
    Ok(Row {
        what: format!("{} example, first build, base images pulled", example.folder),
        unit: Unit::Seconds,
        figures,
        goal: None,
    })
}

/// Rebuilds the Node example with nothing changed.
fn cached(tools: &[Tool], rounds: usize) -> Result<Row> {
    let commands: Vec<Cmd> = tools.iter().map(|tool| tool.build(&examples::NODE)).collect();
    let samples = in_turn(&commands, rounds)?;
    Ok(Row {
        what: "node example, nothing changed".to_owned(),
        unit: Unit::Milliseconds,
        figures: samples.iter().map(|samples| Some(measure::median(samples) * 1e3)).collect(),
        goal: Some(40.0),
    })
}

/// Builds an image of many `RUN true`, and the same without them: the difference is what the steps cost.
fn steps(tools: &[Tool], place: &Path, rounds: usize) -> Result<Row> {
    let context = place.join("steps");
    fs::create_dir_all(&context).with_context(|| format!("create {}", context.display()))?;
    let mut figures = vec![Vec::new(); tools.len()];
    for round in 0..rounds {
        for (tool, figures) in tools.iter().zip(&mut figures) {
            // A label that no build has had keeps each round away from the cache of the one before.
            let base =
                format!("FROM busybox\nENV ROUND={}-{round}\nRUN true\n", std::process::id());
            let few = measure::seconds(&tool.build_text(&context, "few", &base)?)?;
            let many = format!("{base}{}", "RUN true\n".repeat(STEPS));
            let many = measure::seconds(&tool.build_text(&context, "many", &many)?)?;
            let steps = u32::try_from(STEPS).expect("not so many");
            figures.push((many - few) * 1e3 / f64::from(steps));
        }
    }
    Ok(Row {
        what: format!("one `RUN true` of {STEPS}"),
        unit: Unit::Milliseconds,
        figures: figures.iter().map(|figures| Some(measure::median(figures))).collect(),
        goal: Some(15.0),
    })
}

/// Builds the Node example into an empty store, pulls included: the most memory that any process of it has.
fn memory(tool: &Tool, place: &Path) -> Result<Row> {
    let Tool::Lathe(lathe) = tool else { bail!("the first tool is lathe") };
    let empty = Lathe { root: Some(place.join("empty")), ..lathe.clone() };
    let mut peak: f64 = 0.0;
    for example in [examples::NODE, examples::GO, examples::PYTHON, examples::REACT] {
        let megabytes = measure::peak_megabytes(&empty.build(&example), &empty.program)?;
        println!("memory for {:<14} {:<8} {megabytes:>9.1} MB", example.folder, tool.name());
        peak = peak.max(megabytes);
    }
    Ok(Row {
        what: "peak memory of the builder, examples from an empty store".to_owned(),
        unit: Unit::Megabytes,
        figures: vec![Some(peak)],
        goal: Some(80.0),
    })
}

/// Runs the commands in turn, after one round that does not count.
fn in_turn(commands: &[Cmd], rounds: usize) -> Result<Vec<Vec<f64>>> {
    let mut samples = vec![Vec::new(); commands.len()];
    for round in 0..=rounds {
        for (command, samples) in commands.iter().zip(&mut samples) {
            let sample = measure::seconds(command)?;
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    Ok(samples)
}
