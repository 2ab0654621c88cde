//! Rules about stages.

use std::collections::HashMap;

use super::{Lint, reference};
use crate::ast::{Arg, InstructionKind};
use crate::comments::is_check;
use crate::diagnostic::{Diagnostic, Rule};
use crate::span::Span;
use crate::suggest::suggest;

pub(super) fn duplicate_stage_name(lint: &mut Lint<'_>) {
    let mut known: HashMap<String, Span> = HashMap::new();
    for name in lint.stages().filter_map(|stage| stage.name.as_ref()) {
        let first = *known.entry(name.key()).or_insert(name.span);
        if first != name.span {
            let message = format!("stage name `{}` is used twice", name.text);
            lint.report(
                Diagnostic::warning(Rule::DuplicateStageName, name.span, message)
                    .label(first, "first used here"),
            );
        }
    }
}

pub(super) fn reserved_stage_name(lint: &mut Lint<'_>) {
    for name in lint.stages().filter_map(|stage| stage.name.as_ref()) {
        if matches!(name.key().as_str(), "scratch" | "context") {
            let message = format!("`{}` has a meaning of its own and is no stage name", name.text);
            lint.report(Diagnostic::warning(Rule::ReservedStageName, name.span, message));
        }
    }
}

pub(super) fn redundant_target_platform(lint: &mut Lint<'_>) {
    for platform in lint.stages().filter_map(|stage| stage.platform.as_ref()) {
        let Some(expanded) = lint.globals.expand(platform) else { continue };
        let only_target = expanded.unset.is_empty()
            && expanded.used.iter().eq(["TARGETPLATFORM"])
            && lint.globals.get("TARGETPLATFORM") == Some(&expanded.text);
        if only_target {
            let message = format!("`--platform={}` is the default", platform.raw);
            lint.report(
                Diagnostic::warning(Rule::RedundantTargetPlatform, platform.span, message)
                    .help("leave the flag out"),
            );
        }
    }
}

pub(super) fn from_platform_flag_const_disallowed(lint: &mut Lint<'_>) {
    for stage in lint.stages() {
        let Some(platform) = &stage.platform else { continue };
        let Some(expanded) = lint.globals.expand(platform) else { continue };
        if !expanded.used.is_empty() || !expanded.unset.is_empty() {
            continue;
        }
        // A stage that is named after its platform means it.
        let key = stage.key().unwrap_or_default();
        let Some((os, architecture)) = os_and_architecture(&expanded.text) else { continue };
        if key.contains(&os) || key.contains(&architecture) {
            continue;
        }
        let message = format!("`--platform={}` is the same for every target", platform.raw);
        let rule = Rule::FromPlatformFlagConstDisallowed;
        lint.report(
            Diagnostic::warning(rule, platform.span, message)
                .help("use `--platform=$BUILDPLATFORM` or choose the platform when building"),
        );
    }
}

/// Operating system and architecture of a platform, as `containerd/platforms`
/// normalizes them; `None` if it is none.
fn os_and_architecture(platform: &str) -> Option<(String, String)> {
    let lower = platform.to_lowercase();
    let mut parts = lower.split('/');
    let first = parts.next().filter(|part| !part.is_empty())?;
    let (os, architecture) = match parts.next() {
        Some(second) => (first, second),
        None if KNOWN_SYSTEMS.contains(&first) => (first, "amd64"),
        None => ("linux", first),
    };
    // A version may follow the name of the system: `windows(10.0.1)`.
    let os = os.split('(').next().unwrap_or(os);
    let architecture = match architecture {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" => "386",
        "armhf" | "armel" => "arm",
        other => other,
    };
    Some((os.to_owned(), architecture.to_owned()))
}

/// What can stand alone and is no architecture.
const KNOWN_SYSTEMS: [&str; 6] = ["linux", "windows", "darwin", "freebsd", "netbsd", "openbsd"];

pub(super) fn undefined_arg_in_from(lint: &mut Lint<'_>) {
    for stage in lint.stages() {
        for word in [Some(&stage.base), stage.platform.as_ref()].into_iter().flatten() {
            let Some(expanded) = lint.globals.expand(word) else { continue };
            for variable in expanded.unset_at {
                if lint.globals.declares(&variable.name) {
                    continue;
                }
                let message =
                    format!("`{}` is not declared before the first `FROM`", variable.name);
                let near = suggest(&variable.name, lint.globals.names()).map(str::to_owned);
                let finding = Diagnostic::warning(
                    Rule::UndefinedArgInFrom,
                    word.locate_range(variable.range),
                    message,
                );
                lint.report(match near {
                    Some(near) => finding.did_you_mean(Some(&near)),
                    None => finding
                        .help(format!("write `ARG {}=…` above the first `FROM`", variable.name)),
                });
            }
        }
    }
}

pub(super) fn invalid_default_arg_in_from(lint: &mut Lint<'_>) {
    if lint.globals.broken {
        return;
    }
    for (stage, parent) in lint.stages().zip(lint.parents.clone()) {
        let Some(expanded) = lint.globals.expand(&stage.base) else { return };
        // A name without variables is checked when it is used.
        let constant = expanded.used.is_empty() && expanded.unset.is_empty();
        if constant || parent.is_some() || reference::is_valid(&expanded.text) {
            continue;
        }
        let message = match expanded.text.as_str() {
            "" => format!("without build arguments `{}` is empty", stage.base.raw),
            text => format!(
                "without build arguments `{}` is `{text}`, which is no image",
                stage.base.raw
            ),
        };
        let variables = expanded.unset.iter().chain(&expanded.used);
        let help =
            variables.take(1).map(|name| format!("write `ARG {name}=…` with a default that works"));
        let mut finding =
            Diagnostic::warning(Rule::InvalidDefaultArgInFrom, stage.base.span, message);
        finding.help = help.last();
        lint.report(finding);
    }
}

pub(super) fn invalid_definition_description(lint: &mut Lint<'_>) {
    for arg in &lint.file.global_args {
        describe(lint, arg);
    }
    for stage in lint.stages() {
        if let Some(key) = stage.key() {
            check_description(lint, "FROM", &[&key], &stage.comments, stage.keyword);
        }
        for instruction in &stage.instructions {
            if let InstructionKind::Arg(arg) = &instruction.kind {
                describe(lint, arg);
            }
        }
    }
}

fn describe(lint: &mut Lint<'_>, arg: &Arg) {
    let names: Vec<&str> = arg.entries.iter().map(|entry| entry.name.as_str()).collect();
    check_description(lint, "ARG", &names, &arg.comments, arg.keyword);
}

/// The last comment above counts, unless it is a `# check=`.
fn check_description(
    lint: &mut Lint<'_>,
    keyword: &str,
    names: &[&str],
    comments: &[String],
    span: Span,
) {
    let mut texts = comments.iter().rev().filter(|comment| !is_check(comment));
    let Some(last) = texts.next() else { return };
    let first = last.split(' ').next().unwrap_or_default();
    if names.contains(&first) {
        return;
    }
    let example = if let [only] = names { only } else { "name" };
    let message =
        format!("the comment above `{keyword}` does not describe `{}`", names.join("`, `"));
    lint.report(
        Diagnostic::warning(Rule::InvalidDefinitionDescription, span, message)
            .help(format!("write `# {example} description`, or put an empty line between")),
    );
}
