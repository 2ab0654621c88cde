//! `lathe ps`.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use anyhow::Result;

use super::{
    Field, Listing, Zone, ellipsis, human_duration, human_size_3, image::since, listing, short_id,
};

/// Where a container is in its life. Times are in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerState {
    Created,
    Running {
        since: i64,
    },
    Exited {
        code: i32,
        at: i64,
    },
    /// Its shim is gone, so nobody saw it end.
    Dead,
}

/// A port of the container that the host answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublishedPort {
    pub(crate) address: IpAddr,
    pub(crate) host: u16,
    pub(crate) container: u16,
    /// `tcp` or `udp`.
    pub(crate) protocol: &'static str,
}

/// One line of `lathe ps`.
#[derive(Debug, Clone)]
pub(crate) struct ContainerRow {
    pub(crate) id: String,
    /// Name as the user typed it.
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    /// Seconds since 1970.
    pub(crate) created: i64,
    pub(crate) state: ContainerState,
    pub(crate) ports: Vec<PublishedPort>,
    /// Ports that the image exposes and nobody published: port and protocol.
    pub(crate) exposed: Vec<(u16, &'static str)>,
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) mounts: Vec<String>,
    /// Network mode.
    pub(crate) network: String,
    /// Bytes written by the container, and with the image, where asked for.
    pub(crate) size: Option<(u64, u64)>,
}

/// How to show containers.
#[derive(Debug, Clone)]
pub(crate) struct ContainerView<'a> {
    pub(crate) format: Option<&'a str>,
    pub(crate) quiet: bool,
    pub(crate) no_trunc: bool,
    pub(crate) size: bool,
    /// Seconds since 1970.
    pub(crate) now: i64,
    pub(crate) zone: Zone,
}

const FIELDS: &[Field] = &[
    Field { name: "ID", header: "CONTAINER ID" },
    Field { name: "Image", header: "IMAGE" },
    Field { name: "Command", header: "COMMAND" },
    Field { name: "CreatedAt", header: "CREATED AT" },
    Field { name: "RunningFor", header: "CREATED" },
    Field { name: "Status", header: "STATUS" },
    Field { name: "State", header: "STATE" },
    Field { name: "Ports", header: "PORTS" },
    Field { name: "Names", header: "NAMES" },
    Field { name: "Size", header: "SIZE" },
    Field { name: "Labels", header: "LABELS" },
    Field { name: "Mounts", header: "MOUNTS" },
    Field { name: "LocalVolumes", header: "LOCAL VOLUMES" },
    Field { name: "Networks", header: "NETWORKS" },
];

const COLUMNS: &str =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";

/// Renders containers.
pub(crate) fn containers(rows: &[ContainerRow], view: &ContainerView<'_>) -> Result<String> {
    let columns = if view.size { format!("{COLUMNS}\t{{{{.Size}}}}") } else { COLUMNS.to_owned() };
    let format = match view.format {
        None | Some("table") if view.quiet => Some("{{.ID}}"),
        format => format,
    };
    let texts: Vec<Vec<String>> = rows.iter().map(|row| row.texts(view)).collect();
    listing(Listing { fields: FIELDS, columns: &columns }, format, &texts)
}

impl ContainerRow {
    fn texts(&self, view: &ContainerView<'_>) -> Vec<String> {
        let id = if view.no_trunc { &self.id } else { short_id(&self.id) };
        let command = self.command.join(" ");
        let command = if view.no_trunc { command } else { ellipsis(&command, 20) };
        let labels: Vec<String> =
            self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        vec![
            id.to_owned(),
            if self.image.is_empty() { "<no image>".to_owned() } else { self.image.clone() },
            format!("{command:?}"),
            view.zone.display(self.created),
            since(self.created, view.now),
            self.state.status(view.now),
            self.state.name().to_owned(),
            ports(&self.ports, &self.exposed),
            self.name.clone(),
            self.size_text(),
            labels.join(","),
            self.mounts.join(","),
            "0".to_owned(),
            self.network.clone(),
        ]
    }

    fn size_text(&self) -> String {
        let (own, total) = self.size.unwrap_or_default();
        let own_text = human_size_3(own);
        if total == 0 { own_text } else { format!("{own_text} (virtual {})", human_size_3(total)) }
    }
}

impl ContainerState {
    /// The one word of docker's `State`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running { .. } => "running",
            Self::Exited { .. } => "exited",
            Self::Dead => "dead",
        }
    }

    /// The STATUS column: `Up 5 seconds`, `Exited (0) 3 minutes ago`.
    fn status(self, now: i64) -> String {
        match self {
            Self::Created => "Created".to_owned(),
            Self::Running { since } => {
                let seconds = u64::try_from(now.saturating_sub(since)).unwrap_or(0);
                format!("Up {}", human_duration(Duration::from_secs(seconds)))
            }
            Self::Exited { code, at } => format!("Exited ({code}) {}", since(at, now)),
            Self::Dead => "Dead".to_owned(),
        }
    }
}

/// Joins ports as docker does: adjacent ones with equal offsets become a range.
fn ports(published: &[PublishedPort], exposed: &[(u16, &'static str)]) -> String {
    let mut published = published.to_vec();
    published.sort_by_key(|port| (port.protocol, port.address, port.container, port.host));
    published.dedup();
    let mut texts = Vec::new();
    let mut at = 0;
    while at < published.len() {
        let first = published[at];
        let mut last = first;
        at += 1;
        while let Some(next) = published.get(at)
            && follows(last, *next)
        {
            last = *next;
            at += 1;
        }
        let address = match first.address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let host = range(first.host, last.host);
        let inside = range(first.container, last.container);
        texts.push(format!("{address}:{host}->{inside}/{}", first.protocol));
    }
    let shown = |port: &(u16, &str)| {
        !published.iter().any(|taken| (taken.container, taken.protocol) == *port)
    };
    let mut free: Vec<_> = exposed.iter().filter(|port| shown(port)).collect();
    free.sort();
    texts.extend(free.iter().map(|(port, protocol)| format!("{port}/{protocol}")));
    texts.join(", ")
}

fn follows(last: PublishedPort, next: PublishedPort) -> bool {
    last.address == next.address
        && last.protocol == next.protocol
        && last.container.checked_add(1) == Some(next.container)
        && last.host.checked_add(1) == Some(next.host)
}

fn range(first: u16, last: u16) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(host: u16, container: u16) -> PublishedPort {
        let address = IpAddr::from([0, 0, 0, 0]);
        PublishedPort { address, host, container, protocol: "tcp" }
    }

    #[test]
    fn ports_are_joined_as_docker_joins_them() {
        assert_eq!(ports(&[port(3000, 3000)], &[]), "0.0.0.0:3000->3000/tcp");
        assert_eq!(ports(&[port(8081, 81), port(8080, 80)], &[]), "0.0.0.0:8080-8081->80-81/tcp");
        assert_eq!(
            ports(&[port(8080, 80)], &[(80, "tcp"), (443, "tcp")]),
            "0.0.0.0:8080->80/tcp, 443/tcp"
        );
        let v6 = PublishedPort { address: IpAddr::from([0u16; 8]), ..port(53, 53) };
        assert_eq!(ports(&[v6, port(53, 53)], &[]), "0.0.0.0:53->53/tcp, [::]:53->53/tcp");
        assert_eq!(ports(&[], &[]), "");
    }

    #[test]
    fn a_status_tells_the_state_and_its_age() {
        assert_eq!(ContainerState::Running { since: 95 }.status(100), "Up 5 seconds");
        assert_eq!(
            ContainerState::Exited { code: 0, at: 0 }.status(180),
            "Exited (0) 3 minutes ago"
        );
        assert_eq!(
            ContainerState::Exited { code: 137, at: 100 }.status(100),
            "Exited (137) Less than a second ago"
        );
        assert_eq!(ContainerState::Created.status(1), "Created");
    }
}
