//! Parser directives: the `# key=value` lines at the very top.

use crate::ast::Word;

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
