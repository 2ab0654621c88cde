//! What is remembered of builds: why steps ran, what they printed, and that builds at once on one
//! store run equal steps once between them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Lines},
    process::{Child, ChildStderr, Command, Stdio},
};

use lathe_testkit::sandbox::Sandbox;

use crate::sandbox;

const TWO_STAGES: &str = "FROM busybox AS builder\n\
    ARG VERSION=1.1\n\
    COPY src src\n\
    RUN echo $VERSION; cat src/* > /out\n\
    FROM busybox\n\
    COPY --from=builder /out /out\n\
    RUN cat /out > /copy\n";

/// Builds, and checks the reason of each step that was run: parts of its line.
#[track_caller]
fn explained(sandbox: &Sandbox, arguments: &[&str], expected: &[(&str, &str)]) {
    let output = sandbox.try_build(&[&["--explain"], arguments].concat()).success();
    let lines: Vec<&str> = output.stdout.lines().filter(|line| line.starts_with("RAN")).collect();
    assert_eq!(lines.len(), expected.len(), "{}", output.stdout);
    for (line, (step, cause)) in lines.iter().zip(expected) {
        assert!(line.contains(step) && line.ends_with(cause), "{line}\nis not `{step}: {cause}`");
    }
}

for_everybody! {
    fn a_step_that_ran_again_names_what_changed(sandbox) {
        sandbox.file("src/a.c", "a").file("src/b.c", "b").dockerfile(TWO_STAGES);
        sandbox.build(&[]);
        explained(sandbox, &[], &[]);
        let run = "RUN echo $VERSION; cat src/* > /out";
        // The stage makes the same, so that what copies from it is found.
        explained(sandbox, &["--build-arg", "VERSION=1.2"], &[(run, "ARG VERSION 1.1 -> 1.2")]);
        sandbox.dockerfile(&TWO_STAGES.replace("cat /out > /copy", "cp /out /copy"));
        let cause = "the command changed: \"cat /out > /copy\" -> \"cp /out /copy\"";
        explained(sandbox, &["--build-arg", "VERSION=1.2"], &[("RUN cp", cause)]);
        sandbox.file("src/a.c", "another a");
        explained(sandbox, &["--build-arg", "VERSION=1.2"], &[
            ("COPY src src", "src/a.c"),
            (run, "because [builder 2/3] ran again"),
            ("COPY --from=builder /out /out", "out changed"),
            ("RUN cp", "because [stage-1 2/3] ran again"),
        ]);
        let why = sandbox.lathe(&["why-not-cached"]).success();
        assert!(why.stdout.contains("because [builder 2/3] ran again"), "{}", why.stdout);
    }

    fn a_dry_run_runs_nothing_and_tells_what_would_run(sandbox) {
        sandbox.file("src/a.c", "a").dockerfile(TWO_STAGES);
        let dry = sandbox.try_build(&["--dry-run"]);
        assert_eq!(dry.code, 3, "{}", dry.stderr);
        assert!(sandbox.lathe(&["builder", "history", "-q"]).success().stdout.is_empty());
        sandbox.build(&[]);
        assert_eq!(sandbox.try_build(&["--dry-run"]).code, 0);
        sandbox.file("src/a.c", "another a");
        for _ in 0..2 {
            let dry = sandbox.try_build(&["--dry-run"]).failure(3);
            let lines: Vec<&str> = dry.stdout.lines().collect();
            let count = |word: &str| lines.iter().filter(|line| line.starts_with(word)).count();
            assert_eq!((count("WOULD RUN"), count("MAY RUN")), (2, 2), "{}", dry.stdout);
            // The second dry run still knows which file it was, and so does the build after it.
            assert!(dry.stdout.contains("src/a.c"), "{}", dry.stdout);
        }
        let built = sandbox.try_build(&["--explain"]).success();
        assert!(built.stdout.contains("src/a.c"), "{}", built.stdout);
    }

    fn all_that_a_step_prints_is_kept_also_of_one_that_fails(sandbox) {
        sandbox.dockerfile("FROM busybox\nRUN seq 1 200000\nRUN seq 1 30000 >&2; exit 7\n");
        sandbox.try_build(&["-q"]).failure(1);
        let numbers = |last: u32| {
            let lines: Vec<String> = (1..=last).map(|n| format!("{n}\n")).collect();
            lines.concat()
        };
        let log = |step: &str| sandbox.lathe(&["builder", "logs", "^0", step]).success().stdout;
        assert!(log("2") == numbers(200_000), "the log of the first step is whole");
        assert!(log("seq 1 30000") == numbers(30_000), "the log of the second step is whole");
        let history = sandbox.lathe(&["builder", "history"]).success();
        assert!(history.stdout.contains("Error"), "{}", history.stdout);
        // What failed has no result to be found; what was done before has.
        sandbox.dockerfile("FROM busybox\nRUN seq 1 200000\nRUN seq 1 30000 >&2; exit 0\n");
        explained(sandbox, &[], &[("exit 0", "exit 0\"")]);
    }

    fn builds_at_once_run_a_step_once(sandbox) {
        sandbox.dockerfile(
            "FROM busybox\n\
             RUN --mount=type=cache,target=/c echo begun; echo ran >> /c/ran; sleep 1\n\
             RUN --mount=type=cache,target=/c cp /c/ran /ran; echo ran >> /c/ran\n",
        );
        let mut first = Build::start(sandbox);
        first.until(" begun");
        let others = [(); 3].map(|()| Build::start(sandbox));
        let outputs = [first].into_iter().chain(others).map(Build::end).collect::<Vec<_>>();
        let cached = |text: &&String| text.contains("\n#3 CACHED");
        assert_eq!(outputs.iter().filter(cached).count(), 3, "{outputs:#?}");
        assert_eq!(sandbox.build(&[]).image.text("/ran"), "ran\n");
    }
}

/// A build that goes on beside this process.
struct Build {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    said: String,
}

impl Build {
    fn start(sandbox: &Sandbox) -> Self {
        let mut command = sandbox.command(&["build", "--progress", "plain", "context"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        Self { child, lines, said: String::new() }
    }

    /// Reads until a line ends with a text.
    fn until(&mut self, text: &str) {
        for line in self.lines.by_ref() {
            let line = line.expect("text");
            self.said.push_str(&line);
            self.said.push('\n');
            if line.ends_with(text) {
                return;
            }
        }
        panic!("`{text}` was not said:\n{}", self.said);
    }

    fn interrupt(&self) {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-INT", &id]).status().expect("kill is there");
    }

    /// Returns all that a successful build said.
    fn end(mut self) -> String {
        let rest: Vec<String> = self.lines.by_ref().map_while(Result::ok).collect();
        self.said.push_str(&rest.join("\n"));
        assert!(self.child.wait().expect("it ends").success(), "{}", self.said);
        self.said
    }
}

#[test]
fn a_build_that_waits_for_another_one_can_be_interrupted() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile("FROM busybox\nRUN echo begun; sleep 1000\n");
    let mut first = Build::start(&sandbox);
    first.until(" begun");
    let mut second = Build::start(&sandbox);
    second.until("sleep 1000");
    second.interrupt();
    assert_eq!(second.child.wait().expect("it ends").code(), Some(130));
    assert!(first.child.try_wait().expect("it can be asked").is_none(), "the first one goes on");
    first.interrupt();
    assert_eq!(first.child.wait().expect("it ends").code(), Some(130));
    let history = sandbox.lathe(&["builder", "history"]).success();
    assert_eq!(history.stdout.matches("Canceled").count(), 2, "{}", history.stdout);
    sandbox.lathe(&["system", "check"]).success();
}

#[test]
fn equal_work_of_two_stages_is_done_once() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile(
        "FROM busybox AS a\n\
         RUN echo same > /f\n\
         FROM busybox AS b\n\
         RUN printf 'same\\n' > /f\n\
         FROM busybox AS one\n\
         COPY --from=a /f /f\n\
         RUN --mount=type=cache,target=/c echo ran >> /c/ran\n\
         FROM busybox AS two\n\
         COPY --from=b /f /f\n\
         RUN --mount=type=cache,target=/c echo ran >> /c/ran\n\
         FROM busybox\n\
         COPY --from=one /f /1\n\
         COPY --from=two /f /2\n\
         RUN --mount=type=cache,target=/c cp /c/ran /ran\n",
    );
    let trace = sandbox.trace(&[]).success();
    assert_eq!(trace.ran().iter().filter(|step| step.contains("echo ran")).count(), 1);
    assert_eq!(sandbox.build(&[]).image.text("/ran"), "ran\n");
}

#[test]
fn old_builds_are_forgotten_with_their_logs() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile("FROM busybox\nRUN echo said\nARG N\nWORKDIR /$N\n");
    let logs = || fs::read_dir(sandbox.store().join("builds")).expect("a folder of logs").count();
    for number in 0..104 {
        sandbox.try_build(&["-q", "--build-arg", &format!("N={number}")]).success();
        assert_eq!(logs(), usize::from(number < 100), "only the first one printed something");
    }
    let listed = sandbox.lathe(&["builder", "history", "-q"]).success();
    assert_eq!(listed.stdout.lines().count(), 100);
}
