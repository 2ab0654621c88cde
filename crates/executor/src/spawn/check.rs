//! Mistakes that are found before anything is started, because the sandbox
//! could not tell what is wrong.

use std::io;
use std::os::unix::fs::FileTypeExt as _;

use crate::Error;
use crate::LentSocket;
use crate::Result;
use crate::Sandbox;

/// Refuses a sandbox that cannot be.
pub(super) fn sandbox(sandbox: &Sandbox) -> Result<()> {
    hostname(sandbox)?;
    sockets(sandbox)
}

/// Refuses a name which the kernel would, or which would be more than a name in
/// `/etc/hosts`.
fn hostname(sandbox: &Sandbox) -> Result<()> {
    let Some(name) = &sandbox.hostname else { return Ok(()) };
    let odd = |character: char| character.is_whitespace() || character.is_control();
    let problem = match name.len() {
        0 => "it is empty",
        65.. => "it has more than 64 bytes",
        _ if name.contains(odd) => "it contains white space",
        _ => return Ok(()),
    };
    Err(Error::Hostname { name: name.clone(), problem })
}

/// Finds a mistyped socket before the process does, which could not tell why.
fn sockets(sandbox: &Sandbox) -> Result<()> {
    for LentSocket { upstream, .. } in &sandbox.sockets {
        let failed = |source| Error::Upstream { path: upstream.clone(), source };
        let kind = std::fs::metadata(upstream).map_err(failed)?.file_type();
        if !kind.is_socket() {
            return Err(failed(io::Error::other("not a socket")));
        }
    }
    Ok(())
}
