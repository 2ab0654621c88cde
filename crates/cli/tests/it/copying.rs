//! COPY and ADD: what goes where, with which permissions, and what is refused.

use lathe_testkit::{
    fixture::{Entry, archive, gzip},
    image::{Image, Kind, names},
    sandbox::Sandbox,
};

use crate::sandbox;

/// Builds `FROM busybox` and these lines.
#[track_caller]
fn build(sandbox: &Sandbox, lines: &str) -> Image {
    sandbox.dockerfile(&format!("FROM busybox\n{lines}\n")).build(&[]).image
}

/// Returns the files of the topmost layer, without folders.
fn copied(image: &Image) -> Vec<String> {
    let layer = image.layers.last().expect("a layer");
    let files = layer.iter().filter(|(_, node)| node.kind != Kind::Directory);
    files.map(|(path, _)| path.clone()).collect()
}

#[test]
fn destinations_are_files_or_folders() {
    let Some(sandbox) = sandbox() else { return };
    sandbox
        .file("a.txt", "a")
        .file("b.txt", "b")
        .file("c.md", "c")
        .file("d/x", "x")
        .file("d/e/y", "y");
    let check = |line: &str, expected: &[&str]| {
        assert_eq!(copied(&build(&sandbox, line)), expected, "{line}");
    };
    check("COPY a.txt /t", &["/t"]);
    check("COPY a.txt /t/", &["/t/a.txt"]);
    check("COPY a.txt /tmp", &["/tmp/a.txt"]);
    check("COPY a.txt b.txt /t/", &["/t/a.txt", "/t/b.txt"]);
    check("COPY *.txt /t/", &["/t/a.txt", "/t/b.txt"]);
    check("COPY ?.md /t/", &["/t/c.md"]);
    check("COPY [ab].txt /t/", &["/t/a.txt", "/t/b.txt"]);
    check("COPY d /t", &["/t/e/y", "/t/x"]);
    check("COPY d /t/", &["/t/e/y", "/t/x"]);
    check("COPY d/* /t/", &["/t/x", "/t/y"]);
    check("COPY d/ a.txt /t/", &["/t/a.txt", "/t/e/y", "/t/x"]);
    check("COPY [\"a.txt\", \"/with space/\"]", &["/with space/a.txt"]);
    check("WORKDIR /w\nCOPY a.txt .", &["/w/a.txt"]);
    check("WORKDIR /w\nCOPY a.txt ./deep/er/", &["/w/deep/er/a.txt"]);
    check("WORKDIR /w\nCOPY a.txt ../up", &["/up"]);
    check("ENV T=/t\nCOPY a.txt $T/${T}x", &["/t/tx"]);
    check("COPY /a.txt ../b.txt /t/", &["/t/a.txt", "/t/b.txt"]);
    check("ADD a.txt d /t/", &["/t/a.txt", "/t/e/y", "/t/x"]);
}

#[test]
fn wildcards_without_a_match_are_no_error() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("package.json", "{}");
    let image = build(&sandbox, "COPY package.json yarn.lock* /t/");
    assert_eq!(copied(&image), ["/t/package.json"]);
}

#[test]
fn a_missing_path_names_the_near_one() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("source/index.js", "").file("package.json", "{}");
    sandbox.dockerfile("FROM busybox\nCOPY sorce/index.js /\n");
    let output = sandbox.try_build(&[]).failure(1);
    output.says("sorce/index.js").says("Dockerfile:2").says("COPY sorce/index.js /");
    sandbox.dockerfile("FROM busybox\nCOPY package.jsn /\n");
    sandbox.try_build(&[]).failure(1).says("did you mean").says("package.json");
}

#[test]
fn a_missing_path_of_a_stage_names_the_stage_and_the_near_paths() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile(
        "FROM busybox AS builder\nRUN mkdir -p /app/build && touch /app/build/index.html\n\
         FROM busybox\nCOPY --from=builder /app/biuld /html\n",
    );
    let output = sandbox.try_build(&[]).failure(1);
    let output = output.says("Dockerfile:4").says("builder").says("/app/biuld");
    output.says("did you mean").says("/app/build");
}

#[test]
fn owners_and_permissions_are_as_asked() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("f", "f").mode("f", 0o640).file("d/g", "g").mode("d/g", 0o755).mode("d", 0o700);
    sandbox.dir("d/inner").mode("d/inner", 0o710);
    let check = |line: &str, path: &str, owner: (u64, u64), mode: u32| {
        let node = build(&sandbox, line).node(path);
        assert_eq!((node.owner, node.mode), (owner, mode), "{line}");
    };
    check("COPY f /f", "/f", (0, 0), 0o640);
    check("USER ann\nCOPY f /f", "/f", (0, 0), 0o640);
    check("COPY --chown=ann f /f", "/f", (1000, 1001), 0o640);
    check("COPY --chown=ann:extra f /f", "/f", (1000, 2002), 0o640);
    check("COPY --chown=:staff f /f", "/f", (0, 1001), 0o640);
    check("COPY --chown=12 f /f", "/f", (12, 12), 0o640);
    check("COPY --chown=12:34 f /new/f", "/new", (12, 34), 0o755);
    check("COPY --chmod=600 f /f", "/f", (0, 0), 0o600);
    check("COPY --chmod=4755 f /f", "/f", (0, 0), 0o4755);
    check("COPY --chmod=u=rwX,go=rX d /d", "/d/g", (0, 0), 0o755);
    check("COPY --chmod=644 d /d", "/d/g", (0, 0), 0o644);
    // As in docker, the copied folder itself is a new one, and those in it keep what they have.
    check("COPY d /d", "/d", (0, 0), 0o755);
    check("COPY d /d", "/d/inner", (0, 0), 0o710);
    check("COPY d /d", "/d/g", (0, 0), 0o755);
    check("COPY d /deep/er", "/deep", (0, 0), 0o755);
    check("ARG O=ann\nADD --chown=$O --chmod=0400 f /f", "/f", (1000, 1001), 0o400);
    sandbox.dockerfile("FROM busybox\nCOPY --chown=nobody-knows f /f\n");
    sandbox.try_build(&[]).failure(1).says("nobody-knows").says("Dockerfile:2");
}

#[test]
fn folders_merge_and_files_are_replaced() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("one/a", "1").file("one/s/b", "1").file("two/a", "2").file("two/s/c", "2");
    let image = build(&sandbox, "COPY one /t\nCOPY two /t");
    assert_eq!(image.text("/t/a"), "2");
    assert_eq!(image.text("/t/s/b"), "1");
    assert_eq!(image.text("/t/s/c"), "2");
    assert!(!image.top_layer().contains(&"/t/s/b".to_owned()));
}

#[test]
fn a_folder_does_not_replace_a_file() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("one/x", "1").file("two/x/y", "2");
    sandbox.dockerfile("FROM busybox\nCOPY one /t\nCOPY two /t\n");
    sandbox.try_build(&[]).failure(1).says("Dockerfile:3").says("t/x");
}

#[test]
fn links_are_kept_as_links() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("d/real", "content").symlink("d/link", "real").symlink("top", "d/real");
    sandbox.symlink("d/dangling", "/nowhere").symlink("folder", "d");
    std::fs::hard_link(sandbox.context().join("d/real"), sandbox.context().join("d/twin"))
        .expect("own files can be linked");
    let image = build(&sandbox, "COPY d /d\nCOPY top /top\nCOPY folder /folder");
    assert_eq!(image.node("/d/link").link.as_deref(), Some("real"));
    assert_eq!(image.node("/d/dangling").link.as_deref(), Some("/nowhere"));
    assert_eq!(image.text("/d/twin"), "content");
    // The source itself is followed, as docker does.
    assert_eq!((image.node("/top").kind, image.text("/top")), (Kind::File, "content".to_owned()));
    assert_eq!(image.node("/folder/link").link.as_deref(), Some("real"));
    let inner = &image.layers[image.layers.len() - 3];
    let linked = ["/d/real", "/d/twin"].map(|path| inner[path].link.is_some());
    assert!(linked[0] != linked[1], "one is a link to the other: {linked:?}");
}

#[test]
fn links_in_the_destination_are_followed() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("f", "f");
    let image =
        build(&sandbox, "RUN mkdir /real && ln -s /real /alias\nCOPY f /alias/\nCOPY f /alias/x/");
    assert_eq!(image.text("/real/f"), "f");
    assert_eq!(image.text("/real/x/f"), "f");
    assert_eq!(image.node("/alias").kind, Kind::Symlink);
}

#[test]
fn ignored_files_are_not_there() {
    let Some(sandbox) = sandbox() else { return };
    sandbox
        .file(
            ".dockerignore",
            "# comment\n*.md\n!README.md\nnode_modules\n**/*.log\n/dist/\n!dist/keep\n.git\n",
        )
        .file("README.md", "r")
        .file("NOTES.md", "n")
        .file("sub/OTHER.md", "o")
        .file("node_modules/x/y", "")
        .file("sub/node_modules/z", "")
        .file("a.log", "")
        .file("sub/b.log", "")
        .file("dist/drop", "")
        .file("dist/keep", "k")
        .file(".git/config", "");
    let image = build(&sandbox, "COPY . /t");
    let expected = [
        "/t/.dockerignore",
        "/t/Dockerfile",
        "/t/README.md",
        "/t/dist/keep",
        "/t/sub/OTHER.md",
        "/t/sub/node_modules/z",
    ];
    assert_eq!(copied(&image), expected);
    sandbox.dockerfile("FROM busybox\nCOPY NOTES.md /\n");
    sandbox.try_build(&[]).failure(1).says("NOTES.md").says("Dockerfile:2").says("ignore");
    sandbox.file("Dockerfile.dockerignore", "*\n!NOTES.md\n");
    assert_eq!(copied(&build(&sandbox, "COPY . /t")), ["/t/NOTES.md"]);
}

#[test]
fn an_ignored_dockerfile_still_builds() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file(".dockerignore", "Dockerfile\n.dockerignore\n").file("f", "f");
    assert_eq!(copied(&build(&sandbox, "COPY . /t")), ["/t/f"]);
}

#[test]
fn add_unpacks_archives_and_copy_does_not() {
    let Some(sandbox) = sandbox() else { return };
    let tar = archive(&[
        Entry::dir("pkg"),
        Entry::file("pkg/f", "f").mode(0o750).owner(7, 8),
        Entry::symlink("pkg/l", "f"),
        // As tar writes them: with the mode and owner of what they link to.
        Entry::hard_link("pkg/h", "pkg/f").mode(0o750).owner(7, 8),
    ]);
    sandbox.file("a.tar", &tar).file("a.tgz", gzip(&tar)).file("not.tar", "only text");
    for name in ["a.tar", "a.tgz"] {
        let image = build(&sandbox, &format!("ADD {name} /t/"));
        assert_eq!(copied(&image), ["/t/pkg/f", "/t/pkg/h", "/t/pkg/l"], "{name}");
        assert_eq!((image.node("/t/pkg/f").mode, image.node("/t/pkg/f").owner), (0o750, (7, 8)));
        assert_eq!(image.text("/t/pkg/h"), "f");
    }
    let image = build(&sandbox, "ADD --chown=5:6 a.tar /t/");
    assert_eq!(image.node("/t/pkg/f").owner, (5, 6));
    assert_eq!(copied(&build(&sandbox, "COPY a.tar /t/")), ["/t/a.tar"]);
    assert_eq!(copied(&build(&sandbox, "ADD not.tar /t/")), ["/t/not.tar"]);
}

#[test]
fn heredocs_become_files() {
    let Some(sandbox) = sandbox() else { return };
    let image = build(
        &sandbox,
        "ENV NAME=value\nCOPY <<one <<'two' /t/\nis $NAME\none\nis $NAME\ntwo\nCOPY --chmod=755 <<-x /script\n\t#!/bin/sh\n\techo hi\nx",
    );
    assert_eq!(image.text("/t/one"), "is value\n");
    assert_eq!(image.text("/t/two"), "is $NAME\n");
    assert_eq!(image.text("/script"), "#!/bin/sh\necho hi\n");
    assert_eq!((image.node("/t/one").mode, image.node("/script").mode), (0o644, 0o755));
}

#[test]
fn an_excluded_or_parented_copy() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("d/a.js", "").file("d/a.test.js", "").file("d/e/b.js", "");
    let image = build(&sandbox, "COPY --exclude=**/*.test.js d /t");
    assert_eq!(copied(&image), ["/t/a.js", "/t/e/b.js"]);
    let image = build(&sandbox, "COPY --parents d/e/b.js /t/");
    assert_eq!(copied(&image), ["/t/d/e/b.js"]);
    let image = build(&sandbox, "COPY --parents ./d/./e d/*.js /t/");
    assert_eq!(copied(&image), ["/t/d/a.js", "/t/d/a.test.js", "/t/e/b.js"]);
}

#[test]
fn only_folders_that_are_new_are_in_the_layer() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("f", "f");
    let image = build(&sandbox, "RUN mkdir -p /a/b\nCOPY f /a/b/c/f");
    let top = names(image.layers.last().expect("a layer"));
    assert!(top.contains(&"/a/b/c/f".to_owned()) && top.contains(&"/a/b/c".to_owned()), "{top:?}");
    assert!(!top.iter().any(|path| path.starts_with("/bin")), "{top:?}");
}
