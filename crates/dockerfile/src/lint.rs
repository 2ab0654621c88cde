//! Checks of style and of traps: warnings for a Dockerfile that is valid.
//!
//! To add a rule: a variant of [`Rule`], a function in one of the modules
//! below, a line in [`RULES`], and a case in the tests.

mod casing;
mod config;
mod from;
mod globals;
mod reference;
mod settle;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::ast::{Dockerfile, Instruction, InstructionKind, Stage};
use crate::diagnostic::{Diagnostic, Rule};

pub use settle::settle;

use globals::Globals;

/// What a rule sees and where its findings go.
struct Lint<'a> {
    file: &'a Dockerfile,
    text: &'a str,
    globals: Globals,
    /// Of each stage the earlier stage that it starts from.
    parents: Vec<Option<usize>>,
    findings: Vec<Diagnostic>,
}

type Check = fn(&mut Lint<'_>);

/// Every rule that needs nothing but the file, with its function.
const RULES: [(Rule, Check); 19] = [
    (Rule::StageNameCasing, casing::stage_name_casing),
    (Rule::FromAsCasing, casing::from_as_casing),
    (Rule::ConsistentInstructionCasing, casing::consistent_instruction_casing),
    (Rule::ExposeProtoCasing, casing::expose_proto_casing),
    (Rule::NoEmptyContinuation, config::no_empty_continuation),
    (Rule::DuplicateStageName, from::duplicate_stage_name),
    (Rule::ReservedStageName, from::reserved_stage_name),
    (Rule::UndefinedArgInFrom, from::undefined_arg_in_from),
    (Rule::InvalidDefaultArgInFrom, from::invalid_default_arg_in_from),
    (Rule::InvalidDefinitionDescription, from::invalid_definition_description),
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
/// These are all findings, also those that nobody wants: `settle` applies
/// `# check=`.
pub fn lint(file: &Dockerfile, text: &str) -> Vec<Diagnostic> {
    let globals = Globals::of(file);
    let parents = parents(file, &globals);
    let mut lint = Lint { file, text, globals, parents, findings: Vec::new() };
    for (_, check) in RULES {
        check(&mut lint);
    }
    lint.findings
}

/// Of each stage the earlier stage that it starts from, by the defaults of
/// the global arguments.
fn parents(file: &Dockerfile, globals: &Globals) -> Vec<Option<usize>> {
    let mut known = HashMap::new();
    let mut parents = Vec::with_capacity(file.stages.len());
    for (index, stage) in file.stages.iter().enumerate() {
        let base = globals.expand(&stage.base);
        let base = base.map_or_else(|| stage.base.raw.to_lowercase(), |it| it.text.to_lowercase());
        parents.push(known.get(&base).copied());
        known.extend(stage.key().map(|key| (key, index)));
    }
    parents
}

impl<'a> Lint<'a> {
    fn stages(&self) -> impl Iterator<Item = &'a Stage> + use<'a> {
        self.file.stages.iter()
    }

    /// All instructions of all stages.
    fn instructions(&self) -> impl Iterator<Item = &'a Instruction> + use<'a> {
        self.stages().flat_map(|stage| &stage.instructions)
    }

    /// Of each stage whether `test` holds for an instruction of a stage that
    /// it is built on.
    fn inherited(&self, test: fn(&InstructionKind) -> bool) -> Vec<bool> {
        // A parent comes before its children, so one pass is enough.
        let mut has: Vec<bool> = Vec::with_capacity(self.parents.len());
        let mut inherited = Vec::with_capacity(self.parents.len());
        for (stage, &parent) in self.file.stages.iter().zip(&self.parents) {
            let above = parent.is_some_and(|parent| has[parent]);
            inherited.push(above);
            has.push(above || stage.instructions.iter().any(|it| test(&it.kind)));
        }
        inherited
    }

    fn report(&mut self, finding: Diagnostic) {
        self.findings.push(finding);
    }
}
