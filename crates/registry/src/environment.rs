//! The variables that say where configuration and credentials live.

use std::{ffi::OsString, path::PathBuf};

/// What this crate wants to know of the process's environment.
///
/// A value, so that nothing below the command line reads variables by itself.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `--registries-file`, or `$LATHE_REGISTRIES_CONFIG`.
    pub registries_file: Option<PathBuf>,
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `$DOCKER_CONFIG`: the folder of docker's `config.json`.
    pub docker_config: Option<PathBuf>,
    /// `$REGISTRY_AUTH_FILE`: the credentials file of podman, buildah and skopeo.
    pub registry_auth_file: Option<PathBuf>,
}

impl Environment {
    /// Reads the variables through `variable`; an empty one counts as unset.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            registries_file: path("LATHE_REGISTRIES_CONFIG"),
            home: path("HOME"),
            xdg_config_home: path("XDG_CONFIG_HOME"),
            xdg_runtime_dir: path("XDG_RUNTIME_DIR"),
            docker_config: path("DOCKER_CONFIG"),
            registry_auth_file: path("REGISTRY_AUTH_FILE"),
        }
    }
}
