//! Rows a, b, c: the examples, as a user builds them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::World;
use crate::bench::job::Job;
use crate::bench::row::{Row, Unit};
use crate::bench::{floor, measure, place, tool};
use crate::examples::{self, Example};
use crate::sh::Cmd;

/// Builds the examples for the first time, with their base images there.
pub(super) fn first(world: &World<'_>) -> Result<Vec<Row>> {
    let node = first_of(
        world,
        "a",
        "node example, first build, npm's downloads included",
        examples::NODE,
    )?;
    let go = first_of(world, "i", "go example, first build", examples::GO)?;
    Ok(vec![node.elsewhere(3.30), go.elsewhere(10.6)])
}

fn first_of(world: &World<'_>, id: &str, what: &str, example: Example) -> Result<Row> {
    let job = job(world, example)?;
    let figures = measure::in_turn(&world.tools, 1, |tool, _| {
        for base in tool::bases(&example)? {
            tool.pull(&base, world.folder())?;
        }
        measure::seconds(&tool.build(&job))
    })?;
    Ok(Row::new(id, what, Unit::Seconds, figures))
}

/// Returns the build of a copy of an example, which is made where it is missing.
fn job(world: &World<'_>, example: Example) -> Result<Job> {
    let folder = world.folder().join(example.folder);
    if !folder.exists() {
        Cmd::new("cp").arg("-a").arg(example.context()).arg(&folder).run()?;
    }
    Ok(Job::example(&example, &folder))
}

/// Builds the Node example again, with nothing changed.
pub(super) fn cached(world: &World<'_>) -> Result<Vec<Row>> {
    let job = job(world, examples::NODE)?;
    let figures = measure::in_turn(&world.tools, world.rounds, |tool, round| {
        if round == 0 {
            tool.build(&job).run()?;
        }
        Ok(measure::seconds(&tool.build(&job))? * 1e3)
    })?;
    let start = world.lathe.command(&["--version"]);
    let mut samples = Vec::new();
    for _ in 0..world.rounds {
        samples.push(measure::seconds(&start)? * 1e3);
    }
    let row = Row::new("b", "node example, nothing changed", Unit::Milliseconds, figures)
        .at_most(25.0)
        .at_most_of(&world.names(), "buildah", 1.0 / 70.0)
        .elsewhere(60.0)
        .floor(Some(measure::median(&samples)));
    Ok(vec![row])
}

/// Changes a source file of the Node example each time.
pub(super) fn changed(world: &World<'_>) -> Result<Vec<Row>> {
    let job = job(world, examples::NODE)?;
    let source = job.context.join("src/greeting.js");
    let text = fs::read_to_string(&source).with_context(|| format!("read {}", source.display()))?;
    let change = |word: &str| {
        fs::write(&source, format!("{text}// {word}\n"))
            .with_context(|| format!("write {}", source.display()))
    };
    for tool in &world.tools {
        tool.build(&job).run()?;
    }
    let commands = commands(world, &job)?;
    let mut by_hand = Vec::new();
    let figures = measure::in_turn(&world.tools, world.rounds, |tool, round| {
        if tool.name() == "lathe" && !commands.is_empty() {
            by_hand.push(commands.iter().map(measure::seconds).sum::<Result<f64>>()?);
        }
        change(&format!("{} {round}", tool.name()))?;
        measure::seconds(&tool.build(&job))
    })?;
    fs::write(&source, &text).with_context(|| format!("write {}", source.display()))?;
    place::remove(&world.folder().join("floor"));
    let npm = (!by_hand.is_empty()).then(|| measure::median(&by_hand));

    let own = |figure: &Option<f64>| Some((figure.as_ref()? - npm?) * 1e3);
    let own: Vec<Option<f64>> = figures.iter().map(own).collect();
    let names = world.names();
    let total = Row::new("c", "node example, a source file changed", Unit::Seconds, figures)
        .elsewhere(0.49)
        .at_most_of_buildkit(&names, 0.75)
        .floor(npm);
    let what = "the same, without what npm and adduser take by hand (the floor of c)";
    Ok(vec![total, Row::new("c'", what, Unit::Milliseconds, own).at_most(60.0)])
}

/// Returns the commands of those steps that a change of a source file makes run again; none where they cannot run.
///
/// They run in the same root file systems, each in namespaces and an overlay made by hand, as no builder could
/// start them with less.
fn commands(world: &World<'_>, job: &Job) -> Result<Vec<Cmd>> {
    if !place::may_mount() {
        return Ok(Vec::new());
    }
    let builder = world.folder().join("floor/builder");
    let production = world.folder().join("floor/production");
    export(world, &job.clone().target("builder"), &builder)?;
    export(world, job, &production)?;
    // What the steps are about to make is there already: a user that exists cannot be added.
    let add =
        "deluser nodejs; delgroup nodejs; addgroup -g 1001 -S nodejs && adduser -S nodejs -u 1001";
    Ok(vec![
        floor::alone(&builder, "/app", "npm run build")?,
        floor::alone(&production, "/app", add)?,
    ])
}

/// Writes the root file system of a build to a folder.
fn export(world: &World<'_>, job: &Job, folder: &Path) -> Result<()> {
    let above: PathBuf = folder.parent().unwrap_or(folder).to_owned();
    fs::create_dir_all(&above).with_context(|| format!("create {}", above.display()))?;
    let output = format!("type=local,dest={}", folder.display());
    world.tools[0].build(job).args(["--output", &output]).run()
}
