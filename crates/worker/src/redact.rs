//! Secrets do not show in what a process writes.
//!
//! Each occurrence of a value is replaced, also where it comes in two reads: what could be the
//! beginning of one is held back until more is known. A process that writes a secret in another
//! form (a part of it, base64) is not helped.

use std::borrow::Cow;

/// What stands for a secret.
const INSTEAD: &[u8] = b"***";

/// Shorter values are left: they would be found everywhere.
const SHORTEST: usize = 4;

/// Replaces secrets in one stream.
pub(crate) struct Redactor<'a> {
    /// The longest first, so that of two that begin alike the whole one goes.
    secrets: &'a [Vec<u8>],
    /// Whether a secret begins with a byte.
    begins: [bool; 256],
    /// The possible beginning of a secret at the end of what was seen.
    held: Vec<u8>,
}

/// Returns the values that are to be replaced: without the line end that files have at their end.
pub(crate) fn needles<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Vec<Vec<u8>> {
    let mut needles: Vec<Vec<u8>> = values
        .into_iter()
        .map(|value| value.trim_ascii().to_vec())
        .filter(|value| value.len() >= SHORTEST)
        .collect();
    needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    needles.dedup();
    needles
}

impl<'a> Redactor<'a> {
    /// Takes what [`needles`] returned.
    pub(crate) fn new(secrets: &'a [Vec<u8>]) -> Self {
        let mut begins = [false; 256];
        for secret in secrets {
            begins[usize::from(secret[0])] = true;
        }
        Self { secrets, begins, held: Vec::new() }
    }

    /// Returns what can be shown once these bytes have come.
    pub(crate) fn push<'b>(&mut self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        if self.secrets.is_empty() {
            return Cow::Borrowed(bytes);
        }
        self.held.extend_from_slice(bytes);
        let seen = std::mem::take(&mut self.held);
        let mut shown = Vec::with_capacity(seen.len());
        let mut rest = seen.as_slice();
        while let [first, after @ ..] = rest {
            if !self.begins[usize::from(*first)] {
                shown.push(*first);
                rest = after;
                continue;
            }
            match self.at(rest) {
                Found::Whole(length) => {
                    shown.extend_from_slice(INSTEAD);
                    rest = &rest[length..];
                }
                Found::Beginning => break,
                Found::Nothing => {
                    shown.push(*first);
                    rest = after;
                }
            }
        }
        self.held = rest.to_vec();
        Cow::Owned(shown)
    }

    /// Returns what is left at the end of the stream.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let mut shown = Vec::with_capacity(held.len());
        let mut rest = held.as_slice();
        while let [first, after @ ..] = rest {
            // Nothing follows any more, so a longer one cannot be meant.
            let found = self.secrets.iter().find(|secret| rest.starts_with(secret));
            if let Some(secret) = found {
                shown.extend_from_slice(INSTEAD);
                rest = &rest[secret.len()..];
            } else {
                shown.push(*first);
                rest = after;
            }
        }
        shown
    }

    fn at(&self, rest: &[u8]) -> Found {
        for secret in self.secrets {
            if rest.starts_with(secret) {
                return Found::Whole(secret.len());
            }
            if secret.starts_with(rest) {
                return Found::Beginning;
            }
        }
        Found::Nothing
    }
}

/// What begins at a byte.
enum Found {
    /// A secret of this length.
    Whole(usize),
    /// All that there is so far could become a secret.
    Beginning,
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes come, the same is shown.
    #[track_caller]
    fn check(secrets: &[&str], written: &str, expected: &str) {
        let secrets = needles(secrets.iter().map(|secret| secret.as_bytes()));
        for size in 1..=written.len() {
            let mut redactor = Redactor::new(&secrets);
            let mut shown = Vec::new();
            for part in written.as_bytes().chunks(size) {
                shown.extend_from_slice(&redactor.push(part));
            }
            shown.extend(redactor.finish());
            assert_eq!(String::from_utf8_lossy(&shown), expected, "in parts of {size}");
        }
    }

    #[test]
    fn secrets_are_replaced_wherever_the_reads_end() {
        check(&["hunter2"], "the password is hunter2!\n", "the password is ***!\n");
        check(&["hunter2\n"], "hunter2hunter2 hunter", "****** hunter");
        check(&["aaab"], "aaaab aaa", "a*** aaa");
        check(&["pass", "password"], "password pass passwor", "*** *** ***wor");
        check(&["pass", "password"], "passwords", "***s");
        check(&["line one\nline two\n"], "line one\nline two\n", "***\n");
        check(&["abc", ""], "abc", "abc");
        check(&[], "anything", "anything");
    }

    #[test]
    fn what_cannot_be_a_secret_is_shown_at_once() {
        let secrets = needles([&b"hunter2"[..]]);
        let mut redactor = Redactor::new(&secrets);
        assert_eq!(*redactor.push(b"Continue? hu"), *b"Continue? ");
        assert_eq!(*redactor.push(b"h"), *b"hu");
        assert_eq!(*redactor.push(b"?"), *b"h?");
    }
}
