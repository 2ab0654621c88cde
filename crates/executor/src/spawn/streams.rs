//! The standard streams of a process, as descriptors to send.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use crate::Error;
use crate::Output;
use crate::Result;
use crate::Stdin;
use crate::Stdio;

/// Returns the descriptors of the three streams.
pub(super) fn open(stdio: Stdio) -> Result<Vec<OwnedFd>> {
    let stdin = match stdio.stdin {
        Stdin::Fd(fd) => fd,
        Stdin::Null => null("stdin")?,
        Stdin::Inherit => duplicate("stdin", io::stdin().as_fd())?,
    };
    let output = |stream, output, inherited: BorrowedFd<'_>| match output {
        Output::Fd(fd) => Ok(fd),
        Output::Null => null(stream),
        Output::Inherit => duplicate(stream, inherited),
    };
    let stdout = output("stdout", stdio.stdout, io::stdout().as_fd())?;
    let stderr = output("stderr", stdio.stderr, io::stderr().as_fd())?;
    Ok(vec![stdin, stdout, stderr])
}

fn null(stream: &'static str) -> Result<OwnedFd> {
    let file = File::options().read(true).write(true).open("/dev/null");
    Ok(file.map_err(|source| Error::Stream { stream, source })?.into())
}

fn duplicate(stream: &'static str, fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    fd.try_clone_to_owned().map_err(|source| Error::Stream { stream, source })
}
