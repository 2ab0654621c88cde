//! Runs real processes in real sandboxes: as root, as root of a user namespace
//! with a range of ids, and as root of a user namespace with a single id.
//!
//! libtest cannot do that: the program has to be its own init stage before
//! anything else runs, and the tests have to start over in each namespace.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "this is a test program: it panics when something is wrong and prints its results"
)]

mod cgroups;
mod emulation;
mod hostile;
mod identity;
mod isolation;
mod lent;
mod lifetime;
mod mounts;
mod probe;
mod process;
mod runner;
mod setup;
mod sys;
mod terminal;

use std::process::ExitCode;

use runner::Mode;
use runner::Test;

fn main() -> ExitCode {
    if let Some(code) = lathe_executor::init_main() {
        return ExitCode::from(u8::try_from(code).unwrap());
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--probe", name] => probe::run(name),
        ["--inside", mode, "--victim", rootfs] => {
            Mode::from_name(mode).enter();
            lifetime::victim(rootfs)
        }
        ["--inside", mode, ref rest @ ..] => {
            let mode = Mode::from_name(mode);
            mode.enter();
            runner::run(&tests(), mode, rest)
        }
        ref rest => runner::run_in_all_modes(rest),
    }
}

fn tests() -> Vec<Test> {
    [
        process::TESTS,
        isolation::TESTS,
        identity::TESTS,
        mounts::TESTS,
        lent::TESTS,
        cgroups::TESTS,
        emulation::TESTS,
        hostile::TESTS,
        lifetime::TESTS,
        terminal::TESTS,
    ]
    .concat()
}
