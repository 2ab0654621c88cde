//! A web server on loopback for `ADD` and remote contexts: files, refusals, redirects, git repositories.
//!
//! `README.md` of the cases lists what there is. One thread for each connection, no TLS, and each connection is
//! closed after its answer.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result};

use super::archive;
use super::place::Placed;
use super::world::git;

/// The program with which git serves repositories over HTTP.
pub(super) const GIT_BACKEND: &str = "/usr/lib/git-core/git-http-backend";

/// The date of all files: 2015-10-21, which is 1445412480.
const DATE: &str = "Wed, 21 Oct 2015 07:28:00 GMT";

/// The server; it ends with the process.
#[derive(Debug)]
pub(super) struct Web {
    address: SocketAddr,
}

/// A request.
#[derive(Debug)]
struct Request {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Web {
    /// Serves a folder: `git/` in it are repositories, `c/` are files of cases.
    pub(super) fn start(folder: PathBuf) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen on loopback")?;
        let address = listener.local_addr().context("listen on loopback")?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let folder = folder.clone();
                // A client that goes away is no trouble of the server.
                thread::spawn(move || drop(serve(&folder, stream)));
            }
        });
        Ok(Self { address })
    }

    /// Returns host and port.
    pub(super) fn host(&self) -> String {
        self.address.to_string()
    }
}

fn serve(folder: &Path, stream: TcpStream) -> Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(request) = read_request(&mut reader)? else { return Ok(()) };
    let answer = answer(folder, &request)
        .unwrap_or_else(|error| Answer::new(500).body(format!("{error:#}").into_bytes()));
    let mut stream = stream;
    let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        let _infallible = write!(head, "{name}: {value}\r\n");
    }
    let _infallible = write!(head, "Content-Length: {}\r\n\r\n", answer.body.len());
    stream.write_all(head.as_bytes())?;
    if request.method != "HEAD" {
        stream.write_all(&answer.body)?;
    }
    Ok(stream.flush()?)
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().context("method")?, words.next().context("target")?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    if request.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
        read_chunks(reader, &mut request.body)?;
    } else if let Ok(length) = request.header("content-length").parse() {
        reader.take(length).read_to_end(&mut request.body)?;
    }
    Ok(Some(request))
}

fn read_chunks(reader: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = u64::from_str_radix(line.trim(), 16).context("length of a chunk")?;
        reader.by_ref().take(length).read_to_end(body)?;
        reader.read_line(&mut line)?;
        if length == 0 {
            return Ok(());
        }
    }
}

impl Request {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

impl Answer {
    fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn body(self, body: Vec<u8>) -> Self {
        Self { body, ..self }
    }
}

fn file(bytes: impl Into<Vec<u8>>) -> Answer {
    let bytes = bytes.into();
    let tag = format!("\"{}\"", lathe_testkit::image::digest_of(&bytes));
    Answer::new(200).with("Last-Modified", DATE).with("ETag", &tag).body(bytes)
}

fn answer(folder: &Path, request: &Request) -> Result<Answer> {
    let path = request.path.as_str();
    if let Some(rest) = path.strip_prefix("/redirect/") {
        return Ok(Answer::new(302).with("Location", &format!("/{rest}")));
    }
    if let Some(rest) = path.strip_prefix("/git/") {
        return serve_git(&folder.join("git"), rest, request);
    }
    if path.starts_with("/c/") && !path.contains("..") {
        return Ok(match fs::read(folder.join(&path[1..])) {
            Ok(bytes) => file(bytes),
            Err(_) => Answer::new(404),
        });
    }
    let may = |wanted: &str| request.header("authorization") == wanted;
    Ok(match path {
        "/" | "/hello.txt" => file("hello\n"),
        "/no-date.txt" => Answer::new(200).body(b"no date\n".to_vec()),
        "/named" => {
            file("named\n").with("Content-Disposition", "attachment; filename=\"given.txt\"")
        }
        "/token/secret.txt" if may("Bearer sesame") => file("for the bearer\n"),
        "/basic/secret.txt" if may("Basic YW5uOm9wZW4=") => file("for ann\n"),
        "/token/secret.txt" | "/basic/secret.txt" => Answer::new(401),
        "/Dockerfile.remote" => file("FROM scratch\nCOPY <<EOF /remote\nfrom afar\nEOF\n"),
        "/error" => Answer::new(500),
        _ => match path.strip_prefix("/context.").or_else(|| path.strip_prefix("/files.")) {
            Some(kind) => file(archive::pack(kind, &archived(path.starts_with("/context")))?),
            None => Answer::new(404),
        },
    })
}

/// Returns what is in the archives: a context with a Dockerfile, or files alone.
fn archived(context: bool) -> Vec<Placed> {
    let mut files = vec![
        Placed::file("in.txt", b"inside\n".to_vec()),
        Placed::folder("deep"),
        Placed::file("deep/er.txt", b"deeper\n".to_vec()),
    ];
    if context {
        let text = b"FROM scratch\nCOPY . /all/\nLABEL from=archive\n".to_vec();
        files.push(Placed::file("Dockerfile", text));
        files.push(Placed::file("Other", b"FROM scratch\nCOPY in.txt /other\n".to_vec()));
        files.push(Placed::file(".dockerignore", b"deep\n".to_vec()));
    }
    files
}

fn serve_git(folder: &Path, path: &str, request: &Request) -> Result<Answer> {
    let mut child = Command::new(GIT_BACKEND)
        .env_clear()
        .env("GIT_PROJECT_ROOT", folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("PATH_INFO", format!("/{path}"))
        .env("QUERY_STRING", &request.query)
        .env("REQUEST_METHOD", &request.method)
        .env("CONTENT_TYPE", request.header("content-type"))
        .env("HTTP_CONTENT_ENCODING", request.header("content-encoding"))
        .env("GIT_PROTOCOL", request.header("git-protocol"))
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context(GIT_BACKEND)?;
    let mut pipe = child.stdin.take().context("a pipe to git")?;
    let body = request.body.clone();
    let writer = thread::spawn(move || drop(pipe.write_all(&body)));
    let output = child.wait_with_output().context(GIT_BACKEND)?;
    writer.join().expect("the writer does not panic");
    let bytes = output.stdout;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").context("headers of git")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut answer = Answer::new(200).body(bytes[end + 4..].to_vec());
    for line in head.lines() {
        let (name, value) = line.split_once(": ").context("a header of git")?;
        if name == "Status" {
            answer.status = value.split(' ').next().unwrap_or_default().parse()?;
        } else {
            answer = answer.with(name, value);
        }
    }
    Ok(answer)
}

/// Repositories with fixed commits.
#[derive(Debug)]
pub(super) struct Repositories {
    pub(super) v1: String,
    pub(super) main: String,
    pub(super) dev: String,
}

impl Repositories {
    /// Makes `repo.git`, and `super.git` that has it as a submodule, below a folder.
    pub(super) fn make(folder: &Path) -> Result<Self> {
        let work = folder.join("repo");
        fs::create_dir_all(&work)?;
        if !super::run::has_program("git") {
            let none = String::new;
            return Ok(Self { v1: none(), main: none(), dev: none() });
        }
        let git = |arguments: &[&str]| git(&work, arguments);
        git(&["init", "--quiet"])?;
        let write = |name: &str, text: &str| -> Result<()> {
            fs::write(work.join(name), text).with_context(|| format!("write {name}"))
        };
        fs::create_dir_all(work.join("sub/inner"))?;
        write("a.txt", "one\n")?;
        write("run.sh", "#!/bin/sh\n")?;
        write("sub/b.txt", "b\n")?;
        write("sub/inner/c.txt", "c\n")?;
        write("sub/Dockerfile", "FROM scratch\nCOPY b.txt /from-sub\n")?;
        write("Dockerfile", "FROM scratch\nCOPY a.txt /a\n")?;
        write(".dockerignore", "a.txt\n")?;
        std::os::unix::fs::symlink("a.txt", work.join("link"))?;
        let commit = |text: &str| -> Result<String> {
            git(&["add", "--all"])?;
            git(&["update-index", "--chmod=+x", "run.sh"])?;
            git(&["commit", "--quiet", "--message", text])?;
            git(&["rev-parse", "HEAD"])
        };
        let v1 = commit("one")?;
        git(&["tag", "v1"])?;
        git(&["tag", "--annotate", "--message", "one", "annotated"])?;
        write("a.txt", "two\n")?;
        let main = commit("two")?;
        git(&["checkout", "--quiet", "-b", "dev"])?;
        write("a.txt", "dev\n")?;
        let dev = commit("dev")?;
        git(&["checkout", "--quiet", "main"])?;
        bare(folder, "repo")?;
        Self::make_super(folder)?;
        Ok(Self { v1, main, dev })
    }

    fn make_super(folder: &Path) -> Result<()> {
        let work = folder.join("super");
        fs::create_dir_all(&work)?;
        git(&work, &["init", "--quiet"])?;
        fs::write(work.join("top.txt"), "top\n")?;
        let origin = folder.join("repo.git").display().to_string();
        git(&work, &["submodule", "--quiet", "add", &origin, "module"])?;
        git(&work, &["config", "--file", ".gitmodules", "submodule.module.url", "../repo.git"])?;
        git(&work, &["add", "--all"])?;
        git(&work, &["commit", "--quiet", "--message", "super"])?;
        bare(folder, "super")
    }
}

/// Makes the repository that is served of one with a work tree.
fn bare(folder: &Path, name: &str) -> Result<()> {
    let (from, to) = (format!("{name}/.git"), format!("{name}.git"));
    git(folder, &["clone", "--quiet", "--bare", &from, &to])?;
    // Clients ask for commits by id, as they may of the big hosts.
    let bare = folder.join(to);
    git(&bare, &["config", "uploadpack.allowAnySHA1InWant", "true"])?;
    git(&bare, &["config", "uploadpack.allowFilter", "true"]).map(drop)
}
