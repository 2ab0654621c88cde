//! Steps for another architecture than the machine's.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use lathe_executor::{Availability, Emulation, Registration, interpreter_for};
use lathe_oci::Platform;

use crate::{Error, Result};

/// The registry of emulators that running steps share: making one is a process of its own.
static SHARED: Mutex<Weak<Emulation>> = Mutex::new(Weak::new());

/// Returns what a step for this platform needs to run, if it needs anything.
///
/// # Errors
/// If nothing on this machine runs its programs: better said at once than as the kernel's "exec
/// format error".
pub(crate) fn emulation(platform: &Platform) -> Result<Option<Arc<Emulation>>> {
    match interpreter_for(&platform.architecture, platform.variant.as_deref()) {
        Availability::Native | Availability::Emulated { by: Registration::Machine, .. } => Ok(None),
        Availability::Emulated { by: Registration::Own, .. } => shared(platform).map(Some),
        Availability::Missing { hint } => {
            Err(Error::ForeignPlatform { platform: platform.to_string(), hint })
        }
    }
}

fn shared(platform: &Platform) -> Result<Arc<Emulation>> {
    let mut slot = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(emulation) = slot.upgrade() {
        return Ok(emulation);
    }
    let emulation = Emulation::start()
        .map_err(|source| Error::Emulation { platform: platform.to_string(), source })?;
    let emulation = Arc::new(emulation);
    *slot = Arc::downgrade(&emulation);
    Ok(emulation)
}
