//! Checks of style and of traps: warnings for a Dockerfile that is valid.
//!
//! To add a rule: a variant of [`Rule`], a function in one of the modules
//! below, a line in [`RULES`], and a case in the tests.

mod casing;
mod config;
mod from;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::ast::{Dockerfile, Instruction, InstructionKind, Stage};
use crate::comments::{self, CheckOptions};
use crate::diagnostic::{Diagnostic, Rule, Severity};
use crate::span::Span;

/// What a rule sees and where its findings go.
struct Lint<'a> {
    file: &'a Dockerfile,
    text: &'a str,
    /// Of each stage the earlier stage that it starts from.
    parents: Vec<Option<usize>>,
    findings: Vec<Diagnostic>,
}

type Check = fn(&mut Lint<'_>);

/// Every rule that needs nothing but the file, with its function.
const RULES: [(Rule, Check); 16] = [
    (Rule::StageNameCasing, casing::stage_name_casing),
    (Rule::FromAsCasing, casing::from_as_casing),
    (Rule::ConsistentInstructionCasing, casing::consistent_instruction_casing),
    (Rule::ExposeProtoCasing, casing::expose_proto_casing),
    (Rule::NoEmptyContinuation, config::no_empty_continuation),
    (Rule::DuplicateStageName, from::duplicate_stage_name),
    (Rule::ReservedStageName, from::reserved_stage_name),
    (Rule::RedundantTargetPlatform, from::redundant_target_platform),
    (Rule::FromPlatformFlagConstDisallowed, from::from_platform_flag_const_disallowed),
    (Rule::JsonArgsRecommended, config::json_args_recommended),
    (Rule::MaintainerDeprecated, config::maintainer_deprecated),
    (Rule::WorkdirRelativePath, config::workdir_relative_path),
    (Rule::MultipleInstructionsDisallowed, config::multiple_instructions_disallowed),
    (Rule::LegacyKeyValueFormat, config::legacy_key_value_format),
    (Rule::SecretsUsedInArgOrEnv, config::secrets_used_in_arg_or_env),
    (Rule::ExposeInvalidFormat, config::expose_invalid_format),
];

/// Checks a parsed file; `text` is what it was parsed from.
///
/// `# check=skip=…` at the top and above instructions is obeyed, and
/// `error=true` makes errors of the findings.
pub fn lint(file: &Dockerfile, text: &str) -> Vec<Diagnostic> {
    let options = file.directives.check.as_ref().map(|word| CheckOptions::parse(&word.raw));
    let options = options.unwrap_or_default();
    let mut lint = Lint { file, text, parents: parents(file), findings: Vec::new() };
    for (rule, check) in RULES {
        if !options.skips(rule) {
            check(&mut lint);
        }
    }
    let mut findings = lint.findings;
    let skips = skips(file);
    findings.retain(|finding| !skipped(&skips, finding));
    findings.sort_by_key(|finding| (finding.span.start, finding.span.end));
    if options.error {
        for finding in &mut findings {
            finding.severity = Severity::Error;
        }
    }
    findings
}

/// Of each stage the earlier stage that it starts from.
fn parents(file: &Dockerfile) -> Vec<Option<usize>> {
    let mut known = HashMap::new();
    let mut parents = Vec::with_capacity(file.stages.len());
    for (index, stage) in file.stages.iter().enumerate() {
        parents.push(known.get(&stage.base.raw.to_lowercase()).copied());
        known.extend(stage.key().map(|key| (key, index)));
    }
    parents
}

/// The instructions with a comment `check=…` above, with their comments.
fn skips(file: &Dockerfile) -> Vec<(Span, &[String])> {
    let args = file.global_args.iter().map(|arg| (arg.span, arg.comments.as_slice()));
    let stages = file.stages.iter().flat_map(|stage| {
        let instructions = stage.instructions.iter().map(|it| (it.span, it.comments.as_slice()));
        std::iter::once((stage.span, stage.comments.as_slice())).chain(instructions)
    });
    args.chain(stages).filter(|(_, comments)| comments::has_check(comments)).collect()
}

/// Whether a comment above the instruction of a finding skips it.
fn skipped(skips: &[(Span, &[String])], finding: &Diagnostic) -> bool {
    let at = finding.span.start;
    let mut around = skips.iter().filter(|(span, _)| span.start <= at && at < span.end);
    around.any(|(_, comments)| comments::skipped_above(comments, finding.rule))
}

impl<'a> Lint<'a> {
    fn stages(&self) -> impl Iterator<Item = &'a Stage> + use<'a> {
        self.file.stages.iter()
    }

    /// All instructions of all stages.
    fn instructions(&self) -> impl Iterator<Item = &'a Instruction> + use<'a> {
        self.stages().flat_map(|stage| &stage.instructions)
    }

    /// Whether `test` holds for an instruction of a stage that `index` is
    /// built on.
    fn inherits(&self, index: usize, test: fn(&InstructionKind) -> bool) -> bool {
        let mut stage = index;
        while let Some(parent) = self.parents[stage] {
            if self.file.stages[parent].instructions.iter().any(|it| test(&it.kind)) {
                return true;
            }
            stage = parent;
        }
        false
    }

    fn report(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }
}
