//! The command line as typed.
//!
//! [`LowArgs`] holds flags and nothing else: parsing makes no system call, looks nothing up
//! and fills in no default that depends on the machine, so that the whole language of the
//! command line is tested as plain data. `commands/*.rs` turn these into requests.
//!
//! Names, short forms and texts are docker's. Where clap differs from docker's flag package
//! (`--flag=false`, shorthand groups, what follows an image name, texts and exit codes of
//! mistakes), `grammar.rs` bends the first and `usage.rs` the second.

mod build;
mod builder;
mod container;
mod grammar;
mod image;
mod registry;
mod system;
mod usage;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, FromArgMatches, Parser, Subcommand};

pub(crate) use build::{BuildArgs, BuildRunArgs, CallArgs, MeaningArgs, ProgressArg};
pub(crate) use builder::{
    BuildListArgs, BuildLogsArgs, CacheMountExportArgs, CacheMountImportArgs, CacheMountListArgs,
    CacheMountRemoveArgs, CachePruneArgs, CacheUsageArgs, WhyArgs,
};
pub(crate) use container::{
    ContainerListArgs, ExecArgs, KillArgs, LogsArgs, RemoveContainerArgs, RunArgs, StartArgs,
    StopArgs, WaitArgs,
};
pub(crate) use image::{
    HistoryArgs, ImagesArgs, InspectArgs, InspectType, LoadArgs, RemoveImageArgs, SaveArgs, TagArgs,
};
pub(crate) use registry::{LoginArgs, LogoutArgs, PullArgs, PushArgs};
pub(crate) use system::{CheckArgs, DfArgs, DoctorArgs, PruneArgs, ReportArgs};
pub(crate) use usage::Usage;

/// What the user typed.
#[derive(Debug, Parser)]
#[command(name = "lathe", about = "Builds and runs container images, without a daemon")]
pub(crate) struct LowArgs {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// Print version information and quit
    #[arg(short = 'v', long)]
    pub(crate) version: bool,
    #[command(subcommand)]
    command: Option<TopLevel>,
}

/// Flags that every command takes, before or after its name.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct GlobalArgs {
    /// Folder of the store (default "/var/lib/lathe" as root, else lathe in `$XDG_DATA_HOME`)
    #[arg(long, global = true, value_name = "dir", display_order = 1000)]
    pub(crate) root: Option<PathBuf>,
    /// File that names mirrors and plain-HTTP registries
    #[arg(long, global = true, value_name = "file", display_order = 1001)]
    pub(crate) registries_file: Option<PathBuf>,
    /// File of settings (default "lathe/lathe.toml" in `$XDG_CONFIG_HOME`, else in /etc)
    #[arg(long, global = true, value_name = "file", display_order = 1002)]
    pub(crate) config: Option<PathBuf>,
    /// Tell more about errors
    #[arg(short = 'D', long, global = true, display_order = 1003)]
    pub(crate) debug: bool,
}

/// One thing to do, whichever of docker's spellings named it.
#[derive(Debug)]
pub(crate) enum Action {
    Build(Box<BuildArgs>),
    Images(ImagesArgs),
    RemoveImages(RemoveImageArgs),
    Tag(TagArgs),
    History(HistoryArgs),
    Inspect(InspectArgs),
    Save(SaveArgs),
    Load(LoadArgs),
    Pull(PullArgs),
    Push(PushArgs),
    Login(LoginArgs),
    Logout(LogoutArgs),
    Run(Box<RunArgs>),
    ListContainers(ContainerListArgs),
    Logs(LogsArgs),
    Start(StartArgs),
    Stop(StopArgs),
    Kill(KillArgs),
    RemoveContainers(RemoveContainerArgs),
    Exec(ExecArgs),
    Wait(WaitArgs),
    DiskUsage(DfArgs),
    Prune(PruneArgs, PruneScope),
    PruneCache(CachePruneArgs),
    CacheUsage(CacheUsageArgs),
    ListBuilds(BuildListArgs),
    BuildLogs(BuildLogsArgs),
    WhyNotCached(WhyArgs),
    ListCacheMounts(CacheMountListArgs),
    ExportCacheMount(CacheMountExportArgs),
    ImportCacheMount(CacheMountImportArgs),
    RemoveCacheMounts(CacheMountRemoveArgs),
    Check(CheckArgs),
    Doctor(DoctorArgs),
    Version(ReportArgs),
    Describe(ReportArgs),
    /// Print this help text.
    Help(String),
}

/// What a prune is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PruneScope {
    System,
    Images,
    Containers,
}

#[derive(Debug, Subcommand)]
enum TopLevel {
    /// Create and run a new container from an image
    Run(Box<RunArgs>),
    /// Execute a command in a running container
    Exec(ExecArgs),
    /// List containers
    Ps(ContainerListArgs),
    /// Build an image from a Dockerfile
    Build(Box<BuildArgs>),
    /// Download an image from a registry
    Pull(PullArgs),
    /// Upload an image to a registry
    Push(PushArgs),
    /// List images
    Images(ImagesArgs),
    /// Authenticate to a registry
    Login(LoginArgs),
    /// Log out from a registry
    Logout(LogoutArgs),
    /// Show the version
    Version(ReportArgs),
    /// Display system-wide information
    Info(ReportArgs),
    /// Say what this machine allows, and what to install
    Doctor(DoctorArgs),
    /// Manage builds
    #[command(subcommand, alias = "buildx")]
    Builder(BuilderGroup),
    /// Manage the caches of RUN --mount=type=cache
    #[command(subcommand)]
    CacheMount(CacheMountGroup),
    /// Manage containers
    #[command(subcommand)]
    Container(ContainerGroup),
    /// Manage images
    #[command(subcommand)]
    Image(ImageGroup),
    /// Manage the store
    #[command(subcommand)]
    System(SystemGroup),
    /// Show the history of an image
    History(HistoryArgs),
    /// Return low-level information on images and containers
    Inspect(InspectArgs),
    /// Kill one or more running containers
    Kill(KillArgs),
    /// Load an image from a tar archive or STDIN
    Load(LoadArgs),
    /// Fetch the logs of a container
    Logs(LogsArgs),
    /// Remove one or more containers
    Rm(RemoveContainerArgs),
    /// Remove one or more images
    Rmi(RemoveImageArgs),
    /// Save one or more images to a tar archive (streamed to STDOUT by default)
    Save(SaveArgs),
    /// Start one or more stopped containers
    Start(StartArgs),
    /// Stop one or more running containers
    Stop(StopArgs),
    /// Create a tag `TARGET_IMAGE` that refers to `SOURCE_IMAGE`
    Tag(TagArgs),
    /// Block until one or more containers stop, then print their exit codes
    Wait(WaitArgs),
    /// Say for each step of a build why it was run
    WhyNotCached(WhyArgs),
}

#[derive(Debug, Subcommand)]
enum BuilderGroup {
    /// Build an image from a Dockerfile
    Build(Box<BuildArgs>),
    /// Disk usage of build cache
    Du(CacheUsageArgs),
    /// List builds
    #[command(alias = "ls")]
    History(BuildListArgs),
    /// Print the logs of a build
    Logs(BuildLogsArgs),
    /// Remove build cache
    Prune(CachePruneArgs),
}

#[derive(Debug, Subcommand)]
enum CacheMountGroup {
    /// Write the files of a cache to a tar archive (streamed to STDOUT by default)
    Export(CacheMountExportArgs),
    /// Replace the files of a cache by those of a tar archive or STDIN
    Import(CacheMountImportArgs),
    /// List caches
    #[command(alias = "list")]
    Ls(CacheMountListArgs),
    /// Remove one or more caches
    #[command(alias = "remove")]
    Rm(CacheMountRemoveArgs),
}

#[derive(Debug, Subcommand)]
enum ImageGroup {
    /// Build an image from a Dockerfile
    Build(Box<BuildArgs>),
    /// Show the history of an image
    History(HistoryArgs),
    /// Display detailed information on one or more images
    Inspect(InspectArgs),
    /// Load an image from a tar archive or STDIN
    Load(LoadArgs),
    /// List images
    #[command(alias = "list")]
    Ls(ImagesArgs),
    /// Remove unused images
    Prune(PruneArgs),
    /// Download an image from a registry
    Pull(PullArgs),
    /// Upload an image to a registry
    Push(PushArgs),
    /// Remove one or more images
    #[command(alias = "remove")]
    Rm(RemoveImageArgs),
    /// Save one or more images to a tar archive (streamed to STDOUT by default)
    Save(SaveArgs),
    /// Create a tag `TARGET_IMAGE` that refers to `SOURCE_IMAGE`
    Tag(TagArgs),
}

#[derive(Debug, Subcommand)]
enum ContainerGroup {
    /// Execute a command in a running container
    Exec(ExecArgs),
    /// Display detailed information on one or more containers
    Inspect(InspectArgs),
    /// Kill one or more running containers
    Kill(KillArgs),
    /// Fetch the logs of a container
    Logs(LogsArgs),
    /// List containers
    #[command(aliases = ["list", "ps"])]
    Ls(ContainerListArgs),
    /// Remove all stopped containers
    Prune(PruneArgs),
    /// Remove one or more containers
    #[command(alias = "remove")]
    Rm(RemoveContainerArgs),
    /// Create and run a new container from an image
    Run(Box<RunArgs>),
    /// Start one or more stopped containers
    Start(StartArgs),
    /// Stop one or more running containers
    Stop(StopArgs),
    /// Block until one or more containers stop, then print their exit codes
    Wait(WaitArgs),
}

#[derive(Debug, Subcommand)]
enum SystemGroup {
    /// Re-read every digest in the store and report what is wrong
    Check(CheckArgs),
    /// Show disk usage
    Df(DfArgs),
    /// Display system-wide information
    Info(ReportArgs),
    /// Remove unused data
    Prune(PruneArgs),
}

/// Parses a command line, `argv[0]` included.
pub(crate) fn parse(argv: &[OsString]) -> Result<(GlobalArgs, Action), Usage> {
    let mut command = grammar::command(argv);
    let matches = command
        .try_get_matches_from_mut(argv)
        .map_err(|error| usage::explain(&error, &command, argv))?;
    let low = LowArgs::from_arg_matches(&matches)
        .map_err(|error| usage::explain(&error, &command, argv))?;
    let action = match (low.version, low.command) {
        (true, _) => Action::Version(ReportArgs { format: None, short: true }),
        (false, Some(top)) => top.action(),
        (false, None) => Action::Help(usage::help(&mut command)),
    };
    Ok((low.global, action))
}

impl TopLevel {
    fn action(self) -> Action {
        match self {
            Self::Run(args) => Action::Run(args),
            Self::Exec(args) => Action::Exec(args),
            Self::Ps(args) => Action::ListContainers(args),
            Self::Build(args) => Action::Build(args),
            Self::Pull(args) => Action::Pull(args),
            Self::Push(args) => Action::Push(args),
            Self::Images(args) => Action::Images(args),
            Self::Login(args) => Action::Login(args),
            Self::Logout(args) => Action::Logout(args),
            Self::Version(args) => Action::Version(args),
            Self::Info(args) => Action::Describe(args),
            Self::Doctor(args) => Action::Doctor(args),
            Self::Builder(group) => group.action(),
            Self::CacheMount(group) => group.action(),
            Self::Container(group) => group.action(),
            Self::Image(group) => group.action(),
            Self::System(group) => group.action(),
            Self::History(args) => Action::History(args),
            Self::Inspect(args) => Action::Inspect(args),
            Self::Kill(args) => Action::Kill(args),
            Self::Load(args) => Action::Load(args),
            Self::Logs(args) => Action::Logs(args),
            Self::Rm(args) => Action::RemoveContainers(args),
            Self::Rmi(args) => Action::RemoveImages(args),
            Self::Save(args) => Action::Save(args),
            Self::Start(args) => Action::Start(args),
            Self::Stop(args) => Action::Stop(args),
            Self::Tag(args) => Action::Tag(args),
            Self::Wait(args) => Action::Wait(args),
            Self::WhyNotCached(args) => Action::WhyNotCached(args),
        }
    }
}

impl BuilderGroup {
    fn action(self) -> Action {
        match self {
            Self::Build(args) => Action::Build(args),
            Self::Du(args) => Action::CacheUsage(args),
            Self::History(args) => Action::ListBuilds(args),
            Self::Logs(args) => Action::BuildLogs(args),
            Self::Prune(args) => Action::PruneCache(args),
        }
    }
}

impl CacheMountGroup {
    fn action(self) -> Action {
        match self {
            Self::Export(args) => Action::ExportCacheMount(args),
            Self::Import(args) => Action::ImportCacheMount(args),
            Self::Ls(args) => Action::ListCacheMounts(args),
            Self::Rm(args) => Action::RemoveCacheMounts(args),
        }
    }
}

impl ImageGroup {
    fn action(self) -> Action {
        match self {
            Self::Build(args) => Action::Build(args),
            Self::History(args) => Action::History(args),
            Self::Inspect(args) => Action::Inspect(args.only(InspectType::Image)),
            Self::Load(args) => Action::Load(args),
            Self::Ls(args) => Action::Images(args),
            Self::Prune(args) => Action::Prune(args, PruneScope::Images),
            Self::Pull(args) => Action::Pull(args),
            Self::Push(args) => Action::Push(args),
            Self::Rm(args) => Action::RemoveImages(args),
            Self::Save(args) => Action::Save(args),
            Self::Tag(args) => Action::Tag(args),
        }
    }
}

impl ContainerGroup {
    fn action(self) -> Action {
        match self {
            Self::Exec(args) => Action::Exec(args),
            Self::Inspect(args) => Action::Inspect(args.only(InspectType::Container)),
            Self::Kill(args) => Action::Kill(args),
            Self::Logs(args) => Action::Logs(args),
            Self::Ls(args) => Action::ListContainers(args),
            Self::Prune(args) => Action::Prune(args, PruneScope::Containers),
            Self::Rm(args) => Action::RemoveContainers(args),
            Self::Run(args) => Action::Run(args),
            Self::Start(args) => Action::Start(args),
            Self::Stop(args) => Action::Stop(args),
            Self::Wait(args) => Action::Wait(args),
        }
    }
}

impl SystemGroup {
    fn action(self) -> Action {
        match self {
            Self::Check(args) => Action::Check(args),
            Self::Df(args) => Action::DiskUsage(args),
            Self::Info(args) => Action::Describe(args),
            Self::Prune(args) => Action::Prune(args, PruneScope::System),
        }
    }
}

#[cfg(test)]
mod tests;
