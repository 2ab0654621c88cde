//! How long a copy of a directory takes, and one by further names of its files.
//!
//! `cargo run --release -p lathe-rootfs --example copy_speed SOURCE SCRATCH [RUNS]` prints one line:
//! the files, and the milliseconds of the fastest run of each, by the wall and by the processors. SCRATCH is a directory on the file
//! system of the source in which something may be made; it is removed again.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "an example speaks to the terminal")]

use lathe_rootfs::{CopyOptions, CopyReport, CopyRequest, DirOptions, LinkPolicy, Root, copy};
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

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

fn main() {
    let mut words = std::env::args().skip(1);
    let source = words.next().expect("the first word is the source");
    let scratch = words.next().expect("the second word is a directory");
    let runs = words.next().and_then(|word| word.parse().ok()).unwrap_or(3);
    let from = Root::open(Path::new(&source)).expect("the source can be opened");
    let to = Root::open(Path::new(&scratch)).expect("the scratch can be opened");
    let top = Path::new("/");
    let destination = Path::new("copied");
    let once = |link| {
        to.create_dir_all(destination, &DirOptions::default()).expect("writable");
        let options = CopyOptions { link, ..CopyOptions::default() };
        let request = CopyRequest { from: &from, source: top, to: &to, destination, options };
        let clock = Clock::start();
        let report = copy(&request).expect("copied");
        let time = clock.stop();
        to.remove(destination).expect("removable");
        (time, report)
    };
    let fastest = |link| {
        let mut best = ((f64::MAX, f64::MAX), CopyReport::default());
        for _ in 0..runs {
            let run = once(link);
            best = if run.0.1 < best.0.1 { run } else { best };
        }
        best
    };
    let ((copied, copied_cpu), CopyReport { files, directories, .. }) = fastest(LinkPolicy::Never);
    let ((linked, linked_cpu), _) = fastest(LinkPolicy::HardLink);
    println!(
        "files={files} directories={directories} copied_ms={copied:.1} \
         copied_cpu_ms={copied_cpu:.1} linked_ms={linked:.1} linked_cpu_ms={linked_cpu:.1}"
    );
}
