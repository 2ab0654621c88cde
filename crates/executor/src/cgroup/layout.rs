//! Where the control groups of this machine are (`cgroups(7)`): one unified
//! hierarchy (version 2), one for each controller (version 1), or both. Pure.

use std::path::Path;
use std::path::PathBuf;

/// The two interfaces of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) version: Version,
    pub(super) mount: PathBuf,
    /// The group of the calling process, relative to the mount.
    pub(super) own: PathBuf,
    /// Controllers of a version 1 hierarchy.
    controllers: Vec<String>,
}

/// All mounted hierarchies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout(Vec<Hierarchy>);

impl Layout {
    /// Reads `/proc/self/mountinfo` and `/proc/self/cgroup`.
    pub(super) fn parse(mountinfo: &str, groups: &str) -> Self {
        Self(mountinfo.lines().filter_map(|line| hierarchy(line, groups)).collect())
    }

    /// Returns the version 1 hierarchy of a controller. The kernel gives a
    /// controller to one hierarchy only, so this one comes first.
    pub(super) fn of_controller(&self, controller: &str) -> Option<&Hierarchy> {
        self.0.iter().find(|hierarchy| hierarchy.controllers.iter().any(|name| name == controller))
    }

    /// Returns the unified hierarchy.
    pub(super) fn unified(&self) -> Option<&Hierarchy> {
        self.0.iter().find(|hierarchy| hierarchy.version == Version::Two)
    }
}

/// Reads a line of `/proc/self/mountinfo` (`proc_pid_mountinfo(5)`).
fn hierarchy(line: &str, groups: &str) -> Option<Hierarchy> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ');
    let (root, mount) = (mount.nth(3)?, mount.next()?);
    let mut filesystem = filesystem.split(' ');
    let version = match filesystem.next()? {
        "cgroup" => Version::One,
        "cgroup2" => Version::Two,
        _ => return None,
    };
    let options = filesystem.nth(1)?.split(',').map(str::to_owned);
    let controllers: Vec<String> =
        if version == Version::One { options.collect() } else { Vec::new() };
    // A mount may show a part of the hierarchy only, as in a container.
    let own = own_group(groups, version, &controllers)?;
    let own = Path::new(own).strip_prefix(root).ok()?.to_owned();
    Some(Hierarchy { version, mount: mount.into(), own, controllers })
}

/// Returns the calling process's group in a hierarchy.
fn own_group<'a>(groups: &'a str, version: Version, controllers: &[String]) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, names, path) = (fields.next()?, fields.next()?, fields.next()?);
        let found = match version {
            Version::Two => names.is_empty(),
            Version::One => names.split(',').any(|name| controllers.iter().any(|one| one == name)),
        };
        found.then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str =
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const BOTH: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
        35 31 0:32 /docker/x /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn a_unified_hierarchy_is_found() {
        let layout = Layout::parse(UNIFIED, "0::/user.slice/a.scope\n");
        let unified = layout.unified().expect("it is there");
        assert_eq!(unified.mount, Path::new("/sys/fs/cgroup"));
        assert_eq!(unified.own, Path::new("user.slice/a.scope"));
        assert_eq!(layout.of_controller("memory"), None);
    }

    #[test]
    fn controllers_of_their_own_hierarchy_are_found() {
        let groups = "4:memory:/docker/x/y\n1:cpu,cpuacct:/\n0::/\n";
        let layout = Layout::parse(BOTH, groups);
        let memory = layout.of_controller("memory").expect("it is there");
        assert_eq!((memory.version, memory.own.as_path()), (Version::One, Path::new("y")));
        let cpu = layout.of_controller("cpu").expect("it is there");
        assert_eq!(cpu.mount, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(cpu.own, Path::new(""));
        assert!(layout.unified().is_some());
        assert_eq!(layout.of_controller("cpuset"), None);
    }

    #[test]
    fn a_hierarchy_in_which_one_is_not_is_none() {
        let layout = Layout::parse(BOTH, "4:memory:/elsewhere\n");
        assert_eq!(layout, Layout(Vec::new()));
    }
}
