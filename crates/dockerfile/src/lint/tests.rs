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
    check("FROM a\nCMD []\n", &[]);
    check("FROM a\nCMD\n", &[("lathe/EmptyCommand", "CMD"), ("JSONArgsRecommended", "CMD")]);
    check("FROM a\nRUN\n", &[("lathe/EmptyCommand", "RUN")]);
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
        "ARG NPM_TOKEN\nFROM a\nARG NPM_TOKEN\nENV password=1 PUBLIC_KEY=2 MONKEY=3 KEY_FILE=4\n",
        &[("SecretsUsedInArgOrEnv", "NPM_TOKEN"), ("SecretsUsedInArgOrEnv", "password")],
    );
    for name in [
        "APIKEY",
        "x_auth",
        "CREDENTIAL",
        "my_credentials_x",
        "Key",
        "DB_PASSWORD",
        "PWORD",
        "passwd",
        "SECRET_MESSAGE",
        "GITHUB_TOKEN",
    ] {
        check(&format!("FROM a\nARG {name}\n"), &[("SecretsUsedInArgOrEnv", name)]);
    }
    for name in ["TOKENS", "AUTHOR", "TOKEN_VERSION", "public_token", "SECRETFILE"] {
        check(&format!("FROM a\nARG {name}\n"), &[]);
    }
}

#[test]
fn ports_are_plain() {
    check(
        "FROM a\nEXPOSE 80/TCP 1:2 ${P:-80} :90 53/udp 1000-1010\n",
        &[("ExposeProtoCasing", "80/TCP"), ("ExposeInvalidFormat", "1:2")],
    );
    check(
        "FROM a\nEXPOSE 127.0.0.1:80:80/Udp\n",
        &[
            ("ExposeProtoCasing", "127.0.0.1:80:80/Udp"),
            ("ExposeInvalidFormat", "127.0.0.1:80:80/Udp"),
        ],
    );
}

#[test]
fn platforms_are_chosen_when_building() {
    let rule = "FromPlatformFlagConstDisallowed";
    check("FROM --platform=linux/arm64 a\n", &[(rule, "linux/arm64")]);
    check("FROM --platform=linux/arm64 a AS build-arm64\n", &[]);
    check("FROM --platform=linux/aarch64 a AS build-arm64\n", &[]);
    check("FROM --platform=linux/arm64 a AS linux-build\n", &[]);
    check("FROM --platform=linux/arm/v7 a AS build-v7\n", &[(rule, "linux/arm/v7")]);
    check("FROM --platform=arm64 a AS linux\n", &[]);
    check("FROM --platform=linux a AS x\n", &[(rule, "linux")]);
    check("FROM --platform=$BUILDPLATFORM a\n", &[]);
    check("ARG P=linux/amd64\nFROM --platform=$P a\n", &[]);
    let rule = "RedundantTargetPlatform";
    check("FROM --platform=$TARGETPLATFORM a\n", &[(rule, "$TARGETPLATFORM")]);
    check("FROM --platform=\"${TARGETPLATFORM:-x}\" a\n", &[(rule, "\"${TARGETPLATFORM:-x}\"")]);
    check("FROM --platform=$TARGETOS/$TARGETARCH a\n", &[]);
}

#[test]
fn from_uses_declared_arguments() {
    let rule = "UndefinedArgInFrom";
    check("ARG VERSION=1\nFROM a:${VERSION}\n", &[]);
    check("ARG TAG=1\nFROM a:${TAG}${VERSON:-}\n", &[(rule, "VERSON")]);
    check("FROM --platform=linux/${TARGETARCH}$MYARCH a\n", &[(rule, "MYARCH")]);
    check("FROM a:1-$TARGETARCH\n", &[]);
    check("FROM a\nARG V=1\nFROM b:1$V\n", &[(rule, "V")]);
    let findings = settled("ARG VERSION=1\nFROM a:1$VERSON\n", None);
    assert_eq!(findings[0].help.as_deref(), Some("did you mean `VERSION`?"));
    let findings = settled("FROM a:1$X\n", None);
    assert_eq!(findings[0].help.as_deref(), Some("write `ARG X=…` above the first `FROM`"));
}

#[test]
fn defaults_make_valid_images() {
    let rule = "InvalidDefaultArgInFrom";
    check("ARG TAG\nFROM a:${TAG}\n", &[(rule, "a:${TAG}")]);
    check("ARG TAG\nFROM a:${TAG:-1}\n", &[]);
    check("ARG IMAGE\nFROM $IMAGE\n", &[(rule, "$IMAGE")]);
    check("ARG A=Bad\nFROM a AS x\nFROM $A\n", &[(rule, "$A")]);
    check("ARG A=x B=$A\nFROM $B:1\n", &[]);
    check("ARG A=build\nFROM a AS build\nFROM $A\n", &[]);
    check("ARG A=${B:?give B}\nFROM x$A\n", &[]);
    check("FROM $X\n", &[(rule, "$X"), ("UndefinedArgInFrom", "X")]);
}

#[test]
fn descriptions_are_checked_when_asked_for() {
    let rule = "InvalidDefinitionDescription";
    let all = |text: &str, expected: &[(&str, &str)]| {
        check(text, &[]);
        check(&format!("# check=experimental=all;skip=all\n\n{text}"), expected);
        check(&format!("# check=experimental={rule}\n\n{text}"), expected);
    };
    all("# a stage\nFROM a AS b\n", &[(rule, "FROM")]);
    all("# b is a stage\nFROM a AS b\n", &[]);
    all("# a stage\n\nFROM a AS b\n", &[]);
    all("# a stage\n#\nFROM a AS b\n", &[]);
    all("# note\nFROM a\n", &[]);
    all("# the version\nARG V=1\nFROM a\n# x\nARG B C\n", &[(rule, "ARG"), (rule, "ARG")]);
    all("# C is good\nFROM a\n# C is good\nARG B C\n", &[]);
    all("# b is a stage\n# check=skip=FromAsCasing\nFROM a as b\n", &[]);
}

#[test]
fn stages_share_what_they_are_built_on() {
    check("ARG BASE=b\nFROM a AS b\nWORKDIR /x\nFROM $BASE\nWORKDIR y\n", &[]);
    check(
        "FROM a AS b\nFROM b AS c\nSHELL [\"sh\"]\nFROM b\nCMD x\n",
        &[("JSONArgsRecommended", "CMD x")],
    );
}

#[test]
fn settling_sorts_and_drops_what_is_there_twice() {
    let text = "FROM a as B\n";
    let parsed = parse(text);
    let mut findings = lint(&parsed.file, text);
    findings.reverse();
    findings.extend(lint(&parsed.file, text));
    let settled = settle(&parsed.file, findings, None);
    let rules: Vec<_> = settled.iter().map(|finding| finding.rule.name()).collect();
    assert_eq!(rules, ["FromAsCasing", "StageNameCasing"]);
}

#[test]
fn a_comment_above_skips_for_that_instruction_alone() {
    check(
        "FROM a\n# check=skip=LegacyKeyValueFormat\nENV a b\nENV c d\n",
        &[("LegacyKeyValueFormat", "ENV c d")],
    );
    check("FROM a\n# why: old tool\n# check=skip=all\nMAINTAINER me\n", &[]);
    check(
        "FROM a\n# check=skip=MaintainerDeprecated\n\nMAINTAINER me\n",
        &[("MaintainerDeprecated", "MAINTAINER me")],
    );
    check("# check=skip=UndefinedArgInFrom\nFROM a:1$X\n", &[]);
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
