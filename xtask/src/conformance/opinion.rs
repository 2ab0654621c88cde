//! Another builder's results, stored as text beside the cases, and how they are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::case::{Agreement, Case};
use super::check::is_empty;
use super::image::{Image, Node};
use super::world::World;

/// Where opinions are, below the folder of the cases.
pub(super) const FOLDER: &str = "buildah";

const FIELDS: [&str; 13] = [
    "Env",
    "Cmd",
    "Entrypoint",
    "User",
    "WorkingDir",
    "ExposedPorts",
    "Volumes",
    "Labels",
    "Healthcheck",
    "OnBuild",
    "Shell",
    "StopSignal",
    "Author",
];

/// What a builder made of a case: a line for the outcome, for each file, for each field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opinion {
    /// Which case it was: changes when the case does.
    pub(super) inputs: String,
    pub(super) lines: Vec<String>,
}

impl Opinion {
    /// Returns what is different and not explained, and what is explained and not different.
    pub(super) fn differences(&self, own: &[String], agreement: &Agreement) -> Vec<String> {
        let explained: &[String] = match agreement {
            Agreement::Differs(keys) => keys,
            Agreement::Same | Agreement::Cannot => &[],
        };
        let (theirs, ours) = (by_key(&self.lines), by_key(own));
        let keys: BTreeSet<&str> = theirs.keys().chain(ours.keys()).copied().collect();
        let differing: Vec<&str> =
            keys.into_iter().filter(|key| theirs.get(key) != ours.get(key)).collect();
        let mut found = Vec::new();
        for key in &differing {
            if !explained.iter().any(|pattern| covers(pattern, key)) {
                let line = |side: &BTreeMap<&str, &str>| {
                    side.get(key).map_or_else(|| "nothing".to_owned(), |line| (*line).to_owned())
                };
                let text = format!("buildah has {}; lathe has {}", line(&theirs), line(&ours));
                found.push(text);
            }
        }
        for pattern in explained.iter().filter(|p| !differing.iter().any(|key| covers(p, key))) {
            found
                .push(format!("`buildah: differs {pattern}` is explained, but it does not differ"));
        }
        found
    }
}

/// Tells whether an explanation is of this key: `Env`, `/a/b`, or `/a/*` for all below a folder.
fn covers(pattern: &str, key: &str) -> bool {
    let below = pattern.strip_suffix('*').is_some_and(|prefix| key.starts_with(prefix));
    // An outcome that differs leaves nothing else to compare.
    pattern == key || below || pattern == "outcome"
}

fn by_key(lines: &[String]) -> BTreeMap<&str, &str> {
    lines.iter().map(|line| (line.split(' ').next().unwrap_or_default(), line.as_str())).collect()
}

/// Describes a result.
pub(super) fn lines(world: &World, case: &Case, built: bool, image: Option<&Image>) -> Vec<String> {
    let mut lines = vec![format!("outcome {}", if built { "built" } else { "refused" })];
    let Some(image) = image else { return lines };
    for (path, node) in image.diff() {
        let line = node.map_or_else(|| "absent".to_owned(), Node::line);
        lines.push(format!("{} {line}", path.replace(' ', "\\x20")));
    }
    for field in FIELDS {
        let mut value = image.field(field).clone();
        if let Some(labels) = value.as_object_mut() {
            // Each image of buildah is labeled with its version.
            labels.remove("io.buildah.version");
        }
        // Both are absent or the same folder.
        let is_root = field == "WorkingDir" && value == "/";
        if !is_empty(&value) && !is_root {
            lines.push(format!("{field} {value}"));
        }
    }
    lines.iter().map(|line| world.mask(line, case.number)).collect()
}

/// Reads all stored opinions, by the keys of their cases.
pub(super) fn read_all(folder: &Path) -> Result<BTreeMap<String, Opinion>> {
    let folder = folder.join(FOLDER);
    let mut opinions = BTreeMap::new();
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(opinions) };
    for entry in entries {
        let path = entry.context("list the opinions")?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        for part in text.split("=== ").skip(1) {
            let mut lines = part.lines();
            let title = lines.next().unwrap_or_default();
            let inputs = lines.next().unwrap_or_default().trim_start_matches("inputs ");
            let lines = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
            let opinion = Opinion { inputs: inputs.to_owned(), lines };
            opinions.insert(format!("{name}: {title}"), opinion);
        }
    }
    Ok(opinions)
}

/// Writes opinions, a file for each file of cases.
pub(super) fn write_all(folder: &Path, opinions: &BTreeMap<String, Opinion>) -> Result<()> {
    let folder = folder.join(FOLDER);
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for (key, opinion) in opinions {
        let (file, title) = key.split_once(": ").context("a key")?;
        let text = files.entry(file).or_default();
        let _infallible = writeln!(text, "=== {title}\ninputs {}", opinion.inputs);
        for line in &opinion.lines {
            let _infallible = writeln!(text, "{line}");
        }
        text.push('\n');
    }
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    for (file, text) in files {
        let path = folder.join(format!("{file}.txt"));
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// Returns the opinions on cases that are no more.
pub(super) fn forgotten(opinions: &BTreeMap<String, Opinion>, cases: &[Case]) -> Vec<String> {
    let keys: BTreeSet<String> = cases.iter().map(Case::key).collect();
    let lost = opinions.keys().filter(|key| !keys.contains(*key));
    lost.map(|key| format!("buildah has an opinion on no case: {key}; run with --update")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(theirs: &[&str], ours: &[&str], agreement: &Agreement, expected: usize) {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        let opinion = Opinion { inputs: String::new(), lines: owned(theirs) };
        let ours: Vec<String> = owned(ours);
        let found = opinion.differences(&ours, agreement);
        assert_eq!(found.len(), expected, "{found:?}");
    }

    #[test]
    fn a_difference_needs_an_explanation_and_an_explanation_a_difference() {
        let explained = |key: &str| Agreement::Differs(vec![key.to_owned()]);
        check(&["/a file"], &["/a file"], &Agreement::Same, 0);
        check(&["/a file"], &["/a dir"], &Agreement::Same, 1);
        check(&["/a file"], &[], &explained("/a"), 0);
        check(&["/a/b file"], &[], &explained("/a/*"), 0);
        check(&["/a file", "/b file"], &["/b dir"], &explained("/a"), 1);
        check(&["/a file"], &["/a file"], &explained("/a"), 1);
    }
}
