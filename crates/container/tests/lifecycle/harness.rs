//! Runs the tests as root and as a normal user, and gives them a machine to speak to.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use lathe_container::ContainerRecord;
use lathe_container::ContainerSpec;
use lathe_container::ContainerState;
use lathe_container::ImageSpec;
use lathe_container::ProcessSpec;

/// One test: its name is a statement.
pub(crate) type Test = (&'static str, fn(&Lathe));

/// Longest that anything may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    Root,
    Normal,
}

/// A store, and commands on it.
#[derive(Debug)]
pub(crate) struct Lathe {
    folder: tempfile::TempDir,
    program: PathBuf,
    pub(crate) user: User,
    image: String,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Lathe {
    /// Makes a store with an image; `None` when the machine cannot.
    fn new(user: User) -> Option<Self> {
        let folder = tempfile::Builder::new()
            .prefix("lathe-container")
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        // The build directory may be closed to other users.
        let program = folder.path().join("lifecycle");
        std::fs::copy("/proc/self/exe", &program).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let store = folder.path().join("store");
        std::fs::create_dir(&store).unwrap();
        if user == User::Normal && is_root() {
            std::os::unix::fs::chown(&store, Some(NORMAL), Some(NORMAL)).unwrap();
        }
        let mut lathe = Self { folder, program, user, image: String::new() };
        let made = lathe.run(&["image"]);
        if made.code != 0 {
            println!("SKIP {user:?}::*: {}", made.stderr.trim());
            return None;
        }
        lathe.image = made.stdout.trim().into();
        Some(lathe)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--command").arg(self.store()).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if self.user == User::Normal && is_root() {
            command.uid(NORMAL).gid(NORMAL);
        }
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        output(self.command(args).spawn().unwrap())
    }

    /// Runs a command that must succeed and returns what it printed.
    #[track_caller]
    pub(crate) fn good(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.code, 0, "{args:?} {output:?}");
        output.stdout
    }

    /// Returns a container of the image that runs a script.
    pub(crate) fn spec(&self, name: &str, script: &str) -> ContainerSpec {
        self.spec_of(name, &["/bin/sh", "-c", script])
    }

    pub(crate) fn spec_of(&self, name: &str, command: &[&str]) -> ContainerSpec {
        ContainerSpec {
            name: Some(name.to_owned()),
            image: ImageSpec {
                name: "busybox".to_owned(),
                id: format!("sha256:{}", "0".repeat(64)),
                snapshot: Some(self.image.parse().unwrap()),
            },
            process: ProcessSpec {
                command: command.iter().map(|&word| word.to_owned()).collect(),
                ..ProcessSpec::default()
            },
            hostname: None,
            network: lathe_container::NetworkSpec {
                mode: lathe_container::NetworkMode::None,
                ..Default::default()
            },
            volumes: Vec::new(),
            image_volumes: Vec::new(),
            rootfs_access: lathe_container::Access::ReadWrite,
            init: lathe_container::Init::Process,
            removal: lathe_container::Removal::Keep,
            stop_signal: None,
            labels: std::collections::BTreeMap::new(),
        }
    }

    /// Starts a container in the background.
    #[track_caller]
    pub(crate) fn start(&self, spec: &ContainerSpec) {
        self.good(&["run", "detached", &json(spec)]);
    }

    /// Runs a container in the foreground.
    pub(crate) fn foreground(&self, spec: &ContainerSpec) -> Output {
        self.run(&["run", "attached", &json(spec)])
    }

    pub(crate) fn inspect(&self, name: &str) -> (ContainerRecord, ContainerState) {
        serde_json::from_str(&self.good(&["inspect", name])).unwrap()
    }

    /// Returns the status of a container as `ps` shows it.
    pub(crate) fn status(&self, name: &str) -> Option<String> {
        let listing = self.good(&["ps"]);
        let line = listing.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.map(str::to_owned)
    }

    /// Returns the process id of a container's shim.
    pub(crate) fn shim_of(&self, name: &str) -> Option<i32> {
        let (record, _) = self.inspect(name);
        processes().into_iter().find_map(|(pid, line)| {
            (line.contains("lathe-shim") && line.contains(record.id.as_str())).then_some(pid)
        })
    }

    /// Waits until the log of a container holds `text`.
    #[track_caller]
    pub(crate) fn await_log(&self, name: &str, text: &str) {
        eventually(&format!("`{text}` in the log of {name}"), || {
            self.run(&["logs", name]).stdout.contains(text)
        });
    }
}

impl Drop for Lathe {
    fn drop(&mut self) {
        for line in self.run(&["ps"]).stdout.lines() {
            let name = line.split(' ').next().unwrap();
            let removed = self.run(&["rm", "-f", name]);
            if removed.code != 0 && !std::thread::panicking() {
                println!("left behind: {name}: {removed:?}");
            }
        }
    }
}

pub(crate) fn json(spec: &ContainerSpec) -> String {
    serde_json::to_string(spec).unwrap()
}

pub(crate) fn output(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Looks again until something is so. The looks themselves take the time between two looks.
#[track_caller]
pub(crate) fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !look() {
        assert!(Instant::now() < deadline, "never came about: {what}");
        std::thread::yield_now();
    }
}

/// Returns all processes with their command lines.
pub(crate) fn processes() -> Vec<(i32, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let entry = entry.unwrap();
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        if let Ok(line) = std::fs::read(entry.path().join("cmdline")) {
            found.push((pid, String::from_utf8_lossy(&line).replace('\0', " ")));
        }
    }
    found
}

pub(crate) fn kill(pid: i32, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

/// A user that need not exist.
const NORMAL: u32 = 1500;

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// Prints that a test cannot run here.
pub(crate) fn skip(test: &str, reason: &str) {
    println!("SKIP {test}: {reason}");
}

pub(crate) fn run(tests: &[Test], filters: &[&str]) -> ExitCode {
    let filters: Vec<&str> =
        filters.iter().copied().filter(|filter| !filter.starts_with("--")).collect();
    let users: &[User] = if is_root() { &[User::Root, User::Normal] } else { &[User::Normal] };
    if !is_root() {
        skip("Root::*", "needs root");
    }
    let (mut count, mut failed) = (0, Vec::new());
    for user in users {
        let Some(lathe) = Lathe::new(*user) else { continue };
        for (name, test) in tests {
            let name = format!("{user:?}::{name}");
            if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter)) {
                continue;
            }
            count += 1;
            let begun = Instant::now();
            let good = std::panic::catch_unwind(AssertUnwindSafe(|| test(&lathe))).is_ok();
            let took = begun.elapsed().as_millis();
            println!("test {name} ... {} ({took} ms)", if good { "ok" } else { "FAILED" });
            std::io::stdout().flush().unwrap();
            if !good {
                failed.push(name);
            }
        }
    }
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {} passed; {} failed\n", count - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns whether nothing of a container is left in the store.
pub(crate) fn is_gone(lathe: &Lathe, record: &ContainerRecord) -> bool {
    let exists = |path: &Path| path.symlink_metadata().is_ok();
    !exists(&lathe.store().join("containers").join(record.id.as_str()))
        && !exists(&lathe.store().join("snapshots").join(record.layer.as_str()))
}
