//! What the caller, the init stage and the process to be tell each other. All
//! three are one binary, so the form needs no version.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use rustix::fs::MemfdFlags;
use serde::Deserialize;
use serde::Serialize;

use crate::Error;
use crate::Exit;
use crate::Process;
use crate::Sandbox;
use crate::Security;

/// First message: how the memfd that comes with it is cut.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) job_size: usize,
}

/// What the init stage has to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job<'a> {
    pub(crate) task: Task<'a>,
    pub(crate) process: Cow<'a, Process>,
    pub(crate) security: Security,
    /// Size of each content after the job: first the seccomp program (0 when
    /// there is none), then the sandbox's files in their order.
    pub(crate) sizes: Vec<usize>,
}

/// The two ways to a process, and what may have to be there before.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task<'a> {
    /// New namespaces around a root file system. Descriptors: three streams,
    /// then the network namespace to join, then the user namespace, if there is
    /// one.
    Create(Cow<'a, Sandbox>),
    /// A user namespace with a registry of emulators: the lines to register.
    Emulate(Vec<String>),
    /// The namespaces of a running process. Descriptors: three streams, then
    /// the pidfd of that process.
    Join(Join),
}

/// Which namespaces to join.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Join {
    /// `CLONE_NEW…` of those in which the caller is not already: for those in
    /// which it is, it may lack the right to join.
    pub(crate) namespaces: u32,
}

/// From the init stage to the caller.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// One for each lent socket, in order, before all else. Descriptor: the
    /// listening socket.
    Listener,
    /// The program runs. Descriptors: its pidfd, then the terminal if any.
    Started {
        pid: i32,
        proc: Proc,
    },
    Failed(Failure),
    Exited(Exit),
    /// Descriptors: the mounted registry of emulators, its user namespace.
    Emulation,
}

/// Whose /proc a container has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Proc {
    #[default]
    Own,
    Callers,
}

/// From the process to be to the init stage. The end of the channel means that
/// the program runs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Note {
    /// A mount target was made. Descriptor: the directory it was made in.
    Stub(Stub),
    /// Descriptor: the master side of the terminal.
    Terminal,
    /// A lent socket listens; they come in the order of the sandbox's.
    /// Descriptor: the listening socket.
    Listener,
    /// The container had to get the caller's /proc.
    SharedProc,
    /// To the process that registers emulators: its ids are mapped.
    Go,
    /// Descriptor: the mounted registry of emulators.
    Registry,
    Failed(Failure),
}

/// A file or directory which the sandbox made in the root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stub {
    pub(crate) name: Vec<u8>,
    pub(crate) directory: bool,
    /// Device and inode, to be sure that what is removed is what was made.
    pub(crate) identity: (u64, u64),
    /// Times of the parent before and after the making (seconds, nanoseconds).
    pub(crate) access_before: (i64, i64),
    pub(crate) modified_before: (i64, i64),
    pub(crate) modified_after: (i64, i64),
}

/// An error on its way out of the init stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failure {
    CommandNotFound { command: String, reason: String },
    NotExecutable { command: String, reason: String },
    Setup { step: String, reason: String },
}

impl Failure {
    /// Names the step which failed.
    pub(crate) fn setup(step: impl Into<String>, error: impl Into<io::Error>) -> Self {
        Self::Setup { step: step.into(), reason: reason(&error.into()) }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::CommandNotFound { command, reason } => {
                Self::CommandNotFound { command, reason }
            }
            Failure::NotExecutable { command, reason } => Self::NotExecutable { command, reason },
            Failure::Setup { step, reason } => Self::Setup { step, reason },
        }
    }
}

/// Returns the text of an I/O error in the form of the C library, which is
/// what people know from docker: lower case and without the number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => text.to_owned(),
    }
}

/// Writes a job and its contents to a new memfd.
pub(crate) fn seal(job: &Job<'_>, contents: &[&[u8]]) -> io::Result<(Envelope, OwnedFd)> {
    let text = serde_json::to_vec(job)?;
    let mut file = File::from(rustix::fs::memfd_create("lathe-job", MemfdFlags::CLOEXEC)?);
    file.write_all(&text)?;
    for content in contents {
        file.write_all(content)?;
    }
    Ok((Envelope { job_size: text.len() }, file.into()))
}

/// Reads what [`seal`] wrote.
pub(crate) fn unseal(
    envelope: &Envelope,
    memfd: OwnedFd,
) -> io::Result<(Job<'static>, Vec<Vec<u8>>)> {
    let file = File::from(memfd);
    let mut text = vec![0; envelope.job_size];
    file.read_exact_at(&mut text, 0)?;
    let job: Job<'static> = serde_json::from_slice(&text)?;
    let mut offset = envelope.job_size as u64;
    let mut contents = Vec::with_capacity(job.sizes.len());
    for size in &job.sizes {
        let mut content = vec![0; *size];
        file.read_exact_at(&mut content, offset)?;
        offset += *size as u64;
        contents.push(content);
    }
    Ok((job, contents))
}
