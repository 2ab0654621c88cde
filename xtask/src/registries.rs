//! Where base images come from: the public registry, or stand-ins on this machine through a mirror setting.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::bases;

/// Where base images come from.
#[derive(Debug)]
pub(crate) struct Registries {
    /// A `registries.toml` for lathe.
    pub(crate) file: PathBuf,
    /// The registry on this machine which has stand-ins, if the public one cannot be reached.
    pub(crate) standin: Option<String>,
}

/// Finds a way to `node:18` and the like, making stand-ins where there is no other, and writes it to a file below
/// `folder`.
pub(crate) fn prepare(folder: &Path) -> Result<Registries> {
    let standin = if bases::public_registry_answers() {
        None
    } else {
        Some(bases::ensure_registry().context("get base images")?.address)
    };
    let text = match &standin {
        None => "# The public registries answer from here.\n".to_owned(),
        Some(address) => format!(
            "# Docker Hub cannot be reached from here: stand-ins for some of its images.\n\
             [registry.\"docker.io\"]\nmirrors = [{{ location = \"{address}\", plain-http = true }}]\n"
        ),
    };
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let file = folder.join("registries.toml");
    fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    Ok(Registries { file, standin })
}
