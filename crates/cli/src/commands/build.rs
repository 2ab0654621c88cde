//! `lathe build`.

mod answer;
mod context;
mod request;
mod summary;
mod values;

use std::time::Instant;

use anyhow::{Context as _, Result};
use lathe_engine::BuildRequest;
use lathe_event::Cancel;

use self::{
    answer::{Call, answer},
    request::request,
    summary::{metadata, summary},
};
use super::{Session, explain};
use crate::{
    args::BuildArgs,
    env,
    interrupt::Interrupts,
    progress::{self, Mode, Progress, Subject},
    render, term,
};

/// Exit code of a dry run that found something to do.
const WOULD_RUN: u8 = 3;

pub(super) fn build(session: &Session, args: &BuildArgs) -> Result<u8> {
    let call = Call::of(&args.call)?;
    let request = request(&session.places, args)?;
    let mode = progress::mode(args.progress, args.quiet, &env::surroundings());
    if mode != Mode::Quiet {
        for (flag, why) in args.accepted.explained() {
            term::err(&format!("note: {flag} has no effect: {why}\n"));
        }
    }
    match call {
        Call::Build if args.dry_run => dry_run(session, &request, mode),
        Call::Build => run(session, args, &request, mode),
        question => ask(session, &request, mode, question),
    }
}

fn run(session: &Session, args: &BuildArgs, request: &BuildRequest, mode: Mode) -> Result<u8> {
    let begin = Instant::now();
    let outcome =
        with_engine(session, request, mode, |engine| lathe_engine::build(engine, request))?;
    if let Some(file) = &args.iidfile {
        let id = outcome.image.map(|id| id.to_string());
        env::write_file(file, &id.unwrap_or_default())?;
    }
    if let Some(file) = &args.metadata_file {
        env::write_file(file, &metadata(&outcome, &request.tags)?)?;
    }
    match mode {
        Mode::Quiet => {
            if let Some(image) = outcome.image.filter(|_| !uses_stdout(request)) {
                term::out(&format!("{image}\n"))?;
            }
        }
        Mode::RawJson => {}
        Mode::Plain | Mode::Tty => {
            let seconds = begin.elapsed().as_secs_f64();
            term::err(&summary(&outcome, &request.tags, seconds));
        }
    }
    if args.explain {
        let text = render::steps(&explain::rows(&outcome.steps));
        // Standard output may be the image's.
        if uses_stdout(request) {
            term::err(&text);
        } else {
            term::out(&text)?;
        }
    }
    Ok(0)
}

fn uses_stdout(request: &BuildRequest) -> bool {
    request.exports.iter().any(lathe_engine::ExportSpec::uses_stdout)
}

/// Says what would be run, without running it: 3 if anything would, as `make -q` says by its exit
/// code that there is something to do, and no number that a mistake has.
fn dry_run(session: &Session, request: &BuildRequest, mode: Mode) -> Result<u8> {
    // The list at the end tells all; data is for programs that want it as it comes.
    let shown = if mode == Mode::RawJson { mode } else { Mode::Quiet };
    let outcome =
        with_engine(session, request, shown, |engine| lathe_engine::dry_run(engine, request))?;
    if mode != Mode::Quiet {
        outcome.warnings.iter().for_each(|warning| term::err(&format!("{}\n", warning.trim_end())));
        let text = render::steps(&explain::rows(&outcome.steps));
        term::out(&format!("{text}{}\n", would(outcome.would_run, outcome.may_run)))?;
    }
    Ok(if outcome.would_run + outcome.may_run > 0 { WOULD_RUN } else { 0 })
}

fn would(run: usize, may: usize) -> String {
    let steps =
        |count: usize| if count == 1 { "1 step".to_owned() } else { format!("{count} steps") };
    match (run, may) {
        (0, 0) => "nothing would be run".to_owned(),
        (run, 0) => format!("{} would be run", steps(run)),
        (run, may) => format!("{} would be run, {} may be", steps(run), steps(may)),
    }
}

fn ask(session: &Session, request: &BuildRequest, mode: Mode, call: Call) -> Result<u8> {
    let answer = with_engine(session, request, mode, |engine| answer(engine, request, call))?;
    term::out(&answer.text)?;
    Ok(answer.code)
}

/// Runs `work` with progress on the terminal and Ctrl-C bound.
fn with_engine<T>(
    session: &Session,
    request: &BuildRequest,
    mode: Mode,
    work: impl FnOnce(&lathe_engine::Engine) -> lathe_engine::Result<T>,
) -> Result<T> {
    let cancel = Cancel::new();
    let _signals = Interrupts::cancel(&cancel).context("binding Ctrl-C")?;
    let progress = Progress::start(mode, Subject::Build);
    let insecure = request.exports.iter().flat_map(|spec| spec.insecure_registries(&request.tags));
    let insecure = insecure.map(str::to_owned).collect();
    let engine = session.engine_trusting(progress.sink(), &cancel, insecure);
    let result = work(&engine);
    progress.finish();
    Ok(result?)
}
