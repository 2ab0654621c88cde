//! Commands about the store and the machine.

use clap::Args;

/// Flags of `lathe system df`.
#[derive(Debug, Args)]
pub(crate) struct DfArgs {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Show detailed information on space usage
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// Flags of the prune commands.
#[derive(Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags as typed")]
pub(crate) struct PruneArgs {
    /// Remove all unused images, not just dangling ones
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Provide filter values (e.g. "until=<timestamp>")
    #[arg(long = "filter", value_name = "filter")]
    pub(crate) filters: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Only say what would be removed
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Prune anonymous volumes
    #[arg(long, hide = true)]
    pub(crate) volumes: bool,
}

/// Flags of `lathe system check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Print nothing but findings
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Flags of `lathe doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// 'json' prints the findings as data
    #[arg(short, long, value_name = "string")]
    pub(crate) format: Option<String>,
}

/// Flags of `lathe version` and `lathe info`.
#[derive(Debug, Default, Args)]
pub(crate) struct ReportArgs {
    /// Format output using a custom template: 'json' or 'TEMPLATE'
    #[arg(short, long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// One line, as `lathe --version` prints.
    #[arg(skip)]
    pub(crate) short: bool,
}
