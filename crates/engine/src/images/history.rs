//! `history`: how an image came to be, the last step first.

use lathe_exporter::unpacked_size;
use lathe_oci::parse_rfc3339;
use lathe_oci::{Digest, History, Reference};

use super::{Error, Result, find, list::config_of};
use crate::Engine;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// The image id, for the last step; `None` (docker's `<missing>`) for the others.
    pub id: Option<Digest>,
    /// When, in seconds since 1970.
    pub created: Option<i64>,
    /// By which instruction.
    pub created_by: String,
    /// Unpacked size of the step's layer in bytes.
    pub size: u64,
    /// A remark of the tool that made it.
    pub comment: String,
    /// Names of the image, for the last step.
    pub tags: Vec<String>,
}

/// Returns the steps of an image, the last first.
pub fn history(engine: &Engine, image: &str) -> Result<Vec<HistoryRow>> {
    let store = &engine.store;
    let _share = store.share()?;
    let image = find(store, image)?;
    let config = config_of(store, &image)?;
    let diff_ids = &config.rootfs.diff_ids;
    let mut layers = 1..=diff_ids.len();
    let mut steps = config.history;
    if steps.is_empty() {
        // Tools that leave the history out made one layer by each step.
        steps = vec![History { created: config.created, ..History::default() }; diff_ids.len()];
    }
    let mut rows = Vec::with_capacity(steps.len());
    for step in steps {
        let size = if step.empty_layer {
            0
        } else {
            let count = layers.next().ok_or(Error::HistoryTooLong)?;
            unpacked_size(store, &diff_ids[..count])?.unwrap_or(0)
        };
        rows.push(HistoryRow {
            id: None,
            created: step.created.as_deref().and_then(parse_rfc3339),
            created_by: step.created_by.unwrap_or_default(),
            size,
            comment: step.comment.unwrap_or_default(),
            tags: Vec::new(),
        });
    }
    rows.reverse();
    if let Some(last) = rows.first_mut() {
        last.id = Some(image.id);
        let names = image.names.iter().filter_map(|name| Reference::parse(name).ok());
        last.tags = names.map(|name| name.familiar()).collect();
    }
    Ok(rows)
}
