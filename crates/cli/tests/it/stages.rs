//! Stages: names, numbers, targets, and which of them run.

use lathe_testkit::sandbox::Fate;

use crate::sandbox;

for_everybody! {
    fn files_come_from_stages_by_name_number_and_image(sandbox) {
        let built = sandbox
            .dockerfile(
                "FROM busybox AS First\n\
                 RUN echo one > /one\n\
                 FROM first AS second\n\
                 RUN echo two > /two && echo more >> /one\n\
                 FROM scratch\n\
                 COPY --from=FIRST /one /named\n\
                 COPY --from=1 /one /two /numbered/\n\
                 COPY --from=busybox:1.35 /etc/group /group\n",
            )
            .build(&["-t", "stages"]);
        let image = built.image;
        assert_eq!(image.text("/named"), "one\n");
        assert_eq!(image.text("/numbered/one"), "one\nmore\n");
        assert_eq!(image.text("/numbered/two"), "two\n");
        assert!(image.text("/group").contains("staff:x:1001:"));
        assert_eq!(image.layers.len(), 3);
        assert!(!image.has("/bin/busybox"));
    }
}

#[test]
fn a_stage_that_is_not_needed_is_not_run() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile(
        "FROM busybox AS broken\nRUN false\n\
         FROM no.such.registry.invalid/x AS unreachable\nRUN true\n\
         FROM busybox AS wanted\nRUN echo yes > /yes\n\
         FROM wanted AS after\nRUN false\n",
    );
    let built = sandbox.build(&["--target", "WANTED", "-t", "x"]);
    assert_eq!(built.image.text("/yes"), "yes\n");
    let trace = sandbox.trace(&["--target", "2"]);
    assert_eq!(trace.output.code, 0, "{:?}", trace.output);
    assert_eq!(trace.with(Fate::Failed), Vec::<&str>::new());
    assert!(!trace.output.stderr.contains("RUN false"), "{}", trace.output.stderr);
    let failed = sandbox.try_build(&[]).failure(1);
    assert!(failed.stderr.contains("RUN false"), "{}", failed.stderr);
}

#[test]
fn a_wrong_target_names_the_one_that_was_meant() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile("FROM busybox AS builder\nFROM builder AS production\n");
    for target in ["prodution", "9"] {
        let output = sandbox.try_build(&["--target", target]).failure(1);
        assert!(output.stderr.contains(target), "{}", output.stderr);
    }
    sandbox
        .try_build(&["--target", "prodution"])
        .failure(1)
        .says("did you mean")
        .says("production");
}

#[test]
fn independent_stages_run_at_once() {
    let Some(sandbox) = sandbox() else { return };
    // Each is long enough to be still running when the other one begins.
    sandbox.dockerfile(
        "FROM busybox AS one\nRUN sleep 2; echo 1 > /one\n\
         FROM busybox AS two\nRUN sleep 2; echo 2 > /two\n\
         FROM scratch\nCOPY --from=one /one /\nCOPY --from=two /two /\n",
    );
    let trace = sandbox.trace(&["--jobs", "2"]).success();
    assert!(trace.overlap("> /one", "> /two"), "{:?}", trace.order);
    let trace = sandbox.trace(&["--no-cache", "--jobs", "1"]).success();
    assert!(!trace.overlap("> /one", "> /two"), "{:?}", trace.order);
}

#[test]
fn arguments_before_from_choose_the_base() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile(
        "ARG TAG=no-such-tag\nARG BASE=busybox:$TAG\n\
         FROM ${BASE} AS base\nARG TAG\nRUN echo \"tag=$TAG base=$BASE\" > /seen\n",
    );
    let built = sandbox.build(&["--build-arg", "TAG=1.35"]);
    assert_eq!(built.image.text("/seen"), "tag=1.35 base=\n");
}

#[test]
fn triggers_of_a_base_run_right_after_from_and_are_not_handed_on() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile("FROM triggers\nRUN cat /trigger > /seen\n");
    let image = sandbox.build(&[]).image;
    assert_eq!(
        (image.text("/seen"), image.run()["OnBuild"].is_array()),
        ("triggered\n".into(), false)
    );
}

#[test]
fn triggers_are_kept_for_those_based_on_the_image() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("f", "f").dockerfile("FROM busybox\nONBUILD COPY f /f\nONBUILD RUN cat /f\n");
    let image = sandbox.build(&[]).image;
    assert_eq!(image.run()["OnBuild"], serde_json::json!(["COPY f /f", "RUN cat /f"]));
    assert!(!image.has("/f"));
}

#[test]
fn whiteouts_of_the_base_are_kept_to() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile(
        "FROM layered AS base\nRUN ls /d /hidden > /seen\n\
         FROM base\nRUN rm /d/kept && rm -r /hidden && mkdir /hidden && touch /hidden/newest\n",
    );
    let image = sandbox.build(&[]).image;
    assert_eq!(image.text("/seen"), "/d:\nkept\n\n/hidden:\nnew\n");
    assert!(!image.has("/d/kept") && !image.has("/hidden/new") && !image.has("/hidden/old"));
    assert!(image.has("/hidden/newest"));
}

#[test]
fn the_platform_of_an_index_is_chosen() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile("FROM --platform=linux/arm64 several\nCOPY Dockerfile /\n");
    assert_eq!(sandbox.build(&[]).image.text("/which"), "arm64");
    sandbox.dockerfile("FROM several\nCOPY Dockerfile /\n");
    let built = sandbox.build(&["--platform", "linux/amd64"]);
    assert_eq!(built.image.text("/which"), "amd64");
    assert_eq!(built.image.config["architecture"], "amd64");
}
