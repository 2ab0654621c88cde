//! What this machine allows, as typed facts for `lathe doctor`. Printing is the caller's matter.
//!
//! Facts that can only be had by entering the namespaces are probed in a forked child, so the
//! caller's process stays as it was. Call while the process has one thread.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use nix::mount::MsFlags;

use crate::enter::Entered;
use crate::enter::Mode;
use crate::enter::enter;
use crate::enter::find_program;
use crate::enter::granted_ranges;
use crate::enter::single_threaded;
use crate::error::Error;
use crate::subid::SubRange;
use crate::sys;

/// What was found. Each field stands alone: a missing thing never hides the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The kernel's release text, for example `6.1.0-18-amd64`.
    pub kernel: String,
    /// The uid that asked.
    pub uid: u32,
    /// How the namespaces are entered, or why they are not.
    pub namespaces: Namespaces,
    /// `newuidmap`, when installed.
    pub newuidmap: Option<PathBuf>,
    /// `newgidmap`, when installed.
    pub newgidmap: Option<PathBuf>,
    /// The uids that `/etc/subuid` grants.
    pub subuids: Vec<SubRange>,
    /// The gids that `/etc/subgid` grants.
    pub subgids: Vec<SubRange>,
    /// Whether overlay can be mounted on the probed directory.
    pub overlay: Overlay,
    /// Whether `/dev/net/tun` can be opened, which `pasta` needs.
    pub tun: Access,
    /// `pasta`, when installed.
    pub pasta: Option<PathBuf>,
    /// Which control groups the machine has.
    pub cgroup: Cgroup,
    /// Whether the kernel filters system calls (`CONFIG_SECCOMP_FILTER`).
    pub seccomp: bool,
}

/// How this user's commands get their namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// As real root.
    Root,
    /// In a user namespace with this many uids and gids.
    SubIds,
    /// In a user namespace with one id only; why.
    SingleId(String),
    /// As root of a user namespace that exists already.
    Nested,
    /// Not at all; why, and what to do.
    Refused(String),
}

/// Whether overlay can be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overlay {
    /// Yes, in the way that the mode asks for.
    Mountable,
    /// No: the kernel's answer.
    Refused(String),
    /// The namespaces could not be entered, so it is not known.
    Unknown,
}

/// Whether a device can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It opens for reading and writing.
    Usable,
    /// It is there but does not open.
    Denied,
    /// It is not there.
    Missing,
}

/// Which control groups are mounted at `/sys/fs/cgroup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cgroup {
    /// Version 2 alone.
    V2,
    /// Version 1, or both.
    V1,
    /// None.
    None,
}

/// Gathers the facts. Overlay is tried on `directory`, which must exist and be writable (the
/// store's own, or the one it will be made in).
pub fn facts(directory: &Path) -> Facts {
    let uid = nix::unistd::geteuid().as_raw();
    let (namespaces, overlay) = probe(directory);
    let (subuids, subgids) = granted_ranges(uid);
    Facts {
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        uid,
        namespaces,
        newuidmap: find_program("newuidmap"),
        newgidmap: find_program("newgidmap"),
        subuids,
        subgids,
        overlay,
        tun: tun_access(),
        pasta: find_program("pasta"),
        cgroup: cgroup_version(),
        seccomp: Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
    }
}

fn tun_access() -> Access {
    let path = "/dev/net/tun";
    match fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(_) => Access::Usable,
        Err(_) if Path::new(path).exists() => Access::Denied,
        Err(_) => Access::Missing,
    }
}

fn cgroup_version() -> Cgroup {
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        Cgroup::V2
    } else if fs::read_dir("/sys/fs/cgroup").is_ok_and(|mut entries| entries.next().is_some()) {
        Cgroup::V1
    } else {
        Cgroup::None
    }
}

/// Enters and mounts in a child; the child tells two lines: the mode, and overlay's answer.
fn probe(directory: &Path) -> (Namespaces, Overlay) {
    if !single_threaded() {
        return (Namespaces::Refused(one_line(&Error::NotSingleThreaded)), Overlay::Unknown);
    }
    let answer = sys::in_child(|descriptor| {
        let text = match enter() {
            Ok(entered) => {
                format!("{}\n{}", mode_line(&entered), overlay_line(directory, &entered))
            }
            Err(error) => format!("refused {}", one_line(&error)),
        };
        if let Ok(owned) = descriptor.try_clone_to_owned() {
            // The parent takes an answer that does not come as "unknown".
            fs::File::from(owned).write_all(text.as_bytes()).unwrap_or(());
        }
    });
    match answer {
        Ok(bytes) => read_answer(&String::from_utf8_lossy(&bytes)),
        Err(error) => (Namespaces::Refused(one_line(&error)), Overlay::Unknown),
    }
}

fn read_answer(text: &str) -> (Namespaces, Overlay) {
    let (mode, overlay) = text.split_once('\n').unwrap_or((text, "unknown"));
    let (word, rest) = mode.split_once(' ').unwrap_or((mode, ""));
    let namespaces = match word {
        "root" => Namespaces::Root,
        "sub-ids" => Namespaces::SubIds,
        "nested" => Namespaces::Nested,
        "single-id" => Namespaces::SingleId(rest.into()),
        _ => Namespaces::Refused(rest.into()),
    };
    let overlay = match overlay.split_once(' ').unwrap_or((overlay, "")) {
        ("mountable", _) => Overlay::Mountable,
        ("refused", why) => Overlay::Refused(why.into()),
        _ => Overlay::Unknown,
    };
    (namespaces, overlay)
}

fn mode_line(entered: &Entered) -> String {
    match &entered.mode {
        Mode::Root => "root".into(),
        Mode::SubIds { .. } => "sub-ids".into(),
        Mode::SingleId { reason } => format!("single-id {reason}"),
        Mode::Nested => "nested".into(),
    }
}

fn overlay_line(directory: &Path, entered: &Entered) -> String {
    match try_overlay(directory, entered) {
        Ok(()) => "mountable".into(),
        Err(error) => format!("refused {}", one_line(&error)),
    }
}

fn try_overlay(directory: &Path, entered: &Entered) -> std::io::Result<()> {
    let probe = directory.join(format!(".probe-{}", std::process::id()));
    fs::create_dir(&probe)?;
    let mounted = (|| {
        for name in ["l", "u", "w", "m"] {
            fs::create_dir(probe.join(name))?;
        }
        std::env::set_current_dir(&probe)?;
        let userxattr = if entered.userxattr() { ",userxattr" } else { "" };
        let options = format!("lowerdir=l,upperdir=u,workdir=w{userxattr}");
        nix::mount::mount(
            Some("overlay"),
            "m",
            Some("overlay"),
            MsFlags::empty(),
            Some(&*options),
        )?;
        nix::mount::umount2("m", nix::mount::MntFlags::MNT_DETACH)?;
        Ok(())
    })();
    let removed = fs::remove_dir_all(&probe);
    mounted.and(removed)
}

/// Returns the error and its causes on one line.
fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_s_answer_is_read_back() {
        assert_eq!(read_answer("root\nmountable"), (Namespaces::Root, Overlay::Mountable));
        assert_eq!(
            read_answer("single-id no line\nrefused EPERM: no"),
            (Namespaces::SingleId("no line".into()), Overlay::Refused("EPERM: no".into()))
        );
        assert_eq!(
            read_answer("refused why not"),
            (Namespaces::Refused("why not".into()), Overlay::Unknown)
        );
        assert_eq!(read_answer(""), (Namespaces::Refused(String::new()), Overlay::Unknown));
    }
}
