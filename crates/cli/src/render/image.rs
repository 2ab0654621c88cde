//! `lathe images`.

use std::time::Duration;

use anyhow::Result;

use super::{Field, Listing, Zone, human_duration, human_size_3, listing, short_id};

/// One line of `lathe images`: an image under one of its names.
#[derive(Debug, Clone, Default)]
pub(crate) struct ImageRow {
    /// Digest of the configuration, `sha256:…`.
    pub(crate) id: String,
    /// Name as people write it; `None` for an image without a name.
    pub(crate) repository: Option<String>,
    pub(crate) tag: Option<String>,
    /// Digest of the manifest.
    pub(crate) digest: Option<String>,
    /// Seconds since 1970.
    pub(crate) created: Option<i64>,
    /// Unpacked bytes.
    pub(crate) size: u64,
    /// Containers made from it.
    pub(crate) containers: usize,
}

/// How to show images.
#[derive(Debug, Clone)]
pub(crate) struct ImageView<'a> {
    pub(crate) format: Option<&'a str>,
    pub(crate) quiet: bool,
    pub(crate) digests: bool,
    pub(crate) no_trunc: bool,
    /// Seconds since 1970.
    pub(crate) now: i64,
    pub(crate) zone: Zone,
}

const FIELDS: &[Field] = &[
    Field { name: "ID", header: "IMAGE ID" },
    Field { name: "Repository", header: "REPOSITORY" },
    Field { name: "Tag", header: "TAG" },
    Field { name: "Digest", header: "DIGEST" },
    Field { name: "CreatedSince", header: "CREATED" },
    Field { name: "CreatedAt", header: "CREATED AT" },
    Field { name: "Size", header: "SIZE" },
    Field { name: "Containers", header: "CONTAINERS" },
    Field { name: "VirtualSize", header: "SIZE" },
    Field { name: "SharedSize", header: "SHARED SIZE" },
    Field { name: "UniqueSize", header: "UNIQUE SIZE" },
];

const SINCE: &str = "{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}";

/// Renders images.
pub(crate) fn images(rows: &[ImageRow], view: &ImageView<'_>) -> Result<String> {
    let digest = if view.digests { "{{.Digest}}\t" } else { "" };
    let columns =
        format!("{{{{.Repository}}}}\t{{{{.Tag}}}}\t{digest}{{{{.ID}}}}\t{SINCE}\t{{{{.Size}}}}");
    let format = match view.format {
        None | Some("table") if view.quiet => Some("{{.ID}}"),
        format => format,
    };
    let texts: Vec<Vec<String>> = rows.iter().map(|row| row.texts(view)).collect();
    listing(Listing { fields: FIELDS, columns: &columns }, format, &texts)
}

impl ImageRow {
    fn texts(&self, view: &ImageView<'_>) -> Vec<String> {
        let id = if view.no_trunc { &self.id } else { short_id(&self.id) };
        let none = |text: &Option<String>| text.clone().unwrap_or_else(|| "<none>".to_owned());
        let since = self.created.map(|created| since(created, view.now)).unwrap_or_default();
        let size = human_size_3(self.size);
        vec![
            id.to_owned(),
            none(&self.repository),
            none(&self.tag),
            none(&self.digest),
            since,
            self.created.map(|created| view.zone.display(created)).unwrap_or_default(),
            size.clone(),
            self.containers.to_string(),
            size,
            "N/A".to_owned(),
            "N/A".to_owned(),
        ]
    }
}

/// Says how long ago something was: `2 weeks ago`.
pub(super) fn since(then: i64, now: i64) -> String {
    let seconds = u64::try_from(now.saturating_sub(then)).unwrap_or(0);
    format!("{} ago", human_duration(Duration::from_secs(seconds)))
}
