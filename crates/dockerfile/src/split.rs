//! Cutting arguments into words, in the two ways that instructions do it.

/// A range of bytes of the text that was cut.
pub(crate) type Range = std::ops::Range<usize>;

/// The blanks that separate arguments of `FROM`, `COPY`, `EXPOSE`, `VOLUME`.
pub(crate) const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\u{b}' | '\u{c}')
}

/// Cuts at blanks; quotes mean nothing here.
pub(crate) fn at_blanks(text: &str) -> Vec<Range> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices() {
        match (is_blank(c), start) {
            (true, Some(begin)) => {
                words.push(begin..at);
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    words.extend(start.map(|begin| begin..text.len()));
    words
}

/// Cuts at blanks outside quotes; quotes and escapes stay in the words, as
/// `ENV`, `LABEL` and `ARG` want it.
///
/// An escape character at the very end is dropped. The second value is the
/// place of a quote that is never closed.
pub(crate) fn quoted(text: &str, escape: char) -> (Vec<Range>, Option<usize>) {
    let mut words = Vec::new();
    let mut start: Option<usize> = None;
    let mut quote: Option<(char, usize)> = None;
    let mut chars = text.char_indices().peekable();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        if let Some((mark, _)) = quote {
            if c == mark {
                quote = None;
            } else if c == escape && mark != '\'' && chars.next().is_none() {
                end = at;
            }
            continue;
        }
        if c.is_whitespace() {
            words.extend(start.take().map(|begin| begin..at));
            continue;
        }
        let begin = *start.get_or_insert(at);
        if c == '\'' || c == '"' {
            quote = Some((c, at));
        } else if c == escape && chars.next().is_none() {
            end = at;
            if begin == at {
                start = None;
            }
        }
    }
    words.extend(start.map(|begin| begin..end.max(begin)));
    (words, quote.map(|(_, at)| at))
}

#[cfg(test)]
mod tests {
    use super::{at_blanks, quoted};

    #[test]
    fn blanks_cut_and_quotes_do_not_matter() {
        let text = "  a \"b c\"\td";
        let words: Vec<&str> = at_blanks(text).into_iter().map(|r| &text[r]).collect();
        assert_eq!(words, ["a", "\"b", "c\"", "d"]);
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str], open: Option<usize>) {
        let (words, unclosed) = quoted(text, '\\');
        let words: Vec<&str> = words.into_iter().map(|r| &text[r]).collect();
        assert_eq!(words, expected, "{text}");
        assert_eq!(unclosed, open, "{text}");
    }

    #[test]
    fn quotes_and_escapes_protect_blanks() {
        check("a=1 b=2", &["a=1", "b=2"], None);
        check(r#"a="x y" b='p q'"#, &[r#"a="x y""#, "b='p q'"], None);
        check(r"a=x\ y b", &[r"a=x\ y", "b"], None);
        check(r#"a="x\" y" b"#, &[r#"a="x\" y""#, "b"], None);
        check(r"a=1 \", &["a=1"], None);
        check(r"a=1\", &["a=1"], None);
        check(r#"a="x y"#, &[r#"a="x y"#], Some(2));
        check("", &[], None);
    }
}
