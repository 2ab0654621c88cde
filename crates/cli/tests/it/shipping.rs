//! Pulling from registries and pushing to them.

use lathe_testkit::{
    image::Image,
    registry::{Access, FakeRegistry, Fault, Reply},
    sandbox::Sandbox,
};

use crate::sandbox;

#[track_caller]
fn ask(sandbox: &Sandbox, arguments: &[&str]) -> String {
    sandbox.lathe(arguments).success().stdout.trim_end().to_owned()
}

for_everybody! {
    fn an_image_is_pushed_and_pulled(sandbox) {
        let target = FakeRegistry::start();
        let name = format!("{}/team/app:1", target.host());
        sandbox.file("f", "f").dockerfile("FROM busybox\nCOPY f /f\nCMD [\"cat\", \"/f\"]\n");
        let image = sandbox.build(&["-t", &name]).image;
        let pushed = ask(sandbox, &["push", &name]);
        let remote = Image::from_registry(&target, "team/app", "1").expect("it is there");
        assert!(pushed.contains(&remote.digest), "{pushed}");
        assert_eq!((&remote.id, remote.tree()), (&image.id, image.tree()));
        target.take_requests();
        ask(sandbox, &["push", &name]);
        let uploads = target.take_requests().iter().filter(|r| r.method == "PATCH" || r.body > 5000).count();
        assert_eq!(uploads, 0, "what is there is not sent again");
        ask(sandbox, &["rmi", "-f", &name]);
        ask(sandbox, &["system", "prune", "-a", "-f"]);
        let pulled = ask(sandbox, &["pull", &name]);
        assert!(pulled.contains(&format!("Digest: {}", remote.digest)), "{pulled}");
        assert_eq!(pulled.lines().last(), Some(name.as_str()));
        assert_eq!(ask(sandbox, &["run", "--rm", &name]), "f");
        let pinned = format!("{}/team/app@{}", target.host(), remote.digest);
        assert_eq!(ask(sandbox, &["pull", "-q", &pinned]), pinned);
    }
}

#[test]
fn a_short_name_is_docker_hubs() {
    let Some(sandbox) = sandbox() else { return };
    let pulled = ask(&sandbox, &["pull", "busybox"]);
    assert!(pulled.contains("latest: Pulling from library/busybox"), "{pulled}");
    assert!(pulled.contains("Status: Downloaded newer image for busybox:latest"), "{pulled}");
    assert_eq!(pulled.lines().last(), Some("docker.io/library/busybox:latest"));
    let pulled = ask(&sandbox, &["pull", "busybox"]);
    assert!(pulled.contains("Status: Image is up to date for busybox:latest"), "{pulled}");
    sandbox.lathe(&["pull", "no-such-image"]).failure(1).says("no-such-image");
    sandbox.lathe(&["pull", "busybox:no-such-tag"]).failure(1).says("no-such-tag");
}

#[test]
fn logins_are_checked_kept_and_used() {
    let Some(sandbox) = sandbox() else { return };
    for access in [
        Access::Basic("me".to_owned(), "secret".to_owned()),
        Access::Bearer("me".to_owned(), "secret".to_owned()),
    ] {
        let target = FakeRegistry::start_with(access);
        let host = target.host();
        let name = format!("{host}/x:1");
        sandbox.dockerfile("FROM busybox\nENV A=1\n").build(&["-t", &name]);
        sandbox.lathe(&["push", &name]).failure(1);
        sandbox
            .lathe_reading(b"wrong\n", &["login", "-u", "me", "--password-stdin", &host])
            .failure(1);
        let login =
            sandbox.lathe_reading(b"secret\n", &["login", "-u", "me", "--password-stdin", &host]);
        assert!(login.success().stdout.contains("Login Succeeded"));
        ask(&sandbox, &["push", &name]);
        ask(&sandbox, &["logout", &host]);
        sandbox.lathe(&["push", &name]).failure(1);
    }
}

#[test]
fn faults_that_pass_are_survived() {
    let Some(sandbox) = sandbox() else { return };
    let own = FakeRegistry::start();
    let busybox = lathe_testkit::fixture::ImageFixture::busybox();
    busybox.expect("readable").expect("there is a sandbox").put(&own, "x", "1");
    own.fail("GET", "/blobs/", 1, Fault::CutBody(100_000));
    own.fail("GET", "/manifests/", 1, Fault::Reply(Reply::new(503)));
    let name = format!("{}/x:1", own.host());
    ask(&sandbox, &["pull", &name]);
    let target = FakeRegistry::start();
    let other = format!("{}/y:1", target.host());
    ask(&sandbox, &["tag", &name, &other]);
    target.fail("PATCH", "/uploads/", 1, Fault::CutRequest(50_000));
    target.fail("PUT", "/manifests/", 1, Fault::Reply(Reply::new(502)));
    ask(&sandbox, &["push", &other]);
    Image::from_registry(&target, "y", "1").expect("it is whole");
}

#[test]
fn a_base_that_is_there_is_not_asked_for_again() {
    let Some(sandbox) = sandbox() else { return };
    let own = FakeRegistry::start();
    let busybox = lathe_testkit::fixture::ImageFixture::busybox();
    busybox.expect("readable").expect("there is a sandbox").put(&own, "base", "1");
    sandbox.dockerfile(&format!("FROM {}/base:1\nRUN echo 1 > /1\n", own.host()));
    sandbox.build(&[]);
    own.take_requests();
    sandbox.build(&[]);
    assert_eq!(own.take_requests(), Vec::new());
    sandbox.build(&["--pull"]);
    let asked = own.take_requests();
    assert!(
        !asked.is_empty() && asked.iter().all(|request| !request.target.contains("/blobs/")),
        "{asked:?}"
    );
}

#[test]
fn a_build_can_push() {
    let Some(sandbox) = sandbox() else { return };
    let target = FakeRegistry::start();
    let name = format!("{}/app:1", target.host());
    sandbox.dockerfile("FROM busybox\nRUN echo 1 > /1\n");
    let image = sandbox.build(&["-t", &name, "-o", "type=registry"]).image;
    let remote = Image::from_registry(&target, "app", "1").expect("it is there");
    assert_eq!(remote.digest, image.digest);
}

#[test]
fn the_mirror_is_asked_first() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.lathe(&["pull", "-q", "library/busybox:1.35"]).success();
    assert_eq!(ask(&sandbox, &["images", "--format", "{{.Repository}}:{{.Tag}}"]), "busybox:1.35");
}
