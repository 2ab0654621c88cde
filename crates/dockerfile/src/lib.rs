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
mod diagnostic;
mod directive;
mod mount;
mod span;

pub use ast::{CommandLine, Dockerfile, Heredoc, Instruction, InstructionKind, Name, Stage, Word};
pub use diagnostic::{Diagnostic, Label, Rule, Severity};
pub use directive::Directives;
pub use mount::{
    Access, BindMount, CacheMount, Mount, MountKey, MountOption, MountSpec, SecretMount, Sharing,
    SshMount, TmpfsMount,
};
pub use span::Span;
