//! What is kept of a build: which steps it had, how each came to its result, and of what their keys
//! were made.
//!
//! Records answer three questions later: why a step was run again ([`crate::why_not_cached`]), what
//! it printed ([`crate::build_log`]), and how long it will take ([`lathe_solver::SolveOptions`]).
//! They are JSON in the store's index, with a version; fields may be added with a default, and
//! never change their meaning.

pub(crate) mod listing;
pub(crate) mod log;
pub(crate) mod past;
pub(crate) mod recorder;
mod steps;

use serde::{Deserialize, Serialize};

pub(crate) use steps::planned;

/// The version of the form that is written.
pub const VERSION: u32 = 1;

/// A build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Build {
    /// The version of this form.
    pub version: u32,
    /// Its id.
    pub id: String,
    /// When it began, in milliseconds since 1970.
    pub started: i64,
    /// How long it took, in milliseconds.
    pub duration: u64,
    /// The build context: a folder, a URL, or `-`.
    pub context: String,
    /// The Dockerfile, or `-`.
    pub dockerfile: String,
    /// `--target`.
    pub target: Option<String>,
    /// The platform that it was for.
    pub platform: String,
    /// The names that the image was given.
    pub tags: Vec<String>,
    /// How it ended.
    pub ending: Ending,
    /// The image id.
    pub image: Option<String>,
    /// Names of the variables that are build arguments and no environment.
    pub arguments: Vec<String>,
    /// The steps, in order of the Dockerfile.
    pub steps: Vec<Step>,
}

/// How a build ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// It was made.
    #[default]
    Complete,
    /// It failed, and why, in one line.
    Failed(String),
    /// The user interrupted it.
    Interrupted,
}

/// How a step of a build came to its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It was found in the cache.
    Hit,
    /// It was run.
    Ran,
    /// It was run, and failed.
    Failed,
    /// Nothing came of it: it was not needed, or the build ended before.
    #[default]
    Skipped,
    /// In a dry run: it would be run.
    WouldRun,
    /// In a dry run: it may be run.
    MayRun,
}

/// A step of a build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    /// As `[builder 2/5] RUN npm ci`.
    pub name: String,
    /// The stage and the instruction, by which the step is the same one in the next build.
    pub id: String,
    /// Name of the stage, or its number.
    pub stage: String,
    /// The line of the Dockerfile, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The steps that it works on, by their positions in the list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<usize>,
    /// How it came to its result.
    pub fate: Fate,
    /// Whether results of earlier builds were not to be used for it.
    #[serde(skip_serializing_if = "is_false")]
    pub ignored_cache: bool,
    /// How long it ran, in milliseconds.
    pub duration: u64,
    /// How long its result took to make, now or in an earlier build, in milliseconds.
    pub cost: u64,
    /// Its cache key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What the key was made of; long values end with their digests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<(String, String)>,
    /// Whether the key and its parts are those of an earlier build, since this one did not come
    /// to the step.
    #[serde(skip_serializing_if = "is_false")]
    pub inherited: bool,
    /// The name of the image that it brings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// By names of parts: files that changed since the build before, where that is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<(String, Vec<String>)>,
    /// The snapshot that it made or found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// What it printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogFile>,
}

/// A log on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    /// Name of the file in the directory of the build.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

impl Step {
    /// Returns the instruction, as `RUN npm ci`.
    pub fn instruction(&self) -> &str {
        instruction(&self.name)
    }

    /// Returns what tells the step from others in a line of text, as `[builder 2/5]`.
    pub fn label(&self) -> &str {
        self.name.strip_suffix(self.instruction()).unwrap_or(&self.name).trim_end()
    }

    /// Tells whether the step is one that a user wrote: it has a line.
    pub fn is_written(&self) -> bool {
        self.line.is_some()
    }
}

/// What serde asks about fields that are left out where they say nothing.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

fn instruction(name: &str) -> &str {
    if !name.starts_with('[') {
        return name;
    }
    name.split_once("] ").map_or(name, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_an_older_or_newer_lathe_is_read() {
        let text = r#"{"version":9,"id":"a","steps":[{"name":"[2/5] RUN a","other":1}],"more":{}}"#;
        let build: Build = serde_json::from_str(text).unwrap();
        assert_eq!((build.id.as_str(), build.ending), ("a", Ending::Complete));
        assert_eq!(build.steps[0].instruction(), "RUN a");
        assert_eq!(build.steps[0].label(), "[2/5]");
        assert_eq!(build.steps[0].fate, Fate::Skipped);
    }
}
