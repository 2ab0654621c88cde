//! Uploads, and everything that can go wrong on the way.

use std::sync::atomic::{AtomicU64, Ordering};

use lathe_oci::MediaType;
use lathe_registry::{Client, Error, Pushed};
use lathe_testkit::registry::{Access, FakeRegistry, Fault, Reply};

use crate::common::{blob, bytes, client, image, reference};

fn push(client: &Client, registry: &FakeRegistry, content: &Vec<u8>) -> Result<Pushed, Error> {
    let reference = reference(&registry.host(), "a/b:1");
    client.push_blob(&reference, &blob(content), content, None, &|_| ())
}

/// Checks that a blob gets there in spite of faults; returns method and body length of
/// the requests.
#[track_caller]
fn check_survives(length: usize, faults: &[(&str, &str, Fault)]) -> Vec<(String, usize)> {
    let registry = FakeRegistry::start();
    let content = bytes(length);
    for (method, part, fault) in faults {
        registry.fail(method, part, 1, fault.clone());
    }
    let pushed = push(&client("", None), &registry, &content);
    assert!(matches!(pushed, Ok(Pushed::Uploaded)), "{faults:?}: {pushed:?}");
    assert_eq!(registry.blob("a/b", &blob(&content).digest), Some(content));
    registry.take_requests().into_iter().map(|r| (r.method, r.body)).collect()
}

fn methods(requests: &[(String, usize)]) -> Vec<&str> {
    requests.iter().map(|(method, _)| method.as_str()).collect()
}

#[test]
fn an_image_is_pushed_and_pushed_again_for_little() {
    let registry = FakeRegistry::start();
    let (config, layer, manifest) = image(1);
    let client = client("", None);
    let target = reference(&registry.host(), "a/b:1");
    for content in [&config, &layer] {
        assert_eq!(push(&client, &registry, content).expect("push"), Pushed::Uploaded);
    }
    let pushed = client.push_manifest(&target, &MediaType::OciManifest, &manifest).expect("push");
    assert_eq!(registry.manifest("a/b", "1").expect("manifest").1, manifest);
    assert_eq!(client.resolve(&target).expect("resolve"), pushed);
    registry.take_requests();
    assert_eq!(push(&client, &registry, &layer).expect("push"), Pushed::AlreadyThere);
    assert_eq!(registry.take_requests().len(), 1);
}

#[test]
fn a_blob_takes_three_requests_and_an_empty_one_works() {
    assert_eq!(methods(&check_survives(5_000_000, &[])), ["HEAD", "POST", "PUT"]);
    check_survives(0, &[]);
    check_survives(1, &[]);
}

#[test]
fn a_cut_upload_goes_on_where_the_registry_stopped() {
    let requests = check_survives(3_000_000, &[("PUT", "/uploads/", Fault::CutRequest(1_000_000))]);
    assert_eq!(methods(&requests), ["HEAD", "POST", "PUT", "GET", "PATCH", "PUT"]);
    assert_eq!(requests[4].1, 2_000_000);
}

#[test]
fn an_upload_that_the_registry_forgot_starts_anew() {
    let faults = [
        ("PUT", "/uploads/", Fault::CutRequest(1_000_000)),
        ("GET", "/uploads/", Fault::Reply(Reply::new(404))),
    ];
    let requests = check_survives(3_000_000, &faults);
    assert_eq!(requests.last().map(|r| r.1), Some(3_000_000));
}

#[test]
fn an_upload_that_cannot_be_resumed_after_all_starts_anew() {
    let wrong = Reply::error(400, "BLOB_UPLOAD_INVALID", "upload resumed at wrong offset");
    let faults = [
        ("PUT", "/uploads/", Fault::CutRequest(1_000_000)),
        ("PATCH", "/uploads/", Fault::Reply(wrong)),
    ];
    let requests = check_survives(3_000_000, &faults);
    assert_eq!(requests.last().map(|r| r.1), Some(3_000_000));
}

#[test]
fn a_blob_whose_last_answer_was_lost_is_not_sent_again() {
    let requests = check_survives(1_000_000, &[("PUT", "/uploads/", Fault::LoseReply)]);
    assert_eq!(methods(&requests), ["HEAD", "POST", "PUT", "GET", "HEAD"]);
}

#[test]
fn a_registry_that_takes_no_large_put_gets_chunks() {
    let requests =
        check_survives(40_000_000, &[("PUT", "/uploads/", Fault::Reply(Reply::new(413)))]);
    let chunks: Vec<_> = requests.iter().filter(|r| r.0 == "PATCH").map(|r| r.1).collect();
    assert_eq!(chunks, [16_777_216, 16_777_216, 6_445_568]);
}

#[test]
fn a_registry_that_wants_large_chunks_gets_them() {
    let least = ("OCI-Chunk-Min-Length".to_owned(), "20000000".to_owned());
    let faults = [
        ("PUT", "/uploads/", Fault::Reply(Reply::new(405))),
        ("POST", "/uploads/", Fault::Headers(vec![least.clone()])),
        ("POST", "/uploads/", Fault::Headers(vec![least])),
    ];
    let requests = check_survives(30_000_000, &faults);
    let chunks: Vec<_> = requests.iter().filter(|r| r.0 == "PATCH").map(|r| r.1).collect();
    assert_eq!(chunks, [20_000_000, 10_000_000]);
}

#[test]
fn moments_of_weakness_are_waited_out() {
    check_survives(1000, &[("POST", "/uploads/", Fault::Reply(Reply::new(500)))]);
    check_survives(1000, &[("PUT", "/uploads/", Fault::Reply(Reply::new(503)))]);
    let busy = Reply::new(429).header("Retry-After", "0");
    check_survives(1000, &[("PUT", "/uploads/", Fault::Reply(busy))]);
}

#[test]
fn retries_end() {
    let registry = FakeRegistry::start();
    registry.fail("PUT", "/uploads/", 99, Fault::Reply(Reply::new(500)));
    let error = push(&client("", None), &registry, &bytes(1000)).expect_err("an error");
    assert!(error.to_string().contains("internal server error"), "{error}");
    let puts = registry.take_requests().iter().filter(|r| r.method == "PUT").count();
    assert_eq!(puts, 5);
}

#[test]
fn a_token_that_runs_out_in_the_middle_of_a_push_is_replaced() {
    let access = Access::Bearer("me".to_owned(), "open sesame".to_owned());
    for method in ["HEAD", "POST", "PUT"] {
        let registry = FakeRegistry::start_with(access.clone());
        let host = registry.host();
        let client = client("", Some((&host, "me", "open sesame")));
        registry.fail(method, "/blobs/", 1, Fault::ExpireTokens);
        let content = bytes(2_000_000);
        assert_eq!(push(&client, &registry, &content).expect(method), Pushed::Uploaded);
        assert_eq!(registry.blob("a/b", &blob(&content).digest), Some(content));
    }
}

#[test]
fn who_may_only_pull_hears_it() {
    let access = Access::Bearer("me".to_owned(), "open sesame".to_owned());
    let registry = FakeRegistry::start_with(access);
    let error = push(&client("", None), &registry, &bytes(10)).expect_err("an error");
    assert!(error.is_denied() && error.to_string().contains("lathe login"), "{error}");
}

#[test]
fn a_blob_is_mounted_from_another_repository() {
    let access = Access::Bearer("me".to_owned(), "open sesame".to_owned());
    let registry = FakeRegistry::start_with(access);
    let host = registry.host();
    let client = client("", Some((&host, "me", "open sesame")));
    let content = bytes(1000);
    let digest = registry.put_blob("base/os", &content);
    let (target, from) = (reference(&host, "a/b:1"), reference(&host, "base/os:1"));
    let descriptor = blob(&content);
    let pushed = client.push_blob(&target, &descriptor, &content, Some(&from), &|_| ());
    assert_eq!(pushed.expect("push"), Pushed::Mounted);
    assert!(registry.blob("a/b", &digest).is_some());
    let scoped = registry.take_requests().into_iter().any(|r| {
        r.target.contains("repository%3Aa/b%3Apull%2Cpush")
            && r.target.contains("repository%3Abase/os%3Apull")
    });
    assert!(scoped, "one token for both repositories");
    let third = reference(&host, "c:1");
    assert!(client.mount_blob(&third, &descriptor, &from).expect("mount"));
    let other = blob(b"other");
    assert!(!client.mount_blob(&third, &other, &from).expect("mount"));
}

#[test]
fn a_blob_that_cannot_be_mounted_is_sent() {
    let content = bytes(1000);
    for refusal in [None, Some(403), Some(405)] {
        let registry = FakeRegistry::start();
        if let Some(status) = refusal {
            registry.fail("POST", "mount=", 1, Fault::Reply(Reply::new(status)));
        }
        let from = reference(&registry.host(), "base/os:1");
        let target = reference(&registry.host(), "a/b:1");
        let pushed =
            client("", None).push_blob(&target, &blob(&content), &content, Some(&from), &|_| ());
        assert_eq!(pushed.expect("push"), Pushed::Uploaded);
        assert!(registry.blob("a/b", &blob(&content).digest).is_some());
    }
}

#[test]
fn uploads_to_another_host_get_no_credentials() {
    let access = Access::Basic("me".to_owned(), "open sesame".to_owned());
    let (registry, storage) = (FakeRegistry::start_with(access), FakeRegistry::start());
    let host = registry.host();
    let client = client("", Some((&host, "me", "open sesame")));
    // The storage's own session, which the registry hands out.
    let content = bytes(1000);
    storage.fail("PUT", "/elsewhere", 1, Fault::Reply(Reply::new(201)));
    let location = format!("http://{}/elsewhere?sig=1", storage.host());
    let started = Reply::new(202).header("Location", &location);
    assert!(!client.blob_exists(&reference(&host, "a/b:1"), &blob(&content)).expect("head"));
    registry.fail("POST", "/uploads/", 1, Fault::Reply(started));
    push(&client, &registry, &content).expect("push");
    let requests = storage.take_requests();
    assert!(requests.iter().all(|r| r.authorization.is_none()));
    let sent = requests.last().expect("a request");
    assert!(sent.target.starts_with("/elsewhere?sig=1&digest=sha256%3A") && sent.body == 1000);
}

#[test]
fn a_file_that_ends_early_is_the_files_error() {
    let registry = FakeRegistry::start();
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("blob");
    std::fs::write(&path, bytes(500)).expect("file");
    let target = reference(&registry.host(), "a/b:1");
    let error = client("", None).push_blob(&target, &blob(&bytes(1000)), &path, None, &|_| ());
    assert!(matches!(error, Err(Error::Content { .. })), "{error:?}");
}

#[test]
fn an_open_file_is_pushed_with_progress() {
    let registry = FakeRegistry::start();
    let content = bytes(700_000);
    let mut file = tempfile::tempfile().expect("file");
    std::io::Write::write_all(&mut file, &content).expect("write");
    let (target, last) = (reference(&registry.host(), "a/b:1"), AtomicU64::new(0));
    let progress = |sent| last.store(sent, Ordering::Relaxed);
    client("", None).push_blob(&target, &blob(&content), &file, None, &progress).expect("push");
    assert_eq!(last.into_inner(), 700_000);
    assert_eq!(registry.blob("a/b", &blob(&content).digest), Some(content));
}

#[test]
fn a_manifest_that_the_registry_misread_is_an_error() {
    let registry = FakeRegistry::start();
    let other = lathe_oci::Digest::of(b"other").to_string();
    let header = ("Docker-Content-Digest".to_owned(), other);
    registry.fail("PUT", "/manifests/", 1, Fault::Headers(vec![header]));
    let target = reference(&registry.host(), "a/b:1");
    let error = client("", None).push_manifest(&target, &MediaType::OciIndex, b"{}");
    assert!(matches!(error, Err(Error::Protocol { .. })), "{error:?}");
}

#[test]
fn a_manifest_without_its_blobs_is_refused_in_the_registrys_words() {
    let registry = FakeRegistry::start();
    let (_, _, manifest) = image(1);
    let target = reference(&registry.host(), "a/b:1");
    let error = client("", None).push_manifest(&target, &MediaType::OciManifest, &manifest);
    let error = error.expect_err("an error").to_string();
    assert!(error.contains("manifest blob unknown: sha256:"), "{error}");
}
