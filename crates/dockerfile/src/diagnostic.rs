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

/// The rules. Those that BuildKit has too bear its names; `SyntaxError` and
/// `MalformedJsonForm` are our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The text is not a Dockerfile.
    SyntaxError,
    /// An argument looks like the JSON form but is none, so the shell gets it.
    MalformedJsonForm,
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

impl Rule {
    /// Every rule, in the order of the enum.
    pub const ALL: [Self; 24] = [
        Self::SyntaxError,
        Self::MalformedJsonForm,
        Self::StageNameCasing,
        Self::FromAsCasing,
        Self::NoEmptyContinuation,
        Self::ConsistentInstructionCasing,
        Self::DuplicateStageName,
        Self::ReservedStageName,
        Self::JsonArgsRecommended,
        Self::MaintainerDeprecated,
        Self::UndefinedArgInFrom,
        Self::WorkdirRelativePath,
        Self::UndefinedVar,
        Self::MultipleInstructionsDisallowed,
        Self::LegacyKeyValueFormat,
        Self::InvalidBaseImagePlatform,
        Self::RedundantTargetPlatform,
        Self::SecretsUsedInArgOrEnv,
        Self::InvalidDefaultArgInFrom,
        Self::FromPlatformFlagConstDisallowed,
        Self::CopyIgnoredFile,
        Self::InvalidDefinitionDescription,
        Self::ExposeProtoCasing,
        Self::ExposeInvalidFormat,
    ];

    /// The name as users write it in `# check=skip=…`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SyntaxError => "SyntaxError",
            Self::MalformedJsonForm => "MalformedJSONForm",
            Self::StageNameCasing => "StageNameCasing",
            Self::FromAsCasing => "FromAsCasing",
            Self::NoEmptyContinuation => "NoEmptyContinuation",
            Self::ConsistentInstructionCasing => "ConsistentInstructionCasing",
            Self::DuplicateStageName => "DuplicateStageName",
            Self::ReservedStageName => "ReservedStageName",
            Self::JsonArgsRecommended => "JSONArgsRecommended",
            Self::MaintainerDeprecated => "MaintainerDeprecated",
            Self::UndefinedArgInFrom => "UndefinedArgInFrom",
            Self::WorkdirRelativePath => "WorkdirRelativePath",
            Self::UndefinedVar => "UndefinedVar",
            Self::MultipleInstructionsDisallowed => "MultipleInstructionsDisallowed",
            Self::LegacyKeyValueFormat => "LegacyKeyValueFormat",
            Self::InvalidBaseImagePlatform => "InvalidBaseImagePlatform",
            Self::RedundantTargetPlatform => "RedundantTargetPlatform",
            Self::SecretsUsedInArgOrEnv => "SecretsUsedInArgOrEnv",
            Self::InvalidDefaultArgInFrom => "InvalidDefaultArgInFrom",
            Self::FromPlatformFlagConstDisallowed => "FromPlatformFlagConstDisallowed",
            Self::CopyIgnoredFile => "CopyIgnoredFile",
            Self::InvalidDefinitionDescription => "InvalidDefinitionDescription",
            Self::ExposeProtoCasing => "ExposeProtoCasing",
            Self::ExposeInvalidFormat => "ExposeInvalidFormat",
        }
    }
}

impl Diagnostic {
    /// A syntax error.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self {
            rule: Rule::SyntaxError,
            severity: Severity::Error,
            span,
            message: message.into(),
            labels: Vec::new(),
            help: None,
        }
    }

    /// A warning of `rule`.
    pub fn warning(rule: Rule, span: Span, message: impl Into<String>) -> Self {
        Self {
            rule,
            severity: Severity::Warning,
            span,
            message: message.into(),
            labels: Vec::new(),
            help: None,
        }
    }

    /// The same with a word on what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with `did you mean` if anything near was found.
    #[must_use]
    pub fn did_you_mean(self, near: Option<&str>) -> Self {
        match near {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// The same with a word at a further place.
    #[must_use]
    pub fn label(mut self, span: Span, message: impl Into<String>) -> Self {
        self.labels.push(Label { span, message: message.into() });
        self
    }

    /// Whether the build cannot go on.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
