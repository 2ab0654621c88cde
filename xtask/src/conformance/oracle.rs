//! Asks Debian's buildah to build the cases.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::case::{Agreement, Case};
use super::opinion::{self, Opinion};
use super::options::Options;
use super::world::World;
use super::{FOLDER, in_parallel, run};
use crate::sh::{self, Cmd};

/// Seconds for one build.
const PATIENCE: &str = "120";

/// What its steps leave where these files are mounted; it is no opinion on the case.
const LENT: [&str; 4] = [
    "/etc/hostname file 0755 0:0 \"\"",
    "/etc/hosts file 0755 0:0 \"\"",
    "/etc/resolv.conf file 0755 0:0 \"\"",
    "/run dir 0755 0:0",
];

/// What it says when another build of the same layer is in its way.
const COLLISION: &str = "layer not known";

/// Asks about the chosen cases and stores what is said, along with what was said of the others.
pub(super) fn update(
    world: &World,
    options: &Options,
    cases: &[Case],
    chosen: &[&Case],
) -> Result<()> {
    if !sh::have("buildah") {
        bail!("--update needs Debian's package `buildah`");
    }
    let home = world.sandbox.path("buildah");
    prepare(&home, &world.registry.host())?;
    let folder = sh::repository().join(FOLDER);
    let asked: Vec<&Case> =
        chosen.iter().copied().filter(|case| case.agreement != Agreement::Cannot).collect();
    let mut opinions = if options.is_whole() {
        BTreeMap::new()
    } else {
        let mut stored = opinion::read_all(&folder)?;
        let is_asked = |case: &&Case| case.agreement != Agreement::Cannot;
        stored.retain(|key, _| {
            cases.iter().filter(is_asked).any(|case| case.key() == *key)
                && !chosen.iter().any(|case| case.key() == *key)
        });
        stored
    };
    for (case, lines) in in_parallel(&asked, options.jobs, |case| ask(world, &home, case)) {
        let lines = lines.with_context(|| case.key())?;
        opinions.insert(case.key(), Opinion { inputs: case.inputs.clone(), lines });
    }
    opinion::write_all(&folder, &opinions)
}

/// Writes the settings: base images come from the registry of the cases, and no signature is asked for.
fn prepare(home: &Path, registry: &str) -> Result<()> {
    fs::create_dir_all(home)?;
    let registries = format!(
        "unqualified-search-registries = [\"docker.io\"]\n\
         [[registry]]\nlocation = \"docker.io\"\n\
         [[registry.mirror]]\nlocation = \"{registry}\"\ninsecure = true\n"
    );
    fs::write(home.join("registries.conf"), registries)?;
    fs::write(home.join("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#)?;
    Ok(())
}

fn buildah(home: &Path) -> Cmd {
    Cmd::new("buildah")
        .env("CONTAINERS_REGISTRIES_CONF", home.join("registries.conf"))
        .arg("--root")
        .arg(home.join("root"))
        .arg("--runroot")
        .arg(home.join("runroot"))
        .args(["--storage-driver", "vfs"])
}

fn ask(world: &World, home: &Path, case: &Case) -> Result<Vec<String>> {
    let folder = world.folder(case.number);
    run::make(&folder, case)?;
    let tag = format!("localhost/case:{}", case.number);
    let policy = home.join("policy.json").display().to_string();
    let mut build = buildah(home)
        .args(["bud", "--isolation", "chroot", "--layers=false", "--format", "docker", "--quiet"])
        .args(["--signature-policy", &policy, "-t", &tag])
        .args(&case.args)
        .arg(&case.context)
        .input(run::input(case)?)
        .within(PATIENCE);
    for (name, value) in &case.env {
        build = build.env(name, value);
    }
    let mut output = build.output()?;
    if String::from_utf8_lossy(&output.stderr).contains(COLLISION) {
        output = build.output()?;
    }
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let said = text.trim_end().lines().last().unwrap_or_default();
        println!("buildah refuses {}: {said}", case.key());
        return Ok(opinion::lines(world, case, false, None));
    }
    let image = home.join(format!("image-{}", case.number));
    let destination = format!("dir:{}", image.display());
    buildah(home)
        .args(["push", "--quiet", "--signature-policy", &policy, "--format", "v2s2", &tag])
        .arg(&destination)
        .run()?;
    let read = world.reader.read("manifest", &|digest| match digest.split_once(':') {
        Some((_, hex)) => image.join(hex),
        None => image.join("manifest.json"),
    })?;
    drop(fs::remove_dir_all(&image));
    let mut lines = opinion::lines(world, case, true, Some(&read));
    lines.retain(|line| !LENT.contains(&line.as_str()));
    Ok(lines)
}
