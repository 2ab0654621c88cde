//! Commands about containers.

use std::path::PathBuf;

use clap::Args;

/// Flags of `lathe run`.
#[derive(Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags as typed")]
pub(crate) struct RunArgs {
    /// Run container in background and print container ID
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Publish a container's port(s) to the host
    #[arg(short, long, value_name = "list")]
    pub(crate) publish: Vec<String>,
    /// Publish all exposed ports to random ports
    #[arg(short = 'P', long)]
    pub(crate) publish_all: bool,
    /// Expose a port or a range of ports
    #[arg(long, value_name = "list")]
    pub(crate) expose: Vec<String>,
    /// Automatically remove the container when it exits
    #[arg(long)]
    pub(crate) rm: bool,
    /// Set environment variables
    #[arg(short, long, value_name = "list")]
    pub(crate) env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "list")]
    pub(crate) env_file: Vec<PathBuf>,
    /// Bind mount a volume
    #[arg(short, long = "volume", value_name = "list")]
    pub(crate) volumes: Vec<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "string")]
    pub(crate) workdir: Option<String>,
    /// Username or UID (format: <name|uid>[:<group|gid>])
    #[arg(short, long, value_name = "string")]
    pub(crate) user: Option<String>,
    /// Assign a name to the container
    #[arg(long, value_name = "string")]
    pub(crate) name: Option<String>,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Overwrite the default ENTRYPOINT of the image
    #[arg(long, value_name = "string")]
    pub(crate) entrypoint: Option<String>,
    /// Container host name
    #[arg(short = 'h', long, value_name = "string")]
    pub(crate) hostname: Option<String>,
    /// Connect a container to a network ("bridge", "host", "none")
    #[arg(long, alias = "net", value_name = "network")]
    pub(crate) network: Option<String>,
    /// Add a custom host-to-IP mapping (host:ip)
    #[arg(long, value_name = "list")]
    pub(crate) add_host: Vec<String>,
    /// Set custom DNS servers
    #[arg(long, value_name = "list")]
    pub(crate) dns: Vec<String>,
    /// Run an init inside the container that forwards signals and reaps processes
    #[arg(long)]
    pub(crate) init: bool,
    /// Set meta data on a container
    #[arg(short, long = "label", value_name = "list")]
    pub(crate) labels: Vec<String>,
    /// Mount the container's root filesystem as read only
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Mount a tmpfs directory
    #[arg(long, value_name = "list")]
    pub(crate) tmpfs: Vec<String>,
    /// Signal to stop the container
    #[arg(long, value_name = "string")]
    pub(crate) stop_signal: Option<String>,
    /// Pull image before running ("always", "missing", "never")
    #[arg(long, value_name = "string", default_value = "missing")]
    pub(crate) pull: String,
    /// Set platform if the image is for several
    #[arg(long, value_name = "string")]
    pub(crate) platform: Option<String>,
    /// Suppress the pull output
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Write the container ID to the file
    #[arg(long, value_name = "string")]
    pub(crate) cidfile: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) later: LaterRunArgs,
    /// The image, then its command. One list, since all that follows the image belongs to the
    /// container, flags included.
    #[arg(required = true, trailing_var_arg = true, value_name = "IMAGE")]
    pub(crate) rest: Vec<String>,
}

/// Flags that docker knows: refused with a clear word, or without effect here.
#[derive(Debug, Default, Args)]
pub(crate) struct LaterRunArgs {
    #[arg(short, long, hide = true, value_name = "list")]
    attach: Vec<String>,
    #[arg(long, hide = true, value_name = "list")]
    cap_add: Vec<String>,
    #[arg(long, hide = true, value_name = "list")]
    cap_drop: Vec<String>,
    #[arg(short, long, hide = true, value_name = "int")]
    cpu_shares: Option<String>,
    #[arg(long, hide = true, value_name = "decimal")]
    cpus: Option<String>,
    #[arg(long, hide = true, value_name = "list")]
    device: Vec<String>,
    #[arg(long, hide = true, value_name = "string")]
    gpus: Option<String>,
    #[arg(long, hide = true, value_name = "list")]
    group_add: Vec<String>,
    #[arg(long, hide = true, value_name = "list")]
    link: Vec<String>,
    #[arg(short, long, hide = true, value_name = "bytes")]
    memory: Option<String>,
    #[arg(long, hide = true, value_name = "mount")]
    mount: Vec<String>,
    #[arg(long, hide = true, value_name = "string")]
    pid: Option<String>,
    #[arg(long, hide = true, value_name = "int")]
    pids_limit: Option<String>,
    #[arg(long, hide = true)]
    privileged: bool,
    #[arg(long, hide = true, value_name = "string")]
    restart: Option<String>,
    #[arg(long, hide = true, value_name = "list")]
    security_opt: Vec<String>,
    #[arg(long, hide = true, value_name = "bytes")]
    shm_size: Option<String>,
    #[arg(long, hide = true, value_name = "int")]
    stop_timeout: Option<String>,
    #[arg(long, hide = true, value_name = "list")]
    sysctl: Vec<String>,
    #[arg(long, hide = true, value_name = "list")]
    ulimit: Vec<String>,
    #[arg(long, hide = true, value_name = "list")]
    volumes_from: Vec<String>,

    // Without effect here: signals are always forwarded.
    #[arg(long, hide = true)]
    sig_proxy: bool,
}

impl LaterRunArgs {
    /// Returns the first flag that was given and that is not supported yet.
    pub(crate) fn unsupported(&self) -> Option<&'static str> {
        let lists = [
            ("--attach", &self.attach),
            ("--cap-add", &self.cap_add),
            ("--cap-drop", &self.cap_drop),
            ("--device", &self.device),
            ("--group-add", &self.group_add),
            ("--link", &self.link),
            ("--mount", &self.mount),
            ("--security-opt", &self.security_opt),
            ("--sysctl", &self.sysctl),
            ("--ulimit", &self.ulimit),
            ("--volumes-from", &self.volumes_from),
        ];
        let singles = [
            ("--cpu-shares", self.cpu_shares.is_some()),
            ("--cpus", self.cpus.is_some()),
            ("--gpus", self.gpus.is_some()),
            ("--memory", self.memory.is_some()),
            ("--pid", self.pid.is_some()),
            ("--pids-limit", self.pids_limit.is_some()),
            ("--privileged", self.privileged),
            ("--restart", self.restart.as_deref().is_some_and(|policy| policy != "no")),
            ("--shm-size", self.shm_size.is_some()),
            ("--stop-timeout", self.stop_timeout.is_some()),
        ];
        let lists = lists.into_iter().map(|(flag, values)| (flag, !values.is_empty()));
        lists.chain(singles).find_map(|(flag, given)| given.then_some(flag))
    }
}

/// Flags of `lathe ps`.
#[derive(Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags as typed")]
pub(crate) struct ContainerListArgs {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Filter output based on conditions provided
    #[arg(short, long = "filter", value_name = "filter")]
    pub(crate) filters: Vec<String>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long, value_name = "string")]
    pub(crate) format: Option<String>,
    /// Show n last created containers (includes all states) (default -1)
    #[arg(short = 'n', long, value_name = "int")]
    pub(crate) last: Option<i64>,
    /// Show the latest created container (includes all states)
    #[arg(short, long)]
    pub(crate) latest: bool,
    /// Don't truncate output
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Only display container IDs
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Display total file sizes
    #[arg(short, long)]
    pub(crate) size: bool,
}

/// Flags of `lathe logs`.
#[derive(Debug, Default, Args)]
pub(crate) struct LogsArgs {
    /// Follow log output
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m")
    #[arg(long, value_name = "string")]
    pub(crate) since: Option<String>,
    /// Number of lines to show from the end of the logs (default "all")
    #[arg(short = 'n', long, value_name = "string")]
    pub(crate) tail: Option<String>,
    /// Show timestamps
    #[arg(short, long)]
    pub(crate) timestamps: bool,
    /// Show logs before a timestamp or relative (e.g. "42m")
    #[arg(long, value_name = "string")]
    pub(crate) until: Option<String>,
    #[arg(value_name = "CONTAINER")]
    pub(crate) container: String,
}

/// Flags of `lathe start`.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// Attach STDOUT/STDERR and forward signals
    #[arg(short, long)]
    pub(crate) attach: bool,
    /// Attach container's STDIN
    #[arg(short, long)]
    pub(crate) interactive: bool,
    #[arg(required = true, value_name = "CONTAINER")]
    pub(crate) containers: Vec<String>,
}

/// Flags of `lathe stop`.
#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// Signal to send to the container
    #[arg(short, long, value_name = "string")]
    pub(crate) signal: Option<String>,
    /// Seconds to wait before killing the container
    #[arg(short = 't', long, visible_alias = "time", value_name = "int")]
    pub(crate) timeout: Option<i64>,
    #[arg(required = true, value_name = "CONTAINER")]
    pub(crate) containers: Vec<String>,
}

/// Flags of `lathe kill`.
#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// Signal to send to the container
    #[arg(short, long, value_name = "string")]
    pub(crate) signal: Option<String>,
    #[arg(required = true, value_name = "CONTAINER")]
    pub(crate) containers: Vec<String>,
}

/// Flags of `lathe rm`.
#[derive(Debug, Args)]
pub(crate) struct RemoveContainerArgs {
    /// Force the removal of a running container (uses SIGKILL)
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Remove anonymous volumes associated with the container
    #[arg(short, long)]
    pub(crate) volumes: bool,
    #[arg(required = true, value_name = "CONTAINER")]
    pub(crate) containers: Vec<String>,
}

/// Flags of `lathe exec`.
#[derive(Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags as typed")]
pub(crate) struct ExecArgs {
    /// Detached mode: run command in the background
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Set environment variables
    #[arg(short, long, value_name = "list")]
    pub(crate) env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "list")]
    pub(crate) env_file: Vec<PathBuf>,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give extended privileges to the command
    #[arg(long)]
    pub(crate) privileged: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Username or UID (format: "<name|uid>[:<group|gid>]")
    #[arg(short, long, value_name = "string")]
    pub(crate) user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "string")]
    pub(crate) workdir: Option<String>,
    /// The container, then the command.
    #[arg(required = true, num_args = 2.., trailing_var_arg = true, value_name = "CONTAINER")]
    pub(crate) rest: Vec<String>,
}

/// Flags of `lathe wait`.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    #[arg(required = true, value_name = "CONTAINER")]
    pub(crate) containers: Vec<String>,
}
