//! Builds that were made: a list, why their steps were run, what they printed.

use std::{path::PathBuf, time::Duration};

use lathe_store::BuildRecord;

use super::{Build, Ending, Fate, Step};
use crate::{Engine, Error, Result, StepReport, explain, outcome};

/// A build in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildSummary {
    /// Its id.
    pub id: String,
    /// When it began, in seconds since 1970.
    pub created: i64,
    /// How long it took.
    pub duration: Duration,
    /// The build context: a folder, a URL, or `-`.
    pub context: String,
    /// The Dockerfile, or `-`.
    pub dockerfile: String,
    /// `--target`.
    pub target: Option<String>,
    /// The names that the image was given.
    pub tags: Vec<String>,
    /// How it ended.
    pub ending: Ending,
    /// The image id.
    pub image: Option<String>,
    /// How many steps were run, failed ones included.
    pub ran: usize,
    /// How many were found in the cache.
    pub cached: usize,
}

/// Why the steps of a build were run.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Which build.
    pub build: BuildSummary,
    /// The id of the build that it is compared with; `None` if it was the first of its kind.
    pub before: Option<String>,
    /// The steps, in order of the Dockerfile.
    pub steps: Vec<StepReport>,
}

/// What a step printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildLog {
    /// Position of the step in its build, from 1, as it can be asked for.
    pub number: usize,
    /// As `[builder 2/5] RUN npm ci`.
    pub name: String,
    /// The file, as the step wrote it: make it safe for a terminal.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Returns the builds that are remembered, the newest first.
///
/// # Errors
/// If the store cannot be read.
pub fn builds(engine: &Engine) -> Result<Vec<BuildSummary>> {
    let _in_use = engine.store.share()?;
    Ok(engine.store.builds()?.iter().filter_map(parse).map(|build| summary(&build)).collect())
}

/// Tells why the steps of a build were not found in the cache: of the latest one where none is
/// named, by the beginning of its id.
///
/// # Errors
/// [`Error::NoBuild`] if there is no such build.
pub fn why_not_cached(engine: &Engine, build: Option<&str>) -> Result<Explanation> {
    let _in_use = engine.store.share()?;
    let (record, build) = find(engine, build)?;
    let before = before(engine, &record)?;
    let recipe = |key: &str| explain::recorded(&engine.store, key);
    let causes = explain::causes(before.as_ref(), &build, &recipe);
    Ok(Explanation {
        build: summary(&build),
        before: before.map(|build| build.id),
        steps: outcome::steps(&build, causes),
    })
}

/// Returns what the steps of a build printed: of the latest one where none is named, of all steps
/// with output where none is named. A step is named by its number or by a part of its name.
///
/// # Errors
/// [`Error::NoBuild`] or [`Error::NoStep`] if there is none.
pub fn build_log(
    engine: &Engine,
    build: Option<&str>,
    step: Option<&str>,
) -> Result<Vec<BuildLog>> {
    let _in_use = engine.store.share()?;
    let (_, build) = find(engine, build)?;
    let directory = engine.store.build_directory(&build.id);
    let written: Vec<&Step> = build.steps.iter().filter(|step| step.is_written()).collect();
    let wanted = |number: usize, name: &str| match step {
        None => true,
        Some(text) => match text.parse::<usize>() {
            Ok(wanted) => wanted == number,
            Err(_) => name.contains(text),
        },
    };
    let numbered: Vec<(usize, &Step)> =
        (1..).zip(written).filter(|(number, written)| wanted(*number, &written.name)).collect();
    if let (Some(text), true) = (step, numbered.is_empty()) {
        return Err(Error::NoStep { step: text.to_owned(), build: build.id });
    }
    let log = |(number, written): (usize, &Step)| {
        let log = written.log.as_ref()?;
        let (name, path) = (written.name.clone(), directory.join(&log.name));
        Some(BuildLog { number, name, path, bytes: log.bytes })
    };
    Ok(numbered.into_iter().filter_map(log).collect())
}

fn find(engine: &Engine, build: Option<&str>) -> Result<(BuildRecord, Build)> {
    let record = match build {
        Some(id) => engine.store.build(id)?,
        None => engine.store.builds()?.into_iter().next(),
    };
    let none = || Error::NoBuild(build.map(str::to_owned));
    let record = record.ok_or_else(none)?;
    let build = parse(&record).ok_or_else(none)?;
    Ok((record, build))
}

/// Returns the build of the same project before a build.
fn before(engine: &Engine, record: &BuildRecord) -> Result<Option<Build>> {
    let older = |other: &BuildRecord| {
        other.project == record.project && other.id != record.id && other.created <= record.created
    };
    Ok(engine.store.builds()?.into_iter().find(older).as_ref().and_then(parse))
}

fn parse(record: &BuildRecord) -> Option<Build> {
    serde_json::from_str(&record.record).ok()
}

fn summary(build: &Build) -> BuildSummary {
    let count = |fates: &[Fate]| {
        build.steps.iter().filter(|step| step.is_written() && fates.contains(&step.fate)).count()
    };
    BuildSummary {
        id: build.id.clone(),
        created: build.started / 1000,
        duration: Duration::from_millis(build.duration),
        context: build.context.clone(),
        dockerfile: build.dockerfile.clone(),
        target: build.target.clone(),
        tags: build.tags.clone(),
        ending: build.ending.clone(),
        image: build.image.clone(),
        ran: count(&[Fate::Ran, Fate::Failed]),
        cached: count(&[Fate::Hit]),
    }
}
