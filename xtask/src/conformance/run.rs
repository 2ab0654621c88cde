//! Runs a case and judges what came of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lathe_testkit::image::untar;
use serde_json::Value;

use super::archive;
use super::case::{Agreement, Case, Input};
use super::check;
use super::expectation::Expectation;
use super::image::Image;
use super::opinion::{self, Opinion};
use super::place::{self, Placed};
use super::report::{Second, Verdict};
use super::world::World;
use crate::sh;

/// What a build left.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) image: Option<Image>,
    /// The case's folder.
    pub(super) folder: PathBuf,
}

/// Runs a case, checks what it expects, and compares it with the other builder's opinion.
pub(super) fn judge(
    world: &World,
    case: &Case,
    opinion: Option<&Opinion>,
    oracle: bool,
) -> Verdict {
    let begin = Instant::now();
    let mut verdict = Verdict::default();
    if let Some(missing) = case.needs.iter().find(|need| !world.has(need)) {
        verdict.skipped = Some(format!("needs {missing}"));
        return verdict;
    }
    match build(world, case) {
        Ok(outcome) => {
            verdict.failures = check::failures(case, &outcome);
            if oracle {
                second(&mut verdict, world, case, &outcome, opinion);
            }
            if !verdict.failures.is_empty() {
                verdict.said = outcome.stderr + &outcome.stdout;
            }
        }
        Err(error) => verdict.failures.push(format!("{error:#}")),
    }
    verdict.took = begin.elapsed();
    verdict
}

fn second(
    verdict: &mut Verdict,
    world: &World,
    case: &Case,
    outcome: &Outcome,
    opinion: Option<&Opinion>,
) {
    if case.agreement == Agreement::Cannot {
        verdict.second = Second::Cannot;
        return;
    }
    let Some(opinion) = opinion else {
        verdict.failures.push("no opinion of buildah is stored: run with --update".to_owned());
        return;
    };
    if opinion.inputs != case.inputs {
        let text = "the case is not what buildah was asked: run with --update";
        verdict.failures.push(text.to_owned());
        return;
    }
    let own = opinion::lines(world, case, outcome.code == 0, outcome.image.as_ref());
    let differences = opinion.differences(&own, &case.agreement);
    verdict.failures.extend(differences);
    verdict.second =
        if case.agreement == Agreement::Same { Second::Same } else { Second::Explained };
}

/// Makes the files of a case in its folder.
pub(super) fn make(folder: &std::path::Path, case: &Case) -> Result<()> {
    drop(fs::remove_dir_all(folder));
    let mut files = vec![Placed::folder("context")];
    files.extend(case.files.iter().cloned());
    place::make_all(folder, &files)
}

/// Returns what the build reads on its standard input.
pub(super) fn input(case: &Case) -> Result<Vec<u8>> {
    let Input::Context(kind) = &case.stdin else {
        let Input::Text(text) = &case.stdin else { return Ok(Vec::new()) };
        return Ok(text.clone());
    };
    let inside = case.files.iter().filter_map(|file| {
        let path = file.path.strip_prefix("context/")?;
        Some(Placed { path: path.to_owned(), ..file.clone() })
    });
    archive::pack(kind, &inside.collect::<Vec<_>>())
}

fn build(world: &World, case: &Case) -> Result<Outcome> {
    let folder = world.folder(case.number);
    make(&folder, case)?;
    if let Some(user) = world.user {
        place::give(&folder, user.uid, user.gid)?;
    }
    let input = input(case)?;
    let metadata = folder.join("metadata.json").display().to_string();
    for arguments in &case.before {
        let output = lathe(world, case, &whole(case, arguments, &metadata), &input);
        ensure!(output.code == 0, "the build before failed: {}", output.stderr);
    }
    let arguments = match &case.command {
        Some(command) => command.clone(),
        None => whole(case, &case.args, &metadata),
    };
    drop(fs::remove_file(&metadata));
    let mut output = lathe(world, case, &arguments, &input);
    let code = output.code;
    for arguments in &case.after {
        let further = lathe(world, case, arguments, b"");
        output.stdout.push_str(&further.stdout);
        output.stderr.push_str(&further.stderr);
    }
    let wanted = case.expect.iter().any(Expectation::is_of_image)
        || (case.agreement != Agreement::Cannot && code == 0);
    let image = if wanted && code == 0 { read_image(world, &metadata)? } else { None };
    Ok(Outcome { code, stdout: output.stdout, stderr: output.stderr, image, folder })
}

/// Returns the arguments of a build.
fn whole(case: &Case, arguments: &[String], metadata: &str) -> Vec<String> {
    let mut all = vec!["build".to_owned()];
    let has = |flag: &str| arguments.iter().any(|argument| argument.starts_with(flag));
    if !has("--progress") && !has("-q") && !has("--quiet") {
        all.extend(["--progress".to_owned(), "plain".to_owned()]);
    }
    if !has("--metadata-file") && !has("--check") && !has("--call") && !has("--print") {
        all.extend(["--metadata-file".to_owned(), metadata.to_owned()]);
    }
    all.extend(arguments.iter().cloned());
    if !case.context.is_empty() {
        all.push(case.context.clone());
    }
    all
}

fn lathe(
    world: &World,
    case: &Case,
    arguments: &[String],
    input: &[u8],
) -> lathe_testkit::sandbox::Output {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = world.sandbox.command(&arguments);
    // Names that no image has are asked for nowhere else than on this machine.
    command.env("HTTPS_PROXY", "http://127.0.0.1:1");
    command.envs(case.env.iter().map(|(name, value)| (name, value)));
    world.sandbox.run(&command, input)
}

/// Reads the image that a build says it made; `None` if it made none.
fn read_image(world: &World, metadata: &str) -> Result<Option<Image>> {
    let Ok(bytes) = fs::read(metadata) else { return Ok(None) };
    let document: Value = serde_json::from_slice(&bytes).context("metadata.json")?;
    let Some(digest) = document["containerimage.digest"].as_str() else { return Ok(None) };
    let id = document["containerimage.config.digest"].as_str().context("no config digest")?;
    let blobs = world.sandbox.store().join("blobs");
    let stored = |digest: &str| blobs.join(digest.replace(':', "/"));
    // Layers that nothing has needed yet are not in the store, nor the manifest of an image that
    // only went elsewhere: both are in what `save` writes.
    let saved = Path::new(metadata).with_file_name("saved");
    let archive = saved.with_extension("tar").to_string_lossy().into_owned();
    let output = world.sandbox.lathe(&["save", "-o", &archive, id]);
    ensure!(output.code == 0, "cannot save what was built: {}", output.stderr);
    let bytes = fs::read(&archive).with_context(|| format!("read {archive}"))?;
    let mut manifest = digest.to_owned();
    for (name, data) in untar(&bytes)? {
        if name == "index.json" && !stored(digest).exists() {
            let index: Value = serde_json::from_slice(&data).context("index.json")?;
            let found = index["manifests"][0]["digest"].as_str().context("no manifest is saved")?;
            found.clone_into(&mut manifest);
        }
        if let Some(blob) =
            name.strip_prefix("blobs/").filter(|blob| !blob.is_empty() && !blob.ends_with('/'))
        {
            let path = saved.join(blob);
            fs::create_dir_all(path.parent().context("a blob has a folder")?)?;
            fs::write(&path, data).with_context(|| format!("write {}", path.display()))?;
        }
    }
    let find = |digest: &str| {
        let path = stored(digest);
        if path.exists() { path } else { saved.join(digest.replace(':', "/")) }
    };
    let image = world.reader.read(&manifest, &find);
    fs::remove_dir_all(&saved).with_context(|| format!("remove {}", saved.display()))?;
    fs::remove_file(&archive).with_context(|| format!("remove {archive}"))?;
    image.map(Some)
}

/// Tells whether a program that some cases need is here.
pub(super) fn has_program(name: &str) -> bool {
    sh::have(name)
}

/// How long a case may take before the report names it.
pub(super) const SLOW: Duration = Duration::from_secs(3);
