//! Becoming "root in this namespace", whoever started the program.
//!
//! Every command that touches the store calls [`enter`] first thing in `main`, while the process
//! has one thread. Real root only gets a private mount namespace; a normal user gets a user
//! namespace with sub-ids (or, without them, a single id) and a mount namespace, and is uid 0 in
//! it. From then on the rest of the program is the same for both, but for one fact: overlay must
//! be mounted with `userxattr` when [`Entered::userxattr`] says so.
//!
//! Read first: [`enter()`], [`Mode`], [`doctor::facts`].
//!
//! # Invariants
//! - INV-USERNS-1: after [`enter`] succeeds, no mount that this process makes is seen outside of
//!   it, and the kernel removes all of them when the process ends, however it ends.
//! - INV-USERNS-2: the subordinate ranges given to the namespace are exactly those that
//!   `/etc/subuid` and `/etc/subgid` grant to this user; uid 0 inside is the user outside.
//! - INV-USERNS-3: no thread exists when a process is forked here.

pub mod doctor;
mod enter;
mod error;
mod idmap;
mod subid;
mod sys;

pub use enter::Entered;
pub use enter::Mode;
pub use enter::SingleIdReason;
pub use enter::enter;
pub use enter::join;
pub use error::Error;
pub use error::Result;
pub use idmap::IdMap;
pub use idmap::MapLine;
pub use subid::Owner;
pub use subid::SubRange;
pub use subid::ranges_of;
