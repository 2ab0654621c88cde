//! Rows d, h: commands that do next to nothing, in line and side by side.

use std::fs;

use anyhow::{Context as _, Result};

use super::World;
use crate::bench::job::Job;
use crate::bench::row::{Row, Unit};
use crate::bench::work::{self, STAGES, STEPS, Work};
use crate::bench::{floor, measure, place};

/// Builds an image of many steps, none of which was ever run.
pub(super) fn many(world: &World<'_>) -> Result<Vec<Row>> {
    let context = Work::Steps.folder(world.folder())?;
    let job = Job::new(&context, "steps").file(context.join("Dockerfile.other"));
    let figures = measure::in_turn(&world.tools, world.few(), |tool, round| {
        other(&job, &work::steps(STEPS), round)?;
        Ok(measure::seconds(&tool.build(&job))? * 1e3 / 50.0)
    })?;
    let row = Row::new("d", "one of 50 `RUN :`", Unit::Milliseconds, figures)
        .elsewhere(66.2)
        .at_most(8.0)
        .at_most_of_buildkit(&world.names(), 1.0 / 8.0)
        .at_most_of(&world.names(), "buildah", 1.0 / 60.0)
        .floor(by_hand(world)?);
    Ok(vec![row])
}

/// Writes the Dockerfile so that no cache has its steps: they follow one that was never there.
pub(super) fn other(job: &Job, text: &str, round: usize) -> Result<()> {
    let line = format!("FROM busybox\nENV ROUND={round}\n");
    let text = text.replace("FROM busybox\n", &line);
    fs::write(&job.file, text).with_context(|| format!("write {}", job.file.display()))
}

/// Returns the milliseconds that such a step takes when nothing is kept of it.
fn by_hand(world: &World<'_>) -> Result<Option<f64>> {
    if !place::may_mount() {
        return Ok(None);
    }
    let folder = world.folder().join("floor/busybox");
    let context = world.folder().join("base");
    work::make(&context)?;
    work::write(&context.join("Dockerfile"), "FROM busybox\n")?;
    let output = format!("type=local,dest={}", folder.display());
    world.tools[0].build(&Job::new(&context, "base")).args(["--output", &output]).run()?;
    let step = floor::alone(&folder, "/", ":")?;
    let samples = (0..50).map(|_| measure::seconds(&step)).collect::<Result<Vec<f64>>>()?;
    place::remove(&world.folder().join("floor"));
    Ok(Some(measure::median(&samples) * 1e3))
}

/// Builds stages that only wait.
pub(super) fn parallel(world: &World<'_>) -> Result<Vec<Row>> {
    let context = Work::Parallel.folder(world.folder())?;
    let job = Job::new(&context, "parallel").file(context.join("Dockerfile.other"));
    let figures = measure::in_turn(&world.tools, world.few(), |tool, round| {
        let command = format!(": {round} && sleep 2 && ");
        work::write(&job.file, work::parallel(STAGES, &command))?;
        measure::seconds(&tool.build(&job))
    })?;
    let row = Row::new("h", "4 stages of `sleep 2`, then a merge", Unit::Seconds, figures)
        .elsewhere(2.23)
        .at_most(2.1)
        .floor(Some(floor::shell("sleep 2", ":", 1)?));
    Ok(vec![row])
}
