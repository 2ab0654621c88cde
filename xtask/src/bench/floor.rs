//! Floors: what plain programs take for the part of a row that no builder can leave out.
//!
//! They run in the same minutes as the builders, on the same files, and their times stand beside the builders'.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::chroot;

use super::measure;
use crate::sh::Cmd;

/// The word after `bench` that makes this program run a command as the smallest builder would.
pub(super) const ALONE: &str = "alone";

/// Returns the median time, in seconds, of a line of shell, with `clean` run before each round.
pub(super) fn shell(line: &str, clean: &str, rounds: usize) -> Result<f64> {
    let mut samples = Vec::new();
    for _ in 0..rounds {
        Cmd::new("sh").args(["-c", clean]).run()?;
        samples.push(measure::seconds(&Cmd::new("bash").args(["-o", "pipefail", "-c", line]))?);
    }
    Cmd::new("sh").args(["-c", clean]).run()?;
    Ok(measure::median(&samples))
}

/// Returns the command that runs a command of a root file system in namespaces and an overlay of its own.
pub(super) fn alone(root: &Path, folder: &str, command: &str) -> Result<Cmd> {
    let program = std::env::current_exe().context("find the path of this program")?;
    Ok(Cmd::new(program).args(["bench", ALONE]).arg(root).args([folder, command]))
}

/// Runs a command by hand: namespaces, an overlay above the root file system, the usual mounts, and the program.
///
/// What it writes goes to a tmpfs and is lost. Only for this program itself, which calls it as [`alone`] says.
pub(super) fn run_alone(words: &[String]) -> Result<()> {
    let [root, folder, command] = words else { bail!("wanted: ROOT FOLDER COMMAND") };
    let flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    unshare(flags).context("enter new namespaces")?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .context("make mounts private")?;
    let status = Command::new(std::env::current_exe().context("find the path of this program")?)
        .args(["bench", ALONE, root, folder, command, "inside"])
        .status()
        .context("start the first process of the namespace")?;
    ensure!(status.success(), "`{command}` ended with {status}");
    Ok(())
}

/// The second half: as the first process of its namespace.
pub(super) fn run_inside(words: &[String]) -> Result<()> {
    let [root, folder, command] = words else { bail!("wanted: ROOT FOLDER COMMAND") };
    let (root, none) = (Path::new(root), MountFlags::empty());
    let base = root.parent().context("the root file system has no folder above it")?;
    let own = base.join(".alone");
    fs::create_dir_all(&own).with_context(|| format!("create {}", own.display()))?;
    mount("tmpfs", &own, "tmpfs", none, None).context("mount a tmpfs")?;
    let [upper, work, merged] = ["upper", "work", "merged"].map(|name| own.join(name));
    for folder in [&upper, &work, &merged] {
        fs::create_dir(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        root.display(),
        upper.display(),
        work.display()
    );
    let options = std::ffi::CString::new(options).context("a path has a null byte")?;
    mount("overlay", &merged, "overlay", none, options.as_c_str()).context("mount an overlay")?;
    for (kind, at) in [("proc", "proc"), ("sysfs", "sys"), ("tmpfs", "dev")] {
        let at: PathBuf = merged.join(at);
        fs::create_dir_all(&at).with_context(|| format!("create {}", at.display()))?;
        mount(kind, &at, kind, none, None).with_context(|| format!("mount {kind}"))?;
    }
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let (from, to) = (Path::new("/dev").join(name), merged.join("dev").join(name));
        fs::write(&to, "").with_context(|| format!("create {}", to.display()))?;
        rustix::mount::mount_bind(&from, &to).with_context(|| format!("bind {name}"))?;
    }
    chroot(&merged).context("change the root")?;
    std::env::set_current_dir(folder).with_context(|| format!("go to {folder}"))?;
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let error = Command::new("/bin/sh").args(["-c", command]).env("PATH", path).exec();
    Err(error).context("start a shell")
}
