//! `lathe build`.

use std::{
    collections::BTreeMap, fmt::Write as _, num::NonZeroUsize, path::PathBuf, time::Instant,
};

use anyhow::{Context as _, Result, bail};
use lathe_engine::{
    BuildOutcome, BuildRequest, DockerfileInput, FrontendOptions, Inputs, NetworkMode, PullPolicy,
    RunRequest,
};
use lathe_event::{Cancel, Disposition};
use lathe_oci::{Platform, Reference};
use serde_json::json;

use super::Session;
use crate::{
    args::BuildArgs,
    env::{self, Places},
    interrupt::Interrupts,
    progress::{self, Mode, Progress},
    render, term,
};

pub(super) fn build(session: &Session, args: &BuildArgs) -> Result<u8> {
    let begin = Instant::now();
    let request = request(&session.places, args)?;
    let mode = progress::mode(args.progress, args.quiet, &env::surroundings());
    let cancel = Cancel::new();
    let outcome = {
        let _signals = Interrupts::cancel(&cancel).context("binding Ctrl-C")?;
        let progress = Progress::start(mode);
        let engine = session.engine(progress.sink(), &cancel);
        let outcome = lathe_engine::build(&engine, &request);
        progress.finish();
        outcome?
    };
    if let Some(file) = &args.iidfile {
        env::write_file(file, &outcome.image.to_string())?;
    }
    if let Some(file) = &args.metadata_file {
        env::write_file(file, &metadata(&outcome, &request.tags)?)?;
    }
    match mode {
        Mode::Quiet => {
            let stdout_taken = request.exports.iter().any(lathe_engine::ExportSpec::uses_stdout);
            if !stdout_taken {
                term::out(&format!("{}\n", outcome.image))?;
            }
        }
        Mode::RawJson => {}
        Mode::Plain | Mode::Tty => {
            let seconds = begin.elapsed().as_secs_f64();
            term::err(&summary(&outcome, &request.tags, seconds));
        }
    }
    Ok(0)
}

/// Makes the request from what was typed.
fn request(places: &Places, args: &BuildArgs) -> Result<BuildRequest> {
    if let Some(flag) = args.later.unsupported() {
        bail!("{flag} is not supported yet");
    }
    let mut build_args: BTreeMap<String, String> =
        pairs(&env::assignments(&args.arguments)).collect();
    if let Some(epoch) = env::variable("SOURCE_DATE_EPOCH") {
        build_args.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert(epoch);
    }
    let epoch = build_args.get("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty());
    let epoch = epoch.map(|text| text.parse()).transpose();
    let cpus = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Ok(BuildRequest {
        inputs: inputs(places, args)?,
        frontend: FrontendOptions {
            target: args.target.clone(),
            build_platform: Platform::host(),
            build_args: build_args.clone(),
            labels: pairs(&args.labels).collect(),
            no_cache: args.no_cache,
            ..FrontendOptions::new(platform(&args.platform)?)
        },
        pull: if args.pull { PullPolicy::Always } else { PullPolicy::Missing },
        run: RunRequest {
            network: network(args.network.as_deref())?,
            certificates: args.ca.as_ref().map(|file| places.absolute(file)),
            hosts: Vec::new(),
        },
        tags: args.tags.iter().map(|text| tag(text)).collect::<Result<_>>()?,
        exports: args.outputs.clone(),
        epoch: epoch.context("SOURCE_DATE_EPOCH is not a number of seconds")?,
        jobs: match args.jobs {
            // Steps mostly wait for disk and network, so that a few more than processors pay.
            None => cpus.max(NonZeroUsize::new(4).expect("4 is not 0")),
            Some(jobs) => NonZeroUsize::new(jobs).context("--jobs must be at least 1")?,
        },
    })
}

fn inputs(places: &Places, args: &BuildArgs) -> Result<Inputs> {
    if args.path.contains("://") || args.path.starts_with("git@") {
        bail!("`{}`: a build context from a URL is not supported yet", args.path);
    }
    let stdin = || term::read_stdin().context("reading the Dockerfile from standard input");
    let context = (args.path != "-").then(|| places.absolute(&args.path));
    let dockerfile = match (args.file.as_deref(), &context) {
        (Some("-"), None) => {
            bail!("invalid argument: can't use stdin for both build context and dockerfile")
        }
        (Some("-"), Some(_)) | (None, None) => DockerfileInput::Text(stdin()?),
        (Some(file), _) => DockerfileInput::Path(places.absolute(file)),
        (None, Some(context)) => DockerfileInput::Path(dockerfile_of(context)),
    };
    Ok(Inputs { dockerfile, context })
}

/// `Dockerfile`, or as BuildKit also takes it, `dockerfile`.
fn dockerfile_of(context: &std::path::Path) -> PathBuf {
    let (usual, lower) = (context.join("Dockerfile"), context.join("dockerfile"));
    if !usual.exists() && lower.exists() { lower } else { usual }
}

/// Splits `NAME=value`; a name alone has an empty value.
fn pairs(texts: &[String]) -> impl Iterator<Item = (String, String)> {
    texts.iter().map(|text| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), value.to_owned())
    })
}

fn platform(texts: &[String]) -> Result<Platform> {
    match texts {
        [] => Ok(Platform::host()),
        [one] => one.parse().with_context(|| format!("invalid value `{one}` of --platform")),
        _ => bail!("building for several platforms at once is not supported yet"),
    }
}

fn network(text: Option<&str>) -> Result<NetworkMode> {
    match text {
        None | Some("default" | "bridge") => Ok(NetworkMode::Default),
        Some("host") => Ok(NetworkMode::Host),
        Some("none") => Ok(NetworkMode::None),
        Some(other) => bail!("network mode {other:?} is not known: want default, host or none"),
    }
}

fn tag(text: &str) -> Result<Reference> {
    let reference = Reference::parse(text)
        .with_context(|| format!("invalid argument {text:?} for \"-t, --tag\" flag"))?;
    Ok(reference.with_default_tag())
}

/// The document of `--metadata-file`, with buildx's keys.
fn metadata(outcome: &BuildOutcome, tags: &[Reference]) -> Result<String> {
    let names: Vec<String> = tags.iter().map(ToString::to_string).collect();
    let document = json!({
        "containerimage.config.digest": outcome.image.to_string(),
        "containerimage.descriptor": serde_json::to_value(&outcome.manifest)?,
        "containerimage.digest": outcome.manifest.digest.to_string(),
        "image.name": names.join(","),
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&document)?))
}

/// What a person wants to know at the end.
fn summary(outcome: &BuildOutcome, tags: &[Reference], seconds: f64) -> String {
    let real = || outcome.steps.iter().filter(|step| !step.name.starts_with("[internal]"));
    let count = |wanted| real().filter(|step| step.disposition == wanted).count();
    let id = outcome.image.to_string();
    let names: Vec<String> = tags.iter().map(Reference::familiar).collect();
    let names = if names.is_empty() { String::new() } else { format!(" as {}", names.join(", ")) };
    let mut text = String::new();
    for warning in &outcome.warnings {
        text.push_str(warning.trim_end());
        text.push('\n');
    }
    let (ran, cached) = (count(Disposition::Ran), count(Disposition::Hit));
    let steps = if ran == 1 { "step" } else { "steps" };
    writeln!(
        text,
        "image {}{names}, {}: {ran} {steps} run, {cached} cached, {seconds:.1}s",
        render::short_id(&id),
        render::human_size_3(outcome.size),
    )
    .expect("writing to a string cannot fail");
    text
}
