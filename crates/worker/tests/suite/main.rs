//! Operations run on real snapshots, with what may go wrong in them.
//!
//! Without the test harness, since its threads would forbid to enter the namespaces, and since
//! processes of a build are this executable run again.

#![expect(clippy::print_stdout, reason = "without the harness the test tells its own story")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use lathe_event::{Cancel, NullSink};
use lathe_executor::Network;
use lathe_graph::{
    CopyAction, ExecMount, ExecMountKind, ExecOp, FileAction, FileOp, GraphBuilder, Input,
    InputIndex, MakeFileAction, Op, Selector, SourceOp, Unpack, VertexMeta,
};
use lathe_snapshot::Snapshots;
use lathe_solver::{NodeId, OpRunner as _};
use lathe_source::{Images, Remotes};
use lathe_store::{SnapshotId, Store};
use lathe_worker::{BuildNetwork, ContextFiles, Output, RunPolicy, Worker};

type Case = fn(&Bench);

fn main() -> ExitCode {
    if let Some(code) = lathe_executor::init_main() {
        return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    }
    if std::env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let entered = match lathe_userns::enter() {
        Ok(entered) => entered,
        Err(error) => {
            println!("SKIP all: {error}");
            return ExitCode::SUCCESS;
        }
    };
    let cases: [(&str, Case); 3] = [
        ("what_fails_leaves_nothing", inv_worker_commit_what_fails_leaves_nothing),
        ("what_is_lent_leaves_no_trace", inv_worker_traces_what_is_lent_is_not_kept),
        ("links_do_not_lead_out_of_an_input", inv_worker_inside_links_do_not_lead_out),
    ];
    for (name, case) in cases {
        case(&Bench::new(entered.userxattr()));
        println!("{name} ok");
    }
    ExitCode::SUCCESS
}

/// A store and a build context of its own.
struct Bench {
    folder: tempfile::TempDir,
    store: Store,
    snapshots: Snapshots,
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
        let mut graph = GraphBuilder::default();
        let local = |name: &str| Op::Source(SourceOp::Local { name: name.to_owned() });
        let below = graph.add(local("base"), Vec::new(), VertexMeta::default());
        let context = graph.add(local("context"), Vec::new(), VertexMeta::default());
        let inputs = [below, context].map(|vertex| Input { vertex, by_content: false });
        let node = NodeId(graph.add(op, inputs.to_vec(), VertexMeta::default()).0);
        let graph = graph.finish();
        let images = Images {
            store: self.store.clone(),
            client: Arc::new(|| Err(lathe_source::Error::Cancelled)),
            events: Arc::new(NullSink),
            cancel: Cancel::new(),
        };
        let context_files = ContextFiles::Folder { path: self.context(), dockerfile: None };
        let remotes = Remotes {
            images: images.clone(),
            snapshots: self.snapshots.clone(),
            secrets: Arc::new(|_| None),
        };
        let worker = Worker {
            graph: &graph,
            store: &self.store,
            snapshots: &self.snapshots,
            images: &images,
            pinned: &BTreeMap::new(),
            contexts: &BTreeMap::from([("context".to_owned(), context_files)]),
            remotes: &remotes,
            run: &policy(),
            epoch: None,
            cancel: &images.cancel,
        };
        let context = worker.run(NodeId(context.0), &[])?;
        worker.run(node, &[Output::Snapshot(base), context])
    }

    /// Returns how many snapshots are on the disk, recorded or not.
    fn count(&self) -> usize {
        let recorded = self.store.snapshots().expect("read the index").len();
        let folders = fs::read_dir(self.store.directory().join("snapshots")).expect("read").count();
        assert_eq!(recorded, folders, "each folder has its record");
        folders
    }
}

fn policy() -> RunPolicy {
    RunPolicy {
        network: Box::new(|| BuildNetwork {
            network: Network::None,
            resolv_conf: b"nameserver 192.0.2.1\n".to_vec(),
        }),
        certificates: Some(b"lent certificates".to_vec()),
        hosts: vec![("db".to_owned(), "192.0.2.9".to_owned())],
        resolv_conf: Vec::new(),
        secrets: BTreeMap::new(),
        ssh: BTreeMap::new(),
        rlimits: Vec::new(),
        shm_size: None,
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

fn shell(script: &str, mounts: Vec<ExecMount>) -> Op {
    Op::Exec(Box::new(ExecOp {
        root: Some(InputIndex(0)),
        args: ["/bin/busybox", "sh", "-c", script].map(str::to_owned).to_vec(),
        env: Vec::new(),
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
    }))
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
    let mount = |target: &str, kind| ExecMount { target: target.to_owned(), kind };
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
