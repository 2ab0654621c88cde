//! The build before: what a build is compared with, and how long its steps took.

use std::{sync::OnceLock, time::Duration};

use lathe_store::Store;

use super::{Build, Step};
use crate::{BuildRequest, ContextInput, DockerfileInput, explain};

/// The latest build of the same project; read when somebody asks.
pub(crate) struct Past {
    store: Store,
    pub(crate) project: Project,
    latest: OnceLock<Option<Build>>,
}

/// What is built, as text: builds of one project follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Project {
    pub(crate) context: String,
    pub(crate) dockerfile: String,
    pub(crate) target: Option<String>,
    pub(crate) platform: String,
    /// The repository of the first tag, where the context has no name of its own.
    name: Option<String>,
}

impl Project {
    pub(crate) fn of(request: &BuildRequest) -> Self {
        let context = match &request.inputs.context {
            ContextInput::Folder(path) => path.display().to_string(),
            ContextInput::Empty | ContextInput::Archive(_) => "-".to_owned(),
            ContextInput::Remote(remote) => match remote {
                crate::Remote::Git(git) => crate::redact(&git.url),
                crate::Remote::Http(http) => crate::redact(&http.url),
            },
        };
        let dockerfile = match &request.inputs.dockerfile {
            DockerfileInput::Path(path) | DockerfileInput::Inside(path) => {
                path.display().to_string()
            }
            DockerfileInput::Text(_) => "-".to_owned(),
        };
        let name = request.tags.first().map(lathe_oci::Reference::name);
        Self {
            name: name.filter(|_| context == "-"),
            context,
            dockerfile,
            target: request.frontend.target.clone(),
            platform: request.frontend.platform.to_string(),
        }
    }

    pub(crate) fn text(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        let target = self.target.as_deref().unwrap_or_default();
        [&self.context, &self.dockerfile, target, &self.platform, name].join("\n")
    }
}

impl Past {
    pub(crate) fn of(store: &Store, request: &BuildRequest) -> Self {
        Self { store: store.clone(), project: Project::of(request), latest: OnceLock::new() }
    }

    /// Returns the latest build of the project. One that cannot be read is none.
    pub(crate) fn latest(&self) -> Option<&Build> {
        let read = || {
            let record = self.store.latest_build(&self.project.text()).ok()??;
            serde_json::from_str(&record.record).ok()
        };
        self.latest.get_or_init(read).as_ref()
    }

    /// Returns the time that each step is expected to take; nothing where there was no build.
    pub(crate) fn weights(&self, steps: &[Step]) -> Vec<Duration> {
        let Some(old) = self.latest() else { return Vec::new() };
        let partners = explain::partners(&old.steps, steps);
        let known = |partner: &Option<usize>| partner.map(|index| old.steps[index].cost);
        let costs: Vec<Option<u64>> = partners.iter().map(known).collect();
        // A new step takes as long as the others in the mean.
        let sum: u64 = costs.iter().flatten().sum();
        let mean = sum.checked_div(costs.iter().flatten().count() as u64).unwrap_or(0).max(1);
        costs.into_iter().map(|cost| Duration::from_millis(cost.unwrap_or(mean).max(1))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_take_as_long_as_before_and_new_ones_as_long_as_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let step =
            |name: &str, cost| Step { name: format!("[1/9] {name}"), cost, ..Step::default() };
        let old =
            Build { steps: vec![step("RUN a", 9000), step("COPY b /", 1000)], ..Build::default() };
        let project = Project {
            context: "-".to_owned(),
            dockerfile: "-".to_owned(),
            target: None,
            platform: "linux/amd64".to_owned(),
            name: None,
        };
        let store = Store::open(folder.path()).unwrap();
        let new = [step("COPY b /", 0), step("WORKDIR /c", 0), step("RUN a", 0)];
        let weights = |latest: Option<Build>| {
            let latest = OnceLock::from(latest);
            Past { store: store.clone(), project: project.clone(), latest }.weights(&new)
        };
        assert_eq!(weights(Some(old)), [1, 5, 9].map(Duration::from_secs));
        assert_eq!(weights(None), [Duration::ZERO; 0]);
    }
}
