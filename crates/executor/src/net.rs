//! Network namespaces.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use rustix::net::AddressFamily;
use rustix::net::SocketFlags;
use rustix::net::SocketType;

use crate::Error;
use crate::Result;
use crate::sys;

/// A network namespace that lives as long as this value or a process in it.
#[derive(Debug)]
pub struct NetworkNamespace(File);

impl NetworkNamespace {
    /// Makes a network namespace in which only the loopback device is up. The
    /// caller's own network stays as it is.
    pub fn create() -> Result<Self> {
        // A namespace belongs to a thread, so a thread of its own makes it and
        // leaves it behind as a descriptor.
        let made = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    sys::unshare_network()?;
                    loopback_up()?;
                    File::open("/proc/thread-self/ns/net")
                })
                .join()
        });
        made.unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
            .map(Self)
            .map_err(|source| Error::Namespace { path: "network".into(), source })
    }

    /// Returns a path for [`Network::Join`](crate::Network::Join), valid in
    /// this process.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

/// Sets the loopback device of the calling thread's network namespace up.
pub(crate) fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    sys::set_device_up(&socket, "lo")
}
