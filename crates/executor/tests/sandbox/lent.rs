//! Lent files with an owner, scripts, and sockets that lead out.

use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use lathe_event::Cancel;
use lathe_executor::Access;
use lathe_executor::LentFile;
use lathe_executor::LentSocket;
use lathe_executor::Process;
use lathe_executor::Sandbox;
use lathe_executor::Traffic;
use lathe_executor::UserIds;
use lathe_executor::spawn;

use crate::runner::Cx;
use crate::runner::Mode;
use crate::runner::Test;
use crate::runner::skip;
use crate::setup::Rootfs;
use crate::setup::bind;
use crate::setup::lend_probe;
use crate::setup::output;
use crate::setup::output_of;
use crate::setup::process;
use crate::setup::quiet;
use crate::setup::run;
use crate::setup::shell;

pub(crate) const TESTS: &[Test] = &[
    ("a_secret_is_for_root_and_leaves_nothing", secret),
    ("a_secret_can_be_for_another_user", secret_of_user),
    ("an_owner_that_is_not_mapped_is_named", unmapped_owner),
    ("a_script_is_executed_and_cannot_be_written", script),
    ("a_secret_of_a_failed_run_leaves_nothing", secret_of_failure),
    ("a_socket_has_its_owner_and_mode_and_leaves_nothing", socket_file),
    ("a_socket_leads_out_and_back", socket),
    ("a_socket_keeps_keys_from_being_removed", socket_filter),
    ("a_raw_socket_passes_all", raw_socket),
    ("garbage_to_an_agent_ends_the_connection_only", garbage),
    ("an_agent_that_is_gone_ends_the_connection_only", agent_gone),
    ("a_socket_to_nowhere_is_an_error", missing_upstream),
    ("an_open_connection_does_not_outlive_the_sandbox", open_connection),
    ("the_real_agent_lists_its_key", real_agent),
    ("many_sandboxes_share_what_they_are_lent", parallel),
];

fn owned(target: &str, owner: (u32, u32)) -> LentFile {
    LentFile { owner, ..LentFile::secret(target, b"hunter2\n".to_vec()) }
}

fn secret(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    sandbox.files = vec![owned("/run/secrets/token", (0, 0))];
    let script = "stat -c '%a %u %g' /run/secrets/token; cat /run/secrets/token; \
                  stat -c %a /run/secrets; echo x 2>/dev/null > /run/secrets/token || echo kept; \
                  chmod 755 /run/secrets/token 2>/dev/null || echo kept";
    assert_eq!(output(&sandbox, script), "400 0 0\nhunter2\n755\nkept\nkept\n");
    assert_eq!(rootfs.names(), ["etc"]);
}

fn user(uid: u32, script: &str) -> Process {
    let mut process = shell(script);
    process.user = UserIds { uid, gid: uid, additional: vec![uid] };
    process
}

fn secret_of_user(cx: &Cx) {
    if cx.mode == Mode::Single {
        return skip("a_secret_can_be_for_another_user", "one id only");
    }
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    let shared = LentFile { mode: 0o440, ..owned("/run/secrets/group", (0, 1001)) };
    sandbox.files = vec![owned("/run/secrets/own", (1001, 1002)), shared];
    let script = "stat -c '%a %u %g' /run/secrets/*; cat /run/secrets/*";
    let expected = "440 0 1001\n400 1001 1002\nhunter2\nhunter2\n";
    assert_eq!(output_of(&sandbox, &user(1001, script)), expected);
    let outcome = run(&sandbox, &user(1003, "cat /run/secrets/own")).unwrap();
    assert!(outcome.stderr.contains("Permission denied"), "{outcome:?}");
    assert_eq!(rootfs.names(), ["etc"]);
}

fn unmapped_owner(cx: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    sandbox.files = vec![owned("/run/secrets/token", (70_000, 7))];
    let result = run(&sandbox, &shell("true"));
    if cx.mode == Mode::Root {
        assert_eq!(result.unwrap().exit.code, 0);
    } else {
        let text = "give `/run/secrets/token` to 70000:7: not mapped in this user namespace \
                    (see /etc/subuid and /etc/subgid)";
        assert_eq!(result.unwrap_err().to_string(), text);
    }
    assert_eq!(rootfs.names(), ["etc"]);
}

fn script(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    let text = b"#!/bin/sh\necho ran $0; echo x >> $0 || echo kept".to_vec();
    let plain = LentFile { mode: 0o644, ..LentFile::script("/plain", text.clone()) };
    sandbox.files = vec![LentFile::script("/dev/pipes/EOF", text), plain];
    let outcome = run(&sandbox, &process(&["/dev/pipes/EOF"])).unwrap();
    assert_eq!(outcome.stdout, "ran /dev/pipes/EOF\nkept\n", "{outcome:?}");
    let error = run(&sandbox, &process(&["/plain"])).unwrap_err().to_string();
    assert_eq!(error, "exec \"/plain\": permission denied");
    assert_eq!(rootfs.names(), ["etc"]);
}

fn secret_of_failure(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut sandbox = rootfs.sandbox();
    sandbox.files = vec![owned("/run/secrets/token", (0, 0)), owned("/etc", (0, 0))];
    let error = run(&sandbox, &shell("true")).unwrap_err().to_string();
    assert!(error.starts_with("mount on `/etc`: "), "{error}");
    assert_eq!(rootfs.names(), ["etc"]);
    sandbox.files.pop();
    let killed = spawn(&sandbox, &shell("sleep 1000"), quiet()).unwrap();
    drop(killed);
    assert_eq!(rootfs.names(), ["etc"]);
}

const TARGET: &str = "/run/buildkit/ssh_agent.0";

/// An agent that says back what it hears, until the other side has ended.
struct Echo {
    directory: tempfile::TempDir,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Echo {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("agent")).unwrap();
        let thread = std::thread::spawn(move || {
            std::thread::scope(|scope| {
                for stream in listener.incoming().map(Result::unwrap) {
                    let mut first = [0];
                    // The byte that `drop` sends.
                    if stream_peek(&stream, &mut first) && first == [255] {
                        return;
                    }
                    scope.spawn(|| echo(stream));
                }
            });
        });
        Self { directory, thread: Some(thread) }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("agent")
    }
}

fn stream_peek(stream: &UnixStream, byte: &mut [u8]) -> bool {
    rustix::net::recv(stream, byte, rustix::net::RecvFlags::PEEK).is_ok_and(|(count, _)| count == 1)
}

fn echo(mut stream: UnixStream) {
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        UnixStream::connect(self.path()).unwrap().write_all(&[255]).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn lending(rootfs: &Rootfs, upstream: impl Into<PathBuf>) -> Sandbox {
    let mut sandbox = rootfs.sandbox();
    lend_probe(&mut sandbox);
    sandbox.sockets = vec![LentSocket::ssh_agent(TARGET, upstream)];
    sandbox
}

fn probe(name: &str) -> Process {
    process(&["/probe", "--probe", name])
}

fn socket_file(cx: &Cx) {
    let (rootfs, agent) = (Rootfs::new(), Echo::start());
    let mut sandbox = rootfs.sandbox();
    sandbox.sockets = vec![LentSocket::ssh_agent(TARGET, agent.path())];
    let script = format!("stat -c '%F %a %u %g' {TARGET}");
    assert_eq!(output(&sandbox, &script), "socket 600 0 0\n");
    if cx.mode != Mode::Single {
        sandbox.sockets[0].owner = (1001, 1002);
        sandbox.sockets[0].mode = 0o660;
        assert_eq!(output(&sandbox, &script), "socket 660 1001 1002\n");
    }
    assert_eq!(rootfs.names(), ["etc"]);
}

fn socket(_: &Cx) {
    let (rootfs, agent) = (Rootfs::new(), Echo::start());
    let sandbox = lending(&rootfs, agent.path());
    let expected = "[0, 0, 0, 1, 11]\nlarge 200005 same\nend\n";
    assert_eq!(output_of(&sandbox, &probe("agent")), expected);
}

fn socket_filter(_: &Cx) {
    let (rootfs, agent) = (Rootfs::new(), Echo::start());
    let sandbox = lending(&rootfs, agent.path());
    assert_eq!(output_of(&sandbox, &probe("agent-remove")), "[0, 0, 0, 1, 24]\nend\n");
}

fn raw_socket(_: &Cx) {
    let (rootfs, agent) = (Rootfs::new(), Echo::start());
    let mut sandbox = lending(&rootfs, agent.path());
    sandbox.sockets[0].traffic = Traffic::Raw;
    assert_eq!(output_of(&sandbox, &probe("agent-remove")), "[0, 0, 0, 1, 19]\nend\n");
}

fn garbage(_: &Cx) {
    let (rootfs, agent) = (Rootfs::new(), Echo::start());
    let sandbox = lending(&rootfs, agent.path());
    assert_eq!(output_of(&sandbox, &probe("agent-garbage")), "end\n[0, 0, 0, 1, 11]\n");
}

fn agent_gone(_: &Cx) {
    let rootfs = Rootfs::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent");
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(output_of(&lending(&rootfs, path), &probe("agent-gone")), "end\nend\n");
}

fn missing_upstream(_: &Cx) {
    let rootfs = Rootfs::new();
    for (upstream, reason) in [("/no/such", "No such file"), ("/etc/passwd", "not a socket")] {
        let error = run(&lending(&rootfs, upstream), &shell("true")).unwrap_err();
        assert_eq!(error.to_string(), format!("forward to the socket `{upstream}`"));
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.starts_with(reason), "{source}");
    }
    assert_eq!(rootfs.names(), ["etc"]);
}

fn open_connection(_: &Cx) {
    let rootfs = Rootfs::new();
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join("agent")).unwrap();
    let sandbox = lending(&rootfs, directory.path().join("agent"));
    let running = spawn(&sandbox, &probe("agent-hold"), quiet()).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut request = [0; 5];
    stream.read_exact(&mut request).unwrap();
    drop(running);
    assert_eq!(stream.read(&mut request).unwrap(), 0);
    // The same when the process ends by itself, with a background one talking.
    let running = spawn(&sandbox, &probe("agent-hold"), quiet()).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_exact(&mut request).unwrap();
    running.kill(9).unwrap();
    running.wait(&Cancel::new()).unwrap();
    assert_eq!(stream.read(&mut request).unwrap(), 0);
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn real_agent(_: &Cx) {
    const NAME: &str = "the_real_agent_lists_its_key";
    let programs = ["ssh-agent", "ssh-add", "ssh-keygen"].map(|name| format!("/usr/bin/{name}"));
    if !programs.iter().all(|program| Path::new(program).exists()) {
        return skip(NAME, "no ssh-agent (Debian: openssh-client)");
    }
    let directory = tempfile::tempdir().unwrap();
    let (socket, key) = (directory.path().join("agent"), directory.path().join("key"));
    let _agent = Killed(background(Command::new(&programs[0]).arg("-D").arg("-a").arg(&socket)));
    while UnixStream::connect(&socket).is_err() {
        std::thread::yield_now();
    }
    let ran = |command: &mut Command| {
        let output = command.env("SSH_AUTH_SOCK", &socket).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    ran(Command::new(&programs[2]).args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
    ran(Command::new(&programs[1]).arg(&key));
    let listed = ran(Command::new(&programs[1]).arg("-l"));
    let rootfs = Rootfs::new();
    let mut sandbox = lending(&rootfs, &socket);
    sandbox.mounts.push(bind(&programs[1], "/usr/bin/ssh-add", Access::ReadOnly));
    let in_sandbox = |args: &[&str]| {
        let mut process = process(args);
        process.env.push(format!("SSH_AUTH_SOCK={TARGET}"));
        run(&sandbox, &process).unwrap()
    };
    assert_eq!(in_sandbox(&["/usr/bin/ssh-add", "-l"]).stdout, listed);
    let refused = in_sandbox(&["/usr/bin/ssh-add", "-D"]);
    assert_ne!(refused.exit.code, 0, "{refused:?}");
    assert_eq!(in_sandbox(&["/usr/bin/ssh-add", "-l"]).stdout, listed);
}

fn background(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn parallel(_: &Cx) {
    let (shared, agent) = (Rootfs::new(), Echo::start());
    let mut lent = lending(&shared, agent.path());
    // Every sandbox wants to make the same targets in one shared folder.
    lent.mounts.push(bind(shared.path(), "/shared", Access::ReadWrite));
    lent.mounts.push(bind(shared.join("etc"), "/shared/made/by/many", Access::ReadOnly));
    lent.files = vec![owned("/run/secrets/token", (0, 0)), owned("/shared/file", (0, 0))];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..4 {
                    let rootfs = Rootfs::new();
                    let sandbox = Sandbox { rootfs: rootfs.path().into(), ..lent.clone() };
                    let script = "cat /run/secrets/token /shared/file; \
                                  /probe --probe agent-remove; ls -d /shared/made/by/many";
                    let expected =
                        "hunter2\nhunter2\n[0, 0, 0, 1, 24]\nend\n/shared/made/by/many\n";
                    assert_eq!(output(&sandbox, script), expected);
                    assert_eq!(rootfs.names(), ["etc"]);
                }
            });
        }
    });
}
