//! BuildKit, by its own client, where a daemon answers it.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::bench::job::Job;
use crate::lathe;
use crate::sh::{self, Cmd};

/// A daemon that was found; its store and its settings for registries are its owner's.
#[derive(Debug, Clone)]
pub(in crate::bench) struct BuildKit {
    client: PathBuf,
}

impl BuildKit {
    /// Returns it if `buildctl` is here and reaches a daemon.
    pub(super) fn find() -> Option<Self> {
        let client = sh::find("buildctl")?;
        let answers = Cmd::new(&client).args(["debug", "workers"]).within("10").succeeds();
        answers.then_some(Self { client })
    }

    pub(super) fn version(&self) -> Result<String> {
        let text = Cmd::new(&self.client).arg("--version").read()?;
        // `buildctl github.com/moby/buildkit v0.13.2 abcdef`
        let version = text.split_whitespace().find(|word| word.starts_with('v'));
        Ok(format!("BuildKit {}", version.unwrap_or("of an unknown version")))
    }

    /// Returns the command that builds and keeps the result in the daemon's cache.
    pub(super) fn build(&self, job: &Job) -> Cmd {
        let folder = job.file.parent().unwrap_or_else(|| Path::new("."));
        let name = job.file.file_name().unwrap_or_default().to_string_lossy();
        let mut command = Cmd::new(&self.client)
            .args(["build", "--progress", "plain", "--frontend", "dockerfile.v0"])
            .args(["--local", &format!("context={}", job.context.display())])
            .args(["--local", &format!("dockerfile={}", folder.display())])
            .args(["--opt", &format!("filename={name}")]);
        if let Some(target) = &job.target {
            command = command.args(["--opt", &format!("target={target}")]);
        }
        let lent = lathe::lent();
        let proxies = lent.iter().filter(|word| word.to_lowercase().ends_with("_proxy"));
        for argument in &job.arguments {
            command = command.args(["--opt", &format!("build-arg:{argument}")]);
        }
        for name in proxies {
            let value = std::env::var(name).unwrap_or_default();
            command = command.args(["--opt", &format!("build-arg:{name}={value}")]);
        }
        command
    }

    /// Empties the daemon's cache.
    pub(super) fn forget(&self) -> Result<()> {
        Cmd::new(&self.client).args(["prune", "--all"]).run()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_called_as_the_manual_says() {
        let job = Job::new(Path::new("/work"), "x").target("one").argument("A", "b c");
        let buildkit = BuildKit { client: "buildctl".into() };
        let line = buildkit.build(&job).line();
        let expected = "--local context=/work --local dockerfile=/work --opt filename=Dockerfile \
                        --opt target=one --opt 'build-arg:A=b c'";
        assert!(line.contains(expected), "{line}");
    }
}
