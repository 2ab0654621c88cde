//! Archives for contexts: tars of entries, packed in each way that `ADD` knows.

use anyhow::{Context as _, Result, bail};
use lathe_testkit::fixture::{self, Entry};

use super::place::{Placed, What};
use crate::sh::Cmd;

/// Returns the archive of some files. What it is packed with is the end of `kind`, or of a file's name.
pub(super) fn pack(kind: &str, files: &[Placed]) -> Result<Vec<u8>> {
    let entries: Vec<Entry> = files.iter().map(|file| entry(file, files)).collect::<Result<_>>()?;
    let tar = fixture::archive(&entries);
    let is = |ends: &[&str]| ends.iter().any(|end| kind.ends_with(end));
    if is(&["tar.gz", ".tgz"]) {
        Ok(fixture::gzip(&tar))
    } else if is(&["tar.bz2"]) {
        filter("bzip2", tar)
    } else if is(&["tar.xz"]) {
        filter("xz", tar)
    } else if is(&["tar.zst"]) {
        filter("zstd", tar)
    } else if is(&["tar"]) {
        Ok(tar)
    } else {
        bail!("`{kind}` is no kind of archive")
    }
}

fn filter(program: &str, bytes: Vec<u8>) -> Result<Vec<u8>> {
    let output = Cmd::new(program).arg("-c").input(bytes).output()?;
    if !output.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

fn entry(file: &Placed, all: &[Placed]) -> Result<Entry> {
    let entry = match &file.what {
        What::Folder => Entry::dir(&file.path),
        What::Bytes(bytes) => Entry::file(&file.path, bytes),
        What::Symlink(target) => return Ok(Entry::symlink(&file.path, target)),
        What::HardLink(target) => {
            // Whatever unpacks it takes mode and owner from each name of a file.
            let first = all.iter().find(|first| first.path == *target);
            let first = first.with_context(|| format!("{target} is not in the archive"))?;
            let (uid, gid) = first.owner.unwrap_or_default();
            let link = Entry::hard_link(&file.path, target);
            return Ok(link.mode(first.mode).owner(uid, gid));
        }
        What::Pipe => return Err(anyhow::anyhow!("no pipes")).context(file.path.clone()),
    };
    let (uid, gid) = file.owner.unwrap_or_default();
    Ok(entry.mode(file.mode).owner(uid, gid))
}
