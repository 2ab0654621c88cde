//! Archives: unpacked into a folder that nothing may leave.
//!
//! The reader has no door of its own; it is reached through unpacking. What it may take of
//! memory is bounded by libFuzzer (`-rss_limit_mb`), what it may write by a limit on files.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};

use lathe_layer::{
    Compression, ExtractOptions, OverlayAttributes, Owners, Probe, UnpackOptions, Whiteouts,
    extract, probe, unpack,
};
use lathe_rootfs::Root;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

/// Most bytes of a file that is unpacked: a header can promise exabytes of zeros.
const LARGEST_FILE: u64 = 1 << 20;

/// Most bytes of an archive when decompressed.
const LONGEST: u64 = 4 << 20;

/// A path outside that archives in the corpus try to reach.
const OUTSIDE: &str = "/lathe-fuzz-escape";

const BLOCK: usize = 512;

/// Unpacks an archive.
///
/// Headers get their right checksum first: no mutation would ever find it. The last byte says
/// how to unpack, so that an archive that ends in zeros, as all do, is a layer.
pub fn tar(data: &[u8]) {
    limit_files();
    let mut data = data.to_vec();
    let mode = data.last().copied().unwrap_or_default();
    data.as_chunks_mut::<BLOCK>().0.iter_mut().for_each(set_checksum);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (root, canary) = (folder.path().join("root"), folder.path().join("canary"));
    fs::create_dir(&root).expect("folders can be made");
    fs::write(&canary, "sings").expect("files can be written");
    let before = look(&canary);
    {
        let root = Root::open(&root).expect("folders can be opened");
        let whiteouts = match mode {
            1 => Some(Whiteouts::Overlay(OverlayAttributes::User)),
            2 => Some(Whiteouts::Overlay(OverlayAttributes::Trusted)),
            3.. => None,
            0 => Some(Whiteouts::Remove),
        };
        match whiteouts {
            Some(whiteouts) => as_layer(&data, &root, whiteouts),
            None => as_archive(&data, &root),
        }
    }
    assert_eq!(look(&canary), before, "what is outside stays as it was");
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .expect("the folder is still there")
        .map(|entry| entry.expect("it can be listed").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["canary", "root"], "nothing is made outside");
    assert!(fs::symlink_metadata(OUTSIDE).is_err(), "nothing is made at the machine's root");
    open_up(&root);
    folder.close().expect("what was unpacked can be removed");
}

fn as_layer(data: &[u8], root: &Root, whiteouts: Whiteouts) {
    let options = UnpackOptions { whiteouts, owners: Owners::Available, limit: Some(LONGEST) };
    if let Ok(unpacked) = unpack(data, Compression::None, root, &options) {
        assert_eq!(unpacked.bytes, data.len() as u64, "all is read for the digest");
    }
}

fn as_archive(data: &[u8], root: &Root) {
    let Ok(Probe::Archive(codec)) = probe(data) else { return };
    let options = ExtractOptions { limit: Some(LONGEST), ..ExtractOptions::default() };
    // Whether it fails does not matter, only what it leaves.
    drop(extract(data, codec, root, Path::new("in/side"), &options));
}

/// What must not change of a file outside. A hard link to it would be one more link.
fn look(canary: &Path) -> (Vec<u8>, u32, u64, i64) {
    let metadata = fs::symlink_metadata(canary).expect("the file outside is still there");
    let content = fs::read(canary).expect("the file outside can be read");
    (content, metadata.mode(), metadata.nlink(), metadata.mtime_nsec())
}

fn set_checksum(block: &mut [u8; BLOCK]) {
    if &block[257..262] != b"ustar" {
        return;
    }
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Files that grow too long are an error then, as on a full disk.
fn limit_files() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Without a handler the signal would end the process.
        let seen = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(Signal::XFSZ.as_raw(), seen)
            .expect("the signal can be handled");
        let limit = Rlimit { current: Some(LARGEST_FILE), ..getrlimit(Resource::Fsize) };
        setrlimit(Resource::Fsize, limit).expect("limits can be lowered");
    });
}

/// Makes folders removable: an archive may have closed them to their owner.
fn open_up(folder: &Path) {
    let _: Result<(), _> = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}
