//! Parser directives: the `# key=value` lines at the very top.

use crate::ast::Word;
use crate::diagnostic::Diagnostic;
use crate::lines::PhysicalLine;
use crate::span::Span;

/// The directives of a file; unknown keys are comments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `# syntax=`: the value as typed; its first word is the front end.
    pub syntax: Option<Word>,
    /// `# escape=`
    pub escape: Option<Word>,
    /// `# check=`, as typed.
    pub check: Option<Word>,
}

impl Directives {
    /// The front end that `# syntax=` asks for: the first word of the value.
    pub fn frontend(&self) -> Option<&str> {
        self.syntax.as_ref().and_then(|word| word.raw.split_whitespace().next())
    }

    /// Reads a line as a directive; `false` if it is none, which ends them.
    ///
    /// Unlike a comment, a directive starts in the first column.
    pub(crate) fn read(
        &mut self,
        line: PhysicalLine<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> bool {
        let Some((key, value)) = split(line) else { return false };
        let slot = match key.to_ascii_lowercase().as_str() {
            "syntax" => &mut self.syntax,
            "escape" => &mut self.escape,
            "check" => &mut self.check,
            _ => return false,
        };
        if let Some(first) = slot {
            diagnostics.push(
                Diagnostic::error(value.span, format!("directive `{key}` is given twice"))
                    .label(first.span, "first given here"),
            );
            return true;
        }
        if key.eq_ignore_ascii_case("escape") && !matches!(value.raw.as_str(), "\\" | "`") {
            diagnostics.push(
                Diagnostic::error(value.span, format!("invalid escape character `{}`", value.raw))
                    .help("only `\\` and `` ` `` can be escape characters"),
            );
        }
        *slot = Some(value);
        true
    }

    /// The escape character of the file.
    pub(crate) fn escape_char(&self) -> char {
        match &self.escape {
            Some(word) if word.raw == "`" => '`',
            _ => '\\',
        }
    }
}

/// Cuts `# key = value`.
fn split(line: PhysicalLine<'_>) -> Option<(&str, Word)> {
    let content = line.text.strip_prefix('#')?;
    let (key, value) = content.split_once('=')?;
    let key = key.trim();
    let mut letters = key.bytes();
    if !letters.next()?.is_ascii_alphabetic() || !letters.all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let trimmed = value.trim();
    if trimmed.is_empty() {
        return None;
    }
    let end = line.start + line.text.trim_end().len();
    let span = Span::between(end - trimmed.len(), end);
    Some((key, Word { raw: trimmed.to_owned(), span }))
}
