//! What a stage is, between two instructions.

use lathe_dockerfile::Lookup;
use lathe_graph::VertexId;
use lathe_oci::{History, ImageConfig, Platform, RootFs};

use crate::{HistoryItem, PinnedImage};

/// Where programs are found if neither the base image nor `ENV` says (Docker's default).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A stage under way. Cloned when another stage starts from it.
#[derive(Clone, Debug)]
pub(super) struct StageState {
    /// The files so far; `None` if there are none.
    pub(super) vertex: Option<VertexId>,
    /// The config so far; its history is that of the base image.
    pub(super) config: ImageConfig,
    /// The image at the bottom.
    pub(super) base: Option<PinnedImage>,
    /// What was added on top of it.
    pub(super) history: Vec<HistoryItem>,
    /// The arguments that were declared, in order, with their values.
    pub(super) args: Vec<(String, Option<String>)>,
    /// Whether this stage has a `CMD` of its own.
    pub(super) has_cmd: bool,
    /// What the stage is for.
    pub(super) platform: Platform,
}

impl StageState {
    pub(super) fn scratch(platform: &Platform) -> Self {
        let config = ImageConfig {
            architecture: platform.architecture.clone(),
            variant: platform.variant.clone(),
            os: platform.os.clone(),
            ..ImageConfig::default()
        };
        Self {
            vertex: None,
            config,
            base: None,
            history: Vec::new(),
            args: Vec::new(),
            has_cmd: false,
            platform: platform.clone(),
        }
    }

    pub(super) fn of_image(
        vertex: Option<VertexId>,
        image: &PinnedImage,
        platform: &Platform,
    ) -> Self {
        let mut config = image.config.clone();
        config.created = None;
        config.rootfs = RootFs::default();
        pair_history(&mut config.history, image.layers.len());
        let base = vertex.map(|_| image.clone());
        Self { vertex, config, base, ..Self::scratch(platform) }
    }

    /// Prepares the state for the instructions of a stage that starts from it.
    pub(super) fn begin(&mut self) {
        self.has_cmd = false;
        if !self.config.config.env.iter().any(|variable| variable.starts_with("PATH=")) {
            self.set_env("PATH", DEFAULT_PATH);
        }
    }

    /// Sets a variable; one that exists keeps its place.
    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        let variable = format!("{name}={value}");
        let env = &mut self.config.config.env;
        match env.iter_mut().find(|old| name_of(old) == name) {
            Some(old) => *old = variable,
            None => env.push(variable),
        }
    }

    /// Declares an argument; a later declaration wins.
    pub(super) fn set_arg(&mut self, name: &str, value: Option<String>) {
        self.args.retain(|(old, _)| old != name);
        self.args.push((name.to_owned(), value));
    }

    /// Returns the arguments that a process sees: those with a value that no variable hides.
    pub(super) fn visible_args(&self) -> impl Iterator<Item = (&str, &str)> {
        self.args.iter().filter_map(|(name, value)| {
            let hidden = self.config.config.env.iter().any(|variable| name_of(variable) == name);
            (!hidden).then_some((name.as_str(), value.as_deref()?))
        })
    }

    /// Returns the working directory, absolute.
    pub(super) fn working_dir(&self) -> &str {
        match self.config.config.working_dir.as_str() {
            "" => "/",
            directory => directory,
        }
    }

    /// Returns the shell of shell-form commands.
    pub(super) fn shell(&self) -> Vec<String> {
        let default = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
        self.config.config.shell.clone().unwrap_or_else(default)
    }
}

/// Variables hide arguments of the same name.
impl Lookup for StageState {
    fn get(&self, name: &str) -> Option<&str> {
        let variable = self.config.config.env.iter().find(|variable| name_of(variable) == name);
        match variable {
            Some(variable) => Some(variable.split_once('=').map_or("", |(_, value)| value)),
            None => self.args.iter().find(|(arg, _)| arg == name)?.1.as_deref(),
        }
    }
}

fn name_of(variable: &str) -> &str {
    variable.split_once('=').map_or(variable, |(name, _)| name)
}

/// Images of other tools may have no history, or one that does not fit their layers: then each
/// layer gets an item that says nothing, so that layers of this build pair up with theirs.
fn pair_history(history: &mut Vec<History>, layers: usize) {
    if history.iter().filter(|item| !item.empty_layer).count() != layers {
        *history = vec![History::default(); layers];
    }
}
