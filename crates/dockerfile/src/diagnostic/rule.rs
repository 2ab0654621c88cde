//! The rules, with their names and pages.

use super::Severity;

/// The rules. Those that `BuildKit` has too bear its names; our own have the
/// prefix `lathe/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The text is not a Dockerfile.
    SyntaxError,
    /// An argument looks like the JSON form but is none, so the shell gets it.
    MalformedJsonForm,
    /// `RUN`, `CMD` or `ENTRYPOINT` without a command.
    EmptyCommand,
    /// A `# check=` names a rule that there is not.
    UnknownRule,
    /// No `ARG` takes a build argument.
    UnusedBuildArg,
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
    pub const ALL: [Self; 27] = [
        Self::SyntaxError,
        Self::MalformedJsonForm,
        Self::EmptyCommand,
        Self::UnknownRule,
        Self::UnusedBuildArg,
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
            Self::MalformedJsonForm => "lathe/MalformedJSONForm",
            Self::EmptyCommand => "lathe/EmptyCommand",
            Self::UnknownRule => "lathe/UnknownRule",
            Self::UnusedBuildArg => "lathe/UnusedBuildArg",
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

    /// How bad a finding of the rule is, if `# check=error=true` does not
    /// make an error of it.
    pub const fn level(self) -> Severity {
        match self {
            Self::SyntaxError => Severity::Error,
            _ => Severity::Warning,
        }
    }

    /// Whether the rule is checked only if `# check=experimental=` asks for
    /// it.
    pub const fn experimental(self) -> bool {
        matches!(self, Self::InvalidDefinitionDescription)
    }

    /// Whether its findings are about the command line and have no place in the file, so that
    /// no `# check=` of the file is meant for them.
    pub const fn is_of_command_line(self) -> bool {
        matches!(self, Self::UnusedBuildArg)
    }

    /// What the rule is about and what to do, in a sentence or two.
    pub const fn page(self) -> &'static str {
        PAGES[self as usize].1
    }
}

/// What is wrong with a finding of each rule, and the way out; in the order of
/// the enum.
const PAGES: [(Rule, &str); 27] = [
    (
        Rule::SyntaxError,
        "The text is no Dockerfile, or an instruction is given something that it does not \
             take. The build stops until it is corrected.",
    ),
    (
        Rule::MalformedJsonForm,
        "Arguments that start like the JSON form but are not valid JSON are taken as shell \
             text. Use double quotes, commas between the strings and `\\\\` for a backslash.",
    ),
    (
        Rule::EmptyCommand,
        "Without a command, `RUN` makes an empty step, and `CMD` and `ENTRYPOINT` an image \
             that ends at once. Write the command, or `CMD []` for none.",
    ),
    (
        Rule::UnknownRule,
        "`# check=` names a rule that does not exist, so nothing is skipped by it. Correct \
             the name.",
    ),
    (
        Rule::UnusedBuildArg,
        "A build argument is given that no `ARG` takes, so that it changes nothing. Correct \
             its name, or declare it.",
    ),
    (
        Rule::StageNameCasing,
        "Stage names are looked up in lower case. Write them in lower case, to tell them \
             from keywords.",
    ),
    (
        Rule::FromAsCasing,
        "`FROM` and `AS` in different case are hard to read. Write both in the same case.",
    ),
    (
        Rule::NoEmptyContinuation,
        "Empty lines inside of an instruction are going to be an error. Remove them, or \
             start them with `#`.",
    ),
    (
        Rule::ConsistentInstructionCasing,
        "Keywords in mixed case are hard to read. Write all of them in upper case, or all \
             in lower case.",
    ),
    (
        Rule::DuplicateStageName,
        "Of two stages with one name, it is hard to tell which one is meant. Give each \
             stage a name of its own.",
    ),
    (
        Rule::ReservedStageName,
        "`scratch` is the empty image and `context` the build context; a stage of that \
             name cannot be used. Choose another name.",
    ),
    (
        Rule::JsonArgsRecommended,
        "In the shell form the shell is process 1 and does not pass signals on, so that \
             stopping the container takes ten seconds. Use the JSON form, or set `SHELL` to say \
             that the shell is meant.",
    ),
    (
        Rule::MaintainerDeprecated,
        "`MAINTAINER` is deprecated. Use `LABEL org.opencontainers.image.authors=…`.",
    ),
    (
        Rule::UndefinedArgInFrom,
        "`FROM` uses a variable that no `ARG` before the first `FROM` declares, so it is \
             empty. Declare it there, or correct its name.",
    ),
    (
        Rule::WorkdirRelativePath,
        "A relative `WORKDIR` depends on the base image, which may change. Set an absolute \
             one first.",
    ),
    (
        Rule::UndefinedVar,
        "A variable is used that no `ARG` or `ENV` of the stage declares, so it is empty. \
             Declare it, or correct its name.",
    ),
    (
        Rule::MultipleInstructionsDisallowed,
        "Of several `CMD`, `ENTRYPOINT` or `HEALTHCHECK` in a stage only the last one \
             counts. Remove the others.",
    ),
    (
        Rule::LegacyKeyValueFormat,
        "`KEY value` can hold only one pair and is easily misread. Write `KEY=value`.",
    ),
    (
        Rule::InvalidBaseImagePlatform,
        "The base image is for another platform than the build. Use a tag that has the \
             platform, or say with `--platform` which one is meant.",
    ),
    (
        Rule::RedundantTargetPlatform,
        "The target platform is what `FROM` uses anyway. Leave out \
             `--platform=$TARGETPLATFORM`.",
    ),
    (
        Rule::SecretsUsedInArgOrEnv,
        "Values of `ARG` and `ENV` can be read in the image and its history. Hand secrets to \
             the commands that need them with `RUN --mount=type=secret`.",
    ),
    (
        Rule::InvalidDefaultArgInFrom,
        "With the defaults of the global arguments, the image of a `FROM` has no valid name. \
             Give the argument a default that works.",
    ),
    (
        Rule::FromPlatformFlagConstDisallowed,
        "A constant `--platform` builds the stage for one platform, whatever is asked for. \
             Leave the flag out, or use `$BUILDPLATFORM` or `$TARGETPLATFORM`.",
    ),
    (
        Rule::CopyIgnoredFile,
        "The file is excluded by the ignore file, so that there is nothing to copy. Add an \
             exception `!path` there, or do not copy it.",
    ),
    (
        Rule::InvalidDefinitionDescription,
        "A comment directly above a stage or argument is its description if it starts with \
             its name. Write `# name description`, or put an empty line between.",
    ),
    (
        Rule::ExposeProtoCasing,
        "The protocol of a port is `tcp`, `udp` or `sctp`. Write it in lower case.",
    ),
    (
        Rule::ExposeInvalidFormat,
        "`EXPOSE` names ports of the container; addresses and ports of the host are left \
             out. Write the port alone, and publish it when running.",
    ),
];

#[cfg(test)]
mod tests {
    use super::{PAGES, Rule};

    #[test]
    fn all_rules_are_listed_once_and_have_a_page() {
        for (index, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, index, "{}", rule.name());
            assert_eq!(PAGES[index].0, rule);
            assert!(rule.page().ends_with('.'), "{}", rule.name());
            assert!(!rule.page().contains("://"), "{}", rule.name());
        }
    }
}
