//! What the tests of this crate have in common: a store, what brings things into it, and a web
//! server that answers as a test says.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};

use lathe_event::{Cancel, NullSink};
use lathe_registry::{Client, ClientOptions, Config, HostSettings, RetryPolicy};
use lathe_snapshot::{Driver, Snapshots};
use lathe_source::{Fetched, Images, Remotes, SshAccess};
use lathe_store::{SnapshotId, Store};

/// A store of its own, and what brings things into it.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) remotes: Remotes,
    pub(crate) cancel: Cancel,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with_secrets(&[])
    }

    pub(crate) fn with_secrets(secrets: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let store = Store::open(&folder.path().join("store")).expect("open the store");
        let snapshots = Snapshots::with_driver(&store, true, Driver::Native("no mounts".into()));
        let cancel = Cancel::new();
        let token = cancel.clone();
        let client = move || {
            let retry = RetryPolicy { attempts: 1, ..RetryPolicy::default() };
            let cancel = token.clone();
            Ok(Client::new(ClientOptions { retry, cancel, ..ClientOptions::default() }))
        };
        let images = Images {
            store,
            client: Arc::new(client),
            events: Arc::new(NullSink),
            cancel: cancel.clone(),
        };
        let secrets: BTreeMap<String, String> =
            secrets.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect();
        let secrets = Arc::new(move |id: &str| secrets.get(id).cloned());
        Self {
            folder,
            remotes: Remotes { images, snapshots, secrets, ssh: SshAccess::Environment },
            cancel,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.remotes.images.store
    }

    /// Returns the folder with the files of a snapshot of one layer.
    pub(crate) fn tree(&self, snapshot: SnapshotId) -> PathBuf {
        self.remotes.snapshots.changes(snapshot)
    }

    /// Lists what was fetched: each path with kind, mode and time, and text or target.
    pub(crate) fn list(&self, fetched: &Fetched) -> Vec<String> {
        let mut lines = Vec::new();
        list(&self.tree(fetched.snapshot), "", &mut lines);
        lines
    }

    /// Returns the paths of the files of what was fetched.
    pub(crate) fn names(&self, fetched: &Fetched) -> Vec<String> {
        let line = |line: String| line.split(' ').next().unwrap_or_default().to_owned();
        self.list(fetched).into_iter().map(line).filter(|name| !name.ends_with('/')).collect()
    }

    /// Returns how many snapshots are on the disk.
    pub(crate) fn snapshots(&self) -> usize {
        fs::read_dir(self.store().directory().join("snapshots")).expect("read").count()
    }
}

fn list(folder: &Path, at: &str, lines: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(folder).expect("read").flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let metadata = entry.metadata().expect("stat");
        let name = format!("{at}{}", entry.file_name().to_string_lossy());
        let (mode, time) = (metadata.mode() & 0o7777, metadata.mtime());
        assert_eq!((metadata.uid(), metadata.gid()), own(), "{name} belongs to root");
        if metadata.is_dir() {
            lines.push(format!("{name}/ {mode:o} {time}"));
            list(&entry.path(), &format!("{name}/"), lines);
        } else if metadata.is_symlink() {
            let target = fs::read_link(entry.path()).expect("read");
            lines.push(format!("{name} -> {}", target.display()));
        } else {
            let bytes = fs::read(entry.path()).expect("read");
            let text = String::from_utf8_lossy(&bytes).escape_debug().to_string();
            lines.push(format!("{name} {mode:o} {time} {text}"));
        }
    }
}

/// Returns the ids of the test's process.
fn own() -> (u32, u32) {
    let own = fs::metadata("/proc/self").expect("stat");
    (own.uid(), own.gid())
}

/// Tells whether files can be given to root, as the product always can; prints why not.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn can_own(test: &str) -> bool {
    if own().0 != 0 {
        eprintln!("SKIP {test}: only root makes files of root");
        return false;
    }
    true
}

/// A request as a web server got it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// A web server on a loopback port, for as long as the test's process lives.
pub(crate) struct Server {
    pub(crate) host: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let host = listener.local_addr().expect("address").to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("stream");
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
                    // The client may have gone away, which some tests want.
                    let _sent = stream.write_all(&answer(&request));
                });
            }
        });
        Self { host, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    /// Returns the requests so far, and forgets them.
    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut request =
        Request { method, path: path.to_owned(), query: query.to_owned(), ..Request::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    if request.header("transfer-encoding") == "chunked" {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).ok()?;
            if size == 0 {
                break;
            }
            request.body.extend_from_slice(&chunk[..size]);
        }
    } else {
        let length = request.header("content-length").parse().unwrap_or(0);
        request.body.resize(length, 0);
        reader.read_exact(&mut request.body).ok()?;
    }
    Some(request)
}

/// Makes an answer of a web server.
pub(crate) fn reply(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A repository that a test fills, with times that do not depend on the clock.
pub(crate) struct Origin {
    pub(crate) folder: PathBuf,
}

/// When the first commit of an [`Origin`] was made.
pub(crate) const FIRST: i64 = 1_000_000_000;

impl Origin {
    pub(crate) fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).expect("make the folder");
        let origin = Self { folder };
        origin.git(&["init", "--quiet", "--initial-branch=main", "--template="]);
        origin
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.folder.display())
    }

    #[track_caller]
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.git_at(FIRST, arguments)
    }

    #[track_caller]
    pub(crate) fn git_at(&self, time: i64, arguments: &[&str]) -> String {
        let time = format!("{time} +0200");
        let output = Command::new("git")
            .args(["-c", "protocol.file.allow=always", "-c", "user.name=t"])
            .args(["-c", "user.email=t@example.org", "-c", "core.hooksPath=/dev/null"])
            .args(arguments)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_DATE", &time)
            .env("GIT_COMMITTER_DATE", &time)
            .current_dir(&self.folder)
            .output()
            .expect("git runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("make the folder");
        fs::write(path, text).expect("write");
    }

    /// Commits all files; returns the id.
    pub(crate) fn commit(&self, time: i64) -> String {
        self.git(&["add", "--all"]);
        self.git_at(time, &["commit", "--quiet", "--allow-empty", "--message=x"]);
        self.git(&["rev-parse", "HEAD"])
    }
}

/// Tells whether git is there; prints that it is not.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn has_git(test: &str) -> bool {
    let found = Command::new("git").arg("version").output().is_ok();
    if !found {
        eprintln!("SKIP {test}: git is not installed");
    }
    found
}

/// Returns images of a store, asked for at a registry that speaks HTTP.
pub(crate) fn images(store: &Store, host: String) -> Images {
    let client = move || {
        let mut config = Config::default();
        let settings = HostSettings { plain_http: true, ..HostSettings::default() };
        config.set_host(&host, settings);
        Ok(Client::new(ClientOptions { config, ..ClientOptions::default() }))
    };
    Images {
        store: store.clone(),
        client: Arc::new(client),
        events: Arc::new(NullSink),
        cancel: Cancel::new(),
    }
}
