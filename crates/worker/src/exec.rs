//! Processes: `RUN`.

use std::{io::Read, os::fd::OwnedFd, path::Path, sync::Arc, thread};

use lathe_event::{Event, EventSink, StepId, Stream};
use lathe_executor::{
    BUILD_HOSTNAME, EnvDefaults, LentFile, Output as Pipe, Process, Sandbox, Security, Stdin,
    Stdio, default_env, spawn,
};
use lathe_graph::{ExecOp, Need};
use lathe_rootfs::{DirOptions, Root};
use lathe_solver::NodeId;

use crate::{
    Error, Output, Result, Worker,
    emulate::emulation,
    owner::find_user,
    redact::{Redactor, needles},
    runner::snapshot_of,
    secret::Secrets,
};

/// Bytes of output that an error shows at most.
const TAIL: usize = 4096;

/// Bytes that are read of a process's output at a time.
const BUFFER: usize = 16 * 1024;

impl Worker<'_> {
    pub(crate) fn exec(&self, node: NodeId, op: &ExecOp, inputs: &[Output]) -> Result<Output> {
        // What the step cannot run without, before anything is made or waited for.
        self.devices(op)?;
        let emulation = emulation(&op.platform)?;
        let secrets = Secrets::read(self.run, op)?;
        let base = op.root.and_then(|index| snapshot_of(&inputs[index.0 as usize]));
        let caches = self.caches(node, op, inputs)?;
        let active = self.snapshots.prepare(base)?;
        {
            let mounted = active.mount()?;
            let root = Root::open(mounted.path())?;
            let group = self.run.control_group()?;
            let mut sandbox = self.sandbox(op, mounted.path());
            sandbox.cgroups.extend(group.iter().flat_map(|group| group.directories().to_vec()));
            sandbox.user_namespace = emulation.as_ref().and_then(|own| own.user_namespace());
            let lent = self.mounts(node, op, inputs, &caches, &mut sandbox)?;
            sandbox.files.extend(secrets.files.iter().map(|file| LentFile {
                mode: file.lent.mode,
                owner: file.lent.owner,
                ..LentFile::secret(&file.target, file.value.clone())
            }));
            let process = self.process(op, &root, &secrets, lent.agent.as_deref())?;
            let hidden = needles(secrets.values());
            self.run_process(node, op, &sandbox, &process, &hidden)?;
            drop((lent, group));
        }
        drop((caches, emulation));
        Ok(Output::Snapshot(active.commit()?))
    }

    /// Devices cannot be lent yet.
    fn devices(&self, op: &ExecOp) -> Result<()> {
        for device in &op.devices {
            let name = device.name.clone();
            match device.need {
                Need::Required => return Err(Error::Device { name }),
                Need::Optional => {
                    let text =
                        format!("the device `{name}` is not lent: devices are not supported");
                    self.events().emit(Event::Note(text.into()));
                }
            }
        }
        Ok(())
    }

    /// Returns where the process runs, without its mounts.
    fn sandbox(&self, op: &ExecOp, rootfs: &Path) -> Sandbox {
        let mut sandbox = Sandbox::new(rootfs);
        let hostname = op.hostname.as_deref().unwrap_or(BUILD_HOSTNAME);
        let network = self.run.network(op.network);
        sandbox.files.extend(self.run.files(&network, hostname).into_iter().map(LentFile::from));
        sandbox.network = network.network;
        sandbox.hostname = Some(hostname.to_owned());
        sandbox.shm_size = self.run.options.shm_size;
        sandbox.security = match op.security {
            lathe_graph::Security::Sandbox => Security::Default,
            lathe_graph::Security::Insecure => Security::Insecure,
        };
        sandbox
    }

    fn process(
        &self,
        op: &ExecOp,
        root: &Root,
        secrets: &Secrets,
        agent: Option<&str>,
    ) -> Result<Process> {
        let user = find_user(root, &op.user)?;
        let cwd = Path::new(&op.cwd);
        // An image may name a working directory that it does not have.
        if root.try_stat(cwd)?.is_none() {
            root.create_dir_all(cwd, &DirOptions { mtime: self.epoch, ..DirOptions::default() })?;
        }
        let mut given = op.env.clone();
        given.extend_from_slice(&op.proxy_env);
        given.extend(secrets.env.iter().map(|(name, value)| format!("{name}={value}")));
        if let Some(socket) = agent
            && !given.iter().any(|variable| variable.starts_with("SSH_AUTH_SOCK="))
        {
            given.push(format!("SSH_AUTH_SOCK={socket}"));
        }
        self.run.add_variables(&mut given);
        let defaults = EnvDefaults { home: &user.home, hostname: None, terminal: None };
        let mut process = Process::new(op.args.iter().cloned());
        process.env = default_env(&given, defaults);
        process.cwd.clone_from(&op.cwd);
        process.user = user.ids;
        process.rlimits.clone_from(&self.run.options.rlimits);
        Ok(process)
    }

    fn run_process(
        &self,
        node: NodeId,
        op: &ExecOp,
        sandbox: &Sandbox,
        process: &Process,
        hidden: &[Vec<u8>],
    ) -> Result<()> {
        let pipe = || {
            std::io::pipe().map_err(|source| Error::Io {
                action: "open",
                subject: "a pipe".to_owned(),
                source,
            })
        };
        let command = || shown(op);
        let (stdout, stdout_writer) = pipe()?;
        let (stderr, stderr_writer) = pipe()?;
        let stdio = Stdio {
            stdin: Stdin::Null,
            stdout: Pipe::Fd(OwnedFd::from(stdout_writer)),
            stderr: Pipe::Fd(OwnedFd::from(stderr_writer)),
        };
        let running = spawn(sandbox, process, stdio)
            .map_err(|source| Error::Spawn { command: command(), source })?;
        let (step, events) = (StepId(node.0), self.events());
        let tail = std::sync::Mutex::new(Vec::new());
        let exit = thread::scope(|scope| {
            let tail = &tail;
            let show = move |stream| Show { step, stream, events, tail };
            scope.spawn(move || forward(stderr, &show(Stream::Stderr), hidden));
            scope.spawn(move || forward(stdout, &show(Stream::Stdout), hidden));
            running.wait(self.cancel)
        })
        .map_err(|source| Error::Spawn { command: command(), source })?;
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if exit.success() {
            return Ok(());
        }
        let tail = tail.into_inner().unwrap_or_default();
        let tail = String::from_utf8_lossy(&tail).into_owned();
        Err(Error::Exit { command: command(), code: exit.code, tail })
    }
}

/// Returns the command as the user wrote it: without the shell in front.
fn shown(op: &ExecOp) -> String {
    match op.args.as_slice() {
        [shell, flag, line] if shell.ends_with("sh") && flag == "-c" => line.clone(),
        args => args.join(" "),
    }
}

/// Where output goes.
struct Show<'a> {
    step: StepId,
    stream: Stream,
    events: &'a dyn EventSink,
    /// The end of the output, for an error.
    tail: &'a std::sync::Mutex<Vec<u8>>,
}

impl Show<'_> {
    fn show(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let bytes: Arc<[u8]> = bytes.into();
        keep_tail(&mut self.tail.lock().unwrap_or_else(std::sync::PoisonError::into_inner), &bytes);
        self.events.emit(Event::StepLog { step: self.step, stream: self.stream, bytes });
    }
}

/// Passes output on as events, without secrets, and keeps its end.
fn forward(mut from: impl Read, to: &Show<'_>, hidden: &[Vec<u8>]) {
    let mut redactor = Redactor::new(hidden);
    let mut buffer = [0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return to.show(&redactor.finish()),
            Ok(count) => to.show(&redactor.push(&buffer[..count])),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // A pipe has no other error than a broken program; the exit code tells the rest.
            Err(_) => return to.show(&redactor.finish()),
        }
    }
}

/// Appends, and drops whole lines from the start when there are too many bytes.
fn keep_tail(tail: &mut Vec<u8>, bytes: &[u8]) {
    tail.extend_from_slice(bytes);
    if tail.len() > 2 * TAIL {
        let cut = tail.len() - TAIL;
        let line =
            tail[cut..].iter().position(|byte| *byte == b'\n').map_or(cut, |at| cut + at + 1);
        tail.drain(..line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_whole_last_lines() {
        let mut tail = Vec::new();
        for number in 0..5000 {
            keep_tail(&mut tail, format!("line {number}\n").as_bytes());
        }
        let text = String::from_utf8(tail).unwrap();
        assert!(text.len() <= 2 * TAIL);
        assert!(text.starts_with("line ") && text.ends_with("line 4999\n"));
    }
}
