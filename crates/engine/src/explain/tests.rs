//! Causes of builds that differ in one thing.

use super::*;
use crate::record::Ending;

/// A step with `(part, value)` pairs; its key is made of them.
fn step(name: &str, fate: Fate, inputs: &[usize], parts: &[(&str, &str)]) -> Step {
    let parts: Vec<_> = parts.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    Step {
        name: name.to_owned(),
        stage: "builder".to_owned(),
        fate,
        inputs: inputs.to_vec(),
        key: Some(format!("{parts:?}")),
        parts,
        line: Some(1),
        ..Step::default()
    }
}

fn build(steps: Vec<Step>) -> Build {
    Build { steps, arguments: vec!["VERSION".to_owned()], ..Build::default() }
}

/// Returns the texts of the causes; empty where there is none.
fn told(old: &Build, new: &Build) -> Vec<String> {
    let causes = causes(Some(old), new, &|_| None);
    causes.into_iter().map(|cause| cause.map_or_else(String::new, |c| c.to_string())).collect()
}

/// Compares two builds of one `RUN` whose parts are given.
fn check(old: &[(&str, &str)], new: &[(&str, &str)], expected: &str) {
    let old = build(vec![step("[builder 2/2] RUN a", Fate::Ran, &[], old)]);
    let new = build(vec![step("[builder 2/2] RUN a", Fate::Ran, &[], new)]);
    assert_eq!(told(&old, &new), [expected]);
}

#[test]
fn the_first_part_that_differs_is_told_with_both_values() {
    check(
        &[("op", "exec"), ("command", r#"["/bin/sh", "-c", "npm i"]"#)],
        &[("op", "exec"), ("command", r#"["/bin/sh", "-c", "npm ci"]"#)],
        r#"the command changed: "npm i" -> "npm ci""#,
    );
    check(
        &[("variable VERSION", "1.1"), ("user", "a")],
        &[("variable VERSION", "1.2"), ("user", "b")],
        "ARG VERSION 1.1 -> 1.2",
    );
    check(&[("variable PATH", "/a")], &[("variable PATH", "/b")], "ENV PATH /a -> /b");
    check(&[("user", "")], &[("user", ""), ("variable A", "1")], "ENV A=1 is new");
    check(&[("variable VERSION", "1"), ("user", "")], &[("user", "")], "ARG VERSION is gone");
    check(
        &[("owner", "None")],
        &[("owner", r#"Some("node")"#)],
        "the owner changed: nothing -> node",
    );
    check(&[("file package.json", "1")], &[("file package.json", "2")], "package.json changed");
    check(&[("file .", "1")], &[("file .", "2")], "files changed");
    check(&[("file a", "1")], &[("file a", "1"), ("file b", "1")], "b is new");
    check(&[("file a", "1"), ("file b", "1")], &[("file a", "1")], "b is gone");
    check(&[("file a", "1")], &[("file a", "1")], "the cached result was pruned");
}

#[test]
fn long_commands_are_cut_to_where_they_differ() {
    let line = |end: &str| format!(r#"["/bin/sh", "-c", "{}{end}"]"#, "apt-get install ".repeat(9));
    check(
        &[("command", &line("curl"))],
        &[("command", &line("wget"))],
        r#"the command changed: "…all apt-get install curl" -> "…all apt-get install wget""#,
    );
}

#[test]
fn files_that_changed_are_named_where_they_are_known() {
    let old = build(vec![step("[builder 2/2] COPY src src", Fate::Ran, &[], &[("file src", "1")])]);
    let mut new = old.clone();
    new.steps[0].parts[0].1 = "2".to_owned();
    new.steps[0].changed = vec![("file src".to_owned(), vec!["src/a.c".to_owned()])];
    assert_eq!(told(&old, &new), ["src: 1 file changed: src/a.c"]);
    new.steps[0].changed[0].1.push("src/b.c".to_owned());
    assert_eq!(told(&old, &new), ["src: 2 files changed: src/a.c, src/b.c"]);
}

#[test]
fn only_the_root_cause_is_told_in_full() {
    let steps = |command: &str, key: &str, fate| {
        vec![
            step("[builder 1/3] FROM a", Fate::Hit, &[], &[("manifest", "1")]),
            step("[builder 2/3] RUN x", fate, &[0], &[("command", command), ("input 0", "f")]),
            step("[builder 3/3] RUN y", fate, &[1], &[("command", "y"), ("input 0", key)]),
            step("[1/1] COPY /out /", fate, &[2], &[("copy from", "0"), ("input 0", key)]),
        ]
    };
    let (old, new) = (build(steps("a", "k1", Fate::Ran)), build(steps("b", "k2", Fate::Ran)));
    let expected = [
        "",
        r#"the command changed: "a" -> "b""#,
        "because [builder 2/3] ran again",
        "because [builder 2/3] ran again",
    ];
    assert_eq!(told(&old, &new), expected);
    let dry = build(steps("b", "k2", Fate::WouldRun));
    assert_eq!(told(&old, &dry)[3], "because [builder 2/3] would run");
}

#[test]
fn a_step_whose_key_is_not_known_stands_on_one_that_would_run() {
    let old = build(vec![
        step("[1/2] COPY --from=a /b /", Fate::Hit, &[], &[("file b", "1")]),
        step("[2/2] RUN c", Fate::Hit, &[0], &[("command", "c"), ("input 0", "k")]),
    ]);
    let mut new = old.clone();
    (new.steps[0].fate, new.steps[1].fate) = (Fate::WouldRun, Fate::MayRun);
    new.steps[0].parts[0].1 = "2".to_owned();
    new.steps[1].parts.clear();
    assert_eq!(told(&old, &new), ["b changed", "because [1/2] would run"]);
}

#[test]
fn a_base_image_that_moved_or_is_another_one_is_named() {
    let base = |name: &str, image: &str, manifest: &str| {
        let mut step = step(name, Fate::Ran, &[], &[("op", "image"), ("manifest", manifest)]);
        step.image = Some(image.to_owned());
        build(vec![step])
    };
    let old = base("[1/1] FROM alpine", "alpine:latest", "sha256:1");
    let moved = base("[1/1] FROM alpine", "alpine:latest", "sha256:2");
    assert_eq!(told(&old, &moved), ["base image alpine:latest moved to sha256:2"]);
    let other = base("[1/1] FROM alpine:3", "alpine:3", "sha256:2");
    assert_eq!(told(&old, &other), ["the base image changed: alpine:latest -> alpine:3"]);
}

#[test]
fn a_step_found_without_looking_at_contents_is_compared_with_what_the_cache_recorded() {
    let old = build(vec![
        step("[a 1/1] RUN x", Fate::Hit, &[], &[("command", "x")]),
        step("[1/2] COPY --from=a /o /", Fate::Hit, &[0], &[("op", "file"), ("input 0", "k")]),
    ]);
    let mut new = old.clone();
    new.steps[0] = step("[a 1/1] RUN x", Fate::Ran, &[], &[("command", "y")]);
    new.steps[1].parts =
        vec![("op".to_owned(), "file".to_owned()), ("file /o".to_owned(), "2".to_owned())];
    (new.steps[1].fate, new.steps[1].key) = (Fate::Ran, Some("new".to_owned()));
    let recorded = |_: &str| {
        Some(vec![("op".to_owned(), "file".to_owned()), ("file /o".to_owned(), "1".to_owned())])
    };
    let told: Vec<_> = causes(Some(&old), &new, &recorded)
        .into_iter()
        .map(|cause| cause.unwrap().to_string())
        .collect();
    assert_eq!(told[1], "/o changed");
    // Without the record, the step that it copies from is named.
    let causes = causes(Some(&old), &new, &|_| None);
    assert_eq!(causes[1].as_ref().unwrap().to_string(), "because [a 1/1] ran again");
}

#[test]
fn steps_without_partner_and_builds_without_another_one() {
    let one = build(vec![step("[1/1] RUN a", Fate::Ran, &[], &[("command", "a")])]);
    let two = build(vec![
        one.steps[0].clone(),
        step("[2/2] WORKDIR /b", Fate::Ran, &[0], &[("make directory", "/b")]),
    ]);
    assert_eq!(causes(None, &one, &|_| None), [None]);
    let told = told(&one, &two);
    assert_eq!(told, ["the cached result was pruned", "because [1/1] ran again"]);
    let mut found = two.clone();
    found.steps[0].fate = Fate::Hit;
    assert_eq!(self::told(&one, &found), ["", "never built before"]);
}

#[test]
fn what_failed_before_has_no_result_and_no_cache_is_said() {
    let mut old = build(vec![step("[1/1] RUN a", Fate::Failed, &[], &[("command", "a")])]);
    old.ending = Ending::Failed("it did".to_owned());
    let mut new = build(vec![step("[1/1] RUN a", Fate::Ran, &[], &[("command", "a")])]);
    assert_eq!(told(&old, &new), ["it has no result of the build before"]);
    new.steps[0].ignored_cache = true;
    assert_eq!(told(&old, &new), ["--no-cache"]);
}
