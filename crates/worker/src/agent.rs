//! An SSH agent of a step's own, for keys that are given as files.
//!
//! It is OpenSSH's: what knows the formats of keys is there already. A shell stands between, whose
//! input is a pipe from here: when that ends, however this process ended, the agent is killed. So
//! no agent is left with keys in it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

use lathe_store::Store;

use crate::{Error, Result};

/// Adds the keys, says so, waits for the end of the input, and ends the agent in any case.
const SCRIPT: &str = "ssh-add -q -- \"$@\" </dev/null >/dev/null && echo ready && cat >/dev/null
kill \"$SSH_AGENT_PID\"";

/// A running agent; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Agent {
    child: Child,
    folder: PathBuf,
}

impl Agent {
    /// Starts an agent with these keys for the agent that `--ssh` calls `id`.
    pub(crate) fn start(store: &Store, id: &str, keys: &[PathBuf]) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let failed = |reason: String| Error::Agent { id: id.to_owned(), reason };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = store.run_directory()?.join(format!("ssh{number}"));
        let made = fs::DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|source| failed(format!("cannot make {}: {source}", folder.display())))?;
        let child = Command::new("ssh-agent")
            .arg("-a")
            .arg(socket(&folder))
            .args(["sh", "-c", SCRIPT, "sh"])
            .args(keys)
            // A passphrase cannot be asked for: steps run side by side.
            .env("SSH_ASKPASS_REQUIRE", "never")
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => failed(
                    "`ssh-agent` is not installed (Debian: `apt install openssh-client`)".into(),
                ),
                _ => failed(format!("cannot start `ssh-agent`: {source}")),
            })?;
        let mut agent = Self { child, folder };
        if agent.is_ready() { Ok(agent) } else { Err(failed(agent.complaint())) }
    }

    /// Returns the path of its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        socket(&self.folder)
    }

    fn is_ready(&mut self) -> bool {
        let mut line = String::new();
        let Some(output) = self.child.stdout.take() else { return false };
        BufReader::new(output).read_line(&mut line).is_ok() && line == "ready\n"
    }

    fn complaint(&mut self) -> String {
        let mut text = String::new();
        drop(self.child.stdin.take());
        if let Some(mut errors) = self.child.stderr.take() {
            // Only words for people: what cannot be read is left out.
            errors.read_to_string(&mut text).unwrap_or_default();
        }
        match text.trim() {
            "" => "`ssh-add` failed".to_owned(),
            text => text.replace('\n', "; "),
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // What is left of it goes with the store's folder of this process.
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("agent")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(folder: &Path, passphrase: &str) -> Option<PathBuf> {
        let path = folder.join(format!("key{}", passphrase.len()));
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", passphrase, "-f"])
            .arg(&path)
            .status();
        made.is_ok_and(|status| status.success()).then_some(path)
    }

    #[test]
    fn an_agent_has_the_keys_and_ends_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let (Some(open), Some(closed)) = (key(folder.path(), ""), key(folder.path(), "secret"))
        else {
            println!("SKIP an_agent_has_the_keys_and_ends_with_its_owner: no ssh-keygen");
            return;
        };
        let agent = Agent::start(&store, "default", &[open]).unwrap();
        let socket = agent.socket();
        let list = |socket: &Path| {
            let listed = Command::new("ssh-add").arg("-l").env("SSH_AUTH_SOCK", socket).output();
            String::from_utf8(listed.unwrap().stdout).unwrap()
        };
        assert!(list(&socket).contains("ED25519"));
        drop(agent);
        assert_eq!(list(&socket), "");
        assert!(!socket.exists());
        for (keys, reason) in [(closed, "key6"), (folder.path().join("none"), "none")] {
            let error = Agent::start(&store, "default", &[keys]).unwrap_err().to_string();
            assert!(error.starts_with("cannot start the SSH agent `default`: "), "{error}");
            assert!(error.contains(reason), "{error}");
        }
    }
}
