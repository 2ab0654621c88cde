//! Further processes in a running container.

use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use lathe_event::Cancel;
use lathe_executor::Output;
use lathe_executor::Running;
use lathe_executor::Security;
use lathe_executor::Stdin;
use lathe_executor::Stdio;

use super::serve::Shared;
use crate::Error;
use crate::Result;
use crate::protocol::Channel;
use crate::protocol::ExecRequest;
use crate::protocol::Request;
use crate::protocol::Response;
use crate::sys;

/// Starts a process for a client and tells it the end. This thread started the process and so
/// must outlive it.
pub(super) fn run(
    shared: &Shared,
    client: &Arc<Channel>,
    request: &ExecRequest,
    streams: Vec<OwnedFd>,
) {
    let started = start(shared, request, streams);
    let response = match started {
        Err(error) => Response::Failed { code: error.exit_code(), message: error.chain() },
        Ok((running, console)) => {
            let fds: Vec<_> = console.iter().map(OwnedFd::as_fd).collect();
            // A client that has gone leaves the process running, as with docker.
            let _gone = client.send_with(&Response::ExecStarted, &fds);
            // Our copy would keep the terminal open after the process.
            drop(console);
            let exit = watch(client, running);
            Response::Exited { code: exit }
        }
    };
    let _gone = client.send_message(&response);
}

fn start(
    shared: &Shared,
    request: &ExecRequest,
    streams: Vec<OwnedFd>,
) -> Result<(Running, Option<OwnedFd>)> {
    let process = shared.context.process(request)?;
    let mut streams = streams.into_iter();
    let stdio = match (streams.next(), streams.next(), streams.next()) {
        (Some(stdin), Some(stdout), Some(stderr)) if process.terminal.is_none() => Stdio {
            stdin: Stdin::Fd(stdin),
            stdout: Output::Fd(stdout),
            stderr: Output::Fd(stderr),
        },
        _ => Stdio { stdin: Stdin::Null, stdout: Output::Null, stderr: Output::Null },
    };
    let mut running = lathe_executor::exec_into(shared.pid, Security::Default, &process, stdio)
        .map_err(Error::Executor)?;
    let console = running.take_console();
    Ok((running, console))
}

/// Waits for the end, and passes the client's signals on meanwhile.
fn watch(client: &Arc<Channel>, running: Running) -> i32 {
    if let Ok(process) = running.pidfd().try_clone_to_owned() {
        let client = Arc::clone(client);
        // Without the thread the process runs, and signals do not reach it.
        let _deaf = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            while let Ok(Some((request, _))) = client.request() {
                if let Request::Kill { signal } = request {
                    let _ended = sys::send_signal(process.as_fd(), signal);
                }
            }
        });
    }
    running.wait(&Cancel::new()).map_or(137, |exit| exit.code)
}
