//! Commands that talk to a registry.

use clap::Args;

/// Flags of `lathe pull`.
#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// Set platform if the image is for several
    #[arg(long, value_name = "string")]
    pub(crate) platform: Option<String>,
    /// Suppress verbose output
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// Flags of `lathe push`.
#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Suppress verbose output
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// Flags of `lathe login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Password or Personal Access Token (PAT)
    #[arg(short, long, value_name = "string")]
    pub(crate) password: Option<String>,
    /// Take the Password or Personal Access Token (PAT) from stdin
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// Username
    #[arg(short, long, value_name = "string")]
    pub(crate) username: Option<String>,
    #[arg(value_name = "SERVER")]
    pub(crate) server: Option<String>,
}

/// Flags of `lathe logout`.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    #[arg(value_name = "SERVER")]
    pub(crate) server: Option<String>,
}
