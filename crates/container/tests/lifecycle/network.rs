//! Networks and published ports.

use std::io::Read as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;

use lathe_container::NetworkMode;
use lathe_container::PortMapping;
use lathe_container::Protocol;
use nix::sys::signal::Signal;

use crate::harness::Lathe;
use crate::harness::Test;
use crate::harness::User;
use crate::harness::eventually;
use crate::harness::kill;
use crate::harness::skip;

pub(crate) const TESTS: &[Test] = &[
    ("a_published_port_answers_on_loopback", published),
    ("a_started_container_has_its_ports", inv_container_4_ports_are_bound_at_the_start),
    ("the_port_is_free_after_the_end", freed),
    ("a_taken_port_is_an_error_of_docker", taken),
    ("a_low_port_names_what_forbids_it", low_port),
    ("the_network_has_a_way_out_or_a_warning", way_out),
    ("without_pasta_root_has_a_veth_pair", veth),
    ("roots_veth_pair_goes_with_its_shim", preferred_veth),
    ("a_veth_pair_loses_no_end_of_a_connection", half_closed),
    ("a_build_has_a_network_of_its_own_or_a_reason", build_network),
    ("no_network_has_loopback_alone", no_network),
    ("the_hosts_network_is_the_hosts", host_network),
];

const SERVE: &[&str] = &["httpd", "-f", "-p", "80", "-h", "/www"];

fn publish(host_port: Option<u16>) -> PortMapping {
    PortMapping {
        host_ip: Some("127.0.0.1".parse().unwrap()),
        host_port,
        container_port: 80,
        protocol: Protocol::Tcp,
    }
}

fn server(lathe: &Lathe, name: &str) -> u16 {
    let mut spec = lathe.spec_of(name, SERVE);
    spec.network.mode = NetworkMode::Private;
    spec.network.publish = vec![publish(None)];
    lathe.start(&spec);
    lathe.inspect(name).1.ports[0].host_port
}

fn get(port: u16) -> String {
    let mut answer = String::new();
    let asked = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
        stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n")?;
        stream.read_to_string(&mut answer)
    });
    // Not listening yet: closed.
    drop(asked);
    answer
}

fn published(lathe: &Lathe) {
    let port = server(lathe, "web");
    eventually("an answer", || get(port).contains("hello from the container"));
    for _ in 0..20 {
        assert!(get(port).contains("hello from"));
    }
}

fn inv_container_4_ports_are_bound_at_the_start(lathe: &Lathe) {
    // Nothing in the container ever listens: what is bound, the start has bound.
    let mut spec = lathe.spec_of("early", &["sleep", "1000"]);
    spec.network.mode = NetworkMode::Private;
    spec.network.publish = vec![publish(None)];
    lathe.start(&spec);
    let port = lathe.inspect("early").1.ports[0].host_port;
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    let error = TcpListener::bind(("127.0.0.1", port)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    lathe.good(&["rm", "-f", "early"]);
}

fn freed(lathe: &Lathe) {
    let port = server(lathe, "web-2");
    lathe.good(&["rm", "-f", "web-2"]);
    TcpListener::bind(("127.0.0.1", port)).unwrap();
}

fn taken(lathe: &Lathe) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut spec = lathe.spec_of("late", SERVE);
    spec.network.mode = NetworkMode::Private;
    spec.network.publish = vec![publish(Some(port))];
    let output = lathe.foreground(&spec);
    assert_eq!(output.code, 125);
    let want = format!("listen tcp4 127.0.0.1:{port}: bind: address already in use");
    assert!(output.stderr.contains(&want), "{output:?}");
    assert_eq!(lathe.status("late").as_deref(), Some("created 125"));
}

fn low_port(lathe: &Lathe) {
    let start = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if lathe.user == User::Root || start.trim() == "0" {
        return skip("low_port", "every port is allowed");
    }
    let mut spec = lathe.spec_of("low", SERVE);
    spec.network.mode = NetworkMode::Private;
    spec.network.publish = vec![publish(Some(1))];
    let output = lathe.foreground(&spec);
    assert_eq!(output.code, 125);
    assert!(output.stderr.contains("sysctl net.ipv4.ip_unprivileged_port_start=1"), "{output:?}");
}

/// Returns the host's address in the direction of the default route.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}

fn way_out(lathe: &Lathe) {
    let Some(address) = own_address() else { return skip("way_out", "the host has no route") };
    let port = greeter();
    let mut spec = lathe.spec("outward", &greet(&address, port));
    spec.network.mode = NetworkMode::Private;
    let output = lathe.foreground(&spec);
    let warned = output.stderr.contains("no way out of its network");
    if warned {
        assert!(output.stderr.contains("install") || output.stderr.contains("allow"), "{output:?}");
        return skip("way_out", output.stderr.trim());
    }
    assert_eq!(output.stdout, "from the host\n", "{output:?}");
}

/// Listens on the host for containers that look for the way out.
fn greeter() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // One that only looks whether somebody listens is gone by now.
            drop(stream.unwrap().write_all(b"from the host\n"));
        }
    });
    port
}

/// Returns a script that shows the greeting. It does not wait for the end of the connection,
/// which some versions of pasta lose when it comes with the data.
fn greet(address: &str, port: u16) -> String {
    format!(
        "nc {address} {port} < /dev/null > /greeting 2>&1 & \
         until [ -s /greeting ]; do sleep 0.02; done; cat /greeting"
    )
}

fn veth(lathe: &Lathe) {
    let Some(address) = own_address() else { return skip("veth", "the host has no route") };
    if lathe.user != User::Root {
        return skip("veth", "needs root");
    }
    let port = greeter();
    let script = format!("{}; sleep 1000", greet(&address, port));
    let mut spec = lathe.spec("paired", &script);
    spec.network.mode = NetworkMode::Private;
    spec.network.publish = vec![publish(None)];
    // Without its device pasta is of no use.
    let hide = "mount -t tmpfs none /dev/net && exec \"$0\" \"$@\"";
    let run = lathe.command(&["run", "detached", &crate::harness::json(&spec)]);
    let mut command = std::process::Command::new("unshare");
    command.args(["-m", "sh", "-c", hide]).arg(run.get_program()).args(run.get_args());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let output = crate::harness::output(command.spawn().unwrap());
    assert_eq!(output.code, 0, "{output:?}");
    if output.stderr.contains("no way out") {
        return skip("veth", output.stderr.trim());
    }
    lathe.await_log("paired", "from the host\n");
    ends_with_its_shim(lathe, "paired");
}

/// Returns the name of the host's device of a container, and of its table; `None` without a pair.
fn device_of(lathe: &Lathe, name: &str) -> Option<String> {
    let IpAddr::V4(address) = lathe.inspect(name).1.address? else { return None };
    let [_, _, high, low] = address.octets();
    let network = u16::from_be_bytes([high, low]) / 4;
    (network > 0).then(|| format!("lathe{network}"))
}

/// Kills the shim of a container that has a veth pair: the guard removes what was made.
fn ends_with_its_shim(lathe: &Lathe, name: &str) {
    let device = device_of(lathe, name).unwrap();
    let has_device =
        || std::fs::read_to_string("/proc/net/dev").unwrap().contains(&format!("{device}:"));
    let has_rules = || {
        let tables = std::process::Command::new("nft").args(["list", "tables"]).output();
        let table = format!("table ip {device}");
        tables.is_ok_and(|t| String::from_utf8_lossy(&t.stdout).lines().any(|line| line == table))
    };
    assert!(has_device());
    kill(lathe.shim_of(name).unwrap(), Signal::SIGKILL);
    eventually("the end of the device", || !has_device());
    eventually("the end of the rules", || !has_rules());
    lathe.good(&["rm", "-f", name]);
}

fn preferred_veth(lathe: &Lathe) {
    let mut spec = lathe.spec_of("preferred", &["sleep", "1000"]);
    spec.network.mode = NetworkMode::Private;
    lathe.start(&spec);
    if device_of(lathe, "preferred").is_none() {
        lathe.good(&["rm", "-f", "preferred"]);
        return skip("preferred_veth", "this user or machine has pasta first");
    }
    ends_with_its_shim(lathe, "preferred");
}

/// Both sides close at once, which some versions of pasta turn into a connection without end.
fn half_closed(lathe: &Lathe) {
    let Some(address) = own_address() else { return skip("half_closed", "the host has no route") };
    let port = greeter();
    // The address that all containers with pasta have.
    let script = format!(
        "if grep -q '^10.88.0.2\t' /etc/hosts; then echo pasta; exit; fi
         for n in $(seq 40); do timeout 10 nc {address} {port} < /dev/null || echo lost; done"
    );
    let mut spec = lathe.spec("half-closed", &script);
    spec.network.mode = NetworkMode::Private;
    let output = lathe.foreground(&spec);
    if output.stdout == "pasta\n" || output.stderr.contains("no way out") {
        return skip("half_closed", "no veth pair");
    }
    assert_eq!(output.stdout, "from the host\n".repeat(40), "{output:?}");
}

fn build_network(lathe: &Lathe) {
    let Some(address) = own_address() else {
        return skip("build_network", "the host has no route");
    };
    let target = format!("{address}:{}", greeter());
    let output = lathe.run(&["build-network", &target]);
    if output.stderr.contains("fix") {
        return skip("build_network", output.stderr.trim());
    }
    assert_eq!(output.stdout, "from the host\n", "{output:?}");
}

fn no_network(lathe: &Lathe) {
    let output =
        lathe.foreground(&lathe.spec("alone", "ls /sys/class/net; cat /proc/net/dev | grep -c :"));
    assert!(output.stdout.ends_with("1\n"), "{output:?}");
    assert_eq!(output.stderr, "");
}

fn host_network(lathe: &Lathe) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"hi\n").unwrap());
    let mut spec = lathe.spec("hosts", &format!("nc -w 3 127.0.0.1 {port} < /dev/null"));
    spec.network.mode = NetworkMode::Host;
    assert_eq!(lathe.foreground(&spec).stdout, "hi\n");
}
