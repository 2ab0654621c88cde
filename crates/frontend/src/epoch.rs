//! `SOURCE_DATE_EPOCH`: when things are from, instead of now.
//!
//! A build argument, or the default of a global `ARG`. Besides seconds it may name the build
//! context, a named context, or a stage that only downloads: then it is the time of that.

use std::collections::BTreeMap;

use lathe_dockerfile::{Diagnostic, Dockerfile, Instruction, InstructionKind, Span, Stage, expand};
use lathe_graph::SourceOp;

use crate::{
    Epoch, FrontendOptions, NamedContext, StageGraph,
    fetch::{Asked, fetch},
    options::EPOCH_ARG,
};

/// Finds out what the value means.
pub(crate) fn epoch(
    file: &Dockerfile,
    stages: &StageGraph,
    options: &FrontendOptions,
) -> Result<Epoch, Box<Diagnostic>> {
    let given = options.build_args.get(EPOCH_ARG);
    let Some(value) = given.or_else(|| stages.global_args.get(EPOCH_ARG)) else {
        return Ok(Epoch::Unset);
    };
    if value.is_empty() {
        return Ok(Epoch::Unset);
    }
    if let Ok(seconds) = value.parse() {
        return Ok(Epoch::Seconds(seconds));
    }
    if value == "context" {
        return Ok(Epoch::Context(value.clone()));
    }
    match options.context(value) {
        Some((name, NamedContext::Files)) => return Ok(Epoch::Context(name.to_owned())),
        // An image has many times, and none that would be its own.
        Some((_, NamedContext::Image(_))) => return Ok(Epoch::Unset),
        None => {}
    }
    let key = value.to_lowercase();
    let Some(stage) = file.stages.iter().find(|stage| stage.key().as_ref() == Some(&key)) else {
        let mut declared = file.global_args.iter().flat_map(|arg| &arg.entries);
        let span = declared.rfind(|entry| entry.name == EPOCH_ARG).map(|entry| entry.span);
        let span = span.filter(|_| given.is_none()).unwrap_or(Span::empty_at(0));
        let error = Diagnostic::error(span, format!("invalid {EPOCH_ARG} `{value}`"));
        let help = "it takes seconds since 1970, `context`, or a named context or stage";
        return Err(Box::new(error.help(help)));
    };
    source_of(file, stage, stages, options).map(Epoch::Source)
}

/// Returns the one download of a stage that has nothing else.
fn source_of(
    file: &Dockerfile,
    stage: &Stage,
    stages: &StageGraph,
    options: &FrontendOptions,
) -> Result<SourceOp, Box<Diagnostic>> {
    let fail = |span: Span, message: &str| {
        let message = format!("{EPOCH_ARG} names this stage, but {message}");
        let help = "a stage that gives the time is `FROM scratch` with one ADD of a URL";
        Box::new(Diagnostic::error(span, message).help(help))
    };
    let mut args = stages.global_args.clone();
    args.remove(EPOCH_ARG);
    let base = expand(&stage.base.raw, &args, file.escape).map(|expanded| expanded.text);
    if base.as_deref() != Ok("scratch") {
        return Err(fail(stage.base.span, "it does not start from scratch"));
    }
    let mut source = None;
    for instruction in &stage.instructions {
        match &instruction.kind {
            InstructionKind::Arg(arg) => {
                for entry in &arg.entries {
                    let default = entry.default.as_ref();
                    let value = match options.build_args.get(&entry.name) {
                        Some(given) => Some(given.clone()),
                        None => default.and_then(|word| {
                            Some(expand(&word.raw, &args, file.escape).ok()?.text)
                        }),
                    };
                    args.extend(value.map(|value| (entry.name.clone(), value)));
                }
            }
            InstructionKind::Add(_) if source.is_some() => {
                return Err(fail(instruction.span, "it has more than one ADD"));
            }
            InstructionKind::Add(_) => {
                let found = added(instruction, &args, file.escape)?;
                source = Some(found.ok_or_else(|| fail(instruction.span, "this is no URL"))?);
            }
            _ => return Err(fail(instruction.span, "it does more than downloading")),
        }
    }
    source.ok_or_else(|| fail(stage.span, "it downloads nothing"))
}

/// Returns what an `ADD` of one URL brings; `None` if it does something else.
fn added(
    instruction: &Instruction,
    args: &BTreeMap<String, String>,
    escape: char,
) -> Result<Option<SourceOp>, Box<Diagnostic>> {
    let InstructionKind::Add(add) = &instruction.kind else { return Ok(None) };
    let [source] = add.paths.sources.as_slice() else { return Ok(None) };
    if !add.paths.heredocs.is_empty() {
        return Ok(None);
    }
    let expanded = |word: &lathe_dockerfile::Word| {
        let text = expand(&word.raw, args, escape).map(|expanded| expanded.text);
        text.map_err(|error| Box::new(Diagnostic::error(word.span, error.to_string())))
    };
    let text = expanded(source)?;
    let checksum = add.checksum.as_ref().map(&expanded).transpose()?;
    let asked = Asked { checksum: checksum.as_deref(), keep_git_dir: add.keep_git_dir };
    match fetch(&text, &asked) {
        None => Ok(None),
        Some(Ok(source)) => Ok(Some(source)),
        Some(Err(error)) => Err(Box::new(error.at(add, source.span))),
    }
}
