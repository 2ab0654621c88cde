//! The binary `lathe`: arguments, rendering, exit codes.
//!
//! What it does is in the engine; here is only what the user types and sees. The order in
//! `main` matters: a re-execution as process 1 or as a container's shim must not do anything
//! before its hook, and the namespaces are entered (by the commands that need them) while the
//! process has one thread.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod env;
mod failure;
mod interrupt;
mod progress;
mod render;
mod settings;
mod term;

use std::{ffi::OsString, process::ExitCode};

fn main() -> ExitCode {
    if let Some(code) = lathe_engine::init_main().or_else(lathe_engine::shim_main) {
        return ExitCode::from(u8::try_from(code & 0xff).unwrap_or(u8::MAX));
    }
    let argv: Vec<OsString> = std::env::args_os().collect();
    match args::parse(&argv) {
        Ok((global, action)) => finish(commands::dispatch(&global, action), global.debug),
        Err(usage) if usage.code == 0 => {
            finish(term::out(&usage.text).map(|()| 0).map_err(Into::into), false)
        }
        Err(usage) => {
            term::err(&usage.text);
            ExitCode::from(usage.code)
        }
    }
}

fn finish(outcome: anyhow::Result<u8>, debug: bool) -> ExitCode {
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let report = failure::report(&error);
            term::err(&report.text);
            if debug && !report.text.is_empty() {
                term::err(&format!("debug: {error:#?}\n"));
            }
            ExitCode::from(report.code)
        }
    }
}
