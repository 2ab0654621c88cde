//! `RUN`.

mod mounts;

use lathe_dockerfile::{
    CommandLine, Instruction, Span,
    ast::{Network, Run, Security},
};
use lathe_graph::{Device, ExecMount, ExecMountKind, ExecOp, Need, Op};

use super::step::{StageCx, Stop, stop_with_help};
use crate::{
    Entitlement,
    options::{PROXY_ARGS, is_proxy_arg},
};

/// Name of the machine that processes see.
const HOSTNAME_ARG: &str = "BUILDKIT_SANDBOX_HOSTNAME";

impl StageCx<'_, '_> {
    pub(super) fn run(&mut self, instruction: &Instruction, run: &Run) -> Result<(), Stop> {
        let network = match run.network {
            None | Some(Network::Default) => lathe_graph::Network::Default,
            Some(Network::None) => lathe_graph::Network::None,
            Some(Network::Host) => {
                self.entitled(instruction.span, Entitlement::NetworkHost)?;
                lathe_graph::Network::Host
            }
        };
        let security = match run.security {
            None | Some(Security::Sandbox) => lathe_graph::Security::Sandbox,
            Some(Security::Insecure) => {
                self.entitled(instruction.span, Entitlement::SecurityInsecure)?;
                lathe_graph::Security::Insecure
            }
        };
        let devices = self.devices(run)?;
        let mut inputs = Vec::new();
        let root = self.push_base(&mut inputs);
        let mut lent = self.mounts(run, &mut inputs)?;
        let args = self.run_args(&run.command, &mut lent.list);
        let shown = self.shown_args(&run.command, &args);
        let created_by = lathe_dockerfile::created_by::run(&shown, &self.state.visible_args());
        let mut env = self.state.process_env();
        let has_socket = env.iter().any(|variable| variable.starts_with("SSH_AUTH_SOCK="));
        if let Some(socket) = lent.socket.filter(|_| !has_socket) {
            env.push(format!("SSH_AUTH_SOCK={socket}"));
        }
        let op = ExecOp {
            root,
            args,
            proxy_env: self.proxy_env(),
            env,
            secret_env: lent.secret_env,
            hostname: self.hostname(),
            platform: self.state.platform.clone(),
            devices,
            cwd: self.state.working_dir().to_owned(),
            user: self.state.config.config.user.clone(),
            mounts: lent.list,
            network,
            security,
        };
        self.layer(instruction, Op::Exec(Box::new(op)), inputs, created_by);
        Ok(())
    }

    fn hostname(&self) -> Option<String> {
        let given = self.cx.options.build_args.get(HOSTNAME_ARG);
        given.filter(|name| !name.is_empty()).cloned()
    }

    /// Fails unless the user allows something that steps may not do by themselves.
    fn entitled(&self, span: Span, entitlement: Entitlement) -> Result<(), Stop> {
        if self.cx.options.allow.contains(&entitlement) {
            return Ok(());
        }
        let name = entitlement.name();
        let help = format!("allow it with `--allow {name}`");
        Err(stop_with_help(span, format!("{name} is not allowed"), help))
    }

    fn devices(&mut self, run: &Run) -> Result<Vec<Device>, Stop> {
        let mut devices: Vec<Device> = Vec::new();
        for device in &run.devices {
            self.entitled(device.name.span, Entitlement::Device)?;
            let name = self.expand(&device.name)?;
            let need = need(device.required);
            match devices.iter_mut().find(|known| known.name == name) {
                Some(known) if device.required => known.need = need,
                Some(_) => {}
                None => devices.push(Device { name, need }),
            }
        }
        Ok(devices)
    }

    /// Returns the command; a heredoc script with an interpreter line becomes a mounted file.
    fn run_args(&self, command: &CommandLine, mounts: &mut Vec<ExecMount>) -> Vec<String> {
        if let Some(script) = command.script().filter(|script| script.body.starts_with("#!"))
            && self.state.config.os != "windows"
        {
            let target = format!("/dev/pipes/{}", script.name);
            let kind = ExecMountKind::File { content: script.body.clone(), mode: 0o755 };
            mounts.push(ExecMount { target: target.clone(), kind });
            return vec![target];
        }
        self.state.arguments(command)
    }

    /// Returns the command as the history has it. BuildKit has the shell run a script of its own,
    /// which needs none: here it is run as it is, so that an image without a shell can have one.
    fn shown_args(&self, command: &CommandLine, args: &[String]) -> Vec<String> {
        match args {
            [script] if command.script().is_some() => {
                self.state.arguments(&CommandLine::Shell(script.clone(), Vec::new()))
            }
            args => args.to_vec(),
        }
    }

    /// Returns the predefined proxy arguments that were given, in either case, as programs look
    /// for either; those that are declared are variables as any other.
    fn proxy_env(&self) -> Vec<String> {
        let given = self.cx.options.build_args.iter().filter(|(name, _)| is_proxy_arg(name));
        let mut env = Vec::new();
        for proxy in PROXY_ARGS {
            let value = given.clone().rfind(|(name, _)| name.eq_ignore_ascii_case(proxy));
            let Some((_, value)) = value else { continue };
            for name in [proxy.to_owned(), proxy.to_ascii_lowercase()] {
                if self.state.vars.get(&name).is_none() {
                    env.push(format!("{name}={value}"));
                }
            }
        }
        env
    }
}

pub(super) fn need(required: bool) -> Need {
    if required { Need::Required } else { Need::Optional }
}
