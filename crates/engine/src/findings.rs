//! Findings of all phases, put together: what the rules and the user's word on them make of them.

use std::ops::Range;

use lathe_dockerfile::{CheckOptions, Diagnostic, Dockerfile, Rule};
use lathe_frontend::{FrontendOptions, StageGraph};

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
    stages: Option<&StageGraph>,
) -> Vec<Diagnostic> {
    let unneeded = unneeded(file, stages);
    let of_file = lathe_dockerfile::lint(file, &source.text);
    found.extend(of_file.into_iter().filter(|finding| {
        let at = finding.span.start;
        is_of_whole_file(finding.rule) || !unneeded.iter().any(|stage| stage.contains(&at))
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
    let end = |index: usize| file.stages.get(index + 1).map_or(u32::MAX, |next| next.span.start);
    let ranges = file.stages.iter().enumerate().filter(|(index, _)| !needed(*index));
    ranges.map(|(index, stage)| stage.span.start..end(index)).collect()
}

/// The same for a build, which ends here if `error=true` was asked for and anything was found.
pub(crate) fn settle(
    source: &Source,
    file: &Dockerfile,
    found: Vec<Diagnostic>,
    lint: &Lint,
    stages: &StageGraph,
) -> Result<Vec<Diagnostic>> {
    let findings = all(source, file, found, lint, Some(stages));
    let errors: Vec<Diagnostic> =
        findings.iter().filter(|finding| finding.is_error()).cloned().collect();
    if errors.is_empty() { Ok(findings) } else { Err(source.errors(&errors)) }
}
