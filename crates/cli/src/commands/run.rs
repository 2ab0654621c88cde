//! `lathe run`.

use anyhow::{Context as _, Result, anyhow, bail};
use lathe_engine::{
    Engine, PullPolicy,
    container::{AnonymousVolumes, Error, Force, ImageSpec, Streams},
    images,
};
use lathe_oci::{Reference, RunConfig};

use super::{Session, containers::warn, run_spec::container_spec, transfer::watched};
use crate::{args::RunArgs, env, failure::Coded, term};

/// Runs a container; the exit code is its own, or 125, 126, 127 when it did not come to that.
pub(super) fn run(session: &Session, args: &RunArgs) -> Result<u8> {
    if !args.detach {
        check_terminal(args.interactive, args.tty)?;
    }
    attempt(session, args).map_err(|error| match error.downcast::<Error>() {
        Ok(error) => coded(error),
        Err(error) if error.is::<Coded>() => error,
        Err(error) => Coded { error, code: 125 }.into(),
    })
}

fn attempt(session: &Session, args: &RunArgs) -> Result<u8> {
    if args.cidfile.as_ref().is_some_and(|file| file.exists()) {
        bail!("container ID file found, make sure the other container isn't running or delete it");
    }
    let (image, config) = image(session, args)?;
    let spec = container_spec(args, image, &config, &session.places.working_dir)?;
    let containers = session.containers();
    let id = containers.create(spec)?.record.id;
    if let Some(file) = &args.cidfile {
        env::write_file(file, id.as_str())?;
    }
    let streams = if args.detach { Streams::Detached } else { Streams::Attached };
    let started = match containers.start(&id, streams) {
        Ok(started) => started,
        Err(error) => {
            if args.rm {
                // The reason why it did not start is the one to tell.
                drop(containers.remove(&id, Force::Yes, AnonymousVolumes::Remove));
            }
            return Err(error.into());
        }
    };
    warn(&started.warnings);
    if args.detach {
        term::out(&format!("{id}\n"))?;
        return Ok(0);
    }
    Ok(exit_code(containers.follow_started(started)?))
}

/// Finds the image, and pulls it when it is not here or `--pull` says so.
fn image(session: &Session, args: &RunArgs) -> Result<(ImageSpec, RunConfig)> {
    let name = args.rest.first().context("the parser has let too few arguments pass")?;
    let platform = args.platform.as_deref().map(str::parse).transpose()?;
    let here = images::find(&session.store, name);
    let policy = match (args.pull.as_str(), &here) {
        ("never", Err(_)) => {
            return Err(here.err().map_or_else(|| anyhow!("no image"), Into::into));
        }
        ("missing" | "never", _) => PullPolicy::Missing,
        ("always", _) => PullPolicy::Always,
        (other, _) => bail!(
            "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
        ),
    };
    let get = |engine: &Engine| Ok(images::runnable(engine, name, platform.as_ref(), policy)?);
    let found = if here.is_ok() && policy == PullPolicy::Missing {
        get(&session.quiet_engine())?
    } else {
        if here.is_err() && !args.quiet {
            let full = Reference::parse(name).map(|name| name.with_default_tag().familiar());
            let full = full.unwrap_or_else(|_| name.clone());
            term::err(&format!("Unable to find image '{full}' locally\n"));
        }
        watched(session, args.quiet, get)?
    };
    let spec =
        ImageSpec { name: name.clone(), id: found.image.id.to_string(), snapshot: found.snapshot };
    Ok((spec, found.config.config))
}

/// Refuses `-it` without a terminal, in docker's words.
pub(super) fn check_terminal(interactive: bool, tty: bool) -> Result<()> {
    if interactive && tty && !term::stdin_is_tty() {
        bail!("the input device is not a TTY");
    }
    Ok(())
}

/// Gives an error of the container crate docker's exit code.
pub(super) fn coded(error: Error) -> anyhow::Error {
    let code = u8::try_from(error.exit_code()).unwrap_or(125);
    Coded { error: error.into(), code }.into()
}

/// An exit code as the kernel would hand it on.
pub(super) fn exit_code(code: i32) -> u8 {
    u8::try_from(code & 0xff).unwrap_or(u8::MAX)
}
