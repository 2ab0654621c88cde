//! Where credentials come from and where they go to.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::*;

fn password(username: &str, password: &str) -> Credential {
    Credential::Password { username: username.to_owned(), password: password.to_owned() }
}

fn store_in(folder: &Path) -> CredentialStore {
    let environment =
        Environment { docker_config: Some(folder.to_owned()), ..Environment::default() };
    CredentialStore::new(&environment).with_programs(folder.to_owned())
}

/// Writes a credential program that keeps one secret in a file beside it.
fn write_program(folder: &Path) {
    let script = r#"#!/bin/sh
file="$(dirname "$0")/secret"
case "$1" in
get) read -r host || true
     if [ -f "$file" ] && grep -q "\"ServerURL\":\"$host\"" "$file"; then cat "$file"
     else echo "credentials not found in native keychain"; exit 1; fi ;;
store) cat > "$file" ;;
erase) rm -f "$file" ;;
esac
"#;
    let path = folder.join("docker-credential-fake");
    fs::write(&path, script).expect("program");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("mode");
}

#[track_caller]
fn check_get(config: &str, host: &str, expected: Option<&Credential>) {
    let folder = tempfile::tempdir().expect("folder");
    fs::write(folder.path().join("config.json"), config).expect("config");
    assert!(
        store_in(folder.path()).get(host).expect("get").as_ref() == expected,
        "{config} {host}"
    );
}

#[test]
fn auths_are_found_under_each_form_of_their_key() {
    // base64 of `me:a:b`
    let entry = r#"{"auth": "bWU6YTpi"}"#;
    for (key, host) in [
        ("r.example:5000", "r.example:5000"),
        ("https://r.example", "r.example"),
        ("http://r.example/v2/", "r.example"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "registry-1.docker.io"),
    ] {
        let config = format!(r#"{{"auths": {{"{key}": {entry}}}}}"#);
        check_get(&config, host, Some(&password("me", "a:b")));
        check_get(&config, "other.example", None);
    }
    check_get(r#"{"auths": {"r/org/repo": {"auth": "bWU6YTpi"}}}"#, "r", None);
    check_get("", "r", None);
    check_get("{}", "r", None);
    check_get(r#"{"auths": {"r": {}}}"#, "r", None);
}

#[test]
fn tokens_are_told_from_passwords() {
    let config = r#"{"auths": {"r": {"auth": "PHRva2VuPjo=", "identitytoken": "abc"}}}"#;
    check_get(config, "r", Some(&Credential::IdentityToken("abc".to_owned())));
    let config = r#"{"auths": {"r": {"registrytoken": "abc"}}}"#;
    check_get(config, "r", Some(&Credential::RegistryToken("abc".to_owned())));
}

#[test]
fn a_broken_file_is_named_and_its_secret_is_not() {
    let folder = tempfile::tempdir().expect("folder");
    for config in ["[1]", "{\"auths\": {\"r\": {\"auth\": \"c2VjcmV0\"}}}", "{\"auths\": secret"] {
        fs::write(folder.path().join("config.json"), config).expect("config");
        let error = store_in(folder.path()).get("r").expect_err("an error").to_string();
        assert!(error.contains("config.json"), "{error}");
        assert!(!error.contains("secret") && !error.contains("c2Vj"), "{error}");
    }
}

#[test]
fn the_first_file_that_knows_the_host_wins() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    let environment = Environment {
        registry_auth_file: Some(at("auth.json")),
        docker_config: Some(at("docker")),
        xdg_runtime_dir: Some(at("run")),
        ..Environment::default()
    };
    fs::create_dir_all(at("run/containers")).expect("folder");
    fs::create_dir_all(at("docker")).expect("folder");
    let write = |name: &str, user: &str| {
        let text = format!(r#"{{"auths": {{"r": {{"username": "{user}", "password": "x"}}}}}}"#);
        fs::write(at(name), text).expect("file");
    };
    let get = || CredentialStore::new(&environment).get("r").expect("get");
    assert_eq!(get(), None);
    write("run/containers/auth.json", "podman");
    assert_eq!(get(), Some(password("podman", "x")));
    write("docker/config.json", "docker");
    assert_eq!(get(), Some(password("docker", "x")));
    write("auth.json", "skopeo");
    assert_eq!(get(), Some(password("skopeo", "x")));
}

#[test]
fn a_login_is_stored_for_the_owner_alone_and_keeps_foreign_keys() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("config.json");
    fs::write(&path, r#"{"psFormat": "x", "auths": {"a": {"auth": "YTpi"}}}"#).expect("config");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("mode");
    let store = store_in(folder.path());
    store.store("docker.io", "me", "secret").expect("store");
    assert_eq!(store.get("docker.io").expect("get"), Some(password("me", "secret")));
    assert_eq!(store.get("a").expect("get"), Some(password("a", "b")));
    let mode = fs::metadata(&path).expect("stat").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&path).expect("read");
    assert!(text.contains("psFormat") && text.contains("https://index.docker.io/v1/"), "{text}");
    assert!(store.erase("docker.io").expect("erase"));
    assert!(!store.erase("docker.io").expect("erase"));
    assert_eq!(store.get("docker.io").expect("get"), None);
    assert_eq!(store.get("a").expect("get"), Some(password("a", "b")));
}

#[test]
fn a_login_makes_the_folder_that_is_not_there() {
    let folder = tempfile::tempdir().expect("folder");
    let store = store_in(&folder.path().join("new/.docker"));
    store.store("r", "me", "secret").expect("store");
    assert_eq!(store.get("r").expect("get"), Some(password("me", "secret")));
}

#[test]
fn a_linked_file_stays_a_link() {
    let folder = tempfile::tempdir().expect("folder");
    fs::write(folder.path().join("real.json"), "{}").expect("file");
    let link = folder.path().join("config.json");
    std::os::unix::fs::symlink("real.json", &link).expect("link");
    store_in(folder.path()).store("r", "me", "secret").expect("store");
    assert!(fs::symlink_metadata(&link).expect("stat").file_type().is_symlink());
    assert!(fs::read_to_string(folder.path().join("real.json")).expect("read").contains("auths"));
}

#[test]
fn a_credential_program_keeps_the_secret_out_of_the_file() {
    for config in [r#"{"credsStore": "fake"}"#, r#"{"credHelpers": {"r.example": "fake"}}"#] {
        let folder = tempfile::tempdir().expect("folder");
        write_program(folder.path());
        let path = folder.path().join("config.json");
        fs::write(&path, config).expect("config");
        let store = store_in(folder.path());
        assert_eq!(store.get("r.example").expect("get"), None);
        store.store("r.example", "me", "secret").expect("store");
        assert_eq!(store.get("r.example").expect("get"), Some(password("me", "secret")));
        assert!(!fs::read_to_string(&path).expect("read").contains("auth\":"));
        assert!(store.erase("r.example").expect("erase"));
        assert_eq!(store.get("r.example").expect("get"), None);
    }
}

#[test]
fn a_program_that_is_missing_or_no_name_is_an_error() {
    for (name, part) in [("none-such", "could not be started"), ("../x", "not a name")] {
        let folder = tempfile::tempdir().expect("folder");
        let config = format!(r#"{{"credsStore": "{name}"}}"#);
        fs::write(folder.path().join("config.json"), config).expect("config");
        let error = store_in(folder.path()).get("r").expect_err("an error").to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn debug_output_has_no_secret() {
    let store = CredentialStore::default().with("r", password("me", "secret"));
    assert!(!format!("{store:?}").contains("secret"));
}
