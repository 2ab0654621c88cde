//! What commands print on standard output: pure functions from rows to text.
//!
//! All of it imitates docker to the byte, since scripts read it: column widths, units, ages,
//! Go templates. Nothing here looks at the clock, the locale or the terminal.

mod builds;
mod cache_usage;
mod container;
mod disk_usage;
mod doctor;
mod go_time;
mod history;
mod image;
mod inspect;
mod listing;
mod steps;
mod table;
mod template;
mod units;

pub(crate) use builds::{BuildRow, BuildView, LogRow, builds, logs};
pub(crate) use cache_usage::{
    CacheMountRow, CacheRow, cache_mounts, cache_usage, cache_usage_verbose,
};
pub(crate) use container::{
    ContainerRow, ContainerState, ContainerView, PublishedPort, containers,
};
pub(crate) use disk_usage::{UsageRow, disk_usage};
pub(crate) use doctor::{Grade, doctor, doctor_json, findings};
pub(crate) use go_time::{Zone, parse_moment, rfc3339};
pub(crate) use history::{HistoryRow, HistoryView, history};
pub(crate) use image::{ImageRow, ImageView, images};
pub(crate) use inspect::inspect;
pub(crate) use listing::{Field, Listing, listing};
pub(crate) use steps::{StepRow, StepWord, steps, steps_document};
pub(crate) use table::align;
pub(crate) use template::document;
pub(crate) use units::{human_duration, human_size, human_size_3};

/// Shortens `sha256:…` or a bare identity to docker's 12 hexadecimal digits.
pub(crate) fn short_id(id: &str) -> &str {
    let bare = id.split_once(':').map_or(id, |(_, hex)| hex);
    bare.get(..12).unwrap_or(bare)
}

/// Cuts to `width` characters, the last of them `…`, as docker's `Ellipsis`.
pub(crate) fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests;
