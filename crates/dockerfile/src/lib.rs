//! Dockerfile text to AST and diagnostics; words; lint.
//!
//! Invariants
//! - `parse` never fails and never panics; what is wrong is in the
//!   diagnostics, and a file with an error diagnostic must not be built.
//! - The spans of `Dockerfile::items` concatenated are exactly the text.
//! - The AST is a value: no borrowed text, no file names, no interner.
//! - Words are kept unexpanded; `expand` is the only expansion.
//! - No I/O.
#![forbid(unsafe_code)]

pub mod ast;
mod bool;
mod comments;
pub mod created_by;
mod diagnostic;
mod directive;
mod dump;
mod duration;
mod flags;
mod heredoc;
mod instruction;
mod json;
mod lines;
mod lint;
mod mount;
mod parse;
mod render;
mod span;
mod split;
mod suggest;
mod word;

pub use ast::{CommandLine, Dockerfile, Heredoc, Instruction, InstructionKind, Name, Stage, Word};
pub use bool::go_bool;
pub use comments::{CheckError, CheckOptions};
pub use diagnostic::{Diagnostic, Label, Rule, Severity};
pub use directive::{Directives, detect_syntax};
pub use dump::dump;
pub use lint::{lint, settle};
pub use mount::parse_size;
pub use mount::{
    Access, BindMount, CacheMount, Mount, MountError, MountKey, MountOption, MountSpec,
    SecretMount, Sharing, SshMount, TmpfsMount,
};
pub use parse::{Parse, parse, parse_trigger};
pub use render::{LineColumn, excerpt, line_column, render};
pub use span::Span;
pub use suggest::suggest;
pub use word::{
    Expanded, ExpandedWords, Lookup, UnsetUse, WordError, expand, expand_heredoc, expand_shown,
    expand_words,
};
