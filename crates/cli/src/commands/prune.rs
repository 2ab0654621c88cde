//! The prune commands.

use std::{fmt::Write as _, time::Duration};

use anyhow::{Context as _, Result, bail};
use lathe_engine::{
    container::{AnonymousVolumes, Error, Force, Status},
    store::{CachePrune, DryRun, ImagePrune, PruneOptions, PruneReport, Wait},
};
use lathe_oci::Reference;

use super::Session;
use crate::{
    args::{PruneArgs, PruneScope},
    env, render, term,
};

/// What was used within this many seconds stays unless `--all` is given: without it the next
/// build would run everything again.
const CACHE_AGE: i64 = 48 * 3600;

pub(super) fn prune(session: &Session, args: &PruneArgs, scope: PruneScope) -> Result<u8> {
    if args.volumes {
        bail!("--volumes is not supported yet");
    }
    let until = until(&args.filters)?;
    if !args.force {
        let question = format!("{}Are you sure you want to continue? [y/N] ", warning(args, scope));
        if !matches!(term::ask(&question)?.to_lowercase().as_str(), "y" | "yes") {
            return Ok(0);
        }
    }
    let mut text = String::new();
    if matches!(scope, PruneScope::System | PruneScope::Containers) {
        text.push_str(&containers(session, until)?);
    }
    let mut freed = 0;
    if scope != PruneScope::Containers {
        let report = session.store.prune(&options(args, scope, until))?;
        let report = report.context("the store is in use by other commands")?;
        freed = report.bytes();
        text.push_str(&summary(&report));
    }
    term::out(&format!("{text}Total reclaimed space: {}\n", render::human_size(freed)))?;
    Ok(0)
}

fn options(args: &PruneArgs, scope: PruneScope, until: Option<i64>) -> PruneOptions {
    let images = match scope {
        PruneScope::BuildCache | PruneScope::Containers => ImagePrune::Keep,
        PruneScope::System | PruneScope::Images if args.all => ImagePrune::Unused,
        PruneScope::System | PruneScope::Images => ImagePrune::Dangling,
    };
    let cache = match (scope, until) {
        (PruneScope::Images | PruneScope::Containers, _) => CachePrune::Keep,
        (_, Some(until)) => CachePrune::UnusedSince(until),
        (_, None) if args.all => CachePrune::All,
        (_, None) => CachePrune::UnusedSince(env::now() - CACHE_AGE),
    };
    PruneOptions { images, images_before: until, cache, dry_run: DryRun::No, wait: Wait::Block }
}

/// Removes containers that do not run, and says which.
fn containers(session: &Session, until: Option<i64>) -> Result<String> {
    let containers = session.containers();
    let mut text = String::new();
    for view in containers.list()? {
        let created = view.record.created.div_euclid(1_000_000_000);
        if view.state.status == Status::Running || until.is_some_and(|until| created >= until) {
            continue;
        }
        match containers.remove(&view.record.id, Force::No, AnonymousVolumes::Keep) {
            Ok(()) => {
                writeln!(text, "{}", view.record.id).expect("writing to a string cannot fail");
            }
            // It was started or removed by somebody else meanwhile.
            Err(Error::StillRunning { .. } | Error::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(if text.is_empty() { text } else { format!("Deleted Containers:\n{text}\n") })
}

fn summary(report: &PruneReport) -> String {
    let mut text = String::new();
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            write!(text, "{title}:\n{}\n\n", lines.join("\n"))
                .expect("writing to a string cannot fail");
        }
    };
    let familiar = |name: &String| {
        Reference::parse(name).map_or_else(|_| name.clone(), |name| name.familiar())
    };
    let untagged = report.untagged.iter().map(|name| format!("untagged: {}", familiar(name)));
    let deleted = report.images.iter().map(|id| format!("deleted: {id}"));
    section("Deleted Images", untagged.chain(deleted).collect());
    section("Deleted build cache objects", report.cache_records.clone());
    text
}

fn warning(args: &PruneArgs, scope: PruneScope) -> String {
    let images = if args.all {
        "all images without at least one container associated to them"
    } else {
        "all dangling images"
    };
    let cache = if args.all { "all build cache" } else { "build cache not used for 48 hours" };
    match scope {
        PruneScope::Containers => "WARNING! This will remove all stopped containers.\n".to_owned(),
        PruneScope::Images => format!("WARNING! This will remove {images}.\n"),
        PruneScope::BuildCache => format!("WARNING! This will remove {cache}.\n"),
        PruneScope::System => format!(
            "WARNING! This will remove:\n  - all stopped containers\n  - {images}\n  - {cache}\n\n"
        ),
    }
}

/// Reads `--filter until=…` into seconds since 1970.
fn until(filters: &[String]) -> Result<Option<i64>> {
    let now = Duration::from_secs(u64::try_from(env::now()).unwrap_or(0));
    let mut until = None;
    for filter in filters {
        let Some(text) = filter.strip_prefix("until=") else { bail!("invalid filter '{filter}'") };
        let moment = render::parse_moment(text, now)
            .with_context(|| format!("invalid time `{text}` in the filter"))?;
        until = i64::try_from(moment.as_secs()).ok();
    }
    Ok(until)
}
