//! From the flags of `run` and the image's configuration to what a container is.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Result, bail};
use lathe_engine::container::{
    Access, ContainerSpec, ExposedPort, ImageSpec, Init, NetworkMode, NetworkSpec, ProcessSpec,
    PublishAll, Removal, StdinMode, Terminal, VolumeSource, VolumeSpec, parse,
};
use lathe_oci::RunConfig;

use crate::{args::RunArgs, env};

/// Makes the specification of a container.
pub(super) fn container_spec(
    args: &RunArgs,
    image: ImageSpec,
    config: &RunConfig,
    working_dir: &Path,
) -> Result<ContainerSpec> {
    if let Some(flag) = args.later.unsupported() {
        bail!("{flag} is not supported yet");
    }
    Ok(ContainerSpec {
        name: args.name.clone(),
        image,
        process: process(args, config)?,
        hostname: args.hostname.clone(),
        network: network(args, config)?,
        volumes: volumes(args, working_dir)?,
        image_volumes: config.volumes.keys().cloned().collect(),
        rootfs_access: if args.read_only { Access::ReadOnly } else { Access::ReadWrite },
        init: if args.init { Init::Reaper } else { Init::Process },
        removal: if args.rm { Removal::OnExit } else { Removal::Keep },
        stop_signal: args.stop_signal.clone().or_else(|| config.stop_signal.clone()),
        labels: labels(args, config),
    })
}

fn process(args: &RunArgs, config: &RunConfig) -> Result<ProcessSpec> {
    let typed = args.rest.get(1..).unwrap_or_default();
    // A new entry point makes the image's default arguments meaningless.
    let (entrypoint, default) = match args.entrypoint.as_deref() {
        Some("") => (Vec::new(), Vec::new()),
        Some(program) => (vec![program.to_owned()], Vec::new()),
        None => {
            (config.entrypoint.clone().unwrap_or_default(), config.cmd.clone().unwrap_or_default())
        }
    };
    let command = if typed.is_empty() { default } else { typed.to_vec() };
    if entrypoint.is_empty() && command.is_empty() {
        bail!("no command specified");
    }
    let mut variables = config.env.clone();
    for file in &args.env_file {
        variables.extend(env::assignments_of(file)?);
    }
    variables.extend(env::assignments(&args.env));
    Ok(ProcessSpec {
        entrypoint,
        command,
        env: variables,
        working_dir: args.workdir.clone().unwrap_or_else(|| config.working_dir.clone()),
        user: args.user.clone().unwrap_or_else(|| config.user.clone()),
        terminal: terminal(args.tty),
        stdin: stdin(args.interactive),
    })
}

pub(super) fn terminal(wanted: bool) -> Terminal {
    if wanted { Terminal::Allocate } else { Terminal::None }
}

pub(super) fn stdin(open: bool) -> StdinMode {
    if open { StdinMode::Open } else { StdinMode::Closed }
}

fn network(args: &RunArgs, config: &RunConfig) -> Result<NetworkSpec> {
    let mode = match args.network.as_deref() {
        None | Some("default" | "bridge" | "private") => NetworkMode::Private,
        Some("host") => NetworkMode::Host,
        Some("none") => NetworkMode::None,
        Some(other) => bail!("network {other} not found: there are bridge, host and none"),
    };
    let mut publish = Vec::new();
    for text in &args.publish {
        publish.extend(parse::publish(text)?);
    }
    let mut exposed: Vec<ExposedPort> = Vec::new();
    for text in config.exposed_ports.keys().chain(&args.expose) {
        exposed.extend(parse::exposed(text)?);
    }
    exposed.sort();
    exposed.dedup();
    let extra_hosts = args.add_host.iter().map(|text| parse::extra_host(text));
    Ok(NetworkSpec {
        mode,
        publish,
        exposed,
        publish_all: if args.publish_all { PublishAll::Yes } else { PublishAll::No },
        extra_hosts: extra_hosts.collect::<Result<_, _>>()?,
        dns: args.dns.clone(),
    })
}

fn volumes(args: &RunArgs, working_dir: &Path) -> Result<Vec<VolumeSpec>> {
    let binds = args.volumes.iter().map(|text| Ok(parse::volume(text, working_dir)?));
    let memory = args.tmpfs.iter().map(|text| {
        let target = text.split(':').next().unwrap_or(text).to_owned();
        Ok(VolumeSpec { source: VolumeSource::Tmpfs, target, access: Access::ReadWrite })
    });
    binds.chain(memory).collect()
}

fn labels(args: &RunArgs, config: &RunConfig) -> BTreeMap<String, String> {
    let mut labels = config.labels.clone();
    labels.extend(args.labels.iter().map(|text| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    }));
    labels
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::args::{Action, parse as parse_line};

    fn config() -> RunConfig {
        RunConfig {
            entrypoint: Some(vec!["docker-entrypoint.sh".to_owned()]),
            cmd: Some(vec!["node".to_owned(), "server.js".to_owned()]),
            env: vec!["A=1".to_owned()],
            working_dir: "/app".to_owned(),
            user: "node".to_owned(),
            exposed_ports: [("3000/tcp".to_owned(), BTreeMap::new())].into(),
            labels: [("a".to_owned(), "image".to_owned())].into(),
            ..RunConfig::default()
        }
    }

    fn spec(line: &str) -> Result<ContainerSpec> {
        let argv: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let Ok((_, Action::Run(args))) = parse_line(&argv) else { panic!("{line}") };
        let image = ImageSpec { name: args.rest[0].clone(), id: String::new(), snapshot: None };
        container_spec(&args, image, &config(), Path::new("/here"))
    }

    #[test]
    fn the_image_decides_what_the_flags_leave_open() {
        let spec = spec("lathe run -d -p 3000:3000 node-multistage").expect("a spec");
        assert_eq!(spec.process.entrypoint, ["docker-entrypoint.sh"]);
        assert_eq!(spec.process.command, ["node", "server.js"]);
        assert_eq!((&*spec.process.user, &*spec.process.working_dir), ("node", "/app"));
        assert_eq!(spec.network.mode, NetworkMode::Private);
        let port = spec.network.publish[0];
        assert_eq!((port.host_port, port.container_port), (Some(3000), 3000));
        assert_eq!(spec.removal, Removal::Keep);
    }

    #[test]
    fn flags_and_arguments_replace_the_images() {
        let spec = spec("lathe run --rm -it -u 0 -w /w -e A=2 -e B=3 -l a=b --network none -v ./d:/d:ro x sh -c true")
            .expect("a spec");
        assert_eq!(spec.process.entrypoint, ["docker-entrypoint.sh"]);
        assert_eq!(spec.process.command, ["sh", "-c", "true"]);
        assert_eq!(spec.process.env, ["A=1", "A=2", "B=3"]);
        assert_eq!((&*spec.process.user, &*spec.process.working_dir), ("0", "/w"));
        assert_eq!(spec.labels["a"], "b");
        assert_eq!(spec.network.mode, NetworkMode::None);
        assert_eq!(spec.process.terminal, Terminal::Allocate);
        assert_eq!(spec.removal, Removal::OnExit);
        assert_eq!(spec.volumes[0].access, Access::ReadOnly);
    }

    #[test]
    fn a_new_entry_point_drops_the_images_command() {
        let check = |line: &str, entrypoint: &[&str], command: &[&str]| {
            let spec = spec(line).expect(line);
            assert_eq!(spec.process.entrypoint, entrypoint, "{line}");
            assert_eq!(spec.process.command, command, "{line}");
        };
        check("lathe run --entrypoint sh x", &["sh"], &[]);
        check("lathe run --entrypoint sh x -c true", &["sh"], &["-c", "true"]);
        check("lathe run --entrypoint= x ls", &[], &["ls"]);
        let error = spec("lathe run --entrypoint= x").expect_err("nothing to run");
        assert_eq!(error.to_string(), "no command specified");
    }

    #[test]
    fn what_is_not_supported_is_said() {
        let error = spec("lathe run --memory 1g x").expect_err("is refused");
        assert_eq!(error.to_string(), "--memory is not supported yet");
        assert!(spec("lathe run --network mine x").is_err());
    }
}
