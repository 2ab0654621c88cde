//! Rules about upper and lower case.

use super::Lint;
use crate::ast::InstructionKind;
use crate::diagnostic::{Diagnostic, Rule};
use crate::span::Span;

/// The case of a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    Upper,
    Lower,
    Mixed,
}

fn case(word: &str) -> Case {
    let has_upper = word.bytes().any(|byte| byte.is_ascii_uppercase());
    let has_lower = word.bytes().any(|byte| byte.is_ascii_lowercase());
    match (has_upper, has_lower) {
        (true, true) => Case::Mixed,
        (false, true) => Case::Lower,
        _ => Case::Upper,
    }
}

fn in_case(word: &str, case: Case) -> String {
    if case == Case::Lower { word.to_lowercase() } else { word.to_uppercase() }
}

pub(super) fn stage_name_casing(lint: &mut Lint<'_>) {
    for name in lint.stages().filter_map(|stage| stage.name.as_ref()) {
        if name.text != name.key() {
            let message = format!("stage name `{}` should be lower case", name.text);
            let help = format!("write `{}`", name.key());
            lint.report(Diagnostic::warning(Rule::StageNameCasing, name.span, message).help(help));
        }
    }
}

pub(super) fn from_as_casing(lint: &mut Lint<'_>) {
    for stage in lint.stages() {
        let Some(keyword) = stage.as_keyword else { continue };
        let (from, as_word) = (stage.keyword.slice(lint.text), keyword.slice(lint.text));
        if case(from) != Case::Mixed && case(as_word) != case(from) {
            let message = format!("`{as_word}` does not match the case of `{from}`");
            let help = format!("write `{}`", in_case(as_word, case(from)));
            lint.report(Diagnostic::warning(Rule::FromAsCasing, keyword, message).help(help));
        }
    }
}

pub(super) fn consistent_instruction_casing(lint: &mut Lint<'_>) {
    // Global arguments do not count, as in `BuildKit`.
    let stages = lint.stages().flat_map(|stage| {
        std::iter::once(stage.keyword).chain(stage.instructions.iter().map(|it| it.keyword))
    });
    let keywords: Vec<Span> = stages.collect();
    let count = |wanted| keywords.iter().filter(|k| case(k.slice(lint.text)) == wanted).count();
    let (majority, name) = if count(Case::Lower) > count(Case::Upper) {
        (Case::Lower, "lower")
    } else {
        (Case::Upper, "upper")
    };
    for span in keywords {
        let keyword = span.slice(lint.text);
        if case(keyword) != majority {
            let message =
                format!("`{keyword}` should be {name} case, as most instructions of this file");
            let help = format!("write `{}`", in_case(keyword, majority));
            lint.report(
                Diagnostic::warning(Rule::ConsistentInstructionCasing, span, message).help(help),
            );
        }
    }
}

pub(super) fn expose_proto_casing(lint: &mut Lint<'_>) {
    for instruction in lint.instructions() {
        let InstructionKind::Expose(expose) = &instruction.kind else { continue };
        for port in &expose.ports {
            let Some((_, protocol)) = port.raw.rsplit_once('/') else { continue };
            if !protocol.contains('$') && protocol != protocol.to_lowercase() {
                let message = format!("protocol `{protocol}` should be lower case");
                let help = format!("write `{}`", port.raw.to_lowercase());
                lint.report(
                    Diagnostic::warning(Rule::ExposeProtoCasing, port.span, message).help(help),
                );
            }
        }
    }
}
