//! The builders that are compared, each called as its manual says.

mod buildah;
mod buildkit;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use self::buildah::Buildah;
use self::buildkit::BuildKit;
use super::job::{Compression, Job};
use super::place;
use crate::examples::Example;
use crate::lathe::{self, Lathe};
use crate::registries::Registries;
use crate::sh::Cmd;

/// A builder, with a store of its own.
#[derive(Debug, Clone)]
pub(super) enum Tool {
    Lathe(Lathe),
    Buildah(Buildah),
    BuildKit(BuildKit),
}

/// Returns the peers that this machine has and that build something here.
pub(super) fn peers(place: &Path, registries: &Registries) -> Result<Vec<Tool>> {
    let buildah = Buildah::find(place, registries)?.map(Tool::Buildah);
    let buildkit = BuildKit::find().map(Tool::BuildKit);
    let tools = buildah.into_iter().chain(buildkit);
    Ok(tools.filter(|tool| works(tool, place)).collect())
}

/// Returns whether a tool builds anything here; other people's tools want other things of a machine.
fn works(tool: &Tool, place: &Path) -> bool {
    let result = tool.warm(place);
    if let Err(error) = &result {
        println!("{} does not work here and is left out: {error:#}", tool.name());
    }
    result.is_ok()
}

impl Tool {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Lathe(_) => "lathe",
            Self::Buildah(_) => "buildah",
            Self::BuildKit(_) => "BuildKit",
        }
    }

    /// Returns what the tool says of its version.
    pub(super) fn version(&self) -> Result<String> {
        let text = match self {
            Self::Lathe(lathe) => lathe.command(&["--version"]).read()?,
            Self::Buildah(_) => Cmd::new("buildah").arg("--version").read()?,
            Self::BuildKit(buildkit) => buildkit.version()?,
        };
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    /// Gets an image and makes it ready to be built on.
    pub(super) fn pull(&self, image: &str, place: &Path) -> Result<()> {
        match self {
            Self::Lathe(lathe) => lathe.command(&["pull", "-q", image]).run()?,
            Self::Buildah(buildah) => buildah.pull(image).run()?,
            Self::BuildKit(_) => {}
        }
        // Some tools unpack an image when it is built on for the first time.
        let context = place.join("warm");
        fs::create_dir_all(&context).with_context(|| format!("create {}", context.display()))?;
        let file = context.join("Dockerfile");
        fs::write(&file, format!("FROM {image}\nRUN :\n")).context("write a Dockerfile")?;
        self.build(&Job::new(&context, "warm")).run()
    }

    /// Makes the tool ready for work on a small base image.
    fn warm(&self, place: &Path) -> Result<()> {
        self.pull("busybox", place)
    }

    pub(super) fn build(&self, job: &Job) -> Cmd {
        match self {
            Self::Lathe(lathe) => lathe_build(lathe).args(job.words()),
            Self::Buildah(buildah) => buildah.build().args(job.words()),
            Self::BuildKit(buildkit) => buildkit.build(job),
        }
    }

    /// Returns the command that writes a built image to an OCI archive.
    pub(super) fn to_archive(&self, job: &Job, file: &Path, compression: Compression) -> Cmd {
        let file = file.display();
        let output = format!("type=oci,dest={file},compression={}", compression.name());
        match self {
            Self::Lathe(lathe) => lathe_build(lathe).args(["-o", &output]).args(job.words()),
            Self::Buildah(buildah) => {
                buildah.push(&job.tag, &format!("oci-archive:{file}"), compression)
            }
            Self::BuildKit(buildkit) => buildkit.build(job).args(["--output", &output]),
        }
    }

    /// Returns the command that pushes a built image to a registry on this machine.
    pub(super) fn to_registry(&self, job: &Job, host: &str, compression: Compression) -> Cmd {
        let name = format!("{host}/bench/large:latest");
        let packed = format!("compression={}", compression.name());
        match self {
            Self::Lathe(lathe) => {
                // The name says where it goes.
                let job = Job { tag: name, ..job.clone() };
                let output = format!("type=registry,{packed}");
                lathe_build(lathe).args(["-o", &output]).args(job.words())
            }
            Self::Buildah(buildah) => {
                buildah.push(&job.tag, &format!("docker://{name}"), compression)
            }
            Self::BuildKit(buildkit) => {
                let output = format!("type=image,name={name},push=true,{packed}");
                buildkit.build(job).args(["--output", &format!("{output},registry.insecure=true")])
            }
        }
    }

    /// Returns the tool with nothing in its store but a base image, ready to be built on.
    pub(super) fn fresh(&self, place: &Path, label: &str) -> Result<Self> {
        let folder = place.join(format!("{}-{label}", self.name()));
        place::remove(&folder);
        let tool = match self {
            Self::Lathe(lathe) => Self::Lathe(Lathe { root: Some(folder), ..lathe.clone() }),
            Self::Buildah(buildah) => Self::Buildah(buildah.with_store(&folder)?),
            Self::BuildKit(buildkit) => {
                buildkit.forget()?;
                self.clone()
            }
        };
        tool.warm(place)?;
        Ok(tool)
    }

    /// Removes the store.
    pub(super) fn remove(&self) {
        match self {
            Self::Lathe(lathe) => lathe.root.iter().for_each(|root| place::remove(root)),
            Self::Buildah(buildah) => buildah.remove(),
            Self::BuildKit(_) => {}
        }
    }
}

fn lathe_build(lathe: &Lathe) -> Cmd {
    lathe.command(&["build", "--progress", "plain"]).args(lathe::lent())
}

/// Returns the images that an example begins with.
pub(super) fn bases(example: &Example) -> Result<Vec<String>> {
    let file = example.context().join(example.dockerfile);
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let mut stages = Vec::new();
    let mut bases = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("FROM") {
            continue;
        }
        let base = words.next().unwrap_or_default();
        if base != "scratch" && !stages.contains(&base) && !bases.iter().any(|b| b == base) {
            bases.push(base.to_owned());
        }
        stages.extend(words.nth(1));
    }
    Ok(bases)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples;

    #[test]
    fn stages_are_no_base_images() {
        assert_eq!(bases(&examples::PRODUCTION).expect("reads"), ["node:18", "node:18-alpine"]);
        assert_eq!(bases(&examples::GO).expect("reads"), ["golang:1.21-alpine"]);
    }
}
