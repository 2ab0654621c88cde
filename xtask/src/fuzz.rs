//! `cargo xtask fuzz`: builds the fuzz targets with libFuzzer and runs them.
//!
//! Stable Rust has no switch for fuzzing, but its LLVM has the pass that counts which edges of the
//! code run, and libFuzzer is a library; so the flags that `cargo fuzz` gives to a nightly compiler
//! are given here, without the sanitizers: the code that is fuzzed is safe Rust, whose mistakes are
//! panics. What is found goes to `target/fuzz/work`, which grows from run to run; `--minimize` takes the
//! best of it into `fuzz/corpus`, which every change replays (`--replay`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::cargo;
use crate::sh::{self, Cmd};

const USAGE: &str = "usage: cargo xtask fuzz [TARGET…|all] [--seconds N] [--minimize]
       cargo xtask fuzz TARGET --input FILE
       cargo xtask fuzz --replay

  TARGET       dockerfile, word, dockerignore, reference or tar; all of them without any
  --seconds N  how long each target runs (60)
  --minimize   afterwards replace fuzz/corpus/TARGET by the smallest inputs found
  --input FILE only run this input, which crashed before
  --replay     only run the committed corpora, without libFuzzer: takes seconds";

/// Targets, each with the longest input that is tried: longer ones take longer and find no more.
const TARGETS: [(&str, u32); 5] = [
    ("dockerfile", 4096),
    ("word", 512),
    ("dockerignore", 512),
    ("reference", 400),
    ("tar", 16384),
];

/// Coverage of edges, of compared values and of the way through switches, as libFuzzer reads it.
const INSTRUMENTATION: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Memory that a target may take, in MiB: parsers of small inputs need little.
const MEMORY: u32 = 512;

/// Seconds that one input may take.
const TIMEOUT: u32 = 10;

/// Most inputs of a committed corpus (`fuzz/tests/replay.rs` checks it), and their length in all in
/// lengths of the longest.
const CORPUS_FILES: usize = 40;
const CORPUS_LENGTHS: u32 = 6;

#[derive(Debug, PartialEq, Eq)]
struct Request {
    targets: Vec<&'static (&'static str, u32)>,
    seconds: u32,
    minimize: bool,
    input: Option<PathBuf>,
    replay: bool,
}

/// Runs the task with the arguments that follow its name.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let Some(request) = parse(arguments)? else {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    if request.replay {
        cargo_fuzz("test")?.arg("--quiet").stream()?;
        return Ok(ExitCode::SUCCESS);
    }
    let host = host()?;
    let programs = build(&host)?;
    let mut crashed = Vec::new();
    for (name, longest) in &request.targets {
        let program = programs.join(name);
        if let Some(input) = &request.input {
            libfuzzer(&program).arg(input).stream()?;
            continue;
        }
        if !fuzz(name, *longest, &program, request.seconds)? {
            crashed.push(*name);
        } else if request.minimize {
            minimize(name, *longest, &program)?;
        }
    }
    if crashed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "crashed: {}; the inputs are in {}",
        crashed.join(", "),
        folder("artifacts").display()
    );
    Ok(ExitCode::FAILURE)
}

fn parse(arguments: &[String]) -> Result<Option<Request>> {
    let mut request =
        Request { targets: Vec::new(), seconds: 60, minimize: false, input: None, replay: false };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => {
                let number = words.next().context("`--seconds` needs a number")?;
                request.seconds = number.parse().with_context(|| format!("read `{number}`"))?;
            }
            "--input" => {
                let file = words.next().context("`--input` needs a file")?;
                request.input = Some(file.into());
            }
            "--minimize" => request.minimize = true,
            "--replay" => request.replay = true,
            "-h" | "--help" => return Ok(None),
            "all" => request.targets.extend(&TARGETS),
            name => match TARGETS.iter().find(|(target, _)| *target == name) {
                Some(target) => request.targets.push(target),
                None => bail!("unknown argument `{name}`\n{USAGE}"),
            },
        }
    }
    if request.targets.is_empty() {
        request.targets.extend(&TARGETS);
    }
    Ok(Some(request))
}

/// Builds all targets and returns the folder that they are in.
fn build(host: &str) -> Result<PathBuf> {
    // With `--target` the flags do not reach build scripts, which could not be linked with them.
    cargo_fuzz("build")?
        .args(["--release", "--features", "libfuzzer", "--bins", "--target", host])
        .env("RUSTFLAGS", INSTRUMENTATION)
        .stream()?;
    Ok(target_folder()?.join(host).join("release"))
}

/// Runs a target and returns whether nothing crashed.
fn fuzz(name: &str, longest: u32, program: &Path, seconds: u32) -> Result<bool> {
    let (work, artifacts) = (work_folder()?.join(name), folder("artifacts").join(name));
    for folder in [&work, &artifacts] {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let mut command = libfuzzer(program)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={longest}"))
        .arg(format!("-timeout={TIMEOUT}"))
        .arg(format!("-rss_limit_mb={MEMORY}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-print_final_stats=1", "-use_value_profile=1", "-reload=0", "-verbosity=1"]);
    let dictionary = folder("dictionaries").join(name);
    if dictionary.is_file() {
        command = command.arg(format!("-dict={}", dictionary.display()));
    }
    let log = work_folder()?.join(format!("{name}.log"));
    let output = fs::File::create(&log).with_context(|| format!("create {}", log.display()))?;
    let mut child = command
        .arg(&work)
        .arg(folder("corpus").join(name))
        .spawn(Stdio::null(), Stdio::from(output))?;
    let status = child.wait().with_context(|| format!("wait for `{}`", program.display()))?;
    let said = fs::read(&log).with_context(|| format!("read {}", log.display()))?;
    let said = String::from_utf8_lossy(&said);
    if status.success() {
        println!("{name}: {} executions in {seconds} s, no crash", executions(&said));
        return Ok(true);
    }
    println!("{name}: {status}; all of its output: {}", log.display());
    let told = |line: &&str| {
        line.contains("panicked") || line.contains("ERROR") || line.contains("Test unit")
    };
    said.lines().filter(told).for_each(|line| println!("    {line}"));
    Ok(false)
}

/// Replaces a committed corpus by the smallest inputs that together reach what all found reach.
fn minimize(name: &str, longest: u32, program: &Path) -> Result<()> {
    let (corpus, work) = (folder("corpus").join(name), work_folder()?.join(name));
    let merged = work_folder()?.join(format!("{name}.merged"));
    if merged.exists() {
        fs::remove_dir_all(&merged).with_context(|| format!("clear {}", merged.display()))?;
    }
    fs::create_dir_all(&merged).with_context(|| format!("create {}", merged.display()))?;
    libfuzzer(program)
        .args(["-set_cover_merge=1", "-use_value_profile=0"])
        .args([&merged, &corpus, &work])
        .run()?;
    // What was written by hand stays: its names say what it is about.
    let mut bytes = 0;
    let mut files = 0;
    let is_made = |path: &Path| path.file_name().is_some_and(|name| name.len() == 40);
    for path in list(&corpus)? {
        if is_made(&path) {
            sh::remove_file(&path)?;
        } else {
            (files, bytes) = (files + 1, bytes + size(&path)?);
        }
    }
    let mut found = list(&merged)?;
    found.retain(|path| is_made(path));
    // Of all sizes: the small ones can be read, the large ones reach most.
    found.sort_by_key(|path| size(path).unwrap_or_default());
    let every = found.len().div_ceil(CORPUS_FILES.saturating_sub(files).max(1)).max(1);
    for path in found.into_iter().step_by(every) {
        let size = size(&path)?;
        if files < CORPUS_FILES && bytes + size <= u64::from(CORPUS_LENGTHS * longest) {
            let to = corpus.join(path.file_name().context("a file has a name")?);
            fs::copy(&path, &to).with_context(|| format!("write {}", to.display()))?;
            (files, bytes) = (files + 1, bytes + size);
        }
    }
    println!("{name}: {files} inputs of {bytes} bytes in {}", corpus.display());
    Ok(())
}

/// Starts a command of a target. It comes after everything else on the machine.
fn libfuzzer(program: &Path) -> Cmd {
    // Its own handler of this signal would take a full disk for a crash.
    Cmd::new("nice").args(["-n", "10"]).arg(program).arg("-handle_xfsz=0")
}

fn executions(said: &str) -> &str {
    let line = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    line.map_or("no", str::trim)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.with_context(|| format!("list {}", folder.display()))?.path());
    }
    paths.sort();
    Ok(paths)
}

fn size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path).with_context(|| format!("look at {}", path.display()))?.len())
}

/// Returns the triple of this machine, as rustc names it.
fn host() -> Result<String> {
    let version = Cmd::new("rustc").arg("-vV").read()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names no host")?.to_owned())
}

fn cargo_fuzz(task: &str) -> Result<Cmd> {
    let manifest = folder("Cargo.toml");
    let command = cargo::cargo().arg(task).arg("--manifest-path").arg(manifest);
    Ok(command.env("CARGO_TARGET_DIR", target_folder()?))
}

/// Returns the folder that the targets are built to: below the others' so that all that is made
/// lies in one place.
fn target_folder() -> Result<PathBuf> {
    Ok(cargo::target_folder()?.join("fuzz"))
}

fn work_folder() -> Result<PathBuf> {
    Ok(target_folder()?.join("work"))
}

fn folder(name: &str) -> PathBuf {
    sh::repository().join("fuzz").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn without_a_name_all_targets_run() {
        let request = parse(&words("--seconds 5")).expect("valid").expect("no help");
        assert_eq!((request.targets.len(), request.seconds), (TARGETS.len(), 5));
        let request = parse(&words("tar word")).expect("valid").expect("no help");
        assert_eq!(request.targets, [&TARGETS[4], &TARGETS[1]]);
        assert!(parse(&words("tarr")).is_err());
        assert!(parse(&words("--seconds")).is_err());
        assert_eq!(parse(&words("--help")).expect("valid"), None);
    }

    #[test]
    fn every_target_has_its_files() {
        for (name, _) in TARGETS {
            assert!(folder("corpus").join(name).is_dir(), "corpus of {name}");
            assert!(folder("fuzz_targets").join(format!("{name}.rs")).is_file(), "{name}.rs");
        }
    }

    #[test]
    fn executions_are_read_from_the_statistics() {
        let said = "Done\nstat::number_of_executed_units: 1234\nstat::average_exec_per_sec: 5\n";
        assert_eq!(executions(said), "1234");
    }
}
