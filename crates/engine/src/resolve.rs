//! Pins the images that a plan wants, all at once.

use std::{collections::BTreeMap, thread};

use lathe_dockerfile::{Diagnostic, Dockerfile, Span, suggest};
use lathe_frontend::{
    PinnedImage, Planned, PlatformChoice, Resolution, StageGraph, WantedImage, plan,
};
use lathe_oci::{Digest, Platform};
use lathe_source::ParsedImage;
use lathe_worker::PinnedSource;

use crate::{
    BuildRequest, Engine, Error, Result, contexts::Contexts, dockerfile::Source,
    platforms::runnable_platforms,
};

/// The images, for lowering and for the worker.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) images: Resolution,
    pub(crate) sources: BTreeMap<Digest, PinnedSource>,
    /// Findings about images that could not be had and are likely to be meant for stages.
    pub(crate) misspelt: Vec<Diagnostic>,
}

/// What becomes of an image that cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The build ends.
    Stops,
    /// It is noted, and checks that need it are left out.
    IsNoted,
}

/// Finds out which stages are needed and what their images are.
///
/// The triggers of a base image may want further images, so that planning goes on until nothing
/// new is wanted; each round answers at least one image.
pub(crate) fn plan_and_resolve(
    engine: &Engine,
    request: &BuildRequest,
    inputs: &Contexts,
    file: &Dockerfile,
    missing: Missing,
) -> Result<(Planned, Resolved)> {
    let source = &inputs.dockerfile;
    let mut resolved = Resolved::default();
    let mut options = inputs.frontend.clone();
    loop {
        // Looked for only where a base image asks for it.
        if let PlatformChoice::Assumed { runnable } = &mut options.platform_choice
            && resolved.images.images.values().any(|image| is_foreign(image, &options.platform))
        {
            *runnable = runnable_platforms();
        }
        let planned =
            plan(file, &options, &resolved.images).map_err(|errors| source.errors(&errors))?;
        if !resolve(engine, request, (source, file), &planned.stages, &mut resolved, missing)? {
            return Ok((planned, resolved));
        }
    }
}

fn is_foreign(image: &PinnedImage, platform: &Platform) -> bool {
    image.config.architecture != platform.architecture
}

/// Finds the manifest and config of each image that the stages want and that is not in
/// `resolved`; tells whether there was any.
fn resolve(
    engine: &Engine,
    request: &BuildRequest,
    (source, file): (&Source, &Dockerfile),
    stages: &StageGraph,
    resolved: &mut Resolved,
    missing: Missing,
) -> Result<bool> {
    let mut wanted = stages.wanted();
    let known = &resolved.images;
    wanted.retain(|image, _| !known.images.contains_key(image) && !known.unknown.contains(image));
    if wanted.is_empty() {
        return Ok(false);
    }
    let pin =
        |image: &WantedImage| engine.images.pin(&image.reference, &image.platform, request.pull);
    let pinned: Vec<_> = match wanted.len() {
        // A thread costs more than looking a known image up.
        0 | 1 => wanted.keys().map(pin).collect(),
        _ => thread::scope(|scope| {
            let threads: Vec<_> =
                wanted.keys().map(|image| scope.spawn(move || pin(image))).collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        }),
    };
    let mut findings = Vec::new();
    for ((image, span), pinned) in wanted.into_iter().zip(pinned) {
        match pinned {
            Ok(pinned) => resolved.add(image, pinned),
            Err(lathe_source::Error::Cancelled) => return Err(Error::Interrupted),
            Err(error) if missing == Missing::IsNoted => {
                // A registry that cannot be asked is no fault of the Dockerfile; a name that is
                // nearly a stage's is.
                let finding = finding(file, &image, span, &error);
                resolved.misspelt.extend(finding.help.is_some().then_some(finding));
                resolved.images.unknown.insert(image);
            }
            Err(error) => findings.push(finding(file, &image, span, &error)),
        }
    }
    if engine.images.cancel.is_cancelled() {
        return Err(Error::Interrupted);
    }
    if findings.is_empty() { Ok(true) } else { Err(source.errors(&findings)) }
}

impl Resolved {
    fn add(&mut self, wanted: WantedImage, image: ParsedImage) {
        let pinned = PinnedImage {
            manifest: image.manifest.digest,
            config: image.config.clone(),
            layers: image.document.layers.clone(),
        };
        let source = PinnedSource { reference: wanted.reference.clone(), image };
        self.sources.insert(pinned.manifest, source);
        self.images.images.insert(wanted, pinned);
    }
}

fn finding(
    file: &Dockerfile,
    image: &WantedImage,
    span: Span,
    error: &lathe_source::Error,
) -> Diagnostic {
    let mut message = format!("cannot find out what `{}` is: {error}", image.reference.familiar());
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    let finding = Diagnostic::error(span, message);
    // A name that is no image may be that of a stage, misspelt.
    let name = image.reference.shortest();
    let stages: Vec<String> = file.stages.iter().filter_map(lathe_dockerfile::Stage::key).collect();
    match suggest(&name, stages.iter().map(String::as_str)) {
        Some(near) => finding.help(format!("did you mean the stage `{near}`?")),
        None => finding,
    }
}
