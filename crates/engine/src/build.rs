//! A build, as the picture in ARCHITECTURE.md has it: one statement for each arrow.

use lathe_frontend::{Lowered, lower, plan};

use crate::{
    BuildOutcome, BuildRequest, Engine, Result,
    assemble::{assemble, export, top},
    dockerfile::Source,
    resolve::{Resolved, resolve},
    solve::{report, solve},
};

/// Builds an image and writes it where the request says.
///
/// The engine's event sink is told about progress; its cancel token ends the build with
/// [`crate::Error::Interrupted`].
pub fn build(engine: &Engine, request: &BuildRequest) -> Result<BuildOutcome> {
    let _in_use = engine.store.share()?;
    let source = Source::read(&request.inputs)?;
    let (file, mut findings) = source.parse()?;
    let mut resolution = Resolved::default();
    let planned = loop {
        let planned = plan(&file, &request.frontend, &resolution.images)
            .map_err(|errors| source.errors(&errors))?;
        // Triggers of a base image may want further images.
        if !resolve(engine, request, &source, &planned.stages, &mut resolution)? {
            break planned;
        }
    };
    let Lowered { graph, target, epoch: _, warnings } =
        lower(&file, &planned.stages, &resolution.images, &request.frontend)
            .map_err(|errors| source.errors(&errors))?;
    let solution = solve(engine, request, &source, &graph, &target, &resolution)?;
    let (image, size) = assemble(engine, request, &target, &solution)?;
    let receipts = export(engine, request, &image, size, top(&target, &solution))?;
    findings.extend(lathe_dockerfile::lint(&file, &source.text));
    findings.extend(planned.warnings);
    findings.extend(warnings);
    Ok(BuildOutcome {
        image: *image.id(),
        manifest: image.manifest.descriptor().clone(),
        size,
        receipts,
        steps: report(&graph, &solution),
        warnings: findings.iter().map(|finding| source.render(finding)).collect(),
    })
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
