//! `ADD https://…`, and contexts that are a file of a web server.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use lathe_graph::HttpSource;
use lathe_oci::Digest;
use lathe_source::{Download, Error};
use lathe_testkit::fixture::{Entry, archive, gzip};

use crate::common::{Place, Request, Server, can_own, reply};

const DATES: &str =
    "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nDate: Mon, 07 Nov 1994 08:49:37 GMT\r\n";

fn source(url: &str, name: &str) -> HttpSource {
    HttpSource { url: url.to_owned(), name: name.to_owned(), checksum: None }
}

/// Serves a text with an `ETag`, and answers 304 to whoever has it.
fn with_etag(text: &'static str) -> Server {
    Server::start(move |request| match request.header("if-none-match") {
        "\"1\"" => reply(304, "", b""),
        _ => reply(200, &format!("ETag: \"1\"\r\n{DATES}"), text.as_bytes()),
    })
}

#[test]
fn a_download_is_a_file_of_root_with_the_servers_time() {
    if !can_own("a_download_is_a_file_of_root_with_the_servers_time") {
        return;
    }
    let (place, server) = (Place::new(), with_etag("hello"));
    let fetched = place.remotes.http(&source(&server.url("/a/b.txt"), "b.txt"), None).unwrap();
    assert_eq!(place.list(&fetched), ["b.txt 600 784111777 hello"]);
    assert_eq!(fetched.time, Some(784_111_777));
    assert_eq!(fetched.revision, Some(Digest::of(b"hello").to_string()));
}

#[test]
fn without_a_time_of_the_server_it_is_1970() {
    if !can_own("without_a_time_of_the_server_it_is_1970") {
        return;
    }
    let (place, server) = (Place::new(), Server::start(|_| reply(200, "", b"x")));
    let fetched = place.remotes.http(&source(&server.url("/x"), "x"), None).unwrap();
    assert_eq!(place.list(&fetched), ["x 600 0 x"]);
    assert_eq!(fetched.time, None);
}

#[test]
fn what_has_not_changed_is_asked_for_and_not_brought_again() {
    if !can_own("what_has_not_changed_is_asked_for_and_not_brought_again") {
        return;
    }
    let (place, server) = (Place::new(), with_etag("hello"));
    let source = source(&server.url("/x"), "x");
    let first = place.remotes.http(&source, None).unwrap();
    let second = place.remotes.http(&source, None).unwrap();
    assert_eq!(first, second);
    let asked: Vec<Request> = server.take();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].header("if-none-match"), "\"1\"");
    place.store().remove_snapshot(first.snapshot).unwrap();
    let third = place.remotes.http(&source, None).unwrap();
    assert_ne!(first.snapshot, third.snapshot, "a pruned snapshot is made again");
    assert_eq!(server.take()[0].header("if-none-match"), "", "nothing is here");
}

#[test]
fn a_time_that_is_settled_is_asked_with_where_there_is_no_etag() {
    if !can_own("a_time_that_is_settled_is_asked_with_where_there_is_no_etag") {
        return;
    }
    for (date, expected) in [("Mon, 07", "Sun, 06 Nov 1994 08:49:37 GMT"), ("Sun, 06", "")] {
        let headers = format!(
            "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nDate: {date} Nov 1994 08:49:50 GMT\r\n"
        );
        let server = Server::start(move |_| reply(200, &headers, b"x"));
        let place = Place::new();
        let source = source(&server.url("/x"), "x");
        let first = place.remotes.http(&source, None).unwrap();
        let second = place.remotes.http(&source, None).unwrap();
        assert_eq!(server.take()[1].header("if-modified-since"), expected);
        assert_eq!(first, second, "the same file is the same snapshot");
        assert_eq!(place.snapshots(), 1);
    }
}

#[test]
fn a_changed_file_is_another_snapshot() {
    if !can_own("a_changed_file_is_another_snapshot") {
        return;
    }
    let count = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed).to_string();
        reply(200, &format!("ETag: \"{number}\"\r\n"), number.as_bytes())
    });
    let place = Place::new();
    let source = source(&server.url("/x"), "x");
    let first = place.remotes.http(&source, None).unwrap();
    let second = place.remotes.http(&source, None).unwrap();
    assert_eq!(place.list(&first), ["x 600 0 0"]);
    assert_eq!(place.list(&second), ["x 600 0 1"]);
}

#[test]
fn a_right_checksum_needs_no_network_the_second_time() {
    if !can_own("a_right_checksum_needs_no_network_the_second_time") {
        return;
    }
    let (place, server) = (Place::new(), with_etag("hello"));
    for checksum in [
        Digest::of(b"hello").to_string(),
        "sha512:9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca7\
         2323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043"
            .to_owned(),
    ] {
        let checksum = Some(checksum.parse().unwrap());
        let source = HttpSource { checksum, ..source(&server.url("/x"), "x") };
        let first = place.remotes.http(&source, None).unwrap();
        assert_eq!(server.take().len(), 1);
        assert_eq!(place.remotes.http(&source, None).unwrap(), first);
        assert!(server.take().is_empty());
    }
}

#[test]
fn a_wrong_checksum_names_both_and_leaves_nothing() {
    let (place, server) = (Place::new(), with_etag("hello"));
    let wanted = Digest::of(b"other");
    let url = server.url("/x?token=secret");
    let source = HttpSource { checksum: Some(wanted), ..source(&url, "x") };
    let error = place.remotes.http(&source, None).unwrap_err().to_string();
    let got = Digest::of(b"hello");
    let shown = server.url("/x");
    assert_eq!(error, format!("{shown} has the digest {got}, but {wanted} is wanted"));
    assert_eq!(place.snapshots(), 0);
}

#[test]
fn half_a_download_leaves_nothing() {
    let server = Server::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345".to_vec());
    let place = Place::new();
    let error = place.remotes.http(&source(&server.url("/x"), "x"), None).unwrap_err();
    assert!(error.to_string().contains("the connection was cut"), "{error}");
    assert_eq!(place.snapshots(), 0);
}

#[test]
fn a_file_larger_than_the_disk_is_refused_before_it_comes() {
    let server = Server::start(|_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n1".to_vec()
    });
    let place = Place::new();
    let error = place.remotes.http(&source(&server.url("/x"), "x"), None).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
    assert_eq!(place.snapshots(), 0);
}

#[test]
fn a_canceled_download_is_an_interruption_and_leaves_nothing() {
    let place = Place::new();
    let cancel = place.cancel.clone();
    let server = Server::start(move |_| {
        cancel.cancel();
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345".to_vec()
    });
    let error = place.remotes.http(&source(&server.url("/x"), "x"), None).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert_eq!(place.snapshots(), 0);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let (place, server) = (Place::new(), with_etag("x"));
    for name in ["..", "a/b", "../x", "a\nb"] {
        let error = place.remotes.http(&source(&server.url("/x"), name), None).unwrap_err();
        assert!(matches!(error, Error::FileName(_)), "{name}: {error}");
    }
    assert!(server.take().is_empty());
}

#[test]
fn secrets_go_to_their_host_and_into_no_error() {
    let check = |id: &str, value: &str, expected: &str| {
        let place = Place::with_secrets(&[(id, value)]);
        let other = Server::start(|_| reply(404, "", b""));
        let location = other.url("/there").replace("127.0.0.1", "localhost");
        let server = Server::start(move |_| reply(302, &format!("Location: {location}\r\n"), b""));
        let error = place.remotes.http(&source(&server.url("/x"), "x"), None).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(server.take()[0].header("authorization"), expected);
        assert_eq!(other.take()[0].header("authorization"), "");
    };
    check("HTTP_AUTH_TOKEN_127.0.0.1", "secret\n", "Bearer secret");
    check("HTTP_AUTH_HEADER_127.0.0.1", "Basic secret", "Basic secret");
    check("HTTP_AUTH_TOKEN_localhost", "secret", "");
}

#[test]
fn a_refusal_says_how_to_send_a_token() {
    let (place, server) = (Place::new(), Server::start(|_| reply(401, "", b"")));
    let error = place.remotes.http(&source(&server.url("/x"), "x"), None).unwrap_err().to_string();
    assert!(error.contains("authentication required"), "{error}");
    assert!(error.contains("HTTP_AUTH_TOKEN_127.0.0.1"), "{error}");
}

#[test]
fn a_context_is_an_archive_or_a_dockerfile() {
    if !can_own("a_context_is_an_archive_or_a_dockerfile") {
        return;
    }
    let tar = archive(&[Entry::file("Dockerfile", "FROM scratch\n").mode(0o640)]);
    let zipped = gzip(&tar);
    let server = Server::start(move |request| match request.path.as_str() {
        "/tar" => reply(200, DATES, &tar),
        "/gzip" => reply(200, DATES, &zipped),
        "/text" => reply(200, DATES, b"FROM scratch\n"),
        "/no-tar" => reply(200, DATES, &gzip(b"FROM scratch\n")),
        _ => reply(404, "", b""),
    });
    let place = Place::new();
    for path in ["/tar", "/gzip"] {
        let source = source(&server.url(path), "x");
        let context = place.remotes.http_context(&source).unwrap();
        let Download::Archive(fetched) = &context else { panic!("{path}: {context:?}") };
        assert_eq!(place.names(fetched), ["Dockerfile"]);
        assert_eq!(fetched.time, Some(784_111_777));
        assert_eq!(place.remotes.http_context(&source).unwrap(), context, "unpacked once");
    }
    let context = place.remotes.http_context(&source(&server.url("/text"), "x")).unwrap();
    assert_eq!(context, Download::Text(b"FROM scratch\n".to_vec()));
    let error = place.remotes.http_context(&source(&server.url("/no-tar"), "x")).unwrap_err();
    assert!(matches!(error, Error::NoArchive(_)), "{error}");
}

#[test]
fn a_server_that_claims_that_nothing_changed_is_not_believed_by_whoever_has_nothing() {
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let server = Server::start(move |_| {
        seen.store(true, Ordering::Relaxed);
        reply(304, "", b"")
    });
    let place = Place::new();
    assert!(place.remotes.http(&source(&server.url("/x"), "x"), None).is_err());
    assert!(asked.load(Ordering::Relaxed));
}
