//! `lathe build`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use lathe_engine::ExportSpec;

/// How to show progress, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ProgressArg {
    /// `tty` on a terminal, else `plain`.
    #[default]
    Auto,
    Plain,
    Tty,
    Quiet,
    Rawjson,
}

/// Flags of `lathe build`.
#[derive(Debug, Default, Args)]
pub(crate) struct BuildArgs {
    /// Name and optionally a tag in the "name:tag" format
    #[arg(short, long = "tag", value_name = "list")]
    pub(crate) tags: Vec<String>,
    /// Name of the Dockerfile (Default is "PATH/Dockerfile")
    #[arg(short, long, value_name = "string")]
    pub(crate) file: Option<String>,
    /// Set the target build stage to build
    #[arg(long, value_name = "string")]
    pub(crate) target: Option<String>,
    /// Set build-time variables
    #[arg(long = "build-arg", value_name = "list")]
    pub(crate) arguments: Vec<String>,
    /// Set metadata for an image
    #[arg(long = "label", value_name = "list")]
    pub(crate) labels: Vec<String>,
    /// Do not use cache when building the image
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Always attempt to pull a newer version of the image
    #[arg(long)]
    pub(crate) pull: bool,
    /// Set type of progress output ("auto", "plain", "tty", "quiet", "rawjson")
    #[arg(long, value_enum, default_value = "auto", value_name = "string")]
    pub(crate) progress: ProgressArg,
    /// Suppress the build output and print image ID on success
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Output destination (format: "type=local,dest=path")
    #[arg(short, long = "output", value_name = "list", value_parser = ExportSpec::parse)]
    pub(crate) outputs: Vec<ExportSpec>,
    /// Write the image ID to the file
    #[arg(long, value_name = "string")]
    pub(crate) iidfile: Option<PathBuf>,
    /// Write build result metadata to the file
    #[arg(long, value_name = "string")]
    pub(crate) metadata_file: Option<PathBuf>,
    /// Set the networking mode for the RUN instructions during build ("default", "host", "none")
    #[arg(long, alias = "net", value_name = "string")]
    pub(crate) network: Option<String>,
    /// Lend a file of CA certificates to the RUN instructions; it never enters a layer
    #[arg(long, value_name = "file")]
    pub(crate) ca: Option<PathBuf>,
    /// How many steps may run at once
    #[arg(long, value_name = "int")]
    pub(crate) jobs: Option<usize>,
    /// Set target platform for build
    #[arg(long, value_name = "list", value_delimiter = ',')]
    pub(crate) platform: Vec<String>,
    #[command(flatten)]
    pub(crate) later: LaterBuildArgs,
    /// PATH | -
    #[arg(value_name = "PATH")]
    pub(crate) path: String,
}

/// Flags that docker knows: refused with a clear word, or without effect here.
#[derive(Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags as typed")]
pub(crate) struct LaterBuildArgs {
    /// Secret to expose to the build (not supported yet)
    #[arg(long = "secret", value_name = "list")]
    secrets: Vec<String>,
    /// SSH agent socket or keys to expose to the build (not supported yet)
    #[arg(long, value_name = "list")]
    ssh: Vec<String>,
    /// Additional build contexts (e.g., name=path) (not supported yet)
    #[arg(long = "build-context", value_name = "list")]
    build_contexts: Vec<String>,
    #[arg(long, hide = true)]
    push: bool,
    #[arg(long, hide = true)]
    squash: bool,
    #[arg(long, hide = true, value_name = "list")]
    cache_to: Vec<String>,
    #[arg(long, hide = true, value_name = "list")]
    add_host: Vec<String>,
    #[arg(long, hide = true, value_name = "list")]
    no_cache_filter: Vec<String>,

    // Without effect here: the result is the same with and without them.
    #[arg(long, hide = true, value_name = "list")]
    cache_from: Vec<String>,
    #[arg(long, hide = true)]
    load: bool,
    #[arg(long, hide = true)]
    rm: bool,
    #[arg(long, hide = true)]
    force_rm: bool,
    #[arg(long, hide = true)]
    compress: bool,
    #[arg(long, hide = true, value_name = "string")]
    provenance: Option<String>,
    #[arg(long, hide = true, value_name = "string")]
    sbom: Option<String>,
    #[arg(long, hide = true, value_name = "string")]
    builder: Option<String>,
}

impl LaterBuildArgs {
    /// Returns the first flag that was given and that is not supported yet.
    pub(crate) fn unsupported(&self) -> Option<&'static str> {
        let given = [
            ("--secret", !self.secrets.is_empty()),
            ("--ssh", !self.ssh.is_empty()),
            ("--build-context", !self.build_contexts.is_empty()),
            ("--push", self.push),
            ("--squash", self.squash),
            ("--cache-to", !self.cache_to.is_empty()),
            ("--add-host", !self.add_host.is_empty()),
            ("--no-cache-filter", !self.no_cache_filter.is_empty()),
        ];
        given.into_iter().find_map(|(flag, given)| given.then_some(flag))
    }
}
