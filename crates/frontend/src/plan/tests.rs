use lathe_oci::{Platform, Reference};

use super::*;
use crate::NamedContext;

fn options(target: Option<&str>) -> FrontendOptions {
    FrontendOptions {
        target: target.map(str::to_owned),
        build_args: BTreeMap::from([("TAG".to_owned(), "9".to_owned())]),
        ..FrontendOptions::new(Platform::linux("amd64"))
    }
}

fn check(text: &str, target: Option<&str>, expected: &str) {
    let parse = lathe_dockerfile::parse(text);
    assert!(!parse.has_errors(), "{:?}", parse.diagnostics);
    let planned = plan(&parse.file, &options(target), &Resolution::default()).unwrap();
    assert_eq!(planned.stages.dump(), expected);
}

fn check_error(text: &str, target: Option<&str>, expected: &str) {
    let parse = lathe_dockerfile::parse(text);
    let errors = plan(&parse.file, &options(target), &Resolution::default()).unwrap_err();
    let message = format!("{}; {}", errors[0].message, errors[0].help.as_deref().unwrap_or(""));
    assert_eq!(message, expected);
}

const STAGES: &str = "ARG TAG=1\nFROM a:$TAG AS Base\nFROM base AS dev\nRUN x\nFROM b AS prod\n\
                      COPY --from=base /x /x\nCOPY --from=0 /y /y\nCOPY --from=c:2 /z /z\n";

#[test]
fn inv_frontend_names_become_stages_or_references() {
    check(
        STAGES,
        None,
        "0 base from image docker.io/library/a:9 linux/amd64\n\
         2 prod from image docker.io/library/b:latest linux/amd64\n    \
         0: stage 0\n    base: stage 0\n    c:2: image docker.io/library/c:2 linux/amd64\n\
         target 2\n",
    );
}

#[test]
fn inv_frontend_reachable_only_what_the_target_needs() {
    check(
        STAGES,
        Some("DEV"),
        "0 base from image docker.io/library/a:9 linux/amd64\n1 dev from stage 0\ntarget 1\n",
    );
    check(STAGES, Some("0"), "0 base from image docker.io/library/a:9 linux/amd64\ntarget 0\n");
}

#[test]
fn from_binds_to_the_stage_before_it_even_of_its_own_name() {
    check(
        "FROM a AS x\nFROM x AS x\n",
        None,
        "0 x from image docker.io/library/a:latest linux/amd64\n1 x from stage 0\ntarget 1\n",
    );
}

#[test]
fn wrong_names_are_explained() {
    check_error(
        STAGES,
        Some("prd"),
        "there is no stage `prd` (--target); did you mean `--target prod`?",
    );
    check_error("FROM a AS x\nCOPY --from=x / /\n", None, "stage `x` cannot copy from itself; ");
    check_error(
        "FROM a AS x\nCOPY --from=y / /\nFROM a AS y\n",
        Some("x"),
        "stage `y` must be defined before the stage that uses it; ",
    );
    check_error(
        "FROM $NOPE\n",
        None,
        "the base name `$NOPE` is empty after expansion; \
         give the variable a default before the first FROM: `ARG NAME=value`",
    );
    check_error(
        "FROM a\nCOPY --from=7 / /\n",
        None,
        "there is no stage 7: the stages are numbered from 0; ",
    );
}

/// Plans with a named context for each name.
fn check_contexts(text: &str, names: &[(&str, Option<&str>)], expected: &str) {
    let parse = lathe_dockerfile::parse(text);
    assert!(!parse.has_errors(), "{:?}", parse.diagnostics);
    let context = |(name, image): &(&str, Option<&str>)| {
        let context = match image {
            Some(image) => NamedContext::Image(Reference::parse(image).unwrap()),
            None => NamedContext::Files,
        };
        ((*name).to_owned(), context)
    };
    let contexts = names.iter().map(context).collect();
    let options = FrontendOptions { contexts, ..options(None) };
    let planned = plan(&parse.file, &options, &Resolution::default()).unwrap();
    assert_eq!(planned.stages.dump(), expected);
}

#[test]
fn named_contexts_take_the_place_of_stages_and_images() {
    check_contexts(
        "FROM a AS Base\nCOPY --from=never / /\nFROM base\nCOPY --from=0 / /\n",
        &[("base", None)],
        "0 base from context base, replaced\n1 stage-1 from stage 0\n    0: stage 0\ntarget 1\n",
    );
    check_contexts(
        "FROM docker.io/library/a:latest AS x\nFROM a:2\nCOPY --from=a / /\n",
        &[("a", Some("b:1"))],
        "1 stage-1 from image docker.io/library/a:2 linux/amd64\n    \
         a: image docker.io/library/b:1 linux/amd64\ntarget 1\n",
    );
    check_contexts(
        "FROM scratch\nCOPY --from=context / /\n",
        &[("scratch", None), ("context", None)],
        "0 stage-0 from scratch\n    \
         context: image docker.io/library/context:latest linux/amd64\ntarget 0\n",
    );
}

#[test]
fn names_of_stages_that_are_not_needed_must_be_valid() {
    let check = |text: &str, expected: &[&str]| {
        let parse = lathe_dockerfile::parse(text);
        let planned = plan(&parse.file, &options(None), &Resolution::default());
        let errors = planned.err().unwrap_or_default();
        let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
        assert_eq!(messages, expected, "{text}");
    };
    check("FROM no-such-image AS x\nFROM a\n", &[]);
    check("FROM a AS x\nCOPY --from=y / /\nFROM a AS y\nFROM b\n", &[]);
    check(
        "FROM a AS x\nCOPY --from=y / /\nFROM x AS y\nFROM b\n",
        &["stage `y` must be defined before the stage that uses it"],
    );
    check(
        "FROM a:b:c\nFROM a\n",
        &[
            "invalid reference `a:b:c`: a part of the repository name has letters and digits, parted \
           by `.`, `_`, `__` or dashes",
        ],
    );
    check("FROM a AS x\nCOPY --from=x / /\nFROM a\n", &["stage `x` cannot copy from itself"]);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let text = "FROM a AS ok\nUSER ${UNSET:?from the image}\nEXPOSE x\nFROM ok\n\
                COPY --from=9 / /\nFROM ok\nSTOPSIGNAL x\n";
    let parse = lathe_dockerfile::parse(text);
    let options = FrontendOptions { scope: PlanScope::All, ..options(None) };
    let errors = plan(&parse.file, &options, &Resolution::default()).unwrap_err();
    let messages: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    let expected = [
        "invalid port `x`",
        "there is no stage 9: the stages are numbered from 0",
        "invalid signal `x`",
    ];
    assert_eq!(messages, expected);
}

#[test]
fn wanted_images_know_where_they_are_named() {
    let text = "FROM a\nCOPY --from=b / /\nCOPY --from=a / /\n";
    let parse = lathe_dockerfile::parse(text);
    let planned = plan(&parse.file, &options(None), &Resolution::default()).unwrap();
    let wanted = planned.stages.wanted();
    let at: Vec<&str> =
        wanted.values().map(|span| &text[span.start as usize..span.end as usize]).collect();
    assert_eq!(at, ["a", "b"]);
}
