//! Keeps a build: its log while it runs, its record when it ends, however it ends.

use std::{
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use lathe_dockerfile::Dockerfile;
use lathe_event::{Event, StepId};
use lathe_oci::Digest;
use lathe_solver::Solution;
use lathe_store::BuildRecord;
use lathe_worker::Output;

use super::{
    Build, Ending, Fate, Step, VERSION,
    log::LogSink,
    past::Past,
    steps::{arguments, inherit, log, millis, settle},
};
use crate::{BuildRequest, Engine, Error, Result, explain, explain::Cause, solve::Solved};

/// Characters of a build's id: enough that two builds never have the same.
const ID_LENGTH: usize = 12;

/// How many builds are remembered.
const KEPT: usize = 100;

/// A build that is under way.
pub(crate) struct Recorder {
    /// The engine, with what steps print written down.
    pub(crate) engine: Engine,
    logs: Arc<LogSink>,
    begin: Instant,
    build: Build,
}

/// What is known of a build when it ends.
pub(crate) struct Ended {
    pub(crate) build: Build,
    pub(crate) causes: Vec<Option<Cause>>,
}

impl Recorder {
    /// Begins to keep a build of `steps`.
    pub(crate) fn begin(
        engine: &Engine,
        request: &BuildRequest,
        past: &Past,
        file: &Dockerfile,
        steps: Vec<Step>,
    ) -> Self {
        let id = random_id();
        let events = Arc::clone(&engine.images.events);
        let logs = Arc::new(LogSink::new(events, engine.store.build_directory(&id)));
        let mut engine = engine.clone();
        engine.images.events = logs.clone();
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let project = &past.project;
        let build = Build {
            version: VERSION,
            id,
            started: i64::try_from(started.as_millis()).unwrap_or(i64::MAX),
            context: project.context.clone(),
            dockerfile: project.dockerfile.clone(),
            target: project.target.clone(),
            platform: project.platform.clone(),
            tags: request.tags.iter().map(lathe_oci::Reference::familiar).collect(),
            arguments: arguments(file),
            steps,
            ..Build::default()
        };
        Self { engine, logs, begin: Instant::now(), build }
    }

    /// Tells the id of the build, and its steps.
    pub(crate) fn announce(&self) {
        let events = &self.engine.images.events;
        events.emit(Event::BuildStarted(self.build.id.as_str().into()));
        let name = |(id, step): (StepId, &Step)| (id, step.name.as_str().into());
        let steps = (0..).map(StepId).zip(&self.build.steps).map(name);
        events.emit(Event::Planned { steps: steps.collect() });
    }

    /// Tells whether the disk was found full while steps printed: a process that could not write
    /// may not have said so.
    pub(crate) fn met_full_disk(&self) -> bool {
        self.logs.met_full_disk()
    }

    /// Writes the record of the build.
    pub(crate) fn end(
        self,
        past: &Past,
        solved: &Solved,
        made: std::result::Result<Option<&Digest>, &Error>,
    ) -> Ended {
        let Self { engine, logs, begin, mut build } = self;
        settle(&mut build.steps, &solved.solution);
        log(&mut build.steps, logs.files());
        if let Some(failed) = solved.failed {
            build.steps[failed].fate = Fate::Failed;
        }
        build.duration = millis(begin.elapsed());
        build.ending = match made {
            Ok(_) => Ending::Complete,
            Err(Error::Interrupted) => Ending::Interrupted,
            Err(error) => {
                Ending::Failed(error.to_string().lines().next().unwrap_or_default().to_owned())
            }
        };
        build.image = made.ok().flatten().map(ToString::to_string);
        let causes = finish(&engine, past, &mut build, solved);
        let record = BuildRecord {
            id: build.id.clone(),
            created: build.started,
            project: past.project.text(),
            record: serde_json::to_string(&build).expect("a record is text and numbers"),
        };
        let kept = engine.store.put_build(&record).map_err(Error::from);
        // The image is there, and without this record too.
        if let Err(error) = kept.and_then(|()| forget_old(&engine, &build)) {
            let text = format!("the record of the build is not kept: {error}");
            engine.images.events.emit(Event::Warning(text.into()));
        }
        Ended { build, causes }
    }
}

/// Forgets all but the latest builds. Looking for them takes longer than a build that finds all
/// it needs, so that of those only one in some looks.
fn forget_old(engine: &Engine, build: &Build) -> Result<()> {
    let found_all = build.steps.iter().all(|step| step.fate == Fate::Hit || step.parts.is_empty());
    if found_all && !build.id.starts_with('0') {
        return Ok(());
    }
    for old in engine.store.builds()?.iter().skip(KEPT) {
        engine.store.remove_build(&old.id)?;
    }
    Ok(())
}

/// Compares steps that were not found with the build before, and gives those that it did not come
/// to their parts.
pub(crate) fn finish(
    engine: &Engine,
    past: &Past,
    build: &mut Build,
    solved: &Solved,
) -> Vec<Option<Cause>> {
    for (step, changed) in build.steps.iter_mut().zip(&solved.changed) {
        let texts = |(part, files): &(String, Vec<std::path::PathBuf>)| {
            (part.clone(), files.iter().map(|file| file.display().to_string()).collect())
        };
        step.changed = changed.iter().map(texts).collect();
    }
    // A build that found all it needed has nothing to be told, and reads nothing.
    let has_key = |step: &Step| !step.parts.is_empty();
    let asked = build.steps.iter().any(|step| step.fate != Fate::Hit && has_key(step));
    let unreached = |step: &Step| step.fate == Fate::Skipped && !has_key(step);
    if !asked && !build.steps.iter().any(unreached) {
        return vec![None; build.steps.len()];
    }
    let old = past.latest();
    let causes = explain::causes(old, build, &|key| explain::recorded(&engine.store, key));
    if let Some(old) = old {
        let partners = explain::partners(&old.steps, &build.steps);
        inherit(&mut build.steps, &old.steps, &partners);
    }
    causes
}

/// Returns the record of a build that is not made: for a dry run.
pub(crate) fn unmade(
    file: &Dockerfile,
    mut steps: Vec<Step>,
    solution: &Solution<Output>,
) -> Build {
    settle(&mut steps, solution);
    Build { version: VERSION, arguments: arguments(file), steps, ..Build::default() }
}

/// Returns a new id: lower case letters and digits, at random.
fn random_id() -> String {
    use std::hash::BuildHasher as _;
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    // The standard library seeds these from the kernel's random numbers.
    let mut bits = std::hash::RandomState::new().hash_one(std::process::id());
    let digit = |_| {
        let digit = DIGITS[usize::from(bits.to_le_bytes()[0] & 31)];
        bits >>= 5;
        char::from(digit)
    };
    (0..ID_LENGTH).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_never_the_same() {
        let ids: std::collections::BTreeSet<String> = (0..1000).map(|_| random_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == ID_LENGTH));
    }
}
