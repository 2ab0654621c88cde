//! Starts the program again in each mode and runs the tests there.

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

/// One test: its name is a statement.
pub(crate) type Test = (&'static str, fn(&Cx));

/// Who runs the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Root,
    /// Root of a user namespace with 65536 ids.
    Mapped,
    /// Root of a user namespace with one id, made by a normal user.
    Single,
}

/// What a test needs to know.
#[derive(Debug)]
pub(crate) struct Cx {
    pub(crate) mode: Mode,
}

impl Mode {
    pub(crate) fn from_name(name: &str) -> Self {
        match name {
            "root" => Self::Root,
            "mapped" => Self::Mapped,
            "single" => Self::Single,
            other => panic!("mode {other}"),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Mapped => "mapped",
            Self::Single => "single",
        }
    }

    /// Finishes what `start` began, inside.
    pub(crate) fn enter(self) {
        if self == Self::Mapped {
            // Our ids are written from outside; they are there after this line.
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).unwrap();
            nix::unistd::setgroups(&[]).unwrap();
            nix::unistd::setresgid(0.into(), 0.into(), 0.into()).unwrap();
            nix::unistd::setresuid(0.into(), 0.into(), 0.into()).unwrap();
        }
    }

    /// Starts `program` in this mode.
    pub(crate) fn start(self, program: &Path, args: &[&str]) -> Child {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]);
        match self {
            Self::Root => {}
            Self::Mapped => {
                command.args(["--user", "--keep-caps"]).stdin(Stdio::piped());
            }
            Self::Single => {
                command.args(["--user", "--map-root-user"]);
                if rustix::process::getuid().is_root() {
                    command.uid(1500).gid(1500);
                }
            }
        }
        command.arg(program).args(["--inside", self.name()]).args(args);
        let mut child = command.spawn().unwrap();
        if self == Self::Mapped {
            map_ids(&mut child);
        }
        child
    }
}

/// Gives a new user namespace the ids 100000 to 165535.
fn map_ids(child: &mut Child) {
    let own = std::fs::read_link("/proc/self/ns/user").unwrap();
    let namespace = format!("/proc/{}/ns/user", child.id());
    while std::fs::read_link(&namespace).unwrap() == own {
        std::thread::yield_now();
    }
    for map in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{}/{map}", child.id()), "0 100000 65536").unwrap();
    }
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
}

/// Prints that a test cannot run here.
pub(crate) fn skip(test: &str, reason: &str) {
    println!("SKIP {test}: {reason}");
}

pub(crate) fn run_in_all_modes(args: &[&str]) -> ExitCode {
    let filters: Vec<&str> = args.iter().copied().filter(|arg| !arg.starts_with('-')).collect();
    let directory = tempfile::Builder::new()
        .prefix("lathe-sandbox")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir()
        .unwrap();
    // The build directory may be closed to other users.
    let program: PathBuf = directory.path().join("sandbox");
    std::fs::copy("/proc/self/exe", &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let root = rustix::process::getuid().is_root();
    let modes: &[Mode] =
        if root { &[Mode::Root, Mode::Mapped, Mode::Single] } else { &[Mode::Single] };
    if !root {
        skip("root::*", "needs root");
        skip("mapped::*", "needs root to map ids");
    }
    let mut good = true;
    for mode in modes {
        good &= mode.start(&program, &filters).wait().unwrap().success();
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

pub(crate) fn run(tests: &[Test], mode: Mode, filters: &[&str]) -> ExitCode {
    let cx = Cx { mode };
    let mut failed = Vec::new();
    let mut count = 0;
    for (name, test) in tests {
        let name = format!("{}::{name}", mode.name());
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter)) {
            continue;
        }
        count += 1;
        let good = std::panic::catch_unwind(AssertUnwindSafe(|| test(&cx))).is_ok();
        println!("test {name} ... {}", if good { "ok" } else { "FAILED" });
        if !good {
            failed.push(name);
        }
    }
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    let passed = count - failed.len();
    println!("\ntest result: {result}. {passed} passed; {} failed\n", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
