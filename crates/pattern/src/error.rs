//! What can be wrong with a pattern.

/// Why a pattern is none. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `[` without its `]`, an empty range, or a `\` at the end.
    #[error("invalid pattern `{pattern}`: {reason}")]
    BadPattern {
        /// As given.
        pattern: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A `!` with nothing behind it.
    #[error("`!` needs a pattern behind it")]
    EmptyNegation,
    /// A line of an ignore file is wrong.
    #[error("line {line}: {source}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        source: Box<Self>,
    },
}
