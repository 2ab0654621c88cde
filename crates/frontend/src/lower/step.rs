//! One stage under way, and what all instructions have in common: expansion, findings, vertices
//! and history.

use std::sync::Arc;

use lathe_dockerfile::{
    Diagnostic, Expanded, Instruction, InstructionKind, Rule, Span, Word, WordError, expand,
    suggest,
};
use lathe_graph::{Input, Op, VertexId, VertexMeta};

use super::{
    Cx,
    state::{Knowledge, StageState},
};
use crate::{Base, HistoryItem, StagePlan, Trigger, options::SCAN_ARGS, redact};

/// Numbers the steps of a stage for display.
#[derive(Clone)]
pub(super) struct Steps {
    pub(super) stage: Arc<str>,
    pub(super) done: usize,
    pub(super) total: usize,
}

impl Steps {
    pub(super) fn next(&mut self, text: &str) -> Arc<str> {
        self.done += 1;
        let space = if self.stage.is_empty() { "" } else { " " };
        format!("[{}{space}{}/{}] {text}", self.stage, self.done, self.total).into()
    }
}

/// A finding that stops the instruction; boxed, since it is large and rare.
pub(super) type Stop = Box<Diagnostic>;

#[expect(clippy::unnecessary_box_returns, reason = "see `Stop`")]
pub(super) fn stop(span: Span, message: impl Into<String>) -> Stop {
    Box::new(Diagnostic::error(span, message))
}

#[expect(clippy::unnecessary_box_returns, reason = "see `Stop`")]
pub(super) fn stop_with_help(
    span: Span,
    message: impl Into<String>,
    help: impl Into<String>,
) -> Stop {
    Box::new(Diagnostic::error(span, message).help(help))
}

/// One stage under way.
pub(super) struct StageCx<'c, 'a> {
    pub(super) cx: &'c mut Cx<'a>,
    pub(super) plan: &'c StagePlan,
    pub(super) state: StageState,
    pub(super) steps: Steps,
    /// The trigger that is run; its spans are not of the file.
    trigger: Option<&'c Trigger>,
}

impl<'c, 'a> StageCx<'c, 'a> {
    pub(super) fn new(
        cx: &'c mut Cx<'a>,
        plan: &'c StagePlan,
        state: StageState,
        steps: Steps,
    ) -> Self {
        Self { cx, plan, state, steps, trigger: None }
    }

    /// Runs what the base wants to be run. Findings are shown at the `FROM`.
    pub(super) fn trigger(&mut self, trigger: &'c Trigger) {
        self.trigger = Some(trigger);
        self.instruction(&trigger.instruction);
        self.trigger = None;
    }

    pub(super) fn instruction(&mut self, instruction: &Instruction) {
        if let Err(error) = self.dispatch(instruction) {
            let error = self.placed(*error);
            self.cx.errors.push(error);
        }
    }

    fn dispatch(&mut self, instruction: &Instruction) -> Result<(), Stop> {
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
            K::Cmd(cmd) => {
                self.cmd(cmd);
                Ok(())
            }
            K::Entrypoint(entrypoint) => {
                self.entrypoint(entrypoint);
                Ok(())
            }
            K::Healthcheck(healthcheck) => {
                self.healthcheck(healthcheck);
                Ok(())
            }
            K::Shell(shell) => {
                self.shell(shell);
                Ok(())
            }
            K::Maintainer(maintainer) => {
                self.maintainer(maintainer);
                Ok(())
            }
            K::Onbuild(onbuild) => {
                self.state.config.config.on_build.push(onbuild.trigger.clone());
                Ok(())
            }
        }
    }

    /// Returns a finding at a place of the file: that of a trigger goes to the `FROM`.
    fn placed(&self, finding: Diagnostic) -> Diagnostic {
        let Some(trigger) = self.trigger else { return finding };
        let message = format!("in the trigger `ONBUILD {}`: {}", trigger.text, finding.message);
        Diagnostic { span: self.plan.base_span, message, labels: Vec::new(), ..finding }
    }

    pub(super) fn warn(&mut self, warning: Diagnostic) {
        let warning = self.placed(warning);
        self.cx.warnings.push(warning);
    }

    pub(super) fn expand(&mut self, word: &Word) -> Result<String, Stop> {
        let expanded = expand(&word.raw, &self.state, self.cx.file.escape);
        self.expanded(word, expanded)
    }

    /// Takes what a word became: tells of variables that are not set.
    pub(super) fn expanded(
        &mut self,
        word: &Word,
        expanded: Result<Expanded, WordError>,
    ) -> Result<String, Stop> {
        match expanded {
            Ok(expanded) => {
                self.undefined(word, expanded.unset.iter());
                Ok(expanded.text)
            }
            // The base image may have set it.
            Err(WordError::Required { .. }) if self.state.knowledge == Knowledge::NoBase => {
                Ok(word.raw.clone())
            }
            Err(error) => Err(stop(word.locate(error.offset()), error.to_string())),
        }
    }

    /// Warns of variables that nothing declares.
    pub(super) fn undefined<'s>(
        &mut self,
        word: &Word,
        unset: impl Iterator<Item = &'s String> + 's,
    ) {
        if self.state.knowledge == Knowledge::NoBase {
            return;
        }
        for name in unset {
            let declared = self.state.args.iter().any(|arg| arg == name);
            if declared || SCAN_ARGS.contains(&name.as_str()) {
                continue;
            }
            let near = suggest(name, self.state.vars.names());
            let message = format!("no ARG or ENV sets the variable `{name}`");
            let warning = Diagnostic::warning(Rule::UndefinedVar, word.span, message);
            let warning = warning.did_you_mean(near.map(|near| format!("${near}")).as_deref());
            self.warn(warning);
        }
    }

    pub(super) fn expand_all(&mut self, words: &[Word]) -> Result<Vec<String>, Stop> {
        words.iter().map(|word| self.expand(word)).collect()
    }

    pub(super) fn expand_optional(&mut self, word: Option<&Word>) -> Result<Option<String>, Stop> {
        // `--chown=$UNSET` is as good as no flag.
        let text = word.map(|word| self.expand(word)).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// Returns the place of an instruction in the file.
    pub(super) fn place(&self, instruction: &Instruction) -> Span {
        if self.trigger.is_some() { self.plan.base_span } else { instruction.span }
    }

    /// Returns what people see of the next step.
    pub(super) fn next_step(&mut self, instruction: &Instruction) -> Arc<str> {
        let onbuild = if self.trigger.is_some() { "ONBUILD " } else { "" };
        self.steps.next(&format!("{onbuild}{}", redact(&instruction.source)))
    }

    /// Adds the vertex of an instruction.
    pub(super) fn vertex(
        &mut self,
        instruction: &Instruction,
        name: Arc<str>,
        op: Op,
        inputs: Vec<Input>,
    ) -> VertexId {
        let span = self.place(instruction);
        let stage = &self.cx.file.stages[self.plan.id.index()];
        let meta = VertexMeta {
            name,
            stage: self.plan.name.as_str().into(),
            span: Some((span.start, span.end)),
            ignore_cache: self.cx.options.ignores_cache(stage.key().as_deref()),
        };
        self.cx.graph.add(op, inputs, meta)
    }

    /// Adds the vertex of an instruction as the next layer, with its item of the history.
    pub(super) fn layer(
        &mut self,
        instruction: &Instruction,
        op: Op,
        inputs: Vec<Input>,
        created_by: String,
    ) {
        let name = self.next_step(instruction);
        let vertex = self.vertex(instruction, name, op, inputs);
        self.commit(vertex, created_by);
    }

    /// Makes a vertex the next layer.
    pub(super) fn commit(&mut self, vertex: VertexId, created_by: String) {
        self.state.vertex = Some(vertex);
        self.state.history.push(HistoryItem { created_by, vertex: Some(vertex) });
    }

    /// Adds an item of the history without a layer.
    pub(super) fn note(&mut self, created_by: String) {
        self.state.history.push(HistoryItem { created_by, vertex: None });
    }

    /// Returns the output that a `from` means.
    pub(super) fn from(&mut self, word: &Word) -> VertexId {
        let found = match &self.plan.froms[&word.raw] {
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
                let span = self.plan.from_spans[&word.raw];
                let finding = self.cx.wrong_platform(image, &image.platform, span);
                self.cx.warnings.extend(finding);
                self.cx.image(image, span, &mut steps)
            }
        };
        found.unwrap_or_else(|| self.cx.empty())
    }
}
