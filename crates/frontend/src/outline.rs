//! What can be asked of a Dockerfile before it is built: which arguments, secrets, agents and
//! caches a target takes, and which targets there are (`--call outline`, `--call targets`).
//!
//! Nothing is looked up and no variable of a base image is known: values are the given ones, or
//! defaults as far as the file alone says them.

use std::collections::BTreeSet;

use lathe_dockerfile::{
    Dockerfile, Instruction, InstructionKind, MountError, MountSpec, Span, Stage, Word,
    ast::{Arg, ArgEntry, Run},
    expand,
};

use crate::{FrontendOptions, StageBody, StageGraph};

/// What a target takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Name of the stage in lower case; its number where it has none.
    pub name: String,
    /// What the comment above it says.
    pub description: Option<String>,
    /// The arguments of the target and of the stages that it needs, in order of the file.
    pub args: Vec<OutlineArg>,
    /// The secrets of their steps.
    pub secrets: Vec<OutlineNeed>,
    /// The agents of their steps.
    pub ssh: Vec<OutlineNeed>,
    /// The caches of their steps.
    pub cache: Vec<OutlineCache>,
}

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlineArg {
    /// Its name.
    pub name: String,
    /// What the comment above it says.
    pub description: Option<String>,
    /// What it would be.
    pub value: Option<String>,
    /// Where it is declared.
    pub span: Span,
}

/// A secret or an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlineNeed {
    /// Its id.
    pub name: String,
    /// Whether the build fails without it.
    pub required: bool,
    /// Where it is asked for first.
    pub span: Span,
}

/// A cache mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlineCache {
    /// Its id.
    pub id: String,
    /// Where it is asked for first.
    pub span: Span,
}

/// The stages of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    /// In order of the file.
    pub targets: Vec<Target>,
}

/// A stage that can be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name in lower case, if it has one.
    pub name: Option<String>,
    /// Whether it is built if none is named.
    pub default: bool,
    /// What the comment above it says.
    pub description: Option<String>,
    /// What it starts from, as typed.
    pub base: String,
    /// The value of its `--platform`, as typed.
    pub platform: Option<String>,
    /// The `FROM`.
    pub span: Span,
}

/// Lists the stages of a file.
pub fn targets(file: &Dockerfile) -> Targets {
    let last = file.stages.len().saturating_sub(1);
    let target = |(index, stage): (usize, &Stage)| Target {
        name: stage.key(),
        default: index == last,
        description: stage.doc.clone(),
        base: stage.base.raw.clone(),
        platform: stage.platform.as_ref().map(|word| word.raw.clone()),
        span: stage.span,
    };
    Targets { targets: file.stages.iter().enumerate().map(target).collect() }
}

/// Tells what the target of a plan takes, with all stages that it needs.
///
/// A global argument is listed if a `FROM` uses it, another listed one does, or a stage takes it
/// over.
pub fn outline(file: &Dockerfile, stages: &StageGraph, options: &FrontendOptions) -> Outline {
    let target = &file.stages[stages.target.index()];
    let mut cx = Cx { file, stages, options, used: BTreeSet::new(), args: Vec::new() };
    let mut outline = Outline {
        name: match &target.name {
            Some(name) => name.text.clone(),
            None => stages.target.0.to_string(),
        },
        description: target.doc.clone(),
        ..Outline::default()
    };
    for plan in &stages.stages {
        let stage = &file.stages[plan.id.index()];
        cx.uses(&stage.base);
        stage.platform.iter().for_each(|word| cx.uses(word));
        for trigger in &plan.triggers {
            cx.instruction(&trigger.instruction, Some(plan.base_span), &mut outline);
        }
        if plan.body == StageBody::Run {
            for instruction in &stage.instructions {
                cx.instruction(instruction, None, &mut outline);
            }
        }
    }
    outline.args = cx.finish();
    outline
}

struct Cx<'a> {
    file: &'a Dockerfile,
    stages: &'a StageGraph,
    options: &'a FrontendOptions,
    /// Names that are looked up among the global arguments.
    used: BTreeSet<String>,
    /// The arguments of the stages.
    args: Vec<OutlineArg>,
}

impl Cx<'_> {
    fn uses(&mut self, word: &Word) {
        if let Ok(expanded) = expand(&word.raw, &self.stages.global_args, self.file.escape) {
            self.used.extend(expanded.used);
        }
    }

    /// `at` is the place to show for what has none in the file.
    fn instruction(&mut self, instruction: &Instruction, at: Option<Span>, outline: &mut Outline) {
        match &instruction.kind {
            InstructionKind::Arg(arg) => self.declared(arg, at),
            InstructionKind::Run(run) => outline.run(run, at),
            _ => {}
        }
    }

    fn declared(&mut self, arg: &Arg, at: Option<Span>) {
        for entry in &arg.entries {
            self.used.insert(entry.name.clone());
            let is_global = self.global(&entry.name).is_some();
            let given = self.options.build_args.contains_key(&entry.name);
            let taken_over = entry.default.is_none() && !given && is_global;
            // An argument that a stage takes over is told where it has its value.
            if !taken_over && !self.args.iter().any(|known| known.name == entry.name) {
                let at = at.unwrap_or(entry.span);
                let arg = self.arg(entry, at);
                self.args.push(arg);
            }
        }
    }

    fn global(&self, name: &str) -> Option<&ArgEntry> {
        let mut entries = self.file.global_args.iter().flat_map(|arg| &arg.entries);
        entries.rfind(|entry| entry.name == name)
    }

    fn arg(&self, entry: &ArgEntry, span: Span) -> OutlineArg {
        let given = self.options.build_args.get(&entry.name).cloned();
        let default = || {
            let word = entry.default.as_ref()?;
            Some(expand(&word.raw, &self.stages.global_args, self.file.escape).ok()?.text)
        };
        let inherited = || self.stages.global_args.get(&entry.name).cloned();
        OutlineArg {
            name: entry.name.clone(),
            description: entry.doc.clone(),
            value: given.or_else(default).or_else(inherited),
            span,
        }
    }

    /// Returns the arguments of the stages and the global ones that are used, in order.
    fn finish(mut self) -> Vec<OutlineArg> {
        let mut seen = BTreeSet::new();
        let mut todo: Vec<String> = self.used.iter().cloned().collect();
        while let Some(name) = todo.pop() {
            let Some(entry) = self.global(&name).filter(|_| seen.insert(name.clone())) else {
                continue;
            };
            if let Some(default) = &entry.default
                && let Ok(expanded) =
                    expand(&default.raw, &self.stages.global_args, self.file.escape)
            {
                todo.extend(expanded.used);
            }
            if !self.args.iter().any(|known| known.name == name) {
                let arg = self.arg(entry, entry.span);
                self.args.push(arg);
            }
        }
        self.args.sort_by_key(|arg| arg.span.start);
        self.args
    }
}

impl Outline {
    fn run(&mut self, run: &Run, at: Option<Span>) {
        for mount in &run.mounts {
            let span = at.unwrap_or(mount.span);
            // Variables stay as typed: what they hold is known only in a build.
            let Ok(spec) = mount.resolve(|word| Ok::<_, MountError>(word.raw.clone())) else {
                continue;
            };
            match spec {
                MountSpec::Secret(secret) => {
                    add(&mut self.secrets, secret.id, secret.required, span);
                }
                MountSpec::Ssh(ssh) => {
                    add(&mut self.ssh, ssh.id, ssh.required, span);
                }
                MountSpec::Cache(cache) => {
                    let id = cache.id.unwrap_or(cache.target);
                    if !self.cache.iter().any(|known| known.id == id) {
                        self.cache.push(OutlineCache { id, span });
                    }
                }
                MountSpec::Bind(_) | MountSpec::Tmpfs(_) => {}
            }
        }
    }
}

/// Adds a need once; it is required if any step requires it.
fn add(needs: &mut Vec<OutlineNeed>, name: String, required: bool, span: Span) {
    match needs.iter_mut().find(|need| need.name == name) {
        Some(known) => known.required |= required,
        None => needs.push(OutlineNeed { name, required, span }),
    }
}

#[cfg(test)]
mod tests {
    use lathe_oci::Platform;

    use super::*;
    use crate::{Resolution, plan};

    const FILE: &str = "ARG MAJOR=1\nARG UNUSED\n# VERSION of the language\nARG VERSION=$MAJOR.2\n\
        FROM golang:$VERSION AS base\nARG FLAGS\nRUN --mount=type=secret,id=token x\n\
        # binaries the program alone\nFROM base AS binaries\nARG VERSION\nARG OUT=/o$VERSION\n\
        RUN --mount=type=secret,id=token,required=true --mount=type=ssh \\\n\
        --mount=type=cache,target=/root/.cache y\n\
        FROM scratch AS other\nARG UNSEEN\n";

    fn options() -> FrontendOptions {
        let mut options = FrontendOptions::new(Platform::linux("amd64"));
        options.target = Some("binaries".to_owned());
        options.build_args.insert("FLAGS".to_owned(), "-v".to_owned());
        options
    }

    #[test]
    fn an_outline_has_what_the_target_and_its_stages_take() {
        let file = lathe_dockerfile::parse(FILE).file;
        let stages = plan(&file, &options(), &Resolution::default()).unwrap().stages;
        let outline = outline(&file, &stages, &options());
        assert_eq!(outline.name, "binaries");
        assert_eq!(outline.description.as_deref(), Some("the program alone"));
        let args: Vec<(&str, Option<&str>, Option<&str>)> = outline
            .args
            .iter()
            .map(|arg| (arg.name.as_str(), arg.value.as_deref(), arg.description.as_deref()))
            .collect();
        let expected = [
            ("MAJOR", Some("1"), None),
            ("VERSION", Some("1.2"), Some("of the language")),
            ("FLAGS", Some("-v"), None),
            ("OUT", Some("/o1.2"), None),
        ];
        assert_eq!(args, expected);
        let needs = |needs: &[OutlineNeed]| -> Vec<(String, bool)> {
            needs.iter().map(|need| (need.name.clone(), need.required)).collect()
        };
        assert_eq!(needs(&outline.secrets), [("token".to_owned(), true)]);
        assert_eq!(needs(&outline.ssh), [("default".to_owned(), false)]);
        assert_eq!(outline.cache[0].id, "/root/.cache");
    }

    #[test]
    fn the_last_stage_is_the_default_target() {
        let targets = targets(&lathe_dockerfile::parse(FILE).file).targets;
        let names: Vec<(Option<&str>, bool)> =
            targets.iter().map(|target| (target.name.as_deref(), target.default)).collect();
        assert_eq!(
            names,
            [(Some("base"), false), (Some("binaries"), false), (Some("other"), true)]
        );
        assert_eq!(targets[1].description.as_deref(), Some("the program alone"));
        assert_eq!(targets[0].base, "golang:$VERSION");
    }
}
