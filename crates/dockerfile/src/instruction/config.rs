//! Instructions that only change the configuration of the image.

use super::{Arguments, Statement, open_quote};
use crate::ast::{
    Arg, ArgEntry, Env, Expose, Label, Maintainer, Pair, StopSignal, User, Volume, Word, Workdir,
};
use crate::comments;
use crate::diagnostic::Diagnostic;
use crate::split::{self, Range};

pub(super) fn env(statement: &mut Statement<'_>) -> Option<Env> {
    pairs(statement).map(|pairs| Env { pairs })
}

pub(super) fn label(statement: &mut Statement<'_>) -> Option<Label> {
    pairs(statement).map(|pairs| Label { pairs })
}

/// Words at blanks outside quotes, as ranges of the line.
fn quoted_words(statement: &mut Statement<'_>) -> Vec<Range> {
    let range = statement.arguments_range();
    let (words, open) = split::quoted(&statement.line.text[range.clone()], statement.escape);
    if let (Some(_), Some(last)) = (open, words.last()) {
        let word = statement.word(range.start + last.start..range.start + last.end);
        statement.diagnostics.extend(open_quote(&word, statement.escape));
    }
    words.into_iter().map(|word| range.start + word.start..range.start + word.end).collect()
}

/// `key=value …`, or the old `key value`.
fn pairs(statement: &mut Statement<'_>) -> Option<Vec<Pair>> {
    statement.check_flags(&[]);
    let errors = statement.diagnostics.len();
    let words = quoted_words(statement);
    let Some(first) = words.first() else {
        statement.missing("`key=value`");
        return None;
    };
    if !statement.line.text[first.clone()].contains('=') {
        // In the old form quotes are part of the rest, but still have to pair up
        // when the value is expanded.
        return legacy_pair(statement).map(|pair| vec![pair]);
    }
    let mut pairs = Vec::with_capacity(words.len());
    for range in words {
        match pair(statement, range) {
            Ok(pair) => pairs.push(pair),
            Err(error) => statement.report(error),
        }
    }
    (statement.diagnostics.len() == errors).then_some(pairs)
}

fn pair(statement: &Statement<'_>, range: Range) -> Result<Pair, Diagnostic> {
    let word = statement.word(range.clone());
    let Some(equals) = word.raw.find('=') else {
        let message = format!("`{}` has no value", word.raw);
        return Err(Diagnostic::error(word.span, message)
            .help("write `key=value`, and quote values with blanks: `key=\"a value\"`"));
    };
    if equals == 0 {
        return Err(Diagnostic::error(word.span, "a name is expected before `=`")
            .help(format!("write `NAME{}`", word.raw)));
    }
    let at = range.start + equals;
    Ok(Pair {
        key: statement.word(range.start..at),
        value: statement.word(at + 1..range.end),
        legacy: false,
    })
}

/// `key rest of the line`.
fn legacy_pair(statement: &mut Statement<'_>) -> Option<Pair> {
    let range = statement.arguments_range();
    let text = &statement.line.text[range.clone()];
    let Some(length) = text.find(split::is_blank) else {
        let word = statement.word(range);
        let message = format!("`{}` has no value", word.raw);
        let help = format!("write `{} {}=value`", statement.keyword(), word.raw);
        statement.report(Diagnostic::error(word.span, message).help(help));
        return None;
    };
    let behind = range.start + length;
    let value_start = range.end - statement.line.text[behind..range.end].trim_start().len();
    Some(Pair {
        key: statement.word(range.start..behind),
        value: statement.word(value_start..range.end),
        legacy: true,
    })
}

pub(super) fn arg(statement: &mut Statement<'_>) -> Option<Arg> {
    statement.check_flags(&[]);
    let words = quoted_words(statement);
    if words.is_empty() {
        statement.missing("a name");
        return None;
    }
    let mut entries = Vec::with_capacity(words.len());
    for range in words {
        let word = statement.word(range.clone());
        let equals = word.raw.find('=');
        let name = word.raw[..equals.unwrap_or(word.raw.len())].to_owned();
        if name.is_empty() {
            statement.report(
                Diagnostic::error(word.span, "a name is expected before `=`")
                    .help(format!("write `ARG NAME{}`", word.raw)),
            );
            continue;
        }
        let default = equals.map(|at| statement.word(range.start + at + 1..range.end));
        let doc = comments::description(statement.comments, &name);
        entries.push(ArgEntry { name, default, span: word.span, doc });
    }
    (!entries.is_empty()).then(|| Arg {
        entries,
        span: statement.span(),
        source: statement.source(),
        keyword: statement.keyword_span(),
        comments: statement.comments.to_vec(),
    })
}

pub(super) fn expose(statement: &mut Statement<'_>) -> Option<Expose> {
    statement.check_flags(&[]);
    let ports = blank_words(statement);
    if ports.is_empty() {
        statement.missing("a port");
        return None;
    }
    Some(Expose { ports })
}

pub(super) fn volume(statement: &mut Statement<'_>) -> Option<Volume> {
    statement.check_flags(&[]);
    let paths = match statement.arguments()? {
        Arguments::Json(words) => words,
        Arguments::Text(_) => blank_words(statement),
    };
    if paths.is_empty() {
        statement.missing("a path");
        return None;
    }
    if let Some(empty) = paths.iter().find(|path| path.raw.is_empty()) {
        let error = Diagnostic::error(empty.span, "a volume path cannot be empty")
            .help("write a path, such as `VOLUME /data`");
        statement.report(error);
        return None;
    }
    Some(Volume { paths })
}

/// Words at blanks; quotes must pair up within a word.
fn blank_words(statement: &mut Statement<'_>) -> Vec<Word> {
    let range = statement.arguments_range();
    let words: Vec<Word> = split::at_blanks(&statement.line.text[range.clone()])
        .into_iter()
        .map(|word| statement.word(range.start + word.start..range.start + word.end))
        .collect();
    statement.check_quotes(&words);
    words
}

pub(super) fn workdir(statement: &mut Statement<'_>) -> Option<Workdir> {
    statement.check_flags(&[]);
    let path = statement.single("a path")?;
    statement.check_quotes(std::slice::from_ref(&path));
    Some(Workdir { path })
}

pub(super) fn user(statement: &mut Statement<'_>) -> Option<User> {
    statement.check_flags(&[]);
    let user = statement.single("a user")?;
    statement.check_quotes(std::slice::from_ref(&user));
    Some(User { user })
}

pub(super) fn stop_signal(statement: &mut Statement<'_>) -> Option<StopSignal> {
    statement.check_flags(&[]);
    let signal = statement.single("a signal")?;
    statement.check_quotes(std::slice::from_ref(&signal));
    Some(StopSignal { signal })
}

pub(super) fn maintainer(statement: &mut Statement<'_>) -> Option<Maintainer> {
    statement.check_flags(&[]);
    statement.single("an author").map(|author| Maintainer { name: author.raw })
}
