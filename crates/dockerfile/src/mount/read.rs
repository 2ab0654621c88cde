//! The comma-separated options of a `--mount`, read.

use super::{Mount, MountError, MountKey, MountOption};
use crate::ast::Word;
use crate::span::Span;
use crate::suggest::suggest;

/// Every spelling of every key.
const KEYS: [(&str, MountKey); 19] = [
    ("type", MountKey::Type),
    ("from", MountKey::From),
    ("source", MountKey::Source),
    ("src", MountKey::Source),
    ("target", MountKey::Target),
    ("dst", MountKey::Target),
    ("destination", MountKey::Target),
    ("readonly", MountKey::ReadOnly),
    ("ro", MountKey::ReadOnly),
    ("readwrite", MountKey::ReadWrite),
    ("rw", MountKey::ReadWrite),
    ("id", MountKey::Id),
    ("sharing", MountKey::Sharing),
    ("required", MountKey::Required),
    ("size", MountKey::Size),
    ("mode", MountKey::Mode),
    ("uid", MountKey::Uid),
    ("gid", MountKey::Gid),
    ("env", MountKey::Env),
];

impl MountKey {
    /// The spelling of the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::From => "from",
            Self::Source => "source",
            Self::Target => "target",
            Self::ReadOnly => "readonly",
            Self::ReadWrite => "readwrite",
            Self::Id => "id",
            Self::Sharing => "sharing",
            Self::Required => "required",
            Self::Size => "size",
            Self::Mode => "mode",
            Self::Uid => "uid",
            Self::Gid => "gid",
            Self::Env => "env",
        }
    }
}

pub(super) fn mount(value: &Word, errors: &mut Vec<MountError>) -> Mount {
    let mut mount = Mount { options: Vec::new(), span: value.span };
    let Some(fields) = fields(&value.raw) else {
        errors.push(MountError::BadQuotes { span: value.span });
        return mount;
    };
    for field in fields {
        match option(value, &field) {
            Ok(option) => mount.options.push(option),
            Err(error) => errors.push(error),
        }
    }
    mount
}

/// A field of the list: its text and range in the value.
struct Field {
    text: String,
    start: usize,
    end: usize,
}

/// Cuts as Go's `encoding/csv` does: a field in `"` may hold commas, and `""`
/// is a quote there. `None` if quotes are misplaced.
fn fields(text: &str) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let start = at;
        let field = if text[at..].starts_with('"') {
            let (field, end) = quoted(text, at)?;
            at = end;
            field
        } else {
            at += text[at..].find(',').unwrap_or(text.len() - at);
            text[start..at].to_owned()
        };
        if !text[start..at].starts_with('"') && field.contains('"') {
            return None;
        }
        fields.push(Field { text: field, start, end: at });
        match text[at..].chars().next() {
            None => return Some(fields),
            Some(',') => at += 1,
            Some(_) => return None,
        }
    }
}

fn quoted(text: &str, start: usize) -> Option<(String, usize)> {
    let mut field = String::new();
    let mut at = start + 1;
    loop {
        let length = text[at..].find('"')?;
        field.push_str(&text[at..at + length]);
        at += length + 1;
        if !text[at..].starts_with('"') {
            return Some((field, at));
        }
        field.push('"');
        at += 1;
    }
}

fn option(value: &Word, field: &Field) -> Result<MountOption, MountError> {
    let span = part(value, field.start, field.end);
    let (key_text, option_value) = match field.text.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (field.text.as_str(), None),
    };
    let lower = key_text.to_ascii_lowercase();
    let Some(&(_, key)) = KEYS.iter().find(|(name, _)| *name == lower) else {
        let near = suggest(key_text, KEYS.iter().map(|(name, _)| *name));
        return Err(MountError::UnknownKey { key: key_text.to_owned(), near, span });
    };
    let stands_alone = matches!(key, MountKey::ReadOnly | MountKey::ReadWrite | MountKey::Required);
    if option_value.is_none() && !stands_alone {
        return Err(MountError::MissingValue { key: key_text.to_owned(), span });
    }
    let word = option_value.map(|text| {
        let start = field.end.saturating_sub(text.len());
        Word { raw: text.to_owned(), span: part(value, start, field.end) }
    });
    if let (MountKey::From, Some(word)) = (key, &word)
        && word.raw.find('$').is_some_and(|at| at + 1 < word.raw.len())
    {
        return Err(MountError::VariableInFrom { span: word.span });
    }
    Ok(MountOption { key, value: word, span })
}

/// The place of a range of the value; the whole if it was quoted.
fn part(value: &Word, start: usize, end: usize) -> Span {
    if value.raw.len() != value.span.len() as usize {
        return value.span;
    }
    let base = value.span.start as usize;
    Span::between(base + start, base + end)
}
