//! Limits on memory and processors: a control group for each sandbox.
//!
//! Making one takes rights that a normal user often has not, and that nobody
//! has in many containers. So it is a value of its own, made before the sandbox:
//! whoever cannot have it can go on without and tell why. The group of a running
//! sandbox is removed by its init stage, which survives a killed caller.

mod layout;
mod settings;

use std::io;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use layout::Hierarchy;
use layout::Layout;
use layout::Version;

/// Controllers in which a group with a given parent is made, limits or not.
const USUAL: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];
/// How often and how long to try to remove a group whose processes are dying.
const REMOVE_ROUNDS: u32 = 50;
const REMOVE_PAUSE: Duration = Duration::from_millis(1);

/// What a sandbox may use at most. `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Bytes.
    pub memory: Option<u64>,
    /// Bytes of memory and swap together, -1 for no limit of swap.
    pub memory_swap: Option<i64>,
    /// Weight against other groups, 2 to 262144; 1024 is usual.
    pub cpu_shares: Option<u64>,
    /// Microseconds in which the quota may be used; 100000 is usual.
    pub cpu_period: Option<u64>,
    /// Microseconds of processor time in each period, -1 for no limit.
    pub cpu_quota: Option<i64>,
    /// Processors, as `0-3,5`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes, as `0-1`.
    pub cpuset_mems: Option<String>,
}

/// Why there can be no control group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the limits of `{controller}` cannot be set: {reason}")]
pub struct Unavailable {
    /// The controller which is missing or refuses.
    pub controller: String,
    /// What is in the way, and what to do about it if there is something.
    pub reason: String,
}

/// A control group for one sandbox, removed when this value is dropped after it.
#[derive(Debug, PartialEq, Eq)]
pub struct ControlGroup {
    directories: Vec<PathBuf>,
}

impl ControlGroup {
    /// Makes a control group below `parent`, a path from the root of the
    /// hierarchies (`--cgroup-parent`); beside the caller's own without one.
    pub fn create(parent: Option<&str>, limits: &ResourceLimits) -> Result<Self, Unavailable> {
        let layout = read_layout();
        let mut group = Self { directories: Vec::new() };
        let needed = settings::controllers(limits);
        for controller in wanted(parent, &needed) {
            let hierarchy = match find(&layout, controller) {
                Some(hierarchy) => hierarchy,
                None if needed.contains(&controller) => {
                    let reason = "the kernel has no control groups for it, or none is mounted \
                                  below /sys/fs/cgroup";
                    return Err(unavailable(controller, reason));
                }
                None => continue,
            };
            group.add(hierarchy, controller, parent, limits)?;
        }
        Ok(group)
    }

    /// Returns what belongs into [`Sandbox::cgroups`](crate::Sandbox::cgroups).
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Makes the group in the hierarchy of a controller and sets its limits.
    fn add(
        &mut self,
        hierarchy: &Hierarchy,
        controller: &str,
        parent: Option<&str>,
        limits: &ResourceLimits,
    ) -> Result<(), Unavailable> {
        let parent = parent_of(hierarchy, controller, parent)?;
        make_parents(hierarchy, controller, &parent)?;
        let directory = parent.join(name());
        let found = self.directories.iter().find(|made| made.parent() == Some(&parent));
        let directory = if let Some(found) = found {
            found.clone()
        } else {
            make(&directory, controller)?;
            self.directories.push(directory.clone());
            directory
        };
        if (hierarchy.version, controller) == (Version::One, "cpuset") {
            inherit_cpuset(&directory)?;
        }
        let settings = settings::settings(limits, hierarchy.version);
        for setting in settings.iter().filter(|setting| setting.controller == controller) {
            write(controller, &directory.join(setting.file), &setting.value)?;
        }
        Ok(())
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        remove(&self.directories);
    }
}

/// Removes groups; those which are used or gone already stay as they are.
pub(crate) fn remove(directories: &[PathBuf]) {
    for directory in directories {
        for _ in 0..REMOVE_ROUNDS {
            match std::fs::remove_dir(directory) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(REMOVE_PAUSE);
                }
                // An empty group that cannot be removed harms nobody.
                _ => break,
            }
        }
    }
}

fn read_layout() -> Layout {
    // Without /proc there are no control groups to find.
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    Layout::parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
}

fn wanted(parent: Option<&str>, needed: &[&'static str]) -> Vec<&'static str> {
    let wanted = |name: &&str| parent.is_some() || needed.contains(name);
    USUAL.into_iter().filter(wanted).collect()
}

fn find<'a>(layout: &'a Layout, controller: &str) -> Option<&'a Hierarchy> {
    layout.of_controller(controller).or_else(|| {
        let unified = layout.unified()?;
        lists(&unified.mount.join("cgroup.controllers"), controller).then_some(unified)
    })
}

/// Returns whether a file of the unified hierarchy lists a controller.
fn lists(path: &Path, controller: &str) -> bool {
    std::fs::read_to_string(path)
        .is_ok_and(|text| text.split_whitespace().any(|name| name == controller))
}

/// Returns the directory in which groups are to be made.
fn parent_of(
    hierarchy: &Hierarchy,
    controller: &str,
    parent: Option<&str>,
) -> Result<PathBuf, Unavailable> {
    let Some(parent) = parent else {
        return Ok(match hierarchy.version {
            Version::One => hierarchy.mount.join(&hierarchy.own),
            // A group with processes in it, such as the own one, may not have
            // limited groups below.
            Version::Two => hierarchy.mount.join(hierarchy.own.parent().unwrap_or(Path::new(""))),
        });
    };
    let relative = Path::new(parent.trim_start_matches('/'));
    if relative.components().all(|part| matches!(part, Component::Normal(_))) {
        Ok(hierarchy.mount.join(relative))
    } else {
        Err(unavailable(controller, format!("`{parent}` is no path of a control group")))
    }
}

/// Makes what is missing above a group, and passes the controller down to it.
fn make_parents(hierarchy: &Hierarchy, controller: &str, parent: &Path) -> Result<(), Unavailable> {
    let levels: Vec<&Path> =
        parent.ancestors().take_while(|level| level.starts_with(&hierarchy.mount)).collect();
    for level in levels.into_iter().rev() {
        if !level.exists() {
            make(level, controller)?;
        }
        match hierarchy.version {
            Version::One if controller == "cpuset" && level != hierarchy.mount => {
                inherit_cpuset(level)?;
            }
            Version::One => {}
            Version::Two => {
                let file = level.join("cgroup.subtree_control");
                if !lists(&file, controller) {
                    write(controller, &file, &format!("+{controller}"))?;
                }
            }
        }
    }
    Ok(())
}

fn make(directory: &Path, controller: &str) -> Result<(), Unavailable> {
    match std::fs::create_dir(directory) {
        // Another thread or process may have been faster with a parent.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(refused(controller, "make", directory, &error)),
        Ok(()) => Ok(()),
    }
}

/// A new cpuset of version 1 is empty and takes no process until it is filled.
fn inherit_cpuset(directory: &Path) -> Result<(), Unavailable> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let read = |directory: &Path| {
            let path = directory.join(file);
            let text = std::fs::read_to_string(&path);
            text.map_err(|error| refused("cpuset", "read", &path, &error))
        };
        if read(directory)?.trim().is_empty() {
            let above = read(directory.parent().unwrap_or(directory))?;
            write("cpuset", &directory.join(file), above.trim())?;
        }
    }
    Ok(())
}

fn write(controller: &str, path: &Path, value: &str) -> Result<(), Unavailable> {
    // Not created where it is missing: that is a controller which is off.
    let written = std::fs::File::options()
        .write(true)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
    written.map_err(|error| refused(controller, &format!("write `{value}` to"), path, &error))
}

fn refused(controller: &str, action: &str, path: &Path, error: &io::Error) -> Unavailable {
    let path = path.display();
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            " (a normal user needs a group of version 2 that was delegated: \
             `systemd-run --user --scope`)"
        }
        io::ErrorKind::ResourceBusy => " (there are processes in this group)",
        io::ErrorKind::ReadOnlyFilesystem => " (control groups are read-only in this container)",
        _ => "",
    };
    let reason = crate::wire::reason(error);
    unavailable(controller, format!("{action} `{path}`: {reason}{hint}"))
}

fn unavailable(controller: &str, reason: impl Into<String>) -> Unavailable {
    Unavailable { controller: controller.to_owned(), reason: reason.into() }
}

/// Returns a name for a group of this process.
fn name() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("lathe-{}-{number}", std::process::id())
}

/// Moves the calling process into groups.
pub(crate) fn join(directories: &[PathBuf]) -> io::Result<()> {
    directories.iter().try_for_each(|directory| std::fs::write(directory.join("cgroup.procs"), "0"))
}
