//! Commands around images: values in docker's sense, and docker's words for what goes wrong.
//!
//! Each command is a function of an [`crate::Engine`]; how its result looks on a screen is the
//! caller's matter. Where docker prints fixed lines (`pull`, `push`, `load`, `rmi`), the result
//! has them as text, since scripts read them.
//!
//! | command | function |
//! |---|---|
//! | `images` | [`list()`] |
//! | `inspect`, `history` | [`inspect()`], [`history()`] |
//! | `tag`, `rmi` | [`tag`], [`remove()`] |
//! | `save`, `load` | [`save`], [`load`] |
//! | `pull`, `push`, `login`, `logout` | [`pull()`], [`push`], [`login`], [`logout`] |
//! | `run` | [`runnable`] |
//!
//! Disk usage, pruning and checking need no image's sense: they are the store's
//! ([`lathe_store::Store::df`], [`lathe_store::Store::prune`], [`lathe_store::Store::check`]).

mod adopt;
mod archive;
mod error;
mod find;
mod history;
mod inspect;
mod list;
mod near;
mod pull;
mod push;
pub(crate) mod refetch;
mod remove;
mod tag;

pub use adopt::{Runnable, runnable};
pub use archive::{Loaded, load, save};
pub use error::{Error, Result};
pub use find::find;
pub use history::{HistoryRow, history};
pub use inspect::{Inspection, inspect};
pub use list::{ImageFilters, ImageSummary, list};
pub use pull::{PullStatus, Pulled, announce_pull, pull};
pub use push::{announce_push, login, logout, push, push_lines};
pub use remove::{Force, RemoveOptions, Removed, UntaggedParents, remove};
pub use tag::tag;

#[cfg(test)]
mod tests;
