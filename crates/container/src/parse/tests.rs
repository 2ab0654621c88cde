use super::*;

fn check_publish(text: &str, want: &str) {
    let got = match publish(text) {
        Ok(ports) => ports
            .iter()
            .map(|port| {
                format!(
                    "{}>{}>{}/{:?}",
                    port.host_ip.map_or("*".to_owned(), |ip| ip.to_string()),
                    port.host_port.map_or("?".to_owned(), |port| port.to_string()),
                    port.container_port,
                    port.protocol
                )
            })
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => error.to_string(),
    };
    assert_eq!(got, want, "{text}");
}

#[test]
fn published_ports_have_docker_forms() {
    check_publish("80", "*>?>80/Tcp");
    check_publish("8080:80", "*>8080>80/Tcp");
    check_publish("8080:80/udp", "*>8080>80/Udp");
    check_publish("127.0.0.1:8080:80", "127.0.0.1>8080>80/Tcp");
    check_publish("127.0.0.1::80", "127.0.0.1>?>80/Tcp");
    check_publish("[::1]:8080:80", "::1>8080>80/Tcp");
    check_publish("::1:8080:80", "::1>8080>80/Tcp");
    check_publish("8000-8001:80-81", "*>8000>80/Tcp *>8001>81/Tcp");
    check_publish("65535:65535", "*>65535>65535/Tcp");
}

#[test]
fn wrong_published_ports_say_what_is_wrong() {
    for (text, want) in [
        ("", "`` is no port (1 to 65535)"),
        ("0", "`0` is no port (1 to 65535)"),
        ("65536", "`65536` is no port (1 to 65535)"),
        ("+80", "`+80` is no port (1 to 65535)"),
        ("80/sctp", "protocol `sctp` is neither tcp nor udp"),
        ("1.2.3:80:80", "`1.2.3` is no IP address"),
        ("9-8:9-8", "`9-8` ends before it starts"),
        ("1-3:1-2", "the ranges of host and container ports differ in length"),
    ] {
        check_publish(text, &format!("invalid published port `{text}`: {want}"));
    }
}

fn check_volume(text: &str, want: &str) {
    let got = match volume(text, Path::new("/here")) {
        Ok(volume) => format!("{:?} {} {:?}", volume.source, volume.target, volume.access),
        Err(error) => error.to_string(),
    };
    assert_eq!(got, want, "{text}");
}

#[test]
fn volumes_have_docker_forms() {
    check_volume("/data", "Anonymous /data ReadWrite");
    check_volume("/a:/b", "Host(\"/a\") /b ReadWrite");
    check_volume("/a:/b:ro", "Host(\"/a\") /b ReadOnly");
    check_volume("/a:/b:z,ro", "Host(\"/a\") /b ReadOnly");
    check_volume("db:/b", "Named(\"db\") /b ReadWrite");
    check_volume("./a:/b", "Host(\"/here/./a\") /b ReadWrite");
    let invalid = |text: &str, reason: &str| {
        check_volume(text, &format!("invalid volume `{text}`: {reason}"));
    };
    invalid("/a:b", "the path inside the container must be absolute");
    invalid("/a:/", "the path inside the container cannot be `/`");
    invalid("/a:/b:what", "unknown option `what`");
    invalid("a/b:/c", "the source is neither a path nor a volume name");
    invalid(":/c", "the source is empty");
}

#[test]
fn extra_hosts_take_both_separators() {
    let show = |text: &str| extra_host(text).map_or_else(|e| e.to_string(), |h| format!("{h:?}"));
    assert_eq!(show("db:10.0.0.1"), "ExtraHost { name: \"db\", address: Ip(10.0.0.1) }");
    assert_eq!(show("db=fd00::1"), "ExtraHost { name: \"db\", address: Ip(fd00::1) }");
    assert_eq!(show("h:host-gateway"), "ExtraHost { name: \"h\", address: Gateway }");
    assert_eq!(show("db"), "invalid host `db`: the form is name:ip");
    assert_eq!(show("db:x"), "invalid host `db:x`: the address is no IP address");
}

#[test]
fn exposed_ports_may_be_ranges() {
    assert_eq!(exposed("80-82/udp").unwrap().len(), 3);
    assert_eq!(exposed("80").unwrap(), [ExposedPort { port: 80, protocol: Protocol::Tcp }]);
    assert!(exposed("a").is_err());
}
