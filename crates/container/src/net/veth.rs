//! A way out for real root: a veth pair, and address translation on the host.
//!
//! Packets stay in the kernel, so that connections end as the two sides end them; versions of
//! pasta (of Debian 12, for one) lose the end when both sides close at once. In return it takes
//! the host's forwarding, so it is only preferred where that is [`is_open`].
//!
//! `10.88.0.0/16` is cut into networks of four addresses. The name of the host's device claims a
//! network: making a device is atomic, and a device goes with its namespace, so that nothing has
//! to be remembered. The translation rules go through the guard.

use std::io;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use super::guard::Guard;
use super::guard::GuardJob;
use super::namespace::Namespace;
use super::shared::find_program;
use crate::Error;
use crate::Result;
use crate::record::random_bytes;

/// Networks of four addresses in 10.88.0.0/16, without the first, which pasta's containers use.
const NETWORKS: u16 = 16_383;
/// How often a network is picked until one is free.
const ATTEMPTS: usize = 32;

/// What the names of devices and tables begin with, before the number of the network.
const DEVICE: &str = "lathe";
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// A veth pair that is up.
#[derive(Debug)]
pub(crate) struct Veth {
    pub(crate) guard: Guard,
    pub(crate) address: Ipv4Addr,
    pub(crate) gateway: Ipv4Addr,
}

/// The programs that this needs.
#[derive(Debug)]
pub(crate) struct Programs {
    ip: PathBuf,
    firewall: Firewall,
}

#[derive(Debug)]
enum Firewall {
    Nft(PathBuf),
    Iptables(PathBuf),
}

impl Programs {
    /// Finds the programs; `None` when one is missing.
    pub(crate) fn find() -> Option<Self> {
        let firewall = find_program("nft")
            .map(Firewall::Nft)
            .or_else(|| find_program("iptables").map(Firewall::Iptables))?;
        Some(Self { ip: find_program("ip")?, firewall })
    }
}

/// One of the networks, by its number.
#[derive(Debug, Clone, Copy)]
struct Network(u16);

impl Network {
    fn random() -> Result<Self> {
        let mut bytes = [0; 2];
        random_bytes(&mut bytes)?;
        Ok(Self(u16::from_le_bytes(bytes) % NETWORKS + 1))
    }

    /// Returns one of the four addresses: 0 is the network, 1 the host, 2 the container.
    fn address(self, index: u16) -> Ipv4Addr {
        let [high, low] = (self.0 * 4 + index).to_be_bytes();
        Ipv4Addr::new(10, 88, high, low)
    }

    fn subnet(self) -> String {
        format!("{}/30", self.address(0))
    }

    fn device(self) -> String {
        format!("{DEVICE}{}", self.0)
    }
}

/// Connects `namespace` with the host's network.
pub(crate) fn start(programs: &Programs, namespace: &Namespace) -> Result<Veth> {
    let network = claim(programs, namespace)?;
    let device = network.device();
    let ip = |arguments: &str| words(&programs.ip, arguments);
    let outside =
        format!("addr add {}/30 dev {device}\nlink set {device} up\n", network.address(1));
    let inside = format!(
        "addr add {}/30 dev eth0\nlink set eth0 up\nroute add default via {}\n",
        network.address(2),
        network.address(1)
    );
    let (rules, cleanup) = rules(&programs.firewall, network);
    let cleanup = std::iter::once(ip(&format!("link delete {device}"))).chain(cleanup).collect();
    // From here on whatever was made is removed again, also when a step fails.
    let guard = Guard::start(&GuardJob { helper: Vec::new(), cleanup }, &[])?;
    let fail = |source| Error::Network { step: "set the veth pair up", source };
    batch(&programs.ip, &outside).map_err(fail)?;
    namespace.run("set the veth pair up", || batch(&programs.ip, &inside))?;
    if !forwards() {
        std::fs::write(FORWARDING, "1")
            .map_err(|source| Error::Network { step: "turn on net.ipv4.ip_forward", source })?;
    }
    let fail = |source| Error::Network { step: "translate addresses", source };
    rules.iter().try_for_each(run).map_err(fail)?;
    Ok(Veth { guard, address: network.address(2), gateway: network.address(1) })
}

/// Returns whether the host forwards packets already and nothing of it filters them, so that a
/// pair needs nothing of the host to be changed, and works.
///
/// Filters of others (docker's, firewalld's, ufw's) may drop what they do not know, whatever the
/// rules of this module say: a packet has to be accepted by all of them.
pub(crate) fn is_open(programs: &Programs) -> bool {
    let Firewall::Nft(nft) = &programs.firewall else { return false };
    // The tables of the older iptables, which nft does not show.
    let legacy = std::fs::read_to_string("/proc/net/ip_tables_names").unwrap_or_default();
    if !forwards() || legacy.lines().any(|table| table == "filter") {
        return false;
    }
    let listing = Command::new(nft).args(["list", "chains"]).stdin(Stdio::null()).output();
    listing.is_ok_and(|listing| {
        listing.status.success() && !has_filter(&String::from_utf8_lossy(&listing.stdout))
    })
}

/// Returns whether a listing of nft's chains has one of others that sees forwarded packets.
fn has_filter(listing: &str) -> bool {
    let mut is_ours = false;
    for line in listing.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix("table ") {
            let name = table.strip_prefix("ip ").unwrap_or_default().trim_end_matches(" {");
            let number = name.strip_prefix(DEVICE).and_then(|number| number.parse::<u16>().ok());
            is_ours = number.is_some();
        } else if !is_ours && line.contains(" hook forward ") {
            return true;
        }
    }
    false
}

fn forwards() -> bool {
    std::fs::read_to_string(FORWARDING).is_ok_and(|text| text.trim() == "1")
}

/// Makes the pair under the first free name.
fn claim(programs: &Programs, namespace: &Namespace) -> Result<Network> {
    let target = namespace.path();
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS {
        let network = Network::random()?;
        let command = format!(
            "link add {} type veth peer name eth0 netns {}",
            network.device(),
            target.display()
        );
        match run(&words(&programs.ip, &command)) {
            Ok(()) => return Ok(network),
            Err(error) if error.to_string().contains("File exists") => last = error,
            Err(source) => return Err(Error::Network { step: "make a veth pair", source }),
        }
    }
    Err(Error::Network { step: "find a free network in 10.88.0.0/16", source: last })
}

/// Returns the commands that translate addresses, and those that undo it.
fn rules(firewall: &Firewall, network: Network) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    let (subnet, device) = (network.subnet(), network.device());
    match firewall {
        Firewall::Nft(nft) => {
            // A table of this name is what a killed guard has left. Nobody but the container's own
            // connections reaches it through the host: ports are published by sockets.
            let rules = format!(
                "add table ip {device}\n\
                 delete table ip {device}\n\
                 add table ip {device}\n\
                 add chain ip {device} forward {{ type filter hook forward priority filter; }}\n\
                 add rule ip {device} forward oifname \"{device}\" \
                 ct state established,related accept\n\
                 add rule ip {device} forward oifname \"{device}\" drop\n\
                 add chain ip {device} postrouting {{ type nat hook postrouting priority srcnat; }}\n\
                 add rule ip {device} postrouting ip saddr {subnet} oifname != \"{device}\" masquerade"
            );
            let nft = nft.to_string_lossy().into_owned();
            let cleanup = format!("delete table ip {device}");
            (vec![vec![nft.clone(), rules]], vec![vec![nft, cleanup]])
        }
        Firewall::Iptables(iptables) => {
            let rule = |action: &str, rule: &str| {
                words(iptables, &format!("-w {}", rule.replacen("{}", action, 1)))
            };
            let texts = [
                format!("-t nat {{}} POSTROUTING -s {subnet} ! -o {device} -j MASQUERADE"),
                format!("{{}} FORWARD -i {device} -j ACCEPT"),
                format!("{{}} FORWARD -o {device} -j ACCEPT"),
            ];
            (
                texts.iter().map(|text| rule("-I", text)).collect(),
                texts.iter().map(|text| rule("-D", text)).collect(),
            )
        }
    }
}

fn words(program: &Path, arguments: &str) -> Vec<String> {
    let mut command = vec![program.to_string_lossy().into_owned()];
    command.extend(arguments.split(' ').map(str::to_owned));
    command
}

/// Runs a command; what it says on its error output becomes the error.
fn run(command: &Vec<String>) -> io::Result<()> {
    let [program, arguments @ ..] = command.as_slice() else { return Ok(()) };
    let mut process = Command::new(program);
    process.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    check(&process.output()?, || command.join(" "))
}

/// Runs the lines as commands of one `ip`.
fn batch(ip: &Path, lines: &str) -> io::Result<()> {
    let mut process = Command::new(ip);
    process.args(["-batch", "-"]).stdin(Stdio::piped());
    let mut child = process.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // What it does not take, it complains about.
        let _refused = input.write_all(lines.as_bytes());
    }
    check(&child.wait_with_output()?, || lines.trim().replace('\n', "; "))
}

fn check(output: &Output, command: impl FnOnce() -> String) -> io::Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("`{}`: {}", command(), said.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_do_not_overlap_and_spare_pastas_addresses() {
        for number in [1, 2, NETWORKS - 1, NETWORKS] {
            let network = Network(number);
            assert_eq!(network.address(0).octets()[3] % 4, 0);
            assert_ne!(network.address(2), super::super::pasta::ADDRESS);
        }
        assert_eq!(Network(NETWORKS).address(3), Ipv4Addr::new(10, 88, 255, 255));
        assert!(Network(NETWORKS).device().len() < 16, "device names have 15 bytes");
    }

    #[test]
    fn filters_of_others_are_seen_and_own_ones_are_not() {
        let table = |family: &str, name: &str, hook: &str| {
            format!(
                "table {family} {name} {{\n\tchain c {{\n\t\ttype filter hook {hook} priority \
                 filter; policy accept;\n\t}}\n}}\n"
            )
        };
        let own = table("ip", "lathe77", "forward");
        for (listing, want) in [
            (String::new(), false),
            (own.clone(), false),
            (table("inet", "firewall", "input"), false),
            (table("ip", "filter", "forward"), true),
            (table("inet", "lathe77", "forward"), true),
            (table("ip", "lathe-of-others", "forward"), true),
            (own.clone() + &table("bridge", "x", "forward") + &own, true),
        ] {
            assert_eq!(has_filter(&listing), want, "{listing}");
        }
    }
}
