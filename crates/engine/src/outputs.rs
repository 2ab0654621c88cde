//! What is known of the outputs before anything runs: what they may not do, and what makes no
//! difference.

use lathe_event::Event;
use lathe_frontend::Entitlement;

use crate::{BuildRequest, Engine, Error, Result};

/// Refuses an output that would delete files where it has no leave to, and tells what was asked
/// of the others in vain.
pub(crate) fn check(engine: &Engine, request: &BuildRequest, epoch: Option<i64>) -> Result<()> {
    let may_delete = request.frontend.allow.contains(&Entitlement::LocalDelete);
    for spec in &request.exports {
        if let Some(folder) = spec.deletes()
            && !may_delete
            && !folder.starts_with(&request.working_dir)
        {
            return Err(Error::NotAllowed {
                what: format!("deleting files in `{}`", folder.display()),
                entitlement: "buildx.local.delete",
            });
        }
        for note in spec.notes(&request.annotations, spec.epoch().or(epoch)) {
            engine.images.events.emit(Event::Note(note.into()));
        }
    }
    Ok(())
}
