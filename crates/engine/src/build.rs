//! A build, as the picture in ARCHITECTURE.md has it: one statement for each arrow.

use lathe_dockerfile::Dockerfile;
use lathe_frontend::{Epoch, Lowered, Planned, lower};
use lathe_graph::VertexId;
use lathe_solver::NodeId;

use crate::{
    BuildOutcome, BuildRequest, Engine, Result,
    assemble::{Background, assemble, export, top},
    contexts::Contexts,
    findings::{Lint, settle},
    outputs,
    resolve::{Missing, Resolved, plan_and_resolve},
    solve::{Work, report, solve},
};

/// Builds an image and writes it where the request says.
///
/// The engine's event sink is told about progress; its cancel token ends the build with
/// [`crate::Error::Interrupted`].
pub fn build(engine: &Engine, request: &BuildRequest) -> Result<BuildOutcome> {
    let _in_use = engine.store.share()?;
    let inputs = Contexts::open(engine, request)?;
    let source = &inputs.dockerfile;
    let (file, parsed) = source.parse()?;
    let (planned, resolved) = plan_and_resolve(engine, request, &inputs, &file, Missing::Stops)?;
    let lowered = lower(&file, &planned.stages, &resolved.images, &inputs.frontend)
        .map_err(|errors| source.errors(&errors))?;
    let epoch = inputs.epoch(&lowered.epoch)?;
    let Lowered { graph, target, warnings, .. } =
        with_epoch(&inputs, &file, &planned, &resolved, epoch, lowered)?;
    let found = [parsed, planned.warnings, warnings].concat();
    let lint = Lint::of(&inputs.frontend)?;
    let findings = settle(source, &file, found, &lint, (&planned.stages, &resolved.images))?;
    outputs::check(engine, request, epoch)?;
    let work = Work { graph: &graph, target: &target, resolved: &resolved, epoch };
    let layers = Background::start(engine, request, &work);
    let committed = |node: NodeId, snapshot| layers.committed(VertexId(node.0), snapshot);
    let solution = solve(engine, request, &inputs, &work, &committed)?;
    let (image, size) = assemble(engine, request, &work, &solution, layers)?;
    let receipts = export(engine, request, &image, size, epoch, top(&target, &solution))?;
    // An output may give the image another form, and so another manifest.
    let written = receipts.iter().find_map(|receipt| receipt.manifest.clone());
    Ok(BuildOutcome {
        image: *image.id(),
        manifest: written.unwrap_or_else(|| image.manifest.descriptor().clone()),
        size,
        receipts,
        steps: report(&graph, &solution),
        warnings: findings.iter().map(|finding| source.render(finding)).collect(),
    })
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
