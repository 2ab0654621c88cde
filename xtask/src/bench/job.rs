//! What is to be built, whichever tool builds it.

use std::path::{Path, PathBuf};

use crate::examples::Example;

/// A build.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) context: PathBuf,
    pub(super) file: PathBuf,
    pub(super) tag: String,
    pub(super) target: Option<String>,
    /// `NAME=value`.
    pub(super) arguments: Vec<String>,
}

/// How the layers of what is exported are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

impl Job {
    /// Builds the `Dockerfile` of a context.
    pub(super) fn new(context: &Path, tag: &str) -> Self {
        Self {
            context: context.to_owned(),
            file: context.join("Dockerfile"),
            tag: format!("localhost/bench-{tag}:latest"),
            target: None,
            arguments: Vec::new(),
        }
    }

    /// Builds an example; `context` is a copy of its folder.
    pub(super) fn example(example: &Example, context: &Path) -> Self {
        Self {
            context: context.to_owned(),
            file: context.join(example.dockerfile),
            tag: format!("localhost/bench-{}:latest", example.folder),
            target: example.target.map(str::to_owned),
            arguments: Vec::new(),
        }
    }

    pub(super) fn file(self, file: PathBuf) -> Self {
        Self { file, ..self }
    }

    pub(super) fn target(self, target: &str) -> Self {
        Self { target: Some(target.to_owned()), ..self }
    }

    pub(super) fn argument(mut self, name: &str, value: &str) -> Self {
        self.arguments.push(format!("{name}={value}"));
        self
    }

    /// Returns the arguments that docker's `build` and its likes understand.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = vec!["-t".to_owned(), self.tag.clone()];
        words.extend(["-f".to_owned(), self.file.display().to_string()]);
        if let Some(target) = &self.target {
            words.extend(["--target".to_owned(), target.clone()]);
        }
        for argument in &self.arguments {
            words.extend(["--build-arg".to_owned(), argument.clone()]);
        }
        words.push(self.context.display().to_string());
        words
    }
}
