//! Why steps run, what would run, and what they said.

use std::fs;

use lathe_testkit::{fixture::ImageFixture, registry::FakeRegistry, sandbox::Sandbox};

use crate::sandbox;

const FILE: &str = "FROM busybox\nARG VERSION=1.1\nCOPY src /src\nCOPY package.json /\nRUN echo $VERSION > /made\n";

/// The lines of `--explain`, or of a dry run, by what they begin with.
#[track_caller]
fn lines(sandbox: &Sandbox, arguments: &[&str], code: i32) -> Vec<String> {
    let output = sandbox.try_build(arguments).failure(code);
    output
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[track_caller]
fn has(lines: &[String], wanted: &str) {
    assert!(lines.iter().any(|line| line.contains(wanted)), "no {wanted:?} in {lines:#?}");
}

fn project(sandbox: &Sandbox) {
    sandbox.file("src/a", "1").file("src/b", "2").file("package.json", "{}").dockerfile(FILE);
}

for_everybody! {
    fn what_changed_is_named(sandbox) {
        project(sandbox);
        lines(sandbox, &["--explain"], 0);
        let all = lines(sandbox, &["--explain"], 0);
        assert!(all.iter().all(|line| !line.starts_with("RAN")), "{all:?}");
        has(&all, "HIT [4/4] RUN echo $VERSION");
        sandbox.file("package.json", "{ }");
        let changed = lines(sandbox, &["--explain"], 0);
        has(&changed, "HIT [2/4] COPY src /src");
        has(&changed, "RAN [3/4] COPY package.json /: package.json changed");
        has(&changed, "RAN [4/4] RUN echo $VERSION > /made: because [3/4] ran again");
        sandbox.file("src/a", "3");
        has(&lines(sandbox, &["--explain"], 0), "COPY src /src: ");
        has(&lines(sandbox, &["--explain", "--build-arg", "VERSION=1.2"], 0), "RUN echo $VERSION > /made: ARG VERSION 1.1 -> 1.2");
        sandbox.dockerfile(&FILE.replace("/made", "/other"));
        let all = lines(sandbox, &["--explain"], 0);
        has(&all, "the command changed: \"echo $VERSION > /made\" -> \"echo $VERSION > /other\"");
        has(&lines(sandbox, &["--explain", "--no-cache"], 0), "RAN [2/4] COPY src /src: --no-cache");
    }

    fn a_dry_run_says_it_and_does_nothing(sandbox) {
        project(sandbox);
        sandbox.lathe(&["pull", "-q", "busybox"]).success();
        let state = || {
            let list = |arguments: &[&str]| sandbox.lathe(arguments).success().stdout;
            (list(&["images", "-a", "--no-trunc", "-q"]), list(&["builder", "history", "-q"]), snapshots(sandbox), blobs(sandbox))
        };
        let before = state();
        let would = lines(sandbox, &["--dry-run"], 3);
        has(&would, "WOULD RUN [2/4] COPY src /src");
        has(&would, "be run");
        assert_eq!(state(), before, "a dry run leaves the store as it was");
        lines(sandbox, &[], 0);
        let before = state();
        has(&lines(sandbox, &["--dry-run"], 0), "nothing would be run");
        sandbox.file("package.json", "{ }");
        let would = lines(sandbox, &["--dry-run"], 3);
        has(&would, "HIT [2/4] COPY src /src");
        has(&would, "WOULD RUN [3/4] COPY package.json /: package.json changed");
        assert!(would.last().is_some_and(|line| line.contains("be run")), "{would:?}");
        assert_eq!(state(), before);
        assert_eq!(sandbox.try_build(&["-q", "--dry-run"]).failure(3).stdout, "");
    }
}

fn snapshots(sandbox: &Sandbox) -> usize {
    fs::read_dir(sandbox.store().join("snapshots")).map_or(0, Iterator::count)
}

fn blobs(sandbox: &Sandbox) -> usize {
    fs::read_dir(sandbox.store().join("blobs/sha256")).map_or(0, Iterator::count)
}

#[test]
fn a_base_that_moved_is_told() {
    let Some(sandbox) = sandbox() else { return };
    let registry = FakeRegistry::start();
    let busybox = ImageFixture::busybox().expect("readable").expect("there is a sandbox");
    busybox.clone().put(&registry, "base", "1");
    let name = format!("{}/base:1", registry.host());
    sandbox.dockerfile(&format!("FROM {name}\nRUN echo 1 > /1\n"));
    sandbox.build(&[]);
    let moved = busybox.with("Labels", serde_json::json!({"moved": "yes"}));
    let moved =
        moved.layer(&[lathe_testkit::fixture::Entry::file("new", "x")]).put(&registry, "base", "1");
    let all = lines(&sandbox, &["--explain", "--pull"], 0);
    has(&all, &format!("base image {name} moved to {moved}"));
}

for_everybody! {
    fn the_last_build_can_be_asked_later(sandbox) {
        project(sandbox);
        sandbox.lathe(&["why-not-cached"]).failure(1).says("no build is remembered");
        sandbox.build(&["-t", "app:1"]);
        sandbox.file("package.json", "{ }");
        sandbox.build(&["-t", "app:1"]);
        let why = sandbox.lathe(&["why-not-cached"]).success().stdout;
        assert!(why.contains("of app:1: compared with ") && why.contains("package.json changed"), "{why}");
        let first = sandbox.lathe(&["why-not-cached", "^1"]).success().stdout;
        assert!(!first.contains("package.json changed"), "{first}");
        let ids = sandbox.lathe(&["builder", "history", "-q"]).success().stdout;
        let ids: Vec<&str> = ids.lines().collect();
        assert_eq!(ids.len(), 2);
        let by_id = sandbox.lathe(&["why-not-cached", ids[0]]).success().stdout;
        assert_eq!(by_id, why);
        let format = "{{range .Steps}}{{.Status}} {{end}}";
        let words = sandbox.lathe(&["why-not-cached", "--format", format]).success().stdout;
        assert!(words.contains("HIT") && words.contains("RAN"), "{words}");
        sandbox.lathe(&["why-not-cached", "nosuchbuild"]).failure(1).says("nosuchbuild");
        let history = sandbox.lathe(&["builder", "history"]).success().stdout;
        assert!(history.starts_with("BUILD ID") && history.contains("app:1") && history.contains("Completed"), "{history}");
    }
}

#[test]
fn all_that_a_step_printed_is_kept() {
    let Some(sandbox) = sandbox() else { return };
    let much = "yes 0123456789abcdef | head -c 5242880; printf 'the end without a newline'";
    sandbox.dockerfile(&format!(
        "FROM busybox\nRUN {much}\nRUN true\nRUN echo other; echo error >&2\n"
    ));
    let output = sandbox.try_build(&["--progress", "plain"]).success();
    let shown = output.stderr.lines().filter(|line| line.ends_with("0123456789abcdef")).count();
    assert_eq!(shown, 5_242_880 / 17, "nothing is clipped on the way to the user either");
    let list = sandbox.lathe(&["builder", "logs"]).success().stdout;
    let rows: Vec<&str> = list.lines().skip(1).collect();
    assert_eq!(rows.len(), 2, "steps that printed something: {list}");
    assert!(rows[0].contains("5.243MB") && rows[0].contains("yes 0123"), "{list}");
    let log = sandbox.lathe(&["builder", "logs", "^0", "yes 0123"]).success().stdout;
    assert_eq!(log.len(), 5_242_880 + "the end without a newline".len());
    assert!(log.ends_with("the end without a newline"));
    let number = rows[1].split_whitespace().next().expect("a number");
    let log = sandbox.lathe(&["builder", "logs", "^0", number]).success().stdout;
    assert!(log.contains("other\n") && log.contains("error\n"), "{log:?}");
    sandbox.lathe(&["builder", "logs", "^0", "99"]).failure(1).says("no step `99`");
    // A build that fails is remembered as well.
    sandbox.dockerfile("FROM busybox\nRUN echo last words; false\n");
    sandbox.try_build(&[]).failure(1);
    let log = sandbox.lathe(&["builder", "logs", "^0", "last words"]).success().stdout;
    assert_eq!(log, "last words\n");
    let history =
        sandbox.lathe(&["builder", "history", "--format", "{{.Status}}"]).success().stdout;
    assert_eq!(history, "Error\nCompleted\n");
}
