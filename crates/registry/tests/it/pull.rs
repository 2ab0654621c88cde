//! Resolving and reading, and everything that can go wrong on the way.

use std::{io::Read, sync::Mutex};

use lathe_event::Cancel;
use lathe_oci::{Digest, MediaType, Reference};
use lathe_registry::{Client, Error, ResumingReader};
use lathe_testkit::registry::{Access, FakeRegistry, Fault, Reply};

use crate::common::{blob, bytes, client, client_with, image, reference};

/// Reads a blob to its end, over cut connections.
fn read_all(client: &Client, reference: &Reference, content: &[u8]) -> Result<Vec<u8>, String> {
    let mut reader = ResumingReader::open(client, reference, &blob(content), 0, |_| ())
        .map_err(|error| error.to_string())?;
    let mut read = Vec::new();
    reader.read_to_end(&mut read).map_err(|error| error.to_string())?;
    Ok(read)
}

/// Checks that a blob arrives whole in spite of `faults` to its requests; returns the
/// ranges that were asked for.
#[track_caller]
fn check_survives(faults: &[Fault]) -> Vec<Option<String>> {
    let registry = FakeRegistry::start();
    let content = bytes(200_000);
    registry.put_blob("a/b", &content);
    for fault in faults {
        registry.fail("GET", "/blobs/", 1, fault.clone());
    }
    let client = client("", None);
    let read = read_all(&client, &reference(&registry.host(), "a/b:1"), &content);
    assert!(read.as_ref() == Ok(&content), "{faults:?}: {:?}", read.err());
    registry.take_requests().into_iter().map(|request| request.range).collect()
}

#[test]
fn a_tag_is_resolved_by_head_alone() {
    let registry = FakeRegistry::start();
    let (_, _, manifest) = image(1);
    let digest = registry.put_manifest("a/b", "1", MediaType::OciManifest.as_str(), &manifest);
    let found = client("", None).resolve(&reference(&registry.host(), "a/b:1")).expect("resolve");
    assert_eq!((found.digest, found.size), (digest, manifest.len() as u64));
    assert_eq!(found.media_type, MediaType::OciManifest);
    let methods: Vec<_> = registry.take_requests().into_iter().map(|r| r.method).collect();
    assert_eq!(methods, ["HEAD"]);
}

#[test]
fn a_registry_whose_head_says_too_little_is_asked_by_get() {
    for fault in [
        Fault::Headers(vec![("Docker-Content-Digest".into(), String::new())]),
        Fault::Headers(vec![("Content-Type".into(), "text/plain".into())]),
        Fault::Reply(Reply::new(405)),
    ] {
        let registry = FakeRegistry::start();
        let (_, _, manifest) = image(1);
        let digest = registry.put_manifest("a/b", "1", MediaType::OciManifest.as_str(), &manifest);
        registry.fail("HEAD", "/manifests/", 1, fault);
        let found = client("", None).resolve(&reference(&registry.host(), "a/b:1"));
        assert_eq!(found.expect("resolve").digest, digest);
    }
}

/// INV-REGISTRY-VERIFIED.
#[test]
fn manifests_are_verified() {
    let registry = FakeRegistry::start();
    let (_, _, manifest) = image(1);
    let digest = registry.put_manifest("a/b", "1", MediaType::OciManifest.as_str(), &manifest);
    let client = client("", None);
    let by_tag = reference(&registry.host(), "a/b:1");
    let by_digest = by_tag.clone().with_digest(digest);
    for reference in [&by_tag, &by_digest] {
        let (descriptor, read) = client.manifest(reference).expect("manifest");
        assert!(read == manifest && descriptor.digest == digest);
    }
    for reference in [&by_tag, &by_digest] {
        registry.fail("GET", "/manifests/", 1, Fault::Body(b"{\"schemaVersion\":2}".to_vec()));
        let error = client.manifest(reference).expect_err("an error").to_string();
        assert!(error.contains("digest mismatch"), "{error}");
    }
    let wrong = by_tag.with_digest(Digest::of(b"other"));
    let manifest_of_wrong = Fault::Reply(
        Reply::new(200).header("Content-Type", MediaType::OciManifest.as_str()).body(manifest),
    );
    registry.fail("GET", "/manifests/", 1, manifest_of_wrong);
    assert!(matches!(client.manifest(&wrong), Err(Error::Document { .. })));
}

#[test]
fn a_manifest_without_end_is_not_read_to_its_end() {
    let registry = FakeRegistry::start();
    let huge = vec![b' '; 4 * 1024 * 1024 + 1];
    registry.put_manifest("a/b", "1", MediaType::OciManifest.as_str(), &huge);
    let error = client("", None).manifest(&reference(&registry.host(), "a/b:1"));
    let error = error.expect_err("an error").to_string();
    assert!(error.contains("longer than 4194304 bytes"), "{error}");
}

#[test]
fn what_is_not_there_is_said_in_the_registrys_words() {
    let registry = FakeRegistry::start();
    let host = registry.host();
    let error = client("", None).resolve(&reference(&host, "a/b:none")).expect_err("an error");
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), format!("{host}/a/b:none: {host}: manifest unknown"));
}

#[test]
fn a_cut_blob_is_resumed_where_it_was_cut() {
    let ranges = check_survives(&[Fault::CutBody(1000), Fault::CutBody(50_000)]);
    assert_eq!(ranges, [None, Some("bytes=1000-".into()), Some("bytes=51000-".into())]);
}

#[test]
fn a_registry_without_ranges_is_read_from_the_start() {
    check_survives(&[Fault::CutBody(1000), Fault::IgnoreRange]);
}

#[test]
fn moments_of_weakness_are_waited_out() {
    check_survives(&[Fault::Reply(Reply::new(500)), Fault::Reply(Reply::new(503))]);
    check_survives(&[Fault::Reply(Reply::new(429).header("Retry-After", "0"))]);
    check_survives(&[Fault::LoseReply, Fault::CutBody(7), Fault::Reply(Reply::new(502))]);
}

/// INV-REGISTRY-BOUNDED.
#[test]
fn retries_end() {
    let registry = FakeRegistry::start();
    let content = bytes(1000);
    registry.put_blob("a/b", &content);
    let client = client("", None);
    let reference = reference(&registry.host(), "a/b:1");
    registry.fail("GET", "/blobs/", 100, Fault::Reply(Reply::new(503)));
    let error = read_all(&client, &reference, &content).expect_err("an error");
    assert!(error.contains("service unavailable"), "{error}");
    assert_eq!(registry.take_requests().len(), 5);
    let registry = FakeRegistry::start();
    registry.put_blob("a/b", &content);
    registry.fail("GET", "/blobs/", 100, Fault::CutBody(0));
    let reference = crate::common::reference(&registry.host(), "a/b:1");
    let error = read_all(&client, &reference, &content).expect_err("an error");
    assert!(error.contains("the connection was cut"), "{error}");
    assert!(registry.take_requests().len() <= 6);
}

#[test]
fn a_registry_that_asks_for_a_day_of_patience_gets_an_error() {
    let registry = FakeRegistry::start();
    let reply = Reply::error(429, "TOOMANYREQUESTS", "pull rate limit");
    registry.fail("GET", "/", 9, Fault::Reply(reply.header("Retry-After", "86400")));
    registry.fail("HEAD", "/", 9, Fault::Reply(Reply::new(404)));
    let error = client("", None).resolve(&reference(&registry.host(), "a/b:1"));
    let error = error.expect_err("an error").to_string();
    assert!(error.contains("toomanyrequests: pull rate limit"), "{error}");
    assert_eq!(registry.take_requests().len(), 2);
}

#[test]
fn a_blob_of_another_length_is_refused() {
    let content = bytes(1000);
    for length in ["999", "1001"] {
        let registry = FakeRegistry::start();
        registry.put_blob("a/b", &content);
        let header = ("Content-Length".to_owned(), length.to_owned());
        registry.fail("GET", "/blobs/", 9, Fault::Headers(vec![header]));
        let error = read_all(&client("", None), &reference(&registry.host(), "a/b:1"), &content);
        let error = error.expect_err("an error");
        assert!(error.contains(&format!("has {length} bytes where 1000")), "{error}");
    }
}

#[test]
fn progress_is_told_as_offsets_and_an_offset_can_be_the_start() {
    let registry = FakeRegistry::start();
    let content = bytes(100_000);
    registry.put_blob("a/b", &content);
    let seen = Mutex::new(Vec::new());
    let client = client("", None);
    let reference = reference(&registry.host(), "a/b:1");
    let mut reader = ResumingReader::open(&client, &reference, &blob(&content), 60_000, |offset| {
        seen.lock().expect("lock").push(offset);
    })
    .expect("open");
    let mut read = Vec::new();
    reader.read_to_end(&mut read).expect("read");
    drop(reader);
    assert!(read == content[60_000..]);
    let seen = seen.into_inner().expect("lock");
    assert!(seen.is_sorted() && seen[0] > 60_000 && seen.last() == Some(&100_000), "{seen:?}");
    // Nothing is left: nothing is asked.
    registry.take_requests();
    let mut rest = client.fetch_blob(&reference, &blob(&content), 100_000).expect("open");
    assert_eq!(rest.read_to_end(&mut read).expect("read"), 0);
    assert_eq!(registry.take_requests(), []);
}

/// INV-REGISTRY-SECRETS.
#[test]
fn a_redirect_to_another_host_gets_no_credentials() {
    let access = Access::Basic("me".into(), "open sesame".into());
    let registry = FakeRegistry::start_with(access);
    let cdn = FakeRegistry::start();
    let content = bytes(1000);
    let digest = cdn.put_blob("cdn", &content);
    let location = format!("http://{}/v2/cdn/blobs/{digest}?signature=s3cret", cdn.host());
    let redirect = Reply::new(307).header("Location", &location);
    let host = registry.host();
    // Plain HTTP is said, so that the first request is the one to be redirected.
    let config = format!("[registry.\"{host}\"]\nplain-http = true\n");
    let client = client(&config, Some((&host, "me", "open sesame")));
    registry.fail(
        "HEAD",
        "/",
        1,
        Fault::Reply(Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\"")),
    );
    let reference = reference(&host, "a/b:1");
    assert!(!client.blob_exists(&reference, &blob(&content)).expect("head"));
    registry.fail("GET", "/blobs/", 1, Fault::Reply(redirect));
    assert_eq!(read_all(&client, &reference, &content).expect("read"), content);
    assert!(registry.take_requests().last().expect("a request").authorization.is_some());
    let requests = cdn.take_requests();
    assert!(!requests.is_empty() && requests.iter().all(|r| r.authorization.is_none()));
}

#[test]
fn neither_odd_nor_endless_redirects_are_followed() {
    let registry = FakeRegistry::start();
    let reference = reference(&registry.host(), "a/b:1");
    let client = client("", None);
    let redirect = |to: &str| Fault::Reply(Reply::new(302).header("Location", to));
    registry.fail("GET", "/manifests/", 1, redirect("file:///etc/passwd"));
    let error = client.manifest(&reference).expect_err("an error").to_string();
    assert!(error.contains("no http(s) URL"), "{error}");
    registry.fail("GET", "/manifests/", 99, redirect("/v2/a/b/manifests/1"));
    let error = client.manifest(&reference).expect_err("an error").to_string();
    assert!(error.contains("redirects more than 10 times"), "{error}");
}

#[test]
fn mirrors_are_asked_first_and_the_registry_last() {
    let (mirror, registry) = (FakeRegistry::start(), FakeRegistry::start());
    let (_, _, manifest) = image(1);
    let media_type = MediaType::OciManifest.as_str();
    mirror.put_manifest("cache/a/b", "1", media_type, &manifest);
    registry.put_manifest("a/b", "2", media_type, &manifest);
    // The first mirror is not there at all.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let gone = closed.local_addr().expect("address");
    drop(closed);
    let config = format!(
        "[registry.\"{}\"]\nmirrors = [{{ location = \"{gone}\", plain-http = true }}, \
         {{ location = \"{}/cache\", plain-http = true }}]\n",
        registry.host(),
        mirror.host()
    );
    let client = client(&config, None);
    client.manifest(&reference(&registry.host(), "a/b:1")).expect("from the mirror");
    assert_eq!(registry.take_requests(), []);
    client.manifest(&reference(&registry.host(), "a/b:2")).expect("from the registry");
    let error = client.manifest(&reference(&registry.host(), "a/b:3")).expect_err("an error");
    assert!(error.is_not_found());
    let text = error.to_string();
    assert!(text.contains("mirrors tried first") && text.contains("out of reach"), "{text}");
}

#[test]
fn a_mirror_stands_in_for_docker_hub() {
    let mirror = FakeRegistry::start();
    let (_, _, manifest) = image(1);
    mirror.put_manifest("library/node", "18", MediaType::OciManifest.as_str(), &manifest);
    let location = mirror.host();
    let config = format!("[registry.\"docker.io\"]\nmirrors = [{{ location = \"{location}\" }}]\n");
    let reference = Reference::parse("node:18").expect("reference");
    client(&config, None).resolve(&reference).expect("from the mirror");
}

#[test]
fn a_blocked_registry_is_not_asked() {
    let registry = FakeRegistry::start();
    let config = format!("[registry.\"{}\"]\nblocked = true\n", registry.host());
    let error = client(&config, None).resolve(&reference(&registry.host(), "a/b:1"));
    assert!(matches!(error, Err(Error::Blocked { .. })));
    let error = client(&config, None).check_login(&registry.host(), "me", "secret");
    assert!(matches!(error, Err(Error::Blocked { .. })));
    assert_eq!(registry.take_requests(), []);
}

#[test]
fn a_canceled_read_returns_though_the_registry_says_nothing() {
    let registry = FakeRegistry::start();
    let content = bytes(1000);
    registry.put_blob("a/b", &content);
    registry.fail("GET", "/blobs/", 1, Fault::Stall);
    let cancel = Cancel::new();
    let client = client_with("", None, cancel.clone());
    let reference = reference(&registry.host(), "a/b:1");
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| client.fetch_blob(&reference, &blob(&content), 0));
        // The request is recorded before the registry stalls.
        while registry.take_requests().is_empty() {
            std::thread::yield_now();
        }
        cancel.cancel();
        assert!(matches!(reading.join().expect("thread"), Err(Error::Canceled)));
    });
    assert!(matches!(client.resolve(&reference), Err(Error::Canceled)));
}

#[test]
fn tags_are_listed_over_pages() {
    let registry = FakeRegistry::start();
    for tag in ["1", "2"] {
        registry.put_manifest("a/b", tag, MediaType::OciManifest.as_str(), b"{}");
    }
    let next = "</v2/a/b/tags/list?last=2>; rel=\"next\"".to_owned();
    registry.fail("GET", "/tags/list", 1, Fault::Headers(vec![("Link".into(), next)]));
    let tags = client("", None).tags(&reference(&registry.host(), "a/b")).expect("tags");
    assert_eq!(tags, ["1", "2", "1", "2"]);
}

#[test]
fn a_host_that_does_not_answer_is_named() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let host = closed.local_addr().expect("address").to_string();
    drop(closed);
    let error = client("", None).resolve(&reference(&host, "a/b:1")).expect_err("an error");
    assert_eq!(error.to_string(), format!("{host}/a/b:1: {host}: connection refused"));
}
