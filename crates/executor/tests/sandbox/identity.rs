//! Users, groups and capabilities.

use lathe_executor::Process;
use lathe_executor::UserIds;

use crate::runner::Cx;
use crate::runner::Mode;
use crate::runner::Test;
use crate::runner::skip;
use crate::setup::Rootfs;
use crate::setup::output;
use crate::setup::output_of;
use crate::setup::run;
use crate::setup::shell;

pub(crate) const TESTS: &[Test] = &[
    ("root_has_docker_s_capabilities", root_capabilities),
    ("another_user_has_none", user_capabilities),
    ("groups_are_the_given_ones", groups),
    ("an_unmapped_user_is_named", unmapped),
    ("a_user_can_write_to_its_pipes_by_name", pipes),
    ("no_new_privileges_is_not_set", privileges),
];

const CAPABILITIES: &str = "grep ^Cap /proc/self/status";

fn root_capabilities(_: &Cx) {
    let expected = "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n\
                    CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n\
                    CapAmb:\t0000000000000000\n";
    assert_eq!(output(&Rootfs::new().sandbox(), CAPABILITIES), expected);
}

fn as_user(script: &str) -> Process {
    let mut process = shell(script);
    process.user = UserIds { uid: 1000, gid: 1001, additional: vec![1001, 10] };
    process
}

fn user_capabilities(cx: &Cx) {
    if cx.mode == Mode::Single {
        return skip("another_user_has_none", "one id only");
    }
    let expected = "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n\
                    CapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\n\
                    CapAmb:\t0000000000000000\n";
    assert_eq!(output_of(&Rootfs::new().sandbox(), &as_user(CAPABILITIES)), expected);
}

fn groups(cx: &Cx) {
    let script = "grep -E '^(Uid|Gid|Groups)' /proc/self/status";
    let rootfs = Rootfs::new();
    if cx.mode == Mode::Single {
        let ids = output(&rootfs.sandbox(), script);
        assert!(ids.starts_with("Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n"), "{ids}");
        return;
    }
    assert_eq!(
        output_of(&rootfs.sandbox(), &as_user(script)),
        "Uid:\t1000\t1000\t1000\t1000\nGid:\t1001\t1001\t1001\t1001\nGroups:\t10 1001 \n"
    );
    let ids = output(&rootfs.sandbox(), script);
    assert_eq!(ids, "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t \n");
}

fn unmapped(cx: &Cx) {
    let mut process = shell("true");
    process.user = UserIds { uid: 70_000, gid: 0, additional: Vec::new() };
    let result = run(&Rootfs::new().sandbox(), &process);
    if cx.mode == Mode::Root {
        assert_eq!(result.unwrap().exit.code, 0);
        return;
    }
    let text = "set user 70000: not mapped in this user namespace \
                (see /etc/subuid and /etc/subgid)";
    assert_eq!(result.unwrap_err().to_string(), text);
}

fn pipes(cx: &Cx) {
    if cx.mode == Mode::Single {
        return skip("a_user_can_write_to_its_pipes_by_name", "one id only");
    }
    let process = as_user("echo x > /dev/stdout");
    assert_eq!(output_of(&Rootfs::new().sandbox(), &process), "x\n");
}

fn privileges(_: &Cx) {
    let script = "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status";
    assert_eq!(output(&Rootfs::new().sandbox(), script), "NoNewPrivs:\t0\nSeccomp:\t2\n");
}
