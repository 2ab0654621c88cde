//! Debian's `docker-registry` on loopback, which keeps what it gets beside the work, and forgets it on demand.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::{place, work};
use crate::sh::{self, Cmd};

/// How long it may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running registry, which ends with its value.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) host: String,
    folder: PathBuf,
    child: Child,
}

impl Registry {
    /// Starts an empty one with its storage below `place`; `None` where it is not installed.
    pub(super) fn start(place: &Path) -> Result<Option<Self>> {
        let Some(program) = sh::find("docker-registry") else { return Ok(None) };
        let folder = place.join("registry");
        work::make(&folder)?;
        let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
        let host = listener.local_addr().context("read a port number")?.to_string();
        drop(listener);
        let config = folder.join("config.yml");
        let storage = folder.join("storage");
        work::write(
            &config,
            format!(
                "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\n\
                 storage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n",
                storage.display()
            ),
        )?;
        let server = Cmd::new(program).arg("serve").arg(&config);
        let child = server.spawn(Stdio::null(), Stdio::null())?;
        let mut registry = Self { host, folder, child };
        registry.wait()?;
        Ok(Some(registry))
    }

    fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        while TcpStream::connect(&self.host).is_err() {
            if let Some(status) = self.child.try_wait().context("look after the registry")? {
                bail!("the registry ended with {status}");
            }
            if start.elapsed() > PATIENCE {
                bail!("the registry does not answer at {}", self.host);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // One that has ended already is as wanted.
        drop(self.child.kill());
        drop(self.child.wait());
        place::remove(&self.folder);
    }
}
