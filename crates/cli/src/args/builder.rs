//! Commands about builds that were made, what they left in the cache, and caches of steps.

use std::path::PathBuf;

use clap::Args;

use super::PruneArgs;

/// Flags of `lathe builder prune`.
#[derive(Debug, Default, Args)]
pub(crate) struct CachePruneArgs {
    #[command(flatten)]
    pub(crate) common: PruneArgs,
    /// Amount of disk space to keep for cache
    #[arg(long, alias = "reserved-space", value_name = "bytes")]
    pub(crate) keep_storage: Option<String>,
    /// Maximum amount of disk space allowed to keep for cache
    #[arg(long, value_name = "bytes")]
    pub(crate) max_used_space: Option<String>,
    /// Target amount of free disk space after pruning
    #[arg(long, value_name = "bytes")]
    pub(crate) min_free_space: Option<String>,
    /// Provide a more verbose output
    #[arg(long)]
    pub(crate) verbose: bool,
    #[arg(long, hide = true, value_name = "string")]
    builder: Option<String>,
}

/// Flags of `lathe builder du`.
#[derive(Debug, Default, Args)]
pub(crate) struct CacheUsageArgs {
    /// Provide filter values (e.g. "type=exec.cachemount", "until=24h", "id=…")
    #[arg(long = "filter", value_name = "filter")]
    pub(crate) filters: Vec<String>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Show all that is known of each record
    #[arg(long)]
    pub(crate) verbose: bool,
    #[arg(long, hide = true, value_name = "string")]
    builder: Option<String>,
}

/// Flags of `lathe builder history`.
#[derive(Debug, Default, Args)]
pub(crate) struct BuildListArgs {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Only show build IDs
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Flags of `lathe builder logs`.
#[derive(Debug, Default, Args)]
pub(crate) struct BuildLogsArgs {
    /// Format the list of steps using a custom template: 'table', 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Which build: the beginning of its ID, or ^1 for the one before the last
    #[arg(value_name = "BUILD")]
    pub(crate) build: Option<String>,
    /// Which step: its number in the list, or a part of its name
    #[arg(value_name = "STEP")]
    pub(crate) step: Option<String>,
}

/// Flags of `lathe why-not-cached`.
#[derive(Debug, Default, Args)]
pub(crate) struct WhyArgs {
    /// Format output using a custom template: 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Which build: the beginning of its ID, or ^1 for the one before the last
    #[arg(value_name = "BUILD")]
    pub(crate) build: Option<String>,
}

/// Flags of `lathe cache-mount ls`.
#[derive(Debug, Default, Args)]
pub(crate) struct CacheMountListArgs {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Only show names
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Flags of `lathe cache-mount export`.
#[derive(Debug, Default, Args)]
pub(crate) struct CacheMountExportArgs {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "string")]
    pub(crate) output: Option<PathBuf>,
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// Flags of `lathe cache-mount import`.
#[derive(Debug, Default, Args)]
pub(crate) struct CacheMountImportArgs {
    /// Read from a file, instead of STDIN
    #[arg(short, long, value_name = "string")]
    pub(crate) input: Option<PathBuf>,
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// Flags of `lathe cache-mount rm`.
#[derive(Debug, Default, Args)]
pub(crate) struct CacheMountRemoveArgs {
    /// Say nothing of caches that are not there
    #[arg(short, long)]
    pub(crate) force: bool,
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
}
