//! A build, as the picture in ARCHITECTURE.md has it: one statement for each arrow.

use std::time::Duration;

use lathe_dockerfile::{Diagnostic, Dockerfile};
use lathe_exporter::Receipt;
use lathe_frontend::{Epoch, Lowered, Planned, lower};
use lathe_graph::VertexId;
use lathe_oci::{BuiltImage, Digest};
use lathe_solver::{Mode, NodeId};
use lathe_store::SnapshotId;

use crate::{
    BuildOutcome, BuildRequest, DryRun, Engine, Error, Result,
    assemble::{Background, assemble, export, top},
    contexts::Contexts,
    findings::{Lint, settle},
    outcome, outputs,
    record::{
        Fate,
        past::Past,
        planned,
        recorder::{Recorder, finish, unmade},
    },
    resolve::{Missing, Resolved, plan_and_resolve},
    room,
    solve::{How, Solved, Work, solve},
};

/// Builds an image and writes it where the request says.
///
/// The engine's event sink is told about progress; its cancel token ends the build with
/// [`crate::Error::Interrupted`]. What the steps print and what became of them is kept in the
/// store, also of a build that fails.
pub fn build(engine: &Engine, request: &BuildRequest) -> Result<BuildOutcome> {
    room::keep_below(engine, request.max_size)?;
    let _in_use = engine.store.share()?;
    let plan = plan(engine, request)?;
    outputs::check(engine, request, plan.epoch)?;
    let past = Past::of(&engine.store, request);
    let steps = planned(&plan.lowered.graph, &plan.inputs.dockerfile.text);
    let weights = || past.weights(&steps);
    let recorder = Recorder::begin(engine, request, &past, &plan.file, steps.clone());
    recorder.announce();
    let (solved, made) = run_with_room(&recorder, request, &plan, &weights)?;
    let ended = recorder.end(&past, &solved, made.as_ref().map(Made::image));
    let Made { image, receipts } = made?;
    // An output may give the image another form, and so another manifest.
    let written = receipts.iter().find_map(|receipt| receipt.manifest.clone());
    let (image, size) = image.unzip();
    let manifest = image.as_ref().map(|image| image.manifest.descriptor().clone());
    Ok(BuildOutcome {
        image: image.map(|image| *image.id()),
        manifest: written.or(manifest),
        size: size.unwrap_or(0),
        receipts,
        compared: past.latest().is_some(),
        warnings: plan.warnings(),
        steps: outcome::steps(&ended.build, ended.causes),
        build: ended.build.id,
    })
}

/// Tells what a build would run, without running it: nothing is fetched but what the Dockerfile
/// says of images, and nothing is written.
pub fn dry_run(engine: &Engine, request: &BuildRequest) -> Result<DryRun> {
    let _in_use = engine.store.share()?;
    let plan = plan(engine, request)?;
    let past = Past::of(&engine.store, request);
    let steps = planned(&plan.lowered.graph, &plan.inputs.dockerfile.text);
    let how = How { mode: Mode::Dry, weights: &Vec::new, committed: &|_, _| () };
    let solved = solve(engine, request, &plan.inputs, &plan.work(), how)?;
    let mut build = unmade(&plan.file, steps, &solved.solution);
    let causes = finish(engine, &past, &mut build, &solved);
    solved.ending?;
    let count = |fate| build.steps.iter().filter(|step| step.fate == fate).count();
    Ok(DryRun {
        would_run: count(Fate::WouldRun),
        may_run: count(Fate::MayRun),
        compared: past.latest().is_some(),
        warnings: plan.warnings(),
        steps: outcome::steps(&build, causes),
    })
}

/// All that is known before anything runs.
struct Plan {
    inputs: Contexts,
    file: Dockerfile,
    resolved: Resolved,
    lowered: Lowered,
    epoch: Option<i64>,
    findings: Vec<Diagnostic>,
}

impl Plan {
    fn work(&self) -> Work<'_> {
        let Lowered { graph, target, .. } = &self.lowered;
        Work { graph, target, resolved: &self.resolved, epoch: self.epoch }
    }

    fn warnings(&self) -> Vec<String> {
        self.findings.iter().map(|finding| self.inputs.dockerfile.render(finding)).collect()
    }
}

/// From the request to the graph.
fn plan(engine: &Engine, request: &BuildRequest) -> Result<Plan> {
    let inputs = Contexts::open(engine, request)?;
    let source = &inputs.dockerfile;
    let (file, parsed) = source.parse()?;
    let (planned, resolved) = plan_and_resolve(engine, request, &inputs, &file, Missing::Stops)?;
    let lowered = lower(&file, &planned.stages, &resolved.images, &inputs.frontend)
        .map_err(|errors| source.errors(&errors))?;
    let epoch = inputs.epoch(&lowered.epoch)?;
    let lowered = with_epoch(&inputs, &file, &planned, &resolved, epoch, lowered)?;
    let found = [parsed, planned.warnings, lowered.warnings.clone()].concat();
    let lint = Lint::of(&inputs.frontend)?;
    let findings = settle(source, &file, found, &lint, (&planned.stages, &resolved.images))?;
    Ok(Plan { inputs, file, resolved, lowered, epoch, findings })
}

/// What is made of the file trees.
struct Made {
    /// The image with its unpacked size in bytes; `None` where no output needs one.
    image: Option<(BuiltImage, u64)>,
    receipts: Vec<Receipt>,
}

impl Made {
    fn image(&self) -> Option<&Digest> {
        self.image.as_ref().map(|(image, _)| image.id())
    }
}

/// Runs, and once more if the disk was full and there is room now: steps that were done are found.
fn run_with_room(
    recorder: &Recorder,
    request: &BuildRequest,
    plan: &Plan,
    weights: &(dyn Fn() -> Vec<Duration> + Sync),
) -> Result<(Solved, Result<Made>)> {
    let engine = &recorder.engine;
    let (solved, made) = run(engine, request, plan, weights)?;
    let Err(error) = made else { return Ok((solved, made)) };
    match room::make_room(recorder, &error)? {
        None => Ok((solved, Err(error))),
        Some(0) => Ok((solved, Err(Error::DiskFull { failure: Box::new(error), freed: 0 }))),
        Some(freed) => {
            let (solved, made) = run(engine, request, plan, weights)?;
            let made = made.map_err(|error| match error {
                Error::Interrupted => error,
                error => Error::DiskFull { failure: Box::new(error), freed },
            });
            Ok((solved, made))
        }
    }
}

/// From the graph to the file trees, the image, and where it goes.
fn run(
    engine: &Engine,
    request: &BuildRequest,
    plan: &Plan,
    weights: &(dyn Fn() -> Vec<Duration> + Sync),
) -> Result<(Solved, Result<Made>)> {
    let work = plan.work();
    let background = Background::start(engine, request, &work);
    let committed = |node: NodeId, snapshot: SnapshotId| {
        background.committed(VertexId(node.0), snapshot);
    };
    let how = How { mode: Mode::Run, weights, committed: &committed };
    let mut solved = solve(engine, request, &plan.inputs, &work, how)?;
    let make = || -> Result<Made> {
        let image = assemble(engine, request, &work, &solved.solution, background)?;
        let top = top(work.target, &solved.solution);
        let receipts = export(engine, request, &work, image.as_ref(), top)?;
        Ok(Made { image, receipts })
    };
    let made = std::mem::replace(&mut solved.ending, Ok(())).and_then(|()| make());
    Ok((solved, made))
}

/// Lowers once more where `SOURCE_DATE_EPOCH` was the name of something with a time: instructions
/// that use the variable are to see the number.
fn with_epoch(
    inputs: &Contexts,
    file: &Dockerfile,
    planned: &Planned,
    resolved: &Resolved,
    epoch: Option<i64>,
    lowered: Lowered,
) -> Result<Lowered> {
    let (Epoch::Context(_) | Epoch::Source(_), Some(seconds)) = (&lowered.epoch, epoch) else {
        return Ok(lowered);
    };
    let mut options = inputs.frontend.clone();
    options.build_args.insert("SOURCE_DATE_EPOCH".to_owned(), seconds.to_string());
    lower(file, &planned.stages, &resolved.images, &options)
        .map_err(|errors| inputs.dockerfile.errors(&errors))
}

#[cfg(test)]
mod tests {
    use std::panic::RefUnwindSafe;

    use super::*;

    /// A value without interior mutability: whoever has a reference cannot change it.
    fn assert_unchanging<T: RefUnwindSafe>() {}

    #[test]
    fn inv_engine_order_values_between_phases_cannot_be_changed_by_a_later_phase() {
        let _: fn(&Engine, &BuildRequest) -> Result<BuildOutcome> = build;
        assert_unchanging::<BuildRequest>();
        assert_unchanging::<lathe_dockerfile::Dockerfile>();
        assert_unchanging::<lathe_frontend::StageGraph>();
        assert_unchanging::<lathe_frontend::Resolution>();
        assert_unchanging::<Lowered>();
        assert_unchanging::<lathe_oci::BuiltImage>();
    }
}
