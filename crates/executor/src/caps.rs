//! Capabilities of a sandboxed process: docker's default set.

use rustix::thread::CapabilitySet;

/// What a process may have at most under [`Security::Default`](crate::Security).
pub(crate) const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_set_is_docker_s_mask() {
        assert_eq!(DEFAULT.bits(), 0xa804_25fb);
    }
}
