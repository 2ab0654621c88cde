//! `images`: what there is.

use std::collections::BTreeMap;

use lathe_oci::{Digest, ImageConfig, Platform, Reference};
use lathe_pattern::Glob;
use lathe_store::{ImageRecord, Store};

use super::{Error, Result, find};
use crate::Engine;

/// Largest config that is read, in bytes.
pub(super) const DOCUMENT_LIMIT: u64 = 4 << 20;

/// An image as lists show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSummary {
    /// Digest of the config.
    pub id: Digest,
    /// Digest of the manifest.
    pub manifest: Digest,
    /// Names, in docker's short form; none for a dangling image.
    pub repo_tags: Vec<String>,
    /// `name@digest` in registries, in docker's short form.
    pub repo_digests: Vec<String>,
    /// When it was made, in seconds since 1970; `None` when the config does not tell.
    pub created: Option<i64>,
    /// Unpacked size of all layers in bytes.
    pub size: u64,
    /// Labels of its config.
    pub labels: BTreeMap<String, String>,
    /// What it runs on.
    pub platform: Platform,
    /// Containers that were made of it.
    pub containers: usize,
}

impl ImageSummary {
    /// Tells whether no name means it.
    pub fn is_dangling(&self) -> bool {
        self.repo_tags.is_empty()
    }
}

/// Which images are listed: those that fit all kinds of filter, any of each kind but labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFilters {
    /// Patterns of names (`path.Match` of Go).
    pub references: Vec<String>,
    /// Whether they have no name.
    pub dangling: Option<bool>,
    /// Made before these images.
    pub before: Vec<String>,
    /// Made after these images.
    pub since: Vec<String>,
    /// Made before this time, in seconds since 1970.
    pub until: Option<i64>,
    /// `key` or `key=value`; all of them.
    pub labels: Vec<String>,
}

impl ImageFilters {
    /// Reads the values of `--filter`; `until` is the caller's, who knows the time.
    pub fn parse<'a>(filters: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut parsed = Self::default();
        for filter in filters {
            let (key, value) = filter.split_once('=').unwrap_or((filter, ""));
            let value = value.trim().to_owned();
            match key.trim().to_ascii_lowercase().as_str() {
                "reference" => parsed.references.push(value),
                "before" => parsed.before.push(value),
                "since" => parsed.since.push(value),
                "label" => parsed.labels.push(value),
                "dangling" => parsed.dangling = Some(boolean(&value)?),
                other => return Err(Error::InvalidFilter(other.to_owned())),
            }
        }
        Ok(parsed)
    }
}

fn boolean(value: &str) -> Result<bool> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        other => Err(Error::InvalidFilterValue {
            key: "dangling",
            reason: format!("`{other}` is neither true nor false"),
        }),
    }
}

/// Returns the images that fit, the newest first.
pub fn list(engine: &Engine, filters: &ImageFilters) -> Result<Vec<ImageSummary>> {
    let store = &engine.store;
    let _share = store.share()?;
    let limits = Limits::new(store, filters)?;
    let mut uses: BTreeMap<Digest, usize> = BTreeMap::new();
    for image in store.containers()?.into_iter().filter_map(|container| container.image) {
        *uses.entry(image).or_default() += 1;
    }
    let mut summaries = Vec::new();
    // What configs say is in the records: no document is read.
    for image in store.image_summaries()? {
        let mut summary = summary(image);
        summary.containers = uses.get(&summary.id).copied().unwrap_or(0);
        if limits.keep(&mut summary) {
            summaries.push(summary);
        }
    }
    summaries.sort_by(|a, b| b.created.cmp(&a.created).then(a.id.cmp(&b.id)));
    Ok(summaries)
}

fn summary(summary: lathe_store::ImageSummary) -> ImageSummary {
    let lathe_store::ImageSummary { image, created, labels } = summary;
    let short = |name: &String| {
        Reference::parse(name).map_or_else(|_| name.clone(), |name| name.familiar())
    };
    ImageSummary {
        id: image.id,
        manifest: image.manifest.digest,
        repo_tags: image.names.iter().map(short).collect(),
        repo_digests: image.repo_digests.iter().map(short).collect(),
        created,
        size: image.size,
        labels,
        platform: image.platform,
        containers: 0,
    }
}

/// Reads the config of an image.
pub(super) fn config_of(store: &Store, image: &ImageRecord) -> Result<ImageConfig> {
    Ok(ImageConfig::parse(&store.read_blob(&image.id, DOCUMENT_LIMIT)?)?)
}

/// The filters, as far as they can be made ready before looking at images.
struct Limits<'a> {
    filters: &'a ImageFilters,
    globs: Vec<Glob>,
    before: Option<i64>,
    since: Option<i64>,
}

impl<'a> Limits<'a> {
    fn new(store: &Store, filters: &'a ImageFilters) -> Result<Self> {
        let glob = |pattern: &String| {
            Glob::new(pattern).map_err(|error| Error::InvalidFilterValue {
                key: "reference",
                reason: error.to_string(),
            })
        };
        let created = |name: &String| -> Result<i64> {
            Ok(config_of(store, &find(store, name)?)?.created_seconds())
        };
        let before = filters.before.iter().map(created).collect::<Result<Vec<i64>>>()?;
        let since = filters.since.iter().map(created).collect::<Result<Vec<i64>>>()?;
        Ok(Self {
            filters,
            globs: filters.references.iter().map(glob).collect::<Result<_>>()?,
            before: before.into_iter().chain(filters.until).min(),
            since: since.into_iter().max(),
        })
    }

    /// Tells whether an image is listed; names that no pattern matches are taken out.
    fn keep(&self, image: &mut ImageSummary) -> bool {
        let created = image.created.unwrap_or(0);
        let labels = self.filters.labels.iter().all(|label| has_label(image, label));
        self.filters.dangling.is_none_or(|dangling| dangling == image.is_dangling())
            && self.before.is_none_or(|before| created < before)
            && self.since.is_none_or(|since| created > since)
            && labels
            && self.keep_names(image)
    }

    fn keep_names(&self, image: &mut ImageSummary) -> bool {
        if self.globs.is_empty() {
            return true;
        }
        let fits = |name: &String| {
            let bare = Reference::parse(name).map(|name| name.familiar_name()).unwrap_or_default();
            self.globs.iter().any(|glob| glob.matches(name) || glob.matches(&bare))
        };
        image.repo_tags.retain(fits);
        image.repo_digests.retain(fits);
        !image.repo_tags.is_empty() || !image.repo_digests.is_empty()
    }
}

fn has_label(image: &ImageSummary, label: &str) -> bool {
    match label.split_once('=') {
        Some((key, value)) => image.labels.get(key).is_some_and(|own| own == value),
        None => image.labels.contains_key(label),
    }
}
