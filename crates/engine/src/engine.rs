//! What every command works with: the store, snapshots, registries.

use std::sync::{Arc, OnceLock};

use lathe_event::{Cancel, EventSink};
use lathe_exporter::Owners;
use lathe_registry::{Client, ClientOptions, Config, CredentialStore, Environment, RetryPolicy};
use lathe_snapshot::Snapshots;
use lathe_source::Images;
use lathe_store::Store;

use crate::Result;

/// Where things are on this machine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Where configuration and credentials of registries are looked for.
    pub environment: Environment,
    /// Whether files of an exported folder get their owners: as root.
    pub owners: Owners,
    /// Whether overlays keep their marks in `user.*` attributes: in a user namespace.
    pub userxattr: bool,
    /// Registries whose certificates are not checked, besides those of the configuration.
    pub insecure: Vec<String>,
}

/// The store with all that works on it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Where everything is kept.
    pub store: Store,
    /// Makes and mounts snapshots.
    pub snapshots: Snapshots,
    /// Finds and fetches images.
    pub images: Images,
    /// Whether files of an exported folder get their owners.
    pub(crate) owners: Owners,
}

impl Engine {
    /// Makes an engine on an open store; registries are configured when one is first needed.
    pub fn new(
        store: &Store,
        options: EngineOptions,
        events: Arc<dyn EventSink>,
        cancel: Cancel,
    ) -> Self {
        let snapshots = Snapshots::new(store, options.userxattr);
        let owners = options.owners;
        let made: OnceLock<Client> = OnceLock::new();
        let stop = cancel.clone();
        let client = move || {
            if let Some(client) = made.get() {
                return Ok(client.clone());
            }
            let client = connect(&options, &stop)?;
            Ok(made.get_or_init(|| client).clone())
        };
        let images = Images { store: store.clone(), client: Arc::new(client), events, cancel };
        Self { store: store.clone(), snapshots, images, owners }
    }

    /// Returns a client of registries.
    pub fn client(&self) -> Result<Client> {
        Ok((self.images.client)()?)
    }

    /// Returns what exporters work with.
    pub(crate) fn exporter_env<'a>(
        &'a self,
        client: &'a (dyn Fn() -> lathe_exporter::ClientResult + Sync),
    ) -> lathe_exporter::Env<'a> {
        lathe_exporter::Env {
            store: &self.store,
            snapshots: &self.snapshots,
            events: &*self.images.events,
            cancel: &self.images.cancel,
            client,
        }
    }
}

fn connect(options: &EngineOptions, cancel: &Cancel) -> lathe_source::Result<Client> {
    let mut config = Config::load(&options.environment)?;
    for host in &options.insecure {
        config.trust(host);
    }
    let credentials = CredentialStore::new(&options.environment);
    let retry = RetryPolicy::default();
    Ok(Client::new(ClientOptions { config, credentials, retry, cancel: cancel.clone() }))
}
