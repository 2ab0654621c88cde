//! Images made of small trees, written to everywhere and read back.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

mod archives;
mod fixture;
mod forms;
mod layers;
mod loading;
mod pushing;
mod squash;
mod trees;
