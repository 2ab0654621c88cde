//! What runs again, and what does not.

use std::{fs, time::Duration};

use lathe_testkit::sandbox::{Fate, Sandbox};

use crate::sandbox;

/// Steps that ran in a build that must be successful.
#[track_caller]
fn ran(sandbox: &Sandbox, arguments: &[&str]) -> Vec<String> {
    let trace = sandbox.trace(arguments).success();
    trace.ran().into_iter().map(str::to_owned).collect()
}

const TWO_PARTS: &str = "FROM busybox\n\
    COPY package.json /app/\n\
    RUN cat /app/package.json > /installed\n\
    COPY src /app/src\n\
    RUN cat /app/src/* > /built\n";

for_everybody! {
    fn an_unchanged_build_runs_nothing(sandbox) {
        sandbox.file("package.json", "{}").file("src/a", "1").dockerfile(TWO_PARTS);
        let first = sandbox.build(&["-t", "one"]);
        assert_eq!(ran(sandbox, &["-t", "one"]), Vec::<String>::new());
        let second = sandbox.build(&["-t", "two"]);
        assert_eq!(first.image.digest, second.image.digest);
    }

    fn a_changed_file_runs_only_what_depends_on_it(sandbox) {
        sandbox.file("package.json", "{}").file("src/a", "1").dockerfile(TWO_PARTS);
        sandbox.build(&[]);
        sandbox.file("src/a", "2");
        assert_eq!(ran(sandbox, &[]), ["COPY src /app/src", "RUN cat /app/src/* > /built"]);
        assert_eq!(sandbox.build(&[]).image.text("/built"), "2");
        sandbox.file("package.json", "{ }");
        assert_eq!(ran(sandbox, &[]).len(), 4);
        // What was built before is still known.
        sandbox.file("package.json", "{}").file("src/a", "1");
        assert_eq!(ran(sandbox, &[]), Vec::<String>::new());
        assert_eq!(sandbox.build(&[]).image.text("/built"), "1");
    }
}

#[test]
fn a_file_that_no_step_uses_changes_nothing() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("package.json", "{}").file("src/a", "1").dockerfile(TWO_PARTS);
    sandbox.build(&[]);
    sandbox.file("other", "x").file("README.md", "y");
    assert_eq!(ran(&sandbox, &[]), Vec::<String>::new());
}

#[test]
fn times_do_not_count_and_permissions_do() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("package.json", "{}").file("src/a", "1").dockerfile(TWO_PARTS);
    sandbox.build(&[]);
    let file = fs::File::open(sandbox.context().join("src/a")).expect("the file is there");
    let time = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    file.set_modified(time).expect("own files can be changed");
    assert_eq!(ran(&sandbox, &[]), Vec::<String>::new());
    sandbox.mode("src/a", 0o755);
    assert_eq!(ran(&sandbox, &[]), ["COPY src /app/src", "RUN cat /app/src/* > /built"]);
}

#[test]
fn a_removed_or_added_file_counts() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("src/a", "1").file("src/b", "2");
    sandbox.dockerfile("FROM busybox\nCOPY src /src\n");
    sandbox.build(&[]);
    fs::remove_file(sandbox.context().join("src/b")).expect("own files can be removed");
    assert_eq!(ran(&sandbox, &[]), ["COPY src /src"]);
    assert!(!sandbox.build(&[]).image.has("/src/b"));
    sandbox.file("src/c", "3");
    assert_eq!(ran(&sandbox, &[]), ["COPY src /src"]);
    sandbox.symlink("src/d", "a");
    assert_eq!(ran(&sandbox, &[]), ["COPY src /src"]);
}

#[test]
fn equal_output_of_a_changed_stage_cuts_off() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("source", "1 # comment").dockerfile(
        "FROM busybox AS build\nCOPY source /source\nRUN cut -d' ' -f1 /source > /out\n\
         FROM busybox\nCOPY --from=build /out /out\nRUN cat /out > /final\n",
    );
    sandbox.build(&[]);
    sandbox.file("source", "1 # another comment");
    assert_eq!(ran(&sandbox, &[]), ["COPY source /source", "RUN cut -d' ' -f1 /source > /out"]);
    sandbox.file("source", "2");
    assert_eq!(ran(&sandbox, &[]).len(), 4);
    assert_eq!(sandbox.build(&[]).image.text("/final"), "2\n");
}

#[test]
fn no_cache_runs_everything() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("package.json", "{}").file("src/a", "1").dockerfile(TWO_PARTS);
    sandbox.build(&[]);
    assert_eq!(ran(&sandbox, &["--no-cache"]).len(), 4);
    assert_eq!(ran(&sandbox, &[]), Vec::<String>::new());
}

#[test]
fn arguments_count_from_where_they_are_declared() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile(
        "FROM busybox\nRUN echo before > /before\nARG V=1\nRUN echo $V > /v\n\
         ARG HTTP_PROXY_X\n",
    );
    assert_eq!(sandbox.build(&[]).image.text("/v"), "1\n");
    assert_eq!(ran(&sandbox, &["--build-arg", "V=2"]), ["RUN echo $V > /v"]);
    assert_eq!(sandbox.build(&["--build-arg", "V=2"]).image.text("/v"), "2\n");
    // What nobody declares is reported and changes nothing; proxies never do.
    assert_eq!(ran(&sandbox, &["--build-arg", "NOBODY=2"]), Vec::<String>::new());
    assert_eq!(ran(&sandbox, &["--build-arg", "HTTP_PROXY=http://[::1]:1"]), Vec::<String>::new());
}

#[test]
fn a_changed_instruction_runs_it_and_what_follows() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile("FROM busybox\nRUN echo a > /a\nRUN echo b > /b\nENV X=1\n");
    sandbox.build(&[]);
    sandbox.dockerfile("FROM busybox\nRUN echo a > /a\nRUN echo c > /b\nENV X=2\n");
    assert_eq!(ran(&sandbox, &[]), ["RUN echo c > /b"]);
    // The environment is part of what a command may see.
    sandbox.dockerfile("FROM busybox\nENV X=2\nRUN echo a > /a\nRUN echo c > /b\n");
    assert_eq!(ran(&sandbox, &[]).len(), 2);
    // Comments, empty lines and stages' names are not.
    sandbox
        .dockerfile("# x\nFROM busybox AS y\n\nENV X=2\n# z\nRUN echo a > /a\nRUN echo c > /b\n");
    assert_eq!(ran(&sandbox, &[]), Vec::<String>::new());
}

#[test]
fn a_failed_step_is_not_kept_and_those_before_it_are() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("f", "bad").dockerfile(
        "FROM busybox\nRUN echo 1 > /one\nCOPY f /f\nRUN echo x > /x; grep -q good /f\n",
    );
    sandbox.try_build(&[]).failure(1);
    let trace = sandbox.trace(&[]);
    assert_eq!(trace.with(Fate::Failed), ["RUN echo x > /x; grep -q good /f"]);
    assert_eq!(trace.ran(), Vec::<&str>::new());
    sandbox.file("f", "good");
    assert_eq!(ran(&sandbox, &[]), ["COPY f /f", "RUN echo x > /x; grep -q good /f"]);
}

#[test]
fn pruning_forgets_and_the_next_build_is_the_same() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("package.json", "{}").file("src/a", "1").dockerfile(TWO_PARTS);
    let epoch = [("SOURCE_DATE_EPOCH", "1700000000")];
    let first = sandbox.build_with(&epoch, &["-t", "x"]).image;
    sandbox.lathe(&["rmi", "-f", "x"]).success();
    sandbox.lathe(&["system", "prune", "-a", "-f"]).success();
    let second = sandbox.build_with(&epoch, &["-t", "x"]).image;
    assert_eq!(first.digest, second.digest);
}
