//! The expansion of words.

use std::collections::HashMap;

use lathe_dockerfile::{WordError, expand, expand_heredoc, expand_words};

/// Most substitutions of a word, and most characters of a value. A replacement inside of a
/// replacement multiplies: more of both only takes longer.
const SUBSTITUTIONS: usize = 6;
const VALUE: usize = 8;

/// Expands a word in all ways.
///
/// The input is the word and, behind NUL bytes, the values of the variables `a`, `b` and `c`.
pub fn word(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split('\0');
    let word = parts.next().unwrap_or_default();
    if word.matches("${").count() > SUBSTITUTIONS {
        return;
    }
    let names = ["a", "b", "c"].map(str::to_owned);
    let env: HashMap<String, String> =
        names.into_iter().zip(parts.map(|value| value.chars().take(VALUE).collect())).collect();
    for escape in ['\\', '`'] {
        let whole = check(word, expand(word, &env, escape).map(|expanded| expanded.text));
        let words = check(word, expand_words(word, &env, escape).map(|expanded| expanded.words));
        assert_eq!(whole.is_some(), words.is_some(), "both ways fail or none: {word:?}");
        if !word.contains(['$', '\'', '"', escape]) {
            assert_eq!(whole.as_deref(), Some(word), "nothing to expand");
        }
        if let (Some(whole), Some(words)) = (whole, words) {
            // Splitting only takes blanks away.
            let dense = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(dense(&whole), dense(&words.concat()), "{word:?} with {escape}");
        }
    }
    let body = check(word, expand_heredoc(word, &env).map(|expanded| expanded.text));
    if !word.contains(['$', '\\']) {
        assert_eq!(body.as_deref(), Some(word), "nothing to expand");
    }
}

fn check<T>(word: &str, result: Result<T, WordError>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert!(word.is_char_boundary(error.offset()), "{error:?} points into {word:?}");
            drop(error.to_string());
            None
        }
    }
}
