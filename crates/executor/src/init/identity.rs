//! Who the process is: capabilities, system call filter, user and groups.
//!
//! The order is forced: the filter needs `CAP_SYS_ADMIN` (docker sets no
//! no-new-privileges), so it comes before the capabilities go; dropping the
//! bounding set needs `CAP_SETPCAP`, so it comes before the user changes; the
//! groups need `CAP_SETGID`, so they come before the user, too.

use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;

use nix::unistd::Gid;
use nix::unistd::Uid;
use rustix::io::Errno;
use rustix::thread::CapabilitySet;
use rustix::thread::CapabilitySets;
use rustix::thread::LinkNameSpaceType;

use crate::Security;
use crate::UserIds;
use crate::caps;
use crate::sys;
use crate::wire::Failure;

/// Why an id cannot be used.
pub(crate) const UNMAPPED: &str =
    "not mapped in this user namespace (see /etc/subuid and /etc/subgid)";

/// Turns the calling thread into what the process may be.
pub(crate) fn assume(user: &UserIds, security: Security, filter: &[u8]) -> Result<(), Failure> {
    rustix::thread::clear_ambient_capability_set()
        .map_err(|errno| Failure::setup("drop ambient capabilities", errno))?;
    match security {
        Security::Default => assume_limited(user, filter),
        Security::Insecure => assume_all(user),
    }
}

/// Enters a user namespace, in which the process has all capabilities until
/// [`assume`] takes most of them.
pub(crate) fn enter_namespace(namespace: &OwnedFd) -> Result<(), Failure> {
    let kind = Some(LinkNameSpaceType::User);
    rustix::thread::move_into_link_name_space(namespace.as_fd(), kind)
        .map_err(|errno| Failure::setup("join the user namespace", errno))
}

fn assume_limited(user: &UserIds, filter: &[u8]) -> Result<(), Failure> {
    limit_bounding(caps::DEFAULT).map_err(|error| Failure::setup("drop capabilities", error))?;
    if !filter.is_empty() {
        sys::load_seccomp(filter)
            .map_err(|error| Failure::setup("load the seccomp filter", error))?;
    }
    change_user(user)?;
    limit_own(caps::DEFAULT).map_err(|errno| Failure::setup("drop capabilities", errno))
}

/// Keeps all capabilities of the caller, for a user other than root as well:
/// ambient ones go through the exec of a program that has none of its own. That
/// is how BuildKit runs an insecure step.
fn assume_all(user: &UserIds) -> Result<(), Failure> {
    let failed = |errno: Errno| Failure::setup("keep capabilities", errno);
    rustix::thread::set_keep_capabilities(true).map_err(failed)?;
    change_user(user)?;
    let all = rustix::thread::capabilities(None).map_err(failed)?.permitted;
    let sets = CapabilitySets { effective: all, permitted: all, inheritable: all };
    rustix::thread::set_capabilities(None, sets).map_err(failed)?;
    for capability in all.iter() {
        rustix::thread::configure_capability_in_ambient_set(capability, true).map_err(failed)?;
    }
    Ok(())
}

fn limit_bounding(allowed: CapabilitySet) -> std::io::Result<()> {
    for capability in 0..64 {
        if allowed.bits() & (1 << capability) != 0 {
            continue;
        }
        match sys::drop_bounding(capability) {
            // Past the last one that this kernel knows.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return Ok(()),
            other => other?,
        }
    }
    Ok(())
}

/// Inheritable stays empty (CVE-2022-27651). A user other than root has lost the
/// other two already by becoming it.
fn limit_own(allowed: CapabilitySet) -> rustix::io::Result<()> {
    let now = rustix::thread::capabilities(None)?;
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: now.effective & allowed,
            permitted: now.permitted & allowed,
            inheritable: CapabilitySet::empty(),
        },
    )
}

fn change_user(user: &UserIds) -> Result<(), Failure> {
    let groups: Vec<Gid> = user.additional.iter().copied().map(Gid::from_raw).collect();
    match nix::unistd::setgroups(&groups) {
        // A user namespace with a single id forbids it: groups other than the
        // one cannot be named there anyway.
        Ok(()) | Err(nix::errno::Errno::EPERM) => {}
        Err(errno) => return Err(unmapped(format!("set groups {:?}", user.additional), errno)),
    }
    let gid = Gid::from_raw(user.gid);
    nix::unistd::setresgid(gid, gid, gid)
        .map_err(|errno| unmapped(format!("set group {}", user.gid), errno))?;
    let uid = Uid::from_raw(user.uid);
    nix::unistd::setresuid(uid, uid, uid)
        .map_err(|errno| unmapped(format!("set user {}", user.uid), errno))
}

/// `EINVAL` means here that the id has no place in the user namespace.
fn unmapped(step: String, errno: nix::errno::Errno) -> Failure {
    if errno == nix::errno::Errno::EINVAL {
        return Failure::Setup { step, reason: UNMAPPED.to_owned() };
    }
    Failure::setup(step, Errno::from_raw_os_error(errno as i32))
}
