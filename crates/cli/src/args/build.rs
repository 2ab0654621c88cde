//! `lathe build`.

mod accepted;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use lathe_engine::{Annotation, ExportSpec};

pub(crate) use accepted::AcceptedBuildArgs;

/// How to show progress, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ProgressArg {
    /// `tty` on a terminal, else `plain`.
    #[default]
    Auto,
    Plain,
    Tty,
    #[value(alias = "none")]
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
    /// Set type of progress output ("auto", "plain", "tty", "quiet", "rawjson")
    #[arg(long, value_enum, default_value = "auto", value_name = "string")]
    pub(crate) progress: ProgressArg,
    /// Suppress the build output and print image ID on success
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Write the image ID to the file
    #[arg(long, value_name = "string")]
    pub(crate) iidfile: Option<PathBuf>,
    /// Write build result metadata to the file
    #[arg(long, value_name = "string")]
    pub(crate) metadata_file: Option<PathBuf>,
    /// Say for each step whether it was found in the cache, and if not, why
    #[arg(long)]
    pub(crate) explain: bool,
    /// Say what would be run, without running it; exit code 3 if anything would
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How many steps may run at once
    #[arg(long, value_name = "int")]
    pub(crate) jobs: Option<usize>,
    #[command(flatten)]
    pub(crate) meaning: MeaningArgs,
    #[command(flatten)]
    pub(crate) run: BuildRunArgs,
    #[command(flatten)]
    pub(crate) result: ResultArgs,
    #[command(flatten)]
    pub(crate) call: CallArgs,
    #[command(flatten)]
    pub(crate) accepted: AcceptedBuildArgs,
    /// PATH | URL | -
    #[arg(value_name = "PATH")]
    pub(crate) path: String,
}

/// What the Dockerfile is asked for.
#[derive(Debug, Default, Args)]
pub(crate) struct MeaningArgs {
    /// Set the target build stage to build
    #[arg(long, value_name = "string")]
    pub(crate) target: Option<String>,
    /// Set build-time variables
    #[arg(long = "build-arg", value_name = "list")]
    pub(crate) arguments: Vec<String>,
    /// Read build-time variables from a file of NAME=value lines
    #[arg(long = "build-arg-file", value_name = "file")]
    pub(crate) argument_files: Vec<PathBuf>,
    /// Set metadata for an image
    #[arg(long = "label", value_name = "list")]
    pub(crate) labels: Vec<String>,
    /// Do not use cache when building the image
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Do not cache specified stages
    #[arg(long, value_name = "list", value_delimiter = ',')]
    pub(crate) no_cache_filter: Vec<String>,
    /// Always attempt to pull all referenced images
    #[arg(long)]
    pub(crate) pull: bool,
    /// Set target platform for build
    #[arg(long, value_name = "list", value_delimiter = ',')]
    pub(crate) platform: Vec<String>,
    /// Additional build contexts (e.g., name=path)
    #[arg(long = "build-context", value_name = "list")]
    pub(crate) build_contexts: Vec<String>,
    /// Allow extra privileged entitlement (e.g., "network.host", "security.insecure")
    #[arg(long, value_name = "list", value_delimiter = ',')]
    pub(crate) allow: Vec<String>,
    /// Time of everything that is made, in seconds since 1970 (`SOURCE_DATE_EPOCH`)
    #[arg(long, alias = "timestamp", value_name = "seconds")]
    pub(crate) source_date_epoch: Option<String>,
}

/// What RUN instructions find around them.
#[derive(Debug, Default, Args)]
pub(crate) struct BuildRunArgs {
    /// Set the networking mode for the RUN instructions during build ("default", "host", "none")
    #[arg(long, alias = "net", value_name = "string")]
    pub(crate) network: Option<String>,
    /// Lend a file of CA certificates to the RUN instructions; it never enters a layer
    #[arg(long, value_name = "file")]
    pub(crate) ca: Option<PathBuf>,
    /// Secret to expose to the build (format: "id=mysecret[,src=/local/secret]")
    #[arg(long = "secret", value_name = "list")]
    pub(crate) secrets: Vec<String>,
    /// SSH agent socket or keys to expose to the build
    /// (format: "default|<id>[=<socket>|<key>[,<key>]]")
    #[arg(long, value_name = "list")]
    pub(crate) ssh: Vec<String>,
    /// Add a custom host-to-IP mapping (format: "host:ip")
    #[arg(long = "add-host", value_name = "list")]
    pub(crate) hosts: Vec<String>,
    /// Ulimit options
    #[arg(long = "ulimit", value_name = "ulimit")]
    pub(crate) ulimits: Vec<String>,
    /// Shared memory size for build containers
    #[arg(long, value_name = "bytes")]
    pub(crate) shm_size: Option<String>,
    /// Limits of each RUN instruction (e.g., "memory=1g,cpu-shares=512")
    #[arg(long = "resource", value_name = "list", value_delimiter = ',')]
    pub(crate) resources: Vec<String>,
    /// Set the parent cgroup for the RUN instructions during build
    #[arg(long, value_name = "string")]
    pub(crate) cgroup_parent: Option<String>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// The limits of `--resource` one by one, as the classic builder and buildah have them.
#[derive(Debug, Default, Args)]
pub(crate) struct LimitArgs {
    #[arg(short, long, hide = true, value_name = "bytes")]
    memory: Option<String>,
    #[arg(long, hide = true, value_name = "bytes")]
    memory_swap: Option<String>,
    #[arg(short, long, hide = true, value_name = "int")]
    cpu_shares: Option<String>,
    #[arg(long, hide = true, value_name = "int")]
    cpu_period: Option<String>,
    #[arg(long, hide = true, value_name = "int")]
    cpu_quota: Option<String>,
    #[arg(long, hide = true, value_name = "string")]
    cpuset_cpus: Option<String>,
    #[arg(long, hide = true, value_name = "string")]
    cpuset_mems: Option<String>,
}

impl LimitArgs {
    /// Returns those that were given, as `--resource` has them.
    pub(crate) fn resources(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("memory", &self.memory),
            ("memory-swap", &self.memory_swap),
            ("cpu-shares", &self.cpu_shares),
            ("cpu-period", &self.cpu_period),
            ("cpu-quota", &self.cpu_quota),
            ("cpuset-cpus", &self.cpuset_cpus),
            ("cpuset-mems", &self.cpuset_mems),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

/// What becomes of the result.
#[derive(Debug, Default, Args)]
pub(crate) struct ResultArgs {
    /// Output destination (format: "type=local,dest=path")
    #[arg(short, long = "output", value_name = "list", value_parser = ExportSpec::parse)]
    pub(crate) outputs: Vec<ExportSpec>,
    /// Shorthand for "--output=type=registry"
    #[arg(long)]
    pub(crate) push: bool,
    /// Shorthand for "--output=type=docker": the image goes into the store anyway
    #[arg(long)]
    pub(crate) load: bool,
    /// Add annotation to the image
    #[arg(long = "annotation", value_name = "list", value_parser = Annotation::parse)]
    pub(crate) annotations: Vec<Annotation>,
    /// Squash newly built layers into a single new layer
    #[arg(long)]
    pub(crate) squash: bool,
}

/// Questions about a Dockerfile, in place of a build.
#[derive(Debug, Default, Args)]
pub(crate) struct CallArgs {
    /// Shorthand for "--call=check"
    #[arg(long)]
    pub(crate) check: bool,
    /// Set method for evaluating build ("build", "check", "outline", "targets")
    #[arg(long, value_name = "string")]
    pub(crate) call: Option<String>,
    /// Print a form of the build without running it
    /// ("dockerfile", "stages", "graph"; "outline", "targets", "check")
    #[arg(
        long,
        value_name = "string",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "graph"
    )]
    pub(crate) print: Option<String>,
}
