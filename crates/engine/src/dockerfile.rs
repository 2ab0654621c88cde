//! The Dockerfile's text, and findings about it as text.

use std::{fs, io, path::Path};

use lathe_dockerfile::{Diagnostic, Dockerfile, Rule, Span, suggest};

use crate::{ContextInput, DockerfileInput, Error, Inputs, Result};

/// Largest Dockerfile that is read out of a fetched context, in bytes.
pub(crate) const MAX_SIZE: u64 = 64 << 20;

/// A Dockerfile with its name for people.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Source {
    /// Reads the Dockerfile that the request names.
    pub(crate) fn read(inputs: &Inputs) -> Result<Self> {
        let path = match &inputs.dockerfile {
            DockerfileInput::Text(text) => {
                return Ok(Self { name: "Dockerfile".to_owned(), text: text.clone() });
            }
            DockerfileInput::Path(path) | DockerfileInput::Inside(path) => path,
        };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NoDockerfile { path: path.clone(), near: near(path) });
            }
            Err(source) => return Err(Error::Io { action: "read", path: path.clone(), source }),
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let folder = match &inputs.context {
            ContextInput::Folder(folder) => Some(folder.as_path()),
            ContextInput::Empty | ContextInput::Archive(_) | ContextInput::Remote(_) => None,
        };
        Ok(Self { name: shown(path, folder), text })
    }

    /// Parses it; any finding that is an error stops the build.
    pub(crate) fn parse(&self) -> Result<(Dockerfile, Vec<Diagnostic>)> {
        let parse = lathe_dockerfile::parse(&self.text);
        if parse.has_errors() {
            let errors: Vec<Diagnostic> =
                parse.diagnostics.into_iter().filter(Diagnostic::is_error).collect();
            return Err(self.errors(&errors));
        }
        let mut findings = parse.diagnostics;
        findings.extend(foreign_frontend(&parse.file));
        Ok((parse.file, findings))
    }

    pub(crate) fn errors(&self, findings: &[Diagnostic]) -> Error {
        let rendered: Vec<String> = findings.iter().map(|finding| self.render(finding)).collect();
        Error::Dockerfile {
            rendered: rendered.join("\n").trim_end().to_owned(),
            findings: findings.to_vec(),
        }
    }

    pub(crate) fn render(&self, finding: &Diagnostic) -> String {
        lathe_dockerfile::render(finding, &self.text, &self.name)
    }

    /// Returns the lines of a failed step with a mark.
    pub(crate) fn excerpt(&self, span: Span) -> String {
        lathe_dockerfile::excerpt(&self.text, &self.name, span, &[])
    }
}

/// Warns of a `# syntax=` that asks for another language than ours. Frontends are images with
/// programs; none is ever pulled or run.
fn foreign_frontend(file: &Dockerfile) -> Option<Diagnostic> {
    let frontend = file.directives.frontend()?;
    // Mirrors of it have a registry in front.
    if frontend.contains("docker/dockerfile") || frontend.starts_with("dockerfile.v0") {
        return None;
    }
    let span = file.directives.syntax.as_ref()?.span;
    let message = format!("the frontend `{frontend}` is not run");
    let help = "the file is read as `docker/dockerfile` reads it";
    Some(Diagnostic::warning(Rule::SyntaxError, span, message).help(help))
}

/// Shows a path inside of the context without the context.
fn shown(path: &Path, context: Option<&Path>) -> String {
    let inside = context.and_then(|context| path.strip_prefix(context).ok());
    inside.unwrap_or(path).display().to_string()
}

/// Returns the files beside a missing one that look like it.
fn near(path: &Path) -> Vec<std::path::PathBuf> {
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    // Only a hint: a folder that cannot be read has none to give.
    let Some(entries) = path.parent().and_then(|folder| fs::read_dir(folder).ok()) else {
        return Vec::new();
    };
    let names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let like = |name: &&String| name.starts_with("Dockerfile") || name.starts_with("Containerfile");
    let best = suggest(&wanted, names.iter().map(String::as_str)).map(str::to_owned);
    let mut near: Vec<String> =
        best.into_iter().chain(names.iter().filter(like).cloned()).collect();
    near.dedup();
    near.into_iter().map(|name| path.with_file_name(name)).collect()
}
