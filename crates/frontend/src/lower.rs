//! From stages to the graph: every variable expanded, every path absolute, every instruction
//! a vertex, a change of the config, or both.
//!
//! One pass over the stages in the order of the file, and over the instructions of each, those of
//! the base's triggers first. What an instruction does to the image config and to the variables
//! of its stage is in `config.rs`, what it does to files in `files.rs` and `exec.rs`; what all of
//! them have in common is in `step.rs`. Errors are collected over all stages.

mod config;
mod exec;
mod files;
mod signal;
mod state;
mod step;
mod unused;
mod variables;

use std::{collections::BTreeMap, sync::Arc};

use lathe_dockerfile::{Diagnostic, Dockerfile, Instruction, InstructionKind, Rule, Span};
use lathe_graph::{
    CopyAction, FileAction, FileOp, GraphBuilder, Input, InputIndex, Op, Selector, SourceOp,
    Unpack, VertexId, VertexMeta,
};
use lathe_oci::Platform;

use self::{
    state::StageState,
    step::{StageCx, Steps},
};
use crate::{
    Base, Epoch, Errors, FrontendOptions, HistoryItem, ImageTarget, Lowered, PlatformChoice,
    Resolution, StageBody, StageGraph, StageId, StagePlan, WantedImage, epoch::epoch,
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
        epoch: Epoch::Unset,
        graph: GraphBuilder::default(),
        done: BTreeMap::new(),
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    match epoch(file, stages, options) {
        Ok(epoch) => cx.epoch = epoch,
        Err(error) => cx.errors.push(*error),
    }
    for plan in &stages.stages {
        let state = cx.stage(plan);
        cx.done.insert(plan.id, state);
    }
    if !cx.errors.is_empty() {
        return Err(cx.errors);
    }
    cx.warnings.extend(unused::build_args(file, stages, options));
    let state = cx.done.remove(&stages.target).expect("the target is one of the stages");
    let target = image_target(state, options);
    Ok(Lowered { graph: cx.graph.finish(), target, epoch: cx.epoch, warnings: cx.warnings })
}

fn image_target(mut state: StageState, options: &FrontendOptions) -> ImageTarget {
    let config = &mut state.config;
    for (name, value) in &options.labels {
        config.config.labels.insert(name.clone(), value.clone());
    }
    if options.platform_choice == PlatformChoice::Given {
        let wanted = &options.platform;
        let same = (&config.os, &config.architecture) == (&wanted.os, &wanted.architecture);
        config.os.clone_from(&wanted.os);
        config.architecture.clone_from(&wanted.architecture);
        if wanted.variant.is_some() || !same {
            config.variant.clone_from(&wanted.variant);
        }
        if wanted.os_version.is_some() || !same {
            config.os_version.clone_from(&wanted.os_version);
        }
    }
    config.variant = normal_variant(&config.architecture, config.variant.take());
    ImageTarget {
        platform: state.config.platform(),
        vertex: state.vertex,
        config: state.config,
        base: state.base,
        history: state.history,
    }
}

/// Returns the variant as containerd writes it (`platforms.Normalize`): not at all where it is the
/// usual one.
fn normal_variant(architecture: &str, variant: Option<String>) -> Option<String> {
    let named = variant.as_deref().unwrap_or_default();
    match (architecture, named) {
        ("arm64", "8" | "v8") | ("amd64", "v1") => None,
        ("arm", "" | "7") => Some("v7".to_owned()),
        ("arm", "5" | "6" | "8") => Some(format!("v{named}")),
        _ => variant.filter(|variant| !variant.is_empty()),
    }
}

struct Cx<'a> {
    file: &'a Dockerfile,
    options: &'a FrontendOptions,
    stages: &'a StageGraph,
    resolution: &'a Resolution,
    epoch: Epoch,
    graph: GraphBuilder,
    done: BTreeMap<StageId, StageState>,
    errors: Errors,
    warnings: Vec<Diagnostic>,
}

/// Tells whether an instruction is a step that is counted.
fn is_step(instruction: &Instruction) -> bool {
    use InstructionKind as K;
    matches!(instruction.kind, K::Run(_) | K::Copy(_) | K::Add(_) | K::Workdir(_))
}

impl Cx<'_> {
    fn stage(&mut self, plan: &StagePlan) -> StageState {
        let source = &self.file.stages[plan.id.index()];
        let body = match plan.body {
            StageBody::Run => source.instructions.as_slice(),
            StageBody::Replaced => &[],
        };
        let triggers = plan.triggers.iter().map(|trigger| &trigger.instruction);
        let total = usize::from(matches!(plan.base, Base::Image(_) | Base::Context(_)))
            + body.iter().chain(triggers).filter(|it| is_step(it)).count();
        let mut steps = Steps { stage: plan.name.as_str().into(), done: 0, total };
        // A lone stage needs no name in front of its steps.
        if self.file.stages.len() == 1 && source.name.is_none() {
            steps.stage = "".into();
        }
        let mut state = self.base_state(plan, &mut steps);
        if plan.body == StageBody::Replaced {
            state.config.config.on_build.clear();
            return state;
        }
        state.begin();
        let mut stage = StageCx::new(self, plan, state, steps);
        for trigger in &plan.triggers {
            stage.trigger(trigger);
        }
        for instruction in body {
            stage.instruction(instruction);
        }
        stage.state
    }

    fn base_state(&mut self, plan: &StagePlan, steps: &mut Steps) -> StageState {
        match &plan.base {
            Base::Scratch => StageState::scratch(&plan.platform, None),
            Base::Stage(id) => self.done[id].clone(),
            Base::Context(name) => self.on_context(plan, name, steps),
            Base::Image(image) => {
                let vertex = self.image(image, plan.base_span, steps);
                let Some(pinned) = self.resolution.images.get(&**image) else {
                    let vertex = vertex.expect("an image that is not known has a place holder");
                    return StageState::unknown(vertex, &plan.platform);
                };
                let state = StageState::of_image(vertex, pinned, &plan.platform);
                self.warnings.extend(self.wrong_platform(image, &plan.platform, plan.base_span));
                state
            }
        }
    }

    /// Starts from the files of a named context: they are the first layer.
    fn on_context(&mut self, plan: &StagePlan, name: &str, steps: &mut Steps) -> StageState {
        let span = plan.base_span;
        let copy = CopyAction {
            from: InputIndex(0),
            select: Selector { paths: vec![".".to_owned()], exclude: Vec::new() },
            destination: "/".to_owned(),
            owner: None,
            mode: None,
            unpack: Unpack::Never,
            parents: false,
        };
        let op = Op::File(FileOp { base: None, actions: vec![FileAction::Copy(copy)] });
        let inputs = vec![Input { vertex: self.context(name), by_content: true }];
        let meta = VertexMeta {
            name: steps.next(&format!("FROM {name}")),
            stage: Arc::clone(&steps.stage),
            span: Some((span.start, span.end)),
            ignore_cache: false,
        };
        let vertex = self.graph.add(op, inputs, meta);
        let mut state = StageState::scratch(&plan.platform, Some(vertex));
        let created_by = format!("FROM {name}");
        state.history.push(HistoryItem { created_by, vertex: Some(vertex) });
        state
    }

    /// Returns the vertex of an image, `None` if it has no layers.
    fn image(&mut self, image: &WantedImage, span: Span, steps: &mut Steps) -> Option<VertexId> {
        let name = steps.next(&format!("FROM {}", image.reference));
        let meta = VertexMeta {
            name,
            stage: Arc::clone(&steps.stage),
            span: Some((span.start, span.end)),
            ignore_cache: false,
        };
        if self.resolution.unknown.contains(image) {
            // Nothing is built with it: only checks go on without an image.
            let name = image.reference.to_string();
            let op = Op::Source(SourceOp::Local { name });
            return Some(self.graph.add(op, Vec::new(), meta));
        }
        let pinned = &self.resolution.images[image];
        if pinned.layers.is_empty() {
            return None;
        }
        let op = Op::Source(SourceOp::Image {
            name: image.reference.familiar(),
            manifest: pinned.manifest,
            platform: image.platform.clone(),
        });
        Some(self.graph.add(op, Vec::new(), meta))
    }

    /// Warns of an image with files for another platform than the wanted one.
    fn wrong_platform(
        &self,
        image: &WantedImage,
        wanted: &Platform,
        span: Span,
    ) -> Option<Diagnostic> {
        let pinned = self.resolution.images.get(image).filter(|it| !it.layers.is_empty())?;
        let found = pinned.config.platform();
        if (&wanted.os, &wanted.architecture) == (&found.os, &found.architecture) {
            return None;
        }
        let name = image.reference.familiar();
        let message = format!("`{name}` is for {found}, and {wanted} is wanted");
        Some(Diagnostic::warning(Rule::InvalidBaseImagePlatform, span, message))
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

    /// Returns a vertex without files, for who copies or mounts from nothing.
    fn empty(&mut self) -> VertexId {
        let op = Op::File(FileOp { base: None, actions: Vec::new() });
        let name = "[internal] no files".into();
        self.graph.add(op, Vec::new(), VertexMeta { name, ..VertexMeta::default() })
    }
}
