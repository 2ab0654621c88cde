//! Runs real containers the way commands do: every step is a process of its own, which enters
//! namespaces of its own and goes away.
//!
//! libtest cannot do that: the program has to be command, shim and init stage before anything
//! else runs. As root the tests run as root and as a normal user.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program of its own, which no cfg(test) excuses"
)]

mod basics;
mod command;
mod exec;
mod harness;
mod network;
mod robust;
mod streams;
mod volumes;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = lathe_executor::init_main().or_else(lathe_container::shim_main) {
        return ExitCode::from(u8::try_from(code).unwrap());
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--command", store, ref rest @ ..] => command::run(store.as_ref(), rest),
        ref filters => harness::run(
            &[
                basics::TESTS,
                streams::TESTS,
                exec::TESTS,
                network::TESTS,
                volumes::TESTS,
                robust::TESTS,
            ]
            .concat(),
            filters,
        ),
    }
}
