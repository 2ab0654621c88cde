//! Says what is wrong with a command line, in docker's words and with docker's exit codes:
//! 125 for a mistake in a flag, 1 for a wrong number of arguments or an unknown command.

use std::{ffi::OsString, num::ParseIntError};

use clap::{
    Arg, Command, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// A reason not to run: help that was asked for, or a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) text: String,
    pub(crate) code: u8,
}

impl Usage {
    fn new(text: String, code: u8) -> Self {
        Self { text, code }
    }
}

/// What follows the name of a command in its usage line, by path without the program's name.
const TAILS: &[(&str, &str)] = &[
    ("", "[OPTIONS] COMMAND"),
    ("build", "[OPTIONS] PATH | URL | -"),
    ("builder", "COMMAND"),
    ("builder history", "[OPTIONS]"),
    ("builder logs", "[OPTIONS] [BUILD [STEP]]"),
    ("cache-mount", "COMMAND"),
    ("cache-mount export", "[OPTIONS] NAME"),
    ("cache-mount import", "[OPTIONS] NAME"),
    ("cache-mount ls", "[OPTIONS]"),
    ("cache-mount rm", "[OPTIONS] NAME [NAME...]"),
    ("container", "COMMAND"),
    ("container inspect", "[OPTIONS] CONTAINER [CONTAINER...]"),
    ("exec", "[OPTIONS] CONTAINER COMMAND [ARG...]"),
    ("history", "[OPTIONS] IMAGE"),
    ("image", "COMMAND"),
    ("image inspect", "[OPTIONS] IMAGE [IMAGE...]"),
    ("image ls", "[OPTIONS] [REPOSITORY[:TAG]]"),
    ("image rm", "[OPTIONS] IMAGE [IMAGE...]"),
    ("images", "[OPTIONS] [REPOSITORY[:TAG]]"),
    ("inspect", "[OPTIONS] NAME|ID [NAME|ID...]"),
    ("kill", "[OPTIONS] CONTAINER [CONTAINER...]"),
    ("login", "[OPTIONS] [SERVER]"),
    ("logout", "[SERVER]"),
    ("logs", "[OPTIONS] CONTAINER"),
    ("pull", "[OPTIONS] NAME[:TAG|@DIGEST]"),
    ("push", "[OPTIONS] NAME[:TAG]"),
    ("rm", "[OPTIONS] CONTAINER [CONTAINER...]"),
    ("rmi", "[OPTIONS] IMAGE [IMAGE...]"),
    ("run", "[OPTIONS] IMAGE [COMMAND] [ARG...]"),
    ("save", "[OPTIONS] IMAGE [IMAGE...]"),
    ("start", "[OPTIONS] CONTAINER [CONTAINER...]"),
    ("stop", "[OPTIONS] CONTAINER [CONTAINER...]"),
    ("system", "COMMAND"),
    ("tag", "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]"),
    ("wait", "CONTAINER [CONTAINER...]"),
    ("why-not-cached", "[OPTIONS] [BUILD]"),
];

/// Returns what follows the name of the command at `path` (`lathe image rm`) in its usage line.
pub(super) fn tail(path: &str) -> &'static str {
    let path = path.strip_prefix("lathe").unwrap_or(path).trim_start();
    let last = path.rsplit(' ').next().unwrap_or(path);
    let find = |wanted: &str| TAILS.iter().find(|(name, _)| *name == wanted).map(|(_, tail)| *tail);
    find(path).or_else(|| find(last)).unwrap_or("[OPTIONS]")
}

/// Returns the help text of a command.
pub(super) fn help(command: &mut Command) -> String {
    plain_switches(&command.render_help().to_string())
}

/// Hides that a switch may take `=true`, as docker's help does; the columns stay aligned.
fn plain_switches(help: &str) -> String {
    help.replace("[=<bool>]", "         ")
}

/// Turns clap's error into docker's text and exit code.
pub(super) fn explain(error: &Error, root: &Command, argv: &[OsString]) -> Usage {
    let path = path_of(root, argv);
    let leaf = path.iter().skip(1).fold(root, |at, name| at.find_subcommand(name).unwrap_or(at));
    let at = path.join(" ");
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Usage::new(plain_switches(&error.render().to_string()), 0)
        }
        ErrorKind::InvalidSubcommand => {
            let name = context(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            let full = format!("{at} {name}");
            let (_, name) = full.split_once(' ').unwrap_or(("", &full));
            Usage::new(format!("lathe: '{name}' is not a lathe command.\nSee '{at} --help'\n"), 1)
        }
        ErrorKind::MissingRequiredArgument | ErrorKind::TooFewValues => count(leaf, &at),
        ErrorKind::UnknownArgument => {
            let arg = context(error, ContextKind::InvalidArg).unwrap_or_default();
            match unknown_flag(&arg, argv) {
                Some(text) => flag_mistake(&text, &at),
                None => count(leaf, &at),
            }
        }
        _ => flag_mistake(&value_mistake(error, leaf, argv), &at),
    }
}

fn flag_mistake(text: &str, at: &str) -> Usage {
    Usage::new(format!("{text}\nSee '{at} --help'.\n"), 125)
}

/// Describes a value that a flag does not take, or that it lacks.
fn value_mistake(error: &Error, leaf: &Command, argv: &[OsString]) -> String {
    let shown = context(error, ContextKind::InvalidArg).unwrap_or_default();
    let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
    let Some(arg) = find_arg(leaf, &shown) else {
        return error.render().to_string().trim_end().to_owned();
    };
    let long = arg.get_long().unwrap_or_default();
    if value.is_empty() && !matches!(error.kind(), ErrorKind::ValueValidation) {
        let short = arg.get_short().filter(|short| {
            argv.last().and_then(|last| last.to_str()).is_some_and(|last| {
                last.starts_with('-') && !last.starts_with("--") && last.ends_with(*short)
            })
        });
        return match (short, argv.last().and_then(|last| last.to_str())) {
            (Some(short), Some(last)) => format!("flag needs an argument: '{short}' in {last}"),
            _ => format!("flag needs an argument: --{long}"),
        };
    }
    let reason = match std::error::Error::source(error) {
        Some(source) if source.is::<ParseIntError>() => {
            format!("strconv.ParseInt: parsing {value:?}: invalid syntax")
        }
        Some(source) => source.to_string(),
        None => match error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(values)) => format!("want one of {}", values.join(", ")),
            _ => "invalid syntax".to_owned(),
        },
    };
    let flag = arg.get_short().map_or(format!("--{long}"), |short| format!("-{short}, --{long}"));
    format!("invalid argument {value:?} for \"{flag}\" flag: {reason}")
}

fn unknown_flag(arg: &str, argv: &[OsString]) -> Option<String> {
    if arg.starts_with("--") {
        let name = arg.split('=').next().unwrap_or(arg);
        return Some(format!("unknown flag: {name}"));
    }
    let letter = arg.strip_prefix('-')?.chars().next()?;
    let word = argv
        .iter()
        .filter_map(|word| word.to_str())
        .find(|word| word.starts_with('-') && !word.starts_with("--") && word.contains(letter));
    Some(format!("unknown shorthand flag: '{letter}' in {}", word.unwrap_or(arg)))
}

/// Says how many arguments the command takes.
fn count(leaf: &Command, at: &str) -> Usage {
    let (mut min, mut max) = (0_usize, Some(0_usize));
    for arg in leaf.get_positionals() {
        let values = arg.get_num_args().unwrap_or_else(|| 1.into());
        min += if arg.is_required_set() { values.min_values() } else { 0 };
        let unbounded = values.max_values() == usize::MAX
            || matches!(arg.get_action(), clap::ArgAction::Append);
        max = if unbounded { None } else { max.map(|max| max + 1) };
    }
    let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
    let wants = match (min, max) {
        (0, Some(0)) => "accepts no arguments".to_owned(),
        (min, Some(max)) if min == max => format!("requires exactly {min} {}", plural(min)),
        (0, Some(max)) => format!("requires at most {max} {}", plural(max)),
        (min, Some(max)) => format!("requires at least {min} and at most {max} arguments"),
        (min, None) => format!("requires at least {min} {}", plural(min)),
    };
    let about = leaf.get_about().map(ToString::to_string).unwrap_or_default();
    let text =
        format!("\"{at}\" {wants}.\nSee '{at} --help'.\n\nUsage:  {at} {}\n\n{about}\n", tail(at));
    Usage::new(text, 1)
}

/// Returns the path of the command that the words name.
fn path_of(root: &Command, argv: &[OsString]) -> Vec<String> {
    let mut path = vec![root.get_name().to_owned()];
    let mut at = root;
    let mut takes_value = false;
    for word in argv.iter().skip(1).filter_map(|word| word.to_str()) {
        if std::mem::take(&mut takes_value) {
            continue;
        }
        if word.starts_with('-') {
            takes_value = matches!(word, "--root" | "--registries-file" | "--config");
            continue;
        }
        let Some(next) = at.find_subcommand(word) else { break };
        path.push(next.get_name().to_owned());
        at = next;
    }
    path
}

fn find_arg<'a>(command: &'a Command, shown: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| {
        arg.get_long().is_some_and(|long| {
            let flag = shown.strip_prefix("--").unwrap_or_default();
            flag.strip_prefix(long)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-'))
        })
    })
}

fn context(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        ContextValue::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
