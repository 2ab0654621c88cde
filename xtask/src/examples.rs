//! The examples, as demo and benchmarks use them.

use std::path::PathBuf;

use crate::sh;

/// One image to build from an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Example {
    /// Folder below `examples/`.
    pub(crate) folder: &'static str,
    pub(crate) dockerfile: &'static str,
    pub(crate) target: Option<&'static str>,
    /// Name and tag of the image.
    pub(crate) tag: &'static str,
}

const fn example(folder: &'static str, dockerfile: &'static str, tag: &'static str) -> Example {
    Example { folder, dockerfile, target: None, tag }
}

impl Example {
    const fn target(self, target: &'static str) -> Self {
        Self { target: Some(target), ..self }
    }

    /// Returns the folder of its files.
    pub(crate) fn context(&self) -> PathBuf {
        sh::repository().join("examples").join(self.folder)
    }

    /// Returns what to call it on the terminal.
    pub(crate) fn title(&self) -> String {
        let dockerfile = self.dockerfile.strip_prefix("Dockerfile.").map(|end| format!(", {end}"));
        let target = self.target.map(|target| format!(", target {target}"));
        format!("{}{}{}", self.folder, dockerfile.unwrap_or_default(), target.unwrap_or_default())
    }

    /// Returns the arguments of `build` that say what to build.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let context = self.context();
        let file = context.join(self.dockerfile);
        let mut arguments = vec!["-t".to_owned(), self.tag.to_owned()];
        arguments.extend(["-f".to_owned(), file.display().to_string()]);
        if let Some(target) = self.target {
            arguments.extend(["--target".to_owned(), target.to_owned()]);
        }
        arguments.push(context.display().to_string());
        arguments
    }
}

pub(crate) const NODE: Example = example("node", "Dockerfile", "demo-node:multi");
pub(crate) const GO: Example = example("go", "Dockerfile", "demo-go:multi");
pub(crate) const PYTHON: Example = example("python", "Dockerfile", "demo-python:multi");
pub(crate) const REACT: Example = example("react", "Dockerfile", "demo-react:multi");
pub(crate) const FULLSTACK: Example = example("fullstack", "Dockerfile", "demo-fullstack");
pub(crate) const EXTERNAL: Example = example("external-image", "Dockerfile", "demo-external-image");
pub(crate) const MODULES: Example = example("go-modules", "Dockerfile", "demo-go-modules");
pub(crate) const PRODUCTION: Example =
    example("targets", "Dockerfile", "demo-targets:production").target("production");
pub(crate) const TESTING: Example = example("testing", "Dockerfile", "demo-testing");

const NODE_SINGLE: Example = example("node", "Dockerfile.single", "demo-node:single");
const GO_SINGLE: Example = example("go", "Dockerfile.single", "demo-go:single");
const PYTHON_SINGLE: Example = example("python", "Dockerfile.single", "demo-python:single");
const REACT_SINGLE: Example = example("react", "Dockerfile.single", "demo-react:single");

/// All of them, in the tutorial's order.
pub(crate) const ALL: [Example; 16] = [
    NODE_SINGLE,
    NODE,
    GO_SINGLE,
    GO,
    PYTHON_SINGLE,
    PYTHON,
    REACT_SINGLE,
    REACT,
    example("targets", "Dockerfile", "demo-targets:development").target("development"),
    PRODUCTION,
    TESTING,
    EXTERNAL,
    MODULES,
    FULLSTACK,
    example("single-vs-multi", "Dockerfile.single", "demo-app:single"),
    example("single-vs-multi", "Dockerfile.multi", "demo-app:multi"),
];

/// The rows of the tutorial's table "Image Size Comparison": language, single-stage and multi-stage.
pub(crate) const COMPARED: [(&str, Example, Example); 4] = [
    ("Node.js", NODE_SINGLE, NODE),
    ("Go", GO_SINGLE, GO),
    ("Python", PYTHON_SINGLE, PYTHON),
    ("React", REACT_SINGLE, REACT),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    #[test]
    fn no_example_is_forgotten() {
        let listed: BTreeSet<PathBuf> =
            ALL.iter().map(|example| example.context().join(example.dockerfile)).collect();
        let mut found = BTreeSet::new();
        let folder = sh::repository().join("examples");
        for entry in fs::read_dir(folder).expect("a folder of examples").flatten() {
            for file in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
                if file.file_name().to_string_lossy().starts_with("Dockerfile") {
                    found.insert(file.path());
                }
            }
        }
        assert_eq!(listed, found);
    }

    #[test]
    fn every_image_has_a_tag_of_its_own() {
        let tags: BTreeSet<&str> = ALL.iter().map(|example| example.tag).collect();
        assert_eq!(tags.len(), ALL.len());
    }
}
