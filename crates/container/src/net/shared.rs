//! Which way out a machine offers, and the one network that all RUN steps of a build share.

use std::fmt;
use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;

use super::guard::Guard;
use super::namespace::Namespace;
use super::pasta;
use super::resolv;
use super::resolv::NameServers;
use super::resolv::resolv_conf;
use super::veth;

const TUN: &str = "/dev/net/tun";

/// A way out of a namespace; it closes when this is dropped.
#[derive(Debug)]
pub(crate) struct WayOut {
    _guard: Guard,
    pub(crate) address: Ipv4Addr,
    /// The host as seen from inside, where it can be reached.
    pub(crate) gateway: Option<Ipv4Addr>,
    pub(crate) servers: NameServers,
}

/// Why a namespace has no way out, and what would change that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    pub reason: String,
    pub fix: String,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.reason, self.fix)
    }
}

/// Opens a way out of a container's `namespace` with what the machine has.
///
/// A veth pair is preferred where it needs no change of the host and the host's name servers can
/// be asked through it.
pub(crate) fn way_out(namespace: &Namespace) -> Result<WayOut, Unavailable> {
    if is_real_root()
        && let Some(programs) = veth::Programs::find()
        && resolv::has_direct_server(&resolv::host_file())
        && veth::is_open(&programs)
        && let Ok(way_out) = with_veth(&programs, namespace)
    {
        return Ok(way_out);
    }
    pasta_or_veth(namespace)
}

/// Opens a way out with pasta, or without it, as real root, with a veth pair.
fn pasta_or_veth(namespace: &Namespace) -> Result<WayOut, Unavailable> {
    let obstacle = match with_pasta(namespace) {
        Ok(way_out) => return Ok(way_out),
        Err(obstacle) => obstacle,
    };
    if !is_real_root() {
        return Err(obstacle);
    }
    let Some(programs) = veth::Programs::find() else { return Err(obstacle) };
    with_veth(&programs, namespace).map_err(|error| Unavailable {
        reason: format!("{}; without it, {}", obstacle.reason, error.chain()),
        fix: obstacle.fix,
    })
}

fn with_veth(programs: &veth::Programs, namespace: &Namespace) -> crate::Result<WayOut> {
    let veth = veth::start(programs, namespace)?;
    Ok(WayOut {
        _guard: veth.guard,
        address: veth.address,
        gateway: Some(veth.gateway),
        servers: NameServers::Direct,
    })
}

fn with_pasta(namespace: &Namespace) -> Result<WayOut, Unavailable> {
    let Some(program) = find_program("pasta") else {
        return Err(Unavailable {
            reason: "the program `pasta` is not installed".to_owned(),
            fix: "install the package `passt`".to_owned(),
        });
    };
    if let Err(error) = OpenOptions::new().read(true).write(true).open(TUN) {
        return Err(Unavailable {
            reason: format!("`{TUN}` cannot be opened ({error})"),
            fix: format!("allow it: `modprobe tun` and `chmod 0666 {TUN}` as root"),
        });
    }
    match pasta::start(&program, namespace) {
        Ok(guard) => Ok(WayOut {
            _guard: guard,
            address: pasta::ADDRESS,
            gateway: None,
            servers: NameServers::Forwarded(pasta::NAME_SERVER),
        }),
        Err(error) => Err(Unavailable {
            reason: error.chain(),
            fix: "see whether the host itself has a default route".to_owned(),
        }),
    }
}

/// Returns whether uid 0 here is uid 0 of the machine.
fn is_real_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let words: Vec<&str> = map.split_whitespace().collect();
    rustix::process::geteuid().is_root() && words == ["0", "0", "4294967295"]
}

/// Finds a program in PATH and, since a user's PATH often lacks them, the system's folders.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .chain(system.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// One network for all RUN steps of a build. It goes when this is dropped or the process dies.
#[derive(Debug)]
pub struct SharedNetwork {
    // In this order: the way out closes before the namespace goes.
    way_out: WayOut,
    namespace: Namespace,
}

impl SharedNetwork {
    /// Returns the path of the namespace, to be joined while this value lives.
    pub fn path(&self) -> PathBuf {
        self.namespace.path()
    }

    /// Returns `/etc/resolv.conf` for processes in it.
    pub fn resolv_conf(&self) -> String {
        resolv_conf(&resolv::host_file(), self.way_out.servers, &[])
    }
}

/// Makes a network for the RUN steps of a build, or says why the machine cannot give one: the
/// build then uses the host's.
pub fn build_network() -> Result<SharedNetwork, Unavailable> {
    let namespace = Namespace::create().map_err(|error| Unavailable {
        reason: error.chain(),
        fix: "use the host's network".to_owned(),
    })?;
    // Steps of a build come and go while the network stays, and ask for nothing of the host.
    let way_out = pasta_or_veth(&namespace)?;
    Ok(SharedNetwork { way_out, namespace })
}
