//! `lathe pull`, `push`, `save`, `load`.

use std::{fs::File, io};

use anyhow::{Context as _, Result, bail};
use lathe_engine::{Destination, Engine, images};
use lathe_event::Cancel;

use super::Session;
use crate::{
    args::{LoadArgs, ProgressArg, PullArgs, PushArgs, SaveArgs},
    env,
    interrupt::Interrupts,
    progress::{self, Progress, Subject},
    term,
};

/// Does work that can be watched and cancelled.
pub(super) fn watched<T>(
    session: &Session,
    quiet: bool,
    work: impl FnOnce(&Engine) -> Result<T>,
) -> Result<T> {
    let mode = progress::mode(ProgressArg::Auto, quiet, &env::surroundings());
    let cancel = Cancel::new();
    let _signals = Interrupts::cancel(&cancel).context("binding Ctrl-C")?;
    let progress = Progress::start(mode, Subject::Transfers);
    let done = work(&session.engine(progress.sink(), &cancel));
    progress.finish();
    done
}

pub(super) fn pull(session: &Session, args: &PullArgs) -> Result<u8> {
    let platform = args.platform.as_deref().map(str::parse).transpose()?;
    if !args.quiet {
        term::lines(images::announce_pull(&args.name)?)?;
    }
    let pulled = watched(session, args.quiet, |engine| {
        Ok(images::pull(engine, &args.name, platform.as_ref())?)
    })?;
    let all = pulled.lines();
    let shown = if args.quiet { &all[all.len().saturating_sub(1)..] } else { &all };
    term::lines(shown)?;
    Ok(0)
}

pub(super) fn push(session: &Session, args: &PushArgs) -> Result<u8> {
    if !args.quiet {
        term::lines(images::announce_push(&args.name)?)?;
    }
    // The lines at the end tell all that there is to tell without a terminal.
    let quiet = args.quiet || !term::stderr_is_tty();
    let report = watched(session, quiet, |engine| Ok(images::push(engine, &args.name)?))?;
    if args.quiet {
        term::lines([&report.reference])?;
    } else {
        term::lines(images::push_lines(&report))?;
    }
    Ok(0)
}

pub(super) fn save(session: &Session, args: &SaveArgs) -> Result<u8> {
    let destination = match &args.output {
        Some(file) => Destination::File(session.places.absolute(file)),
        None if term::stdout_is_tty() => {
            bail!("cowardly refusing to save to a terminal. Use the -o flag or redirect")
        }
        None => Destination::Stdout,
    };
    // docker shows nothing while it saves; a bar on a terminal is in nobody's way.
    let quiet = !term::stderr_is_tty();
    watched(session, quiet, |engine| Ok(images::save(engine, &args.images, &destination)?))?;
    Ok(0)
}

pub(super) fn load(session: &Session, args: &LoadArgs) -> Result<u8> {
    // docker shows progress of a load on a terminal only.
    let quiet = args.quiet || !term::stderr_is_tty();
    let loaded = watched(session, quiet, |engine| match &args.input {
        Some(path) => {
            let file = File::open(path).with_context(|| format!("open `{}`", path.display()))?;
            Ok(images::load(engine, file)?)
        }
        None if term::stdin_is_tty() => bail!("requested load from stdin, but stdin is empty"),
        None => Ok(images::load(engine, io::stdin())?),
    })?;
    for image in &loaded {
        term::lines(image.lines())?;
    }
    Ok(0)
}
