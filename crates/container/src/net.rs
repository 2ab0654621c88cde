//! The network of containers and of the RUN steps of a build.
//!
//! A network is a namespace made by us. A way out of it is added: for containers of real root a
//! veth pair, where the host forwards packets as it is; else by `pasta`, where that program and
//! `/dev/net/tun` are there; else, for real root, by a veth pair all the same. Published ports
//! need neither: sockets belong to the namespace they were made in, so one thread inside of the
//! namespace connects what was accepted outside.

pub(crate) mod bind;
pub(crate) mod forward;
pub(crate) mod guard;
pub(crate) mod namespace;
mod pasta;
pub(crate) mod resolv;
pub(crate) mod shared;
mod udp;
mod veth;
