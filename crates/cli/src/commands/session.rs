//! What every command that touches the store begins with.

use anyhow::{Context as _, Result};
use lathe_engine::{container::Containers, store::Store};
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
}
