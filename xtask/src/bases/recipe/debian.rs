//! Debian itself, and what Docker Hub's larger images add to it. Also busybox, whose binary is Debian's.

use std::fs;

use anyhow::Result;

use super::super::pack::EPOCH;
use super::super::root::{Bench, set_mode};
use crate::sh::Cmd;

/// The public mirror, for machines that are no Debian or have a list this module does not understand.
const MIRROR: &str = "http://deb.debian.org/debian";
const SECURITY_MIRROR: &str = "http://deb.debian.org/debian-security";

/// What the slim images leave out.
const EXCLUDED: [&str; 6] = [
    "path-exclude=/usr/share/doc/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/man/*",
    "path-include=/usr/share/locale/locale.alias",
];

pub(in super::super) fn bookworm(bench: &Bench<'_>) -> Result<()> {
    base(bench, "bookworm")
}

pub(in super::super) fn bullseye(bench: &Bench<'_>) -> Result<()> {
    base(bench, "bullseye")
}

/// What `buildpack-deps` is to the real images: compilers, git and curl.
pub(in super::super) fn buildpack(bench: &Bench<'_>) -> Result<()> {
    bench.apt_install("bookworm", &["build-essential", "curl", "git", "python3"])
}

pub(in super::super) fn busybox(bench: &Bench<'_>) -> Result<()> {
    for folder in ["bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr/bin", "usr/sbin"]
    {
        bench.folder(folder.as_ref())?;
    }
    for folder in ["sbin", "var/spool", "var/www"] {
        bench.folder(folder.as_ref())?;
    }
    let binary = bench.donor()?.join("usr/bin/busybox");
    let binary = if binary.exists() { binary } else { bench.donor()?.join("bin/busybox") };
    Cmd::new("cp").arg("-p").arg(binary).arg(bench.path("bin/busybox")).run()?;
    set_mode(&bench.path("tmp"), 0o1777)?;
    set_mode(&bench.path("root"), 0o700)?;
    let users = "root:x:0:0:root:/root:/bin/sh\n\
        nobody:x:65534:65534:nobody:/home:/bin/false\n";
    bench.write("etc/passwd", 0o644, users)?;
    bench.write("etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n")?;
    Cmd::new("chroot")
        .arg(bench.root())
        .args(["/bin/busybox", "sh", "-c", "/bin/busybox --install -s"])
        .run()
}

fn base(bench: &Bench<'_>, suite: &str) -> Result<()> {
    let mirrors = Mirrors::of_this_machine();
    let mut debootstrap = Cmd::new("mmdebstrap")
        .args(["--quiet", "--mode=root", "--variant=minbase", "--format=directory"])
        // A machine's clock may be ahead of what its mirror holds; signatures are still checked.
        .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
        .arg("--include=ca-certificates")
        .env("SOURCE_DATE_EPOCH", EPOCH)
        .env("TMPDIR", bench.shop.state.work());
    for rule in EXCLUDED {
        debootstrap = debootstrap.arg(format!("--dpkgopt={rule}"));
    }
    debootstrap
        .args([suite.as_ref(), bench.root().as_os_str()])
        .arg(format!("deb {} {suite} main", mirrors.debian))
        .arg(format!("deb {} {suite}-updates main", mirrors.debian))
        .arg(format!("deb {} {suite}-security main", mirrors.security))
        .run()?;
    // Archives that an image's own `apt-get install` leaves would only grow its layers.
    let keep_none = "APT::Keep-Downloaded-Packages \"false\";\n";
    bench.write("etc/apt/apt.conf.d/90keep-none", 0o644, keep_none)?;
    // As in the real image: packages start no services while they are installed.
    bench.write("usr/sbin/policy-rc.d", 0o755, "#!/bin/sh\nexit 101\n")?;
    bench.write("etc/machine-id", 0o444, "")
}

/// The addresses of Debian's archives.
#[derive(Debug, PartialEq, Eq)]
struct Mirrors {
    debian: String,
    security: String,
}

impl Mirrors {
    /// Reads this machine's apt configuration: what it installs from is what it can reach.
    fn of_this_machine() -> Self {
        let mut text = fs::read_to_string("/etc/apt/sources.list").unwrap_or_default();
        let more = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
        let mut files: Vec<_> = more.map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            text.push('\n');
            text.push_str(&fs::read_to_string(file).unwrap_or_default());
        }
        Self::parse(&text)
    }

    /// Finds the addresses in lists of either format, one-line or deb822.
    fn parse(text: &str) -> Self {
        let words = text
            .lines()
            .filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"))
            .flat_map(str::split_whitespace)
            .filter(|word| word.starts_with("http"))
            .map(|word| word.trim_end_matches('/'));
        let find = |end: &str, default: &str| {
            words.clone().find(|w| w.ends_with(end)).unwrap_or(default).to_owned()
        };
        Self {
            debian: find("/debian", MIRROR),
            security: find("/debian-security", SECURITY_MIRROR),
        }
    }
}

/// Returns the machine's multiarch folder name, like `x86_64-linux-gnu`.
pub(super) fn multiarch() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, debian: &str, security: &str) {
        let expected = Mirrors { debian: debian.to_owned(), security: security.to_owned() };
        assert_eq!(Mirrors::parse(text), expected, "{text}");
    }

    #[test]
    fn mirrors_are_found_in_both_formats() {
        check("", MIRROR, SECURITY_MIRROR);
        check(
            "deb [trusted=yes] http://mirror.example/debian/ bookworm main\n\
             deb http://mirror.example/debian-security bookworm-security main",
            "http://mirror.example/debian",
            "http://mirror.example/debian-security",
        );
        check(
            "Types: deb\n# URIs: http://old.example/debian\nURIs: http://new.example/debian\n",
            "http://new.example/debian",
            SECURITY_MIRROR,
        );
    }
}
