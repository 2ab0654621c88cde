//! `inspect` of an image: docker's document, with docker's fields in docker's order.

use std::collections::BTreeMap;

use lathe_oci::{ChainId, Healthcheck, ImageConfig, Reference, RunConfig, config};
use lathe_store::ImageRecord;
use serde::Serialize;

use super::{Result, find, list::config_of};
use crate::Engine;

/// The document.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Inspection {
    /// Digest of the config.
    pub id: String,
    /// Names.
    pub repo_tags: Vec<String>,
    /// `name@digest` in registries.
    pub repo_digests: Vec<String>,
    /// Always empty, as for images that BuildKit made.
    pub parent: String,
    /// The remark of the last step.
    pub comment: String,
    /// When it was made, as the config has it.
    pub created: String,
    /// Version of docker, where the config tells one.
    pub docker_version: String,
    /// Who is responsible for it.
    pub author: String,
    /// How to run it.
    pub config: InspectedConfig,
    /// CPU architecture.
    pub architecture: String,
    /// Variant of the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Operating system.
    pub os: String,
    /// Unpacked size in bytes.
    pub size: u64,
    /// The same, as older clients want it.
    pub virtual_size: u64,
    /// Where its files are.
    pub graph_driver: GraphDriver,
    /// Its layers.
    #[serde(rename = "RootFS")]
    pub root_fs: InspectedRootFs,
    /// What the config does not tell.
    pub metadata: Metadata,
}

/// The inner config, with `null` where docker writes it: templates ask for these fields.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedConfig {
    user: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    exposed_ports: config::Set,
    env: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    args_escaped: bool,
    image: String,
    volumes: Option<config::Set>,
    working_dir: String,
    entrypoint: Option<Vec<String>>,
    on_build: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shell: Option<Vec<String>>,
}

impl From<RunConfig> for InspectedConfig {
    fn from(config: RunConfig) -> Self {
        Self {
            user: config.user,
            exposed_ports: config.exposed_ports,
            env: Some(config.env).filter(|env| !env.is_empty()),
            cmd: config.cmd,
            healthcheck: config.healthcheck,
            args_escaped: config.args_escaped,
            image: String::new(),
            volumes: Some(config.volumes).filter(|volumes| !volumes.is_empty()),
            working_dir: config.working_dir,
            entrypoint: config.entrypoint,
            on_build: Some(config.on_build).filter(|triggers| !triggers.is_empty()),
            labels: Some(config.labels).filter(|labels| !labels.is_empty()),
            stop_signal: config.stop_signal,
            shell: config.shell,
        }
    }
}

/// Where the files are.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GraphDriver {
    /// `UpperDir`, and `LowerDir` for more than one layer.
    pub data: Option<BTreeMap<&'static str, String>>,
    /// Name of the driver.
    pub name: &'static str,
}

/// The layers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedRootFs {
    #[serde(rename = "Type")]
    kind: String,
    /// diffIDs, lowest first.
    pub layers: Vec<String>,
}

/// What the config does not tell.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metadata {
    /// When it was named last; Go's zero time, since it is not kept.
    pub last_tag_time: &'static str,
}

/// Returns docker's document about an image.
pub fn inspect(engine: &Engine, image: &str) -> Result<Inspection> {
    let _share = engine.store.share()?;
    let image = find(&engine.store, image)?;
    let config = config_of(&engine.store, &image)?;
    let graph_driver = graph_driver(engine, &config)?;
    Ok(document(&image, config, graph_driver))
}

fn document(image: &ImageRecord, config: ImageConfig, graph_driver: GraphDriver) -> Inspection {
    let short = |name: &String| {
        Reference::parse(name).map_or_else(|_| name.clone(), |name| name.familiar())
    };
    let docker_version = config.other.get("docker_version").and_then(|value| value.as_str());
    Inspection {
        id: image.id.to_string(),
        repo_tags: image.names.iter().map(short).collect(),
        repo_digests: image.repo_digests.iter().map(short).collect(),
        parent: String::new(),
        comment: config.history.last().and_then(|step| step.comment.clone()).unwrap_or_default(),
        docker_version: docker_version.unwrap_or_default().to_owned(),
        created: config.created.unwrap_or_default(),
        author: config.author.unwrap_or_default(),
        config: config.config.into(),
        architecture: config.architecture,
        variant: config.variant,
        os: config.os,
        size: image.size,
        virtual_size: image.size,
        graph_driver,
        root_fs: InspectedRootFs {
            kind: config.rootfs.kind,
            layers: config.rootfs.diff_ids.iter().map(|id| id.0.to_string()).collect(),
        },
        metadata: Metadata { last_tag_time: "0001-01-01T00:00:00Z" },
    }
}

fn graph_driver(engine: &Engine, config: &ImageConfig) -> Result<GraphDriver> {
    let chain = ChainId::of(&config.rootfs.diff_ids);
    let top = chain.map(|chain| engine.store.snapshot_for_chain(chain)).transpose()?.flatten();
    let data = match top {
        None => None,
        Some(top) => {
            let folders = engine.snapshots.chain(top)?;
            let mut texts = folders.iter().map(|folder| folder.display().to_string());
            let mut data = BTreeMap::from([("UpperDir", texts.next().unwrap_or_default())]);
            let lower = texts.collect::<Vec<String>>().join(":");
            if !lower.is_empty() {
                data.insert("LowerDir", lower);
            }
            Some(data)
        }
    };
    Ok(GraphDriver { data, name: "overlay2" })
}
