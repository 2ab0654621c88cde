//! The image config document (OCI image specification, `config.md`), with Docker's
//! additional fields (`Healthcheck`, `OnBuild`, `Shell`), and any unknown ones kept.
//!
//! Field order is the order of Docker's own encoder: written documents read familiar.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{DiffId, Error, Platform, Result};

/// An object of which only the keys matter, as Go writes a set: `{"80/tcp": {}}`.
pub type Set = BTreeMap<String, BTreeMap<String, Value>>;

/// The image config.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// CPU architecture, as Go's `GOARCH`.
    #[serde(default)]
    pub architecture: String,
    /// Variant of the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Operating system, as Go's `GOOS`.
    #[serde(default)]
    pub os: String,
    /// Version of the operating system (Windows only).
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// When the image was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who is responsible for it (`MAINTAINER`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// How to run it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub config: RunConfig,
    /// The layers by diffID.
    #[serde(default)]
    pub rootfs: RootFs,
    /// How each layer came to be, lowest first.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// Fields that have no meaning here, kept as they were.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// The execution parameters: Docker's `config` object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RunConfig {
    /// `name|uid[:group|gid]` to run as; empty for root.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `port/protocol` set that the image listens on.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: Set,
    /// `NAME=value` of each variable, in order of definition.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Command that always runs; `None` where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Default arguments, or the command where there is no entrypoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// How to tell whether the container is healthy (Docker).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Whether `Cmd` is one shell line that is already escaped (Docker).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
    /// Paths that hold data of their own.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: Set,
    /// Directory to run in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Instructions to run when a build uses this image as its base (Docker).
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// Labels.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Signal that asks the container to stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Shell of shell-form commands (Docker).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Fields that have no meaning here, kept as they were.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// How to tell whether a container is healthy; times in nanoseconds, zero to inherit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Time between two checks.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Time that a check may take.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Time during which failures do not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Time between two checks during the start period.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that make it unhealthy.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

/// The layers of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// diffIDs, lowest first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub diff_ids: Vec<DiffId>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

/// How one layer, or one change of the config, came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A remark of the tool that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether it made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

impl ImageConfig {
    /// Parses a config document.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes)
            .map_err(|source| Error::InvalidDocument { document: "image config", source })
    }

    /// Returns when the image was made, in seconds since 1970; 0 if the config does not say.
    pub fn created_seconds(&self) -> i64 {
        self.created.as_deref().and_then(crate::parse_rfc3339).unwrap_or(0)
    }

    /// Returns the platform that the image is for.
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            os_version: self.os_version.clone(),
            variant: self.variant.clone(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// Go writes an empty slice or map as `null`; it is the empty value here.
fn null_as_default<'de, D, T>(deserializer: D) -> std::result::Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_survive_and_nulls_are_empty() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":["sh"],"MacAddress":"02:00"},"rootfs":{"type":"layers","diff_ids":null},"docker_version":"20.10"}"#;
        let config = ImageConfig::parse(text.as_bytes()).unwrap();
        assert_eq!(config.config.cmd.as_deref(), Some(&["sh".to_owned()][..]));
        assert!(config.config.env.is_empty());
        let written = serde_json::to_string(&config).unwrap();
        assert!(written.contains(r#""MacAddress":"02:00""#), "{written}");
        assert!(written.contains(r#""docker_version":"20.10""#), "{written}");
    }

    #[test]
    fn an_empty_cmd_is_not_no_cmd() {
        let config = RunConfig { cmd: Some(Vec::new()), ..RunConfig::default() };
        assert_eq!(serde_json::to_string(&config).unwrap(), r#"{"Cmd":[]}"#);
    }

    #[test]
    fn an_error_names_the_document() {
        let error = ImageConfig::parse(b"[]").unwrap_err().to_string();
        assert!(error.starts_with("invalid image config: "), "{error}");
    }
}
