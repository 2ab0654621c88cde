//! Everything that has to stand before the process of a container can run.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

use lathe_executor::EnvDefaults;
use lathe_executor::Lifetime;
use lathe_executor::Network;
use lathe_executor::Output;
use lathe_executor::Process;
use lathe_executor::Running;
use lathe_executor::Sandbox;
use lathe_executor::Security;
use lathe_executor::Stdin;
use lathe_executor::Stdio;
use lathe_executor::TerminalSize;
use lathe_executor::user::ResolvedUser;
use lathe_executor::user::resolve_user;
use lathe_rootfs::DirOptions;
use lathe_rootfs::Root;
use lathe_snapshot::Mounted;
use rustix::pipe::PipeFlags;

use crate::Error;
use crate::Result;
use crate::containers::Containers;
use crate::files;
use crate::files::Surroundings;
use crate::log::LogWriter;
use crate::net::bind::Bound;
use crate::net::bind::bind;
use crate::net::forward::Forwarder;
use crate::net::namespace::Namespace;
use crate::net::resolv::NameServers;
use crate::net::shared::WayOut;
use crate::net::shared::way_out;
use crate::protocol::Attach;
use crate::record::ContainerRecord;
use crate::spec::Access;
use crate::spec::BoundPort;
use crate::spec::Init;
use crate::spec::NetworkMode;
use crate::spec::PortMapping;
use crate::spec::ProcessSpec;
use crate::spec::PublishAll;
use crate::spec::StdinMode;
use crate::spec::Terminal;
use crate::volume;

/// Largest passwd or group file that is read.
const ACCOUNTS_LIMIT: u64 = 10 << 20;
/// Size of a terminal to which no command is attached.
const DEFAULT_SIZE: TerminalSize = TerminalSize { rows: 24, columns: 80 };

/// A container whose process runs.
pub(super) struct Prepared {
    pub(super) running: Running,
    pub(super) network: ContainerNetwork,
    pub(super) rootfs: Mounted,
    pub(super) streams: Streams,
    pub(super) log: LogWriter,
    pub(super) warnings: Vec<String>,
    pub(super) context: ExecContext,
}

/// Our ends of the process' standard streams.
#[derive(Debug)]
pub(super) enum Streams {
    Terminal(OwnedFd),
    Pipes { stdin: Option<OwnedFd>, stdout: OwnedFd, stderr: OwnedFd },
}

/// What a process beside the container's own starts from.
#[derive(Debug)]
pub(super) struct ExecContext {
    pub(super) process: Process,
    pub(super) hostname: String,
    pub(super) passwd: Option<Vec<u8>>,
    pub(super) group: Option<Vec<u8>>,
    pub(super) user: String,
    pub(super) given_env: Vec<String>,
}

/// The network of a running container. Dropping it frees its ports and ends its helpers.
#[derive(Debug)]
pub(super) struct ContainerNetwork {
    // In this order: connections end, then the way out, then the namespace.
    forwarder: Option<Forwarder>,
    way_out: Option<WayOut>,
    namespace: Option<Namespace>,
    pub(super) ports: Vec<BoundPort>,
    pub(super) address: Option<IpAddr>,
}

impl Prepared {
    pub(super) fn new(
        containers: &Containers,
        record: &ContainerRecord,
        attach: Option<Attach>,
    ) -> Result<Self> {
        let log = LogWriter::open(&containers.log_path(&record.id))?;
        // Ports first: a taken one is the likeliest failure, and costs nothing to find.
        let bound = bind_ports(record)?;
        let rootfs = containers.mount(record)?;
        let root = Root::open(rootfs.path())?;
        let mut warnings = Vec::new();
        let (network, around) = network(record, bound, &mut warnings)?;
        let hostname = hostname(record);
        let size = attach.and_then(|attach| attach.size);
        let context = exec_context(record, &root, &hostname, size)?;
        let sandbox = Sandbox {
            rootfs_access: access(record.spec.rootfs_access),
            mounts: volume::mounts(&containers.store, record, &root)?,
            network: match (&network.namespace, record.spec.network.mode) {
                (Some(namespace), _) => Network::Join(namespace.path()),
                (None, _) => Network::Host,
            },
            files: files::lent(&hostname, &record.spec.network, around)?,
            hostname: Some(hostname),
            security: Security::Default,
            init: match record.spec.init {
                Init::Process => lathe_executor::Init::Process,
                Init::Reaper => lathe_executor::Init::Reaper,
            },
            lifetime: Lifetime::OfParent,
            ..Sandbox::new(rootfs.path())
        };
        make_working_dir(record, &root, &context.process.cwd)?;
        let (running, streams) = spawn(&sandbox, &context.process, record.spec.process.stdin)?;
        Ok(Self { running, network, rootfs, streams, log, warnings, context })
    }
}

fn access(access: Access) -> lathe_executor::Access {
    match access {
        Access::ReadWrite => lathe_executor::Access::ReadWrite,
        Access::ReadOnly => lathe_executor::Access::ReadOnly,
    }
}

fn hostname(record: &ContainerRecord) -> String {
    match (&record.spec.hostname, record.spec.network.mode) {
        (Some(name), _) => name.clone(),
        // Docker gives the host's name to a container in the host's network.
        (None, NetworkMode::Host) => {
            rustix::system::uname().nodename().to_string_lossy().into_owned()
        }
        (None, _) => record.id.short().to_owned(),
    }
}

/// Binds the published ports. In the host's network there is nothing to forward, and with no
/// network nobody shall reach the container: docker ignores `-p` in both, and so do we.
fn bind_ports(record: &ContainerRecord) -> Result<Vec<Bound>> {
    let network = &record.spec.network;
    if network.mode != NetworkMode::Private {
        return Ok(Vec::new());
    }
    let mut mappings = network.publish.clone();
    if network.publish_all == PublishAll::Yes {
        for exposed in &network.exposed {
            let given = mappings.iter().any(|mapping| {
                (mapping.container_port, mapping.protocol) == (exposed.port, exposed.protocol)
            });
            if !given {
                mappings.push(PortMapping {
                    host_ip: None,
                    host_port: None,
                    container_port: exposed.port,
                    protocol: exposed.protocol,
                });
            }
        }
    }
    bind(&mappings)
}

fn network(
    record: &ContainerRecord,
    bound: Vec<Bound>,
    warnings: &mut Vec<String>,
) -> Result<(ContainerNetwork, Surroundings)> {
    let mode = record.spec.network.mode;
    let mut network = ContainerNetwork {
        forwarder: None,
        way_out: None,
        namespace: None,
        ports: Vec::new(),
        address: None,
    };
    let mut around = Surroundings { address: None, gateway: None, servers: NameServers::Host };
    if mode == NetworkMode::Host {
        if !record.spec.network.publish.is_empty() {
            warnings.push("published ports are discarded when using host network mode".to_owned());
        }
        return Ok((network, around));
    }
    let namespace = Namespace::create()?;
    around.servers = NameServers::Direct;
    if mode == NetworkMode::Private {
        match way_out(&namespace) {
            Ok(way_out) => {
                network.address = Some(way_out.address.into());
                around = Surroundings {
                    address: network.address,
                    gateway: way_out.gateway,
                    servers: way_out.servers,
                };
                network.way_out = Some(way_out);
            }
            Err(unavailable) => warnings.push(format!(
                "the container has no way out of its network, only its loopback device and \
                 published ports: {unavailable} (or use `--network host`)"
            )),
        }
    }
    network.ports = bound.iter().map(|bound| bound.port).collect();
    if !bound.is_empty() {
        network.forwarder = Some(Forwarder::start(bound, namespace.try_clone()?)?);
    }
    network.namespace = Some(namespace);
    Ok((network, around))
}

/// Works out identity, environment and working directory, for the container's process and those
/// beside it.
fn exec_context(
    record: &ContainerRecord,
    root: &Root,
    hostname: &str,
    size: Option<TerminalSize>,
) -> Result<ExecContext> {
    let ProcessSpec { entrypoint, command, env, working_dir, user, terminal, .. } =
        &record.spec.process;
    let accounts = |path: &str| root.read(Path::new(path), ACCOUNTS_LIMIT).ok();
    let (passwd, group) = (accounts("/etc/passwd"), accounts("/etc/group"));
    let resolved = resolve(user, passwd.as_deref(), group.as_deref())?;
    let terminal = match terminal {
        Terminal::None => None,
        Terminal::Allocate => Some(size.unwrap_or(DEFAULT_SIZE)),
    };
    let cwd = if working_dir.is_empty() { "/" } else { working_dir.as_str() };
    let process = Process {
        env: environment(env, &resolved, hostname, terminal),
        cwd: cwd.to_owned(),
        user: resolved.ids,
        terminal,
        ..Process::new(entrypoint.iter().chain(command))
    };
    let given_env = env.clone();
    let user = user.clone();
    Ok(ExecContext { process, hostname: hostname.to_owned(), passwd, group, user, given_env })
}

fn resolve(user: &str, passwd: Option<&[u8]>, group: Option<&[u8]>) -> Result<ResolvedUser> {
    resolve_user(user, passwd, group)
        .map_err(|error| Error::Start { code: 125, message: error.to_string() })
}

fn environment(
    given: &[String],
    user: &ResolvedUser,
    hostname: &str,
    terminal: Option<TerminalSize>,
) -> Vec<String> {
    let defaults = EnvDefaults { home: &user.home, hostname: Some(hostname), terminal };
    lathe_executor::default_env(given, defaults)
}

impl ExecContext {
    /// Returns the process of an exec.
    pub(super) fn process(&self, request: &crate::protocol::ExecRequest) -> Result<Process> {
        let user = request.user.as_deref().unwrap_or(&self.user);
        let resolved = resolve(user, self.passwd.as_deref(), self.group.as_deref())?;
        let terminal = match request.terminal {
            Terminal::None => None,
            Terminal::Allocate => Some(request.size.unwrap_or(DEFAULT_SIZE)),
        };
        let given: Vec<String> = self.given_env.iter().chain(&request.env).cloned().collect();
        Ok(Process {
            env: environment(&given, &resolved, &self.hostname, terminal),
            cwd: request.working_dir.clone().unwrap_or_else(|| self.process.cwd.clone()),
            user: resolved.ids,
            terminal,
            ..Process::new(&request.command)
        })
    }
}

/// Makes the working directory where it is missing, as docker does.
fn make_working_dir(record: &ContainerRecord, root: &Root, cwd: &str) -> Result<()> {
    if record.spec.rootfs_access == Access::ReadWrite {
        root.create_dir_all(Path::new(cwd), &DirOptions::default())?;
    }
    Ok(())
}

fn spawn(sandbox: &Sandbox, process: &Process, stdin: StdinMode) -> Result<(Running, Streams)> {
    if process.terminal.is_some() {
        let stdio = Stdio { stdin: Stdin::Null, stdout: Output::Null, stderr: Output::Null };
        let mut running = lathe_executor::spawn(sandbox, process, stdio)?;
        let console = running.take_console().ok_or_else(|| Error::Terminal {
            step: "take the container's terminal",
            source: std::io::ErrorKind::NotFound.into(),
        })?;
        return Ok((running, Streams::Terminal(console)));
    }
    let (our_input, input) = match stdin {
        StdinMode::Closed => (None, Stdin::Null),
        StdinMode::Open => {
            let (read, write) = pipe()?;
            (Some(write), Stdin::Fd(read))
        }
    };
    let ((stdout, out), (stderr, err)) = (pipe()?, pipe()?);
    let stdio = Stdio { stdin: input, stdout: Output::Fd(out), stderr: Output::Fd(err) };
    let running = lathe_executor::spawn(sandbox, process, stdio)?;
    Ok((running, Streams::Pipes { stdin: our_input, stdout, stderr }))
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|errno| Error::Channel(errno.into()))
}
