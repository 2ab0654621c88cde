//! `push`, `login` and `logout`.

use std::path::PathBuf;

use lathe_exporter::PushReport;
use lathe_oci::Reference;
use lathe_registry::Pushed;

use super::{Error, Result, find::by_name, refetch::bring_layers};
use crate::Engine;

/// Returns the line that docker prints at the beginning.
pub fn announce_push(name: &str) -> Result<Vec<String>> {
    let reference = Reference::parse(name)?;
    let mut lines = Vec::new();
    if reference.tag().is_none() {
        lines.push("Using default tag: latest".to_owned());
    }
    lines.push(format!("The push refers to repository [{}]", reference.name()));
    Ok(lines)
}

/// Returns the lines that docker prints at the end: one for each layer, the highest first, and
/// the digest.
pub fn push_lines(report: &PushReport) -> Vec<String> {
    let layer = |layer: &lathe_exporter::PushedLayer| {
        let outcome = match (layer.outcome, &layer.from) {
            (Pushed::AlreadyThere, _) => "Layer already exists".to_owned(),
            (Pushed::Uploaded, _) => "Pushed".to_owned(),
            (Pushed::Mounted, Some(from)) => format!("Mounted from {}", from.repository()),
            (Pushed::Mounted, None) => "Mounted".to_owned(),
        };
        format!("{}: {outcome}", layer.entry.diff_id.0.short())
    };
    let manifest = &report.manifest;
    let tag = report.reference.tag().unwrap_or_default();
    let mut lines: Vec<String> = report.layers.iter().rev().map(layer).collect();
    lines.push(format!("{tag}: digest: {} size: {}", manifest.digest, manifest.size));
    lines
}

/// Pushes an image under a name that it has.
pub fn push(engine: &Engine, name: &str) -> Result<PushReport> {
    let _share = engine.store.share()?;
    let reference = Reference::parse(name)?.with_default_tag();
    let image = by_name(&engine.store, &reference)?
        .ok_or_else(|| Error::NotTagged(reference.familiar_name()))?;
    bring_layers(engine, &image)?;
    let client = || engine.client().map_err(Into::into);
    let env = engine.exporter_env(&client);
    let image = lathe_exporter::stored_image(&env, &image)?;
    Ok(lathe_exporter::push(&env, &image, &reference)?)
}

/// Checks a password with a registry and keeps it; returns the file that it is in.
pub fn login(engine: &Engine, registry: &str, username: &str, password: &str) -> Result<PathBuf> {
    Ok((engine.images.client)()?.login(registry, username, password)?)
}

/// Forgets the password of a registry; tells whether there was one.
pub fn logout(engine: &Engine, registry: &str) -> Result<bool> {
    Ok((engine.images.client)()?.logout(registry)?)
}
