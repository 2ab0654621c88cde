//! A network namespace without a process in it.

use std::fs::File;
use std::io;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd as _;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use nix::sched::CloneFlags;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::NetlinkAddr;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockProtocol;
use nix::sys::socket::SockType;

use crate::Error;
use crate::Result;

/// A network namespace, kept by its descriptor. The kernel removes it when the last descriptor
/// and the last process in it are gone.
#[derive(Debug)]
pub(crate) struct Namespace(File);

impl Namespace {
    /// Makes a namespace whose loopback device is up.
    pub(crate) fn create() -> Result<Self> {
        let file = in_thread("make a namespace", || {
            nix::sched::unshare(CloneFlags::CLONE_NEWNET)?;
            loopback_up()?;
            lift_limits();
            File::open("/proc/thread-self/ns/net")
        })?;
        Ok(Self(file))
    }

    /// Returns a path that leads to the namespace while this value lives.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }

    /// Returns a second descriptor of the same namespace.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        let step = "keep a namespace";
        Ok(Self(self.0.try_clone().map_err(|source| Error::Network { step, source })?))
    }

    /// Moves the calling thread into the namespace, for good.
    pub(crate) fn enter(&self) -> io::Result<()> {
        Ok(nix::sched::setns(&self.0, CloneFlags::CLONE_NEWNET)?)
    }

    /// Runs `work` on a thread inside.
    pub(crate) fn run<T: Send>(
        &self,
        step: &'static str,
        work: impl FnOnce() -> io::Result<T> + Send,
    ) -> Result<T> {
        in_thread(step, || {
            self.enter()?;
            work()
        })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Runs `work` on a thread of its own, which ends with it: a thread that changed its namespace
/// must not do anything else.
fn in_thread<T: Send>(
    step: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> Result<T> {
    std::thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
        .map_err(|source| Error::Network { step, source })
}

/// Brings the loopback device up: an `RTM_NEWLINK` request of rtnetlink(7).
fn loopback_up() -> io::Result<()> {
    let socket = nix::sys::socket::socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    let fd = socket.as_raw_fd();
    nix::sys::socket::sendto(fd, &link_up_request(), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = [0; 512];
    let length = nix::sys::socket::recv(fd, &mut answer, MsgFlags::empty())?;
    // struct nlmsghdr is 16 bytes, then the negative error number (0 for an acknowledgement).
    let code = answer[..length].get(16..20).and_then(|bytes| bytes.try_into().ok());
    match code.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Returns `struct nlmsghdr` and `struct ifinfomsg` for device 1, which is always `lo`.
fn link_up_request() -> Vec<u8> {
    const RTM_NEWLINK: u16 = 16;
    const REQUEST_ACK: u16 = 1 | 4;
    const IFF_UP: u32 = 1;
    let mut request = Vec::with_capacity(32);
    request.extend(32_u32.to_ne_bytes());
    request.extend(RTM_NEWLINK.to_ne_bytes());
    request.extend(REQUEST_ACK.to_ne_bytes());
    request.extend([0; 8]); // sequence number and port
    request.extend([0; 4]); // family, padding, device type
    request.extend(1_i32.to_ne_bytes());
    request.extend(IFF_UP.to_ne_bytes());
    request.extend(IFF_UP.to_ne_bytes()); // which flags change
    request
}

/// Sets what docker sets in a new namespace: any user may bind low ports and may ping.
fn lift_limits() {
    for (name, value) in [
        ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
        ("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"),
    ] {
        // Comforts: a kernel without the first, or a user namespace that does not map all the
        // groups of the second, runs containers all the same.
        let _refused = File::options()
            .write(true)
            .open(name)
            .and_then(|mut file| file.write_all(value.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::net::TcpStream;

    #[test]
    fn a_namespace_has_a_loopback_of_its_own() {
        let Ok(namespace) = Namespace::create() else {
            println!("SKIP a_namespace_has_a_loopback_of_its_own: cannot make namespaces");
            return;
        };
        let listener = namespace.run("listen", || TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let address = listener.local_addr().unwrap();
        assert!(TcpStream::connect(address).is_err());
        namespace.run("connect", || TcpStream::connect(address)).unwrap();
    }
}
