//! `lathe cache-mount`: the caches of `RUN --mount=type=cache`.

use std::{fs::File, io};

use anyhow::{Context as _, Result, bail};
use lathe_engine::{
    cache_mounts::{self, Error},
    store::{CacheMount, CacheMountUse},
};

use super::Session;
use crate::{
    args::{CacheMountExportArgs, CacheMountImportArgs, CacheMountListArgs, CacheMountRemoveArgs},
    env, failure,
    failure::Exit,
    progress::safe,
    render::{self, CacheMountRow},
    term,
};

pub(super) fn list(session: &Session, args: &CacheMountListArgs) -> Result<u8> {
    let row = |mount: CacheMount| CacheMountRow {
        name: cache_mounts::short(&mount.name),
        id: safe(&mount.id),
        bytes: mount.bytes,
        last_used: mount.last_used,
        in_use: mount.in_use != CacheMountUse::Free,
    };
    let rows: Vec<CacheMountRow> = session.store.cache_mounts()?.into_iter().map(row).collect();
    let format = match args.format.as_deref() {
        None if args.quiet => Some("{{.Name}}"),
        format => format,
    };
    term::out(&render::cache_mounts(&rows, format, env::now())?)?;
    Ok(0)
}

pub(super) fn export(session: &Session, args: &CacheMountExportArgs) -> Result<u8> {
    let engine = session.quiet_engine();
    match &args.output {
        Some(path) => {
            let path = session.places.absolute(path);
            // Found before the file is made, so that a wrong name leaves nothing behind.
            cache_mounts::find(&session.store, &args.name)?;
            let file =
                File::create(&path).with_context(|| format!("creating `{}`", path.display()))?;
            if let Err(error) = cache_mounts::export(&engine, &args.name, file) {
                drop(std::fs::remove_file(&path));
                return Err(error.into());
            }
        }
        None if term::stdout_is_tty() => {
            bail!("an archive is not for a terminal: use the -o flag or redirect")
        }
        None => {
            cache_mounts::export(&engine, &args.name, io::stdout())?;
        }
    }
    Ok(0)
}

pub(super) fn import(session: &Session, args: &CacheMountImportArgs) -> Result<u8> {
    let engine = session.quiet_engine();
    match &args.input {
        Some(path) => {
            let path = session.places.absolute(path);
            let file =
                File::open(&path).with_context(|| format!("opening `{}`", path.display()))?;
            cache_mounts::import(&engine, &args.name, file)?;
        }
        None if term::stdin_is_tty() => {
            bail!("an archive is expected: use the -i flag or redirect")
        }
        None => cache_mounts::import(&engine, &args.name, term::stdin())?,
    }
    Ok(0)
}

pub(super) fn remove(session: &Session, args: &CacheMountRemoveArgs) -> Result<u8> {
    let engine = session.quiet_engine();
    let mut failed = false;
    for name in &args.names {
        match cache_mounts::remove(&engine, name) {
            Ok(_) => term::lines([name])?,
            Err(Error::Missing(_)) if args.force => {}
            Err(error) => {
                failed = true;
                term::err(&failure::report(&error.into()).text);
            }
        }
    }
    if failed { Err(Exit(1).into()) } else { Ok(0) }
}
