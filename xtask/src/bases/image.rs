//! Configuration, manifest and index of a stand-in, and the OCI image layout that holds them all.
//!
//! Each tag names an index with one entry, since Docker Hub's tags name indexes: a client that is tried on the
//! stand-ins has to choose a platform, as with the real images.

use std::env::consts::ARCH;
use std::fs;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::plan::{Config, Image};
use super::state::{LayerRecord, Lock, State, write_atomically};

pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The image was made at the epoch of its files: equal layers then give an equal digest.
const CREATED: &str = "2025-01-01T00:00:00Z";

/// Writes the documents of an image and returns the digest of its index.
pub(super) fn write(state: &State, image: &Image, layers: &[LayerRecord]) -> Result<String> {
    let config = state.write_blob(CONFIG, &bytes(&config(image, layers))?)?;
    let layers: Vec<Value> = layers
        .iter()
        .map(|l| json!({ "mediaType": LAYER, "digest": l.digest, "size": l.size }))
        .collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
    });
    let mut manifest = state.write_blob(MANIFEST, &bytes(&manifest)?)?;
    manifest["platform"] = json!({ "architecture": architecture(), "os": "linux" });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest] });
    let index = state.write_blob(INDEX, &bytes(&index)?)?;
    Ok(index["digest"].as_str().expect("a descriptor has a digest").to_owned())
}

/// Writes the files that make the blobs an OCI image layout with a name for each image.
pub(super) fn write_layout(state: &State, lock: &Lock) -> Result<()> {
    let mut manifests = Vec::new();
    for (tag, digest) in &lock.images {
        let path = state.blob(digest);
        let size = fs::metadata(&path).with_context(|| format!("stat {}", path.display()))?.len();
        manifests.push(json!({
            "mediaType": INDEX, "digest": digest, "size": size,
            "annotations": { "org.opencontainers.image.ref.name": tag },
        }));
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
    write_atomically(&state.layout().join("index.json"), &bytes(&index)?)?;
    let version = json!({ "imageLayoutVersion": "1.0.0" });
    write_atomically(&state.layout().join("oci-layout"), &bytes(&version)?)
}

/// Removes the blobs of layers and images that were made again since.
pub(super) fn sweep_layout(state: &State, lock: &Lock) -> Result<()> {
    let kept = lock.blobs(state)?;
    let folder = state.layout().join("blobs/sha256");
    let entries = fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("list {}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !kept.contains(&format!("sha256:{name}")) {
            crate::sh::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Returns the digests of an image's documents: its index, manifests and configurations.
pub(super) fn documents(state: &State, index: &str) -> Result<Vec<String>> {
    let mut digests = vec![index.to_owned()];
    for manifest in manifests(state, index)? {
        let config = read(state, &manifest)?["config"]["digest"].as_str().map(str::to_owned);
        digests.push(manifest);
        digests.extend(config);
    }
    Ok(digests)
}

/// Returns the digests of the manifests that an index names.
pub(super) fn manifests(state: &State, index: &str) -> Result<Vec<String>> {
    let index = read(state, index)?;
    let entries = index["manifests"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(entries.iter().filter_map(|m| m["digest"].as_str().map(str::to_owned)).collect())
}

/// Reads a JSON document of the layout.
pub(super) fn read(state: &State, digest: &str) -> Result<Value> {
    let path = state.blob(digest);
    let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("parse {}", path.display()))
}

fn config(image: &Image, layers: &[LayerRecord]) -> Value {
    let mut history: Vec<Value> = image
        .layers
        .iter()
        .map(|id| json!({ "created": CREATED, "created_by": format!("stand-in layer {id}") }))
        .collect();
    history.push(json!({
        "created": CREATED, "created_by": "stand-in configuration", "empty_layer": true,
    }));
    let diff_ids: Vec<&String> = layers.iter().map(|layer| &layer.diff_id).collect();
    json!({
        "architecture": architecture(),
        "os": "linux",
        "created": CREATED,
        "config": container_config(image.tag, &image.config),
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": history,
    })
}

fn container_config(tag: &str, config: &Config) -> Value {
    let mut value = Map::new();
    value.insert("Env".into(), json!(config.env));
    value.insert("Cmd".into(), json!(config.cmd));
    if !config.entrypoint.is_empty() {
        value.insert("Entrypoint".into(), json!(config.entrypoint));
    }
    if !config.working_dir.is_empty() {
        value.insert("WorkingDir".into(), json!(config.working_dir));
    }
    if !config.exposed_ports.is_empty() {
        let ports: Map<String, Value> =
            config.exposed_ports.iter().map(|port| ((*port).to_owned(), json!({}))).collect();
        value.insert("ExposedPorts".into(), Value::Object(ports));
    }
    if !config.stop_signal.is_empty() {
        value.insert("StopSignal".into(), json!(config.stop_signal));
    }
    let standin = format!("stand-in for {tag}, made from package registries");
    value.insert("Labels".into(), json!({ "org.lathe.standin": standin }));
    Value::Object(value)
}

/// Returns this machine's architecture by the name that image documents use.
fn architecture() -> &'static str {
    match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn bytes(value: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec(value).context("write JSON")
}
