//! Emulators that are installed on this machine.

use std::fs::File;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use super::elf;
use super::elf::Architecture;
use super::registry::Names;

/// Where emulators are, besides the `PATH`.
const USUAL_FOLDERS: [&str; 2] = ["/usr/bin", "/usr/local/bin"];
/// Enough of a program to hold its program headers.
const START: u64 = 8192;

/// Returns a static emulator that is installed: any other would need its
/// libraries inside of the image.
pub(super) fn find_emulator(architecture: &Architecture) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    let folders: Vec<PathBuf> = folders.chain(USUAL_FOLDERS.map(PathBuf::from)).collect();
    let names =
        [format!("qemu-{}-static", architecture.qemu), format!("qemu-{}", architecture.qemu)];
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| is_static_program(path))
}

/// Returns whether a program can be executed in any root file system.
pub(super) fn is_static_program(path: &Path) -> bool {
    let read = || -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
            return Ok(Vec::new());
        }
        let mut start = Vec::new();
        file.take(START).read_to_end(&mut start)?;
        Ok(start)
    };
    read().is_ok_and(|start| elf::is_static(&start) == Some(true))
}

/// Returns what an emulator does with names; it is asked.
pub(super) fn names(interpreter: &Path) -> Names {
    let mut command = Command::new(interpreter);
    let asked = command.arg("--version").env_clear().stdin(Stdio::null()).stderr(Stdio::null());
    // Whatever does not answer is taken for old.
    asked
        .output()
        .map_or(Names::Lost, |answer| Names::of_version(&String::from_utf8_lossy(&answer.stdout)))
}
