//! The builds that are counted. Their base image is made of Debian's busybox and comes from a registry in this process.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use lathe_testkit::fixture::ImageFixture;
use lathe_testkit::registry::FakeRegistry;

use super::calls::{self, Class, Counts};
use crate::bench::work;
use crate::lathe::Lathe;
use crate::sh::Cmd;

/// Steps of the shorter and of the longer Dockerfile.
const STEPS: [usize; 2] = [5, 25];
/// Files of the smaller and of the larger context, in whole folders.
const FILES: [usize; 2] = [1_000, 3_000];
/// Files for which the calls of a file are told: fewer would be fractions.
const PER: usize = 1_000;

/// What is built with.
#[derive(Debug)]
pub(super) struct Builds {
    folder: PathBuf,
    lathe: Lathe,
    _registry: FakeRegistry,
}

impl Builds {
    /// Starts a registry and pulls the base image; `None` where there is no busybox to make it of.
    pub(super) fn prepare(program: PathBuf) -> Result<Option<Self>> {
        let Some(busybox) = ImageFixture::busybox()? else { return Ok(None) };
        let registry = FakeRegistry::start();
        busybox.put(&registry, "library/busybox", "latest");
        let folder = std::env::temp_dir().join(format!("lathe-guard-{}", std::process::id()));
        work::make(&folder)?;
        let registries = folder.join("registries.toml");
        let host = registry.host();
        work::write(
            &registries,
            format!(
                "[registry.\"docker.io\"]\nmirrors = [{{ location = \"{host}\", plain-http = true }}]\n"
            ),
        )?;
        let lathe = Lathe { program, registries, root: Some(folder.join("store")) };
        let builds = Self { folder, lathe, _registry: registry };
        builds.build("warm", "FROM busybox\nRUN :\n")?.run()?;
        Ok(Some(builds))
    }

    /// Counts all builds.
    pub(super) fn count(&self) -> Result<Vec<(&'static str, Counts)>> {
        Ok(vec![("b", self.cached()?), ("d", self.steps()?), ("e3", self.unchanged()?)])
    }

    /// A build like the Node example's in stages, copies and commands, when all of it is cached.
    fn cached(&self) -> Result<Counts> {
        let text = "FROM busybox AS builder\nWORKDIR /app\nCOPY package*.json ./\nRUN : install\n\
                    COPY src ./src\nRUN mkdir dist && cp src/* dist\n\
                    FROM busybox AS production\nWORKDIR /app\nCOPY package*.json ./\nRUN : install less\n\
                    COPY --from=builder /app/dist ./dist\nRUN mkdir /data\nUSER 1001\n\
                    EXPOSE 3000\nCMD [\"npm\", \"start\"]\n";
        let build = self.build("cached", text)?;
        let context = self.folder.join("cached");
        work::make(&context.join("src"))?;
        for name in ["package.json", "package-lock.json", "src/greeting.js", "src/index.js"] {
            work::write(&context.join(name), format!("{name}\n"))?;
        }
        settle(&[&build])?;
        // Now and then such a build clears up after old ones.
        let (first, second) = (self.calls(&build)?, self.calls(&build)?);
        Ok(first.iter().map(|(class, count)| (*class, count.min(second[class]))).collect())
    }

    /// What one more step costs.
    fn steps(&self) -> Result<Counts> {
        let mut counts = Vec::new();
        for steps in STEPS {
            let mut text = format!("FROM busybox\nENV STEPS={steps}\n");
            for step in 0..steps {
                writeln!(text, "RUN : {step}").expect("a string can be written to");
            }
            counts.push(self.calls(&self.build("steps", &text)?)?);
        }
        Ok(per_unit(&counts, STEPS[1] - STEPS[0]))
    }

    /// What a thousand more files cost that did not change.
    fn unchanged(&self) -> Result<Counts> {
        let mut counts = Vec::new();
        for files in FILES {
            let name = format!("files-{files}");
            let build = self.build(&name, "FROM busybox\nCOPY src /src\n")?;
            work::context(&self.folder.join(&name).join("src"), files)?;
            settle(&[&build])?;
            counts.push(self.calls(&build)?);
        }
        Ok(per_unit(&counts, (FILES[1] - FILES[0]) / PER))
    }

    /// Returns the build of a Dockerfile, which is written to a context of its own.
    fn build(&self, name: &str, text: &str) -> Result<Cmd> {
        let context = self.folder.join(name);
        work::make(&context)?;
        work::write(&context.join("Dockerfile"), text)?;
        // Neither the number of processors nor the width of a terminal is to matter.
        let build =
            self.lathe.command(&["build", "--progress", "plain", "--jobs", "1", "-t", name]);
        Ok(build.arg(context))
    }

    fn calls(&self, command: &Cmd) -> Result<Counts> {
        calls::count(command, &self.folder.join("calls"))
    }
}

impl Drop for Builds {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder).context("remove what was built") {
        println!("{} is left: {error:#}", folder.display());
    }
}

/// Builds until nothing is learned any more: what was changed a moment ago is not trusted to be known.
fn settle(builds: &[&Cmd]) -> Result<()> {
    for build in builds {
        build.run()?;
        std::thread::sleep(std::time::Duration::from_millis(50));
        build.run()?;
        build.run()?;
    }
    Ok(())
}

fn per_unit(counts: &[Counts], units: usize) -> Counts {
    let units = f64::from(u32::try_from(units).expect("not so many"));
    Class::ALL
        .into_iter()
        .map(|class| (class, (counts[1][&class] - counts[0][&class]) / units))
        .collect()
}
