//! A container as `inspect` shows it: docker's document, as far as it means something here.

use std::time::Duration;

use lathe_engine::container::{
    Access, BoundPort, ContainerView, Protocol, Removal, Status, StdinMode, Terminal, VolumeSource,
    VolumeSpec,
};
use serde_json::{Map, Value, json};

use super::ps::network;
use crate::render::rfc3339;

/// Makes the document.
pub(super) fn container_document(view: &ContainerView) -> Value {
    let (record, spec) = (&view.record, &view.record.spec);
    let process = &spec.process;
    let mut command = process.entrypoint.iter().chain(&process.command);
    json!({
        "Id": record.id.as_str(),
        "Created": time(Some(record.created)),
        "Path": command.next(),
        "Args": command.collect::<Vec<_>>(),
        "State": state(view),
        "Image": spec.image.id,
        "Name": format!("/{}", record.name),
        "RestartCount": 0,
        "Platform": "linux",
        "Mounts": spec.volumes.iter().map(mount).collect::<Vec<_>>(),
        "HostConfig": {
            "NetworkMode": network(spec.network.mode),
            "AutoRemove": spec.removal == Removal::OnExit,
            "ReadonlyRootfs": spec.rootfs_access == Access::ReadOnly,
            "Dns": spec.network.dns,
        },
        "Config": config(view),
        "NetworkSettings": {
            "IPAddress": view.state.address.map(|address| address.to_string()).unwrap_or_default(),
            "Ports": ports(&view.state.ports),
        },
    })
}

fn config(view: &ContainerView) -> Value {
    let (record, spec) = (&view.record, &view.record.spec);
    let process = &spec.process;
    json!({
        "Hostname": spec.hostname.as_deref().unwrap_or(record.id.short()),
        "User": process.user,
        "Env": process.env,
        "Cmd": process.command,
        "Entrypoint": process.entrypoint,
        "Image": spec.image.name,
        "WorkingDir": process.working_dir,
        "Labels": spec.labels,
        "Tty": process.terminal == Terminal::Allocate,
        "OpenStdin": process.stdin == StdinMode::Open,
        "StopSignal": spec.stop_signal,
    })
}

fn state(view: &ContainerView) -> Value {
    let state = &view.state;
    json!({
        "Status": state.status.to_string(),
        "Running": state.status == Status::Running,
        "Paused": false,
        "Restarting": false,
        "OOMKilled": false,
        "Dead": state.status == Status::Dead,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error.as_deref().unwrap_or_default(),
        "StartedAt": time(state.started),
        "FinishedAt": time(state.finished),
    })
}

/// A time in nanoseconds since 1970; Go's zero time where there is none.
fn time(nanos: Option<i64>) -> String {
    match nanos.and_then(|nanos| u64::try_from(nanos).ok()) {
        Some(nanos) => rfc3339(Duration::from_nanos(nanos)),
        None => "0001-01-01T00:00:00Z".to_owned(),
    }
}

fn mount(volume: &VolumeSpec) -> Value {
    let (kind, source) = match &volume.source {
        VolumeSource::Host(path) => ("bind", path.display().to_string()),
        VolumeSource::Named(name) => ("volume", name.clone()),
        VolumeSource::Anonymous => ("volume", String::new()),
        VolumeSource::Tmpfs => ("tmpfs", String::new()),
    };
    json!({
        "Type": kind,
        "Source": source,
        "Destination": volume.target,
        "RW": volume.access == Access::ReadWrite,
    })
}

fn ports(bound: &[BoundPort]) -> Value {
    let mut ports: Map<String, Value> = Map::new();
    for port in bound {
        let protocol = match port.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        let binding =
            json!({ "HostIp": port.host_ip.to_string(), "HostPort": port.host_port.to_string() });
        let key = format!("{}/{protocol}", port.container_port);
        let list = ports.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.push(binding);
        }
    }
    Value::Object(ports)
}
