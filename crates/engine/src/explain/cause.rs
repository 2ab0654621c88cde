//! A cause, and how it reads.

use std::fmt;

/// Longest value that is shown whole, in characters.
const SHOWN: usize = 60;

/// Characters before the first difference that are shown of longer ones.
const BEFORE: usize = 20;

/// Why a step was not found in the cache. Displayed without the step's name: `ARG VERSION 1.1 ->
/// 1.2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The builds before had no such step.
    NeverBuilt,
    /// The build before ended before the step had a result.
    NotFinished,
    /// `--no-cache`, or `--no-cache-filter`.
    CacheIgnored,
    /// All is the same, but the cache has the result no longer.
    Pruned,
    /// The tag of the base image leads to another image.
    BaseMoved {
        /// The image's name.
        image: String,
        /// The digest of the manifest.
        manifest: String,
    },
    /// The step begins with another image.
    BaseChanged {
        /// The name before.
        old: String,
        /// The name now.
        new: String,
    },
    /// A step below has a new result.
    Below {
        /// Its label, as `[builder 3/5]`.
        step: String,
        /// What became of it.
        verb: &'static str,
    },
    /// A named part of the key differs.
    Part {
        /// Its name: `command`, `ARG VERSION`, `file src`.
        name: String,
        /// The value in the build before.
        old: Option<String>,
        /// The value now.
        new: Option<String>,
        /// Files that changed, where that is known.
        files: Vec<String>,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverBuilt => f.write_str("never built before"),
            Self::NotFinished => f.write_str("it has no result of the build before"),
            Self::CacheIgnored => f.write_str("--no-cache"),
            Self::Pruned => f.write_str("the cached result was pruned"),
            Self::BaseMoved { image, manifest } => {
                write!(f, "base image {image} moved to {manifest}")
            }
            Self::BaseChanged { old, new } => write!(f, "the base image changed: {old} -> {new}"),
            Self::Below { step, verb } => write!(f, "because {step} {verb}"),
            Self::Part { name, old, new, files } => match name.strip_prefix("file ") {
                Some(path) => file(f, path, (old.is_some(), new.is_some()), files),
                None => value(f, name, old.as_deref(), new.as_deref()),
            },
        }
    }
}

fn file(
    f: &mut fmt::Formatter<'_>,
    path: &str,
    is_in: (bool, bool),
    files: &[String],
) -> fmt::Result {
    match is_in {
        (false, _) => return write!(f, "{path} is new"),
        (true, false) => return write!(f, "{path} is gone"),
        (true, true) => {}
    }
    match files {
        [] if path == "." => f.write_str("files changed"),
        [] => write!(f, "{path} changed"),
        [one] if one == path => write!(f, "{path} changed"),
        files => {
            let s = if files.len() == 1 { "" } else { "s" };
            write!(f, "{path}: {} file{s} changed: {}", files.len(), files.join(", "))
        }
    }
}

fn value(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    old: Option<&str>,
    new: Option<&str>,
) -> fmt::Result {
    let is_variable = name.starts_with("ARG ") || name.starts_with("ENV ");
    let old = old.map(|value| readable(name, value));
    let new = new.map(|value| readable(name, value));
    match (old, new) {
        (Some(old), Some(new)) => {
            let (old, new) = narrowed(&old, &new);
            match (is_variable, name) {
                (true, _) => write!(f, "{name} {old} -> {new}"),
                (false, "command") => write!(f, "the command changed: \"{old}\" -> \"{new}\""),
                (false, _) => write!(f, "the {name} changed: {old} -> {new}"),
            }
        }
        (None, Some(new)) if is_variable => write!(f, "{name}={} is new", narrowed(&new, "").0),
        (None, _) => write!(f, "the {name} is new"),
        (Some(_), None) if is_variable => write!(f, "{name} is gone"),
        (Some(_), None) => write!(f, "the {name} is gone"),
    }
}

/// Returns a value as the user wrote it, where it is kept in another form.
fn readable(name: &str, value: &str) -> String {
    if name == "command"
        && let Ok(args) = serde_json::from_str::<Vec<String>>(value)
    {
        return match &args[..] {
            // The shell form: the shell is told only where it is not the usual one.
            [shell, flag, line] if shell == "/bin/sh" && flag == "-c" => line.clone(),
            args => args.join(" "),
        };
    }
    let value = value.strip_prefix("Some(").and_then(|v| v.strip_suffix(')')).unwrap_or(value);
    match value {
        "None" | "" => "nothing".to_owned(),
        value => value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value)
            .to_owned(),
    }
}

/// Returns two values, cut to where they differ if they are long.
fn narrowed(old: &str, new: &str) -> (String, String) {
    let (old, new) = (old.replace('\n', "\\n"), new.replace('\n', "\\n"));
    let same = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).count();
    let longest = old.chars().count().max(new.chars().count());
    let from = if longest > SHOWN { same.saturating_sub(BEFORE) } else { 0 };
    let cut = |text: &str| {
        let mut rest = text.chars().skip(from);
        let shown: String = rest.by_ref().take(SHOWN).collect();
        let before = if from > 0 { "…" } else { "" };
        let after = if rest.next().is_some() { "…" } else { "" };
        format!("{before}{shown}{after}")
    };
    (cut(&old), cut(&new))
}
