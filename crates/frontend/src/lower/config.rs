//! Instructions that change the config or the variables of a stage.

mod ports;

use lathe_dockerfile::{
    CommandLine, Diagnostic, Rule,
    ast::{
        Arg, Cmd, Entrypoint, Env, Expose, Healthcheck, HealthcheckCmd, Label, Maintainer, Shell,
        StopSignal, User, Volume,
    },
    created_by, expand_words,
};

use super::{
    signal::is_signal,
    step::{StageCx, Stop, stop, stop_with_help},
};
use crate::{Epoch, options::EPOCH_ARG};

impl StageCx<'_, '_> {
    pub(super) fn arg(&mut self, arg: &Arg) -> Result<(), Stop> {
        let mut entries = Vec::new();
        for entry in &arg.entries {
            let value = match (self.given(&entry.name), &entry.default) {
                // A default that is not used is not expanded: it may be wrong.
                (Some(given), _) => Some(given),
                (None, Some(default)) => Some(self.expand(default)?),
                (None, None) => self.inherited(&entry.name),
            };
            self.state.set_arg(&entry.name, value.as_deref());
            entries.push((entry.name.clone(), value));
        }
        self.note(created_by::arg(&entries));
        Ok(())
    }

    fn given(&self, name: &str) -> Option<String> {
        let given = self.cx.options.build_args.get(name)?;
        if name == EPOCH_ARG { self.seconds() } else { Some(given.clone()) }
    }

    /// Returns the value of a global argument.
    fn inherited(&self, name: &str) -> Option<String> {
        let value = self.cx.stages.global_args.get(name)?;
        if name == EPOCH_ARG { self.seconds() } else { Some(value.clone()) }
    }

    /// Returns `SOURCE_DATE_EPOCH` as processes see it: as a number, or not at all.
    fn seconds(&self) -> Option<String> {
        match &self.cx.epoch {
            Epoch::Seconds(seconds) => Some(seconds.to_string()),
            Epoch::Unset | Epoch::Context(_) | Epoch::Source(_) => None,
        }
    }

    pub(super) fn env(&mut self, env: &Env) -> Result<(), Stop> {
        // All values are expanded with the variables from before the instruction.
        let mut pairs = Vec::new();
        for pair in &env.pairs {
            let name = self.expand(&pair.key)?;
            if name.is_empty() {
                let message = format!("the name `{}` is empty after expansion", pair.key.raw);
                return Err(stop(pair.key.span, message));
            }
            pairs.push((name, self.expand(&pair.value)?));
        }
        for (name, value) in &pairs {
            self.state.set_env(name, value);
        }
        self.note(created_by::env(&pairs));
        Ok(())
    }

    pub(super) fn label(&mut self, label: &Label) -> Result<(), Stop> {
        let mut pairs = Vec::new();
        for pair in &label.pairs {
            pairs.push((self.expand(&pair.key)?, self.expand(&pair.value)?));
        }
        self.note(created_by::label(&pairs));
        self.state.config.config.labels.extend(pairs);
        Ok(())
    }

    pub(super) fn user(&mut self, user: &User) -> Result<(), Stop> {
        let name = self.expand(&user.user)?;
        self.note(created_by::user(&name));
        self.state.config.config.user = name;
        Ok(())
    }

    pub(super) fn expose(&mut self, expose: &Expose) -> Result<(), Stop> {
        let mut ports = Vec::new();
        for word in &expose.ports {
            let expanded = expand_words(&word.raw, &self.state, self.cx.file.escape)
                .map_err(|error| stop(word.locate(error.offset()), error.to_string()))?;
            self.undefined(word, expanded.unset.iter());
            for text in expanded.words {
                let port = ports::parse(&text).ok_or_else(|| {
                    let message = format!("invalid port `{text}`");
                    let help = "a port looks like 8080, 8080/udp or 8000-8010/tcp";
                    stop_with_help(word.span, message, help)
                })?;
                // What the file says as it stands is checked without expanding.
                if port.has_host && word.raw.contains('$') {
                    let message = format!("`{text}` has an address or a host port");
                    let rule = Rule::ExposeInvalidFormat;
                    self.warn(Diagnostic::warning(rule, word.span, message));
                }
                ports.extend(port.ports);
            }
        }
        self.note(created_by::expose(&ports));
        let exposed = &mut self.state.config.config.exposed_ports;
        exposed.extend(ports.into_iter().map(|port| (port, std::collections::BTreeMap::new())));
        Ok(())
    }

    pub(super) fn volume(&mut self, volume: &Volume) -> Result<(), Stop> {
        let paths = self.expand_all(&volume.paths)?;
        for (path, word) in paths.iter().zip(&volume.paths) {
            if path.is_empty() {
                return Err(stop(word.span, format!("`{}` is empty after expansion", word.raw)));
            }
            let volumes = &mut self.state.config.config.volumes;
            volumes.insert(path.clone(), std::collections::BTreeMap::new());
        }
        self.note(created_by::volume(&paths));
        Ok(())
    }

    pub(super) fn stop_signal(&mut self, signal: &StopSignal) -> Result<(), Stop> {
        let name = self.expand(&signal.signal)?;
        if !is_signal(&name) {
            let help = "a signal is a name as SIGTERM or a number from 1 to 64";
            let message = format!("invalid signal `{name}`");
            return Err(stop_with_help(signal.signal.span, message, help));
        }
        self.note(created_by::stop_signal(&name));
        self.state.config.config.stop_signal = Some(name);
        Ok(())
    }

    pub(super) fn cmd(&mut self, cmd: &Cmd) {
        let args = self.state.arguments(&cmd.command);
        self.note(created_by::cmd(&args));
        let config = &mut self.state.config.config;
        // Documents that are written by Go leave an empty list out.
        config.cmd = (!args.is_empty()).then_some(args);
        config.args_escaped = true;
        self.state.has_cmd = true;
    }

    pub(super) fn entrypoint(&mut self, entrypoint: &Entrypoint) {
        let args = self.state.arguments(&entrypoint.command);
        self.note(created_by::entrypoint(&args));
        // A new entrypoint makes the command of the base image meaningless, but not one that
        // this stage has set before.
        if !self.state.has_cmd {
            self.state.config.config.cmd = None;
        }
        self.state.config.config.entrypoint = (!args.is_empty()).then_some(args);
    }

    pub(super) fn healthcheck(&mut self, healthcheck: &Healthcheck) {
        self.note(created_by::healthcheck(healthcheck));
        self.state.config.config.healthcheck = Some(match healthcheck {
            Healthcheck::None => {
                lathe_oci::Healthcheck { test: vec!["NONE".to_owned()], ..Default::default() }
            }
            Healthcheck::Cmd(cmd) => healthcheck_command(cmd),
        });
    }

    pub(super) fn shell(&mut self, shell: &Shell) {
        self.note(created_by::shell(&shell.command));
        self.state.config.config.shell = Some(shell.command.clone());
    }

    pub(super) fn maintainer(&mut self, maintainer: &Maintainer) {
        self.note(created_by::maintainer(&maintainer.name));
        self.state.config.author = Some(maintainer.name.clone());
    }
}

fn healthcheck_command(cmd: &HealthcheckCmd) -> lathe_oci::Healthcheck {
    let mut test = match &cmd.command {
        CommandLine::Exec(args) => {
            let mut test = vec!["CMD".to_owned()];
            test.extend_from_slice(args);
            test
        }
        CommandLine::Shell(..) => vec!["CMD-SHELL".to_owned()],
    };
    test.extend(cmd.command.shell_argument());
    let nanos = |duration: Option<std::time::Duration>| {
        duration.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
    };
    lathe_oci::Healthcheck {
        test,
        interval: nanos(cmd.interval),
        timeout: nanos(cmd.timeout),
        start_period: nanos(cmd.start_period),
        start_interval: nanos(cmd.start_interval),
        retries: cmd.retries.map_or(0, i64::from),
    }
}
