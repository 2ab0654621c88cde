//! Which stages a target needs, and what each name in them means.
//!
//! Names follow BuildKit: `FROM` means the latest stage of that name before it; `COPY --from`
//! the last stage of that name in the file, which must come before; then an image. Names of
//! stages are compared in lower case. Stages that the target does not need are parsed but not
//! looked at: they may name images that do not exist.

use std::collections::{BTreeMap, BTreeSet};

use lathe_dockerfile::{
    Diagnostic, Dockerfile, InstructionKind, Span, Stage, Word, expand, suggest,
};
use lathe_oci::{Platform, Reference};

use crate::{
    Base, Errors, FrontendOptions, Resolution, StageGraph, StageId, StagePlan, WantedImage,
};

/// A plan, with what the user should know.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The plan.
    pub stages: StageGraph,
    /// Findings that do not stop the build.
    pub warnings: Vec<Diagnostic>,
}

/// Finds the stages that the target needs and resolves their names.
///
/// What is known of images so far is in `known`: triggers of a base image may name further ones,
/// so that a caller plans again until nothing new is wanted ([`crate::StageGraph::wanted`]).
pub fn plan(
    file: &Dockerfile,
    options: &FrontendOptions,
    known: &Resolution,
) -> Result<Planned, Errors> {
    let _ = known;
    let mut cx = Cx { file, options, args: options.platform_args(), errors: Vec::new() };
    cx.expand_global_args();
    let Some(target) = cx.target() else { return Err(cx.errors) };
    let mut plans = BTreeMap::new();
    let mut todo = vec![target];
    while let Some(id) = todo.pop() {
        if plans.contains_key(&id) {
            continue;
        }
        let Some(plan) = cx.stage(id) else { continue };
        let bases = std::iter::once(&plan.base).chain(plan.froms.values());
        todo.extend(bases.filter_map(|base| match base {
            Base::Stage(id) => Some(*id),
            Base::Scratch | Base::Image(_) | Base::Context(_) => None,
        }));
        plans.insert(id, plan);
    }
    if cx.errors.is_empty() {
        let stages = plans.into_values().collect();
        let stages = StageGraph { stages, target, global_args: cx.args };
        Ok(Planned { stages, warnings: Vec::new() })
    } else {
        cx.errors.sort_by_key(|error| error.span.start);
        Err(cx.errors)
    }
}

struct Cx<'a> {
    file: &'a Dockerfile,
    options: &'a FrontendOptions,
    args: BTreeMap<String, String>,
    errors: Errors,
}

impl Cx<'_> {
    fn expand(&mut self, word: &Word) -> Option<String> {
        match expand(&word.raw, &self.args, self.file.escape) {
            Ok(expanded) => Some(expanded.text),
            Err(error) => {
                self.errors.push(Diagnostic::error(word.span, error.to_string()));
                None
            }
        }
    }

    fn expand_global_args(&mut self) {
        for entry in self.file.global_args.iter().flat_map(|arg| &arg.entries) {
            let value = match (self.options.build_args.get(&entry.name), &entry.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => self.expand(default),
                (None, None) => None,
            };
            if let Some(value) = value {
                self.args.insert(entry.name.clone(), value);
            }
        }
    }

    fn target(&mut self) -> Option<StageId> {
        let count = self.file.stages.len();
        let Some(wanted) = &self.options.target else {
            return u32::try_from(count.checked_sub(1)?).ok().map(StageId);
        };
        let found = self
            .find(wanted, count)
            .or_else(|| wanted.parse::<u32>().ok().filter(|n| (*n as usize) < count).map(StageId));
        if found.is_none() {
            let names: Vec<String> = self.file.stages.iter().filter_map(Stage::key).collect();
            let near = suggest(&wanted.to_lowercase(), names.iter().map(String::as_str));
            let message = format!("there is no stage `{wanted}` (--target)");
            let error = Diagnostic::error(Span::empty_at(0), message);
            self.errors.push(match near {
                Some(near) => error.help(format!("did you mean `--target {near}`?")),
                None if names.is_empty() => error.help("name a stage: `FROM image AS name`"),
                None => error.help(format!("the stages are {}", quoted(&names))),
            });
        }
        found
    }

    /// Returns the last of the first `before` stages that has this name.
    fn find(&self, name: &str, before: usize) -> Option<StageId> {
        let name = name.to_lowercase();
        let stages = self.file.stages[..before].iter();
        let index = stages.rposition_key(&name)?;
        u32::try_from(index).ok().map(StageId)
    }

    fn stage(&mut self, id: StageId) -> Option<StagePlan> {
        let stage = &self.file.stages[id.index()];
        let platform = match &stage.platform {
            Some(word) => self.platform(word)?,
            None => self.options.platform.clone(),
        };
        let base = self.base(stage, id, &platform)?;
        // What stands on a stage is for that stage's platform, unless it says otherwise.
        let name = stage.key().unwrap_or_else(|| format!("stage-{}", id.0));
        let mut froms = BTreeMap::new();
        for word in from_words(stage) {
            if !froms.contains_key(&word.raw) {
                let from = self.from(word, id, &platform)?;
                froms.insert(word.raw.clone(), from);
            }
        }
        Some(StagePlan { id, name, base, platform, froms, base_span: stage.base.span })
    }

    fn platform(&mut self, word: &Word) -> Option<Platform> {
        let text = self.expand(word)?;
        match text.parse() {
            Ok(platform) => Some(platform),
            Err(error) => {
                self.errors.push(Diagnostic::error(word.span, error.to_string()));
                None
            }
        }
    }

    fn base(&mut self, stage: &Stage, id: StageId, platform: &Platform) -> Option<Base> {
        let word = &stage.base;
        let text = self.expand(word)?;
        if text.is_empty() {
            let message = format!("the base name `{}` is empty after expansion", word.raw);
            let help = "give the variable a default before the first FROM: `ARG NAME=value`";
            self.errors.push(Diagnostic::error(word.span, message).help(help));
            return None;
        }
        if text == "scratch" {
            return Some(Base::Scratch);
        }
        if let Some(found) = self.find(&text, id.index()) {
            return Some(Base::Stage(found));
        }
        self.image(&text, word.span, platform)
    }

    fn from(&mut self, word: &Word, id: StageId, platform: &Platform) -> Option<Base> {
        let text = &word.raw;
        if text.contains('$') {
            let help = "name the image in a stage of its own: `FROM image:$TAG AS name`";
            let message = format!("`{text}`: variables are not expanded in `from`");
            self.errors.push(Diagnostic::error(word.span, message).help(help));
            return None;
        }
        if text == "scratch" {
            return Some(Base::Scratch);
        }
        let count = self.file.stages.len();
        let numbered = text.parse::<u32>().ok().map(StageId);
        let Some(found) = self.find(text, count).or(numbered) else {
            return self.image(text, word.span, platform);
        };
        if found < id {
            return Some(Base::Stage(found));
        }
        let error = if found.index() >= count {
            let message = format!("there is no stage {text}: the stages are numbered from 0");
            Diagnostic::error(word.span, message)
        } else if found == id {
            Diagnostic::error(word.span, format!("stage `{text}` cannot copy from itself"))
        } else {
            let message = format!("stage `{text}` must be defined before the stage that uses it");
            let defined = self.file.stages[found.index()].span;
            Diagnostic::error(word.span, message).label(defined, "it is defined here")
        };
        self.errors.push(error);
        None
    }

    fn image(&mut self, text: &str, span: Span, platform: &Platform) -> Option<Base> {
        match Reference::parse(text) {
            Ok(reference) => Some(Base::Image(Box::new(WantedImage {
                reference: reference.with_default_tag(),
                platform: platform.clone(),
            }))),
            Err(error) => {
                self.errors.push(Diagnostic::error(span, error.to_string()));
                None
            }
        }
    }
}

trait RPositionKey {
    fn rposition_key(self, key: &str) -> Option<usize>;
}

impl RPositionKey for std::slice::Iter<'_, Stage> {
    fn rposition_key(mut self, key: &str) -> Option<usize> {
        self.rposition(|stage| stage.key().as_deref() == Some(key))
    }
}

/// Returns the words that name another stage or an image, other than the base.
fn from_words(stage: &Stage) -> impl Iterator<Item = &Word> {
    stage.instructions.iter().flat_map(|instruction| match &instruction.kind {
        InstructionKind::Copy(copy) => copy.from.iter().collect(),
        InstructionKind::Run(run) => run.mounts.iter().filter_map(|mount| mount.from()).collect(),
        _ => Vec::new(),
    })
}

fn quoted(names: &[String]) -> String {
    let unique: BTreeSet<&String> = names.iter().collect();
    unique.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(target: Option<&str>) -> FrontendOptions {
        FrontendOptions {
            target: target.map(str::to_owned),
            build_args: BTreeMap::from([("TAG".to_owned(), "9".to_owned())]),
            ..FrontendOptions::new(Platform::linux("amd64"))
        }
    }

    fn check(text: &str, target: Option<&str>, expected: &str) {
        let parse = lathe_dockerfile::parse(text);
        assert!(!parse.has_errors(), "{:?}", parse.diagnostics);
        let planned = plan(&parse.file, &options(target), &Resolution::default()).unwrap();
        assert_eq!(planned.stages.dump(), expected);
    }

    fn check_error(text: &str, target: Option<&str>, expected: &str) {
        let parse = lathe_dockerfile::parse(text);
        let errors = plan(&parse.file, &options(target), &Resolution::default()).unwrap_err();
        let message = format!("{}; {}", errors[0].message, errors[0].help.as_deref().unwrap_or(""));
        assert_eq!(message, expected);
    }

    const STAGES: &str = "ARG TAG=1\nFROM a:$TAG AS Base\nFROM base AS dev\nRUN x\nFROM b AS prod\n\
                          COPY --from=base /x /x\nCOPY --from=0 /y /y\nCOPY --from=c:2 /z /z\n";

    #[test]
    fn inv_frontend_names_become_stages_or_references() {
        check(
            STAGES,
            None,
            "0 base from image docker.io/library/a:9 linux/amd64\n\
             2 prod from image docker.io/library/b:latest linux/amd64\n    \
             0: stage 0\n    base: stage 0\n    c:2: image docker.io/library/c:2 linux/amd64\n\
             target 2\n",
        );
    }

    #[test]
    fn inv_frontend_reachable_only_what_the_target_needs() {
        check(
            STAGES,
            Some("DEV"),
            "0 base from image docker.io/library/a:9 linux/amd64\n1 dev from stage 0\ntarget 1\n",
        );
        check(STAGES, Some("0"), "0 base from image docker.io/library/a:9 linux/amd64\ntarget 0\n");
    }

    #[test]
    fn from_binds_to_the_stage_before_it_even_of_its_own_name() {
        check(
            "FROM a AS x\nFROM x AS x\n",
            None,
            "0 x from image docker.io/library/a:latest linux/amd64\n1 x from stage 0\ntarget 1\n",
        );
    }

    #[test]
    fn wrong_names_are_explained() {
        check_error(
            STAGES,
            Some("prd"),
            "there is no stage `prd` (--target); did you mean `--target prod`?",
        );
        check_error(
            "FROM a AS x\nCOPY --from=x / /\n",
            None,
            "stage `x` cannot copy from itself; ",
        );
        check_error(
            "FROM a AS x\nCOPY --from=y / /\nFROM a AS y\n",
            Some("x"),
            "stage `y` must be defined before the stage that uses it; ",
        );
        check_error(
            "FROM $NOPE\n",
            None,
            "the base name `$NOPE` is empty after expansion; \
             give the variable a default before the first FROM: `ARG NAME=value`",
        );
        check_error(
            "FROM a\nCOPY --from=7 / /\n",
            None,
            "there is no stage 7: the stages are numbered from 0; ",
        );
    }
}
