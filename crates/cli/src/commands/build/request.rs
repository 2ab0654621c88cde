//! From flags to a request.

use std::{collections::BTreeMap, num::NonZeroUsize};

use anyhow::{Context as _, Result, bail};
use lathe_engine::{
    BuildRequest, Entitlement, ExportSpec, FrontendOptions, Layering, NetworkMode, PlatformChoice,
    PullPolicy, Rlimit, RunOptions, RunRequest,
};
use lathe_oci::{Platform, Reference};

use super::{context::inputs, values};
use crate::{
    args::{BuildArgs, BuildRunArgs, MeaningArgs},
    env::{self, Places},
    settings,
};

/// Steps that run at once where nothing else is said: they mostly wait for disk and network, so
/// that a few more than processors pay.
const LEAST_JOBS: usize = 4;

/// Makes the request from what was typed.
pub(super) fn request(places: &Places, args: &BuildArgs) -> Result<BuildRequest> {
    let run = run(places, &args.run)?;
    let mut frontend = frontend(places, &args.meaning)?;
    // Who asks for the host's network for all steps allows it.
    if run.network == NetworkMode::Host {
        frontend.allow.insert(Entitlement::NetworkHost);
    }
    Ok(BuildRequest {
        inputs: inputs(places, args)?,
        frontend,
        pull: if args.meaning.pull { PullPolicy::Always } else { PullPolicy::Missing },
        run,
        tags: args.tags.iter().map(|text| tag(text)).collect::<Result<_>>()?,
        exports: exports(args)?,
        annotations: args.result.annotations.clone(),
        layers: if args.result.squash { Layering::Squashed } else { Layering::Steps },
        working_dir: places.working_dir.clone(),
        jobs: jobs(args.jobs)?,
        max_size: settings::load(&places.settings)?.store_max_size,
    })
}

fn jobs(asked: Option<usize>) -> Result<NonZeroUsize> {
    let Some(asked) = asked else {
        let cpus = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        return Ok(cpus.max(NonZeroUsize::new(LEAST_JOBS).expect("it is not 0")));
    };
    NonZeroUsize::new(asked).context("--jobs must be at least 1")
}

fn frontend(places: &Places, args: &MeaningArgs) -> Result<FrontendOptions> {
    let platform = platform(&args.platform)?;
    Ok(FrontendOptions {
        target: args.target.clone().filter(|target| !target.is_empty()),
        build_platform: Platform::host(),
        build_args: build_args(places, args)?,
        labels: pairs(&args.labels).collect(),
        no_cache: args.no_cache,
        no_cache_filter: args.no_cache_filter.clone(),
        allow: values::entitlements(&args.allow)?.into_iter().collect(),
        platform_choice: match platform {
            Some(_) => PlatformChoice::Given,
            None => PlatformChoice::Assumed { runnable: Vec::new() },
        },
        ..FrontendOptions::new(platform.unwrap_or_else(Platform::host))
    })
}

fn build_args(places: &Places, args: &MeaningArgs) -> Result<BTreeMap<String, String>> {
    let mut given = BTreeMap::new();
    for file in &args.argument_files {
        given.extend(pairs(&env::assignments_of(&places.absolute(file))?));
    }
    given.extend(pairs(&env::assignments(&args.arguments)));
    let name = "SOURCE_DATE_EPOCH";
    let epoch = args.source_date_epoch.clone().or_else(|| env::variable(name));
    if let Some(epoch) = epoch.filter(|epoch| !epoch.is_empty()) {
        given.entry(name.to_owned()).or_insert(epoch);
    }
    Ok(given)
}

fn run(places: &Places, args: &BuildRunArgs) -> Result<RunRequest> {
    Ok(RunRequest {
        network: network(args.network.as_deref())?,
        certificates: args.ca.as_ref().map(|file| places.absolute(file)),
        options: RunOptions {
            hosts: values::hosts(&args.hosts)?,
            secrets: values::secrets(places, &args.secrets)?,
            ssh: values::ssh(places, &args.ssh)?,
            rlimits: args
                .ulimits
                .iter()
                .map(|text| text.parse::<Rlimit>().map_err(anyhow::Error::from))
                .collect::<Result<_>>()?,
            shm_size: args.shm_size.as_deref().map(values::bytes).transpose()?,
            limits: values::limits(&args.resources, args.limits.resources())?,
            cgroup_parent: args.cgroup_parent.clone(),
        },
    })
}

fn exports(args: &BuildArgs) -> Result<Vec<ExportSpec>> {
    let mut exports = args.result.outputs.clone();
    if args.result.push {
        if args.tags.is_empty() {
            bail!("--push needs a name to push under: add `-t REGISTRY/NAME`");
        }
        exports.push(ExportSpec::parse("type=registry")?);
    }
    Ok(exports)
}

/// Splits `NAME=value`; a name alone has an empty value.
fn pairs(texts: &[String]) -> impl Iterator<Item = (String, String)> {
    texts.iter().map(|text| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), value.to_owned())
    })
}

fn platform(texts: &[String]) -> Result<Option<Platform>> {
    match texts {
        [] => env::variable("DOCKER_DEFAULT_PLATFORM")
            .filter(|text| !text.is_empty())
            .map(|text| parse_platform(&text))
            .transpose(),
        [one] => parse_platform(one).map(Some),
        _ => bail!(
            "lathe builds for one platform at a time: build each with its own tag, \
             and push an index of them"
        ),
    }
}

fn parse_platform(text: &str) -> Result<Platform> {
    if text == "local" {
        return Ok(Platform::host());
    }
    text.parse().with_context(|| format!("invalid value `{text}` of --platform"))
}

fn network(text: Option<&str>) -> Result<NetworkMode> {
    match text {
        None | Some("default" | "bridge" | "") => Ok(NetworkMode::Default),
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
