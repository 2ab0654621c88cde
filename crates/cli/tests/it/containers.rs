//! `run` and what is done with running containers.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use lathe_testkit::sandbox::{Output, Sandbox};
use serde_json::Value;

use crate::sandbox;

/// Asks for a page until there is an answer, or too much time has passed.
fn page(port: u16) -> String {
    let start = Instant::now();
    loop {
        if let Ok(answer) = try_page(port)
            && !answer.is_empty()
        {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "no answer on port {port}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn try_page(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// Runs a command that must be successful and returns what it printed.
#[track_caller]
fn ask(sandbox: &Sandbox, arguments: &[&str]) -> String {
    sandbox.lathe(arguments).success().stdout.trim_end().to_owned()
}

fn server(sandbox: &Sandbox) {
    sandbox.dockerfile(
        "FROM busybox\nRUN mkdir /www && echo hello from lathe > /www/index.html\nEXPOSE 8080\n\
         CMD [\"httpd\", \"-f\", \"-vv\", \"-p\", \"8080\", \"-h\", \"/www\"]\n",
    );
    sandbox.build(&["-t", "server"]);
}

for_everybody! {
    fn a_server_answers_on_its_published_port(sandbox) {
        server(sandbox);
        let port = free_port();
        let publish = format!("{port}:8080");
        let id = ask(sandbox, &["run", "-d", "-p", &publish, "--name", "web", "server"]);
        assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert!(page(port).ends_with("hello from lathe\n"));
        let listed = ask(sandbox, &["ps"]);
        assert!(listed.starts_with("CONTAINER ID"), "{listed}");
        for word in [&id[..12], "server", "web", "Up ", &format!("{port}->8080/tcp")] {
            assert!(listed.contains(word), "{word} in {listed}");
        }
        let logs = sandbox.lathe(&["logs", "web"]).success();
        assert!((logs.stdout + &logs.stderr).contains("/index.html"));
        assert_eq!(ask(sandbox, &["exec", "web", "cat", "/www/index.html"]), "hello from lathe");
        assert_eq!(sandbox.lathe(&["exec", "web", "sh", "-c", "exit 3"]).code, 3);
        assert_eq!(ask(sandbox, &["stop", "-t", "1", "web"]), "web");
        assert_eq!(ask(sandbox, &["ps", "-q"]), "");
        assert!(ask(sandbox, &["ps", "-a"]).contains("Exited"));
        assert_eq!(ask(sandbox, &["rm", "web"]), "web");
        assert_eq!(ask(sandbox, &["ps", "-aq"]), "");
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the port is still open");
    }

    fn a_command_runs_with_its_streams_and_code(sandbox) {
        let run = |arguments: &[&str]| sandbox.lathe(&[&["run", "--rm"], arguments].concat());
        let output = run(&["busybox", "sh", "-c", "echo out; echo err >&2; exit 7"]);
        assert_eq!((output.code, output.stdout.as_str()), (7, "out\n"));
        assert!(output.stderr.contains("err\n"), "{}", output.stderr);
        let output = run(&["-e", "A=b c", "-w", "/etc", "-u", "ann", "busybox", "sh", "-c", "echo $A; pwd; id -u; id -G"]);
        assert_eq!(output.success().stdout, "b c\n/etc\n1000\n1001 2002\n");
        let piped = sandbox.lathe_reading(b"from outside", &["run", "-i", "--rm", "busybox", "cat"]);
        assert_eq!(piped.success().stdout, "from outside");
        assert_eq!(run(&["busybox", "/no/such/program"]).code, 127);
        assert_eq!(run(&["busybox", "/etc/passwd"]).code, 126);
        assert_eq!(run(&["busybox", "sh", "-c", "sh -c 'kill -9 $$'; exit $?"]).code, 137);
        assert_eq!(run(&["--entrypoint", "echo", "busybox", "a", "b"]).success().stdout, "a b\n");
        assert_eq!(run(&["--no-such-flag", "busybox"]).code, 125);
        assert_eq!(run(&["no-such-image-at-all"]).code, 125);
        assert_eq!(ask(sandbox, &["ps", "-aq"]), "");
    }

    fn a_container_has_files_of_its_own(sandbox) {
        let id = ask(sandbox, &["run", "-d", "busybox", "sh", "-c", "echo x > /x; exec sleep 1000"]);
        let seen = || sandbox.lathe(&["exec", &id, "cat", "/x"]);
        let start = Instant::now();
        while seen().code != 0 && start.elapsed() < Duration::from_secs(10) {}
        assert_eq!(seen().success().stdout, "x\n");
        let other = sandbox.lathe(&["run", "--rm", "busybox", "cat", "/x"]);
        assert_ne!(other.code, 0, "{other:?}");
        assert_eq!(ask(sandbox, &["rm", "-f", &id[..12]]), id[..12]);
    }
}

#[test]
fn output_of_run_d_can_be_captured() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.lathe(&["pull", "-q", "busybox"]).success();
    // The container must not hold the pipe of the command substitution open.
    let mut command = sandbox.command(&["run", "-d", "busybox", "sleep", "1000"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.spawn().expect("it starts").wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert_eq!(ask(&sandbox, &["ps", "-q", "--no-trunc"]), id);
}

#[test]
fn wait_kill_and_names() {
    let Some(sandbox) = sandbox() else { return };
    let sandbox = &sandbox;
    ask(
        sandbox,
        &[
            "run",
            "-d",
            "--name",
            "one",
            "busybox",
            "sh",
            "-c",
            "trap 'exit 5' TERM; while :; do sleep 0.1; done",
        ],
    );
    let again = sandbox.lathe(&["run", "-d", "--name", "one", "busybox", "true"]).failure(125);
    again.says("one");
    sandbox.lathe(&["rm", "one"]).failure(1).says("running");
    ask(sandbox, &["kill", "-s", "TERM", "one"]);
    assert_eq!(ask(sandbox, &["wait", "one"]), "5");
    assert_eq!(
        ask(sandbox, &["ps", "-a", "--format", "{{.Names}} {{.Status}}"])
            .split(" ago")
            .next()
            .map(|text| text.starts_with("one Exited (5)")),
        Some(true)
    );
    assert_eq!(ask(sandbox, &["start", "one"]), "one");
    assert!(ask(sandbox, &["ps"]).contains("one"));
    assert_eq!(ask(sandbox, &["kill", "one"]), "one");
    assert_eq!(ask(sandbox, &["wait", "one"]), "137");
    sandbox.lathe(&["logs", "nobody"]).failure(1).says("nobody");
    sandbox.lathe(&["stop", "nobody"]).failure(1).says("nobody");
    sandbox.lathe(&["exec", "one", "true"]).failure(1).says("not running");
}

#[test]
fn logs_can_be_followed_and_cut() {
    let Some(sandbox) = sandbox() else { return };
    let sandbox = &sandbox;
    let script = "for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done; echo last >&2";
    ask(sandbox, &["run", "-d", "--name", "talker", "busybox", "sh", "-c", script]);
    let all: Output = sandbox.lathe(&["logs", "-f", "talker"]).success();
    assert_eq!(all.stdout, "line 1\nline 2\nline 3\nline 4\nline 5\n");
    assert_eq!(all.stderr, "last\n");
    assert_eq!(ask(sandbox, &["logs", "-n", "2", "talker"]), "line 5");
    let stamped = ask(sandbox, &["logs", "-t", "-n", "3", "talker"]);
    assert!(
        stamped.lines().all(|line| line.starts_with("20") && line.contains("Z line ")),
        "{stamped}"
    );
}

#[test]
fn the_first_process_reaps_and_gets_signals() {
    let Some(sandbox) = sandbox() else { return };
    let sandbox = &sandbox;
    let output = sandbox
        .lathe(&["run", "--rm", "busybox", "sh", "-c", "echo $$; hostname; cat /etc/hostname"])
        .success();
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!((lines[0], lines[1]), ("1", lines[2]));
    // A program without a handler is not ended by SIGTERM as process 1, so stop has to kill.
    ask(sandbox, &["run", "-d", "--name", "deaf", "busybox", "sleep", "1000"]);
    let start = Instant::now();
    ask(sandbox, &["stop", "-t", "1", "deaf"]);
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(ask(sandbox, &["wait", "deaf"]), "137");
    ask(sandbox, &["run", "-d", "--init", "--name", "init", "busybox", "sleep", "1000"]);
    ask(sandbox, &["stop", "-t", "10", "init"]);
    assert_eq!(ask(sandbox, &["wait", "init"]), "143");
}

#[test]
fn volumes_bind_and_read_only_roots() {
    let Some(sandbox) = sandbox() else { return };
    let sandbox = &sandbox;
    sandbox.file("shared/f", "from the host");
    let host = sandbox.context().join("shared").to_string_lossy().into_owned();
    let volume = format!("{host}:/v");
    let output = sandbox
        .lathe(&["run", "--rm", "-v", &volume, "busybox", "sh", "-c", "cat /v/f; echo back > /v/g"])
        .success();
    assert_eq!(output.stdout, "from the host");
    assert_eq!(
        std::fs::read_to_string(sandbox.context().join("shared/g")).expect("written"),
        "back\n"
    );
    let read_only = format!("{host}:/v:ro");
    let output = sandbox.lathe(&["run", "--rm", "-v", &read_only, "busybox", "touch", "/v/h"]);
    assert_eq!(output.code, 1, "{output:?}");
    let output = sandbox
        .lathe(&["run", "--rm", "--read-only", "busybox", "sh", "-c", "touch /x || echo refused"])
        .success();
    assert!(output.stdout.contains("refused"));
}

#[test]
fn inspect_tells_about_containers() {
    let Some(sandbox) = sandbox() else { return };
    server(&sandbox);
    let id = ask(&sandbox, &["run", "-d", "-P", "--name", "web", "-e", "A=1", "server"]);
    let document: Value = serde_json::from_str(&ask(&sandbox, &["inspect", "web"])).expect("JSON");
    let container = &document[0];
    assert_eq!(container["Id"], id);
    assert_eq!(container["Name"], "/web");
    assert_eq!(container["State"]["Running"], true);
    let bindings = &container["NetworkSettings"]["Ports"]["8080/tcp"][0];
    let port: u16 = bindings["HostPort"].as_str().expect("a port").parse().expect("a number");
    assert!(page(port).ends_with("hello from lathe\n"));
    let running = ask(&sandbox, &["inspect", "-f", "{{.State.Status}} {{.Config.Image}}", "web"]);
    assert_eq!(running, "running server");
}

#[test]
fn a_container_has_a_way_out_or_says_why() {
    let Some(sandbox) = sandbox() else { return };
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = std::thread::spawn(move || {
        if let Ok((mut stream, _)) = listener.accept() {
            drop(stream.write_all(b"hello\n"));
        }
    });
    let host = Command::new("hostname").arg("-I").output().map(|output| output.stdout);
    let host = String::from_utf8_lossy(&host.unwrap_or_default()).into_owned();
    let Some(host) = host.split_whitespace().next() else {
        drop(TcpStream::connect(("127.0.0.1", port)));
        return lathe_testkit::sandbox::skip("this machine has no address");
    };
    let script = format!("nc -w 5 {host} {port} < /dev/null");
    let output = sandbox.lathe(&["run", "--rm", "busybox", "sh", "-c", &script]);
    drop(TcpStream::connect(("127.0.0.1", port)));
    drop(server.join());
    assert!(output.stdout == "hello\n" || !output.stderr.is_empty(), "{output:?}");
}
