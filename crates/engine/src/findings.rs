//! Findings of all phases, put together: what the rules and the user's word on them make of them.

use lathe_dockerfile::{CheckOptions, Diagnostic, Dockerfile};
use lathe_frontend::FrontendOptions;

use crate::{Error, Result, dockerfile::Source};

/// The build argument that takes the place of the directive.
const CHECK_ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// Which rules apply, as `BUILDKIT_DOCKERFILE_CHECK` says it in place of `# check=`.
#[derive(Debug, Default)]
pub(crate) struct Lint(Option<CheckOptions>);

impl Lint {
    /// Reads the build argument.
    pub(crate) fn of(options: &FrontendOptions) -> Result<Self> {
        let given = options.build_args.get(CHECK_ARGUMENT);
        let parse = |text: &String| {
            CheckOptions::parse(text).map_err(|error| Error::Check {
                value: text.clone(),
                reason: error.to_string(),
                help: error.help(),
            })
        };
        Ok(Self(given.map(parse).transpose()?))
    }
}

/// Adds what the rules find in the file, and leaves out what is not wanted.
pub(crate) fn all(
    source: &Source,
    file: &Dockerfile,
    mut found: Vec<Diagnostic>,
    lint: &Lint,
) -> Vec<Diagnostic> {
    found.extend(lathe_dockerfile::lint(file, &source.text));
    lathe_dockerfile::settle(file, found, lint.0.as_ref())
}

/// The same for a build, which ends here if `error=true` was asked for and anything was found.
pub(crate) fn settle(
    source: &Source,
    file: &Dockerfile,
    found: Vec<Diagnostic>,
    lint: &Lint,
) -> Result<Vec<Diagnostic>> {
    let findings = all(source, file, found, lint);
    let errors: Vec<Diagnostic> =
        findings.iter().filter(|finding| finding.is_error()).cloned().collect();
    if errors.is_empty() { Ok(findings) } else { Err(source.errors(&errors)) }
}
