//! Rules about stages.

use std::collections::HashMap;

use super::Lint;
use crate::diagnostic::{Diagnostic, Rule};
use crate::span::Span;

pub(super) fn duplicate_stage_name(lint: &mut Lint<'_>) {
    let mut known: HashMap<String, Span> = HashMap::new();
    for name in lint.stages().filter_map(|stage| stage.name.as_ref()) {
        let first = *known.entry(name.key()).or_insert(name.span);
        if first != name.span {
            let message = format!("stage name `{}` is used twice", name.text);
            lint.report(
                Diagnostic::warning(Rule::DuplicateStageName, name.span, message)
                    .label(first, "first used here"),
            );
        }
    }
}

pub(super) fn reserved_stage_name(lint: &mut Lint<'_>) {
    for name in lint.stages().filter_map(|stage| stage.name.as_ref()) {
        if matches!(name.key().as_str(), "scratch" | "context") {
            let message = format!("`{}` has a meaning of its own and is no stage name", name.text);
            lint.report(Diagnostic::warning(Rule::ReservedStageName, name.span, message));
        }
    }
}

pub(super) fn redundant_target_platform(lint: &mut Lint<'_>) {
    for platform in lint.stages().filter_map(|stage| stage.platform.as_ref()) {
        if matches!(platform.raw.as_str(), "$TARGETPLATFORM" | "${TARGETPLATFORM}") {
            let message = format!("`--platform={}` is the default", platform.raw);
            lint.report(
                Diagnostic::warning(Rule::RedundantTargetPlatform, platform.span, message)
                    .help("leave the flag out"),
            );
        }
    }
}

pub(super) fn from_platform_flag_const_disallowed(lint: &mut Lint<'_>) {
    for stage in lint.stages() {
        let Some(platform) = &stage.platform else { continue };
        // A stage that is named after its platform means it.
        let mut parts = platform.raw.split('/').filter(|part| !part.is_empty());
        let key = stage.key().unwrap_or_default();
        if platform.raw.contains('$') || parts.any(|part| key.contains(part)) {
            continue;
        }
        let message = format!("`--platform={}` is the same for every target", platform.raw);
        let rule = Rule::FromPlatformFlagConstDisallowed;
        lint.report(
            Diagnostic::warning(rule, platform.span, message)
                .help("use `--platform=$BUILDPLATFORM` or choose the platform when building"),
        );
    }
}
