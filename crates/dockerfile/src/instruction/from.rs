//! `FROM`, which starts a stage.

use super::Statement;
use crate::ast::{Name, Word};
use crate::diagnostic::Diagnostic;
use crate::flags::FlagSpec;
use crate::span::Span;
use crate::split;

/// The parts of a `FROM`.
#[derive(Debug)]
pub(crate) struct From {
    pub(crate) base: Word,
    pub(crate) name: Option<Name>,
    pub(crate) as_keyword: Option<Span>,
    pub(crate) platform: Option<Word>,
}

pub(crate) fn from(statement: &mut Statement<'_>) -> Option<From> {
    statement.check_flags(&[FlagSpec::one("platform")]);
    let platform = statement.flags().one("platform");
    let range = statement.arguments_range();
    let words: Vec<Word> = split::at_blanks(&statement.line.text[range.clone()])
        .into_iter()
        .map(|word| statement.word(range.start + word.start..range.start + word.end))
        .collect();
    let mut words = words.into_iter();
    let Some(base) = words.next() else {
        statement.missing("an image or an earlier stage");
        return None;
    };
    statement.check_quotes(std::slice::from_ref(&base));
    let rest: Vec<Word> = words.collect();
    let (name, as_keyword) = match rest.as_slice() {
        [] => (None, None),
        [keyword, name] if keyword.raw.eq_ignore_ascii_case("as") => {
            (stage_name(statement, name), Some(keyword.span))
        }
        [keyword] if keyword.raw.eq_ignore_ascii_case("as") => {
            let message = "a stage name is expected behind `AS`";
            let help = format!("for example `FROM {} AS build`", base.raw);
            statement.report(Diagnostic::error(keyword.span, message).help(help));
            (None, Some(keyword.span))
        }
        [first, .., last] | [first @ last] => {
            report_surplus(statement, &rest, first.span.join(last.span));
            (None, None)
        }
    };
    Some(From { base, name, as_keyword, platform })
}

fn report_surplus(statement: &mut Statement<'_>, rest: &[Word], span: Span) {
    let message = "`FROM` takes an image, or an image and `AS name`";
    let error = Diagnostic::error(span, message);
    let error = match rest {
        words if words.iter().any(|word| word.raw.starts_with('#')) => {
            error.help("a comment needs its own line")
        }
        [keyword, _, ..] if keyword.raw.eq_ignore_ascii_case("as") => {
            error.help("a stage name is one word")
        }
        [name] => error.help(format!("did you mean `AS {}`?", name.raw)),
        _ => error.help("write the rest into other lines"),
    };
    statement.report(error);
}

/// Names: a letter, then letters, digits, `-`, `_`, `.`; case does not count.
fn stage_name(statement: &mut Statement<'_>, word: &Word) -> Option<Name> {
    let mut letters = word.raw.chars();
    let starts_well = letters.next().is_some_and(|c| c.is_ascii_alphabetic());
    let goes_on = letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if starts_well && goes_on {
        return Some(Name { text: word.raw.clone(), span: word.span });
    }
    let message = format!("invalid stage name `{}`", word.raw);
    statement.report(
        Diagnostic::error(word.span, message)
            .help("a stage name starts with a letter and has letters, digits, `-`, `_` and `.`"),
    );
    None
}
