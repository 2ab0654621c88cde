//! The kinds of work that grow.

use std::fmt::Write as _;

use anyhow::Result;

use super::{Bench, Point, Series};
use crate::bench::job::Job;
use crate::bench::measure::{self, Watched};
use crate::bench::tool::Tool;
use crate::bench::{images, place, work};
use crate::sh::Cmd;

/// Rounds of what takes no longer than this, in seconds, once.
const SHORT: f64 = 4.0;
const ROUNDS: usize = 5;

/// A kind of work.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// What there are more and more of, as one.
    pub(super) unit: &'static str,
    pub(super) measure: fn(&Bench<'_>) -> Result<Vec<Series>>,
}

pub(super) const KINDS: [Kind; 5] = [
    Kind { name: "files", title: "Files in the context", unit: "file", measure: files },
    Kind { name: "steps", title: "Steps", unit: "step", measure: steps },
    Kind { name: "stages", title: "Stages", unit: "stage", measure: stages },
    Kind { name: "layers", title: "Layers in an image", unit: "layer", measure: layers },
    Kind { name: "images", title: "Images in the store", unit: "image", measure: stored },
];

/// A context of ever more files.
fn files(bench: &Bench<'_>) -> Result<Vec<Series>> {
    builds(bench, &[1_000, 10_000, 100_000, 1_000_000], |job, units| {
        work::context(&job.context.join("src"), units)?;
        work::write(&job.file, "FROM busybox\nCOPY src /src\n")
    })
}

/// Ever more commands that do nothing.
fn steps(bench: &Bench<'_>) -> Result<Vec<Series>> {
    builds(bench, &[10, 100, 1_000], |job, units| work::write(&job.file, work::steps(units)))
}

/// Ever more stages with a command each, and a last one with a file of each.
fn stages(bench: &Bench<'_>) -> Result<Vec<Series>> {
    builds(bench, &[1, 10, 100], |job, units| work::write(&job.file, work::parallel(units, "")))
}

/// Images of ever more layers, each with a file; and a command on top of them.
fn layers(bench: &Bench<'_>) -> Result<Vec<Series>> {
    let mut all = builds(bench, &[10, 100, 500], |job, units| layered(job, units).map(drop))?;
    let mut top = Series::new("one RUN on top of them");
    for units in [10, 100, 500] {
        let job = bench.job()?;
        let text = layered(&job, units)?;
        let tool = bench.tool.fresh(bench.place.folder(), "growth")?;
        // An image of its own, so that the time of the build on it is that of the command.
        tool.build(&job).run()?;
        top.add(units, |_| {
            let round = top_round();
            work::write(&job.file, format!("{text}RUN : {round}\n"))?;
            measure::watched(&tool.build(&job), &bench.lathe.program)
        });
        tool.remove();
        place::remove(&job.context);
    }
    all.truncate(1);
    all.push(top);
    Ok(all)
}

/// Returns a number that was never returned before.
fn top_round() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static ROUND: AtomicUsize = AtomicUsize::new(0);
    ROUND.fetch_add(1, Ordering::Relaxed)
}

/// Writes a context and its Dockerfile, which is returned too; the base image has a layer of its own.
fn layered(job: &Job, units: usize) -> Result<String> {
    let mut text = "FROM busybox\n".to_owned();
    for number in 1..units {
        work::write(&job.context.join(format!("f{number}")), format!("{number}\n"))?;
        writeln!(text, "COPY f{number} /").expect("a string can be written to");
    }
    work::write(&job.file, &text)?;
    Ok(text)
}

/// Lists ever more images.
fn stored(bench: &Bench<'_>) -> Result<Vec<Series>> {
    let mut series = Series::new("`lathe images`");
    for units in [10, 1_000, 10_000] {
        let store = images::store(bench.place.folder(), &bench.lathe, units)?;
        let list = store.command(&["images"]);
        series.add(units, |look| bench.run(&list, look));
        Tool::Lathe(store).remove();
    }
    Ok(vec![series])
}

/// Builds contexts of these sizes, each first in a new store, then with nothing changed.
fn builds(
    bench: &Bench<'_>,
    sizes: &[usize],
    write: impl Fn(&Job, usize) -> Result<()>,
) -> Result<Vec<Series>> {
    let (mut cold, mut again) = (Series::new("first build"), Series::new("nothing changed"));
    for &units in sizes {
        let job = bench.job()?;
        write(&job, units)?;
        let is_built = cold.add(units, |look| {
            let tool = bench.tool.fresh(bench.place.folder(), "growth")?;
            bench.run(&tool.build(&job), look)
        });
        // The last of these builds is still there.
        if let (true, Tool::Lathe(lathe)) = (is_built, &bench.tool) {
            let root = bench.place.folder().join("lathe-growth");
            let tool = Tool::Lathe(crate::lathe::Lathe { root: Some(root), ..lathe.clone() });
            tool.build(&job).run()?;
            again.add(units, |look| bench.run(&tool.build(&job), look));
            tool.remove();
        }
        place::remove(&job.context);
    }
    Ok(vec![cold, again])
}

/// Whether memory is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    AtTime,
    AtMemory,
}

impl Bench<'_> {
    /// Returns a job with an empty context.
    fn job(&self) -> Result<Job> {
        let context = self.place.folder().join("growth");
        place::remove(&context);
        work::make(&context)?;
        Ok(Job::new(&context, "growth"))
    }

    fn run(&self, command: &Cmd, look: Look) -> Result<Watched> {
        match look {
            Look::AtMemory => measure::watched(command, &self.lathe.program),
            Look::AtTime => Ok(Watched { seconds: measure::seconds(command)?, megabytes: 0.0 }),
        }
    }
}

impl Series {
    fn new(what: &str) -> Self {
        Self { what: what.to_owned(), points: Vec::new(), missing: Vec::new() }
    }

    /// Measures memory once, and time several times where that is short; returns whether that was possible.
    fn add(&mut self, units: usize, once: impl Fn(Look) -> Result<Watched>) -> bool {
        match point(units, once) {
            Ok(point) => {
                let Point { seconds, megabytes, .. } = point;
                println!("{:<22} {units:>9}: {seconds:>8.3} s, {megabytes:>5.0} MB", self.what);
                self.points.push(point);
                true
            }
            Err(error) => {
                let text = format!("{error:#}");
                println!("{:<22} {units:>9}: {text}", self.what);
                let line = text.lines().find_map(|line| line.trim().strip_prefix("error: "));
                self.missing.push((units, line.unwrap_or("fails").to_owned()));
                false
            }
        }
    }
}

fn point(units: usize, once: impl Fn(Look) -> Result<Watched>) -> Result<Point> {
    let Watched { mut seconds, megabytes } = once(Look::AtMemory)?;
    if seconds < SHORT {
        let samples =
            (0..ROUNDS).map(|_| Ok(once(Look::AtTime)?.seconds)).collect::<Result<Vec<_>>>()?;
        seconds = measure::median(&samples);
    }
    Ok(Point { units, seconds, megabytes })
}
