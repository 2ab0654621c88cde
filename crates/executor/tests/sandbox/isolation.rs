//! Namespaces, devices, hidden paths, the system call filter, descriptors.

use std::os::fd::AsFd as _;

use lathe_event::Cancel;
use lathe_executor::Access;
use lathe_executor::Network;
use lathe_executor::NetworkNamespace;
use lathe_executor::Output;
use lathe_executor::Security;
use lathe_executor::Stdin;
use lathe_executor::Stdio;
use lathe_executor::UserIds;
use lathe_executor::spawn;

use crate::runner::Cx;
use crate::runner::Mode;
use crate::runner::Test;
use crate::runner::skip;
use crate::setup::Rootfs;
use crate::setup::lend_probe;
use crate::setup::output;
use crate::setup::output_of;
use crate::setup::process;
use crate::setup::quiet;
use crate::setup::run;
use crate::setup::shell;

pub(crate) const TESTS: &[Test] = &[
    ("namespaces_are_new_and_the_process_is_the_first", namespaces),
    ("the_host_name_is_the_given_one", host_name),
    ("a_host_name_that_is_none_is_refused", bad_host_name),
    ("dev_is_minimal_and_works", devices),
    ("shared_memory_has_the_given_size", shm_size),
    ("secrets_of_the_kernel_are_masked", masked),
    ("kernel_settings_are_read_only", read_only_kernel),
    ("an_insecure_sandbox_masks_nothing", insecure),
    ("an_insecure_process_has_all_capabilities", insecure_capabilities),
    ("devices_of_the_host_are_for_insecure_root_only", insecure_devices),
    ("no_descriptor_leaks_in", descriptors),
    ("the_filter_stops_what_docker_s_stops", filter),
    ("no_network_means_loopback_only", no_network),
    ("a_network_namespace_can_be_joined", join_network),
    ("the_program_of_the_stage_cannot_be_overwritten", protected_program),
    ("a_read_only_root_cannot_be_written", read_only_root),
    ("nothing_of_the_host_s_mounts_is_seen", no_host_mounts),
];

fn namespaces(_: &Cx) {
    let sandbox = Rootfs::new();
    for kind in ["mnt", "pid", "ipc", "uts", "cgroup"] {
        let script = format!("readlink /proc/self/ns/{kind}");
        let inside = output(&sandbox.sandbox(), &script);
        let outside = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_ne!(inside.trim(), outside.to_str().unwrap());
    }
    assert_eq!(output(&sandbox.sandbox(), "echo $$"), "1\n");
    let running = spawn(&sandbox.sandbox(), &process(&["true"]), quiet()).unwrap();
    assert!(!running.shares_proc());
    drop(running);
    assert_eq!(output(&sandbox.sandbox(), "ps > /list; wc -l < /list"), "3\n");
}

fn host_name(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    sandbox.hostname = Some("box".to_owned());
    assert_eq!(output(&sandbox, "hostname"), "box\n");
}

fn bad_host_name(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    for (name, problem) in [
        (String::new(), "it is empty"),
        ("x".repeat(65), "it has more than 64 bytes"),
        ("a\n127.0.0.1 b".to_owned(), "it contains white space"),
    ] {
        sandbox.hostname = Some(name.clone());
        let error = run(&sandbox, &shell("true")).unwrap_err().to_string();
        assert_eq!(error, format!("host name `{name}`: {problem}"));
    }
    sandbox.hostname = Some("x".repeat(64));
    assert_eq!(output(&sandbox, "hostname"), format!("{}\n", "x".repeat(64)));
}

fn shm_size(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    let script = "grep ' /dev/shm ' /proc/self/mounts | grep -oE 'size=[0-9]+k'";
    for (size, expected) in [(None, "65536k"), (Some(0), "65536k"), (Some(2 << 20), "2048k")] {
        sandbox.shm_size = size;
        assert_eq!(output(&sandbox, script), format!("size={expected}\n"));
    }
    let script = "dd if=/dev/zero of=/dev/shm/x bs=1M count=3 2>/dev/null || echo full";
    assert_eq!(output(&sandbox, script), "full\n");
}

fn devices(_: &Cx) {
    let rootfs = Rootfs::new();
    let expected =
        "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    assert_eq!(output(&rootfs.sandbox(), "echo $(ls /dev)"), format!("{expected}\n"));
    let script = "echo x > /dev/null && [ $(head -c 3 /dev/zero | wc -c) = 3 ] && \
                  [ $(head -c 3 /dev/urandom | wc -c) = 3 ] && [ $(stat -c %a /dev/shm) = 1777 ] && \
                  touch /dev/shm/x && ! echo x 2>/tmp > /dev/full; \
                  stat -c '%t:%T' /dev/null /dev/tty; readlink /dev/ptmx; readlink /dev/fd; ls /dev/pts";
    let expected = "1:3\n5:0\npts/ptmx\n/proc/self/fd\nptmx\n";
    assert_eq!(output(&rootfs.sandbox(), script), expected);
}

fn masked(_: &Cx) {
    let rootfs = Rootfs::new();
    let script = "for f in kcore keys timer_list interrupts sched_debug; do \
                  [ ! -e /proc/$f ] || stat -c %t:%T /proc/$f; done | sort -u; \
                  ls /sys/firmware /proc/acpi 2>/dev/null | grep -v : | grep . ; true";
    assert_eq!(output(&rootfs.sandbox(), script), "1:3\n");
    let outcome = run(&rootfs.sandbox(), &shell("touch /sys/firmware/x")).unwrap();
    assert_ne!(outcome.exit.code, 0);
    assert!(outcome.stderr.contains("Read-only"), "{outcome:?}");
}

fn read_only_kernel(_: &Cx) {
    let rootfs = Rootfs::new();
    for target in ["/proc/sys/kernel/domainname", "/proc/sysrq-trigger", "/sys/kernel/profiling"] {
        let outcome = run(&rootfs.sandbox(), &shell(&format!("echo x > {target}"))).unwrap();
        assert_ne!(outcome.exit.code, 0, "{target}");
    }
    let outcome = run(&rootfs.sandbox(), &shell("echo x > /proc/sys/kernel/domainname")).unwrap();
    assert!(outcome.stderr.contains("Read-only"), "{outcome:?}");
}

fn insecure(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    sandbox.security = Security::Insecure;
    let script = "grep Seccomp: /proc/self/status; mount -t tmpfs none /etc && echo mounted; \
                  mount | grep -c ' /proc/sys '";
    let outcome = run(&sandbox, &shell(script)).unwrap();
    assert_eq!(outcome.stdout, "Seccomp:\t0\nmounted\n0\n", "{outcome:?}");
}

fn insecure_capabilities(cx: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    sandbox.security = Security::Insecure;
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let all = own.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
    let script = "grep ^Cap /proc/self/status";
    let expected: String =
        ["Inh", "Prm", "Eff", "Bnd", "Amb"].map(|name| format!("Cap{name}:\t{all}\n")).concat();
    assert_eq!(output(&sandbox, script), expected);
    if cx.mode == Mode::Single {
        return skip("an_insecure_process_has_all_capabilities (user)", "one id only");
    }
    let mut process = shell(script);
    process.user = UserIds { uid: 1000, gid: 1000, additional: vec![1000] };
    assert_eq!(output_of(&sandbox, &process), expected);
}

fn insecure_devices(cx: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    let script = "for device in kmsg fuse kvm net/tun loop-control loop0; do \
                  [ ! -e /dev/$device ] || echo $device $(stat -c '%F %t:%T' /dev/$device); done";
    assert_eq!(output(&sandbox, script), "");
    sandbox.security = Security::Insecure;
    let found = output(&sandbox, script);
    if cx.mode != Mode::Root {
        assert_eq!(found, "");
    } else if std::path::Path::new("/dev/loop-control").exists() {
        assert!(found.contains("loop-control character special file a:ed\n"), "{found}");
        assert!(found.contains("loop0 block special file 7:0\n"), "{found}");
        assert_eq!(output(&sandbox, "head -c 0 /dev/loop-control; echo opened"), "opened\n");
    } else {
        skip("devices_of_the_host_are_for_insecure_root_only", "no /dev/loop-control");
    }
}

fn descriptors(_: &Cx) {
    let rootfs = Rootfs::new();
    // A descriptor which every child of this process inherits.
    let leak = rustix::io::dup(std::fs::File::open("/").unwrap().as_fd()).unwrap();
    assert_eq!(output(&rootfs.sandbox(), "ls /proc/self/fd"), "0\n1\n2\n3\n");
    drop(leak);
}

fn filter(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    lend_probe(&mut sandbox);
    let answers = output_of(&sandbox, &process(&["/probe", "--probe", "syscalls"]));
    let check = |name: &str, expected: &str| {
        let line = answers.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        assert_eq!(line, Some(expected), "{name} in {answers}");
    };
    for name in ["add_key", "keyctl", "unshare", "mount", "bpf", "io_uring_setup", "clone"] {
        check(name, "1");
    }
    for name in ["clone3", "newer", "absent"] {
        check(name, "38");
    }
    for name in ["personality-odd", "socket-vsock", "socket-alg"] {
        check(name, "1");
    }
    for name in ["personality", "socket", "getpid"] {
        check(name, "ok");
    }
}

const INTERFACES: &str = "ifconfig -a | grep -c Link; ifconfig lo | grep -o UP";

fn no_network(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    sandbox.network = Network::None;
    assert_eq!(output(&sandbox, INTERFACES), "1\nUP\n");
}

fn join_network(_: &Cx) {
    let rootfs = Rootfs::new();
    let namespace = NetworkNamespace::create().unwrap();
    let mut sandbox = rootfs.sandbox();
    sandbox.network = Network::Join(namespace.path());
    assert_eq!(output(&sandbox, INTERFACES), "1\nUP\n");
    let script = "readlink /proc/self/ns/net";
    let joined = output(&sandbox, script);
    assert_eq!(joined, output(&sandbox, script));
    assert_ne!(joined, output(&rootfs.sandbox(), script));
    let host = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(output(&rootfs.sandbox(), script).trim(), host.to_str().unwrap());
}

fn protected_program(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    lend_probe(&mut sandbox);
    // Whatever process 1 is at its exec is executed once more.
    let process = process(&["/proc/self/exe", "--probe", "exe"]);
    assert_eq!(output_of(&sandbox, &process), "protected true\n");
}

fn read_only_root(cx: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    sandbox.rootfs_access = Access::ReadOnly;
    let outcome = run(&sandbox, &shell("touch /x || touch /dev/shm/x && echo shm")).unwrap();
    assert_eq!(outcome.stdout, "shm\n");
    assert!(outcome.stderr.contains("Read-only"), "{} {outcome:?}", cx.mode.name());
    assert_eq!(rootfs.names(), ["etc"]);
}

fn no_host_mounts(cx: &Cx) {
    let rootfs = Rootfs::new();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let stdio =
        Stdio { stdin: Stdin::Null, stdout: Output::Fd(writer.into()), stderr: Output::Null };
    let running = spawn(&rootfs.sandbox(), &process(&["cat", "/proc/self/mountinfo"]), stdio);
    let running = running.unwrap();
    let mut mounts = String::new();
    std::io::Read::read_to_string(&mut reader, &mut mounts).unwrap();
    running.wait(&Cancel::new()).unwrap();
    for line in mounts.lines() {
        let target = line.split(' ').nth(4).unwrap();
        let known = ["/proc", "/sys", "/dev"].iter().any(|prefix| target.starts_with(prefix));
        assert!(target == "/" || known, "{line}");
        assert!(!line.contains("shared:") && !line.contains("master:"), "{line}");
    }
    assert!(cx.mode != Mode::Root || mounts.lines().count() < 40, "{mounts}");
}
