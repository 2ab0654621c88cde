//! `RUN --mount`.

use lathe_dockerfile::{
    Access, BindMount, CacheMount, Mount, MountError, MountSpec, SecretMount, Sharing, SshMount,
    ast::Run,
};
use lathe_graph::{
    Cache, CacheSharing, ExecMount, ExecMountKind, Input, Lent, SecretEnv, VertexId,
};

use super::need;
use crate::{
    lower::{
        files::push,
        step::{StageCx, Stop, stop_with_help},
    },
    path::join,
};

/// Goes in front of the ids of caches.
const CACHE_NAMESPACE_ARG: &str = "BUILDKIT_CACHE_MOUNT_NS";

/// What a process is lent.
#[derive(Default)]
pub(super) struct Mounts {
    pub(super) list: Vec<ExecMount>,
    pub(super) secret_env: Vec<SecretEnv>,
    /// The first socket of an agent.
    pub(super) socket: Option<String>,
    sockets: u32,
}

/// Carries a finding through [`Mount::resolve`].
struct MountStop(Stop);

impl From<MountError> for MountStop {
    fn from(error: MountError) -> Self {
        Self(Box::new(error.into()))
    }
}

impl StageCx<'_, '_> {
    pub(super) fn mounts(&mut self, run: &Run, inputs: &mut Vec<Input>) -> Result<Mounts, Stop> {
        let mut lent = Mounts::default();
        for mount in &run.mounts {
            let spec = mount.resolve(|word| self.expand(word).map_err(MountStop));
            match spec.map_err(|error| error.0)? {
                MountSpec::Bind(bind) => {
                    let made = self.bind(mount, &bind, inputs)?;
                    lent.list.push(made);
                }
                MountSpec::Cache(cache) => {
                    let made = self.cache(mount, cache, inputs)?;
                    lent.list.push(made);
                }
                MountSpec::Tmpfs(tmpfs) => lent.list.push(ExecMount {
                    target: self.target(mount, &tmpfs.target)?,
                    kind: ExecMountKind::Tmpfs { size: tmpfs.size },
                }),
                MountSpec::Secret(secret) => self.secret(mount, secret, &mut lent)?,
                MountSpec::Ssh(ssh) => self.ssh(mount, ssh, &mut lent)?,
            }
        }
        // What is mounted later hides what was mounted at the same place before; and folders are
        // mounted before what is mounted in them.
        let mut mounts: Vec<ExecMount> = Vec::with_capacity(lent.list.len());
        for mount in lent.list {
            mounts.retain(|earlier| earlier.target != mount.target);
            mounts.push(mount);
        }
        mounts.sort_by(|a, b| a.target.cmp(&b.target));
        lent.list = mounts;
        Ok(lent)
    }

    /// Returns where a mount is; the root itself cannot be mounted over.
    fn target(&self, mount: &Mount, target: &str) -> Result<String, Stop> {
        let path = join(self.state.working_dir(), target);
        if path == "/" {
            let message = format!("the target `{target}` is the root directory");
            return Err(stop_with_help(mount.span, message, "mount it at a folder of its own"));
        }
        Ok(path)
    }

    fn bind(
        &mut self,
        mount: &Mount,
        bind: &BindMount,
        inputs: &mut Vec<Input>,
    ) -> Result<ExecMount, Stop> {
        let target = self.target(mount, &bind.target)?;
        let vertex = self.mount_from(mount).unwrap_or_else(|| self.cx.local_context());
        let input = push(inputs, vertex, true);
        let writable = bind.access == Access::ReadWrite;
        let source = join("/", &bind.source);
        Ok(ExecMount { target, kind: ExecMountKind::Bind { input, source, writable } })
    }

    fn cache(
        &mut self,
        mount: &Mount,
        cache: CacheMount,
        inputs: &mut Vec<Input>,
    ) -> Result<ExecMount, Stop> {
        let target = self.target(mount, &cache.target)?;
        let seed = self
            .mount_from(mount)
            .map(|vertex| (push(inputs, vertex, true), join("/", &cache.source)));
        let id = cache.id.unwrap_or_else(|| clean(&cache.target));
        let namespace = self.cx.options.build_args.get(CACHE_NAMESPACE_ARG);
        let kind = ExecMountKind::Cache(Cache {
            id: match namespace.filter(|namespace| !namespace.is_empty()) {
                Some(namespace) => format!("{namespace}/{id}"),
                None => id,
            },
            seed,
            sharing: match cache.sharing {
                Sharing::Shared => CacheSharing::Shared,
                Sharing::Private => CacheSharing::Private,
                Sharing::Locked => CacheSharing::Locked,
            },
            writable: cache.access == Access::ReadWrite,
            mode: cache.mode.unwrap_or(0o755),
            owner: (cache.uid.unwrap_or(0), cache.gid.unwrap_or(0)),
        });
        Ok(ExecMount { target, kind })
    }

    fn secret(&self, mount: &Mount, secret: SecretMount, lent: &mut Mounts) -> Result<(), Stop> {
        let need = need(secret.required);
        if let Some(name) = secret.env {
            lent.secret_env.retain(|earlier| earlier.name != name);
            lent.secret_env.push(SecretEnv { name, id: secret.id.clone(), need });
        }
        if let Some(target) = secret.target {
            let target = self.target(mount, &target)?;
            let owner = (secret.uid, secret.gid);
            let kind =
                ExecMountKind::Secret(Lent { id: secret.id, mode: secret.mode, owner, need });
            lent.list.push(ExecMount { target, kind });
        }
        Ok(())
    }

    fn ssh(&self, mount: &Mount, ssh: SshMount, lent: &mut Mounts) -> Result<(), Stop> {
        let target = match &ssh.target {
            Some(target) => self.target(mount, target)?,
            None => format!("/run/buildkit/ssh_agent.{}", lent.sockets),
        };
        lent.sockets += 1;
        lent.socket.get_or_insert_with(|| target.clone());
        let (owner, need) = ((ssh.uid, ssh.gid), need(ssh.required));
        let kind = ExecMountKind::Ssh(Lent { id: ssh.id, mode: ssh.mode, owner, need });
        lent.list.push(ExecMount { target, kind });
        Ok(())
    }

    fn mount_from(&mut self, mount: &Mount) -> Option<VertexId> {
        let word = mount.from().filter(|word| !word.raw.is_empty())?;
        Some(self.from(word))
    }
}

/// Returns a path without `.`, `..` and doubled slashes, relative if it was.
fn clean(path: &str) -> String {
    let clean = join("/", path);
    if path.starts_with('/') { clean } else { clean[1..].to_owned() }
}
