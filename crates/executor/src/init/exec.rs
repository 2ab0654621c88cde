//! The last steps: streams, limits, directory, identity, and the program.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::process::Signal;

use super::cwd;
use super::identity;
use super::reaper;
use crate::Init;
use crate::Process;
use crate::Resource;
use crate::Rlimit;
use crate::UNLIMITED;
use crate::UserIds;
use crate::emulation;
use crate::sys;
use crate::wire;
use crate::wire::Failure;
use crate::wire::Job;

/// How often and how long to wait for a busy program: 200 ms in all.
const BUSY_ROUNDS: u32 = 100;
const BUSY_PAUSE: Duration = Duration::from_millis(2);

/// What the process is given by descriptors.
#[derive(Debug)]
pub(crate) struct Given {
    /// What becomes the standard streams, unless there is a terminal.
    pub(crate) streams: Vec<OwnedFd>,
    pub(crate) terminal: Option<OwnedFd>,
    pub(crate) user_namespace: Option<OwnedFd>,
}

/// Becomes the program of the job.
pub(crate) fn run(
    job: &Job<'_>,
    filter: &[u8],
    init: Init,
    given: &Given,
) -> Result<Infallible, Failure> {
    let process = &*job.process;
    let program = Program::new(process)?;
    connect(given, &process.user)?;
    // The job's descriptors are closed by exec; init, which executes nothing,
    // closes them by itself.
    process.rlimits.iter().try_for_each(limit)?;
    cwd::enter(&process.cwd)?;
    if let Some(namespace) = &given.user_namespace {
        identity::enter_namespace(namespace)?;
    }
    identity::assume(&process.user, job.security, filter)?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    if init == Init::Reaper {
        reaper::fork()?;
    }
    // Changing the user has cleared the signal of `die_with_stage`.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| Failure::setup("tie to the init stage", errno))?;
    sys::reset_signals();
    Err(program.execute())
}

fn connect(given: &Given, user: &UserIds) -> Result<(), Failure> {
    let failed = |errno: rustix::io::Errno| Failure::setup("connect the streams", errno);
    let (stdin, stdout, stderr) = match (&given.terminal, given.streams.as_slice()) {
        (Some(terminal), _) => (terminal, terminal, terminal),
        (None, [stdin, stdout, stderr]) => (stdin, stdout, stderr),
        (None, _) => return Err(failed(rustix::io::Errno::BADF)),
    };
    for stream in [stdin, stdout, stderr] {
        own(stream, user);
    }
    rustix::stdio::dup2_stdin(stdin).map_err(failed)?;
    rustix::stdio::dup2_stdout(stdout).map_err(failed)?;
    rustix::stdio::dup2_stderr(stderr).map_err(failed)?;
    if given.terminal.is_some() {
        rustix::process::ioctl_tiocsctty(rustix::stdio::stdin()).map_err(failed)?;
    }
    Ok(())
}

/// Gives pipes and the container's terminal to the user of the process, so that
/// it can open /dev/stdout again. Anything else is the caller's own.
fn own(stream: &OwnedFd, user: &UserIds) {
    let Ok(stat) = rustix::fs::fstat(stream) else { return };
    let terminal = (136..144).contains(&rustix::fs::major(stat.st_rdev));
    let uid = rustix::fs::Uid::from_raw(user.uid);
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice if !terminal => return,
        FileType::Fifo | FileType::CharacterDevice => {}
        _ => return,
    }
    // A pipe of another user namespace cannot be given away; the process can
    // still use the descriptor.
    let _kept = rustix::fs::fchown(stream, Some(uid), None);
}

/// Sets one limit. What only root of the machine may give is cut to what the
/// caller has.
fn limit(limit: &Rlimit) -> Result<(), Failure> {
    use rustix::process::Rlimit as Kernel;
    let resource = resource(limit.resource);
    let value = |value: u64| (value != UNLIMITED).then_some(value);
    let asked = Kernel { current: value(limit.soft), maximum: value(limit.hard) };
    let set = match rustix::process::setrlimit(resource, asked) {
        Err(rustix::io::Errno::PERM) => {
            let most = rustix::process::getrlimit(resource).maximum;
            let cut = |value: u64| Some(most.map_or(value, |most| value.min(most)));
            let cut = Kernel { current: cut(limit.soft), maximum: cut(limit.hard) };
            rustix::process::setrlimit(resource, cut)
        }
        other => other,
    };
    let step = || format!("set the limit `{}`", limit.resource.name());
    set.map_err(|errno| Failure::setup(step(), errno))
}

fn resource(resource: Resource) -> rustix::process::Resource {
    use rustix::process::Resource as Kernel;
    match resource {
        Resource::Core => Kernel::Core,
        Resource::Cpu => Kernel::Cpu,
        Resource::Data => Kernel::Data,
        Resource::Fsize => Kernel::Fsize,
        Resource::Locks => Kernel::Locks,
        Resource::Memlock => Kernel::Memlock,
        Resource::Msgqueue => Kernel::Msgqueue,
        Resource::Nice => Kernel::Nice,
        Resource::Nofile => Kernel::Nofile,
        Resource::Nproc => Kernel::Nproc,
        Resource::Rss => Kernel::Rss,
        Resource::Rtprio => Kernel::Rtprio,
        Resource::Rttime => Kernel::Rttime,
        Resource::Sigpending => Kernel::Sigpending,
        Resource::Stack => Kernel::Stack,
    }
}

/// A program and its arguments in the kernel's form.
struct Program {
    command: String,
    candidates: Vec<CString>,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    fn new(process: &Process) -> Result<Self, Failure> {
        let command = process.args.first().cloned().unwrap_or_default();
        Ok(Self {
            candidates: c_strings(&candidates(&command, &process.env))?,
            args: c_strings(&process.args)?,
            env: c_strings(&process.env)?,
            command,
        })
    }

    /// Executes the first candidate that can be; returns only on failure.
    fn execute(self) -> Failure {
        let mut denied = None;
        for candidate in &self.candidates {
            let errno = self.try_execute(candidate);
            match errno {
                Errno::ENOENT | Errno::ENOTDIR => {}
                errno => denied = denied.or(Some((errno, candidate))),
            }
        }
        match denied {
            Some((errno, path)) => {
                let reason = wire::reason(&errno.into()) + &foreign(path, errno);
                Failure::NotExecutable { reason, command: self.command }
            }
            None => Failure::CommandNotFound { reason: self.absence(), command: self.command },
        }
    }

    /// Executes one file; returns only on failure.
    ///
    /// A file that was just written can be busy for a moment: a process which
    /// another thread of the caller is spawning holds a copy of the writer's
    /// descriptor until its own exec.
    fn try_execute(&self, path: &CString) -> Errno {
        for _ in 0..BUSY_ROUNDS {
            let Err(errno) = nix::unistd::execve(path, &self.args, &self.env);
            if errno != Errno::ETXTBSY {
                return errno;
            }
            std::thread::sleep(BUSY_PAUSE);
        }
        Errno::ETXTBSY
    }

    /// Says why nothing was found.
    fn absence(&self) -> String {
        if !self.command.contains('/') {
            return "executable file not found in $PATH".to_owned();
        }
        let exists = self.candidates.iter().any(|path| rustix::fs::stat(path).is_ok());
        let hint = if exists { " (the file exists: its interpreter does not)" } else { "" };
        format!("no such file or directory{hint}")
    }
}

/// Returns a note on the architecture of a program that is not the processor's.
fn foreign(path: &CString, errno: Errno) -> String {
    let read = || -> Option<&'static str> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
        let mut start = [0; 64];
        let count = rustix::io::read(&file, &mut start).ok()?;
        emulation::architecture_of(&start[..count])
    };
    match read().filter(|_| errno == Errno::ENOEXEC) {
        Some(architecture) => format!(" (the program is for {architecture})"),
        None => String::new(),
    }
}

/// Returns where to look for a command: as it is when it has a slash, below
/// each directory of PATH otherwise. Relative directories are left out: they
/// would run what lies in the working directory.
fn candidates(command: &str, env: &[String]) -> Vec<String> {
    if command.contains('/') || command.is_empty() {
        return vec![command.to_owned()];
    }
    let path = env.iter().rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or_default();
    path.split(':')
        .filter(|directory| directory.starts_with('/'))
        .map(|directory| format!("{}/{command}", directory.trim_end_matches('/')))
        .collect()
}

fn c_strings(texts: &[String]) -> Result<Vec<CString>, Failure> {
    let convert = |text: &String| {
        CString::new(text.as_str()).map_err(|_| Failure::Setup {
            step: format!("pass {text:?}"),
            reason: "it contains a zero byte".to_owned(),
        })
    };
    texts.iter().map(convert).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: &str, path: &str, expected: &[&str]) {
        assert_eq!(candidates(command, &[format!("PATH={path}")]), expected);
    }

    #[test]
    fn a_command_with_a_slash_is_not_searched() {
        check("./run", "/bin", &["./run"]);
        check("/bin/sh", "/usr/bin", &["/bin/sh"]);
    }

    #[test]
    fn a_plain_command_is_searched_in_absolute_directories_only() {
        check("sh", "/usr/bin:/bin/", &["/usr/bin/sh", "/bin/sh"]);
        check("sh", ".::bin:/bin", &["/bin/sh"]);
        check("sh", "", &[]);
    }
}
