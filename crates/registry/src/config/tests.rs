//! What `registries.toml` may say, and how its errors read.

use super::*;

fn parse(text: &str) -> Result<Config> {
    Config::parse(Path::new("/etc/lathe/registries.toml"), text)
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    let error = parse(text).expect_err("an error").to_string();
    assert_eq!(error, expected);
}

#[test]
fn all_keys_are_read() {
    let config = parse(
        r#"
        [registry."docker.io"]
        mirrors = [{ location = "127.0.0.1:5000", plain-http = true }, { location = "m.example/hub/x", insecure = true, ca = "m.pem" }]

        [registry."r.example:5000"]
        insecure = true
        ca = "certs/ca.pem"
        client-cert = "/abs/c.cert"
        client-key = "c.key"

        [registry."bad.example"]
        blocked = true
        "#,
    )
    .expect("config");
    let hub = config.host("index.docker.io");
    assert_eq!(hub.mirrors.len(), 2);
    assert!(hub.mirrors[0].plain_http);
    assert_eq!(hub.mirrors[0].host_and_prefix(), ("127.0.0.1:5000", String::new()));
    assert_eq!(hub.mirrors[1].host_and_prefix(), ("m.example", "hub/x/".to_owned()));
    assert_eq!(hub.mirrors[1].ca.as_deref(), Some(Path::new("/etc/lathe/m.pem")));
    let private = config.host("r.example:5000");
    assert_eq!(private.ca.as_deref(), Some(Path::new("/etc/lathe/certs/ca.pem")));
    assert_eq!(private.client_cert.as_deref(), Some(Path::new("/abs/c.cert")));
    assert_eq!(private.client_key.as_deref(), Some(Path::new("/etc/lathe/c.key")));
    assert!(private.insecure && !private.plain_http);
    assert!(config.host("bad.example").blocked);
    assert_eq!(config.host("other.example"), HostSettings::default());
}

#[test]
fn an_unknown_key_is_shown_with_a_caret_and_a_suggestion() {
    check_error(
        "[registry.\"r.example\"]\nplain_http = true\n",
        "/etc/lathe/registries.toml:2:1: unknown key `plain_http`; did you mean `plain-http`?\n  |\n\
         2 | plain_http = true\n  | ^",
    );
    check_error(
        "[registry.\"docker.io\"]\nmirrors = [{ locaton = \"x\" }]\n",
        "/etc/lathe/registries.toml:2:14: unknown key `locaton`; did you mean `location`?\n  |\n\
         2 | mirrors = [{ locaton = \"x\" }]\n  |              ^",
    );
}

#[test]
fn other_mistakes_are_shown_where_they_are() {
    for (text, line, part) in [
        ("[registry.\"https://r.example\"]\n", 1, "write `r.example`"),
        ("[registry.\"http://r.example:5000/\"]\n", 1, "and `plain-http = true`"),
        ("\n[registry.\"a b\"]\n", 2, "`a b` is no `host`"),
        ("[registry.\"r\"]\nclient-cert = \"x\"\n", 1, "go together"),
        ("[registry.\"r\"]\nplain-http = true\nca = \"x\"\n", 1, "no use with `plain-http`"),
        ("[registry.\"r\"]\nblocked = 1\n", 2, "expected a boolean"),
        ("[registry.\"r\"\n", 1, ""),
        ("[registry.\"docker.io\"]\n[registry.\"index.docker.io\"]\n", 2, "another name"),
        ("[registry.\"r\"]\nmirrors = [{ location = \"http://m\" }]\n", 1, "without `http://`"),
    ] {
        let error = parse(text).expect_err(text);
        let Error::Config { line: actual, message, .. } = &error else { panic!("{error}") };
        assert_eq!(*actual, line, "{error}");
        assert!(message.contains(part), "{error}");
    }
}

#[test]
fn the_first_file_of_the_search_path_counts() {
    let folder = tempfile::tempdir().expect("folder");
    let write = |name: &str, host: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        std::fs::write(&path, format!("[registry.\"{host}\"]\nblocked = true\n")).expect("file");
        path
    };
    let mut environment =
        Environment { home: Some(folder.path().to_owned()), ..Environment::default() };
    write(".config/lathe/registries.toml", "home");
    assert!(Config::load(&environment).expect("config").host("home").blocked);
    environment.xdg_config_home = Some(folder.path().join("xdg"));
    write("xdg/lathe/registries.toml", "xdg");
    let config = Config::load(&environment).expect("config");
    assert!(config.host("xdg").blocked && !config.host("home").blocked);
    environment.registries_file = Some(write("named.toml", "named"));
    assert!(Config::load(&environment).expect("config").host("named").blocked);
    environment.registries_file = Some(folder.path().join("none.toml"));
    assert!(Config::load(&environment).is_err());
}

#[test]
fn docker_hub_has_many_names_and_one_api() {
    for name in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
        assert_eq!((canonical_host(name), api_host(name)), ("docker.io", "registry-1.docker.io"));
    }
    assert_eq!((canonical_host("ghcr.io"), api_host("ghcr.io")), ("ghcr.io", "ghcr.io"));
}

#[test]
fn loopback_hosts_are_told_from_others() {
    for host in ["localhost", "localhost:5000", "127.0.0.1", "127.9.0.1:80", "[::1]", "[::1]:5000"]
    {
        assert!(is_loopback(host), "{host}");
    }
    for host in ["localhost.example", "127.example", "128.0.0.1", "[::2]:5000", "10.0.0.1"] {
        assert!(!is_loopback(host), "{host}");
    }
}
