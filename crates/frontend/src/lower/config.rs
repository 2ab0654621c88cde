//! Instructions that change the config or the variables of a stage.

use lathe_dockerfile::{
    ast::{
        Arg, Cmd, Entrypoint, Env, Expose, Healthcheck, HealthcheckCmd, Label, Maintainer, Shell,
        StopSignal, User, Volume,
    },
    expand_words,
};

use super::{StageCx, Stop, history, stop, stop_with_help};

impl StageCx<'_, '_> {
    pub(super) fn arg(&mut self, arg: &Arg) -> Result<(), Stop> {
        let mut texts = Vec::new();
        for entry in &arg.entries {
            let given = self.cx.options.build_args.get(&entry.name).cloned();
            let value = match (given, &entry.default) {
                (Some(given), _) => Some(given),
                (None, Some(default)) => Some(self.expand(default)?),
                (None, None) => self.cx.stages.global_args.get(&entry.name).cloned(),
            };
            texts.push(match &value {
                Some(value) => format!("{}={value}", entry.name),
                None => entry.name.clone(),
            });
            self.state.set_arg(&entry.name, value);
        }
        self.note(format!("ARG {}", texts.join(" ")));
        Ok(())
    }

    pub(super) fn env(&mut self, env: &Env) -> Result<(), Stop> {
        // All values are expanded with the variables from before the instruction.
        let mut pairs = Vec::new();
        for pair in &env.pairs {
            pairs.push((self.expand(&pair.key)?, self.expand(&pair.value)?));
        }
        let texts: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        for (name, value) in &pairs {
            self.state.set_env(name, value);
        }
        self.note(format!("ENV {}", texts.join(" ")));
        Ok(())
    }

    pub(super) fn label(&mut self, label: &Label) -> Result<(), Stop> {
        let mut texts = Vec::new();
        for pair in &label.pairs {
            let (name, value) = (self.expand(&pair.key)?, self.expand(&pair.value)?);
            texts.push(format!("{name}={value}"));
            self.state.config.config.labels.insert(name, value);
        }
        self.note(format!("LABEL {}", texts.join(" ")));
        Ok(())
    }

    pub(super) fn user(&mut self, user: &User) -> Result<(), Stop> {
        let name = self.expand(&user.user)?;
        if name.is_empty() {
            return Err(stop(
                user.user.span,
                format!("`{}` is empty after expansion", user.user.raw),
            ));
        }
        self.note(format!("USER {name}"));
        self.state.config.config.user = name;
        Ok(())
    }

    pub(super) fn expose(&mut self, expose: &Expose) -> Result<(), Stop> {
        let mut ports = Vec::new();
        for word in &expose.ports {
            let expanded = expand_words(&word.raw, &self.state, self.cx.file.escape)
                .map_err(|error| stop(word.span, error.to_string()))?;
            for text in expanded.words {
                let parsed = parse_ports(&text).ok_or_else(|| {
                    let message = format!("invalid port `{text}`");
                    stop_with_help(
                        word.span,
                        message,
                        "a port looks like 8080, 8080/udp or 8000-8010/tcp",
                    )
                })?;
                ports.extend(parsed);
            }
        }
        ports.sort();
        self.note(format!("EXPOSE [{}]", ports.join(" ")));
        for port in ports {
            self.state.config.config.exposed_ports.insert(port, std::collections::BTreeMap::new());
        }
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
        self.note(format!("VOLUME [{}]", paths.join(" ")));
        Ok(())
    }

    pub(super) fn stop_signal(&mut self, signal: &StopSignal) -> Result<(), Stop> {
        let name = self.expand(&signal.signal)?;
        if !is_signal(&name) {
            let help = "a signal is a name as SIGTERM or a number from 1 to 64";
            return Err(stop_with_help(
                signal.signal.span,
                format!("invalid signal `{name}`"),
                help,
            ));
        }
        self.note(format!("STOPSIGNAL {name}"));
        self.state.config.config.stop_signal = Some(name);
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "all instructions have one shape")]
    pub(super) fn cmd(&mut self, cmd: &Cmd) -> Result<(), Stop> {
        let args = history::with_shell(&cmd.command, self.state.shell());
        self.note(history::command("CMD", &args));
        let config = &mut self.state.config.config;
        config.cmd = Some(args);
        config.args_escaped = true;
        self.state.has_cmd = true;
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "all instructions have one shape")]
    pub(super) fn entrypoint(&mut self, entrypoint: &Entrypoint) -> Result<(), Stop> {
        let args = history::with_shell(&entrypoint.command, self.state.shell());
        self.note(history::command("ENTRYPOINT", &args));
        // A new entrypoint makes the command of the base image meaningless, but not one that
        // this stage has set before.
        if !self.state.has_cmd {
            self.state.config.config.cmd = None;
        }
        self.state.config.config.entrypoint = (!args.is_empty()).then_some(args);
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "all instructions have one shape")]
    pub(super) fn healthcheck(&mut self, healthcheck: &Healthcheck) -> Result<(), Stop> {
        let value = match healthcheck {
            Healthcheck::None => {
                lathe_oci::Healthcheck { test: vec!["NONE".to_owned()], ..Default::default() }
            }
            Healthcheck::Cmd(cmd) => healthcheck_command(cmd),
        };
        let test: Vec<String> = value.test.iter().map(|word| format!("{word:?}")).collect();
        self.note(format!("HEALTHCHECK &{{[{}]}}", test.join(" ")));
        self.state.config.config.healthcheck = Some(value);
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "all instructions have one shape")]
    pub(super) fn shell(&mut self, shell: &Shell) -> Result<(), Stop> {
        self.note(format!("SHELL [{}]", shell.command.join(" ")));
        self.state.config.config.shell = Some(shell.command.clone());
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "all instructions have one shape")]
    pub(super) fn maintainer(&mut self, maintainer: &Maintainer) -> Result<(), Stop> {
        self.note(format!("MAINTAINER {}", maintainer.name));
        self.state.config.author = Some(maintainer.name.clone());
        Ok(())
    }
}

fn healthcheck_command(cmd: &HealthcheckCmd) -> lathe_oci::Healthcheck {
    use lathe_dockerfile::CommandLine;
    let mut test = match &cmd.command {
        CommandLine::Exec(args) => {
            let mut test = vec!["CMD".to_owned()];
            test.extend_from_slice(args);
            test
        }
        CommandLine::Shell(..) => vec!["CMD-SHELL".to_owned()],
    };
    if let Some(text) = cmd.command.shell_argument() {
        test.push(text);
    }
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

/// Reads `port[-port][/protocol]`; `None` if it is something else.
fn parse_ports(text: &str) -> Option<Vec<String>> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return None;
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then(|| (first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn is_signal(name: &str) -> bool {
    const NAMES: [&str; 33] = [
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT",
        "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM",
        "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU",
    ];
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = bare.strip_prefix("RTMIN").or_else(|| bare.strip_prefix("RTMAX"));
    NAMES.contains(&bare)
        || matches!(bare, "XFSZ" | "UNUSED")
        || real_time.is_some_and(|rest| rest.is_empty() || rest[1..].parse::<u8>().is_ok())
        || bare.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_with_ranges_and_protocols() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let expected = expected.map(|ports| ports.iter().map(ToString::to_string).collect());
            assert_eq!(parse_ports(text), expected, "{text}");
        };
        check("80", Some(&["80/tcp"]));
        check("53/UDP", Some(&["53/udp"]));
        check("7000-7002", Some(&["7000/tcp", "7001/tcp", "7002/tcp"]));
        for text in ["", "x", "80/ftp", "90-80", "70000", "1.2.3.4:80:80"] {
            check(text, None);
        }
    }

    #[test]
    fn signals_are_names_or_numbers() {
        for name in ["SIGTERM", "term", "9", "SIGRTMIN+3", "RTMAX"] {
            assert!(is_signal(name), "{name}");
        }
        for name in ["", "0", "65", "SIGNOPE", "-1"] {
            assert!(!is_signal(name), "{name}");
        }
    }
}
