//! Limits as the kernel's files want them (`Documentation/admin-guide/cgroup-v2.rst`
//! and `cgroup-v1/`). Pure.

use super::ResourceLimits;
use super::layout::Version;

/// One value to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) controller: &'static str,
    pub(super) file: &'static str,
    pub(super) value: String,
}

/// Period of quotas when none is given, in microseconds: the kernel's default.
const PERIOD: u64 = 100_000;

/// Returns the controllers that limits need, sorted.
pub(super) fn controllers(limits: &ResourceLimits) -> Vec<&'static str> {
    let mut names: Vec<_> =
        settings(limits, Version::Two).iter().map(|setting| setting.controller).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns what to write, in order.
pub(super) fn settings(limits: &ResourceLimits, version: Version) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut set = |controller, file, value: Option<String>| {
        settings.extend(value.map(|value| Setting { controller, file, value }));
    };
    let text = |number: Option<u64>| number.map(|number| number.to_string());
    match version {
        Version::One => {
            set("memory", "memory.limit_in_bytes", text(limits.memory));
            let swap = limits.memory_swap.map(|swap| swap.to_string());
            set("memory", "memory.memsw.limit_in_bytes", swap);
            set("cpu", "cpu.shares", text(limits.cpu_shares));
            set("cpu", "cpu.cfs_period_us", text(limits.cpu_period));
            set("cpu", "cpu.cfs_quota_us", limits.cpu_quota.map(|quota| quota.to_string()));
        }
        Version::Two => {
            set("memory", "memory.max", text(limits.memory));
            set("memory", "memory.swap.max", swap(limits));
            set("cpu", "cpu.weight", text(limits.cpu_shares.map(weight)));
            set("cpu", "cpu.max", quota(limits));
        }
    }
    set("cpuset", "cpuset.cpus", limits.cpuset_cpus.clone());
    set("cpuset", "cpuset.mems", limits.cpuset_mems.clone());
    settings
}

/// Docker's number is of memory and swap together, the kernel's of swap alone.
fn swap(limits: &ResourceLimits) -> Option<String> {
    match (limits.memory_swap?, limits.memory) {
        (-1, _) => Some("max".to_owned()),
        (both, memory) => {
            let memory = i64::try_from(memory.unwrap_or(0)).unwrap_or(i64::MAX);
            Some(both.saturating_sub(memory).max(0).to_string())
        }
    }
}

fn quota(limits: &ResourceLimits) -> Option<String> {
    if limits.cpu_quota.is_none() && limits.cpu_period.is_none() {
        return None;
    }
    let period = limits.cpu_period.unwrap_or(PERIOD);
    Some(match limits.cpu_quota {
        Some(quota @ 1..) => format!("{quota} {period}"),
        _ => format!("max {period}"),
    })
}

/// Shares are 2 to 262144, weights 1 to 10000; the usual straight line between.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(limits: &ResourceLimits, version: Version, expected: &[(&str, &str)]) {
        let settings = settings(limits, version);
        let found: Vec<_> =
            settings.iter().map(|setting| (setting.file, setting.value.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn both_versions_get_the_same_limits() {
        let limits = ResourceLimits {
            memory: Some(100),
            memory_swap: Some(300),
            cpu_shares: Some(262_144),
            cpu_period: Some(50_000),
            cpu_quota: Some(25_000),
            cpuset_cpus: Some("0-1".to_owned()),
            cpuset_mems: None,
        };
        check(
            &limits,
            Version::One,
            &[
                ("memory.limit_in_bytes", "100"),
                ("memory.memsw.limit_in_bytes", "300"),
                ("cpu.shares", "262144"),
                ("cpu.cfs_period_us", "50000"),
                ("cpu.cfs_quota_us", "25000"),
                ("cpuset.cpus", "0-1"),
            ],
        );
        check(
            &limits,
            Version::Two,
            &[
                ("memory.max", "100"),
                ("memory.swap.max", "200"),
                ("cpu.weight", "10000"),
                ("cpu.max", "25000 50000"),
                ("cpuset.cpus", "0-1"),
            ],
        );
        assert_eq!(controllers(&limits), ["cpu", "cpuset", "memory"]);
    }

    #[test]
    fn what_is_not_limited_is_not_written() {
        check(&ResourceLimits::default(), Version::One, &[]);
        check(&ResourceLimits::default(), Version::Two, &[]);
        let limits = ResourceLimits { memory_swap: Some(-1), ..ResourceLimits::default() };
        check(&limits, Version::Two, &[("memory.swap.max", "max")]);
        let limits = ResourceLimits { cpu_quota: Some(-1), ..ResourceLimits::default() };
        check(&limits, Version::Two, &[("cpu.max", "max 100000")]);
    }
}
