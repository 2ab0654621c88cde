//! Developer tasks, one module each: `cargo xtask TASK`.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer task speaks to the terminal"
)]

mod bases;
mod bench;
mod cargo;
mod conformance;
mod demo;
mod examples;
mod fuzz;
mod guard;
mod lathe;
mod packages;
mod registries;
mod sh;
mod test;
mod tidy;
mod user;

use std::env;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask TASK

tasks:
  demo         build all examples, run them, compare the sizes of their images
  test         run all checks and tests (what continuous integration runs)
  conformance  build the cases of conformance/ and print a table of the language
  tidy         check the rules of this repository
  fuzz         feed the parsers with made-up input, look for crashes
  bench        measure builds and write the tables of docs/benchmarks.md
  guard        count the system calls of builds, compare with .ci/guard.toml
  bases        make stand-in base images and serve them on this machine";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<ExitCode> {
    let Some((task, rest)) = arguments.split_first() else { bail!("{USAGE}") };
    match task.as_str() {
        "bases" => bases::run(rest).map(done),
        "bench" => bench::run(rest),
        "conformance" => conformance::run(rest),
        "demo" => demo::run(rest),
        "fuzz" => fuzz::run(rest),
        "guard" => guard::run(rest),
        "test" => test::run(rest),
        "tidy" => tidy::run(rest).map(done),
        "-h" | "--help" | "help" => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("no task `{other}`\n{USAGE}"),
    }
}

fn done((): ()) -> ExitCode {
    ExitCode::SUCCESS
}
