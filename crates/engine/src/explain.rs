//! Why a step was not found in the cache: the first named part of its key that differs from the
//! build before.
//!
//! Pure: two records go in, causes come out. Steps of the two builds are partners if they stand
//! for the same line of the Dockerfile, as well as one can tell: by stage and text first, then by
//! text alone, then by stage and instruction in order. What stands on a step that ran again names
//! the lowest such step, so that only the root is told in full.

mod cause;
mod partners;

use std::collections::BTreeMap;

pub use cause::Cause;
pub(crate) use partners::partners;

use lathe_store::Store;

use crate::record::{Build, Fate, Step};

/// Returns the parts of a key, if they are recorded.
pub(crate) type Recipes<'a> = dyn Fn(&str) -> Option<Vec<(String, String)>> + 'a;

/// Returns for each step of a build why it was not found, compared with the build before; nothing
/// for steps that were found or not looked for, or where there was no build before.
///
/// `recipe` returns the parts of a key that is still recorded in the cache.
pub(crate) fn causes(old: Option<&Build>, new: &Build, recipe: &Recipes<'_>) -> Vec<Option<Cause>> {
    let Some(old) = old else { return vec![None; new.steps.len()] };
    let partners = partners(&old.steps, &new.steps);
    let mut causes: Vec<Option<Cause>> = Vec::with_capacity(new.steps.len());
    let mut roots: Vec<Option<usize>> = Vec::with_capacity(new.steps.len());
    for (index, step) in new.steps.iter().enumerate() {
        // A step whose key is not known stands on one that would be run.
        let is_open = matches!(step.fate, Fate::WouldRun | Fate::MayRun) && !step.inputs.is_empty();
        let asked = is_missed(step) && (!step.parts.is_empty() || is_open);
        let found = asked.then(|| {
            let compared = Compared {
                new: step,
                old: partners[index].map(|partner| &old.steps[partner]),
                build: new,
                roots: &roots,
                recipe,
            };
            compared.cause()
        });
        let (cause, root) = match found {
            Some((cause, root)) => (Some(cause), Some(root.unwrap_or(index))),
            // What has no key of its own is no reason for what copies from it.
            None => (None, None),
        };
        causes.push(cause);
        roots.push(root);
    }
    causes
}

fn is_missed(step: &Step) -> bool {
    match step.fate {
        Fate::Ran | Fate::Failed | Fate::WouldRun | Fate::MayRun => true,
        Fate::Hit | Fate::Skipped => false,
    }
}

/// A step beside its partner.
struct Compared<'a> {
    new: &'a Step,
    old: Option<&'a Step>,
    build: &'a Build,
    /// For each earlier step that missed, the step that is the reason.
    roots: &'a [Option<usize>],
    recipe: &'a Recipes<'a>,
}

impl Compared<'_> {
    /// Returns the cause, and the step that is the reason if that is another one.
    fn cause(&self) -> (Cause, Option<usize>) {
        if self.new.ignored_cache {
            return (Cause::CacheIgnored, None);
        }
        let Some(old) = self.old else {
            return self.because_of_input().unwrap_or((Cause::NeverBuilt, None));
        };
        if old.parts.is_empty() || self.new.parts.is_empty() {
            return self.because_of_input().unwrap_or((Cause::NeverBuilt, None));
        }
        let old_parts = self.comparable(old);
        let by_name: BTreeMap<&str, &str> =
            old_parts.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for (name, value) in &self.new.parts {
            let before = by_name.get(name.as_str()).copied();
            if before == Some(value) {
                continue;
            }
            if let Some(input) = input_of(name) {
                if let Some(because) = self.because(input) {
                    return because;
                }
                continue;
            }
            if name.starts_with("file ") && !old_parts.iter().any(|(name, _)| is_file(name)) {
                // The other one is only known by the keys of its inputs.
                if let Some(because) = self.because_of_input() {
                    return because;
                }
                continue;
            }
            return (self.part(name, before, Some(value)), None);
        }
        let is_left = |name: &str| self.new.parts.iter().any(|(other, _)| other == name);
        let gone = old_parts.iter().find(|(name, _)| {
            !is_left(name) && input_of(name).is_none() && (self.has_files() || !is_file(name))
        });
        if let Some((name, value)) = gone {
            return (self.part(name, Some(value), None), None);
        }
        if (self.new.key != old.key || self.new.fate == Fate::MayRun)
            && let Some(because) = self.because_of_input()
        {
            return because;
        }
        let was_made = matches!(old.fate, Fate::Hit | Fate::Ran);
        let cause = if was_made || old.inherited { Cause::Pruned } else { Cause::NotFinished };
        (cause, None)
    }

    fn has_files(&self) -> bool {
        self.new.parts.iter().any(|(name, _)| is_file(name))
    }

    /// Returns the parts of the partner in the form that this step's have: a step that was found
    /// without looking at contents has the keys of its inputs in their place.
    fn comparable(&self, old: &Step) -> Vec<(String, String)> {
        let has_files = old.parts.iter().any(|(name, _)| is_file(name));
        if self.has_files() && !has_files {
            let recorded = old.key.as_deref().and_then(self.recipe);
            if let Some(parts) = recorded {
                return parts;
            }
        }
        old.parts.clone()
    }

    fn part(&self, name: &str, old: Option<&str>, new: Option<&str>) -> Cause {
        if let (Some(image), "manifest", Some(digest)) = (&self.new.image, name, new) {
            let before = self.old.and_then(|old| old.image.as_deref());
            if before == Some(image) {
                return Cause::BaseMoved { image: image.clone(), manifest: digest.to_owned() };
            }
            return Cause::BaseChanged {
                old: before.unwrap_or("another image").to_owned(),
                new: image.clone(),
            };
        }
        let files = self.new.changed.iter().find(|(part, _)| part == name);
        let variable = name.strip_prefix("variable ");
        let name = match variable {
            Some(name) if self.build.arguments.iter().any(|argument| argument == name) => {
                format!("ARG {name}")
            }
            Some(name) => format!("ENV {name}"),
            None => name.to_owned(),
        };
        Cause::Part {
            name,
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
            files: files.map(|(_, files)| files.clone()).unwrap_or_default(),
        }
    }

    /// Returns the reason if it is an input that missed.
    fn because_of_input(&self) -> Option<(Cause, Option<usize>)> {
        (0..self.new.inputs.len()).find_map(|input| self.because(input))
    }

    fn because(&self, input: usize) -> Option<(Cause, Option<usize>)> {
        let root = self.roots.get(*self.new.inputs.get(input)?).copied()??;
        let step = &self.build.steps[root];
        let label = if step.label().is_empty() { &step.name } else { step.label() };
        let step_name = label.to_owned();
        let cause = match step.fate {
            Fate::WouldRun => Cause::Below { step: step_name, verb: "would run" },
            Fate::MayRun => Cause::Below { step: step_name, verb: "may run" },
            _ => Cause::Below { step: step_name, verb: "ran again" },
        };
        Some((cause, Some(root)))
    }
}

/// Returns the parts of a key that is recorded in the cache.
pub(crate) fn recorded(store: &Store, key: &str) -> Option<Vec<(String, String)>> {
    let recipe = lathe_worker::recorded_recipe(store, key).ok()??;
    Some(recipe.parts.into_iter().map(|part| (part.name, part.value)).collect())
}

/// Returns which input a part stands for, if it is the key of one.
fn input_of(name: &str) -> Option<usize> {
    name.strip_prefix("input ")?.parse().ok()
}

fn is_file(name: &str) -> bool {
    name.starts_with("file ")
}

#[cfg(test)]
mod tests;
