//! From stages to the graph: every variable expanded, every path absolute, every instruction
//! a vertex, a change of the config, or both.
//!
//! One pass over the stages in the order of the file, and over the instructions of each. What an
//! instruction does to the image config and to the variables of its stage is in `config.rs`,
//! what it does to files in `files.rs` and `exec.rs`. Errors are collected over all stages.

mod config;
mod exec;
mod files;
mod history;
mod state;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lathe_dockerfile::{
    Diagnostic, Dockerfile, Instruction, InstructionKind, Rule, Span, Word, expand, suggest,
};
use lathe_graph::{GraphBuilder, Input, Op, SourceOp, VertexId, VertexMeta};

use self::state::StageState;
use crate::{
    Base, Epoch, Errors, FrontendOptions, HistoryItem, ImageTarget, Lowered, Resolution,
    StageGraph, StageId, StagePlan, WantedImage, options::PROXY_ARGS,
};

/// Makes the build graph of the planned stages.
///
/// # Panics
/// If `resolution` lacks an image that `stages` wants.
pub fn lower(
    file: &Dockerfile,
    stages: &StageGraph,
    resolution: &Resolution,
    options: &FrontendOptions,
) -> Result<Lowered, Errors> {
    let mut cx = Cx {
        file,
        options,
        stages,
        resolution,
        graph: GraphBuilder::default(),
        done: BTreeMap::new(),
        errors: Vec::new(),
    };
    for plan in &stages.stages {
        let state = cx.stage(plan);
        cx.done.insert(plan.id, state);
    }
    if !cx.errors.is_empty() {
        return Err(cx.errors);
    }
    let state = cx.done.remove(&stages.target).expect("the target is one of the stages");
    let target = image_target(state, options);
    let warnings = unconsumed(file, options);
    Ok(Lowered { graph: cx.graph.finish(), target, epoch: Epoch::Unset, warnings })
}

/// Warns of build arguments that no `ARG` takes: mostly a name that is misspelt.
fn unconsumed(file: &Dockerfile, options: &FrontendOptions) -> Vec<Diagnostic> {
    let in_stages = file.stages.iter().flat_map(|stage| &stage.instructions);
    let in_stages = in_stages.filter_map(|instruction| match &instruction.kind {
        InstructionKind::Arg(arg) => Some(arg),
        _ => None,
    });
    let declared: BTreeSet<&str> = file
        .global_args
        .iter()
        .chain(in_stages)
        .flat_map(|arg| &arg.entries)
        .map(|entry| entry.name.as_str())
        .collect();
    let platform = options.platform_args();
    let known = |name: &str| {
        declared.contains(name)
            || PROXY_ARGS.contains(&name)
            || name.starts_with("BUILDKIT_")
            || name == "SOURCE_DATE_EPOCH"
            || platform.contains_key(name)
    };
    let warn = |name: &String| {
        let message = format!("no ARG takes the build argument `{name}`");
        let warning = Diagnostic::warning(Rule::UndefinedVar, Span::empty_at(0), message);
        warning.did_you_mean(suggest(name, declared.iter().copied()))
    };
    options.build_args.keys().filter(|name| !known(name)).map(warn).collect()
}

fn image_target(mut state: StageState, options: &FrontendOptions) -> ImageTarget {
    for (name, value) in &options.labels {
        state.config.config.labels.insert(name.clone(), value.clone());
    }
    ImageTarget {
        platform: state.platform,
        vertex: state.vertex,
        config: state.config,
        base: state.base,
        history: state.history,
    }
}

struct Cx<'a> {
    file: &'a Dockerfile,
    options: &'a FrontendOptions,
    stages: &'a StageGraph,
    resolution: &'a Resolution,
    graph: GraphBuilder,
    done: BTreeMap<StageId, StageState>,
    errors: Errors,
}

impl Cx<'_> {
    fn stage(&mut self, plan: &StagePlan) -> StageState {
        let source = &self.file.stages[plan.id.index()];
        let makes_layer = |instruction: &&Instruction| {
            use InstructionKind as K;
            matches!(instruction.kind, K::Run(_) | K::Copy(_) | K::Add(_) | K::Workdir(_))
        };
        let from_image = matches!(plan.base, Base::Image(_));
        let total =
            source.instructions.iter().filter(makes_layer).count() + usize::from(from_image);
        let mut steps = Steps { stage: plan.name.as_str().into(), done: 0, total };
        // A lone stage needs no name in front of its steps.
        if self.file.stages.len() == 1 && source.name.is_none() {
            steps.stage = "".into();
        }
        let state = self.base_state(plan, &mut steps);
        let mut stage = StageCx { cx: self, plan, state, steps };
        for instruction in &source.instructions {
            if let Err(error) = stage.instruction(instruction) {
                stage.cx.errors.push(*error);
            }
        }
        stage.state
    }

    fn base_state(&mut self, plan: &StagePlan, steps: &mut Steps) -> StageState {
        let mut state = match &plan.base {
            Base::Scratch => StageState::scratch(&plan.platform),
            Base::Stage(id) => self.done[id].clone(),
            Base::Context(name) => {
                let mut state = StageState::scratch(&plan.platform);
                state.vertex = Some(self.context(name));
                state
            }
            Base::Image(image) => {
                let vertex = self.image(image, plan.base_span, steps);
                StageState::of_image(vertex, &self.resolution.images[image], &plan.platform)
            }
        };
        if !state.config.config.on_build.is_empty() {
            let message = "the base image has ONBUILD triggers, which this version does not run";
            let diagnostic = Diagnostic::error(plan.base_span, message);
            self.errors.push(diagnostic.help("copy its ONBUILD instructions below the FROM line"));
        }
        state.begin();
        state
    }

    /// Returns the vertex of an image, `None` if it has no layers.
    fn image(&mut self, image: &WantedImage, span: Span, steps: &mut Steps) -> Option<VertexId> {
        let pinned = &self.resolution.images[image];
        let name = steps.next(&format!("FROM {}", image.reference));
        if pinned.layers.is_empty() {
            return None;
        }
        let op = Op::Source(SourceOp::Image {
            name: image.reference.familiar(),
            manifest: pinned.manifest,
            platform: image.platform.clone(),
        });
        let meta = VertexMeta {
            name,
            stage: Arc::clone(&steps.stage),
            span: Some((span.start, span.end)),
            ignore_cache: false,
        };
        Some(self.graph.add(op, Vec::new(), meta))
    }

    fn local_context(&mut self) -> VertexId {
        self.context("context")
    }

    /// Returns the vertex of the build context or of a named one.
    fn context(&mut self, name: &str) -> VertexId {
        let op = Op::Source(SourceOp::Local { name: name.to_owned() });
        let shown = match name {
            "context" => "[internal] load build context".into(),
            name => format!("[context {name}] load from client").into(),
        };
        self.graph.add(op, Vec::new(), VertexMeta { name: shown, ..VertexMeta::default() })
    }
}

/// Numbers the steps of a stage for display.
#[derive(Clone)]
struct Steps {
    stage: Arc<str>,
    done: usize,
    total: usize,
}

impl Steps {
    fn next(&mut self, text: &str) -> Arc<str> {
        self.done += 1;
        let space = if self.stage.is_empty() { "" } else { " " };
        format!("[{}{space}{}/{}] {text}", self.stage, self.done, self.total).into()
    }
}

/// A finding that stops the instruction; boxed, since it is large and rare.
type Stop = Box<Diagnostic>;

#[expect(clippy::unnecessary_box_returns, reason = "see `Stop`")]
fn stop(span: Span, message: impl Into<String>) -> Stop {
    Box::new(Diagnostic::error(span, message))
}

#[expect(clippy::unnecessary_box_returns, reason = "see `Stop`")]
fn stop_with_help(span: Span, message: impl Into<String>, help: impl Into<String>) -> Stop {
    Box::new(Diagnostic::error(span, message).help(help))
}

/// One stage under way.
struct StageCx<'c, 'a> {
    cx: &'c mut Cx<'a>,
    plan: &'c StagePlan,
    state: StageState,
    steps: Steps,
}

impl StageCx<'_, '_> {
    fn instruction(&mut self, instruction: &Instruction) -> Result<(), Stop> {
        use InstructionKind as K;
        match &instruction.kind {
            K::Run(run) => self.run(instruction, run),
            K::Copy(copy) => self.copy(instruction, copy),
            K::Add(add) => self.add(instruction, add),
            K::Workdir(workdir) => self.workdir(instruction, workdir),
            K::Arg(arg) => self.arg(arg),
            K::Env(env) => self.env(env),
            K::Label(label) => self.label(label),
            K::User(user) => self.user(user),
            K::Expose(expose) => self.expose(expose),
            K::Volume(volume) => self.volume(volume),
            K::StopSignal(signal) => self.stop_signal(signal),
            K::Cmd(cmd) => self.cmd(cmd),
            K::Entrypoint(entrypoint) => self.entrypoint(entrypoint),
            K::Healthcheck(healthcheck) => self.healthcheck(healthcheck),
            K::Shell(shell) => self.shell(shell),
            K::Maintainer(maintainer) => self.maintainer(maintainer),
            K::Onbuild(onbuild) => {
                self.state.config.config.on_build.push(onbuild.trigger.clone());
                Ok(())
            }
        }
    }

    fn expand(&mut self, word: &Word) -> Result<String, Stop> {
        match expand(&word.raw, &self.state, self.cx.file.escape) {
            Ok(expanded) => Ok(expanded.text),
            Err(error) => Err(stop(word.span, error.to_string())),
        }
    }

    fn expand_all(&mut self, words: &[Word]) -> Result<Vec<String>, Stop> {
        words.iter().map(|word| self.expand(word)).collect()
    }

    /// Adds the vertex of an instruction, on top of the stage so far where the operation wants
    /// it, and its item of the history.
    fn layer(&mut self, instruction: &Instruction, op: Op, inputs: Vec<Input>, created_by: String) {
        let span = instruction.span;
        let meta = VertexMeta {
            name: self.steps.next(&instruction.source),
            stage: self.plan.name.as_str().into(),
            span: Some((span.start, span.end)),
            ignore_cache: self.cx.options.no_cache,
        };
        let vertex = self.cx.graph.add(op, inputs, meta);
        self.state.vertex = Some(vertex);
        self.state.history.push(HistoryItem { created_by, vertex: Some(vertex) });
    }

    /// Adds an item of the history without a layer.
    fn note(&mut self, created_by: String) {
        self.state.history.push(HistoryItem { created_by, vertex: None });
    }

    /// Returns the output that a `from` means, `None` if it is empty.
    fn from(&mut self, word: &Word) -> Option<VertexId> {
        match &self.plan.froms[&word.raw] {
            Base::Scratch => None,
            Base::Stage(id) => self.cx.done[id].vertex,
            Base::Context(name) => {
                let name = name.clone();
                Some(self.cx.context(&name))
            }
            Base::Image(image) => {
                // Shown as a step of its own, outside of the stage's numbers.
                let mut steps =
                    Steps { stage: image.reference.familiar().into(), done: 0, total: 1 };
                self.cx.image(image, word.span, &mut steps)
            }
        }
    }
}
