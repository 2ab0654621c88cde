//! One table: a file, and the rules that find something, with the text that
//! they point at.

use super::{lint, settle};
use crate::diagnostic::{Diagnostic, Severity};
use crate::{CheckOptions, parse};

/// All findings, with `# check=` applied.
fn settled(text: &str, given: Option<&str>) -> Vec<Diagnostic> {
    let parsed = parse(text);
    let mut findings = parsed.diagnostics;
    findings.extend(lint(&parsed.file, text));
    let given = given.map(|given| CheckOptions::parse(given).expect(given));
    settle(&parsed.file, findings, given.as_ref())
}

#[track_caller]
fn check(text: &str, expected: &[(&str, &str)]) {
    check_given(text, None, expected);
}

#[track_caller]
fn check_given(text: &str, given: Option<&str>, expected: &[(&str, &str)]) {
    let findings = settled(text, given);
    let found: Vec<_> = findings.iter().map(|f| (f.rule.name(), f.span.slice(text))).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn names_and_keywords_have_one_case() {
    check("FROM a AS Build\n", &[("StageNameCasing", "Build")]);
    check("FROM a as b\n", &[("FromAsCasing", "as")]);
    check("from a AS b\nrun x\n", &[("FromAsCasing", "AS")]);
    check("from a as b\n", &[]);
    check(
        "FROM a\nrun x\nCopy a b\n",
        &[("ConsistentInstructionCasing", "run"), ("ConsistentInstructionCasing", "Copy")],
    );
    check("from a\nrun x\nCMD []\n", &[("ConsistentInstructionCasing", "CMD")]);
}

#[test]
fn stages_have_names_of_their_own() {
    check("FROM a AS b\nFROM c AS B\n", &[("StageNameCasing", "B"), ("DuplicateStageName", "B")]);
    check("FROM a AS scratch\n", &[("ReservedStageName", "scratch")]);
    check("FROM --platform=$TARGETPLATFORM a\n", &[("RedundantTargetPlatform", "$TARGETPLATFORM")]);
    check("FROM --platform=linux/arm64 a\n", &[("FromPlatformFlagConstDisallowed", "linux/arm64")]);
    check("FROM --platform=linux/arm64 a AS build-arm64\n", &[]);
    check("FROM --platform=$BUILDPLATFORM a\n", &[]);
}

#[test]
fn commands_have_the_json_form() {
    check("FROM a\nCMD npm start\n", &[("JSONArgsRecommended", "CMD npm start")]);
    check("FROM a\nENTRYPOINT x\nCMD [\"y\"]\n", &[("JSONArgsRecommended", "ENTRYPOINT x")]);
    check("FROM a\nSHELL [\"bash\", \"-c\"]\nCMD npm start\n", &[]);
    check("FROM a AS b\nSHELL [\"bash\", \"-c\"]\nFROM b\nCMD npm start\n", &[]);
    check("FROM a\nCMD\n", &[]);
}

#[test]
fn what_has_no_effect_or_no_future_is_found() {
    check("FROM a\nMAINTAINER me\n", &[("MaintainerDeprecated", "MAINTAINER me")]);
    check(
        "FROM a\nCMD [\"a\"]\nCMD [\"b\"]\n",
        &[("MultipleInstructionsDisallowed", "CMD [\"a\"]")],
    );
    check("FROM a\nCMD [\"a\"]\nFROM a\nCMD [\"b\"]\n", &[]);
    check("FROM a\nENV a b c\n", &[("LegacyKeyValueFormat", "ENV a b c")]);
    check("FROM a\nLABEL a b\n", &[("LegacyKeyValueFormat", "LABEL a b")]);
    check("FROM a\nRUN a \\\n\n  b\n", &[("NoEmptyContinuation", "\n")]);
}

#[test]
fn relative_folders_need_an_absolute_one() {
    check("FROM a\nWORKDIR app\n", &[("WorkdirRelativePath", "app")]);
    check("FROM a\nWORKDIR /x\nWORKDIR app\n", &[]);
    check("FROM a AS b\nWORKDIR /x\nFROM b\nWORKDIR app\n", &[]);
    check("FROM a\nWORKDIR $HOME\n", &[]);
}

#[test]
fn secrets_are_found_by_name() {
    check(
        "ARG NPM_TOKEN\nFROM a\nENV password=1 PUBLIC_KEY=2 MONKEY=3\n",
        &[("SecretsUsedInArgOrEnv", "NPM_TOKEN"), ("SecretsUsedInArgOrEnv", "password")],
    );
}

#[test]
fn ports_are_plain() {
    check(
        "FROM a\nEXPOSE 80/TCP 1:2 ${P:-80}\n",
        &[("ExposeProtoCasing", "80/TCP"), ("ExposeInvalidFormat", "1:2")],
    );
}

#[test]
fn rules_can_be_skipped() {
    check("# check=skip=all\nFROM a AS B\n", &[]);
    check("# check=skip=StageNameCasing,FromAsCasing\nFROM a as B\n", &[]);
    check("# check=skip=StageNameCasin\nFROM a\n", &[("lathe/UnknownRule", "StageNameCasin")]);
    check("# check=skip=MalformedJSONForm\nFROM a\nRUN ['a']\n", &[]);
    check("# check=skip=lathe/MalformedJSONForm\nFROM a\nRUN ['a']\n", &[]);
    check_given("# check=skip=all\nFROM a as b\n", Some("error=true"), &[("FromAsCasing", "as")]);
    check(
        "# one\n\n# check=skip=StageNameCasing\nFROM a AS B\nFROM a AS C\n",
        &[("StageNameCasing", "C")],
    );
}

#[test]
fn findings_can_be_made_errors() {
    let text = "# check=error=true\nFROM a AS B\n";
    let findings = settled(text, None);
    assert_eq!(findings[0].severity, Severity::Error);
}
