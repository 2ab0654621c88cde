//! `lathe system`.

use anyhow::Result;

use super::Session;
use crate::{args::CheckArgs, failure::Exit, term};

/// Re-reads the whole store; exit code 1 when something is damaged.
pub(super) fn check(session: &Session, args: &CheckArgs) -> Result<u8> {
    let (mut damaged, mut leftovers) = (0_usize, 0_usize);
    let mut lines = String::new();
    session.store.check(&mut |finding| {
        if finding.is_damage() {
            damaged += 1;
        } else {
            leftovers += 1;
        }
        lines.push_str(&format!("{finding}\n"));
    })?;
    term::out(&lines)?;
    if !args.quiet {
        term::out(&format!("{damaged} damaged, {leftovers} left over\n"))?;
    }
    if damaged > 0 { Err(Exit(1).into()) } else { Ok(0) }
}
