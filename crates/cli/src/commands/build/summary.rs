//! What a build says at its end, to people and to programs.

use std::fmt::Write as _;

use anyhow::Result;
use lathe_engine::BuildOutcome;
use lathe_event::Disposition;
use lathe_oci::Reference;
use serde_json::json;

use crate::render;

/// The document of `--metadata-file`, with buildx's keys.
pub(super) fn metadata(outcome: &BuildOutcome, tags: &[Reference]) -> Result<String> {
    let names: Vec<String> = tags.iter().map(ToString::to_string).collect();
    // As buildx: files alone are no image, and have none of its digests.
    let mut document = json!({});
    if let (Some(image), Some(manifest)) = (&outcome.image, &outcome.manifest) {
        document = json!({
            "containerimage.config.digest": image.to_string(),
            "containerimage.descriptor": serde_json::to_value(manifest)?,
            "containerimage.digest": manifest.digest.to_string(),
            "image.name": names.join(","),
        });
    }
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}

/// What a person wants to know at the end.
pub(super) fn summary(outcome: &BuildOutcome, tags: &[Reference], seconds: f64) -> String {
    let real = || outcome.steps.iter().filter(|step| !step.name.starts_with("[internal]"));
    let count = |wanted| real().filter(|step| step.disposition == wanted).count();
    // Outputs that are no image of the store have no name there.
    let stored = outcome.receipts.iter().any(|receipt| receipt.path.is_none());
    let names: Vec<String> = tags.iter().filter(|_| stored).map(Reference::familiar).collect();
    let names = if names.is_empty() { String::new() } else { format!(" as {}", names.join(", ")) };
    let mut text = String::new();
    for warning in &outcome.warnings {
        text.push_str(warning.trim_end());
        text.push('\n');
    }
    let (ran, cached) = (count(Disposition::Ran), count(Disposition::Hit));
    let steps = if ran == 1 { "step" } else { "steps" };
    let what = match &outcome.image {
        Some(id) => {
            let (id, size) = (id.to_string(), render::human_size_3(outcome.size));
            format!("image {}{names}, {size}", render::short_id(&id))
        }
        None => "done".to_owned(),
    };
    writeln!(text, "{what}: {ran} {steps} run, {cached} cached, {seconds:.1}s")
        .expect("writing to a string cannot fail");
    text
}
