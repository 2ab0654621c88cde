//! Commands about images in the store.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Flags of `lathe images`.
#[derive(Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags as typed")]
pub(crate) struct ImagesArgs {
    /// Show all images (default hides intermediate images)
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Show digests
    #[arg(long)]
    pub(crate) digests: bool,
    /// Filter output based on conditions provided
    #[arg(short, long = "filter", value_name = "filter")]
    pub(crate) filters: Vec<String>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// REPOSITORY[:TAG]
    #[arg(value_name = "REPOSITORY")]
    pub(crate) repository: Option<String>,
}

/// Flags of `lathe rmi`.
#[derive(Debug, Default, Args)]
pub(crate) struct RemoveImageArgs {
    /// Force removal of the image
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Do not delete untagged parents
    #[arg(long)]
    pub(crate) no_prune: bool,
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<String>,
}

/// Flags of `lathe tag`.
#[derive(Debug, Args)]
pub(crate) struct TagArgs {
    #[arg(value_name = "SOURCE_IMAGE")]
    pub(crate) source: String,
    #[arg(value_name = "TARGET_IMAGE")]
    pub(crate) target: String,
}

/// Flags of `lathe history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Print sizes and dates in human readable format (default true)
    #[arg(short = 'H', long, default_value = "true")]
    pub(crate) human: bool,
    /// Don't truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
}

/// Which kind of object `inspect` is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InspectType {
    Image,
    Container,
}

/// Flags of `lathe inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Format output using a custom template: 'json' or 'TEMPLATE'
    #[arg(short, long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Display total file sizes if the type is container
    #[arg(short, long)]
    pub(crate) size: bool,
    /// Only inspect objects of the given type
    #[arg(long = "type", value_enum, value_name = "string")]
    pub(crate) kind: Option<InspectType>,
    #[arg(required = true, value_name = "NAME|ID")]
    pub(crate) names: Vec<String>,
}

impl InspectArgs {
    /// Narrows to one kind: `image inspect`, `container inspect`.
    pub(crate) fn only(self, kind: InspectType) -> Self {
        Self { kind: Some(kind), ..self }
    }
}

/// Flags of `lathe save`.
#[derive(Debug, Args)]
pub(crate) struct SaveArgs {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "string")]
    pub(crate) output: Option<PathBuf>,
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<String>,
}

/// Flags of `lathe load`.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// Read from tar archive file, instead of STDIN
    #[arg(short, long, value_name = "string")]
    pub(crate) input: Option<PathBuf>,
    /// Suppress the load output
    #[arg(short, long)]
    pub(crate) quiet: bool,
}
