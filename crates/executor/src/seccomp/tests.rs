use super::bpf::tests::run;
use super::*;

const X86_64: u32 = 0xc000_003e;
const X86: u32 = 0x4000_0003;
const PASS: u32 = bpf::ALLOW;
const DENIED: u32 = bpf::errno(1);
const ABSENT: u32 = bpf::errno(38);

/// Runs the filter for both kinds of machine.
#[track_caller]
fn check(architecture: u32, number: u32, argument: u32, expected: u32) {
    let interfaces =
        [x86_64(caps::DEFAULT), x86(caps::DEFAULT), aarch64(caps::DEFAULT), arm(caps::DEFAULT)];
    let code = bpf::filter(&interfaces);
    let result = run(&code, architecture, number, argument);
    assert_eq!(result, expected, "call {number} of {architecture:#x} with {argument:#x}");
}

#[test]
fn the_filter_fits_into_the_kernel() {
    let code = bpf::filter(&[x86_64(caps::DEFAULT), x86(caps::DEFAULT)]);
    assert!(code.len() < 4096, "{}", code.len());
    assert!(program(Security::Insecure).is_empty());
}

#[test]
fn ordinary_calls_pass_on_every_interface() {
    check(X86_64, 0, 0, PASS); // read
    check(X86_64, 59, 0, PASS); // execve
    check(X86_64, 161, 0, PASS); // chroot, by CAP_SYS_CHROOT
    check(X86_64, 158, 0, PASS); // arch_prctl
    check(X86, 11, 0, PASS); // execve
    check(X86_64, 0x4000_0000, 0, PASS); // x32 read
    check(X86_64, x32::BIT + 520, 0, PASS); // x32 execve
    check(0xc000_00b7, 221, 0, PASS); // aarch64 execve
    check(0x4000_0028, 0xf_0005, 0, PASS); // arm set_tls
    check(0x4000_0028, 0xf_0002, 0, PASS); // arm cacheflush
}

#[test]
fn dangerous_calls_are_denied() {
    for number in [165, 272, 308, 248, 250, 425, 321, 298, 246, 175, 442, 432] {
        // mount unshare setns add_key keyctl io_uring_setup bpf
        // perf_event_open kexec_load init_module mount_setattr fsmount
        check(X86_64, number, 0, DENIED);
        check(X86_64, x32::BIT + number, 0, DENIED);
    }
    check(X86, 21, 0, DENIED); // mount
    check(X86, 384, 0, DENIED); // arch_prctl
    check(X86_64, x32::BIT + 59, 0, DENIED); // the 64-bit execve through x32
}

#[test]
fn calls_newer_than_the_profile_do_not_exist() {
    check(X86_64, 467, 0, ABSENT);
    check(X86_64, 100_000, 0, ABSENT);
    check(X86_64, u32::MAX, 0, ABSENT);
    check(X86, 467, 0, ABSENT);
    check(0x4000_0028, 0xf_0007, 0, ABSENT);
}

#[test]
fn clone_makes_no_namespaces_and_clone3_does_not_exist() {
    check(X86_64, 56, 0x0120_0011, PASS);
    check(X86_64, 56, 0x1000_0011, DENIED);
    check(X86_64, 435, 0, ABSENT);
}

#[test]
fn personality_and_socket_are_judged_by_their_first_argument() {
    for (argument, expected) in
        [(0, PASS), (8, PASS), (0x20008, PASS), (u32::MAX, PASS), (0x4_0000, DENIED)]
    {
        check(X86_64, 135, argument, expected);
    }
    for (family, expected) in
        [(1, PASS), (2, PASS), (10, PASS), (16, PASS), (38, DENIED), (40, DENIED), (46, DENIED)]
    {
        check(X86_64, 41, family, expected);
    }
}

#[test]
fn any_other_interface_kills() {
    check(0x1234, 0, 0, bpf::KILL);
}
