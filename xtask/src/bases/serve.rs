//! Debian's `docker-registry`, started in the background on a free port of loopback.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::Registry;
use super::push;
use super::state::{State, write_atomically};
use crate::sh::{self, Cmd};

/// How long a server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Returns the registry of this state if it runs and answers.
pub(super) fn running(state: &State) -> Option<Registry> {
    let files = Files::of(state);
    let address = fs::read_to_string(files.address).ok()?.trim().to_owned();
    let pid = fs::read_to_string(files.pid).ok()?.trim().to_owned();
    // Ports and process ids are used again: both have to fit.
    (is_registry(&pid) && push::answers(&address)).then_some(Registry { address })
}

/// Starts the registry of `state` unless it runs; `source` is only checked to be there.
pub(super) fn start(state: &State, source: &State) -> Result<Registry> {
    if let Some(registry) = running(state) {
        return Ok(registry);
    }
    let _held = state.hold()?;
    // Another process may have started it while this one waited.
    if let Some(registry) = running(state) {
        return Ok(registry);
    }
    if !source.layout().is_dir() {
        bail!("no stand-in images in {}: run `cargo xtask bases` as root", source.path());
    }
    sh::apt_install(&["docker-registry"])?;
    let files = Files::of(state);
    let storage = state.registry().join("storage");
    fs::create_dir_all(&storage).with_context(|| format!("create {}", storage.display()))?;
    let address = free_address(&files.address)?;
    write_atomically(&files.config, configuration(&address, &storage).as_bytes())?;

    let log =
        File::create(&files.log).with_context(|| format!("create {}", files.log.display()))?;
    let errors = log.try_clone().context("share the log file")?;
    let program = sh::find("docker-registry").context("`docker-registry` is not installed")?;
    // A session of its own, so that the interrupt key of this terminal does not reach it.
    let server = Cmd::new("setsid").arg(program).arg("serve").arg(&files.config).dir("/");
    let mut child = server.spawn(Stdio::from(log), Stdio::from(errors))?;
    write_atomically(&files.pid, format!("{}\n", child.id()).as_bytes())?;
    write_atomically(&files.address, format!("{address}\n").as_bytes())?;

    let start = Instant::now();
    while !push::answers(&address) {
        if let Some(status) = child.try_wait().context("look after the registry")? {
            bail!("the registry ended with {status}; see {}", files.log.display());
        }
        if start.elapsed() > PATIENCE {
            bail!("the registry does not answer at {address}; see {}", files.log.display());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(Registry { address })
}

/// Stops the registry of this state; one that does not run is fine.
pub(super) fn stop(state: &State) -> Result<()> {
    let files = Files::of(state);
    if let Ok(pid) = fs::read_to_string(&files.pid)
        && is_registry(pid.trim())
    {
        Cmd::new("kill").args(["-TERM", pid.trim()]).run()?;
        let start = Instant::now();
        while is_registry(pid.trim()) && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(20));
        }
        println!("the registry is stopped");
    }
    // The address stays: the next start takes the same port if it is still free.
    sh::remove_file(&files.pid)
}

/// The files of a registry server.
struct Files {
    config: PathBuf,
    log: PathBuf,
    pid: PathBuf,
    address: PathBuf,
}

impl Files {
    fn of(state: &State) -> Self {
        let folder = state.registry();
        let [config, log, pid, address] =
            ["config.yml", "log", "pid", "address"].map(|name| folder.join(name));
        Self { config, log, pid, address }
    }
}

fn configuration(address: &str, storage: &Path) -> String {
    format!(
        "version: 0.1\n\
         log:\n  level: warn\n  accesslog:\n    disabled: true\n\
         storage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
         http:\n  addr: {address}\n",
        storage.display()
    )
}

/// Returns the address of the last start if its port is free, else another free one.
fn free_address(last: &Path) -> Result<String> {
    let last = fs::read_to_string(last).unwrap_or_default();
    let candidates = [last.trim(), "127.0.0.1:0"];
    let listener = candidates.iter().find_map(|address| TcpListener::bind(*address).ok());
    let listener = listener.context("find a free port on 127.0.0.1")?;
    // The port is free again when the listener is dropped; the server takes it at once.
    Ok(listener.local_addr().context("read a port number")?.to_string())
}

/// Returns whether a process is a registry server, and not another one of the same number or a zombie.
fn is_registry(pid: &str) -> bool {
    fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| String::from_utf8_lossy(&line).contains("docker-registry"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_another_program_is_no_registry() {
        assert!(!is_registry(&std::process::id().to_string()));
        assert!(!is_registry(""));
    }
}
