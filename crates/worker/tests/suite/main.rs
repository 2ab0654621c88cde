//! Operations run on real snapshots, with what may go wrong in them.
//!
//! Without the test harness, since its threads would forbid to enter the namespaces, and since
//! processes of a build are this executable run again.

#![expect(clippy::print_stdout, reason = "without the harness the test tells its own story")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, mpsc};

use lathe_event::{Cancel, Event, EventSink, RecordingSink};
use lathe_executor::Network;
use lathe_graph::{
    CopyAction, ExecMount, ExecMountKind, ExecOp, FileAction, FileOp, GraphBuilder, Input,
    InputIndex, MakeFileAction, Op, Selector, SourceOp, Unpack, VertexMeta,
};
use lathe_snapshot::Snapshots;
use lathe_solver::{NodeId, OpRunner as _};
use lathe_source::{Images, Remotes, SshAccess};
use lathe_store::{SnapshotId, Store};
use lathe_tree::Timestamp;
use lathe_worker::{BuildNetwork, Contents, ContextFiles, Output, RunOptions, RunPolicy, Worker};

mod caches;
mod copies;
mod runs;
mod shares;

type Case = fn(&Bench);

fn main() -> ExitCode {
    if let Some(code) = lathe_executor::init_main() {
        return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let as_other = arguments.iter().any(|argument| argument == "other");
    if !as_other && !run_as_other() {
        return ExitCode::FAILURE;
    }
    let who = if as_other { "as a normal user" } else { "as oneself" };
    let entered = match lathe_userns::enter() {
        Ok(entered) => entered,
        Err(error) => {
            println!("SKIP {who}: {error}");
            return ExitCode::SUCCESS;
        }
    };
    let own: [(&str, Case); 3] = [
        ("what_fails_leaves_nothing", inv_worker_commit_what_fails_leaves_nothing),
        ("what_is_lent_leaves_no_trace", inv_worker_traces_what_is_lent_is_not_kept),
        ("links_do_not_lead_out_of_an_input", inv_worker_inside_links_do_not_lead_out),
    ];
    let copies = copies::CASES.iter().chain(&shares::CASES);
    for (name, case) in own.iter().chain(copies).chain(&runs::CASES).chain(&caches::CASES) {
        case(&Bench::new(entered.userxattr()));
        println!("{name} {who} ok");
    }
    ExitCode::SUCCESS
}

/// Runs this executable as a normal user as well, when that can be done; says whether it passed.
fn run_as_other() -> bool {
    let is_root = fs::metadata("/proc/self").expect("stat").uid() == 0;
    if !is_root || !Path::new("/usr/bin/setpriv").exists() {
        println!("SKIP as a normal user: needs root and setpriv");
        return true;
    }
    let place = tempfile::tempdir().expect("a directory");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777)).expect("open it");
    let program = place.path().join("suite");
    // The executable's own directory may be closed to others.
    fs::copy("/proc/self/exe", &program).expect("copy the test");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "54323", "--regid", "54323", "--clear-groups"]);
    command.arg(&program).arg("other").env("TMPDIR", place.path()).env("HOME", place.path());
    command.status().expect("run the child").success()
}

/// A store and a build context of its own.
struct Bench {
    folder: tempfile::TempDir,
    store: Store,
    snapshots: Snapshots,
}

/// How one operation is run.
struct Request {
    op: Op,
    base: Option<SnapshotId>,
    /// The second input; the folder of the context where `None`.
    from: Option<SnapshotId>,
    policy: RunPolicy,
    epoch: Option<Timestamp>,
    cancel: Cancel,
    /// Is told all notes as they come.
    notes: Option<mpsc::Sender<String>>,
}

/// Keeps events, and passes notes on.
#[derive(Default)]
struct Sink {
    recorded: RecordingSink,
    notes: Mutex<Option<mpsc::Sender<String>>>,
}

impl EventSink for Sink {
    fn emit(&self, event: Event) {
        if let (Event::Note(text), Some(notes)) = (&event, &*self.notes.lock().expect("no panic")) {
            notes.send(text.to_string()).expect("the test listens");
        }
        self.recorded.emit(event);
    }
}

impl Request {
    fn new(op: Op, base: Option<SnapshotId>) -> Self {
        Self {
            op,
            base,
            from: None,
            policy: policy(),
            epoch: None,
            cancel: Cancel::new(),
            notes: None,
        }
    }
}

/// What an operation did.
struct Ran {
    output: lathe_worker::Result<SnapshotId>,
    /// What of the second input counts for the key; empty when that failed.
    key: Vec<(String, String)>,
    events: Vec<Event>,
}

impl Ran {
    /// Returns all that the process wrote.
    fn log(&self) -> String {
        let mut log = Vec::new();
        for event in &self.events {
            if let Event::StepLog { bytes, .. } = event {
                log.extend_from_slice(bytes);
            }
        }
        String::from_utf8_lossy(&log).into_owned()
    }

    #[track_caller]
    fn error(&self) -> String {
        self.output.as_ref().expect_err("it fails").to_string()
    }

    #[track_caller]
    fn snapshot(&self) -> SnapshotId {
        match &self.output {
            Ok(snapshot) => *snapshot,
            Err(error) => panic!("{}\n{}", chain(error), self.log()),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

impl Bench {
    fn new(userxattr: bool) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        fs::create_dir(folder.path().join("context")).expect("make the context");
        let store = Store::open(&folder.path().join("store")).expect("open the store");
        let snapshots = Snapshots::new(&store, userxattr);
        Self { folder, store, snapshots }
    }

    fn context(&self) -> PathBuf {
        self.folder.path().join("context")
    }

    /// Makes a snapshot by changing files below its root.
    fn base(&self, change: impl FnOnce(&Path)) -> SnapshotId {
        let active = self.snapshots.prepare(None).expect("prepare");
        change(active.mount().expect("mount").path());
        active.commit().expect("commit")
    }

    /// Runs one operation whose inputs are the base and the context.
    fn run(&self, op: Op, base: SnapshotId) -> lathe_worker::Result<Output> {
        self.run_with(Request::new(op, Some(base))).output.map(Output::Snapshot)
    }

    fn run_with(&self, request: Request) -> Ran {
        let mut graph = GraphBuilder::default();
        let local = |name: &str| Op::Source(SourceOp::Local { name: name.to_owned() });
        let below = graph.add(local("base"), Vec::new(), VertexMeta::default());
        let context = graph.add(local("context"), Vec::new(), VertexMeta::default());
        let inputs = [below, context].map(|vertex| Input { vertex, by_content: false });
        let node = NodeId(graph.add(request.op, inputs.to_vec(), VertexMeta::default()).0);
        let graph = graph.finish();
        let notes = Mutex::new(request.notes);
        let sink = Arc::new(Sink { notes, ..Sink::default() });
        let images = Images {
            store: self.store.clone(),
            client: Arc::new(|| Err(lathe_source::Error::Cancelled)),
            events: Arc::<Sink>::clone(&sink),
            cancel: request.cancel.clone(),
        };
        let context_files = match request.from {
            Some(snapshot) => ContextFiles::Snapshot(snapshot),
            None => ContextFiles::Folder(self.context()),
        };
        let remotes = Remotes {
            images: images.clone(),
            snapshots: self.snapshots.clone(),
            secrets: Arc::new(|_| None),
            ssh: SshAccess::Environment,
        };
        let worker = Worker {
            graph: &graph,
            store: &self.store,
            snapshots: &self.snapshots,
            images: &images,
            pinned: &BTreeMap::new(),
            contexts: &BTreeMap::from([("context".to_owned(), context_files)]),
            remotes: &remotes,
            run: &request.policy,
            epoch: request.epoch,
            cancel: &request.cancel,
            committed: &|_, _| (),
            contents: Contents::default(),
        };
        let context = worker.run(NodeId(context.0), &[]).expect("open the context");
        let key = worker.content(node, 1, &context).unwrap_or_default();
        let key = key.into_iter().map(|part| (part.name, part.value)).collect();
        // Without a base the operation says so itself, and the input is not looked at.
        let base = request.base.map_or_else(|| context.clone(), Output::Snapshot);
        let output = worker.run(node, &[base, context]).map(|output| match output {
            Output::Snapshot(snapshot) => snapshot,
            Output::Context(_) => panic!("an operation makes snapshots"),
        });
        Ran { output, key, events: sink.recorded.take() }
    }

    /// Returns how many snapshots are on the disk, recorded or not.
    fn count(&self) -> usize {
        let recorded = self.store.snapshots().expect("read the index").len();
        let folders = fs::read_dir(self.store.directory().join("snapshots")).expect("read").count();
        assert_eq!(recorded, folders, "each folder has its record");
        folders
    }
}

/// Makes files: `dir/`, `file=content`, `link->target`.
fn plant(root: &Path, lines: &[&str]) {
    for line in lines {
        let (path, _) = line.split_once("->").or(line.split_once('=')).unwrap_or((line, ""));
        let parent = root.join(path);
        fs::create_dir_all(parent.parent().expect("below the root")).expect("make the parents");
        if let Some((path, target)) = line.split_once("->") {
            symlink(target, root.join(path)).expect("link");
        } else if let Some((path, content)) = line.split_once('=') {
            fs::write(root.join(path), content).expect("write");
        } else {
            fs::create_dir_all(root.join(line)).expect("make a directory");
        }
    }
}

/// Returns files as [`plant`] takes them, sorted; of several lines of content only the first.
fn dump(root: &Path) -> Vec<String> {
    let line = |path: String| {
        let file = root.join(&path);
        let metadata = file.symlink_metadata().expect("stat");
        if metadata.is_dir() {
            return format!("{path}/");
        }
        if metadata.is_symlink() {
            return format!("{path}->{}", fs::read_link(file).expect("read the link").display());
        }
        let bytes = fs::read(file).expect("read");
        format!("{path}={}", String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default())
    };
    list(root, root).into_iter().map(line).collect()
}

fn policy() -> RunPolicy {
    RunPolicy {
        network: Box::new(|| BuildNetwork {
            network: Network::None,
            resolv_conf: b"nameserver 192.0.2.1\n".to_vec(),
            gateway: None,
        }),
        certificates: Some(b"lent certificates".to_vec()),
        resolv_conf: Vec::new(),
        options: RunOptions {
            hosts: vec![("db".to_owned(), "192.0.2.9".to_owned())],
            ..RunOptions::default()
        },
    }
}

fn make_file(path: &str) -> FileAction {
    FileAction::MakeFile(MakeFileAction {
        path: path.to_owned(),
        name: "file".to_owned(),
        content: "made".to_owned(),
        mode: None,
        owner: None,
    })
}

fn copy(source: &str, destination: &str) -> FileAction {
    FileAction::Copy(CopyAction {
        from: InputIndex(1),
        select: Selector { paths: vec![source.to_owned()], exclude: Vec::new() },
        destination: destination.to_owned(),
        owner: None,
        mode: None,
        unpack: Unpack::Never,
        parents: false,
    })
}

fn files(actions: Vec<FileAction>) -> Op {
    Op::File(FileOp { base: Some(InputIndex(0)), actions })
}

fn exec(script: &str, mounts: Vec<ExecMount>) -> ExecOp {
    ExecOp {
        root: Some(InputIndex(0)),
        args: ["/bin/busybox", "sh", "-c", script].map(str::to_owned).to_vec(),
        // The applets are found as programs.
        env: vec!["PATH=/bin".to_owned()],
        proxy_env: Vec::new(),
        cwd: "/".to_owned(),
        user: String::new(),
        mounts,
        network: lathe_graph::Network::Default,
        security: lathe_graph::Security::Sandbox,
        secret_env: Vec::new(),
        hostname: None,
        platform: lathe_oci::Platform::host(),
        devices: Vec::new(),
    }
}

fn shell(script: &str, mounts: Vec<ExecMount>) -> Op {
    Op::Exec(Box::new(exec(script, mounts)))
}

fn mount(target: &str, kind: ExecMountKind) -> ExecMount {
    ExecMount { target: target.to_owned(), kind }
}

/// Returns a snapshot in which a shell runs; `None` when this machine has no busybox.
fn system(bench: &Bench) -> Option<SnapshotId> {
    let busybox = Path::new("/bin/busybox");
    if !busybox.exists() {
        println!("SKIP processes: /bin/busybox is missing");
        return None;
    }
    Some(bench.base(|root| {
        fs::create_dir(root.join("bin")).expect("make a directory");
        fs::copy(busybox, root.join("bin/busybox")).expect("copy the shell");
        for applet in ["cat", "df", "grep", "hostname", "ls", "stat", "test", "touch", "id"] {
            symlink("busybox", root.join("bin").join(applet)).expect("link");
        }
    }))
}

fn inv_worker_commit_what_fails_leaves_nothing(bench: &Bench) {
    let base = bench.base(|_| {});
    let before = bench.count();
    bench.run(files(vec![make_file("/made"), copy("missing", "/")]), base).expect_err("no source");
    assert_eq!(bench.count(), before);
    if let Some(base) = system(bench) {
        let before = bench.count();
        let error = bench.run(shell("echo x > /made; exit 3", Vec::new()), base);
        assert!(error.expect_err("it exits with 3").to_string().contains('3'));
        assert_eq!(bench.count(), before);
    }
}

/// Returns all paths of a tree, sorted.
fn list(top: &Path, directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("read") {
        let path = entry.expect("an entry").path();
        found.push(path.strip_prefix(top).expect("below").to_string_lossy().into_owned());
        if path.symlink_metadata().expect("stat").is_dir() {
            found.extend(list(top, &path));
        }
    }
    found.sort();
    found
}

fn inv_worker_traces_what_is_lent_is_not_kept(bench: &Bench) {
    let Some(base) = system(bench) else { return };
    fs::write(bench.context().join("note"), "bound").expect("write");
    let source = "note".to_owned();
    let mounts = vec![
        mount("/bound", ExecMountKind::Bind { input: InputIndex(1), source, writable: false }),
        mount("/scratch", ExecMountKind::Tmpfs { size: None }),
    ];
    // The process sees all that it is lent.
    let script = "busybox() { /bin/busybox \"$@\"; }; set -e
        busybox grep -q 192.0.2.1 /etc/resolv.conf
        busybox grep -q 'lent certificates' \"$SSL_CERT_FILE\"
        busybox grep -q 192.0.2.9 /etc/hosts
        busybox grep -q bound /bound
        echo x > /scratch/file
        echo kept > /kept";
    let output = bench.run(shell(script, mounts), base).expect("the process sees what it is lent");
    let Output::Snapshot(snapshot) = output else { panic!("{output:?} is no snapshot") };
    let kept = bench.snapshots.changes(snapshot);
    let left = list(&kept, &kept);
    for lent in ["etc/hosts", "etc/resolv.conf", "ca-certificates", "scratch/file", "run/lathe"] {
        assert!(!left.iter().any(|path| path.contains(lent)), "{lent} is left in {left:?}");
    }
    assert!(left.contains(&"kept".to_owned()), "{left:?}");
    let bound = fs::read(kept.join("bound")).unwrap_or_default();
    assert_eq!(bound, b"", "the bytes that were bound are left");
}

fn inv_worker_inside_links_do_not_lead_out(bench: &Bench) {
    let outside = bench.folder.path().join("outside");
    fs::create_dir(&outside).expect("make a directory");
    fs::write(outside.join("secret"), "secret").expect("write");
    for (name, target) in [("absolute", outside.as_path()), ("relative", Path::new("../outside"))] {
        symlink(target, bench.context().join(name)).expect("link");
        let base = bench.base(|root| symlink(target, root.join("out")).expect("link"));
        let read = bench.run(files(vec![copy(&format!("{name}/secret"), "/")]), base);
        read.expect_err("a link of the context leads nowhere");
        // A link of the root file system leads to a place in it, which is made where it is missing.
        let written = bench.run(files(vec![make_file("/out/written")]), base);
        if let Ok(Output::Snapshot(snapshot)) = written {
            let kept = bench.snapshots.changes(snapshot);
            assert!(list(&kept, &kept).iter().any(|path| path.ends_with("written")));
        }
        assert_eq!(list(&outside, &outside), ["secret"]);
    }
}
