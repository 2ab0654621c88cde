//! Subprocesses with errors that tell what happened.
//!
//! A failed command is reported by its command line, its exit status and the last lines that it wrote: the
//! reader of a log then knows what to run by hand. Nothing here goes through a shell; arguments stay arguments.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail};

/// How many of a failed command's last lines are shown.
const TAIL_LINES: usize = 25;

/// A command that is being put together; the methods at the end run it.
#[derive(Debug, Clone)]
pub(crate) struct Cmd {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    input: Option<Vec<u8>>,
}

impl Cmd {
    /// Starts a command of `program`, which is looked up in `PATH` unless it has a slash.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
            input: None,
        }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets a variable on top of the inherited environment.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the working directory.
    pub(crate) fn dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Gives the command these bytes as its standard input, which is empty otherwise.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Lets the command take at most this many seconds; it is killed then.
    pub(crate) fn within(self, seconds: &str) -> Self {
        self.below("timeout", ["--kill-after=10", seconds])
    }

    /// Lets another program start the command, which is given these arguments of its own before it.
    pub(crate) fn below<A: AsRef<OsStr>>(
        self,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let outer = Self::new(program).args(arguments).arg(&self.program);
        let arguments = outer.arguments.into_iter().chain(self.arguments).collect();
        Self { program: outer.program, arguments, ..self }
    }

    /// Returns the command line as one would type it, for messages.
    pub(crate) fn line(&self) -> String {
        let mut line = String::new();
        for (name, value) in &self.environment {
            let _infallible =
                write!(line, "{}={} ", name.to_string_lossy(), quoted(&value.to_string_lossy()));
        }
        line.push_str(&quoted(&self.program.to_string_lossy()));
        for argument in &self.arguments {
            line.push(' ');
            line.push_str(&quoted(&argument.to_string_lossy()));
        }
        line
    }

    /// Runs to the end and keeps the output to itself unless the command fails.
    pub(crate) fn run(&self) -> Result<()> {
        self.checked().map(drop)
    }

    /// Runs to the end and returns what it wrote to standard output, without trailing white space.
    pub(crate) fn read(&self) -> Result<String> {
        let output = self.checked()?;
        let text = String::from_utf8(output.stdout)
            .with_context(|| format!("`{}` wrote text that is not UTF-8", self.line()))?;
        Ok(text.trim_end().to_owned())
    }

    /// Runs to the end with the terminal as its output.
    pub(crate) fn stream(&self) -> Result<()> {
        let mut command = self.command();
        command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
        let status = command.status().with_context(|| self.cannot_start())?;
        if !status.success() {
            bail!("`{}` ended with {status}", self.line());
        }
        Ok(())
    }

    /// Runs to the end; a command that cannot be started, or that fails, is `false`.
    pub(crate) fn succeeds(&self) -> bool {
        self.output().is_ok_and(|output| output.status.success())
    }

    /// Runs to the end and returns status and output, whatever the status is.
    pub(crate) fn output(&self) -> Result<Output> {
        let mut child = self.spawn(Stdio::piped(), Stdio::piped())?;
        let writer = child.stdin.take().zip(self.input.clone()).map(|(mut pipe, bytes)| {
            // A thread of its own: the command may write much before it has read all. A command that
            // does not read its input to the end breaks the pipe; its own status tells whether that is bad.
            thread::spawn(move || drop(pipe.write_all(&bytes)))
        });
        let output =
            child.wait_with_output().with_context(|| format!("wait for `{}`", self.line()))?;
        if let Some(writer) = writer {
            writer.join().expect("the writer does not panic");
        }
        Ok(output)
    }

    /// Starts the command with these ends for its output and returns at once.
    pub(crate) fn spawn(&self, stdout: Stdio, stderr: Stdio) -> Result<Child> {
        let mut command = self.command();
        command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(stdout).stderr(stderr);
        command.spawn().with_context(|| self.cannot_start())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().map(|(n, v)| (n, v)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }

    fn checked(&self) -> Result<Output> {
        let output = self.output()?;
        if !output.status.success() {
            bail!("{}", failure(&self.line(), output.status, &output));
        }
        Ok(output)
    }

    fn cannot_start(&self) -> String {
        format!("start `{}`", self.line())
    }
}

/// Returns the text of a failure: what ran, how it ended, what it said last.
fn failure(line: &str, status: ExitStatus, output: &Output) -> String {
    let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let said = String::from_utf8_lossy(said);
    let lines: Vec<&str> = said.trim_end().lines().collect();
    let mut text = format!("`{line}` ended with {status}");
    for last in &lines[lines.len().saturating_sub(TAIL_LINES)..] {
        text.push_str("\n    ");
        text.push_str(last);
    }
    text
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Returns whether `PATH`, or a folder where Debian keeps its administrator's programs, has this program.
pub(crate) fn have(program: &str) -> bool {
    find(program).is_some()
}

/// Returns where a program lies; `/usr/sbin` counts although a normal user's `PATH` lacks it.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Returns whether this process has the effective user id 0.
pub(crate) fn is_root() -> bool {
    // The kernel gives a process' entry in /proc the process' effective user.
    fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}

/// Returns the root of this repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository")
}

/// Installs those Debian packages that are not installed yet; needs root only where one is missing.
pub(crate) fn apt_install(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|p| !is_installed(p)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() {
        bail!("needed: as root, `apt-get install {}`", missing.join(" "));
    }
    println!("installing {}", missing.join(" "));
    let install = Cmd::new("apt-get")
        .args(["install", "-y", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive");
    // The package lists of a fresh machine are often empty or old, those of others cost time to renew.
    if install.succeeds() {
        return Ok(());
    }
    Cmd::new("apt-get").args(["update", "-o", "Acquire::Check-Valid-Until=false"]).run()?;
    install.run()
}

/// Returns whether Debian's package manager has installed this.
pub(crate) fn is_installed(package: &str) -> bool {
    let query = Cmd::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]);
    query.read().is_ok_and(|status| status == "installed")
}

/// Removes a file if it is there.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_command_status_and_last_words() {
        let error = Cmd::new("sh").args(["-c", "echo why >&2; exit 3"]).run().expect_err("fails");
        let text = format!("{error:#}");
        assert!(text.contains("`sh -c 'echo why >&2; exit 3'`"), "{text}");
        assert!(text.contains("exit status: 3"), "{text}");
        assert!(text.ends_with("\n    why"), "{text}");
    }

    #[test]
    fn input_reaches_the_command() {
        let text = Cmd::new("cat").input("hello\n").read().expect("cat runs");
        assert_eq!(text, "hello");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Cmd::new("no-such-program-here").run().expect_err("is missing");
        assert!(format!("{error:#}").contains("no-such-program-here"));
        assert!(!have("no-such-program-here"));
    }
}
