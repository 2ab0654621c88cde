//! `lathe history`.

use anyhow::Result;

use super::{Field, Listing, Zone, ellipsis, human_size_3, image::since, listing, short_id};

/// One instruction of an image's history, newest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct HistoryRow {
    /// Digest of the configuration, for the newest only.
    pub(crate) id: Option<String>,
    /// Seconds since 1970.
    pub(crate) created: Option<i64>,
    pub(crate) created_by: String,
    /// Unpacked bytes.
    pub(crate) size: u64,
    pub(crate) comment: String,
}

/// How to show a history.
#[derive(Debug, Clone)]
pub(crate) struct HistoryView<'a> {
    pub(crate) format: Option<&'a str>,
    pub(crate) quiet: bool,
    pub(crate) human: bool,
    pub(crate) no_trunc: bool,
    /// Seconds since 1970.
    pub(crate) now: i64,
    pub(crate) zone: Zone,
}

const FIELDS: &[Field] = &[
    Field { name: "ID", header: "IMAGE" },
    Field { name: "CreatedSince", header: "CREATED" },
    Field { name: "CreatedAt", header: "CREATED AT" },
    Field { name: "CreatedBy", header: "CREATED BY" },
    Field { name: "Size", header: "SIZE" },
    Field { name: "Comment", header: "COMMENT" },
];

const HUMAN: &str = "{{.ID}}\t{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const EXACT: &str = "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";

/// Renders a history.
pub(crate) fn history(rows: &[HistoryRow], view: &HistoryView<'_>) -> Result<String> {
    let columns = if view.human { HUMAN } else { EXACT };
    let format = match view.format {
        None | Some("table") if view.quiet => Some("{{.ID}}"),
        format => format,
    };
    let texts: Vec<Vec<String>> = rows.iter().map(|row| row.texts(view)).collect();
    listing(Listing { fields: FIELDS, columns }, format, &texts)
}

impl HistoryRow {
    fn texts(&self, view: &HistoryView<'_>) -> Vec<String> {
        let id = match &self.id {
            None => "<missing>",
            Some(id) if view.no_trunc => id,
            Some(id) => short_id(id),
        };
        let by = self.created_by.replace('\t', " ");
        let at = self.created.map(|created| view.zone.rfc3339(created)).unwrap_or_default();
        let since = match self.created {
            Some(created) if view.human => since(created, view.now),
            _ => at.clone(),
        };
        vec![
            id.to_owned(),
            since,
            at,
            if view.no_trunc { by } else { ellipsis(&by, 45) },
            if view.human { human_size_3(self.size) } else { self.size.to_string() },
            self.comment.clone(),
        ]
    }
}
