//! Docker's `config.json` and podman's `auth.json`: the same format.
//!
//! Held as a JSON value, since the file belongs to docker: what is not known here is
//! written back as it was.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::{Credential, DOCKER_HUB_KEY, key_is_for};
use crate::{Error, Result};

/// A file of credentials, read whole.
pub(super) struct File {
    path: PathBuf,
    root: Map<String, Value>,
}

impl File {
    /// Reads the file; `None` when there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            // A folder that may not be entered (another user's home, kept by `sudo`) is a
            // place without credentials, not the end of a pull.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound
                        | io::ErrorKind::PermissionDenied
                        | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(source) => {
                return Err(Error::Io { action: "read", path: path.to_owned(), source });
            }
        };
        if bytes.trim_ascii().is_empty() {
            return Ok(Some(Self::empty(path)));
        }
        // serde_json names the place but never the content, so no secret gets out.
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(root)) => Ok(Some(Self { path: path.to_owned(), root })),
            Ok(_) => Err(wrong(path, "expected a JSON object")),
            Err(error) => Err(wrong(path, &error.to_string())),
        }
    }

    /// Returns the content of a file that is not there.
    pub(super) fn empty(path: &Path) -> Self {
        Self { path: path.to_owned(), root: Map::new() }
    }

    /// Returns the credential program for a host, without its `docker-credential-`.
    pub(super) fn program(&self, host: &str) -> Option<String> {
        let for_host = self.root.get("credHelpers").and_then(Value::as_object).and_then(|table| {
            table.iter().find(|(key, _)| key_is_for(key, host)).and_then(|(_, name)| name.as_str())
        });
        let for_all = self.root.get("credsStore").and_then(Value::as_str);
        for_host.or(for_all).filter(|name| !name.is_empty()).map(str::to_owned)
    }

    /// Returns the credential of the `auths` table for a host.
    pub(super) fn get(&self, host: &str) -> Result<Option<Credential>> {
        let Some(table) = self.root.get("auths").and_then(Value::as_object) else {
            return Ok(None);
        };
        for (_, entry) in table.iter().filter(|(key, _)| key_is_for(key, host)) {
            let text = |name| entry.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
            if let Some(token) = text("identitytoken") {
                return Ok(Some(Credential::IdentityToken(token.to_owned())));
            }
            if let Some(token) = text("registrytoken") {
                return Ok(Some(Credential::RegistryToken(token.to_owned())));
            }
            if let Some(auth) = text("auth") {
                let reason =
                    || format!("`auths` of `{host}`: `auth` is not base64 of `user:password`");
                let pair = decode(auth).ok_or_else(|| wrong(&self.path, &reason()))?;
                return Ok(Some(pair));
            }
            if let (Some(username), Some(password)) = (text("username"), text("password")) {
                return Ok(Some(Credential::Password {
                    username: username.to_owned(),
                    password: password.to_owned(),
                }));
            }
        }
        Ok(None)
    }

    /// Puts a host into the `auths` table; without a password the entry is empty, which
    /// to docker says that a credential program has it.
    pub(super) fn set(&mut self, host: &str, password: Option<(&str, &str)>) {
        self.remove(host);
        let entry = password.map_or_else(
            || json!({}),
            |(user, password)| json!({ "auth": STANDARD.encode(format!("{user}:{password}")) }),
        );
        let key = if host == "docker.io" { DOCKER_HUB_KEY } else { host };
        let table = self.root.entry("auths").or_insert_with(|| json!({}));
        if !table.is_object() {
            *table = json!({});
        }
        if let Some(table) = table.as_object_mut() {
            table.insert(key.to_owned(), entry);
        }
    }

    /// Removes a host from the `auths` table; tells whether it was there.
    pub(super) fn remove(&mut self, host: &str) -> bool {
        let Some(table) = self.root.get_mut("auths").and_then(Value::as_object_mut) else {
            return false;
        };
        let before = table.len();
        table.retain(|key, _| !key_is_for(key, host));
        table.len() != before
    }

    /// Writes the file: readable for its owner alone, never seen half-written.
    pub(super) fn write(&self) -> Result<()> {
        // A link (as dotfile collections make) stays a link to the file that is replaced.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let failed = |source| Error::Io { action: "write", path: path.clone(), source };
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(failed)?;
        let mut text = serde_json::to_vec_pretty(&self.root).expect("JSON values serialize");
        text.push(b'\n');
        // Made with mode 0600, and renamed over the old file.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

fn decode(auth: &str) -> Option<Credential> {
    let text = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    // Docker once padded the password with zero bytes.
    let (username, password) = text.trim_end_matches('\0').split_once(':')?;
    let (username, password) = (username.to_owned(), password.to_owned());
    Some(Credential::Password { username, password })
}

fn wrong(path: &Path, reason: &str) -> Error {
    Error::CredentialFile { path: path.to_owned(), reason: reason.to_owned() }
}
