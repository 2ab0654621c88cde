//! The builders that are compared, each called as its manual says.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::examples::Example;
use crate::lathe::{self, Lathe};
use crate::registries::Registries;
use crate::sh::{self, Cmd};

const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A builder.
#[derive(Debug)]
pub(super) enum Tool {
    Lathe(Lathe),
    Buildah(Buildah),
}

/// Debian's buildah with a store of its own.
#[derive(Debug)]
pub(super) struct Buildah {
    place: PathBuf,
}

impl Buildah {
    /// Prepares a store below `place`, and the same way to base images that lathe has.
    pub(super) fn new(place: &Path, registries: &Registries) -> Result<Self> {
        let place = place.join("buildah");
        fs::create_dir_all(&place).with_context(|| format!("create {}", place.display()))?;
        let mirror = registries.standin.as_ref().map_or_else(String::new, |address| {
            format!(
                "[[registry]]\nprefix = \"docker.io\"\nlocation = \"docker.io\"\n\
                 [[registry.mirror]]\nlocation = \"{address}\"\ninsecure = true\n"
            )
        });
        let short = "unqualified-search-registries = [\"docker.io\"]\n";
        let files = [
            ("registries.conf", format!("{short}{mirror}")),
            ("policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#.to_owned()),
            // npm looks at no bundle of the system.
            ("npmrc", format!("cafile={BUNDLE}\n")),
        ];
        for (name, text) in files {
            let file = place.join(name);
            fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        }
        Ok(Self { place })
    }

    fn path(&self, name: &str) -> String {
        self.place.join(name).display().to_string()
    }

    fn command(&self, verb: &str) -> Cmd {
        Cmd::new("buildah")
            .args(["--root", &self.path("store"), "--runroot", &self.path("run")])
            .args([
                "--storage-driver",
                "overlay",
                "--registries-conf",
                &self.path("registries.conf"),
            ])
            .arg(verb)
            .args(["--signature-policy", &self.path("policy.json")])
    }

    fn build(&self) -> Cmd {
        let command = self.command("build").args(["--layers", "--network", "host"]);
        // Where there are both, crun comes first, which refuses machines with two kinds of cgroups.
        let runtime = if sh::have("runc") { &["--runtime", "runc"][..] } else { &[] };
        let command = command.args(runtime);
        if !Path::new(BUNDLE).is_file() {
            return command;
        }
        let volumes =
            [format!("{BUNDLE}:{BUNDLE}:ro"), format!("{}:/root/.npmrc:ro", self.path("npmrc"))];
        command.args(volumes.map(|volume| format!("--volume={volume}")))
    }
}

impl Tool {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Lathe(_) => "lathe",
            Self::Buildah(_) => "buildah",
        }
    }

    /// Returns what the tool says of its version.
    pub(super) fn version(&self) -> Result<String> {
        let text = match self {
            Self::Lathe(lathe) => lathe.command(&["--version"]).read()?,
            Self::Buildah(_) => Cmd::new("buildah").arg("--version").read()?,
        };
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    pub(super) fn pull(&self, image: &str) -> Cmd {
        match self {
            Self::Lathe(lathe) => lathe.command(&["pull", "-q", image]),
            Self::Buildah(buildah) => buildah.command("pull").args(["-q", image]),
        }
    }

    pub(super) fn build(&self, example: &Example) -> Cmd {
        match self {
            Self::Lathe(lathe) => lathe.build(example),
            Self::Buildah(buildah) => buildah.build().args(example.arguments()),
        }
    }

    /// Returns the command that builds this Dockerfile, which is written to the context.
    pub(super) fn build_text(&self, context: &Path, name: &str, text: &str) -> Result<Cmd> {
        let file = context.join(format!("Dockerfile.{name}"));
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        let tag = format!("bench-{name}");
        let command = match self {
            Self::Lathe(lathe) => {
                lathe.command(&["build", "--progress", "plain"]).args(lathe::lent())
            }
            Self::Buildah(buildah) => buildah.build(),
        };
        Ok(command.args(["-t", &tag, "-f"]).arg(&file).arg(context))
    }
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
