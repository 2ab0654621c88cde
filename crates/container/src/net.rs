//! The network of containers and of the RUN steps of a build.
//!
//! A network is a namespace made by us; a way out of it is added by `pasta` where that program
//! and `/dev/net/tun` are there, by a veth pair for real root elsewhere. Published ports need
//! neither: sockets belong to the namespace they were made in, so one thread inside of the
//! namespace connects what was accepted outside.

mod bind;
mod forward;
mod guard;
mod namespace;
mod pasta;
mod resolv;
mod shared;
mod udp;
mod veth;

pub(crate) use bind::Bound;
pub(crate) use bind::bind;
pub(crate) use forward::Forwarder;
pub(crate) use guard::guard_main;
pub(crate) use namespace::Namespace;
pub(crate) use resolv::NameServers;
pub(crate) use resolv::host_file;
pub(crate) use resolv::resolv_conf;
pub use shared::SharedNetwork;
pub use shared::Unavailable;
pub(crate) use shared::WayOut;
pub use shared::build_network;
pub(crate) use shared::way_out;
