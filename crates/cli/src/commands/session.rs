//! What every command that touches the store begins with.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use lathe_engine::{
    Engine, EngineOptions, Owners, container::Containers, registry::Environment, store::Store,
};
use lathe_event::{Cancel, EventSink, NullSink};
use lathe_userns::Entered;

use crate::env::Places;

/// An open store, in namespaces in which this process is root.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) places: Places,
    pub(super) entered: Entered,
    pub(super) store: Store,
}

impl Session {
    /// Enters the namespaces and opens the store. The process must have one thread.
    pub(super) fn open(places: Places) -> Result<Self> {
        let entered = lathe_userns::enter()?;
        let store = Store::open(&places.root)
            .with_context(|| format!("opening the store `{}`", places.root.display()))?;
        Ok(Self { places, entered, store })
    }

    /// The containers of the store.
    pub(super) fn containers(&self) -> Containers {
        Containers::new(&self.store, self.entered.userxattr())
    }

    /// An engine on the store.
    pub(super) fn engine(&self, events: Arc<dyn EventSink>, cancel: &Cancel) -> Engine {
        self.engine_trusting(events, cancel, Vec::new())
    }

    /// The same for an output that may go to registries without a certificate to be checked.
    pub(super) fn engine_trusting(
        &self,
        events: Arc<dyn EventSink>,
        cancel: &Cancel,
        insecure: Vec<String>,
    ) -> Engine {
        let options = EngineOptions {
            environment: environment(&self.places),
            // A normal user could not read, or even delete, files of subordinate ids.
            owners: if self.entered.uid == 0 { Owners::Keep } else { Owners::Caller },
            userxattr: self.entered.userxattr(),
            insecure,
        };
        Engine::new(&self.store, options, events, cancel.clone())
    }

    /// An engine for what is done at once and shows no progress.
    pub(super) fn quiet_engine(&self) -> Engine {
        self.engine(Arc::new(NullSink), &Cancel::new())
    }
}

/// What the registry client takes from the environment.
pub(super) fn environment(places: &Places) -> Environment {
    let mut environment = Environment::read(|name| std::env::var_os(name));
    if let Some(file) = &places.registries_file {
        environment.registries_file = Some(file.clone());
    }
    environment
}
