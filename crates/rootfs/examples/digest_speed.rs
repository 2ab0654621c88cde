//! How long the content digest of a directory takes.
//!
//! `cargo run --release -p lathe-rootfs --example digest_speed DIRECTORY [RUNS]` prints one line:
//! milliseconds (by the wall and by the processors) without a memo, the first time with one, and with nothing changed since; of the
//! last two also how many files were read, of the first the memory (the memo has its own).
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example speaks to the terminal")]

use lathe_rootfs::{
    ContentDigest, DigestOptions, DirectoryId, DirectoryMemo, Root, content_digest,
};
use lathe_tree::Owner;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

#[derive(Default)]
struct Memo(Mutex<HashMap<DirectoryId, Vec<u8>>>);

impl DirectoryMemo for Memo {
    fn get(&self, directory: DirectoryId) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&directory).cloned()
    }

    fn put(&self, directory: DirectoryId, block: &[u8]) {
        let mut blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.insert(directory, block.to_vec());
    }
}

/// Milliseconds that passed, and that processors worked: others may be using the machine.
struct Clock(Instant, f64);

impl Clock {
    fn start() -> Self {
        Self(Instant::now(), Self::processors())
    }

    fn processors() -> f64 {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::try_from(time).expect("not negative").as_secs_f64() * 1000.0
    }

    fn stop(self) -> (f64, f64) {
        (self.0.elapsed().as_secs_f64() * 1000.0, Self::processors() - self.1)
    }
}

/// The most memory that the process had so far, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn main() {
    let mut words = std::env::args().skip(1);
    let directory = words.next().expect("the first word is a directory");
    let runs = words.next().and_then(|word| word.parse().ok()).unwrap_or(5);
    let root = Root::open(Path::new(&directory)).expect("the directory can be opened");
    let memo = Memo::default();
    let ask = |memo: Option<&dyn DirectoryMemo>| {
        let options = DigestOptions { owner: Some(Owner::ROOT), memo, filter: None };
        let clock = Clock::start();
        let digest = content_digest(&root, Path::new("/"), options).expect("readable");
        (clock.stop(), digest)
    };
    let ((plain, plain_cpu), _) = ask(None);
    let plain_peak = peak();
    let ((first, first_cpu), ContentDigest { files_read: first_read, .. }) = ask(Some(&memo));
    let (mut again, mut again_cpu, mut again_read) = (f64::MAX, f64::MAX, 0);
    for _ in 0..runs {
        let ((time, cpu), digest) = ask(Some(&memo));
        again = again.min(time);
        again_cpu = again_cpu.min(cpu);
        again_read = digest.files_read;
    }
    println!(
        "plain_ms={plain:.1} plain_cpu_ms={plain_cpu:.1} plain_peak_kib={plain_peak} first_ms={first:.1} \
         first_cpu_ms={first_cpu:.1} first_read={first_read} again_ms={again:.1} \
         again_cpu_ms={again_cpu:.1} again_read={again_read}"
    );
}
