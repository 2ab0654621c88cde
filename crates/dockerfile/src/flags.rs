//! `--name=value` in front of the arguments of an instruction.

use crate::ast::Word;
use crate::diagnostic::Diagnostic;
use crate::lines::LogicalLine;
use crate::span::Span;
use crate::suggest::suggest;

/// A flag that an instruction knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FlagSpec {
    /// Without the dashes.
    pub(crate) name: &'static str,
    /// How it takes values.
    pub(crate) kind: FlagKind,
}

/// How a flag takes values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlagKind {
    /// None, `=true` or `=false`; once.
    Switch,
    /// One value; once.
    One,
    /// One value; as often as wanted.
    Many,
}

impl FlagSpec {
    pub(crate) const fn switch(name: &'static str) -> Self {
        Self { name, kind: FlagKind::Switch }
    }

    pub(crate) const fn one(name: &'static str) -> Self {
        Self { name, kind: FlagKind::One }
    }

    pub(crate) const fn many(name: &'static str) -> Self {
        Self { name, kind: FlagKind::Many }
    }
}

/// A flag as typed; quotes are off, variables still in.
#[derive(Debug)]
struct Flag {
    name: String,
    /// `None` without `=`.
    value: Option<Word>,
    span: Span,
    name_span: Span,
}

/// The flags of one instruction.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    flags: Vec<Flag>,
}

impl Flags {
    /// Reads flags of `line` from `start` on; also where the arguments begin.
    pub(crate) fn read(line: &LogicalLine, start: usize) -> (Self, usize) {
        let mut flags = Vec::new();
        let mut at = skip_blanks(&line.text, start);
        while line.text[at..].starts_with("--") {
            let (word, end) = read_word(&line.text, at);
            let from = at;
            at = skip_blanks(&line.text, end);
            if word.text == "--" {
                break;
            }
            flags.push(Flag::new(line, &word, from, end));
        }
        (Self { flags }, at)
    }

    /// Reports flags that are not in `specs`, come twice or have wrong values.
    pub(crate) fn check(
        &mut self,
        keyword: &str,
        specs: &[FlagSpec],
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let mut seen: Vec<(&'static str, Span)> = Vec::new();
        self.flags.retain(|flag| {
            let Some(spec) = specs.iter().find(|spec| spec.name == flag.name) else {
                diagnostics.push(unknown(keyword, flag, specs));
                return false;
            };
            let earlier = seen.iter().find(|(name, _)| *name == spec.name);
            if let (Some(&(_, first)), true) = (earlier, spec.kind != FlagKind::Many) {
                diagnostics.push(
                    Diagnostic::error(flag.span, format!("flag `--{}` is given twice", flag.name))
                        .label(first, "first given here")
                        .help(format!("write `{}` once", flag.shown())),
                );
                return false;
            }
            seen.push((spec.name, flag.span));
            match value_error(flag, spec.kind) {
                Some(error) => {
                    diagnostics.push(error);
                    false
                }
                None => true,
            }
        });
    }

    /// The value of a [`FlagKind::One`] flag.
    pub(crate) fn one(&mut self, name: &str) -> Option<Word> {
        let at = self.flags.iter().position(|flag| flag.name == name)?;
        // The order of the others counts: they may be a list.
        self.flags.remove(at).value
    }

    /// The values of a [`FlagKind::Many`] flag, in order.
    pub(crate) fn many(&mut self, name: &str) -> Vec<Word> {
        let named = self.flags.iter_mut().filter(|flag| flag.name == name);
        named.filter_map(|flag| flag.value.take()).collect()
    }

    /// The value of a [`FlagKind::Switch`] flag, if it is given.
    pub(crate) fn switch(&self, name: &str) -> Option<bool> {
        let flag = self.flags.iter().find(|flag| flag.name == name)?;
        Some(flag.value.as_ref().is_none_or(|value| value.raw.eq_ignore_ascii_case("true")))
    }
}

impl Flag {
    fn new(line: &LogicalLine, word: &RawWord, start: usize, end: usize) -> Self {
        let (name, value) = match word.text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.text.as_str(), None),
        };
        let typed = &line.text[start..end];
        let name_end = start + typed.find('=').unwrap_or(typed.len());
        let value = value.map(|value| {
            let quoted = typed.len() != word.text.len();
            let from = if quoted { name_end + 1 } else { end - value.len() };
            Word { raw: value.to_owned(), span: line.span(from.min(end), end) }
        });
        Self {
            name: name[2..].to_owned(),
            value,
            span: line.span(start, end),
            name_span: line.span(start, name_end),
        }
    }
}

impl Flag {
    /// As it would be typed.
    fn shown(&self) -> String {
        match &self.value {
            Some(value) => format!("--{}={}", self.name, value.raw),
            None => format!("--{}", self.name),
        }
    }
}

fn unknown(keyword: &str, flag: &Flag, specs: &[FlagSpec]) -> Diagnostic {
    let message = format!("unknown flag `--{}` for `{keyword}`", flag.name);
    let error = Diagnostic::error(flag.name_span, message);
    match suggest(&flag.name, specs.iter().map(|spec| spec.name)) {
        Some(near) => error.help(format!("did you mean `--{near}`?")),
        None if specs.is_empty() => error.help(format!("`{keyword}` takes no flags")),
        None => {
            let names: Vec<String> = specs.iter().map(|s| format!("`--{}`", s.name)).collect();
            error.help(format!("`{keyword}` takes {}", names.join(", ")))
        }
    }
}

fn value_error(flag: &Flag, kind: FlagKind) -> Option<Diagnostic> {
    let name = &flag.name;
    match (kind, &flag.value) {
        (FlagKind::Switch, Some(value)) => {
            let known = ["true", "false"].iter().any(|word| value.raw.eq_ignore_ascii_case(word));
            let message = format!("flag `--{name}` takes `true` or `false`, not `{}`", value.raw);
            (!known).then(|| {
                Diagnostic::error(flag.span, message)
                    .help(format!("write `--{name}`, or leave it out"))
            })
        }
        (FlagKind::One | FlagKind::Many, None) => Some(
            Diagnostic::error(flag.span, format!("flag `--{name}` needs a value"))
                .help(format!("write `--{name}=…`, with `=` and without a blank")),
        ),
        _ => None,
    }
}

/// A word with its quotes and escapes taken off.
struct RawWord {
    text: String,
}

/// Reads the word at `start`: quotes protect blanks, a backslash the next
/// character (whatever the escape directive says).
fn read_word(text: &str, start: usize) -> (RawWord, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text[start..].char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (RawWord { text: word }, start + at),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(mark) if c == mark => quote = None,
            _ if c == '\\' => word.extend(chars.next().map(|(_, next)| next)),
            _ => word.push(c),
        }
    }
    (RawWord { text: word }, text.len())
}

fn skip_blanks(text: &str, start: usize) -> usize {
    text.len() - text[start..].trim_start().len()
}
