//! What a process is lent by the build: network, name servers, hosts, certificates.
//!
//! None of it is part of a cache key, and none of it stays in the snapshot: files come from a
//! private file system in memory, variables exist for the process only.

use std::path::PathBuf;

use lathe_executor::Network;

/// Folder of lent files in the sandbox.
const FOLDER: &str = "/run/lathe";

/// The network of processes that do not ask for another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BuildNetwork {
    /// The host's.
    #[default]
    Host,
    /// Loopback alone.
    None,
    /// The namespace behind this path.
    Join(PathBuf),
}

/// How the processes of a build are run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunPolicy {
    /// The network of processes that do not ask for another one.
    pub network: BuildNetwork,
    /// Certificates to trust, PEM: `--ca`.
    pub certificates: Option<Vec<u8>>,
    /// Additional `(name, address)` of `/etc/hosts`: `--add-host`.
    pub hosts: Vec<(String, String)>,
    /// The host's `/etc/resolv.conf`.
    pub resolv_conf: Vec<u8>,
}

impl RunPolicy {
    /// Returns the network for a process.
    pub(crate) fn network(&self, asked: lathe_graph::Network) -> Network {
        let default = match &self.network {
            BuildNetwork::Host => Network::Host,
            BuildNetwork::None => Network::None,
            BuildNetwork::Join(path) => Network::Join(path.clone()),
        };
        match asked {
            lathe_graph::Network::Default => default,
            lathe_graph::Network::None => Network::None,
            lathe_graph::Network::Host => Network::Host,
        }
    }

    /// Returns the files that a process finds in its root.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut hosts =
            String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        for (name, address) in &self.hosts {
            hosts.extend([address, "\t", name, "\n"]);
        }
        let mut files = vec![
            ("/etc/hosts".to_owned(), hosts.into_bytes()),
            ("/etc/resolv.conf".to_owned(), self.resolv_conf.clone()),
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

    #[test]
    fn certificates_are_lent_to_all_tools_but_override_nothing() {
        let policy = RunPolicy { certificates: Some(b"PEM".to_vec()), ..RunPolicy::default() };
        let mut env = vec!["PIP_CERT=/mine".to_owned()];
        policy.add_variables(&mut env);
        assert!(env.contains(&"PIP_CERT=/mine".to_owned()));
        assert_eq!(env.iter().filter(|v| v.starts_with("PIP_CERT=")).count(), 1);
        assert!(env.contains(&"SSL_CERT_FILE=/run/lathe/ca-certificates.crt".to_owned()));
        assert!(policy.files().iter().any(|(_, content)| content == b"PEM"));
    }

    #[test]
    fn without_certificates_no_variable_is_added() {
        let mut env = Vec::new();
        RunPolicy::default().add_variables(&mut env);
        assert!(env.is_empty());
    }
}
