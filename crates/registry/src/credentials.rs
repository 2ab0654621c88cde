//! Credentials of registries, where docker and podman keep them.
//!
//! A host is looked for in each file in turn; in a file, a credential program named for
//! the host or for all hosts goes before the `auths` table, as docker does it. The program
//! is run only when a registry asks for credentials.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use crate::{Environment, Error, Result, config::canonical_host};

mod file;
mod program;

use file::File;
use program::Program;

/// Key of Docker Hub in docker's files, since before there was a version 2.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// What proves to a registry who asks.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// User name and password, or a user's access token in its place.
    Password {
        /// The user.
        username: String,
        /// The password.
        password: String,
    },
    /// An OAuth 2 refresh token.
    IdentityToken(String),
    /// A bearer token, sent as it is.
    RegistryToken(String),
}

/// Says which kind, never the secret.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password(..)",
            Self::IdentityToken(_) => "IdentityToken(..)",
            Self::RegistryToken(_) => "RegistryToken(..)",
        })
    }
}

/// The files in which credentials are looked for and stored.
#[derive(Debug, Clone, Default)]
pub struct CredentialStore {
    /// Read in this order; those that do not exist are passed over.
    files: Vec<PathBuf>,
    /// Written by `login`.
    home: Option<PathBuf>,
    /// Where credential programs are, when not on `PATH`.
    programs: Option<PathBuf>,
    /// Go before all files.
    fixed: BTreeMap<String, Credential>,
}

impl CredentialStore {
    /// Returns the files that docker, podman, buildah and skopeo use for this user.
    pub fn new(environment: &Environment) -> Self {
        let docker = environment
            .docker_config
            .clone()
            .or_else(|| environment.home.as_ref().map(|home| home.join(".docker")))
            .map(|folder| folder.join("config.json"));
        let runtime = environment.xdg_runtime_dir.as_ref();
        let config = environment
            .xdg_config_home
            .clone()
            .or_else(|| environment.home.as_ref().map(|home| home.join(".config")));
        let files: Vec<PathBuf> = [
            environment.registry_auth_file.clone(),
            docker.clone(),
            runtime.map(|folder| folder.join("containers/auth.json")),
            config.map(|folder| folder.join("containers/auth.json")),
        ]
        .into_iter()
        .flatten()
        .collect();
        let home = environment.registry_auth_file.clone().or(docker);
        Self { files, home, programs: None, fixed: BTreeMap::new() }
    }

    /// Looks for credential programs in `folder` instead of `PATH`.
    #[must_use]
    pub fn with_programs(mut self, folder: PathBuf) -> Self {
        self.programs = Some(folder);
        self
    }

    /// Uses `credential` for `host`, whatever the files say.
    #[must_use]
    pub fn with(mut self, host: &str, credential: Credential) -> Self {
        self.fixed.insert(canonical_host(host).to_owned(), credential);
        self
    }

    /// Returns the credential for a registry.
    pub fn get(&self, host: &str) -> Result<Option<Credential>> {
        let host = canonical_host(host);
        if let Some(credential) = self.fixed.get(host) {
            return Ok(Some(credential.clone()));
        }
        for path in &self.files {
            let Some(file) = File::read(path)? else { continue };
            if let Some(name) = file.program(host) {
                let program = Program::new(&name, self.programs.as_deref())?;
                if let Some(found) = program.get(&program_key(host))? {
                    return Ok(Some(found));
                }
            }
            if let Some(found) = file.get(host)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Stores a user's password for a registry, in the credential program that the file
    /// names or else in the file itself. Returns the file.
    pub(crate) fn store(&self, host: &str, username: &str, password: &str) -> Result<PathBuf> {
        let host = canonical_host(host);
        let path = self.home.clone().ok_or_else(no_home)?;
        let mut file = File::read(&path)?.unwrap_or_else(|| File::empty(&path));
        if let Some(name) = file.program(host) {
            let program = Program::new(&name, self.programs.as_deref())?;
            program.store(&program_key(host), username, password)?;
            file.set(host, None);
        } else {
            file.set(host, Some((username, password)));
        }
        file.write()?;
        Ok(path)
    }

    /// Forgets the credentials of a registry; tells whether there were any.
    pub(crate) fn erase(&self, host: &str) -> Result<bool> {
        let host = canonical_host(host);
        let Some(path) = &self.home else { return Ok(false) };
        let Some(mut file) = File::read(path)? else { return Ok(false) };
        let mut found = file.remove(host);
        if let Some(name) = file.program(host) {
            let program = Program::new(&name, self.programs.as_deref())?;
            if program.get(&program_key(host))?.is_some() {
                program.erase(&program_key(host))?;
                found = true;
            }
        }
        if found {
            file.write()?;
        }
        Ok(found)
    }
}

fn no_home() -> Error {
    Error::CredentialFile {
        path: PathBuf::from("config.json"),
        reason: "no place for it: set `HOME` or `DOCKER_CONFIG`".to_owned(),
    }
}

/// Returns the key that docker gives to a credential program.
fn program_key(host: &str) -> String {
    if host == "docker.io" { DOCKER_HUB_KEY.to_owned() } else { host.to_owned() }
}

/// Tells whether a key of a file (`https://index.docker.io/v1/`, `r.example:5000`) means
/// a host.
fn key_is_for(key: &str, host: &str) -> bool {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let name = key.split('/').next().unwrap_or_default();
    // A key with a repository path is podman's and means that path only.
    let path = key[name.len()..].trim_matches('/');
    matches!(path, "" | "v1" | "v2") && canonical_host(name) == host
}

#[cfg(test)]
mod tests;
