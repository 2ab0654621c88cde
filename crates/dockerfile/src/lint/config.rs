//! Rules about what instructions say.

use super::Lint;
use crate::ast::{CommandLine, Instruction, InstructionKind, Pair};
use crate::diagnostic::{Diagnostic, Rule};
use crate::span::Span;

pub(super) fn no_empty_continuation(lint: &mut Lint<'_>) {
    for &span in &lint.file.empty_continuations {
        let message = "empty line inside an instruction";
        lint.report(
            Diagnostic::warning(Rule::NoEmptyContinuation, span, message)
                .help("remove it or put a `#` there"),
        );
    }
}

pub(super) fn json_args_recommended(lint: &mut Lint<'_>) {
    let inherited = lint.inherited(|kind| matches!(kind, InstructionKind::Shell(_)));
    for (stage, mut has_shell) in lint.stages().zip(inherited) {
        // Who sets a shell wants it.
        for instruction in &stage.instructions {
            let command = match &instruction.kind {
                InstructionKind::Shell(_) => {
                    has_shell = true;
                    continue;
                }
                InstructionKind::Cmd(cmd) => &cmd.command,
                InstructionKind::Entrypoint(entrypoint) => &entrypoint.command,
                _ => continue,
            };
            if has_shell || !matches!(command, CommandLine::Shell(..)) {
                continue;
            }
            let keyword = instruction.kind.keyword();
            let message = format!(
                "`{keyword}` should have the JSON form, or the shell keeps signals to itself"
            );
            lint.report(
                Diagnostic::warning(Rule::JsonArgsRecommended, instruction.span, message)
                    .help(format!("write `{keyword} [\"program\", \"argument\"]`")),
            );
        }
    }
}

pub(super) fn maintainer_deprecated(lint: &mut Lint<'_>) {
    for instruction in lint.instructions() {
        if let InstructionKind::Maintainer(maintainer) = &instruction.kind {
            let label = format!(
                "write `LABEL org.opencontainers.image.authors=\"{}\"`",
                maintainer.name.trim_matches('"')
            );
            let message = "`MAINTAINER` is deprecated";
            lint.report(
                Diagnostic::warning(Rule::MaintainerDeprecated, instruction.span, message)
                    .help(label),
            );
        }
    }
}

pub(super) fn workdir_relative_path(lint: &mut Lint<'_>) {
    let inherited = lint.inherited(|kind| matches!(kind, InstructionKind::Workdir(_)));
    for (stage, has_workdir) in lint.stages().zip(inherited) {
        if has_workdir {
            continue;
        }
        let first = stage.instructions.iter().find_map(|instruction| match &instruction.kind {
            InstructionKind::Workdir(workdir) => Some(&workdir.path),
            _ => None,
        });
        let Some(path) = first else { continue };
        let plain = path.raw.trim_start_matches(['"', '\'']);
        if !plain.starts_with(['/', '$']) {
            let message = format!("`{}` is relative to whatever the base image has", path.raw);
            lint.report(
                Diagnostic::warning(Rule::WorkdirRelativePath, path.span, message)
                    .help(format!("write an absolute path, such as `/{plain}`")),
            );
        }
    }
}

pub(super) fn multiple_instructions_disallowed(lint: &mut Lint<'_>) {
    let counted = ["CMD", "ENTRYPOINT", "HEALTHCHECK"];
    for stage in lint.stages() {
        for keyword in counted {
            let is_it = |it: &&Instruction| it.kind.keyword() == keyword;
            let all: Vec<Span> =
                stage.instructions.iter().filter(is_it).map(|it| it.span).collect();
            let Some((last, earlier)) = all.split_last() else { continue };
            for &span in earlier {
                let message = format!("only the last `{keyword}` of a stage counts");
                let rule = Rule::MultipleInstructionsDisallowed;
                lint.report(
                    Diagnostic::warning(rule, span, message).label(*last, "this one counts"),
                );
            }
        }
    }
}

pub(super) fn legacy_key_value_format(lint: &mut Lint<'_>) {
    for instruction in lint.instructions() {
        let keyword = instruction.kind.keyword();
        for pair in pairs(instruction).iter().filter(|pair| pair.legacy) {
            let message = format!("`{keyword} key value` is the old form");
            let help = format!("write `{keyword} {}={}`", pair.key.raw, quoted(&pair.value.raw));
            let rule = Rule::LegacyKeyValueFormat;
            lint.report(Diagnostic::warning(rule, instruction.span, message).help(help));
        }
    }
}

fn pairs(instruction: &Instruction) -> &[Pair] {
    match &instruction.kind {
        InstructionKind::Env(env) => &env.pairs,
        InstructionKind::Label(label) => &label.pairs,
        _ => &[],
    }
}

fn quoted(value: &str) -> String {
    if value.contains(char::is_whitespace) && !value.contains('"') {
        format!("\"{value}\"")
    } else {
        value.to_owned()
    }
}

/// Parts of names that hold secrets, between underscores.
const SECRET: [&str; 10] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "pword",
    "passwd",
    "secret",
    "token",
];

/// Parts of names that hold none after all.
const HARMLESS: [&str; 3] = ["public", "file", "version"];

fn names_secret(name: &str) -> bool {
    let lower = name.to_lowercase();
    let has = |list: &[&str]| lower.split('_').any(|part| list.contains(&part));
    has(&SECRET) && !has(&HARMLESS)
}

pub(super) fn secrets_used_in_arg_or_env(lint: &mut Lint<'_>) {
    // Global arguments are not in the image unless a stage declares them too.
    let mut found: Vec<(&str, &str, Span)> = Vec::new();
    for instruction in lint.instructions() {
        match &instruction.kind {
            InstructionKind::Arg(arg) => {
                found.extend(arg.entries.iter().map(|e| ("ARG", e.name.as_str(), e.span)));
            }
            InstructionKind::Env(env) => {
                found.extend(env.pairs.iter().map(|p| ("ENV", p.key.raw.as_str(), p.key.span)));
            }
            _ => {}
        }
    }
    for (keyword, name, span) in found {
        if names_secret(name) {
            let message = format!("`{keyword} {name}` would leave a secret in the image");
            lint.report(
                Diagnostic::warning(Rule::SecretsUsedInArgOrEnv, span, message)
                    .help("use `RUN --mount=type=secret,id=…`"),
            );
        }
    }
}

pub(super) fn expose_invalid_format(lint: &mut Lint<'_>) {
    for instruction in lint.instructions() {
        let InstructionKind::Expose(expose) = &instruction.kind else { continue };
        for port in &expose.ports {
            // What a variable holds is not known here, and `${PORT:-80}` has a
            // colon too.
            let Some((host, container)) = port.raw.rsplit_once(':') else { continue };
            if port.raw.contains('$') || host.is_empty() {
                continue;
            }
            let message = format!("`{}` has an address or a host port", port.raw);
            let rule = Rule::ExposeInvalidFormat;
            lint.report(Diagnostic::warning(rule, port.span, message).help(format!(
                "write `EXPOSE {container}`, and publish the port with `-p` when running"
            )));
        }
    }
}
