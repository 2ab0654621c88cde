//! Rows mem, start: how much memory lathe has, and how quickly it answers with many images.

use anyhow::Result;

use super::{World, steps};
use crate::bench::job::{Compression, Job};
use crate::bench::row::{Row, Unit};
use crate::bench::tool::Tool;
use crate::bench::work::{self, STEPS, Work};
use crate::bench::{images, measure, tool};
use crate::examples;
use crate::sh::{self, Cmd};

/// Images in the store that `lathe images` lists.
const IMAGES: usize = 1000;

/// Builds all work once with an eye on memory: the sum over all processes of lathe at each moment.
pub(super) fn memory(world: &World<'_>) -> Result<Vec<Row>> {
    let fresh = world.tools[0].fresh(world.folder(), "memory")?;
    let result = memory_of(world, &fresh);
    fresh.remove();
    result
}

fn memory_of(world: &World<'_>, fresh: &Tool) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let peak = |command: Cmd| -> Result<f64> {
        Ok(measure::watched(&command, &world.lathe.program)?.megabytes)
    };
    let mut add = |id: &str, what: &str, limit: f64, figure: f64| {
        let row = Row::new(id, what, Unit::Megabytes, vec![Some(figure)]);
        rows.push(row.at_most(limit));
    };
    let folder = world.folder();
    let example = folder.join("memory-node");
    Cmd::new("cp").arg("-a").arg(examples::NODE.context()).arg(&example).run()?;
    let node = Job::example(&examples::NODE, &example);
    for base in tool::bases(&examples::NODE)? {
        fresh.pull(&base, folder)?;
    }
    add("mem a", "peak memory, node example, first build", 80.0, peak(fresh.build(&node))?);
    add("mem b", "peak memory, node example, nothing changed", 60.0, peak(fresh.build(&node))?);
    work::write(&example.join("src/further.js"), "// A change.\n")?;
    let what = "peak memory, node example, a source file changed";
    add("mem c", what, 60.0, peak(fresh.build(&node))?);

    let context = Work::Steps.folder(folder)?;
    let job = Job::new(&context, "steps").file(context.join("Dockerfile.other"));
    steps::other(&job, &work::steps(STEPS), 0)?;
    add("mem d", "peak memory, 50 `RUN :`", 60.0, peak(fresh.build(&job))?);

    let job = Job::new(&Work::Context.folder(folder)?, "context");
    add("mem e1", "peak memory, context of 50,000 files", 150.0, peak(fresh.build(&job))?);
    let what = "peak memory, the same, nothing changed";
    add("mem e3", what, 150.0, peak(fresh.build(&job))?);
    let job = Job::new(&Work::Modules.folder(folder)?, "modules");
    add("mem f", "peak memory, COPY --from of 30,000 files", 150.0, peak(fresh.build(&job))?);
    let job = Job::new(&Work::Large.folder(folder)?, "large");
    add("mem g1", "peak memory, 1 GiB in one layer, built", 150.0, peak(fresh.build(&job))?);
    for compression in [Compression::Gzip, Compression::Zstd] {
        let archive = folder.join("large.tar");
        let figure = peak(fresh.to_archive(&job, &archive, compression))?;
        let what = format!("peak memory, 1 GiB to an OCI archive, {}", compression.name());
        let id = if compression == Compression::Gzip { "mem g2" } else { "mem g2z" };
        add(id, &what, 150.0, figure);
        sh::remove_file(&archive)?;
    }
    Ok(rows)
}

/// Lists many images.
pub(super) fn start(world: &World<'_>) -> Result<Vec<Row>> {
    let store = images::store(world.folder(), &world.lathe, IMAGES)?;
    let list = store.command(&["images"]);
    let mut samples = Vec::new();
    for _ in 0..world.rounds {
        samples.push(measure::seconds(&list)? * 1e3);
    }
    let text = list.read()?;
    Tool::Lathe(store).remove();
    anyhow::ensure!(text.lines().count() > IMAGES, "`lathe images` lists too few");
    let what = "`lathe images` with 1,000 images in the store";
    let row = Row::new("start", what, Unit::Milliseconds, vec![Some(measure::median(&samples))]);
    Ok(vec![row.at_most(10.0)])
}
