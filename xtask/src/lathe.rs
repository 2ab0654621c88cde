//! The program itself, built and called as a user calls it.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::cargo::{self, cargo};
use crate::examples::Example;
use crate::sh::Cmd;

/// Where Debian keeps the certificate authorities that this machine trusts.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Docker's predefined build arguments: steps behind a proxy need them.
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"];

/// An installed or freshly built `lathe`, and what each call of it is given.
#[derive(Debug, Clone)]
pub(crate) struct Lathe {
    pub(crate) program: PathBuf,
    pub(crate) registries: PathBuf,
    /// The store; else the user's own.
    pub(crate) root: Option<PathBuf>,
}

/// Builds the program in release mode and returns where it is.
pub(crate) fn build_release() -> Result<PathBuf> {
    cargo().args(["build", "--release", "--package", "lathe-cli"]).stream()?;
    let program = cargo::target_folder()?.join("release/lathe");
    ensure!(program.is_file(), "cargo built no {}", program.display());
    Ok(program)
}

impl Lathe {
    /// Returns a command of the program.
    pub(crate) fn command(&self, arguments: &[&str]) -> Cmd {
        let command = Cmd::new(&self.program).env("LATHE_REGISTRIES_CONFIG", &self.registries);
        let command = match &self.root {
            Some(root) => command.arg("--root").arg(root),
            None => command,
        };
        command.args(arguments)
    }

    /// Returns the command that builds an example.
    pub(crate) fn build(&self, example: &Example) -> Cmd {
        self.command(&["build", "--progress", "plain"]).args(lent()).args(example.arguments())
    }

    /// Returns the size of an image in bytes, unpacked, as `lathe images` counts it.
    pub(crate) fn size(&self, tag: &str) -> Result<u64> {
        let command = self.command(&["inspect", "--type", "image", "--format", "{{.Size}}", tag]);
        let text = command.read()?;
        text.parse().map_err(|_| anyhow::anyhow!("`{}` said `{text}`", command.line()))
    }

    /// Returns the id of an image.
    pub(crate) fn id(&self, tag: &str) -> Result<String> {
        self.command(&["inspect", "--type", "image", "--format", "{{.Id}}", tag]).read()
    }
}

/// Returns what builds are lent of this machine: its certificate authorities and its proxies.
///
/// Where TLS is intercepted, npm, pip and go trust nothing else; elsewhere it changes nothing.
pub(crate) fn lent() -> Vec<String> {
    let mut arguments = Vec::new();
    let bundle = env::var("SSL_CERT_FILE").ok().filter(|file| Path::new(file).is_file());
    let bundle = bundle.or_else(|| Path::new(BUNDLE).is_file().then(|| BUNDLE.to_owned()));
    if let Some(bundle) = bundle {
        arguments.extend(["--ca".to_owned(), bundle]);
    }
    for name in PROXIES.iter().filter(|name| env::var_os(name).is_some()) {
        arguments.extend(["--build-arg".to_owned(), (*name).to_owned()]);
    }
    arguments
}
