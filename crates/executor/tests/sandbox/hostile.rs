//! Root file systems that are made to break out.

use std::os::unix::fs::symlink;

use lathe_executor::Access;
use lathe_executor::Sandbox;

use crate::runner::Cx;
use crate::runner::Test;
use crate::setup::Rootfs;
use crate::setup::bind;
use crate::setup::output;
use crate::setup::run;
use crate::setup::shell;

pub(crate) const TESTS: &[Test] = &[
    ("proc_sys_and_dev_must_not_be_symlinks", linked_proc),
    ("a_linked_target_stays_inside_the_root", linked_target),
    ("a_target_that_climbs_stays_inside_the_root", climbing_target),
    ("a_loop_of_links_is_an_error", looping_target),
    ("stub_removal_follows_no_symlink", swapped_parent),
    ("a_stub_replaced_by_another_file_stays", swapped_stub),
    ("a_working_directory_through_a_descriptor_is_refused", leaked_directory),
    ("a_working_directory_link_stays_inside_the_root", linked_directory),
];

fn linked_proc(_: &Cx) {
    for (name, to) in [("proc", "/etc"), ("dev", "/"), ("sys", "../../../../tmp")] {
        let rootfs = Rootfs::new();
        symlink(to, rootfs.join(name)).unwrap();
        let error = run(&rootfs.sandbox(), &shell("true")).unwrap_err().to_string();
        assert_eq!(error, format!("mount `/{name}`: is a symlink in the root file system"));
        assert_eq!(std::fs::read_link(rootfs.join(name)).unwrap().to_str(), Some(to));
    }
}

fn lending(rootfs: &Rootfs, target: &str) -> Sandbox {
    let mut sandbox = rootfs.sandbox();
    sandbox.files = vec![(target.to_owned(), b"lent".to_vec()).into()];
    sandbox
}

fn linked_target(_: &Cx) {
    let rootfs = Rootfs::new();
    symlink("../../../../../etc/shadow", rootfs.join("etc/resolv.conf")).unwrap();
    let sandbox = lending(&rootfs, "/etc/resolv.conf");
    let script = "cat /etc/resolv.conf; [ -L /etc/resolv.conf ]; grep -c ' /etc/shadow ' /proc/self/mountinfo";
    assert_eq!(output(&sandbox, script), "lent1\n");
    assert_eq!(rootfs.names(), ["etc", "etc/resolv.conf"]);
    // Dangling through directories that do not exist, absolute this time.
    std::fs::remove_file(rootfs.join("etc/resolv.conf")).unwrap();
    symlink("/run/systemd/../systemd/resolve", rootfs.join("etc/resolv.conf")).unwrap();
    assert_eq!(output(&sandbox, "cat /run/systemd/resolve"), "lent");
    assert_eq!(rootfs.names(), ["etc", "etc/resolv.conf"]);
}

fn climbing_target(_: &Cx) {
    let rootfs = Rootfs::new();
    let sandbox = lending(&rootfs, "/../../../../../../tmp/climbed");
    assert_eq!(output(&sandbox, "cat /tmp/climbed"), "lent");
    assert!(!std::path::Path::new("/tmp/climbed").exists());
    assert_eq!(rootfs.names(), ["etc"]);
}

fn looping_target(_: &Cx) {
    let rootfs = Rootfs::new();
    symlink("two", rootfs.join("one")).unwrap();
    symlink("one", rootfs.join("two")).unwrap();
    let error = run(&lending(&rootfs, "/one/file"), &shell("true")).unwrap_err().to_string();
    assert!(error.starts_with("mount target `/one/file`: "), "{error}");
}

/// CVE-2024-23652: the parent of a stub becomes a link to a directory of the
/// host which holds something empty of the same name.
fn swapped_parent(_: &Cx) {
    let (rootfs, host, source) = (Rootfs::new(), Rootfs::new(), Rootfs::new());
    std::fs::create_dir(host.join("victim")).unwrap();
    std::fs::create_dir(rootfs.join("made")).unwrap();
    let mut sandbox = rootfs.sandbox();
    sandbox.mounts = vec![bind(source.path(), "/made/victim", Access::ReadWrite)];
    let script = format!("mv /made /moved && ln -s {} /made", host.path().display());
    output(&sandbox, &script);
    assert!(host.join("victim").exists());
    assert_eq!(rootfs.names(), ["etc", "made", "moved"]);
}

fn swapped_stub(_: &Cx) {
    let (rootfs, source) = (Rootfs::new(), Rootfs::new());
    let mut sandbox = rootfs.sandbox();
    sandbox.mounts = vec![bind(source.path(), "/one/two/three", Access::ReadWrite)];
    output(&sandbox, "mv /one /old; mkdir -p /one/two/three");
    assert_eq!(rootfs.names(), ["etc", "old", "one", "one/two", "one/two/three"]);
}

/// CVE-2024-21626.
fn leaked_directory(_: &Cx) {
    let rootfs = Rootfs::new();
    for number in 0..64 {
        for path in [format!("/proc/self/fd/{number}"), format!("/proc/self/fd/{number}/..")] {
            let mut process = shell("pwd");
            process.cwd = path;
            // Refused, or somewhere inside of the root.
            if let Ok(outcome) = run(&rootfs.sandbox(), &process) {
                assert_eq!(outcome.exit.code, 0, "{outcome:?}");
                assert!(outcome.stdout.starts_with('/'), "{outcome:?}");
                let listing = crate::setup::process(&["ls", "/proc/1/cwd/bin/busybox"]);
                assert!(run(&rootfs.sandbox(), &listing).is_ok());
            }
        }
    }
}

fn linked_directory(_: &Cx) {
    let rootfs = Rootfs::new();
    symlink("/../../..", rootfs.join("up")).unwrap();
    let mut process = shell("pwd -P; ls");
    process.cwd.replace_range(.., "/up");
    assert_eq!(
        crate::setup::output_of(&rootfs.sandbox(), &process),
        "/\nbin\ndev\netc\nproc\nsys\nup\n"
    );
}
