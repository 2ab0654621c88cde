//! Findings of all phases, put together: what the rules and the user's word on them make of them.

use std::{collections::BTreeSet, ops::Range};

use lathe_dockerfile::{CheckOptions, Diagnostic, Dockerfile, Rule};
use lathe_frontend::{Base, FrontendOptions, Resolution, StageGraph};

use crate::{Error, Result, dockerfile::Source};

/// The build argument that takes the place of the directive.
const CHECK_ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// Which rules apply, as `BUILDKIT_DOCKERFILE_CHECK` says it in place of `# check=`.
#[derive(Debug, Default)]
pub(crate) struct Lint(Option<CheckOptions>);

impl Lint {
    /// Reads the build argument.
    pub(crate) fn of(options: &FrontendOptions) -> Result<Self> {
        let given = options.build_args.get(CHECK_ARGUMENT);
        let parse = |text: &String| {
            CheckOptions::parse(text).map_err(|error| Error::Check {
                value: text.clone(),
                reason: error.to_string(),
                help: error.help(),
            })
        };
        Ok(Self(given.map(parse).transpose()?))
    }
}

/// Adds what the rules find in the file, and leaves out what is not wanted.
pub(crate) fn all(
    source: &Source,
    file: &Dockerfile,
    mut found: Vec<Diagnostic>,
    lint: &Lint,
    known: Option<(&StageGraph, &Resolution)>,
) -> Vec<Diagnostic> {
    let unneeded = unneeded(file, known.map(|(stages, _)| stages));
    let shelled = known.map_or_else(Vec::new, |(stages, images)| shelled(file, stages, images));
    let of_file = lathe_dockerfile::lint(file, &source.text);
    found.extend(of_file.into_iter().filter(|finding| {
        let is_in =
            |stages: &[Range<u32>]| stages.iter().any(|stage| stage.contains(&finding.span.start));
        let has_shell = finding.rule == Rule::JsonArgsRecommended && is_in(&shelled);
        !has_shell && (is_of_whole_file(finding.rule) || !is_in(&unneeded))
    }));
    lathe_dockerfile::settle(file, found, lint.0.as_ref())
}

/// Tells whether a rule is about how stages stand to each other, or about the text.
fn is_of_whole_file(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::SyntaxError
            | Rule::StageNameCasing
            | Rule::FromAsCasing
            | Rule::NoEmptyContinuation
            | Rule::ConsistentInstructionCasing
            | Rule::DuplicateStageName
            | Rule::ReservedStageName
    )
}

/// Returns the parts of the text with stages that the target does not need: nobody waits for
/// advice about them.
fn unneeded(file: &Dockerfile, stages: Option<&StageGraph>) -> Vec<Range<u32>> {
    let Some(stages) = stages else { return Vec::new() };
    let needed = |index: usize| stages.stages.iter().any(|plan| plan.id.index() == index);
    (0..file.stages.len()).filter(|index| !needed(*index)).map(|index| range(file, index)).collect()
}

/// Returns the stages on a base image that names a shell: whoever made it wants the shell form.
fn shelled(file: &Dockerfile, stages: &StageGraph, images: &Resolution) -> Vec<Range<u32>> {
    let mut found = BTreeSet::new();
    for plan in &stages.stages {
        let has_shell = match &plan.base {
            Base::Image(image) => {
                images.images.get(&**image).is_some_and(|known| known.config.config.shell.is_some())
            }
            Base::Stage(id) => found.contains(id),
            Base::Scratch | Base::Context(_) => false,
        };
        found.extend(has_shell.then_some(plan.id));
    }
    found.into_iter().map(|id| range(file, id.index())).collect()
}

/// Returns the part of the text that is a stage.
fn range(file: &Dockerfile, index: usize) -> Range<u32> {
    let end = file.stages.get(index + 1).map_or(u32::MAX, |next| next.span.start);
    file.stages[index].span.start..end
}

/// The same for a build, which ends here if `error=true` was asked for and anything was found.
pub(crate) fn settle(
    source: &Source,
    file: &Dockerfile,
    found: Vec<Diagnostic>,
    lint: &Lint,
    known: (&StageGraph, &Resolution),
) -> Result<Vec<Diagnostic>> {
    let findings = all(source, file, found, lint, Some(known));
    let errors: Vec<Diagnostic> =
        findings.iter().filter(|finding| finding.is_error()).cloned().collect();
    if errors.is_empty() { Ok(findings) } else { Err(source.errors(&errors)) }
}
