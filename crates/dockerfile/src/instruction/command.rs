//! `RUN`, `CMD`, `ENTRYPOINT`, `SHELL` and `HEALTHCHECK`.

use std::time::Duration;

use super::{Arguments, Statement};
use crate::ast::{
    Cmd, CommandLine, Device, Entrypoint, Healthcheck, HealthcheckCmd, Network, Run, Security,
    Shell, Word,
};
use crate::diagnostic::{Diagnostic, Rule};
use crate::duration;
use crate::flags::FlagSpec;
use crate::mount::Mount;
use crate::split;
use crate::suggest::suggest;

const RUN_FLAGS: [FlagSpec; 4] = [
    FlagSpec::many("mount"),
    FlagSpec::one("network"),
    FlagSpec::one("security"),
    FlagSpec::many("device"),
];

const HEALTHCHECK_FLAGS: [FlagSpec; 5] = [
    FlagSpec::one("interval"),
    FlagSpec::one("timeout"),
    FlagSpec::one("start-period"),
    FlagSpec::one("start-interval"),
    FlagSpec::one("retries"),
];

pub(super) fn run(statement: &mut Statement<'_>) -> Option<Run> {
    statement.check_flags(&RUN_FLAGS);
    let mounts = statement.flags().many("mount");
    let mounts = mounts.iter().map(|word| Mount::read(word, statement.diagnostics)).collect();
    let networks =
        [("default", Network::Default), ("none", Network::None), ("host", Network::Host)];
    let network = chosen(statement, "network", &networks);
    let securities = [("sandbox", Security::Sandbox), ("insecure", Security::Insecure)];
    let security = chosen(statement, "security", &securities);
    let devices = statement.flags().many("device");
    let devices = devices.iter().filter_map(|word| device(statement, word)).collect();
    let command = command_line(statement)?;
    if command == CommandLine::Exec(Vec::new()) {
        statement.missing("a command");
        return None;
    }
    warn_if_bare(statement, &command);
    Some(Run { command, mounts, network, security, devices })
}

pub(super) fn cmd(statement: &mut Statement<'_>) -> Option<Cmd> {
    statement.check_flags(&[]);
    let command = command_line(statement)?;
    warn_if_bare(statement, &command);
    Some(Cmd { command })
}

pub(super) fn entrypoint(statement: &mut Statement<'_>) -> Option<Entrypoint> {
    statement.check_flags(&[]);
    let command = command_line(statement)?;
    warn_if_bare(statement, &command);
    Some(Entrypoint { command })
}

pub(super) fn shell(statement: &mut Statement<'_>) -> Option<Shell> {
    statement.check_flags(&[]);
    match statement.arguments()? {
        Arguments::Json(words) if !words.is_empty() => {
            Some(Shell { command: words.into_iter().map(|word| word.raw).collect() })
        }
        Arguments::Json(_) => {
            statement.missing("a program");
            None
        }
        Arguments::Text(text) => {
            let span = if text.raw.is_empty() { statement.keyword_span() } else { text.span };
            statement.report(
                Diagnostic::error(span, "`SHELL` takes the JSON form only")
                    .help("for example `SHELL [\"/bin/bash\", \"-c\"]`"),
            );
            None
        }
    }
}

pub(super) fn healthcheck(statement: &mut Statement<'_>) -> Option<Healthcheck> {
    let range = statement.arguments_range();
    let text = &statement.line.text[range.clone()];
    let length = text.find(char::is_whitespace).unwrap_or(text.len());
    let kind = statement.word(range.start..range.start + length);
    let behind = range.start + length;
    let rest = statement.line.text[behind..range.end].trim_start().len();
    let rest = range.end - rest..range.end;
    match kind.raw.to_ascii_uppercase().as_str() {
        // The flags do nothing here, and are not even read by `BuildKit`.
        "NONE" => {
            if !rest.is_empty() {
                let span = statement.line.span(rest.start, rest.end);
                let message = "`HEALTHCHECK NONE` takes no arguments";
                let error = Diagnostic::error(span, message).help("write `HEALTHCHECK NONE`");
                statement.report(error);
            }
            Some(Healthcheck::None)
        }
        "CMD" => {
            statement.check_flags(&HEALTHCHECK_FLAGS);
            let command = command_in(statement, rest)?;
            if is_empty(&command) {
                statement.report(
                    Diagnostic::error(kind.span, "a command is expected behind `CMD`")
                        .help("for example `HEALTHCHECK CMD curl -f http://localhost/`"),
                );
                return None;
            }
            Some(Healthcheck::Cmd(healthcheck_cmd(statement, command)))
        }
        "" => {
            statement.missing("`CMD command` or `NONE`");
            None
        }
        _ => {
            let message = format!("`HEALTHCHECK` takes `CMD` or `NONE`, not `{}`", kind.raw);
            let near = suggest(&kind.raw, ["CMD", "NONE"]);
            let command = format!("write `HEALTHCHECK CMD {}`", statement.text().raw);
            let error = Diagnostic::error(kind.span, message).help(command);
            statement.report(error.did_you_mean(near));
            None
        }
    }
}

fn healthcheck_cmd(statement: &mut Statement<'_>, command: CommandLine) -> HealthcheckCmd {
    HealthcheckCmd {
        command,
        interval: interval(statement, "interval"),
        timeout: interval(statement, "timeout"),
        start_period: interval(statement, "start-period"),
        start_interval: interval(statement, "start-interval"),
        retries: retries(statement),
    }
}

/// A duration flag; 0 means "inherit", less than a millisecond is an error.
fn interval(statement: &mut Statement<'_>, name: &str) -> Option<Duration> {
    let word = statement.flags().one(name)?;
    let help = "for example `30s`, `1m30s` or `500ms`";
    let error = match duration::parse(&word.raw) {
        Some(duration) if duration.is_zero() || duration >= Duration::from_millis(1) => {
            return Some(duration);
        }
        Some(_) => Diagnostic::error(word.span, format!("`--{name}` is less than 1ms"))
            .help(format!("write `--{name}=1ms`, or 0 for what the base image has")),
        None => {
            let message = format!("invalid duration `{}` for `--{name}`", word.raw);
            Diagnostic::error(word.span, message).help(help)
        }
    };
    statement.report(error);
    None
}

fn retries(statement: &mut Statement<'_>) -> Option<u32> {
    let word = statement.flags().one("retries")?;
    // Docker keeps the number as a signed one.
    if let Ok(Ok(retries)) = word.raw.parse::<i32>().map(u32::try_from) {
        return Some(retries);
    }
    let message = format!("invalid number of retries `{}`", word.raw);
    statement.report(Diagnostic::error(word.span, message).help("for example `--retries=3`"));
    None
}

/// The command of the whole argument text.
fn command_line(statement: &mut Statement<'_>) -> Option<CommandLine> {
    let range = statement.arguments_range();
    command_in(statement, range)
}

fn command_in(statement: &mut Statement<'_>, range: split::Range) -> Option<CommandLine> {
    Some(match statement.arguments_in(range)? {
        Arguments::Json(words) => {
            CommandLine::Exec(words.into_iter().map(|word| word.raw).collect())
        }
        Arguments::Text(text) => {
            CommandLine::Shell(text.raw, std::mem::take(&mut statement.heredocs))
        }
    })
}

fn is_empty(command: &CommandLine) -> bool {
    match command {
        CommandLine::Shell(text, _) => text.is_empty(),
        CommandLine::Exec(arguments) => arguments.is_empty(),
    }
}

/// A bare `CMD` is no `CMD []`: it is the shell with an empty command.
fn warn_if_bare(statement: &mut Statement<'_>, command: &CommandLine) {
    if !matches!(command, CommandLine::Shell(..)) || !is_empty(command) {
        return;
    }
    let keyword = statement.keyword();
    let message = format!("`{keyword}` without a command runs the shell with nothing to do");
    let warning = Diagnostic::warning(Rule::EmptyCommand, statement.keyword_span(), message);
    let help = match keyword {
        "RUN" => "write the command behind it, or remove the line".to_owned(),
        _ => format!("to clear what the base image has, write `{keyword} []`"),
    };
    statement.report(warning.help(help));
}

/// The value of a flag that takes one of a few words.
fn chosen<T: std::marker::Copy>(
    statement: &mut Statement<'_>,
    flag: &str,
    values: &[(&'static str, T)],
) -> Option<T> {
    let word = statement.flags().one(flag)?;
    let found = values.iter().find(|(name, _)| *name == word.raw);
    if let Some(&(_, value)) = found {
        return Some(value);
    }
    let names: Vec<String> = values.iter().map(|(name, _)| format!("`{name}`")).collect();
    let message = format!("`--{flag}` takes {}, not `{}`", names.join(" or "), word.raw);
    let near = suggest(&word.raw, values.iter().map(|(name, _)| *name));
    let error = Diagnostic::error(word.span, message);
    let error = error.help(format!("write `--{flag}={}`", values[0].0));
    statement.report(error.did_you_mean(near));
    None
}

/// `--device=name[,required]`; `name=` may stand before the name.
fn device(statement: &mut Statement<'_>, word: &Word) -> Option<Device> {
    let mut name = None;
    let mut required = false;
    for part in word.raw.split(',') {
        match part.split_once('=') {
            None if part == "required" => required = true,
            Some(("required", "true")) => required = true,
            Some(("required", "false")) => required = false,
            Some(("name", value)) => name = Some(value.to_owned()),
            _ if name.is_none() && !part.is_empty() => name = Some(part.to_owned()),
            _ => {
                let message = format!("unknown device option `{part}`");
                statement.report(
                    Diagnostic::error(word.span, message)
                        .help("write `--device=vendor/class=name` and, if needed, `,required`"),
                );
                return None;
            }
        }
    }
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        statement.report(
            Diagnostic::error(word.span, "`--device` needs a name")
                .help("for example `--device=vendor.com/gpu=all`"),
        );
        return None;
    };
    Some(Device { name: Word { raw: name, span: word.span }, required })
}
