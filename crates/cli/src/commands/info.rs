//! `lathe info`.

use std::fmt::Write as _;

use anyhow::Result;
use lathe_engine::container::Status;
use serde_json::{Value, json};

use super::{
    Session,
    version::{VERSION, go_arch},
};
use crate::{args::ReportArgs, render, settings, term};

/// Prints what there is in the store and on the machine.
pub(super) fn info(session: &Session, args: &ReportArgs) -> Result<u8> {
    let facts = facts(session)?;
    let text = match args.format.as_deref() {
        Some(format) => render::document(format, &facts)?,
        None => text(&facts),
    };
    term::out(&text)?;
    Ok(0)
}

fn facts(session: &Session) -> Result<Value> {
    let containers = session.containers().list()?;
    let count = |status| containers.iter().filter(|view| view.state.status == status).count();
    let running = count(Status::Running);
    let (name, cpus) = (rustix::system::uname(), std::thread::available_parallelism());
    let memory = rustix::system::sysinfo();
    Ok(json!({
        "Containers": containers.len(),
        "ContainersRunning": running,
        "ContainersPaused": 0,
        "ContainersStopped": containers.len() - running,
        "Images": session.store.images()?.len(),
        "ServerVersion": VERSION,
        "Driver": "overlay",
        "KernelVersion": name.release().to_string_lossy(),
        "OperatingSystem": operating_system(),
        "OSType": std::env::consts::OS,
        "Architecture": go_arch(),
        "NCPU": cpus.map_or(1, std::num::NonZero::get),
        "MemTotal": u64::from(memory.mem_unit) * memory.totalram,
        "Name": name.nodename().to_string_lossy(),
        "DockerRootDir": session.places.root.display().to_string(),
        "StoreMaxSize": settings::load(&session.places.settings)?.store_max_size,
        "Rootless": session.entered.uid != 0,
    }))
}

fn operating_system() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

fn text(facts: &Value) -> String {
    const LINES: &[(&str, &str)] = &[
        (" Containers", "Containers"),
        ("  Running", "ContainersRunning"),
        ("  Paused", "ContainersPaused"),
        ("  Stopped", "ContainersStopped"),
        (" Images", "Images"),
        (" Server Version", "ServerVersion"),
        (" Storage Driver", "Driver"),
        (" Kernel Version", "KernelVersion"),
        (" Operating System", "OperatingSystem"),
        (" OSType", "OSType"),
        (" Architecture", "Architecture"),
        (" CPUs", "NCPU"),
        (" Total Memory", "MemTotal"),
        (" Name", "Name"),
        (" Root Dir", "DockerRootDir"),
        (" Store Max Size", "StoreMaxSize"),
        (" Rootless", "Rootless"),
    ];
    let mut out = format!("Client: lathe\n Version: {VERSION}\n\nServer: none\n");
    for (label, key) in LINES {
        let value = match (&facts[*key], *key) {
            (Value::Number(bytes), "MemTotal" | "StoreMaxSize") => {
                render::human_size(bytes.as_u64().unwrap_or_default())
            }
            (Value::Null, _) => "none".to_owned(),
            (Value::String(text), _) => text.clone(),
            (other, _) => other.to_string(),
        };
        writeln!(out, "{label}: {value}").expect("writing to a string cannot fail");
    }
    out
}
