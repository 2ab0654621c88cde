//! A root file system of busybox, and a way to run things in it.

use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use lathe_event::Cancel;
use lathe_executor::Access;
use lathe_executor::Depth;
use lathe_executor::Error;
use lathe_executor::Exit;
use lathe_executor::Mount;
use lathe_executor::MountKind;
use lathe_executor::Output;
use lathe_executor::Process;
use lathe_executor::Running;
use lathe_executor::Sandbox;
use lathe_executor::Stdin;
use lathe_executor::Stdio;
use lathe_executor::spawn;

use crate::runner::Mode;

const APPLETS: &[&str] = &[
    "cat", "chmod", "dd", "echo", "env", "false", "grep", "head", "hostname", "id", "ifconfig",
    "kill", "ln", "ls", "mkdir", "mount", "mv", "ps", "readlink", "rm", "rmdir", "sh", "sleep",
    "sort", "stat", "stty", "touch", "true", "tty", "umount", "unshare", "wc",
];

/// A root file system that goes with this value.
#[derive(Debug)]
pub(crate) struct Rootfs(tempfile::TempDir);

impl Rootfs {
    pub(crate) fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::Builder::new()
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        let rootfs = Self(directory);
        std::fs::create_dir_all(rootfs.join("bin")).unwrap();
        std::fs::create_dir_all(rootfs.join("etc")).unwrap();
        std::fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
        for applet in APPLETS {
            symlink("busybox", rootfs.join(format!("bin/{applet}"))).unwrap();
        }
        rootfs
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(path)
    }

    pub(crate) fn sandbox(&self) -> Sandbox {
        Sandbox::new(self.path())
    }

    /// Returns all names below the root, sorted, without the programs.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect(self.path(), self.path(), &mut names);
        names.retain(|name| !name.starts_with("bin"));
        names.sort();
        names
    }
}

/// A root file system as builds have it: an overlay.
pub(crate) struct Overlay {
    pub(crate) lower: Rootfs,
    /// Holds `upper`, `work` and `merged`.
    pub(crate) rest: Rootfs,
}

impl Overlay {
    pub(crate) fn mount(mode: Mode) -> Self {
        let overlay = Self { lower: Rootfs::new(), rest: Rootfs::new() };
        for directory in ["upper", "work", "merged"] {
            std::fs::create_dir(overlay.rest.join(directory)).unwrap();
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}{}",
            overlay.lower.path().display(),
            overlay.rest.join("upper").display(),
            overlay.rest.join("work").display(),
            if mode == Mode::Root { "" } else { ",userxattr" }
        );
        let mut mount = Command::new("mount");
        mount.args(["-t", "overlay", "-o", &options, "none"]).arg(overlay.path());
        assert!(mount.status().unwrap().success());
        overlay
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.rest.join("merged")
    }

    /// Returns the names in the upper layer.
    pub(crate) fn upper(&self) -> Vec<String> {
        self.rest.names().into_iter().filter(|name| name.starts_with("upper")).collect()
    }

    pub(crate) fn unmount(self) {
        let unmounted = Command::new("umount").arg(self.path()).status().unwrap();
        assert!(unmounted.success(), "still in use");
    }
}

fn collect(root: &Path, directory: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        names.push(entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        if entry.file_type().unwrap().is_dir() {
            collect(root, &entry.path(), names);
        }
    }
}

pub(crate) fn process(args: &[&str]) -> Process {
    let mut process = Process::new(args.iter().copied());
    process.env = vec!["PATH=/bin".to_owned()];
    process
}

pub(crate) fn shell(script: &str) -> Process {
    process(&["sh", "-c", script])
}

pub(crate) fn bind(source: impl Into<PathBuf>, target: &str, access: Access) -> Mount {
    let kind = MountKind::Bind { source: source.into(), access, depth: Depth::Single };
    Mount { target: target.to_owned(), kind }
}

/// What a process left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a process to its end.
pub(crate) fn run(sandbox: &Sandbox, process: &Process) -> Result<Outcome, Error> {
    capture(|stdio| spawn(sandbox, process, stdio))
}

/// Runs whatever `start` starts to its end.
pub(crate) fn capture(
    start: impl FnOnce(Stdio) -> Result<Running, Error>,
) -> Result<Outcome, Error> {
    let (mut stdout, stdout_writer) = std::io::pipe().unwrap();
    let (mut stderr, stderr_writer) = std::io::pipe().unwrap();
    let running = start(Stdio {
        stdin: Stdin::Null,
        stdout: Output::Fd(stdout_writer.into()),
        stderr: Output::Fd(stderr_writer.into()),
    })?;
    let (mut out, mut err) = (String::new(), String::new());
    stdout.read_to_string(&mut out).unwrap();
    stderr.read_to_string(&mut err).unwrap();
    Ok(Outcome { exit: running.wait(&Cancel::new())?, stdout: out, stderr: err })
}

/// Runs a shell script in a default sandbox and returns what it printed.
#[track_caller]
pub(crate) fn output(sandbox: &Sandbox, script: &str) -> String {
    output_of(sandbox, &shell(script))
}

/// Runs a process that must succeed and returns what it printed.
#[track_caller]
pub(crate) fn output_of(sandbox: &Sandbox, process: &Process) -> String {
    let outcome = run(sandbox, process).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.exit.code, 0, "{outcome:?}");
    outcome.stdout
}

pub(crate) fn quiet() -> Stdio {
    Stdio { stdin: Stdin::Null, stdout: Output::Null, stderr: Output::Null }
}

/// Lends this very program and the C library to a sandbox, to probe from inside.
pub(crate) fn lend_probe(sandbox: &mut Sandbox) {
    sandbox.mounts.push(bind(std::env::current_exe().unwrap(), "/probe", Access::ReadOnly));
    for directory in ["/lib", "/lib64"] {
        if Path::new(directory).exists() {
            sandbox.mounts.push(bind(directory, directory, Access::ReadOnly));
        }
    }
}
