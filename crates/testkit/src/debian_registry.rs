//! Debian's `docker-registry` (distribution 2.8), the real thing, on a loopback port.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::JoinHandle,
};

use anyhow::{Context, Result, bail};

/// Where Debian installs it.
const PROGRAM: &str = "/usr/bin/docker-registry";
/// Ports tried, since another process may take the one that was free.
const ATTEMPTS: usize = 5;

/// A running registry with a storage folder of its own; both go when it drops.
#[derive(Debug)]
pub struct DebianRegistry {
    host: String,
    folder: tempfile::TempDir,
    child: Child,
    log: Option<JoinHandle<()>>,
}

/// Who may use a [`DebianRegistry`].
#[derive(Debug, Clone, Copy)]
pub enum Users<'a> {
    /// Everybody.
    All,
    /// Those in these lines of an `htpasswd` file (bcrypt).
    Htpasswd(&'a str),
}

impl DebianRegistry {
    /// Returns the program's path, if it is installed.
    pub fn program() -> Option<PathBuf> {
        Path::new(PROGRAM).exists().then(|| PathBuf::from(PROGRAM))
    }

    /// Starts one; `None`, with a line that says so, when it is not installed.
    pub fn start(test: &str, users: Users<'_>) -> Result<Option<Self>> {
        let Some(program) = Self::program() else {
            announce_skip(test);
            return Ok(None);
        };
        for _ in 0..ATTEMPTS {
            if let Some(registry) = Self::try_start(&program, users)? {
                return Ok(Some(registry));
            }
        }
        bail!("no loopback port stayed free")
    }

    /// Returns host and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the folder of its storage.
    pub fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    /// Starts one on a free port; `None` when the port was taken meanwhile.
    fn try_start(program: &Path, users: Users<'_>) -> Result<Option<Self>> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let host = format!("127.0.0.1:{port}");
        let config = folder.path().join("config.yml");
        std::fs::write(&config, configuration(folder.path(), &host, users)?)?;
        let mut child = Command::new(program)
            .arg("serve")
            .arg(&config)
            .env_remove("REGISTRY_HTTP_ADDR")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let stderr = child.stderr.take().context("stderr is a pipe")?;
        let mut lines = BufReader::new(stderr);
        let mut seen = String::new();
        // The log says when the port is open, so nothing has to be polled.
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                drop(child.wait());
                if seen.contains("address already in use") {
                    return Ok(None);
                }
                bail!("docker-registry ended: {seen}");
            }
            if line.contains("listening on") {
                break;
            }
            seen.push_str(&line);
        }
        let log = std::thread::spawn(move || {
            // The pipe must not fill up.
            drop(std::io::copy(&mut lines.by_ref(), &mut std::io::sink()));
        });
        Ok(Some(Self { host, folder, child, log: Some(log) }))
    }
}

impl Drop for DebianRegistry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if let Some(log) = self.log.take() {
            drop(log.join());
        }
    }
}

fn configuration(folder: &Path, host: &str, users: Users<'_>) -> Result<String> {
    let storage = folder.join("storage");
    let mut text = format!(
        "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n\
         \x20 delete:\n    enabled: true\nhttp:\n  addr: {host}\n",
        storage.display()
    );
    if let Users::Htpasswd(lines) = users {
        let path = folder.join("htpasswd");
        std::fs::write(&path, lines)?;
        text.push_str("auth:\n  htpasswd:\n    realm: test\n    path: ");
        text.push_str(&path.to_string_lossy());
        text.push('\n');
    }
    Ok(text)
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn announce_skip(test: &str) {
    eprintln!("SKIP {test}: {PROGRAM} is not installed");
}
