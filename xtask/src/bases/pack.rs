//! From a tree to a compressed layer blob, with both digests from one pass.
//!
//! GNU tar and gzip do the work: they are on every Debian machine, and what lathe is tested on must not come
//! out of lathe's own archive writer. Names are sorted and times limited to a fixed one, so equal packages
//! give equal digests.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Stdio;
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use super::state::{LayerRecord, State, digest_text};
use crate::sh::Cmd;

/// 2025-01-01T00:00:00Z: the newest time, in seconds since 1970, that a file of a stand-in may have.
pub(super) const EPOCH: &str = "1735689600";

/// Packs a tree as a layer blob of the layout and returns its record.
pub(super) fn pack(
    state: &State,
    tree: &Path,
    revision: u64,
    below: Vec<String>,
) -> Result<LayerRecord> {
    refuse_whiteouts(tree)?;
    let folder = state.layout().join("blobs/sha256");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let partial = folder.join(format!("partial-{:?}", thread::current().id()));

    let mut tar = tar_command(tree)?.spawn(Stdio::piped(), Stdio::inherit())?;
    let mut gzip = gzip_command().spawn(Stdio::piped(), Stdio::inherit())?;
    let tar_out = tar.stdout.take().expect("standard output is a pipe");
    let mut gzip_in = gzip.stdin.take().expect("standard input is a pipe");
    let gzip_out = gzip.stdout.take().expect("standard output is a pipe");

    let (diff_id, blob) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut file =
                File::create(&partial).with_context(|| format!("create {}", partial.display()))?;
            hash_through(gzip_out, |bytes| file.write_all(bytes))
        });
        let diff = hash_through(tar_out, |bytes| gzip_in.write_all(bytes));
        drop(gzip_in);
        (diff, writer.join().expect("the writer does not panic"))
    });
    ensure!(tar.wait().context("wait for tar")?.success(), "tar of {} failed", tree.display());
    ensure!(gzip.wait().context("wait for gzip")?.success(), "gzip failed");
    let ((diff_id, _), (digest, size)) = (diff_id?, blob?);
    let place = state.blob(&digest);
    fs::rename(&partial, &place).with_context(|| format!("rename to {}", place.display()))?;
    Ok(LayerRecord { revision, digest, diff_id, size, below })
}

/// Unpacks a layer blob into a new folder, for layers that are made on top of a kept one.
pub(super) fn unpack(state: &State, digest: &str, tree: &Path) -> Result<()> {
    fs::create_dir_all(tree).with_context(|| format!("create {}", tree.display()))?;
    let blob = state.blob(digest);
    Cmd::new("tar")
        .args(["--extract", "--gzip", "--numeric-owner", "--preserve-permissions"])
        .arg("--directory")
        .arg(tree)
        .arg("--file")
        .arg(blob)
        .run()
}

fn tar_command(tree: &Path) -> Result<Cmd> {
    let entries = fs::read_dir(tree).with_context(|| format!("list {}", tree.display()))?;
    let mut names: Vec<OsString> = entries
        .map(|entry| entry.map(|e| e.file_name()))
        .collect::<std::io::Result<_>>()
        .with_context(|| format!("list {}", tree.display()))?;
    names.sort();
    // Names instead of `.`: the entries of real images have no `./` before them.
    let command = Cmd::new("tar")
        .args(["--create", "--format=gnu", "--sort=name", "--numeric-owner", "--clamp-mtime"])
        .arg(format!("--mtime=@{EPOCH}"))
        .args(["--one-file-system", "--warning=no-file-ignored", "--directory"])
        .arg(tree)
        .arg("--")
        .args(names);
    Ok(command)
}

fn gzip_command() -> Cmd {
    // An input, even an empty one, makes standard input a pipe.
    Cmd::new("gzip").args(["-n", "-1"]).input("")
}

/// Reads to the end, gives each piece to `sink` and returns digest and length of the whole.
fn hash_through(
    mut source: impl Read,
    mut sink: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<(String, u64)> {
    let mut hash = Sha256::new();
    let mut length = 0;
    let mut buffer = vec![0; 1 << 17];
    loop {
        let read = source.read(&mut buffer).context("read a layer")?;
        if read == 0 {
            return Ok((digest_text(hash), length));
        }
        hash.update(&buffer[..read]);
        sink(&buffer[..read]).context("write a layer")?;
        length += read as u64;
    }
}

/// Fails where an overlay has recorded a deletion: recipes only add, so none has to be translated.
fn refuse_whiteouts(tree: &Path) -> Result<()> {
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("list {}", folder.display()))?;
            let path = entry.path();
            let metadata = entry.metadata().with_context(|| format!("stat {}", path.display()))?;
            if metadata.file_type().is_char_device() && metadata.rdev() == 0 {
                bail!("a recipe deleted {} of a layer below", path.display());
            }
            if metadata.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(())
}
