//! Git repositories over HTTP: git's own server program behind a small web server, a plain folder
//! of files, and servers that refuse.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
};

use lathe_graph::GitSource;
use lathe_source::Error;

use crate::{
    common::{FIRST, Origin, Place, Request, Server, can_own, has_git, reply},
    git::source,
};

/// `x-access-token:sesame`
const TOKEN: &str = "basic eC1hY2Nlc3MtdG9rZW46c2VzYW1l";

/// Answers as `git http-backend` does for the repositories in a folder.
fn backend(folder: &Path, request: &Request) -> Vec<u8> {
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("REQUEST_METHOD", &request.method)
        .env("CONTENT_TYPE", request.header("content-type"))
        .env("HTTP_CONTENT_ENCODING", request.header("content-encoding"))
        .env("GIT_PROTOCOL", request.header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git runs");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(&request.body).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends").stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&output[..end + 2]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")?.get(..3));
    let status = status.and_then(|status| status.parse().ok()).unwrap_or(200);
    reply(status, &head, &output[end + 4..])
}

/// A repository with one commit, below a folder that a server shows.
fn origin(place: &Place, name: &str) -> (PathBuf, Origin) {
    let folder = place.path("srv");
    let origin = Origin::new(folder.join(name));
    origin.write("a.txt", "1\n");
    origin.commit(FIRST);
    (folder, origin)
}

fn ready(test: &str) -> bool {
    has_git(test) && can_own(test)
}

#[test]
fn a_repository_of_a_web_server_is_fetched() {
    if !ready("a_repository_of_a_web_server_is_fetched") {
        return;
    }
    let place = Place::new();
    let (folder, origin) = origin(&place, "x.git");
    let server = Server::start(move |request| backend(&folder, request));
    let fetched = place.remotes.git(&source(&server.url("/x.git/.git")), None).unwrap();
    assert_eq!(place.list(&fetched), [format!("a.txt 644 {FIRST} 1\\n")]);
    server.take();
    assert_eq!(place.remotes.git(&source(&server.url("/x.git/.git")), None).unwrap(), fetched);
    let asked = server.take();
    assert!(asked.iter().all(|request| request.path.ends_with("/info/refs")
        || request.header("content-length").parse::<usize>().unwrap_or(0) < 400));
    assert_eq!(fetched.revision, Some(origin.git(&["rev-parse", "HEAD"])));
}

#[test]
fn a_plain_folder_of_files_is_a_repository_too() {
    if !ready("a_plain_folder_of_files_is_a_repository_too") {
        return;
    }
    let place = Place::new();
    let (folder, origin) = origin(&place, "x");
    let first = origin.git(&["rev-parse", "HEAD"]);
    origin.write("a.txt", "2\n");
    origin.commit(FIRST + 1);
    origin.git(&["update-server-info"]);
    let server = Server::start(move |request| {
        match std::fs::read(folder.join(request.path.trim_start_matches('/'))) {
            Ok(bytes) => reply(200, "", &bytes),
            Err(_) => reply(404, "", b""),
        }
    });
    let url = server.url("/x/.git");
    let fetched = place.remotes.git(&source(&url), None).unwrap();
    assert_eq!(place.list(&fetched), [format!("a.txt 644 {} 2\\n", FIRST + 1)]);
    let reference = lathe_graph::GitReference::Any(first.clone());
    let old = GitSource { reference, ..source(&url) };
    assert_eq!(place.remotes.git(&old, None).unwrap().revision, Some(first));
}

#[test]
fn secrets_go_to_their_host_only_and_onto_no_command_line() {
    if !ready("secrets_go_to_their_host_only_and_onto_no_command_line") {
        return;
    }
    let check = |secrets: &[(&str, &str)], user: &str, expected: &str| {
        let place = Place::with_secrets(secrets);
        let (folder, main) = origin(&place, "main");
        let (_, inner) = origin(&place, "inner");
        let inner_folder = inner.folder.parent().unwrap().to_owned();
        let other = Server::start(move |request| backend(&inner_folder, request));
        // A submodule of another host, whose name differs.
        let elsewhere = other.url("/inner/.git").replace("127.0.0.1", "localhost");
        main.git(&["submodule", "--quiet", "add", &inner.url(), "inner"]);
        main.git(&["config", "--file=.gitmodules", "submodule.inner.url", &elsewhere]);
        main.commit(FIRST);
        let wanted = expected.to_owned();
        let server = Server::start(move |request| {
            if request.header("authorization") == wanted {
                backend(&folder, request)
            } else {
                reply(401, "WWW-Authenticate: Basic realm=x\r\n", b"")
            }
        });
        let secrets_of_server = server.host.clone();
        let url = format!("http://{user}{secrets_of_server}/main/.git");
        let fetched = match place.remotes.git(&source(&url), None) {
            Ok(fetched) => fetched,
            Err(error) => panic!("{secrets:?}: {error}"),
        };
        assert_eq!(place.names(&fetched), [".gitmodules", "a.txt", "inner/a.txt"]);
        assert!(server.take().iter().all(|request| request.header("authorization") == expected));
        let others = other.take();
        assert!(!others.is_empty());
        assert!(others.iter().all(|request| request.header("authorization").is_empty()));
        // Nothing of it is kept, either.
        let config = GitSource { keep_git_dir: true, ..source(&url) };
        let kept = place.remotes.git(&config, None).unwrap();
        let text = std::fs::read_to_string(place.tree(kept.snapshot).join(".git/config")).unwrap();
        assert!(text.contains(&format!("http://{secrets_of_server}/main")), "{text}");
        assert!(!text.contains("sesame") && !text.contains("eC1h"), "{text}");
    };
    check(&[("GIT_AUTH_TOKEN", "sesame\n")], "", TOKEN);
    check(&[("GIT_AUTH_HEADER", "Bearer sesame")], "", "Bearer sesame");
    check(&[], "x-access-token:sesame@", &TOKEN.replace("basic", "Basic"));
}

#[test]
fn a_secret_with_a_host_is_for_that_host() {
    if !ready("a_secret_with_a_host_is_for_that_host") {
        return;
    }
    let server = Server::start(|_| reply(404, "", b""));
    let id = format!("GIT_AUTH_HEADER.{}", server.host);
    let secrets = [(id.as_str(), "Bearer own"), ("GIT_AUTH_TOKEN", "general")];
    let place = Place::with_secrets(&secrets);
    assert!(place.remotes.git(&source(&server.url("/x.git")), None).is_err());
    assert_eq!(server.take()[0].header("authorization"), "Bearer own");
}

#[test]
fn refusals_are_told_without_secrets() {
    if !ready("refusals_are_told_without_secrets") {
        return;
    }
    let check = |status: u16, headers: &'static str, secret: Option<&str>, expected: &str| {
        let secrets: Vec<_> = secret.map(|value| ("GIT_AUTH_TOKEN", value)).into_iter().collect();
        let place = Place::with_secrets(&secrets);
        let server = Server::start(move |_| reply(status, headers, b""));
        let url = format!("http://me:hunter2@{}/x.git", server.host);
        let error = place.remotes.git(&source(&url), None).unwrap_err();
        assert!(matches!(error, Error::Git { .. }), "{error}");
        let text = error.to_string();
        let shown = server.url("/x.git");
        assert!(text.starts_with(&format!("cannot read the references of {shown}: ")), "{text}");
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("sesame"), "{text}");
        assert_eq!(place.snapshots(), 0);
    };
    check(404, "", None, "not found");
    check(401, "WWW-Authenticate: Basic realm=x\r\n", Some("sesame"), "GIT_AUTH_TOKEN");
    check(403, "", None, "403");
    check(500, "", None, "500");
    check(302, "Location: http://127.0.0.1:1/\r\n", Some("sesame"), "redirects are not followed");
}

#[test]
fn a_canceled_build_ends_a_git_that_waits() {
    if !ready("a_canceled_build_ends_a_git_that_waits") {
        return;
    }
    let place = Place::new();
    let (sender, receiver) = mpsc::channel::<()>();
    let cancel = place.cancel.clone();
    let waiting = std::sync::Mutex::new(receiver);
    let server = Server::start(move |_| {
        cancel.cancel();
        // Says nothing for as long as the test runs.
        let _end = waiting.lock().unwrap().recv();
        Vec::new()
    });
    let error = place.remotes.git(&source(&server.url("/x.git")), None).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    drop(sender);
}

#[test]
fn a_submodule_of_a_web_server_cannot_be_a_folder_of_this_machine() {
    if !ready("a_submodule_of_a_web_server_cannot_be_a_folder_of_this_machine") {
        return;
    }
    let place = Place::new();
    let (folder, main) = origin(&place, "main");
    let (_, inner) = origin(&place, "inner");
    main.git(&["submodule", "--quiet", "add", &inner.url(), "inner"]);
    main.commit(FIRST);
    let server = Server::start(move |request| backend(&folder, request));
    let error = place.remotes.git(&source(&server.url("/main/.git")), None).unwrap_err();
    assert!(matches!(error, Error::Submodule { .. }), "{error}");
    assert!(error.to_string().contains("cannot be a folder of this machine"), "{error}");
}
