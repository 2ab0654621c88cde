//! `registries.toml`: mirrors, TLS and blocks of each registry (docs/registries.md).
//!
//! The search path ends at the first file that exists; files are not merged, so that what
//! a file says is all there is.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{Environment, Error, Result, suggest::suggest};

/// The registry of names without a host, as users write it.
const DOCKER_HUB: &str = "docker.io";
/// Where its API is.
const DOCKER_HUB_API: &str = "registry-1.docker.io";

/// What is known of registries beyond their names.
#[derive(Debug, Clone, Default)]
pub struct Config {
    hosts: BTreeMap<String, HostSettings>,
    /// Folders with `<host>/*.crt`, `*.cert` and `*.key`, in docker's manner.
    pub(crate) certificate_folders: Vec<PathBuf>,
}

/// How to talk to one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HostSettings {
    /// Registries asked before this one, in order, for whatever is pulled.
    pub mirrors: Vec<Mirror>,
    /// Never try TLS.
    pub plain_http: bool,
    /// Do not verify the certificate, and fall back to plain HTTP.
    pub insecure: bool,
    /// More certificate authorities, a PEM file.
    pub ca: Option<PathBuf>,
    /// A certificate chain to show to the registry, a PEM file.
    pub client_cert: Option<PathBuf>,
    /// The private key of `client_cert`, a PEM file.
    pub client_key: Option<PathBuf>,
    /// Never talk to it.
    pub blocked: bool,
}

/// A registry that has what another one has, at the same repository paths.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Mirror {
    /// Host, port, and a path before the repository's: `cache.example:5000/hub`.
    pub location: String,
    /// Never try TLS.
    #[serde(default)]
    pub plain_http: bool,
    /// Do not verify the certificate, and fall back to plain HTTP.
    #[serde(default)]
    pub insecure: bool,
    /// More certificate authorities, a PEM file.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

impl Mirror {
    /// Splits the location into its host and the path before a repository's, which is
    /// empty or ends with `/`.
    pub(crate) fn host_and_prefix(&self) -> (&str, String) {
        match self.location.split_once('/') {
            Some((host, path)) if !path.is_empty() => (host, format!("{path}/")),
            Some((host, _)) => (host, String::new()),
            None => (&self.location, String::new()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    registry: BTreeMap<String, HostSettings>,
}

impl Config {
    /// Leaves the certificate of a registry unchecked, and lets it speak plain HTTP.
    pub fn trust(&mut self, host: &str) {
        self.hosts.entry(canonical_host(host).to_owned()).or_default().insecure = true;
    }

    /// Reads the first `registries.toml` of the search path; none is no error, unless the
    /// environment names one.
    pub fn load(environment: &Environment) -> Result<Self> {
        if let Some(path) = &environment.registries_file {
            return Self::parse(path, &read(path)?.ok_or_else(|| missing(path))?);
        }
        let user = environment
            .xdg_config_home
            .clone()
            .or_else(|| environment.home.as_ref().map(|home| home.join(".config")))
            .map(|folder| folder.join("lathe/registries.toml"));
        let machine = PathBuf::from("/etc/lathe/registries.toml");
        for path in user.into_iter().chain([machine]) {
            if let Some(text) = read(&path)? {
                return Self::parse(&path, &text);
            }
        }
        Ok(Self { hosts: BTreeMap::new(), certificate_folders: certificate_folders() })
    }

    /// Parses the text of the file at `path`; paths in it are relative to its folder.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            located(path, text, at, with_suggestion(error.message()))
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut hosts = BTreeMap::new();
        for (name, mut settings) in file.registry {
            let at = text.find(name.as_str()).unwrap_or(0);
            check(&name, &settings).map_err(|message| located(path, text, at, message))?;
            for file in settings.paths_mut() {
                *file = folder.join(&file);
            }
            let host = canonical_host(&name).to_owned();
            if hosts.insert(host, settings).is_some() {
                let message = format!("`{name}` is another name of a registry given before");
                return Err(located(path, text, at, message));
            }
        }
        Ok(Self { hosts, certificate_folders: certificate_folders() })
    }

    /// Returns the settings of a registry, as its references name it.
    pub fn host(&self, name: &str) -> HostSettings {
        self.hosts.get(canonical_host(name)).cloned().unwrap_or_default()
    }

    /// Adds or replaces the settings of a registry, as the command line's flags do.
    pub fn set_host(&mut self, name: &str, settings: HostSettings) {
        self.hosts.insert(canonical_host(name).to_owned(), settings);
    }

    /// Replaces the folders that are searched for `<host>/*.crt`.
    #[must_use]
    pub fn with_certificate_folders(mut self, folders: Vec<PathBuf>) -> Self {
        self.certificate_folders = folders;
        self
    }
}

impl HostSettings {
    fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let mirrors = self.mirrors.iter_mut().filter_map(|mirror| mirror.ca.as_mut());
        [&mut self.ca, &mut self.client_cert, &mut self.client_key]
            .into_iter()
            .filter_map(Option::as_mut)
            .chain(mirrors)
    }
}

/// Returns the one name that stands for all names of a registry.
pub(crate) fn canonical_host(name: &str) -> &str {
    match name {
        "index.docker.io" | DOCKER_HUB_API | "registry.hub.docker.com" => DOCKER_HUB,
        other => other,
    }
}

/// Returns the host whose API serves a registry.
pub(crate) fn api_host(name: &str) -> &str {
    if canonical_host(name) == DOCKER_HUB { DOCKER_HUB_API } else { name }
}

/// Tells whether a host is this machine, for which docker tries plain HTTP as well.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = if host.starts_with('[') {
        host.split_inclusive(']').next().unwrap_or(host)
    } else {
        host.split(':').next().unwrap_or(host)
    };
    name.eq_ignore_ascii_case("localhost")
        || name == "[::1]"
        || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn certificate_folders() -> Vec<PathBuf> {
    ["/etc/docker/certs.d", "/etc/containers/certs.d"].map(PathBuf::from).to_vec()
}

/// Reads a file; `None` when there is none.
fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { action: "read", path: path.to_owned(), source }),
    }
}

fn missing(path: &Path) -> Error {
    let source = std::io::Error::from(std::io::ErrorKind::NotFound);
    Error::Io { action: "read", path: path.to_owned(), source }
}

/// Finds what the format cannot say.
fn check(name: &str, settings: &HostSettings) -> std::result::Result<(), String> {
    check_host(name)?;
    if settings.client_cert.is_some() != settings.client_key.is_some() {
        return Err(format!("`{name}`: `client-cert` and `client-key` go together"));
    }
    if settings.plain_http && (settings.ca.is_some() || settings.client_cert.is_some()) {
        return Err(format!("`{name}`: a certificate has no use with `plain-http`"));
    }
    for mirror in &settings.mirrors {
        check_host(mirror.host_and_prefix().0)?;
    }
    Ok(())
}

fn check_host(host: &str) -> std::result::Result<(), String> {
    if let Some((scheme, rest)) = host.split_once(':')
        && matches!(scheme, "http" | "https")
    {
        let host = rest.trim_matches('/');
        let plain = if scheme == "http" { " and `plain-http = true`" } else { "" };
        let example = if host.is_empty() { "registry.example:5000" } else { host };
        return Err(format!("a registry is named without `{scheme}://`: write `{example}`{plain}"));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if host.is_empty() || !host.chars().all(legal) {
        return Err(format!("`{host}` is no `host` or `host:port`"));
    }
    Ok(())
}

/// Appends "did you mean" to serde's message about an unknown key.
fn with_suggestion(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field")
        && let Some(wrong) = names.next()
        && let Some(right) = suggest(wrong, names)
    {
        return format!("unknown key `{wrong}`; did you mean `{right}`?");
    }
    message.replace("unknown field", "unknown key")
}

/// Makes the error that shows the line and a caret.
fn located(path: &Path, text: &str, at: usize, message: String) -> Error {
    let before = text.get(..at).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[start..].chars().count() + 1;
    let content = text[start..].lines().next().unwrap_or_default();
    let margin = " ".repeat(line.to_string().len());
    // Tabs stay tabs, so that the caret stands where the terminal shows the place.
    let indent: String =
        before[start..].chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let excerpt = format!("\n{margin} |\n{line} | {content}\n{margin} | {indent}^");
    Error::Config { path: path.to_owned(), line, column, message, excerpt }
}

#[cfg(test)]
mod tests;
