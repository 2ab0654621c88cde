//! The contexts that are built: the same files in each run and on every machine, from a seed.
//!
//! A context is made when it is wanted for the first time. None is changed afterwards; what changes files does so
//! in a copy.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::random::{Random, Words};

/// Numbers of the work; changing one makes figures incomparable with those before.
pub(crate) const STEPS: usize = 50;
pub(crate) const CONTEXT_FILES: usize = 50_000;
pub(crate) const MODULE_FILES: usize = 30_000;
pub(crate) const STAGES: usize = 4;

const CONTEXT_FOLDERS: usize = 200;
const PACKAGE_FILES: usize = 50;
/// Half of the large layer.
const HALF: u64 = 512 << 20;
const SEED: u64 = 20_26;

/// A context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Many commands that do nothing, each another one, so that no builder can merge them.
    Steps,
    /// A copy of 50,000 small files.
    Context,
    /// A copy from a stage of 30,000 small files that lie as packages of node do.
    Modules,
    /// A layer of 1 GiB, half of which can be compressed.
    Large,
    /// Stages that only wait, and a last one that needs them all.
    Parallel,
}

impl Work {
    pub(crate) const ALL: [Self; 5] =
        [Self::Steps, Self::Context, Self::Modules, Self::Large, Self::Parallel];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Context => "context",
            Self::Modules => "modules",
            Self::Large => "large",
            Self::Parallel => "parallel",
        }
    }

    /// Returns its folder below `place`; writes it where it is missing.
    pub(crate) fn folder(self, place: &Path) -> Result<PathBuf> {
        let folder = place.join(self.name());
        // The Dockerfile is written last: with it, all is there.
        if !folder.join("Dockerfile").is_file() {
            fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
            let text = self.write_files(&folder)?;
            write(&folder.join("Dockerfile"), text)?;
        }
        Ok(folder)
    }

    /// Writes what the Dockerfile needs, and returns the Dockerfile.
    fn write_files(self, folder: &Path) -> Result<String> {
        Ok(match self {
            Self::Steps => steps(STEPS),
            Self::Context => {
                context(&folder.join("src"), CONTEXT_FILES)?;
                "FROM busybox\nCOPY src /src\n".to_owned()
            }
            Self::Modules => {
                modules(&folder.join("modules"))?;
                "FROM busybox AS builder\nWORKDIR /app\nCOPY modules ./node_modules\n\n\
                 FROM busybox\nWORKDIR /app\nARG ABOVE=0\nRUN : $ABOVE\n\
                 COPY --from=builder /app/node_modules ./node_modules\n"
                    .to_owned()
            }
            Self::Large => {
                large(folder)?;
                "FROM scratch\nCOPY random.bin text.bin /\n".to_owned()
            }
            Self::Parallel => parallel(STAGES, "sleep 2 && "),
        })
    }
}

/// Returns a Dockerfile of steps that do nothing.
pub(crate) fn steps(count: usize) -> String {
    let mut text = "FROM busybox\n".to_owned();
    for step in 0..count {
        writeln!(text, "RUN : {step}").expect("a string can be written to");
    }
    text
}

/// Returns a Dockerfile of stages that do not depend on each other, each with one command, and one that takes a
/// file of each.
pub(crate) fn parallel(stages: usize, command: &str) -> String {
    let (mut text, mut last) = (String::new(), "FROM busybox\n".to_owned());
    for stage in 0..stages {
        writeln!(text, "FROM busybox AS s{stage}\nRUN {command}echo {stage} > /o{stage}")
            .expect("a string can be written to");
        writeln!(last, "COPY --from=s{stage} /o{stage} /o{stage}")
            .expect("a string can be written to");
    }
    text + &last
}

/// Writes files of 1 to 4 KiB, 250 to a folder.
pub(crate) fn context(folder: &Path, files: usize) -> Result<()> {
    let mut words = Words::new(SEED);
    let folders = files.div_ceil(CONTEXT_FILES / CONTEXT_FOLDERS);
    for number in 0..folders {
        make(&folder.join(format!("d{number:04}")))?;
    }
    for number in 0..files {
        let path = folder.join(format!("d{:04}/f{number:07}.txt", number % folders));
        write(&path, words.piece_of(1024..=4096))?;
    }
    Ok(())
}

/// Writes packages of 50 files, some of them in a scope, with files at up to three levels.
fn modules(folder: &Path) -> Result<()> {
    let mut words = Words::new(SEED + 1);
    for package in 0..MODULE_FILES / PACKAGE_FILES {
        let scope = if package % 4 == 0 { format!("@s{}/", package % 20) } else { String::new() };
        let package = folder.join(format!("{scope}pkg{package:03}"));
        let places = ["", "lib", "dist/cjs"].map(|place| package.join(place));
        for place in &places {
            make(place)?;
        }
        for file in 0..PACKAGE_FILES {
            let length = words.one_of(&[200, 700, 1500, 3000, 9000]);
            let path = places[file % places.len()].join(format!("m{file:02}.js"));
            write(&path, words.piece(length))?;
        }
    }
    Ok(())
}

/// Writes two files of half a GiB: noise, and text.
fn large(folder: &Path) -> Result<()> {
    let mut random = Random::new(SEED + 2);
    let mut block = vec![0; 1 << 20];
    let mut left = HALF;
    let mut noise = create(&folder.join("random.bin"))?;
    while left > 0 {
        random.fill(&mut block);
        noise.write_all(&block).context("write random.bin")?;
        left -= 1 << 20;
    }
    let mut words = Words::new(SEED + 3);
    let mut text = create(&folder.join("text.bin"))?;
    let mut left = HALF;
    while left > 0 {
        text.write_all(words.piece(1 << 16)).context("write text.bin")?;
        left -= 1 << 16;
    }
    Ok(())
}

/// Makes a folder and those above it.
pub(crate) fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))
}

/// Writes a file as a whole.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
    Ok(BufWriter::with_capacity(1 << 20, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dockerfile_of_stages_takes_a_file_of_each() {
        let expected = "FROM busybox AS s0\nRUN echo 0 > /o0\nFROM busybox AS s1\nRUN echo 1 > /o1\n\
                        FROM busybox\nCOPY --from=s0 /o0 /o0\nCOPY --from=s1 /o1 /o1\n";
        assert_eq!(parallel(2, ""), expected);
    }

    #[test]
    fn steps_differ_from_each_other() {
        assert_eq!(steps(2), "FROM busybox\nRUN : 0\nRUN : 1\n");
    }
}
