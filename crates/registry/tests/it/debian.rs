//! Against Debian's `docker-registry` and `skopeo`, which were written by other people.

use std::{io::Read, path::Path, process::Command};

use lathe_oci::MediaType;
use lathe_registry::{Client, Pushed};
use lathe_testkit::debian_registry::{DebianRegistry, Users};

use crate::common::{blob, client, image, reference};

/// `me` and `open sesame`, bcrypt.
const HTPASSWD: &str = "me:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n";

fn push_image(client: &Client, host: &str, name: &str) {
    let (config, layer, manifest) = image(1);
    let target = reference(host, name);
    for content in [&config, &layer] {
        client.push_blob(&target, &blob(content), content, None, &|_| ()).expect("push");
    }
    client.push_manifest(&target, &MediaType::OciManifest, &manifest).expect("push");
}

fn pull_image(client: &Client, host: &str, name: &str) {
    let (config, layer, manifest) = image(1);
    let source = reference(host, name);
    let descriptor = client.resolve(&source).expect("resolve");
    let (read, bytes) = client.manifest(&source).expect("manifest");
    assert_eq!((&read, &bytes), (&descriptor, &manifest));
    for content in [&config, &layer] {
        for offset in [0, 1, content.len() as u64 - 1] {
            let mut read = Vec::new();
            let mut reader = client.fetch_blob(&source, &blob(content), offset).expect("fetch");
            reader.read_to_end(&mut read).expect("read");
            assert!(read == content[usize::try_from(offset).expect("small")..]);
        }
    }
}

#[test]
fn an_image_goes_there_and_back() {
    let test = "an_image_goes_there_and_back";
    let Some(registry) = DebianRegistry::start(test, Users::All).expect("registry") else {
        return;
    };
    let client = client("", None);
    push_image(&client, registry.host(), "a/b:1");
    pull_image(&client, registry.host(), "a/b:1");
    assert_eq!(client.tags(&reference(registry.host(), "a/b")).expect("tags"), ["1"]);
    let error = client.resolve(&reference(registry.host(), "a/b:2")).expect_err("an error");
    assert!(error.is_not_found() && error.to_string().contains("manifest unknown"), "{error}");
    let error = client.resolve(&reference(registry.host(), "none:1")).expect_err("an error");
    assert!(error.is_not_found(), "{error}");
}

#[test]
fn a_real_registry_mounts_and_takes_chunks() {
    let test = "a_real_registry_mounts_and_takes_chunks";
    let Some(registry) = DebianRegistry::start(test, Users::All).expect("registry") else {
        return;
    };
    let client = client("", None);
    push_image(&client, registry.host(), "a/b:1");
    let (_, layer, _) = image(1);
    let (target, from) = (reference(registry.host(), "c:1"), reference(registry.host(), "a/b:1"));
    let pushed = client.push_blob(&target, &blob(&layer), &layer, Some(&from), &|_| ());
    assert_eq!(pushed.expect("push"), Pushed::Mounted);
    assert!(client.blob_exists(&target, &blob(&layer)).expect("head"));
    let other = crate::common::bytes(50_000);
    assert!(!client.mount_blob(&target, &blob(&other), &from).expect("mount"));
    let pushed = client.push_blob(&target, &blob(&other), &other, Some(&from), &|_| ());
    assert_eq!(pushed.expect("push"), Pushed::Uploaded);
}

#[test]
fn a_password_is_wanted_checked_and_enough() {
    let test = "a_password_is_wanted_checked_and_enough";
    let Some(registry) = DebianRegistry::start(test, Users::Htpasswd(HTPASSWD)).expect("registry")
    else {
        return;
    };
    let host = registry.host();
    let stranger = client("", None);
    let error = stranger.resolve(&reference(host, "a/b:1")).expect_err("an error");
    assert!(error.is_denied() && error.to_string().contains("lathe login"), "{error}");
    let error = stranger.check_login(host, "me", "wrong").expect_err("an error");
    assert!(error.is_denied(), "{error}");
    stranger.check_login(host, "me", "open sesame").expect("login");
    let known = client("", Some((host, "me", "open sesame")));
    push_image(&known, host, "a/b:1");
    pull_image(&known, host, "a/b:1");
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skopeo(test: &str, arguments: &[&str]) -> Option<()> {
    if !Path::new("/usr/bin/skopeo").exists() {
        eprintln!("SKIP {test}: skopeo is not installed");
        return None;
    }
    let output = Command::new("/usr/bin/skopeo")
        .args(["--insecure-policy"])
        .args(arguments)
        .output()
        .expect("skopeo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "skopeo {arguments:?}: {errors}");
    Some(())
}

#[test]
fn skopeo_reads_what_was_pushed_and_writes_what_is_pulled() {
    let test = "skopeo_reads_what_was_pushed_and_writes_what_is_pulled";
    let Some(registry) = DebianRegistry::start(test, Users::All).expect("registry") else {
        return;
    };
    let client = client("", None);
    push_image(&client, registry.host(), "a/b:1");
    let folder = tempfile::tempdir().expect("folder");
    let layout = format!("oci:{}:x", folder.path().join("layout").display());
    let from = format!("docker://{}/a/b:1", registry.host());
    let to = format!("docker://{}/c/d:2", registry.host());
    let copied = skopeo(test, &["copy", "--src-tls-verify=false", &from, &layout])
        .and_then(|()| skopeo(test, &["copy", "--dest-tls-verify=false", &layout, &to]));
    if copied.is_some() {
        pull_image(&client, registry.host(), "c/d:2");
    }
}
