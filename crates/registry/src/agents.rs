//! One HTTP agent (connection pool, TLS setting) for each host and scheme.
//!
//! TLS is a matter of the host that is connected to and not of the registry that led
//! there: a redirect to a CDN is verified by the CDN's settings, so `insecure` never
//! spreads. The machine's certificates are read once, and not at all for plain HTTP.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use rustls::crypto::CryptoProvider;
use ureq::{
    Agent,
    tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem},
};

use crate::{
    Config, Error, HostSettings, Result,
    config::{canonical_host, is_loopback},
    url::{Scheme, Url},
};

/// How long a connection may take to stand, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the other side may say, or take, nothing.
const STALLED: Duration = Duration::from_mins(1);
/// Idle connections kept for each host: as many as parallel transfers are usual.
const IDLE: usize = 8;
/// Buffer of a connection, in bytes. Blobs are large; ureq's 128 KiB means twice the
/// system calls.
const BUFFER: usize = 256 * 1024;

pub(crate) struct Agents {
    config: Config,
    /// Settings that a mirror's entry adds to its host's own ones.
    extra: Mutex<BTreeMap<String, HostSettings>>,
    /// Guards the map only; an agent is its own lock.
    made: Mutex<BTreeMap<(Scheme, String), Agent>>,
    roots: OnceLock<Vec<Certificate<'static>>>,
    provider: Arc<CryptoProvider>,
}

impl Agents {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            extra: Mutex::default(),
            made: Mutex::default(),
            roots: OnceLock::new(),
            provider: Arc::new(rustls::crypto::ring::default_provider()),
        }
    }

    /// Adds settings for the host of a mirror.
    pub(crate) fn add_settings(&self, host: &str, settings: HostSettings) {
        self.extra
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(host.to_ascii_lowercase(), settings);
    }

    /// Returns the agent for the host of a URL.
    pub(crate) fn get(&self, url: &Url) -> Result<Agent> {
        let key = (url.scheme, url.authority.clone());
        let mut agents = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let agent = self.make(url)?;
        agents.insert(key, agent.clone());
        Ok(agent)
    }

    /// Breaks all connections, so that blocked reads and writes return.
    pub(crate) fn shutdown(&self) {
        let agents = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        agents.values().cloned().for_each(Agent::shutdown);
    }

    fn make(&self, url: &Url) -> Result<Agent> {
        let mut builder = Agent::config_builder()
            .http_status_as_error(false)
            // Redirects are followed in `transport`, which knows what credentials are for.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("lathe/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(STALLED))
            .timeout_per_write(Some(STALLED))
            .max_idle_connections(IDLE)
            .max_idle_connections_per_host(IDLE)
            .input_buffer_size(BUFFER)
            .output_buffer_size(BUFFER);
        if is_loopback(&url.authority) {
            builder = builder.proxy(None);
        }
        if url.scheme == Scheme::Https {
            builder = builder.tls_config(self.tls(&url.authority)?);
        }
        Ok(builder.build().new_agent())
    }

    fn tls(&self, authority: &str) -> Result<TlsConfig> {
        let mut settings = self.config.host(authority);
        let extra = self.extra.lock().unwrap_or_else(PoisonError::into_inner);
        let names = [canonical_host(authority), authority];
        let mut more = files_of(&self.config.certificate_folders, &names);
        if let Some(extra) = extra.get(authority) {
            settings.insecure |= extra.insecure;
            more.authorities.extend(extra.ca.clone());
        }
        drop(extra);
        more.authorities.extend(settings.ca);
        if let (Some(certificate), Some(key)) = (settings.client_cert, settings.client_key) {
            more.client = Some((certificate, key));
        }

        let mut roots = self.roots.get_or_init(machine_roots).clone();
        for path in &more.authorities {
            roots.extend(certificates(path)?);
        }
        let roots = if roots.is_empty() { RootCerts::WebPki } else { roots.into() };
        let client = more.client.map(|(certificate, key)| self.client(&certificate, &key));
        Ok(TlsConfig::builder()
            .root_certs(roots)
            .client_cert(client.transpose()?)
            .disable_verification(settings.insecure)
            .unversioned_rustls_crypto_provider(Arc::clone(&self.provider))
            .build())
    }

    /// Reads a client certificate, and has rustls check the pair: ureq takes it for granted.
    fn client(&self, certificate: &Path, key_path: &Path) -> Result<ClientCert> {
        let chain = certificates(certificate)?;
        let pem = read(key_path)?;
        let key = PrivateKey::from_pem(&pem)
            .map_err(|_| unusable(key_path, "holds no private key in PEM form"))?;
        let der_chain = chain.iter().map(|one| one.der().to_vec().into()).collect();
        let der_key = rustls::pki_types::PrivateKeyDer::try_from(key.der().to_vec())
            .map_err(|reason| unusable(key_path, reason))?;
        rustls::ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(key_path, &error.to_string()))?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_client_auth_cert(der_chain, der_key)
            .map_err(|error| unusable(certificate, &error.to_string()))?;
        Ok(ClientCert::new_with_certs(&chain, key))
    }
}

/// Certificates that docker's folder of a host holds.
#[derive(Default)]
struct HostFiles {
    authorities: Vec<PathBuf>,
    client: Option<(PathBuf, PathBuf)>,
}

/// Lists `<folder>/<host>/*.crt` and the first `*.cert` with its `*.key`, by name.
///
/// A host that has two names (Docker Hub) may have a folder for each.
fn files_of(folders: &[PathBuf], names: &[&str; 2]) -> HostFiles {
    let mut found = HostFiles::default();
    let names = if names[0] == names[1] { &names[1..] } else { &names[..] };
    for folder in folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name))) {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => found.authorities.push(path),
                Some("cert") if found.client.is_none() => {
                    let key = path.with_extension("key");
                    found.client = Some((path, key));
                }
                _ => {}
            }
        }
    }
    found
}

/// Returns the machine's certificate authorities; `SSL_CERT_FILE` and `SSL_CERT_DIR` count.
fn machine_roots() -> Vec<Certificate<'static>> {
    let loaded = rustls_native_certs::load_native_certs();
    loaded.certs.iter().map(|one| Certificate::from_der(one).to_owned()).collect()
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>> {
    let pem = read(path)?;
    let found: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(unusable(path, "holds no certificate in PEM form"));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })
}

fn unusable(path: &Path, reason: &str) -> Error {
    Error::Certificate { path: path.to_owned(), reason: reason.to_owned() }
}
