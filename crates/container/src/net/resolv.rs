//! `/etc/resolv.conf` of a container, made from the host's.

use std::net::IpAddr;

/// How a network reaches name servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameServers {
    /// The host's network: everything that the host reaches.
    Host,
    /// All servers of the host through this address.
    Forwarded(&'static str),
    /// Servers of the host's network directly; no way to the host's loopback device.
    Direct,
}

/// Servers that docker falls back to when the host has only ones that a container cannot reach.
const PUBLIC: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

/// Returns the file for a container; `asked` are servers named by the user, which go before.
pub(crate) fn resolv_conf(host: &str, servers: NameServers, asked: &[String]) -> String {
    let mut text = String::new();
    let others = host.lines().filter(|line| name_server(line).is_none());
    let push = |text: &mut String, server: &str| {
        text.push_str("nameserver ");
        text.push_str(server);
        text.push('\n');
    };
    let usable: Vec<&str> = match asked {
        [] => host
            .lines()
            .filter_map(name_server)
            .filter(|server| reachable(server, servers))
            .collect(),
        asked => asked.iter().map(String::as_str).collect(),
    };
    match (usable.as_slice(), servers) {
        ([], NameServers::Forwarded(address)) => push(&mut text, address),
        ([], NameServers::Direct) => PUBLIC.iter().for_each(|server| push(&mut text, server)),
        (usable, _) => usable.iter().for_each(|server| push(&mut text, server)),
    }
    for line in others {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn name_server(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    (words.next() == Some("nameserver")).then(|| words.next()).flatten()
}

fn reachable(server: &str, servers: NameServers) -> bool {
    // An IPv6 address may have a zone (`fe80::1%eth0`), which no container knows.
    let Ok(address) = server.parse::<IpAddr>() else { return servers == NameServers::Host };
    match servers {
        NameServers::Host => true,
        // The forwarder answers for all of them. Asked directly, a server's answer would come
        // back with the forwarder's address, and resolvers drop it.
        NameServers::Forwarded(_) => false,
        NameServers::Direct => address.is_ipv4() && !address.is_loopback(),
    }
}

/// Returns whether the host's file names a server that a network of its own can ask.
pub(crate) fn has_direct_server(host: &str) -> bool {
    host.lines().filter_map(name_server).any(|server| reachable(server, NameServers::Direct))
}

/// Returns the host's file. With systemd-resolved's stub in it, the file in which systemd keeps
/// the real servers, as docker does.
pub(crate) fn host_file() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let text = read("/etc/resolv.conf");
    let stub = |server: &str| server == "127.0.0.53";
    if text.lines().filter_map(name_server).all(stub) {
        let behind = read("/run/systemd/resolve/resolv.conf");
        if !behind.is_empty() {
            return behind;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, servers: NameServers, asked: &[&str], want: &str) {
        let asked: Vec<String> = asked.iter().map(|server| (*server).to_owned()).collect();
        assert_eq!(resolv_conf(host, servers, &asked), want, "{host:?} {servers:?}");
    }

    #[test]
    fn loopback_servers_are_replaced_where_they_cannot_be_reached() {
        let stub = "nameserver 127.0.0.53\nsearch lan\n";
        check(stub, NameServers::Host, &[], stub);
        let forwarded = NameServers::Forwarded("169.254.1.1");
        check(stub, forwarded, &[], "nameserver 169.254.1.1\nsearch lan\n");
        check(
            stub,
            NameServers::Direct,
            &[],
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\nsearch lan\n",
        );
        let mixed = "# c\nnameserver ::1\nnameserver 192.0.2.7\n";
        check(mixed, forwarded, &[], "nameserver 169.254.1.1\n# c\n");
        check(mixed, NameServers::Direct, &["1.1.1.1"], "nameserver 1.1.1.1\n# c\n");
    }
}
