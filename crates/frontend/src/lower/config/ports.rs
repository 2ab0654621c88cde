//! Ports of `EXPOSE`: `[[address:]port[-port]:]port[-port][/protocol]`, of which address and host
//! port mean nothing.

use std::net::IpAddr;

/// The ports of one word.
pub(super) struct Ports {
    /// Each as `port/protocol`, in order.
    pub(super) ports: Vec<String>,
    /// Whether there was an address or a host port.
    pub(super) has_host: bool,
}

/// Reads ports; `None` if the text is something else.
pub(super) fn parse(text: &str) -> Option<Ports> {
    let (host, container) = match text.rsplit_once(':') {
        Some((host, container)) => (host, container),
        None => ("", text),
    };
    let (address, host_ports) = match host.rsplit_once(':') {
        Some((address, ports)) => (address, ports),
        None => ("", host),
    };
    let (ports, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" => "tcp".to_owned(),
        known @ ("tcp" | "udp" | "sctp") => known.to_owned(),
        _ => return None,
    };
    let (first, last) = range(ports)?;
    if !is_address(address) {
        return None;
    }
    if !host_ports.is_empty() {
        let (host_first, host_last) = range(host_ports)?;
        // A range of the host's for one port of the container: any of them.
        if host_last - host_first != last - first && first != last {
            return None;
        }
    }
    let ports = (first..=last).map(|port| format!("{port}/{protocol}")).collect();
    Some(Ports { ports, has_host: !host.is_empty() })
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| -> Option<u16> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
    };
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

fn is_address(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.is_empty() || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_with_ranges_and_protocols() {
        let check = |text: &str, expected: &[&str]| {
            let found = parse(text).map(|ports| ports.ports).unwrap_or_default();
            assert_eq!(found, expected, "{text}");
        };
        check("80", &["80/tcp"]);
        check("80/", &["80/tcp"]);
        check("53/UDP", &["53/udp"]);
        check("0", &["0/tcp"]);
        check("7000-7002", &["7000/tcp", "7001/tcp", "7002/tcp"]);
        check("8080:80", &["80/tcp"]);
        check("127.0.0.1:8080:80/sctp", &["80/sctp"]);
        check("127.0.0.1::80", &["80/tcp"]);
        check("[::1]:8080:80", &["80/tcp"]);
        check("8000-8010:80", &["80/tcp"]);
        for text in ["", "x", "80/ftp", "90-80", "70000", "+80", "80-", "-80", "1-2-3"] {
            check(text, &[]);
        }
        for text in ["a:80", "1.2.3:80:80", "80:", "1-2:80-90", ":x"] {
            check(text, &[]);
        }
    }
}
