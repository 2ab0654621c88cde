//! What a process is lent by the build: network, name servers, hosts, certificates.
//!
//! None of it is part of a cache key, and none of it stays in the snapshot: files come from a
//! private file system in memory, variables exist for the process only.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use lathe_executor::{ControlGroup, Network, ResourceLimits, Rlimit, build_hosts};

use crate::Result;

/// Stands for the host's address in `--add-host`.
pub const HOST_GATEWAY: &str = "host-gateway";

/// Folder of lent files in the sandbox.
const FOLDER: &str = "/run/lathe";

/// A network with its name servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildNetwork {
    /// Which one.
    pub network: Network,
    /// `/etc/resolv.conf` for processes in it.
    pub resolv_conf: Vec<u8>,
    /// The host's address as it is seen from there, if it is seen at all.
    pub gateway: Option<IpAddr>,
}

/// Where the value of a secret is (`--secret`). Read when a step needs it.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file.
    File(PathBuf),
    /// In a variable of the builder.
    Value(String),
}

impl SecretSource {
    /// Reads the value, as text for a header or a variable: without the line end at its end.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn value(&self) -> std::io::Result<String> {
        let value = match self {
            Self::File(path) => String::from_utf8_lossy(&std::fs::read(path)?).into_owned(),
            Self::Value(value) => value.clone(),
        };
        Ok(value.trim_end_matches(['\r', '\n']).to_owned())
    }
}

impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Value(_) => f.write_str("Value(…)"),
        }
    }
}

/// What answers for a key (`--ssh`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SshSource {
    /// The socket of a running agent.
    Agent(PathBuf),
    /// Files of keys, for an agent of the build's own.
    Keys(Vec<PathBuf>),
}

/// What a user lends to the processes of a build, and how they are held back.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Additional `(name, address)` of `/etc/hosts`: `--add-host`. The address may be
    /// [`HOST_GATEWAY`].
    pub hosts: Vec<(String, String)>,
    /// `--secret`, by id.
    pub secrets: BTreeMap<String, SecretSource>,
    /// `--ssh`, by id.
    pub ssh: BTreeMap<String, SshSource>,
    /// `--ulimit`.
    pub rlimits: Vec<Rlimit>,
    /// `--shm-size`, in bytes.
    pub shm_size: Option<u64>,
    /// `--resource`; each process has a control group of its own if there are any.
    pub limits: ResourceLimits,
    /// `--cgroup-parent`.
    pub cgroup_parent: Option<String>,
}

impl RunOptions {
    /// Tells whether processes need control groups.
    pub fn has_limits(&self) -> bool {
        self.limits != ResourceLimits::default() || self.cgroup_parent.is_some()
    }
}

/// How the processes of a build are run.
pub struct RunPolicy {
    /// Makes the network of processes that do not ask for another one; called when the first
    /// process starts, since most builds find all in the cache and need none.
    pub network: Box<dyn Fn() -> BuildNetwork + Send + Sync>,
    /// Certificates to trust, PEM: `--ca`.
    pub certificates: Option<Vec<u8>>,
    /// The host's `/etc/resolv.conf`.
    pub resolv_conf: Vec<u8>,
    /// What the user lends.
    pub options: RunOptions,
}

impl std::fmt::Debug for RunPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunPolicy").field("options", &self.options).finish_non_exhaustive()
    }
}

impl RunPolicy {
    /// Returns the network for a process.
    pub(crate) fn network(&self, asked: lathe_graph::Network) -> BuildNetwork {
        let own = |network| BuildNetwork {
            gateway: (network == Network::Host).then_some(Ipv4Addr::LOCALHOST.into()),
            network,
            resolv_conf: self.resolv_conf.clone(),
        };
        match asked {
            lathe_graph::Network::Default => (self.network)(),
            lathe_graph::Network::None => own(Network::None),
            lathe_graph::Network::Host => own(Network::Host),
        }
    }

    /// Returns the files that a process finds in its root.
    ///
    /// A name for the host is left out where the network has no address for it.
    pub(crate) fn files(&self, network: &BuildNetwork, hostname: &str) -> Vec<(String, Vec<u8>)> {
        let resolved = |(name, address): &(String, String)| match address.as_str() {
            HOST_GATEWAY => Some((name.clone(), network.gateway?.to_string())),
            _ => Some((name.clone(), address.clone())),
        };
        let hosts: Vec<(String, String)> = self.options.hosts.iter().filter_map(resolved).collect();
        let hosts = build_hosts(hostname, &hosts);
        let mut files = vec![
            ("/etc/hosts".to_owned(), hosts.into_bytes()),
            ("/etc/resolv.conf".to_owned(), network.resolv_conf.clone()),
        ];
        if let Some(certificates) = &self.certificates {
            let bundle = certificate_file();
            files.push((bundle.clone(), certificates.clone()));
            let apt = format!("Acquire::https::CaInfo \"{bundle}\";\n");
            files.push((format!("{FOLDER}/apt.conf"), apt.into_bytes()));
            let wget = format!("ca_certificate = {bundle}\n");
            files.push((format!("{FOLDER}/wgetrc"), wget.into_bytes()));
        }
        files
    }

    /// Makes a control group for a process, where there are limits.
    pub(crate) fn control_group(&self) -> Result<Option<ControlGroup>> {
        let RunOptions { limits, cgroup_parent, .. } = &self.options;
        if !self.options.has_limits() {
            return Ok(None);
        }
        Ok(Some(ControlGroup::create(cgroup_parent.as_deref(), limits)?))
    }

    /// Adds the variables by which programs find the lent certificates, unless they are set.
    pub(crate) fn add_variables(&self, env: &mut Vec<String>) {
        if self.certificates.is_none() {
            return;
        }
        let bundle = certificate_file();
        let (apt, wget) = (format!("{FOLDER}/apt.conf"), format!("{FOLDER}/wgetrc"));
        // OpenSSL and Go, Node, npm, pip, requests, curl, git, Cargo, apt, wget.
        for (name, value) in [
            ("SSL_CERT_FILE", &bundle),
            ("NODE_EXTRA_CA_CERTS", &bundle),
            ("npm_config_cafile", &bundle),
            ("PIP_CERT", &bundle),
            ("REQUESTS_CA_BUNDLE", &bundle),
            ("CURL_CA_BUNDLE", &bundle),
            ("GIT_SSL_CAINFO", &bundle),
            ("CARGO_HTTP_CAINFO", &bundle),
            ("APT_CONFIG", &apt),
            ("WGETRC", &wget),
        ] {
            let prefix = format!("{name}=");
            if !env.iter().any(|variable| variable.starts_with(&prefix)) {
                env.push(prefix + value);
            }
        }
    }
}

fn certificate_file() -> String {
    format!("{FOLDER}/ca-certificates.crt")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(certificates: Option<&[u8]>) -> RunPolicy {
        RunPolicy {
            network: Box::new(|| BuildNetwork {
                network: Network::Host,
                resolv_conf: Vec::new(),
                gateway: None,
            }),
            certificates: certificates.map(<[u8]>::to_vec),
            resolv_conf: b"nameserver 192.0.2.1\n".to_vec(),
            options: RunOptions {
                hosts: vec![("db".to_owned(), "10.0.0.1".to_owned())],
                ..RunOptions::default()
            },
        }
    }

    #[test]
    fn certificates_are_lent_to_all_tools_but_override_nothing() {
        let policy = policy(Some(b"PEM"));
        let mut env = vec!["PIP_CERT=/mine".to_owned()];
        policy.add_variables(&mut env);
        assert!(env.contains(&"PIP_CERT=/mine".to_owned()));
        assert_eq!(env.iter().filter(|v| v.starts_with("PIP_CERT=")).count(), 1);
        assert!(env.contains(&"SSL_CERT_FILE=/run/lathe/ca-certificates.crt".to_owned()));
        let files = policy.files(&policy.network(lathe_graph::Network::Host), "host");
        assert!(files.iter().any(|(_, content)| content == b"PEM"));
    }

    #[test]
    fn without_certificates_no_variable_is_added() {
        let mut env = Vec::new();
        policy(None).add_variables(&mut env);
        assert!(env.is_empty());
    }

    #[test]
    fn the_host_has_a_name_where_it_has_an_address() {
        let mut policy = policy(None);
        policy.options.hosts.push(("host.docker.internal".to_owned(), HOST_GATEWAY.to_owned()));
        let hosts = |asked| {
            let files = policy.files(&policy.network(asked), "host");
            String::from_utf8(files[0].1.clone()).unwrap()
        };
        let line = "127.0.0.1\thost.docker.internal\n";
        assert!(hosts(lathe_graph::Network::Host).contains(line));
        assert!(!hosts(lathe_graph::Network::None).contains("docker.internal"));
    }

    #[test]
    fn each_network_has_its_own_name_servers() {
        let policy = policy(None);
        let servers = |asked| {
            let files = policy.files(&policy.network(asked), "host");
            files.into_iter().find(|(path, _)| path == "/etc/resolv.conf").unwrap().1
        };
        assert_eq!(servers(lathe_graph::Network::Default), b"");
        assert_eq!(servers(lathe_graph::Network::Host), b"nameserver 192.0.2.1\n");
    }
}
