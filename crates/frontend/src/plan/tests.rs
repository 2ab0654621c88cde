use lathe_oci::Platform;

use super::*;

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
