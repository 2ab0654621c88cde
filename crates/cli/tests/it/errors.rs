//! Mistakes: what is said about them, and with which code.

use lathe_testkit::sandbox::Sandbox;

use crate::sandbox;

/// Builds a Dockerfile that cannot be built, and checks what is said.
#[track_caller]
fn check(sandbox: &Sandbox, dockerfile: &str, words: &[&str]) {
    let output = sandbox.dockerfile(dockerfile).try_build(&[]).failure(1);
    for word in words {
        output.says(word);
    }
    output.says("error: ").says_not("panicked");
}

#[test]
fn mistakes_in_a_dockerfile_show_the_line() {
    let Some(sandbox) = sandbox() else { return };
    let sandbox = &sandbox;
    check(sandbox, "FROM busybox\nRUNN true\n", &["Dockerfile:2", "RUNN", "did you mean", "RUN"]);
    check(
        sandbox,
        "FROM busybox\nCOPY --form=x a b\n",
        &["Dockerfile:2", "--form", "did you mean", "--from"],
    );
    check(sandbox, "FROM busybox\nCOPY --chown\n", &["Dockerfile:2"]);
    check(sandbox, "FROM busybox\nCOPY a\n", &["Dockerfile:2", "COPY"]);
    check(sandbox, "RUN true\n", &["Dockerfile:1", "FROM"]);
    check(sandbox, "", &["Dockerfile", "no instructions"]);
    check(sandbox, "# only words\n", &["Dockerfile"]);
    check(sandbox, "FROM\n", &["Dockerfile:1", "FROM"]);
    check(sandbox, "FROM busybox AS 1x\n", &["Dockerfile:1", "1x"]);
    check(sandbox, "FROM BusyBox\n", &["Dockerfile:1", "BusyBox"]);
    check(sandbox, "FROM busybox\nENV X\n", &["Dockerfile:2"]);
    check(sandbox, "FROM busybox\nENV A=${x:?is needed}\n", &["Dockerfile:2", "is needed"]);
    check(sandbox, "FROM busybox\nENV A=${x\n", &["Dockerfile:2"]);
    check(sandbox, "FROM busybox\nCOPY <<EOF /x\nno end\n", &["EOF"]);
    check(sandbox, "FROM busybox\nEXPOSE 99999\n", &["Dockerfile:2", "99999"]);
    check(sandbox, "FROM busybox\nSTOPSIGNAL NOSUCH\n", &["Dockerfile:2", "NOSUCH"]);
    check(sandbox, "FROM busybox\nCOPY --chmod=9 a /\n", &["Dockerfile:2"]);
    check(
        sandbox,
        "FROM busybox AS x\nCOPY --from=later /a /\nFROM busybox AS later\nFROM x\n",
        &["Dockerfile:2", "later"],
    );
    check(sandbox, "FROM busybox AS x\nFROM busybox\nCOPY --from=7 /a /\n", &["Dockerfile:3", "7"]);
}

#[test]
fn images_that_cannot_be_had() {
    let Some(sandbox) = sandbox() else { return };
    check(&sandbox, "FROM busybox\nFROM no-such-image:tag\n", &["Dockerfile:2", "no-such-image"]);
    // Nothing listens on the discard port.
    check(&sandbox, "FROM 127.0.0.1:9/x\n", &["Dockerfile:1", "127.0.0.1:9"]);
    check(&sandbox, "FROM busybox:no-such-tag\n", &["no-such-tag"]);
    check(&sandbox, "FROM --platform=linux/s390x several\nCOPY Dockerfile /\n", &["s390x"]);
    check(&sandbox, "FROM busybox\nCOPY --from=no-such-image /a /\n", &["no-such-image"]);
}

#[test]
fn mistakes_on_the_command_line() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile("FROM scratch\n");
    sandbox.try_build(&["-t", "UPPER"]).failure(1).says("UPPER");
    sandbox.try_build(&["-t", "a b"]).failure(1).says("a b");
    sandbox.try_build(&["--no-such-flag"]).failure(125).says("--no-such-flag");
    sandbox.try_build(&["-f", "nowhere"]).failure(1).says("nowhere");
    sandbox.lathe(&["build"]).failure(1);
    sandbox.lathe(&["build", "no-such-folder"]).failure(1).says("no-such-folder");
    sandbox.lathe(&["biuld", "."]).failure(1).says("biuld").says("--help");
    std::fs::remove_file(sandbox.context().join("Dockerfile")).expect("own files can go");
    sandbox.try_build(&[]).failure(1).says("Dockerfile");
    sandbox.try_build(&["--network", "nonsense"]).failure(1).says("nonsense");
}

#[test]
fn a_dockerfile_may_come_from_elsewhere() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("f", "f");
    let output =
        sandbox.lathe_reading(b"FROM scratch\nCOPY f /f\n", &["build", "-q", "-f", "-", "context"]);
    assert!(output.success().stdout.starts_with("sha256:"));
    let output = sandbox.lathe_reading(b"FROM scratch\nENV A=1\n", &["build", "-q", "-"]).success();
    assert!(output.stdout.starts_with("sha256:"));
    sandbox.file("sub/Other", "FROM scratch\nCOPY f /g\n");
    let other = sandbox.context().join("sub/Other").to_string_lossy().into_owned();
    assert!(sandbox.build(&["-f", &other]).image.has("/g"));
    let output = sandbox.lathe_reading(b"FROM scratch\nCOPY f /f\n", &["build", "-"]).failure(1);
    output.says("build context").says("help: ");
}

#[test]
fn warnings_do_not_stop_a_build() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile("from busybox as x\nMAINTAINER me\nENV a b\nRUN echo $UNSET\nCMD x\n");
    let output = sandbox.try_build(&[]).success();
    assert!(output.stderr.to_lowercase().contains("warning"), "{}", output.stderr);
}

#[test]
fn frontends_are_known_or_warned_of() {
    let Some(sandbox) = sandbox() else { return };
    for known in ["docker/dockerfile:1.7-labs", "mirror.example/docker/dockerfile@sha256:0"] {
        sandbox.dockerfile(&format!("# syntax={known}\nFROM scratch\nENV A=1\n"));
        sandbox.try_build(&[]).success().says_not("frontend");
    }
    sandbox.dockerfile("# syntax=some/other:1\nFROM scratch\nENV A=1\n");
    sandbox.try_build(&[]).success().says("warning").says("some/other:1");
}
