//! Words: variables, quotes and escapes made into values.
//!
//! Follows the lexer of `BuildKit` (`frontend/dockerfile/shell/lex.go`), which
//! is near a POSIX shell without being one: expansion and quote removal are
//! one pass, and splitting happens on what variables hold.

mod lexer;
mod pattern;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lexer::{Lexer, Mode, Quotes, Unset};

/// Where variables are looked up.
pub trait Lookup {
    /// The value of a variable; `None` if it is not set.
    fn get(&self, name: &str) -> Option<&str>;
}

impl Lookup for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

impl<S: std::hash::BuildHasher> Lookup for HashMap<String, String, S> {
    fn get(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

/// A list of `(name, value)`; the last of a name counts.
impl<A: AsRef<str>, B: AsRef<str>> Lookup for [(A, B)] {
    fn get(&self, name: &str) -> Option<&str> {
        self.iter().rev().find(|(key, _)| key.as_ref() == name).map(|(_, value)| value.as_ref())
    }
}

/// No variable is set.
impl Lookup for () {
    fn get(&self, _: &str) -> Option<&str> {
        None
    }
}

/// What a word became.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The value.
    pub text: String,
    /// The variables that were set and used.
    pub used: BTreeSet<String>,
    /// The variables that were asked for and not set.
    pub unset: BTreeSet<String>,
    /// Each use of a variable that is not set, in order.
    pub unset_at: Vec<UnsetUse>,
}

/// A use of a variable that is not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsetUse {
    /// The name.
    pub name: String,
    /// Where the name stands in the word, in bytes; `Word::locate_range`
    /// leads to the file.
    pub range: std::ops::Range<usize>,
    /// Whether a modifier says what to do then: `${v:-word}` and the like.
    pub guarded: bool,
}

/// What a word became that may be several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpandedWords {
    /// The values.
    pub words: Vec<String>,
    /// The variables that were set and used.
    pub used: BTreeSet<String>,
    /// The variables that were asked for and not set.
    pub unset: BTreeSet<String>,
    /// Each use of a variable that is not set, in order.
    pub unset_at: Vec<UnsetUse>,
}

/// Why a word has no value. Offsets are bytes into the word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// A quote is opened and not closed.
    #[error("{quote} is never closed")]
    UnclosedQuote {
        /// `'` or `"`.
        quote: char,
        /// Where it is opened.
        offset: usize,
    },
    /// `${` without its `}` (or `${v/p` without its second `/`).
    #[error("`${{` without its `{closing}`")]
    UnclosedBrace {
        /// What is missing.
        closing: char,
        /// Where `$` stands.
        offset: usize,
    },
    /// `${}`, `${:x}`, `${{x}}`.
    #[error("bad substitution: a name is expected behind `${{`")]
    BadSubstitution {
        /// Where `$` stands.
        offset: usize,
    },
    /// `${v^x}` and the like.
    #[error("unsupported modifier `{modifier}` in `${{{name}…}}`")]
    UnsupportedModifier {
        /// As typed.
        modifier: String,
        /// The variable.
        name: String,
        /// Where `$` stands.
        offset: usize,
    },
    /// `\x` in a pattern, with `x` none of `* ? \ } /`.
    #[error("invalid escape `\\{escaped}` in the pattern of `${{{name}…}}`")]
    BadPattern {
        /// The escaped character.
        escaped: char,
        /// The variable.
        name: String,
        /// Where `$` stands.
        offset: usize,
    },
    /// `${v:?message}` and `v` is not set or empty.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// What the Dockerfile says about it.
        message: String,
        /// Where `$` stands.
        offset: usize,
    },
    /// `${v//p/r}` makes too much of `v`.
    #[error("the replacement in `${{{name}…}}` makes more than 1 MiB")]
    TooLong {
        /// The variable.
        name: String,
        /// Where `$` stands.
        offset: usize,
    },
    /// `${a:-${b:-…}}` is nested too deeply.
    #[error("substitutions are nested too deeply")]
    TooDeep {
        /// Where the innermost `$` stands.
        offset: usize,
    },
}

impl WordError {
    /// Where in the word, in bytes.
    pub const fn offset(&self) -> usize {
        match self {
            Self::UnclosedQuote { offset, .. }
            | Self::UnclosedBrace { offset, .. }
            | Self::BadSubstitution { offset }
            | Self::UnsupportedModifier { offset, .. }
            | Self::BadPattern { offset, .. }
            | Self::Required { offset, .. }
            | Self::TooLong { offset, .. }
            | Self::TooDeep { offset } => *offset,
        }
    }
}

impl WordError {
    /// What to do about it; `escape` is the escape character of the file.
    pub fn help(&self, escape: char) -> Option<String> {
        Some(match self {
            Self::UnclosedQuote { quote, .. } => {
                format!("close it with {quote}, or write {escape}{quote} for a plain one")
            }
            Self::UnclosedBrace { closing, .. } => {
                format!("add `{closing}`, or write `{escape}$` for a plain `$`")
            }
            Self::BadSubstitution { .. } => {
                format!("write `${{NAME}}`, or `{escape}$` for a plain `$`")
            }
            Self::UnsupportedModifier { name, .. } => format!(
                "there are `${{{name}:-word}}`, `${{{name}:+word}}`, `${{{name}:?message}}`, \
                 `${{{name}#pattern}}`, `${{{name}%pattern}}` and `${{{name}/pattern/text}}`"
            ),
            Self::BadPattern { escaped, .. } => format!("write `{escaped}` without the `\\`"),
            Self::Required { name, .. } => format!("give it with `--build-arg {name}=…`"),
            Self::TooLong { .. } | Self::TooDeep { .. } => return None,
        })
    }
}

/// Makes a word into its value: variables expanded, quotes and escapes off.
///
/// Blanks do not split: the whole is one value. An unset variable is empty
/// and listed in `unset`.
pub fn expand<L: Lookup + ?Sized>(
    word: &str,
    env: &L,
    escape: char,
) -> Result<Expanded, WordError> {
    if !word.contains(['$', '\'', '"', escape]) {
        return Ok(Expanded { text: word.to_owned(), ..Expanded::default() });
    }
    let mut lexer =
        Lexer::new(word, env, Mode { escape, quotes: Quotes::Strip, unset: Unset::Empty });
    let text = lexer.all()?.text;
    Ok(Expanded { text, used: lexer.used, unset: lexer.unset, unset_at: lexer.unset_at })
}

/// The same, then split at blanks that are not quoted: `EXPOSE $PORTS`.
pub fn expand_words<L: Lookup + ?Sized>(
    word: &str,
    env: &L,
    escape: char,
) -> Result<ExpandedWords, WordError> {
    let mut lexer =
        Lexer::new(word, env, Mode { escape, quotes: Quotes::Strip, unset: Unset::Empty });
    let words = lexer.all()?.words();
    Ok(ExpandedWords { words, used: lexer.used, unset: lexer.unset, unset_at: lexer.unset_at })
}

/// Expands the body of a heredoc of `COPY` or `ADD`: quotes stay, a backslash
/// takes the meaning off the next character.
pub fn expand_heredoc<L: Lookup + ?Sized>(body: &str, env: &L) -> Result<Expanded, WordError> {
    if !body.contains(['$', '\\']) {
        return Ok(Expanded { text: body.to_owned(), ..Expanded::default() });
    }
    let mut lexer =
        Lexer::new(body, env, Mode { escape: '\\', quotes: Quotes::Plain, unset: Unset::Empty });
    let text = lexer.all()?.text;
    Ok(Expanded { text, used: lexer.used, unset: lexer.unset, unset_at: lexer.unset_at })
}

/// Expands a command for showing it: quotes stay, and so do variables that are
/// not set, since the shell may know them. A text that cannot be expanded
/// stays as it is.
pub fn expand_shown<L: Lookup + ?Sized>(text: &str, env: &L, escape: char) -> String {
    let mode = Mode { escape, quotes: Quotes::Keep, unset: Unset::Keep };
    let mut lexer = Lexer::new(text, env, mode);
    lexer.all().map_or_else(|_| text.to_owned(), |value| value.text)
}

#[cfg(test)]
mod tests;
