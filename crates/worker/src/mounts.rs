//! What a process is lent below its root.

use std::collections::BTreeMap;

use lathe_executor::{Access, Depth, LentFile, LentSocket, Mount, MountKind, Sandbox};
use lathe_graph::{ExecMountKind, ExecOp, Lent, Need};
use lathe_solver::NodeId;

use crate::{
    Error, Output, Result, Worker,
    agent::Agent,
    bind::Bound,
    cache_mount::{CacheFolder, folder_name},
    lend::SshSource,
};

/// What must live as long as a process that uses it.
#[derive(Default)]
pub(crate) struct Held {
    bound: Vec<Bound>,
    agents: Vec<Agent>,
    /// Where the process finds its first agent.
    pub(crate) agent: Option<String>,
}

impl Worker<'_> {
    /// Prepares the mounts but for secrets; what is returned must live as long as the process.
    pub(crate) fn mounts(
        &self,
        node: NodeId,
        op: &ExecOp,
        inputs: &[Output],
        caches: &BTreeMap<String, CacheFolder>,
        sandbox: &mut Sandbox,
    ) -> Result<Held> {
        let mut held = Held::default();
        for mount in &op.mounts {
            let target = mount.target.clone();
            let kind = match &mount.kind {
                ExecMountKind::Tmpfs { size } => MountKind::Tmpfs { size: *size, mode: 0o1777 },
                ExecMountKind::File { content, mode } => {
                    let script = LentFile::script(target, content.clone().into_bytes());
                    sandbox.files.push(LentFile { mode: *mode, ..script });
                    continue;
                }
                ExecMountKind::Secret(_) => continue,
                ExecMountKind::Ssh(asked) => {
                    sandbox.sockets.extend(self.agent(asked, target, &mut held)?);
                    continue;
                }
                ExecMountKind::Bind { input, source, writable } => {
                    let input = input.0 as usize;
                    let place = self.place(node, input);
                    let bound = self.bind(&inputs[input], source, *writable, &place)?;
                    let source = bound.path.clone();
                    held.bound.push(bound);
                    MountKind::Bind { source, access: access(*writable), depth: Depth::Single }
                }
                ExecMountKind::Cache(cache) => {
                    let source = caches[&folder_name(cache, inputs)].path.clone();
                    let access = access(cache.writable);
                    MountKind::Bind { source, access, depth: Depth::Single }
                }
            };
            sandbox.mounts.push(Mount { target, kind });
        }
        Ok(held)
    }

    /// Returns the socket to an agent; without an agent there is none, and no variable for it.
    fn agent(&self, asked: &Lent, target: String, held: &mut Held) -> Result<Option<LentSocket>> {
        let upstream = match (self.run.options.ssh.get(&asked.id), asked.need) {
            (Some(SshSource::Agent(socket)), _) => socket.clone(),
            (Some(SshSource::Keys(keys)), _) => {
                let agent = Agent::start(self.store, &asked.id, keys)?;
                let socket = agent.socket();
                held.agents.push(agent);
                socket
            }
            (None, Need::Optional) => return Ok(None),
            (None, Need::Required) => {
                return Err(Error::MissingAgent { id: asked.id.clone() });
            }
        };
        held.agent.get_or_insert_with(|| target.clone());
        let socket = LentSocket::ssh_agent(target, upstream);
        Ok(Some(LentSocket { mode: asked.mode, owner: asked.owner, ..socket }))
    }
}

fn access(writable: bool) -> Access {
    if writable { Access::ReadWrite } else { Access::ReadOnly }
}
