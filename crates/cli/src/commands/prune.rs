//! The prune commands.

use std::{fmt::Write as _, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use lathe_engine::{
    container::{AnonymousVolumes, Error, Force, Status},
    store::{CachePrune, DryRun, ImagePrune, PruneOptions, PruneReport, UsageItem, Wait},
};
use lathe_oci::Reference;

use super::{Session, cache_usage::Filters};
use crate::{
    args::{CachePruneArgs, PruneArgs, PruneScope},
    env, render,
    settings::flag_size,
    term,
};

/// What was used within this many seconds stays unless `--all` is given: without it the next
/// build would run everything again.
const CACHE_AGE: i64 = 48 * 3600;

const BUSY: &str = "another command is deleting from the store";

/// `lathe system prune`, `image prune`, `container prune`.
pub(super) fn prune(session: &Session, args: &PruneArgs, scope: PruneScope) -> Result<u8> {
    if args.volumes {
        bail!("--volumes is not supported yet");
    }
    let until = until(&args.filters)?;
    if !confirmed(args, &warning(args, scope))? {
        return Ok(0);
    }
    let mut text = String::new();
    if matches!(scope, PruneScope::System | PruneScope::Containers) {
        text.push_str(&containers(session, until, dry_run(args))?);
    }
    let mut freed = 0;
    if scope != PruneScope::Containers {
        let report = deleted(session, &options(args, scope, until))?;
        freed = report.bytes();
        text.push_str(&summary(&report, dry_run(args)));
    }
    finish(&text, freed, dry_run(args))
}

/// `lathe builder prune`.
pub(super) fn prune_cache(session: &Session, args: &CachePruneArgs) -> Result<u8> {
    let common = &args.common;
    let filters = Filters::parse(&common.filters, env::now())?;
    let keep = keep(session, args)?;
    if !confirmed(common, &cache_warning(common, keep))? {
        return Ok(0);
    }
    let (report, freed) = if keep.is_none() && filters.are_only_until() {
        let cache = match filters.until {
            Some(until) => CachePrune::UnusedSince(until),
            None if common.all => CachePrune::All,
            None => CachePrune::UnusedSince(env::now() - CACHE_AGE),
        };
        let options = PruneOptions {
            cache,
            dry_run: dry_run(common),
            wait: Wait::Block,
            ..PruneOptions::default()
        };
        let report = deleted(session, &options)?;
        let freed = report.bytes();
        (report, freed)
    } else {
        selected(session, &filters, keep.unwrap_or(0), dry_run(common))?
    };
    let mut text = summary(&report, dry_run(common));
    if args.verbose {
        text.push_str(&files(&report, dry_run(common)));
    }
    finish(&text, freed, dry_run(common))
}

/// Deletes what fits the filters until no more than `keep` bytes of cache are left.
///
/// Files that several results have, or lie on, only go with the last of them, which nobody knows
/// before they went. So this may take more than one go, each with less to be left than the one
/// before; what it freed is what the store has lost.
fn selected(
    session: &Session,
    filters: &Filters,
    keep: u64,
    dry_run: DryRun,
) -> Result<(PruneReport, u64)> {
    let select = |row: &UsageItem| filters.fit(row);
    let prune = |keep| session.store.prune_cache(&select, keep, dry_run)?.context(BUSY);
    if dry_run == DryRun::Yes {
        let report = prune(keep)?;
        let freed = report.bytes();
        return Ok((report, freed));
    }
    let (before, _) = sizes(session)?;
    let (mut all, mut target) = (PruneReport::default(), keep);
    loop {
        let report = prune(target)?;
        let idle = report.bytes() == 0 && report.cache_records.is_empty();
        all.cache_records.extend(report.cache_records);
        all.cache_mounts.extend(report.cache_mounts);
        all.snapshots.extend(report.snapshots);
        all.blobs.extend(report.blobs);
        all.builds.extend(report.builds);
        let (total, cache) = sizes(session)?;
        if cache <= keep || (idle && target == 0) {
            return Ok((all, before.saturating_sub(total)));
        }
        target = if idle { target.saturating_sub(cache - keep) } else { target };
    }
}

/// What the store takes, and what of it is cache that nothing needs, in bytes.
fn sizes(session: &Session) -> Result<(u64, u64)> {
    let rows = session.store.usage_rows()?;
    let sum = |rows: &mut dyn Iterator<Item = &UsageItem>| rows.map(|row| row.bytes).sum();
    Ok((sum(&mut rows.iter()), sum(&mut rows.iter().filter(|row| !row.in_use))))
}

fn deleted(session: &Session, options: &PruneOptions) -> Result<PruneReport> {
    session.store.prune(options)?.context(BUSY)
}

fn finish(text: &str, freed: u64, dry_run: DryRun) -> Result<u8> {
    let label = match dry_run {
        DryRun::No => "Total reclaimed space",
        DryRun::Yes => "Total reclaimable space",
    };
    term::out(&format!("{text}{label}: {}\n", render::human_size(freed)))?;
    Ok(0)
}

/// Asks whether to go on; a dry run needs no leave.
fn confirmed(args: &PruneArgs, warning: &str) -> Result<bool> {
    if args.force || args.dry_run {
        return Ok(true);
    }
    let question = format!("{warning}Are you sure you want to continue? [y/N] ");
    Ok(matches!(term::ask(&question)?.to_lowercase().as_str(), "y" | "yes"))
}

fn dry_run(args: &PruneArgs) -> DryRun {
    if args.dry_run { DryRun::Yes } else { DryRun::No }
}

fn options(args: &PruneArgs, scope: PruneScope, until: Option<i64>) -> PruneOptions {
    let images = match scope {
        PruneScope::Containers => ImagePrune::Keep,
        PruneScope::System | PruneScope::Images if args.all => ImagePrune::Unused,
        PruneScope::System | PruneScope::Images => ImagePrune::Dangling,
    };
    let cache = match (scope, until) {
        (PruneScope::Images | PruneScope::Containers, _) => CachePrune::Keep,
        (_, Some(until)) => CachePrune::UnusedSince(until),
        (_, None) if args.all => CachePrune::All,
        (_, None) => CachePrune::UnusedSince(env::now() - CACHE_AGE),
    };
    let dry_run = dry_run(args);
    PruneOptions { images, images_before: until, cache, dry_run, wait: Wait::Block }
}

/// Removes containers that do not run, and says which.
fn containers(session: &Session, until: Option<i64>, dry_run: DryRun) -> Result<String> {
    let containers = session.containers();
    let mut text = String::new();
    for view in containers.list()? {
        let created = view.record.created.div_euclid(1_000_000_000);
        if view.state.status == Status::Running || until.is_some_and(|until| created >= until) {
            continue;
        }
        if dry_run == DryRun::Yes {
            writeln!(text, "{}", view.record.id).expect("writing to a string cannot fail");
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
    let title = titled("Deleted Containers", dry_run);
    Ok(if text.is_empty() { text } else { format!("{title}:\n{text}\n") })
}

/// A dry run deletes nothing, and does not say that it did.
fn titled(title: &str, dry_run: DryRun) -> String {
    match dry_run {
        DryRun::No => title.to_owned(),
        DryRun::Yes => title.replacen("Deleted", "Would delete", 1),
    }
}

fn summary(report: &PruneReport, dry_run: DryRun) -> String {
    let mut text = String::new();
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            write!(text, "{}:\n{}\n\n", titled(title, dry_run), lines.join("\n"))
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
    let sized = |(path, bytes): &(PathBuf, u64)| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        format!("{name}\t{}", render::human_size(*bytes))
    };
    section("Deleted cache mounts", report.cache_mounts.iter().map(sized).collect());
    text
}

fn warning(args: &PruneArgs, scope: PruneScope) -> String {
    let images = if args.all {
        "all images without at least one container associated to them"
    } else {
        "all dangling images"
    };
    let cache = cache_words(args);
    match scope {
        PruneScope::Containers => "WARNING! This will remove all stopped containers.\n".to_owned(),
        PruneScope::Images => format!("WARNING! This will remove {images}.\n"),
        PruneScope::System => format!(
            "WARNING! This will remove:\n  - all stopped containers\n  - {images}\n  - {cache}\n\n"
        ),
    }
}

fn cache_words(args: &PruneArgs) -> &'static str {
    if args.all { "all build cache" } else { "build cache not used for 48 hours" }
}

fn cache_warning(args: &PruneArgs, keep: Option<u64>) -> String {
    match keep {
        Some(bytes) => format!(
            "WARNING! This will remove the build cache used longest ago, but for {}.\n",
            render::human_size(bytes)
        ),
        None => format!("WARNING! This will remove {}.\n", cache_words(args)),
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

/// Snapshots and blobs with their sizes.
fn files(report: &PruneReport, dry_run: DryRun) -> String {
    let snapshots = report.snapshots.iter().map(|(id, bytes)| (id.to_string(), *bytes));
    let blobs = report.blobs.iter().map(|(digest, bytes)| (digest.to_string(), *bytes));
    let lines: Vec<String> = snapshots
        .chain(blobs)
        .map(|(name, bytes)| format!("{name}\t{}", render::human_size(bytes)))
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("{}:\n{}\n\n", titled("Deleted files", dry_run), lines.join("\n"))
}

/// How much of the cache stays at least, of the three ways to say it; `None` if none was said.
fn keep(session: &Session, args: &CachePruneArgs) -> Result<Option<u64>> {
    let reserved = flag_size("keep-storage", args.keep_storage.as_deref())?;
    let most = flag_size("max-used-space", args.max_used_space.as_deref())?;
    let free = flag_size("min-free-space", args.min_free_space.as_deref())?;
    let free = free.map(|wanted| keep_for_free(session, wanted)).transpose()?;
    // A reserve stays whatever the others say.
    let most = match (most, free) {
        (Some(most), Some(free)) => Some(most.min(free)),
        (most, free) => most.or(free),
    };
    Ok(most.max(reserved))
}

/// How much of the cache may stay if so many bytes of the disk are to be free.
fn keep_for_free(session: &Session, wanted: u64) -> Result<u64> {
    let root = &session.places.root;
    let disk = rustix::fs::statvfs(root)
        .with_context(|| format!("asking about the disk of `{}`", root.display()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let (_, cache) = sizes(session)?;
    Ok(cache.saturating_sub(wanted.saturating_sub(free)))
}
