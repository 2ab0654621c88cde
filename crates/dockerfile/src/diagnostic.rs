//! What can be wrong with a Dockerfile, as data.

use crate::span::Span;

/// A finding at a place of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which rule found it.
    pub rule: Rule,
    /// How bad it is.
    pub severity: Severity,
    /// The place.
    pub span: Span,
    /// What is wrong: lower case, no final period.
    pub message: String,
    /// Further places with a word to each.
    pub labels: Vec<Label>,
    /// What to do.
    pub help: Option<String>,
}

/// A further place of a [`Diagnostic`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// A word to it.
    pub message: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The build goes on.
    Warning,
    /// There is no build.
    Error,
}

/// The rules; all but `SyntaxError` have BuildKit's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The text is not a Dockerfile.
    SyntaxError,
    /// Stage names should be lower case.
    StageNameCasing,
    /// `AS` should match the case of `FROM`.
    FromAsCasing,
    /// Continuation lines should not be empty.
    NoEmptyContinuation,
    /// All keywords should have the same case.
    ConsistentInstructionCasing,
    /// Stage names should be unique.
    DuplicateStageName,
    /// `scratch` and `context` are no stage names.
    ReservedStageName,
    /// `CMD` and `ENTRYPOINT` should have the JSON form.
    JsonArgsRecommended,
    /// `MAINTAINER` is deprecated.
    MaintainerDeprecated,
    /// `FROM` uses an argument that is not declared.
    UndefinedArgInFrom,
    /// `WORKDIR` is relative and no absolute one came before.
    WorkdirRelativePath,
    /// A variable is used that is not declared.
    UndefinedVar,
    /// Only the last `CMD`, `ENTRYPOINT`, `HEALTHCHECK` of a stage counts.
    MultipleInstructionsDisallowed,
    /// `ENV key value` should be `ENV key=value`.
    LegacyKeyValueFormat,
    /// The base image has another platform than wanted.
    InvalidBaseImagePlatform,
    /// `--platform=$TARGETPLATFORM` is the default.
    RedundantTargetPlatform,
    /// Secrets should not be in `ARG` or `ENV`.
    SecretsUsedInArgOrEnv,
    /// The default of a global argument makes an invalid base name.
    InvalidDefaultArgInFrom,
    /// `--platform` of `FROM` should not be constant.
    FromPlatformFlagConstDisallowed,
    /// The file to copy is excluded by `.dockerignore`.
    CopyIgnoredFile,
    /// The comment above a stage or argument is no description.
    InvalidDefinitionDescription,
    /// The protocol in `EXPOSE` should be lower case.
    ExposeProtoCasing,
    /// `EXPOSE` takes no addresses or host ports.
    ExposeInvalidFormat,
}
