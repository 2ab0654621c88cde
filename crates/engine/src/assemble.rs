//! From snapshots to layers, an image, and where it goes.

use std::{collections::BTreeSet, sync::Arc};

use lathe_exporter::{
    ExportRequest, ExportSpec, ImageLayer, LayerForm, PackOptions, Packing, PackingRequest, Receipt,
};
use lathe_frontend::{HistoryItem, ImageTarget};
use lathe_graph::VertexId;
use lathe_oci::{BuiltImage, DiffId, History, LayerEntry};
use lathe_solver::Solution;
use lathe_store::SnapshotId;
use lathe_worker::Output;

use crate::{BuildRequest, Engine, Layering, Result, images::refetch, solve::Work};

/// The remark that BuildKit leaves in each history item; tools look for it.
const COMMENT: &str = "buildkit.dockerfile.v0";

/// Layers that are made in the background while the build goes on.
pub(crate) struct Background {
    packing: Option<Packing>,
    /// Whether an output needs an image, and not files alone.
    makes_image: bool,
    /// The steps whose layers the image has.
    layers: BTreeSet<VertexId>,
    /// The one whose layer is the topmost.
    top: Option<VertexId>,
    /// What an output needs of each layer, and what of the topmost: nothing is left for that to
    /// be hidden behind, so it is compressed while it is sent.
    form: Option<LayerForm>,
    top_form: Option<LayerForm>,
}

impl Background {
    /// Makes ready for the layers of the target.
    pub(crate) fn start(engine: &Engine, request: &BuildRequest, work: &Work<'_>) -> Self {
        let default = [ExportSpec::default()];
        let specs = if request.exports.is_empty() { &default[..] } else { &request.exports };
        // What is squashed has other layers in the end.
        let makes_image = specs.iter().any(ExportSpec::needs_image);
        let wanted = makes_image && request.layers == Layering::Steps;
        let vertices = work.target.history.iter().filter_map(|item| item.vertex);
        let packing = wanted.then(|| {
            Packing::start(PackingRequest {
                store: engine.store.clone(),
                snapshots: engine.snapshots.clone(),
                events: Arc::clone(&engine.images.events),
                cancel: engine.images.cancel.clone(),
                epoch: work.epoch,
            })
        });
        Self {
            packing,
            makes_image,
            layers: vertices.collect(),
            top: work.target.vertex,
            form: ExportSpec::traveling(specs),
            top_form: ExportSpec::packing(specs),
        }
    }

    /// Has the layer of a step made, if the image has it.
    pub(crate) fn committed(&self, vertex: VertexId, snapshot: SnapshotId) {
        if let Some(packing) = self.packing.as_ref().filter(|_| self.layers.contains(&vertex)) {
            let form = if self.top == Some(vertex) { self.top_form } else { self.form };
            packing.submit(snapshot, form);
        }
    }

    /// Waits for what was begun.
    fn finish(self) -> Result<()> {
        Ok(self.packing.map(Packing::finish).transpose().map(drop)?)
    }
}

/// Makes the image of a target, `None` where no output needs one; also returns the bytes of its
/// unpacked layers.
pub(crate) fn assemble(
    engine: &Engine,
    request: &BuildRequest,
    work: &Work<'_>,
    solution: &Solution<Output>,
    background: Background,
) -> Result<Option<(BuiltImage, u64)>> {
    let Work { target, epoch, resolved, .. } = *work;
    if !background.makes_image {
        return Ok(None);
    }
    if background.form.is_some() {
        bring_base(engine, work)?;
    }
    background.finish()?;
    let chain = built_chain(engine, target, solution)?;
    let options = PackOptions { form: ExportSpec::packing(&request.exports), epoch };
    let history = history(target, &created_times(engine, &chain, epoch)?);
    let made = make(engine, target, layers(engine, target, &chain, options)?, history.clone())?;
    if request.layers == Layering::Steps || chain.len() < 2 {
        return Ok(Some(made));
    }
    // Docker names the image that it squashes, so that it is made first.
    let (image, _) = made;
    let client = || engine.client().map_err(Into::into);
    let one = lathe_exporter::squash(&engine.exporter_env(&client), &chain)?;
    let base = target.base.as_ref().and_then(|base| resolved.sources.get(&base.manifest));
    let base = base.map(|base| &base.image.document.config.digest);
    let comment = lathe_oci::squash_comment(image.id(), base);
    let created = history.last().and_then(|item| item.created.clone());
    let history = lathe_oci::squash_history(history, target.config.history.len(), created, comment);
    make(engine, target, layers(engine, target, &[one], options)?, history).map(Some)
}

/// Brings the layers of the base image whose bytes an output needs and that are not here any more.
fn bring_base(engine: &Engine, work: &Work<'_>) -> Result<()> {
    let Some(base) = &work.target.base else { return Ok(()) };
    let Some(source) = work.resolved.sources.get(&base.manifest) else { return Ok(()) };
    let layers = refetch::entries(&base.layers, &base.config.rootfs.diff_ids);
    refetch::bring(engine, &source.reference, &layers)
}

/// Makes the image of layers on top of those of the base image.
fn make(
    engine: &Engine,
    target: &ImageTarget,
    built: Vec<ImageLayer>,
    history: Vec<History>,
) -> Result<(BuiltImage, u64)> {
    let mut size = built.iter().map(|layer| layer.unpacked_size).sum();
    let mut entries = Vec::new();
    if let Some(base) = &target.base {
        let diff_ids = &base.config.rootfs.diff_ids;
        for (index, (diff_id, descriptor)) in diff_ids.iter().zip(&base.layers).enumerate() {
            let known = lathe_exporter::unpacked_size(&engine.store, &diff_ids[..=index])?;
            size += known.unwrap_or(0);
            entries.push(LayerEntry { diff_id: *diff_id, descriptor: descriptor.clone() });
        }
    }
    entries.extend(built.into_iter().map(|layer| layer.entry));
    let mut config = target.config.clone();
    config.created = history.last().and_then(|item| item.created.clone());
    Ok((lathe_oci::assemble(config, history, entries)?, size))
}

/// Writes the image where the request says.
pub(crate) fn export(
    engine: &Engine,
    request: &BuildRequest,
    work: &Work<'_>,
    made: Option<&(BuiltImage, u64)>,
    tree: Option<SnapshotId>,
) -> Result<Vec<Receipt>> {
    let default = [ExportSpec::default()];
    let specs = if request.exports.is_empty() { &default[..] } else { &request.exports };
    let client = || engine.client().map_err(Into::into);
    let env = engine.exporter_env(&client);
    let platform = work.target.config.platform();
    let request = ExportRequest {
        image: made.map(|(image, _)| image),
        platform: Some(&platform),
        size: made.map_or(0, |(_, size)| *size),
        tree,
        names: &request.tags,
        annotations: &request.annotations,
        epoch: work.epoch,
        owners: engine.owners,
    };
    let receipts = specs.iter().map(|spec| lathe_exporter::export(&env, spec, &request));
    Ok(receipts.collect::<std::result::Result<_, _>>()?)
}

/// Returns the file tree of a target, `None` if it is empty.
pub(crate) fn top(target: &ImageTarget, solution: &Solution<Output>) -> Option<SnapshotId> {
    let vertex = target.vertex?;
    match solution.nodes[vertex.0 as usize].output {
        Some(Output::Snapshot(snapshot)) => Some(snapshot),
        Some(Output::Context(_)) | None => None,
    }
}

/// Returns the snapshots that this build made or found, lowest first.
///
/// Each instruction with a layer makes one snapshot on top of the last, so that the topmost ones
/// are those of the history, whether the steps between were run, found or not even looked at.
fn built_chain(
    engine: &Engine,
    target: &ImageTarget,
    solution: &Solution<Output>,
) -> Result<Vec<SnapshotId>> {
    let Some(top) = top(target, solution) else { return Ok(Vec::new()) };
    let made = target.history.iter().filter(|item| item.vertex.is_some()).count();
    let mut chain = engine.store.snapshot_chain(top)?;
    chain.truncate(made);
    chain.reverse();
    Ok(chain)
}

fn layers(
    engine: &Engine,
    target: &ImageTarget,
    chain: &[SnapshotId],
    options: PackOptions,
) -> Result<Vec<ImageLayer>> {
    let client = || engine.client().map_err(Into::into);
    let env = engine.exporter_env(&client);
    let base: &[DiffId] = target.base.as_ref().map_or(&[], |base| &base.config.rootfs.diff_ids);
    Ok(lathe_exporter::layers(&env, base, chain, options)?)
}

fn created_times(engine: &Engine, chain: &[SnapshotId], epoch: Option<i64>) -> Result<Vec<i64>> {
    let mut times = Vec::new();
    for snapshot in chain {
        let created = engine.store.snapshot(*snapshot)?.map_or(0, |record| record.created);
        times.push(epoch.unwrap_or(created));
    }
    Ok(times)
}

/// Returns the whole history: that of the base image, then one item for each instruction.
///
/// An item has the time when its layer was made, so that an image which is built again from the
/// cache is the same image; an item without layer has the time of the one before.
fn history(target: &ImageTarget, times: &[i64]) -> Vec<History> {
    let mut history = target.config.history.clone();
    let mut times = times.iter();
    let mut created = history.last().and_then(|item| item.created.clone());
    for HistoryItem { created_by, vertex } in &target.history {
        if vertex.is_some() {
            created = times.next().map(|seconds| lathe_oci::format_rfc3339(*seconds));
        }
        history.push(History {
            created: created.clone(),
            created_by: Some(created_by.clone()),
            author: target.config.author.clone(),
            comment: Some(COMMENT.to_owned()),
            empty_layer: vertex.is_none(),
        });
    }
    history
}
