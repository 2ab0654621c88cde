//! Rows e, f: copies of many small files, from the context and from a stage.

use std::path::Path;

use anyhow::Result;

use super::World;
use crate::bench::job::Job;
use crate::bench::row::{Row, Unit};
use crate::bench::work::{self, Work};
use crate::bench::{floor, measure};
use crate::sh::Cmd;

/// Copies a context of 50,000 files for the first time.
pub(super) fn cold(world: &World<'_>) -> Result<Vec<Row>> {
    let context = Work::Context.folder(world.folder())?;
    let job = Job::new(&context, "context");
    let figures = measure::in_turn(&world.tools, world.few(), |tool, _| {
        let tool = tool.fresh(world.folder(), "fresh")?;
        let seconds = measure::seconds(&tool.build(&job))?;
        tool.remove();
        Ok(seconds)
    })?;
    let (from, to) = (context.join("src"), world.folder().join("floor-copy"));
    let (from, to) = (from.display(), to.display());
    let copy = floor::shell(&format!("cp -a {from} {to}"), &format!("rm -rf {to}"), world.few())?;
    let row = Row::new("e1", "context of 50,000 files, first build", Unit::Seconds, figures)
        .elsewhere(14.2)
        .at_most_of_buildkit(&world.names(), 1.0 / 5.0)
        .floor(Some(copy));
    Ok(vec![row])
}

/// Changes one of the files each time.
pub(super) fn one_changed(world: &World<'_>) -> Result<Vec<Row>> {
    let original = Work::Context.folder(world.folder())?;
    let context = world.folder().join("context-changed");
    Cmd::new("cp").arg("-a").arg(&original).arg(&context).run()?;
    let job = Job::new(&context, "changed");
    let file = context.join("src/d0007/f0000007.txt");
    let figures = measure::in_turn(&world.tools, world.few(), |tool, round| {
        if round == 0 {
            tool.build(&job).run()?;
        }
        work::write(&file, format!("{} {round}\n", tool.name()))?;
        measure::seconds(&tool.build(&job))
    })?;
    let floor = floor::shell(&hash(&context.join("src")), ":", world.few())?;
    crate::bench::place::remove(&context);
    let row = Row::new("e2", "the same, one file changed", Unit::Seconds, figures)
        .elsewhere(4.51)
        .at_most_of_buildkit(&world.names(), 1.0 / 6.0)
        .floor(Some(floor));
    Ok(vec![row])
}

/// Builds with all files as they were.
pub(super) fn unchanged(world: &World<'_>) -> Result<Vec<Row>> {
    let context = Work::Context.folder(world.folder())?;
    let job = Job::new(&context, "context");
    let figures = measure::in_turn(&world.tools, world.rounds, |tool, round| {
        if round == 0 {
            tool.build(&job).run()?;
        }
        measure::seconds(&tool.build(&job))
    })?;
    let look = format!("du -s {}", context.display());
    let row = Row::new("e3", "the same, nothing changed", Unit::Seconds, figures)
        .elsewhere(1.35)
        .at_most_of_buildkit(&world.names(), 1.0 / 4.0)
        .floor(Some(floor::shell(&look, ":", world.rounds)?));
    Ok(vec![row])
}

/// Copies 30,000 files from a stage: for the first time, and after a change of a step before the copy.
pub(super) fn from_stage(world: &World<'_>) -> Result<Vec<Row>> {
    let context = Work::Modules.folder(world.folder())?;
    let job = Job::new(&context, "modules");
    let first = measure::in_turn(&world.tools, world.few(), |tool, _| {
        let tool = tool.fresh(world.folder(), "fresh")?;
        tool.build(&job.clone().target("builder")).run()?;
        let seconds = measure::seconds(&tool.build(&job))?;
        tool.remove();
        Ok(seconds)
    })?;
    let again = measure::in_turn(&world.tools, world.few(), |tool, round| {
        if round == 0 {
            tool.build(&job).run()?;
        }
        let above = format!("{}-{round}", tool.name());
        measure::seconds(&tool.build(&job.clone().argument("ABOVE", &above)))
    })?;
    let (from, to) = (context.join("modules"), world.folder().join("floor-links"));
    let links = format!("cp -al {} {} && {}", from.display(), to.display(), hash(&from));
    let floor = floor::shell(&links, &format!("rm -rf {}", to.display()), world.few())?;
    let finish = |row: Row| {
        row.elsewhere(2.85)
            .at_most_of_buildkit(&world.names(), 1.0 / 5.0)
            .at_most_of(&world.names(), "buildah", 1.0 / 20.0)
            .floor(Some(floor))
    };
    let what = "COPY --from of 30,000 files, first time";
    let first = finish(Row::new("f", what, Unit::Seconds, first));
    let what = "the same after a change above the copy";
    Ok(vec![first, finish(Row::new("f'", what, Unit::Seconds, again))])
}

/// Returns the line of shell that archives a folder and takes the digest.
fn hash(folder: &Path) -> String {
    format!("tar -C {} -cf - . | sha256sum", folder.display())
}
