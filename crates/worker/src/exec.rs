//! Processes: `RUN`.

use std::{io::Read, os::fd::OwnedFd, path::Path, sync::Arc, thread};

use lathe_event::{Event, EventSink, StepId, Stream};
use lathe_executor::{
    Access, Depth, EnvDefaults, LentFile, Mount, MountKind, Output as Pipe, Process, Sandbox,
    Stdin, Stdio, default_env, spawn,
};
use lathe_graph::{ExecMountKind, ExecOp};
use lathe_rootfs::{DirOptions, Root};
use lathe_snapshot::Mounted;
use lathe_solver::NodeId;

use crate::{Error, Output, Result, Worker, owner::find_user, runner::snapshot_of};

/// Bytes of output that an error shows at most.
const TAIL: usize = 4096;

/// Bytes that are read of a process's output at a time.
const BUFFER: usize = 16 * 1024;

impl Worker<'_> {
    pub(crate) fn exec(&self, node: NodeId, op: &ExecOp, inputs: &[Output]) -> Result<Output> {
        let base = op.root.and_then(|index| snapshot_of(&inputs[index.0 as usize]));
        let active = self.snapshots.prepare(base)?;
        {
            let mounted = active.mount()?;
            let root = Root::open(mounted.path())?;
            let mut sandbox = Sandbox::new(mounted.path());
            let lent = self.mounts(op, inputs, &mut sandbox)?;
            let process = self.process(op, &root)?;
            let network = self.run.network(op.network);
            sandbox.files.extend(self.run.files(&network).into_iter().map(Into::into));
            sandbox.network = network.network;
            self.run_process(node, op, &sandbox, &process)?;
            drop(lent);
        }
        Ok(Output::Snapshot(active.commit()?))
    }

    fn process(&self, op: &ExecOp, root: &Root) -> Result<Process> {
        let user = find_user(root, &op.user)?;
        let cwd = Path::new(&op.cwd);
        // An image may name a working directory that it does not have.
        if root.try_stat(cwd)?.is_none() {
            root.create_dir_all(cwd, &DirOptions { mtime: self.epoch, ..DirOptions::default() })?;
        }
        let mut given = op.env.clone();
        given.extend_from_slice(&op.proxy_env);
        self.run.add_variables(&mut given);
        let defaults = EnvDefaults { home: &user.home, hostname: None, terminal: None };
        let mut process = Process::new(op.args.iter().cloned());
        process.env = default_env(&given, defaults);
        process.cwd.clone_from(&op.cwd);
        process.user = user.ids;
        Ok(process)
    }

    /// Prepares the mounts; what is returned must live as long as the process.
    fn mounts(&self, op: &ExecOp, inputs: &[Output], sandbox: &mut Sandbox) -> Result<Vec<Lent>> {
        let mut lent = Vec::new();
        for mount in &op.mounts {
            let target = mount.target.clone();
            let kind = match &mount.kind {
                ExecMountKind::Tmpfs { size } => MountKind::Tmpfs { size: *size, mode: 0o1777 },
                ExecMountKind::File { content, mode } => {
                    let script = LentFile::script(target, content.clone().into_bytes());
                    sandbox.files.push(LentFile { mode: *mode, ..script });
                    continue;
                }
                ExecMountKind::Secret(_) | ExecMountKind::Ssh(_) => continue,
                ExecMountKind::Bind { input, source, writable } => {
                    let (path, keep) = self.bind(&inputs[input.0 as usize], source, *writable)?;
                    lent.push(keep);
                    let access = if *writable { Access::ReadWrite } else { Access::ReadOnly };
                    MountKind::Bind { source: path, access, depth: Depth::Single }
                }
                ExecMountKind::Cache(cache) => {
                    let path = self.cache_folder(cache, inputs)?;
                    let access = if cache.writable { Access::ReadWrite } else { Access::ReadOnly };
                    MountKind::Bind { source: path, access, depth: Depth::Single }
                }
            };
            sandbox.mounts.push(Mount { target, kind });
        }
        Ok(lent)
    }

    /// Returns the path of a file or folder of an input, with what keeps it there.
    fn bind(
        &self,
        output: &Output,
        source: &str,
        writable: bool,
    ) -> Result<(std::path::PathBuf, Lent)> {
        let place = |root: &Root| -> Result<std::path::PathBuf> {
            // Resolved below the root, so that a link cannot lead to a file of the host.
            let real = root.real_path(Path::new(source))?;
            let real = real.strip_prefix("/").unwrap_or(&real).to_owned();
            Ok(root.host_path().join(real))
        };
        match output {
            Output::Context(context) => Ok((place(context.root())?, Lent::Context)),
            Output::Snapshot(snapshot) if writable => {
                // Writes go into a snapshot that is thrown away.
                let active = self.snapshots.prepare(Some(*snapshot))?;
                let mounted = active.mount()?;
                let path = place(&Root::open(mounted.path())?)?;
                Ok((path, Lent::Writable(mounted, active)))
            }
            Output::Snapshot(snapshot) => {
                let mounted = self.snapshots.view(*snapshot)?;
                let path = place(&Root::open(mounted.path())?)?;
                Ok((path, Lent::View(mounted)))
            }
        }
    }

    fn cache_folder(
        &self,
        cache: &lathe_graph::Cache,
        inputs: &[Output],
    ) -> Result<std::path::PathBuf> {
        let name = lathe_oci::Digest::of(cache.id.as_bytes()).hex();
        let folders = self.store.directory().join("cache-mounts");
        let io =
            |source| Error::Io { action: "make", subject: folders.display().to_string(), source };
        std::fs::create_dir_all(&folders).map_err(io)?;
        let root = Root::open(&folders)?;
        let path = Path::new(&name);
        if root.try_stat(path)?.is_none() {
            let owner = lathe_tree::Owner { uid: cache.owner.0, gid: cache.owner.1 };
            let options = DirOptions { owner, mode: cache.mode, mtime: None };
            root.create_dir_all(path, &options)?;
            if let Some((input, source)) = &cache.seed {
                let (from, _keep) = self.bind(&inputs[input.0 as usize], source, false)?;
                let from = Root::open(&from)?;
                lathe_rootfs::copy(&lathe_rootfs::CopyRequest {
                    from: &from,
                    source: Path::new("."),
                    to: &root,
                    destination: path,
                    options: lathe_rootfs::CopyOptions::default(),
                })?;
            }
        }
        Ok(folders.join(name))
    }

    fn run_process(
        &self,
        node: NodeId,
        op: &ExecOp,
        sandbox: &Sandbox,
        process: &Process,
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
            scope.spawn(|| forward(stderr, step, Stream::Stderr, events, &tail));
            scope.spawn(|| forward(stdout, step, Stream::Stdout, events, &tail));
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

/// What must live as long as a process that uses it. Drops in the order of the fields: the mount
/// before the snapshot below it.
enum Lent {
    Context,
    View(#[expect(dead_code, reason = "kept for its drop")] Mounted),
    Writable(
        #[expect(dead_code, reason = "kept for its drop")] Mounted,
        #[expect(dead_code, reason = "kept for its drop")] lathe_snapshot::ActiveSnapshot,
    ),
}

/// Returns the command as the user wrote it: without the shell in front.
fn shown(op: &ExecOp) -> String {
    match op.args.as_slice() {
        [shell, flag, line] if shell.ends_with("sh") && flag == "-c" => line.clone(),
        args => args.join(" "),
    }
}

/// Passes output on as events, and keeps its end.
fn forward(
    mut from: impl Read,
    step: StepId,
    stream: Stream,
    events: &dyn EventSink,
    tail: &std::sync::Mutex<Vec<u8>>,
) {
    let mut buffer = [0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                let bytes: Arc<[u8]> = buffer[..count].into();
                keep_tail(
                    &mut tail.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
                    &bytes,
                );
                events.emit(Event::StepLog { step, stream, bytes });
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // A pipe has no other error than a broken program; the exit code tells the rest.
            Err(_) => return,
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
