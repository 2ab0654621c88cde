//! `docker-credential-*` programs: JSON over standard input and output
//! (docker-credential-helpers, README, section "Development").

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde::{Deserialize, Serialize};

use super::Credential;
use crate::{Error, Result};

/// What programs say, word for word, when they do not know a host.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The user name that marks the secret as an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(rename = "ServerURL", default)]
    server_url: String,
    username: String,
    secret: String,
}

/// One credential program.
pub(super) struct Program {
    name: String,
    command: std::ffi::OsString,
}

impl Program {
    /// Names `docker-credential-{name}`, on `PATH` or in `folder`.
    pub(super) fn new(name: &str, folder: Option<&Path>) -> Result<Self> {
        let full = format!("docker-credential-{name}");
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            return Err(Error::CredentialProgram {
                program: full,
                reason: "not a name of a program".to_owned(),
            });
        }
        let command =
            folder.map_or_else(|| full.clone().into(), |folder| folder.join(&full).into());
        Ok(Self { name: full, command })
    }

    /// Asks for a host's credential.
    pub(super) fn get(&self, key: &str) -> Result<Option<Credential>> {
        let (success, output) = self.run("get", key.as_bytes())?;
        if !success {
            return if output.trim() == NOT_FOUND {
                Ok(None)
            } else {
                Err(self.failed(if output.trim().is_empty() { "failed" } else { output.trim() }))
            };
        }
        let entry: Entry = serde_json::from_str(&output)
            .map_err(|_| self.failed("its answer to `get` is not the JSON it should be"))?;
        Ok(Some(if entry.username == TOKEN_USER {
            Credential::IdentityToken(entry.secret)
        } else {
            Credential::Password { username: entry.username, password: entry.secret }
        }))
    }

    /// Hands over a host's credential.
    pub(super) fn store(&self, key: &str, username: &str, secret: &str) -> Result<()> {
        let entry = Entry {
            server_url: key.to_owned(),
            username: username.to_owned(),
            secret: secret.to_owned(),
        };
        let input = serde_json::to_vec(&entry).expect("strings serialize");
        self.expect_success("store", &input)
    }

    /// Has a host's credential forgotten.
    pub(super) fn erase(&self, key: &str) -> Result<()> {
        self.expect_success("erase", key.as_bytes())
    }

    fn expect_success(&self, verb: &str, input: &[u8]) -> Result<()> {
        let (success, output) = self.run(verb, input)?;
        if success { Ok(()) } else { Err(self.failed(&format!("{verb}: {}", output.trim()))) }
    }

    /// Runs the program; its errors are on standard output, by the protocol.
    fn run(&self, verb: &str, input: &[u8]) -> Result<(bool, String)> {
        let mut child = Command::new(&self.command)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| self.failed(&format!("could not be started: {error}")))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not read its input says why on its output.
            drop(stdin.write_all(input));
        }
        let output = child
            .wait_with_output()
            .map_err(|error| self.failed(&format!("could not be waited for: {error}")))?;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    fn failed(&self, reason: &str) -> Error {
        Error::CredentialProgram { program: self.name.clone(), reason: reason.to_owned() }
    }
}
