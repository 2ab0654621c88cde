//! `lathe version`.

use anyhow::Result;
use serde_json::json;

use crate::{args::ReportArgs, render, term};

/// The version of this program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Prints it. docker tells of a client and a server; here both are this program.
pub(super) fn version(args: &ReportArgs) -> Result<u8> {
    if args.short {
        term::out(&format!("lathe version {VERSION}\n"))?;
        return Ok(0);
    }
    let name = rustix::system::uname();
    let kernel = name.release().to_string_lossy();
    let (os, arch) = (std::env::consts::OS, go_arch());
    let side = json!({
        "Version": VERSION,
        "ApiVersion": "none",
        "Os": os,
        "Arch": arch,
        "KernelVersion": kernel,
    });
    let text = match args.format.as_deref() {
        Some(format) => render::document(format, &json!({ "Client": side, "Server": side }))?,
        None => format!(
            "Client: lathe\n Version:           {VERSION}\n OS/Arch:           {os}/{arch}\n\n\
             Server: none, images are built and run by this program itself\n \
             Kernel:            {kernel}\n"
        ),
    };
    term::out(&text)?;
    Ok(0)
}

/// The machine's architecture in Go's words.
pub(super) fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
