//! What the fuzz targets do with their input.
//!
//! Each function takes any bytes, feeds them to a parser of what comes from outside, and panics
//! if something does not hold that must hold for every input. libFuzzer calls them from
//! `fuzz_targets/`, `tests/replay.rs` with the files of `corpus/`.
//!
//! Invariants
//! - A target says the same of the same input, wherever and in whatever order it is run.
//! - Nothing is written outside of a temporary folder that is removed again.
#![forbid(unsafe_code)]

mod dockerfile;
mod dockerignore;
mod reference;
mod tar;
mod word;

pub use dockerfile::dockerfile;
pub use dockerignore::dockerignore;
pub use reference::reference;
pub use tar::tar;
pub use word::word;

/// A function that is given input.
pub type Target = fn(&[u8]);

/// All targets by their names, which are those of the folders in `corpus/`.
pub const TARGETS: [(&str, Target); 5] = [
    ("dockerfile", dockerfile),
    ("word", word),
    ("dockerignore", dockerignore),
    ("reference", reference),
    ("tar", tar),
];
