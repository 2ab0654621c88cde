//! Bends clap's grammar into that of docker's flag package (Go's pflag).
//!
//! - Every switch also takes `=true`, `=false`, and Go's other spellings of a bool, so that
//!   `--rm=false` and `-it` both work.
//! - A flag given twice counts the last time, unless it is a list.
//! - The value of a flag may begin with `-`.
//! - `-h` means help only where docker gave the letter to nothing else.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, CommandFactory, builder::TypedValueParser};

use super::{LowArgs, usage};

/// Builds the command tree. Only commands that a word names are adapted: the others cannot be
/// reached, and adapting all of them would be most of the time that a short command takes.
pub(super) fn command(argv: &[OsString]) -> Command {
    let root = LowArgs::command().disable_version_flag(true).args_override_self(true);
    adapt(root, "", argv)
}

/// Adapts one command and those below it that a word names; `path` is that of its parent.
fn adapt(command: Command, path: &str, argv: &[OsString]) -> Command {
    let path = format!("{path}{}", command.get_name());
    let group = command.has_subcommands();
    let has_h = command.get_arguments().any(|arg| arg.get_short() == Some('h'));
    let help = Arg::new("help").long("help").action(ArgAction::Help).help("Print usage").hide(true);
    let help = if has_h { help } else { help.short('h') };
    let command = command
        .disable_help_flag(true)
        .override_usage(format!("{path} {}", usage::tail(&path)))
        .help_template(if group { GROUP_HELP } else { LEAF_HELP })
        .mut_args(as_pflag)
        .arg(help);
    if group {
        let path = format!("{path} ");
        command
            .arg_required_else_help(path != "lathe ")
            .disable_help_subcommand(path != "lathe ")
            .mut_subcommands(|child| {
                let named = |name: &str| argv.iter().any(|word| word == name);
                let wanted = named(child.get_name()) || child.get_all_aliases().any(named);
                if wanted { adapt(child, &path, argv) } else { child }
            })
    } else {
        command
    }
}

const GROUP_HELP: &str = "Usage:  {usage}\n\n{about}\n\nCommands:\n{subcommands}\n\nOptions:\n{options}\n\nRun 'lathe COMMAND --help' for more information on a command.\n";
const LEAF_HELP: &str = "Usage:  {usage}\n\n{about}\n\nOptions:\n{options}\n";

fn as_pflag(arg: Arg) -> Arg {
    match arg.get_action() {
        ArgAction::SetTrue => with_default(arg)
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(clap::builder::StringValueParser::new().try_map(|text| go_bool(&text)))
            .hide_possible_values(true)
            .hide_default_value(true)
            .value_name("bool"),
        ArgAction::Set | ArgAction::Append if !arg.is_positional() => {
            arg.allow_hyphen_values(true).hide_default_value(true).hide_possible_values(true)
        }
        _ => arg,
    }
}

/// Gives a switch its default, which clap's own action had in itself.
fn with_default(arg: Arg) -> Arg {
    if arg.get_default_values().is_empty() { arg.default_value("false") } else { arg }
}

/// Reads a bool as Go's `strconv.ParseBool` does.
fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}
