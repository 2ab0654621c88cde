//! Requests about a Dockerfile that build nothing: `--check`, `--call`, `--print`.

use lathe_dockerfile::{Diagnostic, Dockerfile, Span, line_column};
use lathe_frontend::{FrontendOptions, Outline, PlanScope, Resolution, StageGraph, Targets, lower};

use crate::{
    BuildRequest, Engine, Error, Result,
    contexts::Contexts,
    dockerfile::Source,
    findings::{self, Lint},
    resolve::{Missing, plan_and_resolve},
};

/// A finding, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the rule.
    pub rule: &'static str,
    /// What the rule is about, and what to do.
    pub about: &'static str,
    /// Whether a build would end here.
    pub is_error: bool,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// First and last line, from 1.
    pub lines: (usize, usize),
    /// With the source lines and a mark.
    pub rendered: String,
}

/// The text that an answer is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// Name of the Dockerfile.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl SourceText {
    fn of(source: &Source) -> Self {
        Self { name: source.name.clone(), text: source.text.clone() }
    }

    /// Returns the first and the last line of a place, from 1.
    pub fn lines(&self, span: Span) -> (usize, usize) {
        lines(&self.text, span)
    }
}

/// What checks found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// The Dockerfile.
    pub source: SourceText,
    /// In order of their places.
    pub findings: Vec<Finding>,
}

/// Which form of a build is shown by `--print`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The parsed Dockerfile.
    Dockerfile,
    /// The stages that are needed, with names resolved.
    Stages,
    /// The build graph.
    Graph,
}

/// Finds all that is wrong or could be better, in every stage unless a target is named.
pub fn check(engine: &Engine, request: &BuildRequest) -> Result<CheckReport> {
    let _in_use = engine.store.share()?;
    let mut inputs = Contexts::open(engine, request)?;
    if inputs.frontend.target.is_none() {
        inputs.frontend.scope = PlanScope::All;
    }
    let source = &inputs.dockerfile;
    let parse = lathe_dockerfile::parse(&source.text);
    let lint = Lint::of(&inputs.frontend)?;
    let mut found = parse.diagnostics;
    // Lines that are no instructions are left out of the tree, so that the others can be told.
    let mut stages = None;
    if !parse.file.stages.is_empty() {
        let (deeper, planned) = deeper(engine, request, &inputs, &parse.file)?;
        found.extend(deeper);
        stages = planned;
    }
    let findings = findings::all(
        source,
        &parse.file,
        found,
        &lint,
        stages.as_ref().map(|(stages, images)| (stages, images)),
    );
    let show = |finding: &Diagnostic| Finding {
        rule: finding.rule.name(),
        about: finding.rule.page(),
        is_error: finding.is_error(),
        message: finding.message.clone(),
        help: finding.help.clone(),
        lines: lines(&source.text, finding.span),
        rendered: source.render(finding),
    };
    Ok(CheckReport {
        source: SourceText::of(source),
        findings: findings.iter().map(show).collect(),
    })
}

/// The stages that were looked at, and what is known of their images.
type Known = (StageGraph, Resolution);

/// Finds what shows only when names are resolved and variables expanded.
fn deeper(
    engine: &Engine,
    request: &BuildRequest,
    inputs: &Contexts,
    file: &Dockerfile,
) -> Result<(Vec<Diagnostic>, Option<Known>)> {
    let planned = plan_and_resolve(engine, request, inputs, file, Missing::IsNoted);
    let (planned, resolved) = match planned {
        Ok(planned) => planned,
        Err(Error::Dockerfile { findings, .. }) => return Ok((findings, None)),
        Err(error) => return Err(error),
    };
    let mut found = planned.warnings;
    found.extend(resolved.misspelt);
    match lower(file, &planned.stages, &resolved.images, &inputs.frontend) {
        Ok(lowered) => found.extend(lowered.warnings),
        Err(errors) => found.extend(errors),
    }
    Ok((found, Some((planned.stages, resolved.images))))
}

/// Tells which arguments, secrets, agents and caches the target takes.
pub fn outline(engine: &Engine, request: &BuildRequest) -> Result<(SourceText, Outline)> {
    let _in_use = engine.store.share()?;
    let inputs = Contexts::open(engine, request)?;
    let (file, _) = inputs.dockerfile.parse()?;
    let planned = plan_and_resolve(engine, request, &inputs, &file, Missing::IsNoted)?.0;
    let outline = lathe_frontend::outline(&file, &planned.stages, &inputs.frontend);
    Ok((SourceText::of(&inputs.dockerfile), outline))
}

/// Lists the stages that can be built.
pub fn targets(engine: &Engine, request: &BuildRequest) -> Result<(SourceText, Targets)> {
    let _in_use = engine.store.share()?;
    let inputs = Contexts::open(engine, request)?;
    let (file, _) = inputs.dockerfile.parse()?;
    Ok((SourceText::of(&inputs.dockerfile), lathe_frontend::targets(&file)))
}

/// Returns the stable text of a phase, for people who look for the reason of a surprise.
pub fn print(engine: &Engine, request: &BuildRequest, phase: Phase) -> Result<String> {
    let _in_use = engine.store.share()?;
    let inputs = Contexts::open(engine, request)?;
    let source = &inputs.dockerfile;
    let (file, _) = source.parse()?;
    if phase == Phase::Dockerfile {
        return Ok(lathe_dockerfile::dump(&file));
    }
    let (planned, resolved) = plan_and_resolve(engine, request, &inputs, &file, Missing::Stops)?;
    if phase == Phase::Stages {
        return Ok(planned.stages.dump());
    }
    let options: &FrontendOptions = &inputs.frontend;
    let lowered = lower(&file, &planned.stages, &resolved.images, options)
        .map_err(|errors| source.errors(&errors))?;
    Ok(lathe_graph::dump(&lowered.graph))
}

fn lines(text: &str, span: Span) -> (usize, usize) {
    let line = |offset: u32| line_column(text, offset).line;
    let first = line(span.start);
    (first, line(span.end.saturating_sub(1)).max(first))
}
