//! Build arguments that nothing takes: mostly a name that is misspelt.

use std::collections::BTreeSet;

use lathe_dockerfile::{Diagnostic, Dockerfile, InstructionKind, Rule, Span, ast::Arg, suggest};

use crate::{
    FrontendOptions, StageGraph,
    options::{EPOCH_ARG, is_proxy_arg},
};

/// Warns of each build argument that neither an `ARG` nor the builder takes.
pub(super) fn build_args(
    file: &Dockerfile,
    stages: &StageGraph,
    options: &FrontendOptions,
) -> Vec<Diagnostic> {
    let in_stages = file.stages.iter().flat_map(|stage| &stage.instructions);
    let in_stages = in_stages.filter_map(|instruction| taken(&instruction.kind));
    let triggers = stages.stages.iter().flat_map(|stage| &stage.triggers);
    let in_triggers = triggers.filter_map(|trigger| taken(&trigger.instruction.kind));
    let declared: BTreeSet<&str> = file
        .global_args
        .iter()
        .chain(in_stages)
        .chain(in_triggers)
        .flat_map(|arg| &arg.entries)
        .map(|entry| entry.name.as_str())
        .collect();
    let platform = options.platform_args(file);
    let known = |name: &str| {
        declared.contains(name)
            || is_proxy_arg(name)
            || name.starts_with("BUILDKIT_")
            || name == EPOCH_ARG
            || platform.contains_key(name)
    };
    let warn = |name: &String| {
        let message = format!("no ARG takes the build argument `{name}`");
        let warning = Diagnostic::warning(Rule::UnusedBuildArg, Span::empty_at(0), message);
        warning.did_you_mean(suggest(name, declared.iter().copied()))
    };
    options.build_args.keys().filter(|name| !known(name)).map(warn).collect()
}

/// Returns the `ARG` that an instruction is, or will be in a build on top.
fn taken(kind: &InstructionKind) -> Option<&Arg> {
    match kind {
        InstructionKind::Arg(arg) => Some(arg),
        InstructionKind::Onbuild(onbuild) => taken(&onbuild.instruction.kind),
        _ => None,
    }
}
