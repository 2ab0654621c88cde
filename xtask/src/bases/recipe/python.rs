//! Python 3.9, which is Debian bullseye's.

use std::fs;

use anyhow::{Context as _, Result};

use super::super::root::Bench;

pub(in super::super) fn slim(bench: &Bench<'_>) -> Result<()> {
    let packages = ["python3", "python3-pip", "python3-venv", "python-is-python3"];
    bench.apt_install("bullseye", &packages)?;
    // Debian compiles modules in the order in which the file system lists them, and Python 3.9's result depends
    // on what the same process compiled before: a sorted second time makes the digest stable.
    bench.chroot(
        "unset SOURCE_DATE_EPOCH; python3 -m compileall -q -f /usr/lib/python3 /usr/lib/python3.9",
    )?;
    // Debian's pip installs into `dist-packages`, the real image's into `site-packages`, which Dockerfiles
    // copy from one stage to another: both names mean one folder here.
    let library = bench.path("usr/local/lib/python3.9");
    let (dist, site) = (library.join("dist-packages"), library.join("site-packages"));
    if dist.is_dir() {
        fs::rename(&dist, &site).with_context(|| format!("rename {}", dist.display()))?;
    }
    fs::create_dir_all(&site).with_context(|| format!("create {}", site.display()))?;
    bench.link("site-packages", "usr/local/lib/python3.9/dist-packages")
}

/// What the image without `-slim` has more: compilers and headers.
pub(in super::super) fn full(bench: &Bench<'_>) -> Result<()> {
    bench.apt_install("bullseye", &["build-essential", "curl", "git", "python3-dev"])
}
