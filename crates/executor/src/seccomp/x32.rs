//! The numbers of the x32 interface: those of x86-64 with a bit set, but for the
//! calls that pass pointers in structures, which have numbers of their own.

#[cfg(any(target_arch = "x86_64", test))]
use super::Call;

/// Marks a number as one of x32 (`__X32_SYSCALL_BIT`).
pub(crate) const BIT: u32 = 0x4000_0000;

/// First of the numbers which only x32 has.
#[cfg(any(target_arch = "x86_64", test))]
const OWN: u32 = 512;

/// The calls with numbers of their own, from [`OWN`] on (`syscall_64.tbl`).
#[cfg(any(target_arch = "x86_64", test))]
const CALLS: &[&str] = &[
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];

/// Returns the table of x32, made of the one of x86-64.
#[cfg(any(target_arch = "x86_64", test))]
pub(crate) fn calls(of_x86_64: &[Call]) -> Vec<Call> {
    let shared = of_x86_64.iter().filter(|(_, name)| !CALLS.contains(name)).copied();
    let own = (OWN..).zip(CALLS.iter().copied());
    shared.chain(own).map(|(number, name)| (number | BIT, name)).collect()
}
