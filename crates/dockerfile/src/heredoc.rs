//! Heredocs: finding the marks in a line, reading the bodies behind it.

use std::collections::HashSet;

use crate::ast::Heredoc;
use crate::diagnostic::Diagnostic;
use crate::lines::{Lines, LogicalLine};
use crate::span::Span;

/// A `<<NAME` in a logical line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Range in the text of the line.
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) fd: u32,
    pub(crate) chomp: bool,
    pub(crate) expand: bool,
    pub(crate) name: String,
}

/// The marks of a line, in order.
///
/// A mark is a whole shell word `[fd]<<[-]NAME`; blanks may stand before the
/// name. A line with an open quote has none, as in `BuildKit`.
pub(crate) fn marks(text: &str) -> Vec<Mark> {
    if !text.contains("<<") {
        return Vec::new();
    }
    let Some(words) = shell_words(text) else { return Vec::new() };
    words.into_iter().filter_map(|(start, end)| mark(text, start, end)).collect()
}

/// Cuts a line as a shell would; `None` if a quote stays open.
fn shell_words(text: &str) -> Option<Vec<(usize, usize)>> {
    let mut words = Vec::new();
    let mut start = None;
    let last_arithmetic = text.rfind("))").unwrap_or_default();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c.is_whitespace() {
            words.extend(start.take().map(|begin| (begin, at)));
            continue;
        }
        start.get_or_insert(at);
        match c {
            '\\' => drop(chars.next()),
            '\'' => {
                chars.find(|&(_, c)| c == '\'')?;
            }
            // `$((1 << 3))` is arithmetic.
            '$' if at < last_arithmetic && text[at..].starts_with("$((") => {
                let end = at + text[at..].find("))").unwrap_or_default();
                while chars.next_if(|&(at, _)| at < end).is_some() {}
            }
            '"' => loop {
                match chars.next()?.1 {
                    '"' => break,
                    '\\' => drop(chars.next()),
                    _ => {}
                }
            },
            '<' if chars.next_if(|&(_, c)| c == '<').is_some() => {
                while chars.next_if(|&(_, c)| c == ' ' || c == '\t').is_some() {}
            }
            _ => {}
        }
    }
    words.extend(start.map(|begin| (begin, text.len())));
    Some(words)
}

/// Reads one word as a mark.
fn mark(text: &str, start: usize, end: usize) -> Option<Mark> {
    let word = &text[start..end];
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let rest = word[digits..].strip_prefix("<<")?;
    let (chomp, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let (name, expand) = unquote(rest)?;
    let fd = if digits == 0 { 0 } else { word[..digits].parse().unwrap_or(0) };
    (!name.is_empty()).then_some(Mark { start, end, fd, chomp, expand, name })
}

/// The name without quotes; whether it had none.
fn unquote(word: &str) -> Option<(String, bool)> {
    let mut name = String::new();
    let mut plain = true;
    let mut quote = None;
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if c == '\'' || c == '"' => {
                plain = false;
                quote = Some(c);
            }
            Some(mark) if c == mark => quote = None,
            _ if c == '\\' && quote != Some('\'') => name.extend(chars.next()),
            _ => name.push(c),
        }
    }
    quote.is_none().then_some((name, plain))
}

/// Reads the bodies of heredocs.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    /// Terminators that the rest of the file does not have: it is looked
    /// through once for each, not once for each mark.
    missing: HashSet<(String, bool)>,
}

impl Bodies {
    /// Reads the bodies of `marks` from the lines behind `line`.
    ///
    /// An unterminated heredoc is reported and takes what was probably meant
    /// to be its body, lest every line of it be reported as an instruction.
    pub(crate) fn read(
        &mut self,
        marks: Vec<Mark>,
        line: &mut LogicalLine,
        lines: &mut Lines<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Vec<Heredoc> {
        let mut heredocs = Vec::with_capacity(marks.len());
        for mark in marks {
            let span = line.span(mark.start, mark.end);
            let start = lines.offset();
            let Some((end, line_end)) = self.find_terminator(&mark, lines) else {
                lines.seek(start);
                diagnostics.push(unterminated(&mark, span, lines));
                line.end = lines.text()[..lines.offset()].trim_end_matches(['\r', '\n']).len();
                break;
            };
            let raw_body = lines.text()[start..end].to_owned();
            line.end = line_end;
            heredocs.push(Heredoc {
                mark: line.text[mark.start..mark.end].to_owned(),
                body: if mark.chomp { chomp(&raw_body) } else { raw_body.clone() },
                raw_body,
                name: mark.name,
                fd: mark.fd,
                expand: mark.expand,
                chomp: mark.chomp,
                span,
                body_span: Span::between(start, end),
            });
        }
        heredocs
    }

    /// Where the body ends and where the line of the terminator ends.
    fn find_terminator(&mut self, mark: &Mark, lines: &mut Lines<'_>) -> Option<(usize, usize)> {
        let key = (mark.name.clone(), mark.chomp);
        if self.missing.contains(&key) {
            return None;
        }
        for line in lines {
            let text = if mark.chomp { line.text.trim_start_matches('\t') } else { line.text };
            if text == mark.name {
                return Some((line.start, line.start + line.text.len()));
            }
        }
        self.missing.insert(key);
        None
    }
}

/// Reports a missing terminator, and reads up to the line that was probably
/// meant to be it, or to the end.
fn unterminated(mark: &Mark, span: Span, lines: &mut Lines<'_>) -> Diagnostic {
    let name = &mark.name;
    let what = if mark.chomp { ", leading tabs aside" } else { "" };
    let error = Diagnostic::error(span, format!("heredoc `{name}` is never closed")).help(format!(
        "the body ends at a line that is exactly `{name}`{what}, without other blanks"
    ));
    for line in lines {
        if line.text.trim() == name {
            let place = Span::between(line.start, line.start + line.text.len());
            return error.label(place, "there are blanks around this one");
        }
    }
    error
}

/// The text without the tabs at the start of each line.
fn chomp(body: &str) -> String {
    body.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
}

#[cfg(test)]
mod tests {
    use super::marks;

    #[track_caller]
    fn check(line: &str, expected: &[(&str, bool, bool)]) {
        let found = marks(line);
        let found: Vec<_> = found.iter().map(|m| (m.name.as_str(), m.chomp, m.expand)).collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn marks_are_whole_words() {
        check("RUN <<EOF", &[("EOF", false, true)]);
        check("RUN <<-EOF cat", &[("EOF", true, true)]);
        check("RUN <<'EOF'", &[("EOF", false, false)]);
        check("RUN <<\"E F\"", &[("E F", false, false)]);
        check("RUN << EOF", &[("EOF", false, true)]);
        check("RUN 3<<A cat <<B", &[("A", false, true), ("B", false, true)]);
        check("RUN \"<<EOF\"", &[]);
        check("RUN a<<EOF", &[]);
        check("RUN <<<EOF", &[]);
        check("RUN echo \\<<EOF", &[]);
        check("RUN it's <<EOF", &[]);
        check("RUN <<$EOF", &[("$EOF", false, true)]);
        check("RUN echo $((1 << 3)) $(( 2 <<A ))", &[]);
        check("RUN echo $((1)) <<A", &[("A", false, true)]);
    }
}
