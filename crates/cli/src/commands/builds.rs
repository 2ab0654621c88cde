//! `lathe builder history`, `lathe builder logs`: builds that were made.

use std::{fs::File, io::Read as _};

use anyhow::{Context as _, Result, bail};
use lathe_engine::{BuildLog, BuildSummary, Engine, record::Ending};
use lathe_oci::Reference;

use super::Session;
use crate::{
    args::{BuildListArgs, BuildLogsArgs},
    env,
    progress::safe,
    render::{self, BuildRow, BuildView, LogRow},
    term,
};

/// Bytes of a log that are read at a time.
const CHUNK: usize = 256 * 1024;

/// Lists builds.
pub(super) fn list(session: &Session, args: &BuildListArgs) -> Result<u8> {
    let builds = lathe_engine::builds(&session.quiet_engine())?;
    let rows: Vec<BuildRow> = builds.iter().map(row).collect();
    let view = BuildView {
        format: args.format.as_deref(),
        quiet: args.quiet,
        no_trunc: args.no_trunc,
        now: env::now(),
    };
    term::out(&render::builds(&rows, &view)?)?;
    Ok(0)
}

fn row(build: &BuildSummary) -> BuildRow {
    BuildRow {
        id: build.id.clone(),
        name: name(build),
        status: match build.ending {
            Ending::Complete => "Completed",
            Ending::Failed(_) => "Error",
            Ending::Interrupted => "Canceled",
        },
        created: build.created,
        seconds: build.duration.as_secs_f64(),
        ran: build.ran,
        cached: build.cached,
        image: build.image.as_deref().map(|id| render::short_id(id).to_owned()),
    }
}

/// What a person calls a build: the image's first name, or what was built.
pub(super) fn name(build: &BuildSummary) -> String {
    let familiar = |name: &String| {
        Reference::parse(name).map_or_else(|_| name.clone(), |name| name.familiar())
    };
    let name = match (build.tags.first(), &build.target) {
        (Some(tag), _) => familiar(tag),
        (None, Some(target)) => format!("{} ({target})", build.context),
        (None, None) => build.context.clone(),
    };
    safe(&name)
}

/// Prints what a step printed, or the list of the steps that printed something.
pub(super) fn logs(session: &Session, args: &BuildLogsArgs) -> Result<u8> {
    let engine = session.quiet_engine();
    let id = id(&engine, args.build.as_deref())?;
    let logs = lathe_engine::build_log(&engine, id.as_deref(), args.step.as_deref())?;
    match (&args.step, logs.as_slice()) {
        (None, _) => {
            let row = |log: &BuildLog| LogRow {
                number: log.number,
                name: safe(&log.name),
                bytes: log.bytes,
            };
            let rows: Vec<LogRow> = logs.iter().map(row).collect();
            term::out(&render::logs(&rows, args.format.as_deref())?)?;
        }
        (Some(_), []) => {}
        (Some(_), [log]) => print(log)?,
        (Some(step), several) => {
            let names: Vec<String> =
                several.iter().map(|log| format!("{} {}", log.number, safe(&log.name))).collect();
            bail!("`{step}` is a part of several steps' names:\n  {}", names.join("\n  "));
        }
    }
    Ok(0)
}

/// Copies a log to standard output: all of it, as it was written.
///
/// A terminal gets it with its control sequences taken out, since a step may print anything.
fn print(log: &BuildLog) -> Result<()> {
    let reading = || format!("reading `{}`", log.path.display());
    let mut file = File::open(&log.path).with_context(reading)?;
    if term::stdout_is_tty() {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(reading)?;
        term::out(&safe(&String::from_utf8_lossy(&bytes)))?;
        return Ok(());
    }
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = file.read(&mut chunk).with_context(reading)?;
        if count == 0 {
            return Ok(());
        }
        term::out_bytes(&chunk[..count])?;
    }
}

/// Turns `^1`, the build before the last, into an id; other texts are ids already.
pub(super) fn id(engine: &Engine, text: Option<&str>) -> Result<Option<String>> {
    let Some(text) = text else { return Ok(None) };
    let Some(back) = text.strip_prefix('^') else { return Ok(Some(text.to_owned())) };
    let back: usize = if back.is_empty() {
        1
    } else {
        back.parse().with_context(|| format!("`{text}` is no build: want ^1, ^2 or an id"))?
    };
    let builds = lathe_engine::builds(engine)?;
    match builds.get(back) {
        Some(build) => Ok(Some(build.id.clone())),
        None => bail!("there are {} builds, so none is {text}", builds.len()),
    }
}
