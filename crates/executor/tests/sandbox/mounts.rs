//! Mounts, lent files, and the traces that they must not leave.

use std::path::Path;
use std::process::Command;

use lathe_executor::Access;
use lathe_executor::Depth;
use lathe_executor::Mount;
use lathe_executor::MountKind;

use crate::runner::Cx;
use crate::runner::Test;
use crate::setup::Overlay;
use crate::setup::Rootfs;
use crate::setup::bind;
use crate::setup::output;
use crate::setup::run;
use crate::setup::shell;

pub(crate) const TESTS: &[Test] = &[
    ("a_bind_mount_shows_its_source", binds),
    ("a_read_only_bind_cannot_be_written", read_only_binds),
    ("a_read_only_bind_is_so_below_as_well", recursive_read_only),
    ("what_the_host_mounted_below_a_source_is_no_obstacle", mounted_below),
    ("a_single_file_covers_another_and_goes", single_file),
    ("a_target_below_a_link_is_inside_of_the_root", linked_target),
    ("a_tmpfs_is_empty_and_goes_away", tmpfs),
    ("mounts_nest_in_their_order", nested),
    ("lent_files_are_readable_and_leave_nothing", files),
    ("stubs_and_times_are_as_before", stubs),
    ("a_stub_that_was_filled_stays", filled_stub),
    ("a_parent_that_was_changed_keeps_its_time", changed_parent),
    ("an_unchanged_overlay_gets_no_files_and_no_whiteouts", overlay),
    ("targets_that_break_the_sandbox_are_refused", refused),
    ("a_missing_source_is_named", missing_source),
];

fn binds(_: &Cx) {
    let (rootfs, source) = (Rootfs::new(), Rootfs::new());
    std::fs::write(source.join("file"), "content").unwrap();
    let mut sandbox = rootfs.sandbox();
    sandbox.mounts = vec![
        bind(source.path(), "/mnt/deep", Access::ReadWrite),
        bind(source.join("file"), "relative", Access::ReadOnly),
    ];
    assert_eq!(
        output(&sandbox, "cat /mnt/deep/file /relative; echo y > /mnt/deep/new"),
        "contentcontent"
    );
    assert_eq!(std::fs::read(source.join("new")).unwrap(), b"y\n");
    assert_eq!(rootfs.names(), ["etc"]);
}

fn read_only_binds(_: &Cx) {
    let (rootfs, source) = (Rootfs::new(), Rootfs::new());
    let mut sandbox = rootfs.sandbox();
    sandbox.mounts = vec![bind(source.path(), "/mnt", Access::ReadOnly)];
    let outcome = run(&sandbox, &shell("touch /mnt/x")).unwrap();
    assert!(outcome.stderr.contains("Read-only"), "{outcome:?}");
}

/// Mounts a tmpfs with a file on `source/below`.
fn mount_below(source: &Rootfs) -> MountedBelow {
    let target = source.join("below");
    std::fs::create_dir(&target).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&target).status();
    assert!(mounted.unwrap().success());
    std::fs::write(target.join("file"), "below").unwrap();
    MountedBelow(target)
}

struct MountedBelow(std::path::PathBuf);

impl Drop for MountedBelow {
    fn drop(&mut self) {
        assert!(Command::new("umount").arg(&self.0).status().unwrap().success());
    }
}

fn recursive_read_only(_: &Cx) {
    let (rootfs, source) = (Rootfs::new(), Rootfs::new());
    let _below = mount_below(&source);
    let mut sandbox = rootfs.sandbox();
    let mount = |depth| {
        let access = Access::ReadOnly;
        let kind = MountKind::Bind { source: source.path().into(), access, depth };
        vec![Mount { target: "/mnt".to_owned(), kind }]
    };
    let script =
        "cat /mnt/below/file; echo x 2>/dev/null > /mnt/below/file || echo kept; ls /mnt/below";
    sandbox.mounts = mount(Depth::Recursive);
    assert_eq!(output(&sandbox, script), "belowkept\nfile\n");
    sandbox.mounts = mount(Depth::Single);
    assert_eq!(output(&sandbox, "ls /mnt/below"), "");
    assert_eq!(rootfs.names(), ["etc"]);
}

/// In a user namespace mounts that came with it cannot be left out.
fn mounted_below(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    sandbox.mounts = vec![bind("/dev", "/mnt", Access::ReadOnly)];
    output(&sandbox, "ls /mnt; ! touch /mnt/x 2>/dev/null");
    assert_eq!(rootfs.names(), ["etc"]);
}

fn single_file(_: &Cx) {
    let (rootfs, source) = (Rootfs::new(), Rootfs::new());
    std::fs::write(source.join("file"), "new\n").unwrap();
    std::fs::write(rootfs.join("etc/there"), "old\n").unwrap();
    let mut sandbox = rootfs.sandbox();
    sandbox.mounts = vec![
        bind(source.join("file"), "/etc/there", Access::ReadOnly),
        bind(source.join("file"), "/one/two/missing", Access::ReadWrite),
    ];
    let script = "cat /etc/there /one/two/missing; echo x 2>/dev/null > /etc/there || echo kept; \
                  echo more >> /one/two/missing";
    assert_eq!(output(&sandbox, script), "new\nnew\nkept\n");
    assert_eq!(rootfs.names(), ["etc", "etc/there"]);
    assert_eq!(std::fs::read(rootfs.join("etc/there")).unwrap(), b"old\n");
    assert_eq!(std::fs::read(source.join("file")).unwrap(), b"new\nmore\n");
    sandbox.mounts = vec![bind(source.join("file"), "/etc", Access::ReadOnly)];
    let error = run(&sandbox, &shell("true")).unwrap_err().to_string();
    assert!(error.starts_with("mount on `/etc`: "), "{error}");
}

fn linked_target(_: &Cx) {
    let (rootfs, source) = (Rootfs::new(), Rootfs::new());
    let link = std::os::unix::fs::symlink::<&str, std::path::PathBuf>;
    link("/etc/inner", rootfs.join("var")).unwrap();
    link("../../../../../etc", rootfs.join("up")).unwrap();
    std::fs::write(source.join("file"), "x").unwrap();
    let mut sandbox = rootfs.sandbox();
    sandbox.mounts = vec![
        bind(source.path(), "/var/cache", Access::ReadOnly),
        bind(source.join("file"), "/up/made", Access::ReadOnly),
    ];
    let script = "ls /etc/inner/cache/file /var/cache/file /etc/made";
    assert_eq!(output(&sandbox, script), "/etc/inner/cache/file\n/etc/made\n/var/cache/file\n");
    assert_eq!(rootfs.names(), ["etc", "up", "var"]);
    assert!(!Path::new("/etc/made").exists());
}

fn tmpfs(_: &Cx) {
    let rootfs = Rootfs::new();
    std::fs::write(rootfs.join("etc/hidden"), "x").unwrap();
    let mut sandbox = rootfs.sandbox();
    let kind = MountKind::Tmpfs { size: Some(1 << 20), mode: 0o1770 };
    sandbox.mounts = vec![Mount { target: "/etc".to_owned(), kind }];
    let script = "ls /etc; touch /etc/x; stat -c %a /etc; \
                  dd if=/dev/zero of=/etc/big bs=1M count=2 2>/dev/null || echo full";
    assert_eq!(output(&sandbox, script), "1770\nfull\n");
    assert_eq!(rootfs.names(), ["etc", "etc/hidden"]);
}

fn nested(_: &Cx) {
    let (rootfs, outer, inner) = (Rootfs::new(), Rootfs::new(), Rootfs::new());
    std::fs::write(inner.join("inner"), "").unwrap();
    let mut sandbox = rootfs.sandbox();
    sandbox.mounts = vec![
        bind(outer.path(), "/a", Access::ReadWrite),
        bind(inner.path(), "/a/b/c", Access::ReadOnly),
    ];
    assert_eq!(output(&sandbox, "ls /a/b/c/inner"), "/a/b/c/inner\n");
    // The source may be in use by others, so what is made there stays.
    assert_eq!(outer.names(), ["b", "b/c", "etc"]);
    assert_eq!(rootfs.names(), ["etc"]);
}

fn files(_: &Cx) {
    let rootfs = Rootfs::new();
    std::fs::write(rootfs.join("etc/hosts"), "image").unwrap();
    let mut sandbox = rootfs.sandbox();
    sandbox.files = vec![
        ("/etc/resolv.conf".to_owned(), b"nameserver 127.0.0.1\n".to_vec()).into(),
        ("/etc/hosts".to_owned(), b"lent\n".to_vec()).into(),
        ("/new/dir/bundle".to_owned(), vec![b'x'; 300_000]).into(),
    ];
    let script = "cat /etc/resolv.conf /etc/hosts; wc -c < /new/dir/bundle; echo w > /etc/hosts";
    assert_eq!(output(&sandbox, script), "nameserver 127.0.0.1\nlent\n300000\n");
    assert_eq!(rootfs.names(), ["etc", "etc/hosts"]);
    assert_eq!(std::fs::read(rootfs.join("etc/hosts")).unwrap(), b"image");
}

fn modified(path: &Path) -> std::time::SystemTime {
    std::fs::metadata(path).unwrap().modified().unwrap()
}

fn stubs(_: &Cx) {
    let rootfs = Rootfs::new();
    let before = (modified(rootfs.path()), modified(&rootfs.join("etc")));
    let mut sandbox = rootfs.sandbox();
    sandbox.files = vec![
        ("/etc/resolv.conf".to_owned(), Vec::new()).into(),
        ("/etc/hosts".to_owned(), Vec::new()).into(),
    ];
    output(&sandbox, "true");
    assert_eq!(rootfs.names(), ["etc"]);
    assert_eq!((modified(rootfs.path()), modified(&rootfs.join("etc"))), before);
    // A run that fails before its program cleans up, too.
    run(&sandbox, &crate::setup::process(&["missing"])).unwrap_err();
    assert_eq!(rootfs.names(), ["etc"]);
    assert_eq!((modified(rootfs.path()), modified(&rootfs.join("etc"))), before);
}

fn filled_stub(_: &Cx) {
    let (rootfs, source) = (Rootfs::new(), Rootfs::new());
    let mut sandbox = rootfs.sandbox();
    sandbox.mounts = vec![bind(source.path(), "/a/b", Access::ReadWrite)];
    output(&sandbox, "touch /a/kept");
    assert_eq!(rootfs.names(), ["a", "a/kept", "etc"]);
}

fn changed_parent(_: &Cx) {
    let rootfs = Rootfs::new();
    let before = modified(&rootfs.join("etc"));
    let mut sandbox = rootfs.sandbox();
    sandbox.files = vec![("/etc/hosts".to_owned(), Vec::new()).into()];
    output(&sandbox, "touch /etc/made");
    assert_eq!(rootfs.names(), ["etc", "etc/made"]);
    assert!(modified(&rootfs.join("etc")) > before);
}

fn overlay(cx: &Cx) {
    let overlay = Overlay::mount(cx.mode);
    let mut sandbox = lathe_executor::Sandbox::new(overlay.path());
    sandbox.files = vec![("/etc/resolv.conf".to_owned(), b"x".to_vec()).into()];
    assert_eq!(output(&sandbox, "cat /etc/resolv.conf"), "x");
    // Making a stub copies its directory up; that copy equals the original.
    assert_eq!(overlay.upper(), ["upper", "upper/etc"]);
    let (copy, original) = (overlay.rest.join("upper/etc"), overlay.lower.join("etc"));
    assert_eq!(modified(&copy), modified(&original));
    overlay.unmount();
}

fn refused(_: &Cx) {
    let (rootfs, source) = (Rootfs::new(), Rootfs::new());
    std::os::unix::fs::symlink("/", rootfs.join("rootlink")).unwrap();
    for (target, text) in [
        ("/", "mount on `/`: the target is the root directory"),
        ("/rootlink", "mount on `/rootlink`: the target is the root directory"),
        ("/proc/tty", "mount on `/proc/tty`: the target is inside of /proc"),
    ] {
        let mut sandbox = rootfs.sandbox();
        sandbox.mounts = vec![bind(source.path(), target, Access::ReadWrite)];
        assert_eq!(run(&sandbox, &shell("true")).unwrap_err().to_string(), text);
    }
}

fn missing_source(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    sandbox.mounts = vec![bind("/no/such", "/mnt", Access::ReadWrite)];
    let error = run(&sandbox, &shell("true")).unwrap_err().to_string();
    assert_eq!(error, "mount source `/no/such`: no such file or directory");
    assert_eq!(rootfs.names(), ["etc"]);
}
