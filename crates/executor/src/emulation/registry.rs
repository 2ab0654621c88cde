//! `binfmt_misc`: who executes programs of which kind
//! (`Documentation/admin-guide/binfmt-misc.rst`). Pure.

use std::fmt::Write as _;
use std::path::Path;
use std::path::PathBuf;

use super::elf::Architecture;

/// The kernel takes no longer paths.
const LONGEST_PATH: usize = 127;

/// A registered interpreter, as its file shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) interpreter: PathBuf,
    /// `F`: the interpreter was opened when it was registered, and need not
    /// exist in the root file system of the program.
    pub(super) fixed: bool,
    magic: Vec<u8>,
    mask: Vec<u8>,
}

impl Entry {
    /// Reads the file of an entry; `None` for one that is disabled or goes by
    /// the extension of names.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != "enabled" {
            return None;
        }
        let lines: Vec<&str> = lines.collect();
        let field =
            |name: &str| lines.iter().find_map(|line| Some(line.strip_prefix(name)?.trim_start()));
        let magic = bytes(field("magic ")?)?;
        let mask = match field("mask ") {
            Some(mask) => bytes(mask)?,
            None => vec![0xff; magic.len()],
        };
        let begins = field("offset ") == Some("0") && mask.len() == magic.len();
        let interpreter = field("interpreter ")?.into();
        let fixed = field("flags:").unwrap_or_default().contains('F');
        begins.then_some(Self { interpreter, fixed, magic, mask })
    }

    /// Returns whether it is for programs of this architecture.
    pub(super) fn is_for(&self, architecture: &Architecture) -> bool {
        let header = architecture.header();
        self.magic.len() <= header.len()
            // An entry for all of ELF would be about something else.
            && self.magic.len() > 16
            && (0..self.magic.len())
                .all(|at| header[at] & self.mask[at] == self.magic[at] & self.mask[at])
    }
}

/// Whether an emulator can be told the name that a program was called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    Kept,
    Lost,
}

/// First version of QEMU to which the flag `P` does not come as one more
/// argument.
const KEEPS_NAMES: u32 = 6;

impl Names {
    /// Reads the answer to `--version`: `qemu-aarch64 version 7.2.22 (…)`.
    pub(super) fn of_version(text: &str) -> Self {
        let number = text.split_once(" version ").and_then(|(_, rest)| rest.split('.').next());
        match number.and_then(|number| number.parse::<u32>().ok()) {
            Some(KEEPS_NAMES..) => Self::Kept,
            _ => Self::Lost,
        }
    }
}

/// Returns the line which registers `interpreter` for an architecture: opened at
/// once (`F`), with the rights of set-user-id programs (`C`), and, if it can,
/// with the name that a program was called by (`P`), by which `busybox` knows
/// what to be. `None` when the path does not fit in.
pub(super) fn registration(
    architecture: &Architecture,
    interpreter: &Path,
    names: Names,
) -> Option<String> {
    let path = interpreter.to_str()?;
    if path.len() > LONGEST_PATH || path.contains([':', '\n']) {
        return None;
    }
    let (magic, mask) = (escaped(&architecture.header()), escaped(&architecture.mask()));
    let flags = if names == Names::Kept { "PCF" } else { "CF" };
    Some(format!(":lathe-{}:M::{magic}:{mask}:{path}:{flags}", architecture.name))
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "\\x{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(pair).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM64: &str = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\n\
        magic 7f454c460201010000000000000000000200b700\n\
        mask ffffffffffffff00fffffffffffffffffeffffff\n";

    fn arch(name: &str) -> &'static Architecture {
        Architecture::find(name).expect("it is in the table")
    }

    #[test]
    fn an_entry_is_for_its_architecture_alone() {
        let entry = Entry::parse(ARM64).unwrap();
        assert!(entry.fixed);
        assert_eq!(entry.interpreter, Path::new("/usr/bin/qemu-aarch64-static"));
        assert!(entry.is_for(arch("arm64")));
        assert!(!entry.is_for(arch("arm")) && !entry.is_for(arch("riscv64")));
    }

    #[test]
    fn entries_that_are_off_or_of_another_kind_are_none() {
        assert_eq!(Entry::parse(&ARM64.replacen("enabled", "disabled", 1)), None);
        assert_eq!(Entry::parse("enabled\ninterpreter /x\nflags: \nextension .py\n"), None);
        assert_eq!(Entry::parse(&ARM64.replace("offset 0", "offset 4")), None);
        assert_eq!(Entry::parse(""), None);
        let java = "enabled\ninterpreter /x\nflags: \noffset 0\nmagic cafebabe\n";
        assert!(!Entry::parse(java).unwrap().is_for(arch("arm64")));
        let loose = ARM64.replace("flags: OCF", "flags: ");
        assert!(!Entry::parse(&loose).unwrap().fixed);
    }

    #[test]
    fn a_registration_has_what_the_kernel_reads() {
        let line = |path: &str, names| registration(arch("arm64"), Path::new(path), names);
        let found = line("/usr/bin/q", Names::Lost).unwrap();
        assert!(found.starts_with(r":lathe-arm64:M::\x7f\x45\x4c\x46\x02"), "{found}");
        assert!(found.ends_with(r"\xfe\xff\xff\xff:/usr/bin/q:CF"), "{found}");
        assert!(line("/usr/bin/q", Names::Kept).unwrap().ends_with(":/usr/bin/q:PCF"));
        assert_eq!(line("/a:b", Names::Lost), None);
        assert_eq!(line(&"/a".repeat(64), Names::Lost), None);
    }

    #[test]
    fn names_are_kept_by_emulators_that_say_so() {
        for (text, expected) in [
            ("qemu-aarch64 version 7.2.22 (Debian 1:7.2)\nCopyright", Names::Kept),
            ("qemu-arm version 10.0.2", Names::Kept),
            ("qemu-aarch64 version 5.2.0 (Debian)", Names::Lost),
            ("something else", Names::Lost),
        ] {
            assert_eq!(Names::of_version(text), expected, "{text}");
        }
    }
}
