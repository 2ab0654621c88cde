//! Several commands at once on one store.

use std::{process::Stdio, thread};

use crate::sandbox;

for_everybody! {
    fn builds_share_a_store(sandbox) {
        sandbox.file("f", "f");
        // Both pull the base and make the same first steps; then each goes its own way.
        let names = ["a", "b", "c"];
        for name in names {
            sandbox.file(
                &format!("Dockerfile.{name}"),
                format!(
                    "FROM busybox\nRUN echo shared > /shared\nCOPY f /f\nRUN echo {name} > /own\n\
                     FROM layered AS other\nCOPY --from=0 /own /own\n"
                ),
            );
        }
        let children: Vec<_> = names
            .iter()
            .map(|name| {
                let file = sandbox.context().join(format!("Dockerfile.{name}"));
                let file = file.to_string_lossy().into_owned();
                let metadata = sandbox.path(&format!("{name}.json")).to_string_lossy().into_owned();
                let mut command = sandbox.command(&[
                    "build", "-t", &format!("image-{name}"), "-f", &file, "--metadata-file", &metadata, "context",
                ]);
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
                command.spawn().expect("the program starts")
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().expect("it ends");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        for name in names {
            let format = format!("image-{name}");
            let listed = sandbox.lathe(&["images", "-q", &format]).success();
            assert_eq!(listed.stdout.lines().count(), 1, "{format}");
            let file = sandbox.context().join(format!("Dockerfile.{name}"));
            let image = sandbox.build(&["-f", &file.to_string_lossy()]).image;
            assert_eq!(image.text("/own"), format!("{name}\n"));
        }
    }
}

#[test]
fn pruning_meets_builds() {
    let Some(sandbox) = sandbox() else { return };
    for index in 0..6 {
        sandbox.file(
            &format!("Dockerfile.{index}"),
            format!("FROM busybox\nRUN echo {index} > /a\nRUN echo {index} > /b\n"),
        );
    }
    let start = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().expect("the program starts")
    };
    let mut children = Vec::new();
    for index in 0..6 {
        let file = format!("context/Dockerfile.{index}");
        children.push(start(&["build", "-t", "x", "-f", &file, "context"]));
        children.push(start(&["system", "prune", "-a", "-f"]));
        children.push(start(&["images"]));
    }
    for child in children {
        let output = child.wait_with_output().expect("it ends");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        // A prune may say that the store is in use; it may not break anything.
        assert!(output.status.success() || errors.contains("in use"), "{errors}");
    }
}

#[test]
fn a_first_build_waits_for_nobody() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile("FROM busybox\nRUN true\n");
    let threads: Vec<i32> = thread::scope(|scope| {
        let start = || {
            scope.spawn(|| {
                let mut command = sandbox.command(&["build", "context"]);
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                command.status().expect("the program starts").code().unwrap_or(255)
            })
        };
        let started = [start(), start(), start(), start()];
        started.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(threads, [0, 0, 0, 0]);
}

for_everybody! {
    fn builds_at_once_run_a_step_once(sandbox) {
        // Each run of the step leaves a line in a cache that outlives the builds.
        sandbox.dockerfile(
            "FROM busybox\nRUN --mount=type=cache,target=/count echo ran >> /count/list; sleep 0.5; echo 1 > /made\n\
             RUN cat /made > /seen\n",
        );
        let metadata = |index: usize| sandbox.path(&format!("{index}.json")).to_string_lossy().into_owned();
        let children: Vec<_> = (0..4)
            .map(|index| {
                let mut command = sandbox.command(&["build", "--metadata-file", &metadata(index), "context"]);
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
                command.spawn().expect("the program starts")
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().expect("it ends");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        sandbox.dockerfile("FROM busybox\nRUN --mount=type=cache,target=/count cat /count/list > /ran\n");
        assert_eq!(sandbox.build(&[]).image.text("/ran"), "ran\n");
        let files: Vec<String> = (0..4).map(|index| std::fs::read_to_string(metadata(index)).expect("written")).collect();
        assert!(files.windows(2).all(|pair| pair[0] == pair[1]), "all have made the same image: {files:?}");
    }
}
