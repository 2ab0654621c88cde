//! `lathe doctor`: what the machine allows, in words, each lack with its remedy.

use std::fmt::Write as _;

use lathe_userns::doctor::{Access, Cgroup, Facts, Namespaces, Overlay};
use serde_json::{Value, json};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grade {
    Good,
    /// It works, with less.
    Reduced,
    /// Builds cannot work.
    Broken,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) grade: Grade,
    subject: &'static str,
    text: String,
    /// What to do about it.
    remedy: Option<String>,
}

impl Finding {
    fn new(grade: Grade, subject: &'static str, text: impl Into<String>) -> Self {
        Self { grade, subject, text: text.into(), remedy: None }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Judges the facts.
pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    vec![
        namespaces(facts),
        overlay(&facts.overlay),
        network(facts),
        seccomp(facts.seccomp),
        cgroup(facts.cgroup),
    ]
}

/// Renders findings for people.
pub(crate) fn doctor(facts: &Facts, findings: &[Finding]) -> String {
    let mut out = format!("kernel {}, user id {}\n", facts.kernel, facts.uid);
    for finding in findings {
        let mark = match finding.grade {
            Grade::Good => "ok",
            Grade::Reduced => "less",
            Grade::Broken => "FAIL",
        };
        writeln!(out, "{mark:<5} {:<12} {}", finding.subject, finding.text)
            .expect("writing to a string cannot fail");
        if let Some(remedy) = &finding.remedy {
            writeln!(out, "{:<18} hint: {remedy}", "").expect("writing to a string cannot fail");
        }
    }
    out
}

/// Renders findings as data.
pub(crate) fn doctor_json(facts: &Facts, findings: &[Finding]) -> Value {
    let all: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({
                "Subject": finding.subject,
                "Grade": format!("{:?}", finding.grade).to_lowercase(),
                "Text": finding.text,
                "Remedy": finding.remedy,
            })
        })
        .collect();
    json!({ "Kernel": facts.kernel, "Uid": facts.uid, "Findings": all })
}

fn namespaces(facts: &Facts) -> Finding {
    const SUBJECT: &str = "namespaces";
    match &facts.namespaces {
        Namespaces::Root => {
            Finding::new(Grade::Good, SUBJECT, "root, with a mount namespace of its own")
        }
        Namespaces::SubIds => {
            let ids: u64 = facts.subuids.iter().map(|range| u64::from(range.count)).sum();
            let text = format!("user namespace with {ids} subordinate ids");
            Finding::new(Grade::Good, SUBJECT, text)
        }
        Namespaces::Nested => {
            Finding::new(Grade::Good, SUBJECT, "root of a user namespace that exists already")
        }
        Namespaces::SingleId(reason) => Finding::new(
            Grade::Reduced,
            SUBJECT,
            "user namespace with a single id: steps that change owners (apt, useradd) will fail",
        )
        .remedy(reason.as_str()),
        Namespaces::Refused(reason) => Finding::new(Grade::Broken, SUBJECT, reason.as_str()),
    }
}

fn overlay(overlay: &Overlay) -> Finding {
    match overlay {
        Overlay::Mountable => {
            Finding::new(Grade::Good, "overlay", "mountable on the store's folder")
        }
        Overlay::Refused(reason) => {
            let text = format!("not mountable ({reason}): layers are copied, which is slower");
            Finding::new(Grade::Reduced, "overlay", text)
                .remedy("put the store on ext4, xfs or btrfs with `--root`; a normal user needs kernel 5.11")
        }
        Overlay::Unknown => Finding::new(Grade::Broken, "overlay", "not known without namespaces"),
    }
}

fn network(facts: &Facts) -> Finding {
    const SUBJECT: &str = "network";
    let reduced = "containers of a normal user have no way out; published ports work";
    match (&facts.namespaces, &facts.pasta, facts.tun) {
        (Namespaces::Root, ..) => Finding::new(Grade::Good, SUBJECT, "own network per container"),
        (_, Some(_), Access::Usable) => {
            Finding::new(Grade::Good, SUBJECT, "own network per container, by pasta")
        }
        (_, None, _) => Finding::new(Grade::Reduced, SUBJECT, reduced)
            .remedy("install pasta (Debian: `apt install passt`)"),
        (_, Some(_), Access::Denied) => Finding::new(Grade::Reduced, SUBJECT, reduced)
            .remedy("let users open /dev/net/tun (as root: `chmod 666 /dev/net/tun`)"),
        (_, Some(_), Access::Missing) => Finding::new(Grade::Reduced, SUBJECT, reduced)
            .remedy("load the tun driver (as root: `modprobe tun`)"),
    }
}

fn seccomp(there: bool) -> Finding {
    if there {
        Finding::new(Grade::Good, "seccomp", "system calls of steps are filtered")
    } else {
        Finding::new(Grade::Reduced, "seccomp", "this kernel cannot filter system calls")
    }
}

fn cgroup(cgroup: Cgroup) -> Finding {
    let text = match cgroup {
        Cgroup::V2 => "version 2",
        Cgroup::V1 => "version 1",
        Cgroup::None => "none",
    };
    // Nothing needs them yet, so their absence takes nothing away.
    Finding::new(Grade::Good, "cgroup", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            kernel: "6.1.0".to_owned(),
            uid: 1000,
            namespaces: Namespaces::Root,
            newuidmap: None,
            newgidmap: None,
            subuids: Vec::new(),
            subgids: Vec::new(),
            overlay: Overlay::Mountable,
            tun: Access::Usable,
            pasta: None,
            cgroup: Cgroup::V2,
            seccomp: true,
        }
    }

    fn worst(facts: &Facts) -> Grade {
        findings(facts).iter().map(|finding| finding.grade).max().expect("findings")
    }

    #[test]
    fn a_machine_that_allows_all_is_good() {
        let facts = facts();
        let text = doctor(&facts, &findings(&facts));
        assert_eq!(worst(&facts), Grade::Good, "{text}");
        assert!(text.starts_with("kernel 6.1.0, user id 1000\nok    namespaces   root"), "{text}");
    }

    #[test]
    fn every_lack_comes_with_a_remedy() {
        let single = Namespaces::SingleId("`newuidmap` is not installed".to_owned());
        let facts = Facts { namespaces: single, ..facts() };
        let text = doctor(&facts, &findings(&facts));
        assert_eq!(worst(&facts), Grade::Reduced);
        assert!(text.contains("hint: `newuidmap` is not installed"), "{text}");
        assert!(text.contains("hint: install pasta"), "{text}");
        let facts = Facts {
            namespaces: Namespaces::Refused("no".to_owned()),
            overlay: Overlay::Unknown,
            ..facts
        };
        assert_eq!(worst(&facts), Grade::Broken);
        assert_eq!(doctor_json(&facts, &findings(&facts))["Findings"][0]["Grade"], "broken");
    }
}
