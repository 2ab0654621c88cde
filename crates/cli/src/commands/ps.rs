//! `lathe ps`.

use anyhow::{Result, bail};
use lathe_engine::container::{
    BoundPort, ContainerView, NetworkMode, Protocol, Status, VolumeSource,
};

use super::Session;
use crate::{
    args::ContainerListArgs,
    env,
    render::{self, ContainerRow, ContainerState, PublishedPort},
    term,
};

pub(super) fn ps(session: &Session, args: &ContainerListArgs) -> Result<u8> {
    let filters = Filters::parse(&args.filters)?;
    let last = if args.latest { 1 } else { args.last.unwrap_or(-1) };
    let everything = args.all || last > 0 || filters.names_a_state();
    let shown = |view: &ContainerView| everything || view.state.status == Status::Running;
    let views = session.containers().list()?;
    let rows = views.iter().filter(|view| shown(view) && filters.matches(view)).map(row);
    let limit = usize::try_from(last).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let mut rows: Vec<ContainerRow> = rows.take(limit).collect();
    if args.size {
        for row in &mut rows {
            row.size = size(session, &views, &row.id)?;
        }
    }
    let view = render::ContainerView {
        format: args.format.as_deref(),
        quiet: args.quiet,
        no_trunc: args.no_trunc,
        size: args.size,
        now: env::now(),
        zone: env::zone(),
    };
    term::out(&render::containers(&rows, &view)?)?;
    Ok(0)
}

/// `--filter key=value`: values of one key widen, different keys narrow.
struct Filters(Vec<(String, String)>);

impl Filters {
    fn parse(texts: &[String]) -> Result<Self> {
        const KEYS: [&str; 7] = ["id", "name", "status", "label", "ancestor", "exited", "network"];
        let mut filters = Vec::new();
        for text in texts {
            let Some((key, value)) = text.split_once('=') else {
                bail!(
                    "invalid argument {text:?} for \"-f, --filter\" flag: invalid filter, want key=value"
                );
            };
            let key = key.trim().to_lowercase();
            if !KEYS.contains(&key.as_str()) {
                bail!("invalid filter '{key}'");
            }
            filters.push((key, value.trim().to_owned()));
        }
        Ok(Self(filters))
    }

    fn names_a_state(&self) -> bool {
        self.0.iter().any(|(key, _)| matches!(key.as_str(), "status" | "exited"))
    }

    fn matches(&self, view: &ContainerView) -> bool {
        self.0.iter().all(|(key, _)| {
            self.0.iter().filter(|(other, _)| other == key).any(|(_, value)| one(view, key, value))
        })
    }
}

fn one(view: &ContainerView, key: &str, value: &str) -> bool {
    let record = &view.record;
    match key {
        "id" => record.id.as_str().starts_with(value),
        "name" => record.name.contains(value.trim_start_matches('/')),
        "status" => view.state.status.to_string() == value,
        "exited" => {
            view.state.status == Status::Exited && view.state.exit_code.to_string() == value
        }
        "label" => match value.split_once('=') {
            Some((key, wanted)) => record.spec.labels.get(key).is_some_and(|found| found == wanted),
            None => record.spec.labels.contains_key(value),
        },
        "ancestor" => {
            let image = &record.spec.image;
            let bare = image.id.split_once(':').map_or(image.id.as_str(), |(_, hex)| hex);
            image.name == value
                || image.name.strip_suffix(":latest") == Some(value)
                || (value.len() >= 6 && (image.id.starts_with(value) || bare.starts_with(value)))
        }
        "network" => network(record.spec.network.mode) == value,
        _ => false,
    }
}

fn row(view: &ContainerView) -> ContainerRow {
    let (record, state) = (&view.record, &view.state);
    let spec = &record.spec;
    let command = spec.process.entrypoint.iter().chain(&spec.process.command);
    ContainerRow {
        id: record.id.to_string(),
        image: spec.image.name.clone(),
        command: command.cloned().collect(),
        created: seconds(record.created),
        state: life(view),
        ports: state.ports.iter().map(port).collect(),
        exposed: spec
            .network
            .exposed
            .iter()
            .filter(|_| state.status == Status::Running)
            .map(|exposed| (exposed.port, protocol(exposed.protocol)))
            .collect(),
        name: record.name.clone(),
        labels: spec.labels.clone(),
        mounts: spec.volumes.iter().filter_map(|volume| mount(&volume.source)).collect(),
        network: network(spec.network.mode).to_owned(),
        size: None,
    }
}

/// Bytes that a container wrote, and with those of its image.
fn size(session: &Session, views: &[ContainerView], id: &str) -> Result<Option<(u64, u64)>> {
    let Some(view) = views.iter().find(|view| view.record.id.as_str() == id) else {
        return Ok(None);
    };
    let own = session.store.snapshot_usage(view.record.layer)?.bytes;
    let image = match view.record.spec.image.id.parse() {
        Ok(id) => session.store.image(&id)?.map_or(0, |image| image.size),
        Err(_) => 0,
    };
    Ok(Some((own, own + image)))
}

fn life(view: &ContainerView) -> ContainerState {
    let state = &view.state;
    let at = |time: Option<i64>| seconds(time.unwrap_or(view.record.created));
    match state.status {
        Status::Created => ContainerState::Created,
        Status::Running => ContainerState::Running { since: at(state.started) },
        Status::Exited => ContainerState::Exited { code: state.exit_code, at: at(state.finished) },
        Status::Dead => ContainerState::Dead,
    }
}

fn mount(source: &VolumeSource) -> Option<String> {
    match source {
        VolumeSource::Host(path) => Some(path.display().to_string()),
        VolumeSource::Named(name) => Some(name.clone()),
        VolumeSource::Anonymous | VolumeSource::Tmpfs => None,
    }
}

fn port(port: &BoundPort) -> PublishedPort {
    PublishedPort {
        address: port.host_ip,
        host: port.host_port,
        container: port.container_port,
        protocol: protocol(port.protocol),
    }
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

/// docker's name of a network mode.
pub(super) fn network(mode: NetworkMode) -> &'static str {
    match mode {
        NetworkMode::Private => "bridge",
        NetworkMode::Host => "host",
        NetworkMode::None => "none",
    }
}

fn seconds(nanos: i64) -> i64 {
    nanos.div_euclid(1_000_000_000)
}
