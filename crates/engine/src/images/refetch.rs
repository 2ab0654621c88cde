//! Layers of pulled images whose files are here as snapshots, but whose bytes were pruned: they are
//! brought again where something on the way out needs them.

use lathe_exporter::missing_layers;
use lathe_oci::{Descriptor, DiffId, LayerEntry, Reference};
use lathe_source::parse_image;
use lathe_store::ImageRecord;

use super::{Result, adopt::source_of};
use crate::Engine;

/// Brings the layers of an image of the store that can be had nowhere here.
pub(crate) fn bring_layers(engine: &Engine, image: &ImageRecord) -> Result<()> {
    let parsed = parse_image(&engine.store, &image.manifest.digest)?;
    let layers = entries(&parsed.document.layers, &parsed.config.rootfs.diff_ids);
    bring(engine, &source_of(image)?, &layers)
}

/// Brings the layers that can be had nowhere here from where `reference` says.
pub(crate) fn bring<E>(
    engine: &Engine,
    reference: &Reference,
    layers: &[LayerEntry],
) -> std::result::Result<(), E>
where
    E: From<lathe_exporter::Error> + From<lathe_source::Error>,
{
    for layer in missing_layers(&engine.store, layers)? {
        engine.images.refetch_blob(reference, &layer)?;
    }
    Ok(())
}

/// Joins what a manifest and a config say of the same layers.
pub(crate) fn entries(layers: &[Descriptor], diff_ids: &[DiffId]) -> Vec<LayerEntry> {
    let entry = |(descriptor, diff_id): (&Descriptor, &DiffId)| LayerEntry {
        diff_id: *diff_id,
        descriptor: descriptor.clone(),
    };
    layers.iter().zip(diff_ids).map(entry).collect()
}
