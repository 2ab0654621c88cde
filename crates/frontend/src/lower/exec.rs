//! `RUN`.

use lathe_dockerfile::{
    Access, CommandLine, Instruction, Mount, MountError, MountSpec, Sharing,
    ast::{Network, Run, Security},
};
use lathe_graph::{
    Cache, CacheSharing, ExecMount, ExecMountKind, ExecOp, Input, InputIndex, Op, VertexId,
};

use super::{StageCx, Stop, history, stop, stop_with_help};
use crate::{options::PROXY_ARGS, path::join};

impl StageCx<'_, '_> {
    pub(super) fn run(&mut self, instruction: &Instruction, run: &Run) -> Result<(), Stop> {
        let mut inputs = Vec::new();
        let root = self.push_base(&mut inputs);
        let mut mounts = Vec::new();
        for mount in &run.mounts {
            mounts.push(self.mount(mount, &mut inputs)?);
        }
        let args = self.run_args(&run.command, &mut mounts);
        let visible: Vec<(String, String)> = self
            .state
            .visible_args()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let created_by = lathe_dockerfile::created_by::run(&args, &visible);
        let mut env = self.state.config.config.env.clone();
        env.extend(visible.iter().map(|(name, value)| format!("{name}={value}")));
        let op = ExecOp {
            root,
            args,
            env,
            proxy_env: self.proxy_env(),
            secret_env: Vec::new(),
            hostname: None,
            platform: self.state.platform.clone(),
            devices: Vec::new(),
            cwd: self.state.working_dir().to_owned(),
            user: self.state.config.config.user.clone(),
            mounts,
            network: match run.network {
                None | Some(Network::Default) => lathe_graph::Network::Default,
                Some(Network::None) => lathe_graph::Network::None,
                Some(Network::Host) => lathe_graph::Network::Host,
            },
            security: match run.security {
                None | Some(Security::Sandbox) => lathe_graph::Security::Sandbox,
                Some(Security::Insecure) => {
                    let help = "run it in a container of its own, or leave the flag out";
                    let message = "RUN --security=insecure is not allowed";
                    return Err(stop_with_help(instruction.span, message, help));
                }
            },
        };
        if let Some(device) = run.devices.first() {
            return Err(stop(device.name.span, "this version does not lend devices to RUN"));
        }
        self.layer(instruction, Op::Exec(Box::new(op)), inputs, created_by);
        Ok(())
    }

    /// Returns the command; a heredoc script with an interpreter line becomes a mounted file.
    fn run_args(&self, command: &CommandLine, mounts: &mut Vec<ExecMount>) -> Vec<String> {
        if let Some(script) = command.script().filter(|script| script.body.starts_with("#!")) {
            let target = format!("/dev/pipes/{}", script.name);
            let kind = ExecMountKind::File { content: script.body.clone(), mode: 0o755 };
            mounts.push(ExecMount { target: target.clone(), kind });
            return vec![target];
        }
        history::with_shell(command, self.state.shell())
    }

    /// Returns the predefined proxy arguments that were given and not declared.
    fn proxy_env(&self) -> Vec<String> {
        let declared = |name: &str| self.state.args.iter().any(|(arg, _)| arg == name);
        PROXY_ARGS
            .iter()
            .filter(|name| !declared(name))
            .filter_map(|name| Some(format!("{name}={}", self.cx.options.build_args.get(*name)?)))
            .collect()
    }

    fn mount(&mut self, mount: &Mount, inputs: &mut Vec<Input>) -> Result<ExecMount, Stop> {
        let spec = {
            let state = &self.state;
            let escape = self.cx.file.escape;
            mount.resolve(|word| {
                lathe_dockerfile::expand(&word.raw, state, escape)
                    .map(|expanded| expanded.text)
                    .map_err(|error| MountStop(stop(word.span, error.to_string())))
            })
        }
        .map_err(|error| error.0)?;
        let at = |target: &str| join(self.state.working_dir(), target);
        Ok(match spec {
            MountSpec::Bind(bind) => {
                let target = at(&bind.target);
                let vertex = self.mount_from(mount)?;
                let input = push(inputs, vertex);
                let writable = bind.access == Access::ReadWrite;
                let source = join("/", &bind.source);
                ExecMount { target, kind: ExecMountKind::Bind { input, source, writable } }
            }
            MountSpec::Cache(cache) => {
                let target = at(&cache.target);
                let seed = match mount.from() {
                    Some(_) => {
                        let vertex = self.mount_from(mount)?;
                        Some((push(inputs, vertex), join("/", &cache.source)))
                    }
                    None => None,
                };
                let kind = ExecMountKind::Cache(Cache {
                    id: cache.id.unwrap_or_else(|| target.clone()),
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
                ExecMount { target, kind }
            }
            MountSpec::Tmpfs(tmpfs) => ExecMount {
                target: at(&tmpfs.target),
                kind: ExecMountKind::Tmpfs { size: tmpfs.size },
            },
            MountSpec::Secret(_) | MountSpec::Ssh(_) => {
                let message = "this version does not have secret and ssh mounts";
                return Err(stop(mount.span, message));
            }
        })
    }

    fn mount_from(&mut self, mount: &Mount) -> Result<VertexId, Stop> {
        match mount.from() {
            None => Ok(self.cx.local_context()),
            Some(word) => self
                .from(word)
                .ok_or_else(|| stop(word.span, format!("`{}` has no files to mount", word.raw))),
        }
    }
}

/// Carries a finding through [`Mount::resolve`].
struct MountStop(Stop);

impl From<MountError> for MountStop {
    fn from(error: MountError) -> Self {
        let mut finding = stop(error.span(), error.to_string());
        finding.help = error.help();
        Self(finding)
    }
}

fn push(inputs: &mut Vec<Input>, vertex: VertexId) -> InputIndex {
    let index = u32::try_from(inputs.len()).expect("an instruction has few inputs");
    // What is mounted counts by content, as what is copied does.
    inputs.push(Input { vertex, by_content: true });
    InputIndex(index)
}
