//! What a stage is, between two instructions.

use std::collections::HashMap;

use lathe_dockerfile::{CommandLine, Lookup};
use lathe_graph::VertexId;
use lathe_oci::{History, ImageConfig, Platform, RootFs};

use super::variables::Variables;
use crate::{HistoryItem, PinnedImage, path::join};

/// Where programs are found if neither the base image nor `ENV` says (Docker's default).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Whether all is known of what a stage starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// Yes.
    Full,
    /// An image below could not be had: its variables are not known.
    NoBase,
}

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
    /// The variables that processes see: those of the config, and arguments. What is set last
    /// counts, whether by `ENV` or by `ARG`; a stage begins with the config's.
    pub(super) vars: Variables,
    /// Where a variable is in the config's list.
    env_places: HashMap<String, usize>,
    /// The arguments that were declared, in order, with or without a value.
    pub(super) args: Vec<String>,
    /// Whether this stage has a `CMD` of its own.
    pub(super) has_cmd: bool,
    /// Whether this Dockerfile has said where to work.
    pub(super) has_workdir: bool,
    /// What the stage is for.
    pub(super) platform: Platform,
    /// Whether its base is known.
    pub(super) knowledge: Knowledge,
}

impl StageState {
    /// A stage that starts from nothing, or from files that are no image.
    pub(super) fn scratch(platform: &Platform, vertex: Option<VertexId>) -> Self {
        let mut config = ImageConfig {
            architecture: platform.architecture.clone(),
            variant: platform.variant.clone(),
            os: platform.os.clone(),
            os_version: platform.os_version.clone(),
            ..ImageConfig::default()
        };
        "/".clone_into(&mut config.config.working_dir);
        Self {
            vertex,
            config,
            base: None,
            history: Vec::new(),
            vars: Variables::default(),
            env_places: HashMap::new(),
            args: Vec::new(),
            has_cmd: false,
            has_workdir: false,
            platform: platform.clone(),
            knowledge: Knowledge::Full,
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
        Self { config, base, ..Self::scratch(platform, vertex) }
    }

    /// A stage on an image that could not be had.
    pub(super) fn unknown(vertex: VertexId, platform: &Platform) -> Self {
        Self { knowledge: Knowledge::NoBase, ..Self::scratch(platform, Some(vertex)) }
    }

    /// Prepares the state for the instructions of a stage that starts from it.
    pub(super) fn begin(&mut self) {
        self.has_cmd = false;
        // Triggers are run once, and not handed on.
        self.config.config.on_build.clear();
        let env = &mut self.config.config.env;
        if !env.iter().any(|variable| name_of(variable) == "PATH") && self.platform.os != "windows"
        {
            env.push(format!("PATH={DEFAULT_PATH}"));
        }
        self.env_places.clear();
        for (place, variable) in env.iter().enumerate() {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            self.vars.set(name, value);
            self.env_places.entry(name.to_owned()).or_insert(place);
        }
        let directory = &mut self.config.config.working_dir;
        if !directory.is_empty() {
            *directory = join("/", directory);
        }
    }

    /// Sets a variable; one that exists keeps its place.
    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        self.vars.set(name, value);
        let variable = format!("{name}={value}");
        let env = &mut self.config.config.env;
        if let Some(place) = self.env_places.get(name) {
            env[*place] = variable;
        } else {
            self.env_places.insert(name.to_owned(), env.len());
            env.push(variable);
        }
    }

    /// Declares an argument, which is a variable if it has a value.
    pub(super) fn set_arg(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|_| !crate::options::SCAN_ARGS.contains(&name)) {
            self.vars.set(name, value);
        }
        if !self.args.iter().any(|known| known == name) {
            self.args.push(name.to_owned());
        }
    }

    /// Returns the declared arguments with what a process sees of them, as history shows them.
    pub(super) fn visible_args(&self) -> Vec<(String, String)> {
        let visible = |name: &String| {
            let value = self.get(name).unwrap_or_default();
            (name.clone(), value.to_owned())
        };
        self.args.iter().map(visible).collect()
    }

    /// Returns the variables that a process sees.
    pub(super) fn process_env(&self) -> Vec<String> {
        self.vars.to_env()
    }

    /// Returns the working directory, absolute.
    pub(super) fn working_dir(&self) -> &str {
        match self.config.config.working_dir.as_str() {
            "" => "/",
            directory => directory,
        }
    }

    /// Returns the arguments of a command line; the shell form goes to the shell.
    pub(super) fn arguments(&self, command: &CommandLine) -> Vec<String> {
        let text = match (command, command.shell_argument()) {
            (CommandLine::Exec(args), _) => return args.clone(),
            (CommandLine::Shell(text, _), None) => text.clone(),
            (CommandLine::Shell(..), Some(argument)) => argument,
        };
        let shell = self.config.config.shell.clone().filter(|shell| !shell.is_empty());
        let windows = self.config.os == "windows";
        let default: &[&str] = if windows { &["cmd", "/S", "/C"] } else { &["/bin/sh", "-c"] };
        let mut args = shell.unwrap_or_else(|| default.iter().map(|&arg| arg.to_owned()).collect());
        args.push(text);
        args
    }
}

impl Lookup for StageState {
    fn get(&self, name: &str) -> Option<&str> {
        self.vars.get(name)
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
