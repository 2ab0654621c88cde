//! `COPY` and `ADD`.

use std::collections::HashSet;

use super::{Arguments, Statement};
use crate::ast::{Add, Copy, Heredoc, Paths, Word};
use crate::diagnostic::Diagnostic;
use crate::flags::FlagSpec;
use crate::span::Span;
use crate::split;

const COPY_FLAGS: [FlagSpec; 6] = [
    FlagSpec::one("from"),
    FlagSpec::one("chown"),
    FlagSpec::one("chmod"),
    FlagSpec::switch("link"),
    FlagSpec::switch("parents"),
    FlagSpec::many("exclude"),
];

const ADD_FLAGS: [FlagSpec; 7] = [
    FlagSpec::one("chown"),
    FlagSpec::one("chmod"),
    FlagSpec::switch("link"),
    FlagSpec::many("exclude"),
    FlagSpec::one("checksum"),
    FlagSpec::switch("keep-git-dir"),
    FlagSpec::switch("unpack"),
];

pub(super) fn copy(statement: &mut Statement<'_>) -> Option<Copy> {
    statement.check_flags(&COPY_FLAGS);
    let paths = paths(statement)?;
    for source in &paths.sources {
        if source.raw.starts_with("http://") || source.raw.starts_with("https://") {
            statement.report(
                Diagnostic::error(source.span, "`COPY` cannot fetch a URL")
                    .help("use `ADD` for files from the network"),
            );
        }
    }
    let flags = statement.flags();
    let copy = Copy {
        paths,
        from: flags.one("from"),
        chown: flags.one("chown"),
        chmod: flags.one("chmod"),
        link: flags.switch("link").unwrap_or(false),
        parents: flags.switch("parents").unwrap_or(false),
        exclude: flags.many("exclude"),
    };
    check_from(statement, copy.from.as_ref());
    Some(copy)
}

pub(super) fn add(statement: &mut Statement<'_>) -> Option<Add> {
    statement.check_flags(&ADD_FLAGS);
    let paths = paths(statement)?;
    let flags = statement.flags();
    Some(Add {
        paths,
        chown: flags.one("chown"),
        chmod: flags.one("chmod"),
        link: flags.switch("link").unwrap_or(false),
        exclude: flags.many("exclude"),
        checksum: flags.one("checksum"),
        keep_git_dir: flags.switch("keep-git-dir"),
        unpack: flags.switch("unpack"),
    })
}

/// Variables in `--from` would hide on which stages a stage depends.
fn check_from(statement: &mut Statement<'_>, from: Option<&Word>) {
    let Some(from) = from else { return };
    let error = if from.raw.is_empty() {
        Diagnostic::error(from.span, "`--from` needs a stage or an image")
            .help("leave it out to copy from the build context")
    } else if from.raw.contains('$') {
        Diagnostic::error(from.span, "`--from` cannot hold a variable")
            .help("give the image a name with `FROM $IMAGE AS name` and write `--from=name`")
    } else {
        return;
    };
    statement.report(error);
}

/// Sources and destination.
fn paths(statement: &mut Statement<'_>) -> Option<Paths> {
    let heredocs = std::mem::take(&mut statement.heredocs);
    let mut words = match statement.arguments()? {
        Arguments::Json(words) => words,
        Arguments::Text(_) => {
            let words = plain_words(statement, &heredocs);
            check_open_quotes(statement, &words);
            words
        }
    };
    let marks: HashSet<Span> = heredocs.iter().map(|heredoc| heredoc.span).collect();
    let is_mark = |word: &Word| marks.contains(&word.span);
    match words.pop() {
        None => {
            statement.missing("a source and a destination");
            None
        }
        Some(last) if is_mark(&last) => {
            let message = "a heredoc cannot be the destination";
            statement.report(
                Diagnostic::error(last.span, message)
                    .help(format!("write the path behind it: `{} /path`", last.raw)),
            );
            None
        }
        Some(only) if words.is_empty() => {
            let message = format!("`{}` needs a source and a destination", statement.keyword());
            let help =
                format!("to copy it to the working directory, write `{} .`", statement.source());
            statement.report(Diagnostic::error(only.span, message).help(help));
            None
        }
        Some(destination) => {
            words.retain(|word| !is_mark(word));
            Some(Paths { sources: words, heredocs, destination })
        }
    }
}

/// Words at blanks, but a heredoc mark in one piece.
fn plain_words(statement: &Statement<'_>, heredocs: &[Heredoc]) -> Vec<Word> {
    let range = statement.arguments_range();
    let text = &statement.line.text;
    let mut words = Vec::new();
    let mut at = range.start;
    for heredoc in heredocs {
        let Some(found) = text[at..range.end].find(&heredoc.mark) else { break };
        push_words(statement, at..at + found, &mut words);
        at += found + heredoc.mark.len();
        words.push(Word { raw: heredoc.mark.clone(), span: heredoc.span });
    }
    push_words(statement, at..range.end, &mut words);
    words
}

fn push_words(statement: &Statement<'_>, range: split::Range, words: &mut Vec<Word>) {
    for word in split::at_blanks(&statement.line.text[range.clone()]) {
        words.push(statement.word(range.start + word.start..range.start + word.end));
    }
}

/// Quotes do not protect blanks here, which comes as a surprise.
fn check_open_quotes(statement: &mut Statement<'_>, words: &[Word]) {
    for word in words {
        if let Some(offset) = split::quoted(&word.raw, statement.escape).1 {
            let quote = &word.raw[offset..=offset];
            let help = format!(
                "for paths with blanks use the JSON form: `{} [\"a path\", \"to\"]`",
                statement.keyword()
            );
            let message = format!("{quote} is never closed");
            statement.report(Diagnostic::error(word.locate(offset), message).help(help));
            return;
        }
    }
}
