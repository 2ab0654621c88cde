//! `lathe system`.

use std::{collections::BTreeSet, fmt::Write as _};

use anyhow::Result;

use lathe_engine::store;

use super::Session;
use crate::{
    args::{CheckArgs, DfArgs},
    failure::Exit,
    render::{self, UsageRow},
    settings, term,
};

/// Shows what takes how much space.
pub(super) fn disk_usage(session: &Session, args: &DfArgs) -> Result<u8> {
    let containers = session.containers();
    let views = containers.list()?;
    let running: BTreeSet<&str> =
        views.iter().filter(|view| view.is_running()).map(|view| view.record.id.as_str()).collect();
    let volumes = containers.volumes_in_use()?;
    let usage = session
        .store
        .df(&|record| running.contains(record.id.as_str()), &|volume| volumes.contains(volume))?;
    let row = |kind, row: store::UsageRow| UsageRow {
        kind,
        total: row.total,
        active: row.active,
        size: row.size,
        reclaimable: row.reclaimable,
    };
    let rows = [
        row("Images", usage.images),
        row("Containers", usage.containers),
        row("Local Volumes", usage.volumes),
        row("Build Cache", usage.build_cache),
    ];
    let mut text = render::disk_usage(&rows, args.format.as_deref())?;
    let cap = settings::load(&session.places.settings)?.store_max_size;
    if let (Some(cap), None) = (cap, &args.format) {
        writeln!(text, "\nThe store may have {} before a build.", render::human_size(cap))
            .expect("writing to a string cannot fail");
    }
    term::out(&text)?;
    Ok(0)
}

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
        writeln!(lines, "{finding}").expect("writing to a string cannot fail");
    })?;
    term::out(&lines)?;
    if !args.quiet {
        term::out(&format!("{damaged} damaged, {leftovers} left over\n"))?;
    }
    if damaged > 0 { Err(Exit(1).into()) } else { Ok(0) }
}
