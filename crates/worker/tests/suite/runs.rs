//! `RUN`: what a process is lent, and that nothing of it is left.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use lathe_event::Event;
use lathe_executor::{Resource, Rlimit};
use lathe_graph::{Device, ExecMountKind, ExecOp, InputIndex, Lent, Need, Op, SecretEnv};
use lathe_store::SnapshotId;
use lathe_worker::{RunOptions, RunPolicy, SecretSource, SshSource};

use super::{Bench, Case, Ran, Request, dump, exec, list, mount, plant, policy, system};

pub(crate) const CASES: [(&str, Case); 8] = [
    ("secrets_are_lent_and_leave_nothing", secrets_are_lent),
    ("secrets_do_not_show_in_output_and_errors", secrets_do_not_show),
    ("secrets_that_cannot_be_lent_are_told", secrets_that_cannot_be_lent),
    ("agents_are_lent_as_sockets", agents_are_lent),
    ("binds_show_the_context_as_copy_does", binds_show_the_context),
    ("writes_to_binds_are_thrown_away", writes_to_binds_are_thrown_away),
    ("binds_lead_nowhere_else", binds_lead_nowhere_else),
    ("limits_and_names_are_passed_on", limits_and_names),
];

const VALUE: &str = "hunter2-and-more";

fn lent(id: &str, need: Need) -> Lent {
    Lent { id: id.to_owned(), mode: 0o400, owner: (0, 0), need }
}

fn lending(options: RunOptions) -> RunPolicy {
    RunPolicy { options, ..policy() }
}

fn with_secrets(bench: &Bench) -> RunPolicy {
    let path = bench.folder.path().join("secret");
    fs::write(&path, "from-a-file\n").expect("write");
    let secrets = BTreeMap::from([
        ("token".to_owned(), SecretSource::Value(VALUE.to_owned())),
        ("file".to_owned(), SecretSource::File(path)),
    ]);
    lending(RunOptions { secrets, ..RunOptions::default() })
}

fn run(bench: &Bench, base: SnapshotId, op: ExecOp, policy: RunPolicy) -> Ran {
    bench.run_with(Request { policy, ..Request::new(Op::Exec(Box::new(op)), Some(base)) })
}

/// Returns the names of what a step changed.
fn changed(bench: &Bench, ran: &Ran) -> Vec<String> {
    let changes = bench.snapshots.changes(ran.snapshot());
    list(&changes, &changes)
}

fn env(name: &str, id: &str, need: Need) -> SecretEnv {
    SecretEnv { name: name.to_owned(), id: id.to_owned(), need }
}

fn secrets_are_lent(bench: &Bench) {
    let Some(base) = system(bench) else { return };
    let odd = Lent { mode: 0o444, ..lent("file", Need::Optional) };
    let mounts = vec![
        mount("/run/secrets/token", ExecMountKind::Secret(lent("token", Need::Required))),
        mount("/etc/deep/file", ExecMountKind::Secret(odd)),
        mount("/run/secrets/none", ExecMountKind::Secret(lent("none", Need::Optional))),
    ];
    let script = format!(
        "set -e
        test \"$(cat /run/secrets/token)\" = {VALUE}
        test \"$(stat -c '%a %u' /run/secrets/token)\" = '400 0'
        test \"$(stat -c '%a %u' /etc/deep/file)\" = '444 0'
        grep -q from-a-file /etc/deep/file
        test ! -e /run/secrets/none
        test \"$TOKEN\" = {VALUE}
        test -z \"${{NONE+set}}\"
        touch /kept"
    );
    let secret_env =
        vec![env("TOKEN", "token", Need::Required), env("NONE", "none", Need::Optional)];
    let op = ExecOp { secret_env, ..exec(&script, mounts) };
    let ran = run(bench, base, op, with_secrets(bench));
    assert_eq!(changed(bench, &ran), ["kept"]);
}

/// `INV-WORKER-SECRETS`
fn secrets_do_not_show(bench: &Bench) {
    let Some(base) = system(bench) else { return };
    let script = "echo \"token: $TOKEN.\"; echo \"$TOKEN\" >&2; cat /s; exit 3";
    let secret_env = vec![env("TOKEN", "token", Need::Required)];
    let mounts = vec![mount("/s", ExecMountKind::Secret(lent("file", Need::Required)))];
    let op = ExecOp { secret_env, ..exec(script, mounts) };
    let ran = run(bench, base, op, with_secrets(bench));
    let log = ran.log();
    assert!(log.contains("token: ***.\n"), "{log}");
    let Err(lathe_worker::Error::Exit { code: 3, tail, .. }) = &ran.output else {
        panic!("{:?}", ran.output)
    };
    for text in [&log, tail, &format!("{:?}", ran.output)] {
        assert!(!text.contains(VALUE) && !text.contains("from-a-file"), "{text}");
    }
    // The value counts for no key.
    assert!(ran.key.is_empty(), "{:?}", ran.key);
}

fn secrets_that_cannot_be_lent(bench: &Bench) {
    let Some(base) = system(bench) else { return };
    let folder = bench.folder.path();
    let huge = fs::File::create(folder.join("huge")).expect("make");
    huge.set_len(500 * 1024 + 1).expect("grow");
    fs::write(folder.join("binary"), [0xff, 0xfe]).expect("write");
    let secrets = || {
        ["huge", "binary", "gone"]
            .map(|id| (id.to_owned(), SecretSource::File(folder.join(id))))
            .into()
    };
    let check = |id: &str, op: ExecOp, expected: &str| {
        let error = run(
            bench,
            base,
            op,
            lending(RunOptions { secrets: secrets(), ..RunOptions::default() }),
        )
        .error();
        assert!(error.contains(expected) && error.contains(&format!("`{id}`")), "{error}");
    };
    let file =
        |id: &str| exec("true", vec![mount("/s", ExecMountKind::Secret(lent(id, Need::Required)))]);
    let variable = |id: &str| ExecOp {
        secret_env: vec![env("S", id, Need::Required)],
        ..exec("true", Vec::new())
    };
    let before = bench.count();
    for step in [&file as &dyn Fn(&str) -> ExecOp, &variable] {
        check("none", step("none"), "--secret id=none,src=");
        check("huge", step("huge"), "512000 bytes");
        check("gone", step("gone"), "cannot read");
    }
    check("binary", variable("binary"), "mount it as a file");
    assert_eq!(bench.count(), before);
}

fn agents_are_lent(bench: &Bench) {
    let Some(base) = system(bench) else { return };
    let path = bench.folder.path().join("agent");
    let _listener = UnixListener::bind(&path).expect("listen");
    let given = || {
        let ssh = BTreeMap::from([("default".to_owned(), SshSource::Agent(path.clone()))]);
        lending(RunOptions { ssh, ..RunOptions::default() })
    };
    let socket = "/run/buildkit/ssh_agent.0";
    let with = |id, need| {
        let lent = Lent { mode: 0o600, ..lent(id, need) };
        vec![mount(socket, ExecMountKind::Ssh(lent))]
    };
    let script = format!(
        "set -e
        test \"$SSH_AUTH_SOCK\" = {socket}
        test -S {socket}
        test \"$(stat -c '%a %u' {socket})\" = '600 0'"
    );
    let ran = run(bench, base, exec(&script, with("default", Need::Required)), given());
    assert_eq!(changed(bench, &ran), [""; 0]);
    // Without an agent there is neither.
    let script = format!("test -z \"${{SSH_AUTH_SOCK+set}}\" && test ! -e {socket}");
    run(bench, base, exec(&script, with("default", Need::Optional)), policy()).snapshot();
    let error = run(bench, base, exec("true", with("other", Need::Required)), given()).error();
    assert!(error.contains("--ssh other"), "{error}");
}

fn bind(target: &str, source: &str, writable: bool) -> lathe_graph::ExecMount {
    let source = source.to_owned();
    mount(target, ExecMountKind::Bind { input: InputIndex(1), source, writable })
}

fn binds_show_the_context(bench: &Bench) {
    let Some(base) = system(bench) else { return };
    let context = bench.context();
    let step = |script: &str, mounts| {
        let script = format!("set -e; {script}");
        let ran = run(bench, base, exec(&script, mounts), policy());
        assert_eq!(changed(bench, &ran), [""; 0], "{script}");
    };
    plant(&context, &["d/f=1", "d/secret=2", "secret=3", "real/x=4", "link->real"]);
    let all = "test -e /m/secret && test -e /m/d/f && ! touch /m/new 2>/dev/null";
    step(all, vec![bind("/m", "/", false)]);
    step("test \"$(cat /m/file)\" = 1", vec![bind("/m/file", "/d/f", false)]);
    step("test \"$(ls /m)\" = x", vec![bind("/m", "/link", false)]);
    plant(&context, &[".dockerignore=**/secret"]);
    let without = "test ! -e /m/secret && test ! -e /m/d/secret && test -e /m/d/f
        ! touch /m/new 2>/dev/null";
    step(without, vec![bind("/m", "/", false)]);
    let error = run(bench, base, exec("true", vec![bind("/m", "/secret", false)]), policy());
    assert!(error.error().contains("there is no `secret` in the build context"));
    // Whoever owns the folder, the files are root's, as in an image.
    if std::os::unix::fs::chown(context.join("d/f"), Some(1000), None).is_ok() {
        step("test \"$(stat -c %u /m/f)\" = 0", vec![bind("/m", "/d", false)]);
    }
}

fn writes_to_binds_are_thrown_away(bench: &Bench) {
    let Some(base) = system(bench) else { return };
    let context = bench.context();
    plant(&context, &["d/f=1"]);
    let script = "set -e; echo 2 >/m/f; touch /m/new; test \"$(cat /m/f)\" = 2; touch /kept";
    let check = |from: Option<SnapshotId>, seen: &Path| {
        let before = bench.count();
        let op = exec(script, vec![bind("/m", "/d", true)]);
        let request = Request { from, ..Request::new(Op::Exec(Box::new(op)), Some(base)) };
        let ran = bench.run_with(request);
        assert_eq!(changed(bench, &ran), ["kept"]);
        assert_eq!(dump(seen), ["d/", "d/f=1"]);
        assert_eq!(bench.count(), before + 1, "only the step's own snapshot is left");
    };
    check(None, &context);
    let from = bench.base(|root| plant(root, &["d/f=1"]));
    check(Some(from), &bench.snapshots.changes(from));
}

/// CVE-2024-1753 and its like.
fn binds_lead_nowhere_else(bench: &Bench) {
    let Some(base) = system(bench) else { return };
    let outside = bench.folder.path().join("outside");
    plant(&outside, &["host=1"]);
    let links = |root: &Path| {
        symlink("/", root.join("top")).expect("link");
        symlink(&outside, root.join("out")).expect("link");
        symlink("../../../../../../..", root.join("up")).expect("link");
        plant(root, &["here=1"]);
    };
    links(&bench.context());
    let from = bench.base(links);
    for from in [None, Some(from)] {
        for writable in [false, true] {
            let step = |script: &str, source: &str| {
                let op = exec(script, vec![bind("/m", source, writable)]);
                bench.run_with(Request { from, ..Request::new(Op::Exec(Box::new(op)), Some(base)) })
            };
            step("test -e /m/here && test -L /m/out", "/top").snapshot();
            step("test -e /m/here && test ! -e /m/proc", "/up").snapshot();
            let error = step("true", "/out").error();
            assert!(error.contains("there is no"), "{error}");
        }
    }
    assert_eq!(dump(&outside), ["host=1"]);
}

fn limits_and_names(bench: &Bench) {
    let Some(base) = system(bench) else { return };
    let limit = Rlimit { resource: Resource::Nofile, soft: 77, hard: 88 };
    let given = || {
        let shm_size = Some(3 << 20);
        lending(RunOptions { rlimits: vec![limit], shm_size, ..RunOptions::default() })
    };
    let script = "set -e
        test \"$(ulimit -Sn) $(ulimit -Hn)\" = '77 88'
        df -k /dev/shm | grep -q ' 3072 '
        test \"$(hostname)\" = buildkitsandbox
        grep -q 'localhost buildkitsandbox' /etc/hosts
        test -z \"${HOSTNAME+set}\" || test \"$HOSTNAME\" = buildkitsandbox";
    run(bench, base, exec(script, Vec::new()), given()).snapshot();
    let named = ExecOp {
        hostname: Some("box".to_owned()),
        ..exec("test \"$(hostname)\" = box && grep -q 'localhost box' /etc/hosts", Vec::new())
    };
    run(bench, base, named, policy()).snapshot();
    let mut foreign = exec("true", Vec::new());
    "pdp11".clone_into(&mut foreign.platform.architecture);
    let error = run(bench, base, foreign, policy()).error();
    assert!(error.contains("cannot run programs for linux/pdp11 on this machine; "), "{error}");
    let device = |need| ExecOp {
        devices: vec![Device { name: "vendor.com/gpu=all".to_owned(), need }],
        ..exec("true", Vec::new())
    };
    let error = run(bench, base, device(Need::Required), policy()).error();
    assert!(error.contains("vendor.com/gpu=all"), "{error}");
    let ran = run(bench, base, device(Need::Optional), policy());
    ran.snapshot();
    let is_note = |event: &Event| matches!(event, Event::Note(text) if text.contains("gpu=all"));
    assert!(ran.events.iter().any(is_note), "{:?}", ran.events);
}
