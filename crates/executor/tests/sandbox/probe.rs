//! What this program does inside of a sandbox, when lent to it.

mod agent;

use std::process::ExitCode;

use rustix::fs::StatVfsMountFlags;

use crate::sys::raw;

pub(crate) fn run(name: &str) -> ExitCode {
    match name {
        "syscalls" => syscalls(),
        "exe" => exe(),
        "agent" => agent::whole(),
        "agent-remove" => agent::remove(),
        "agent-garbage" => agent::garbage(),
        "agent-gone" => agent::gone(),
        "agent-hold" => agent::hold(),
        other => panic!("probe {other}"),
    }
    ExitCode::SUCCESS
}

/// Prints how the kernel answers calls that a filter should or should not stop.
fn syscalls() {
    const NEWUSER: libc::c_long = libc::CLONE_NEWUSER as libc::c_long;
    let calls: &[(&str, libc::c_long, [libc::c_long; 4])] = &[
        ("add_key", libc::SYS_add_key, [0; 4]),
        ("keyctl", libc::SYS_keyctl, [0; 4]),
        ("unshare", libc::SYS_unshare, [NEWUSER, 0, 0, 0]),
        ("mount", libc::SYS_mount, [0; 4]),
        ("bpf", libc::SYS_bpf, [0; 4]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [1, 0, 0, 0]),
        ("clone", libc::SYS_clone, [NEWUSER, 0, 0, 0]),
        ("clone3", libc::SYS_clone3, [0; 4]),
        ("personality", libc::SYS_personality, [0xffff_ffff, 0, 0, 0]),
        ("personality-odd", libc::SYS_personality, [0x40_0000, 0, 0, 0]),
        ("socket", libc::SYS_socket, [1, 1, 0, 0]),
        ("socket-vsock", libc::SYS_socket, [40, 1, 0, 0]),
        ("socket-alg", libc::SYS_socket, [38, 5, 0, 0]),
        ("newer", 469, [0; 4]),
        ("absent", 4000, [0; 4]),
        ("getpid", libc::SYS_getpid, [0; 4]),
    ];
    for (name, number, arguments) in calls {
        let answer = raw(*number, *arguments).map_or("ok".to_owned(), |errno| errno.to_string());
        println!("{name} {answer}");
    }
}

/// Prints whether the program behind /proc/self/exe could be overwritten.
fn exe() {
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let flags = rustix::fs::fstatvfs(&file).unwrap().f_flag;
    let sealed = rustix::fs::fcntl_get_seals(&file)
        .is_ok_and(|seals| seals.contains(rustix::fs::SealFlags::WRITE));
    println!("protected {}", flags.contains(StatVfsMountFlags::RDONLY) || sealed);
}
