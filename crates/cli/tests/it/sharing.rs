//! Files that several snapshots have in common: nobody can tell.
//!
//! A copy from a stage may be another name of the same file. So whatever a later step does to its
//! copy, the stage must stay as it was, which only a look at the stage's own files shows: an image
//! of it may have been packed before.

use std::{fs, os::unix::fs::MetadataExt as _};

use lathe_testkit::{
    image::{Kind, Node},
    sandbox::{Fate, Sandbox},
};

use crate::sandbox;

const BUILDER: &str = "FROM busybox AS builder\n\
    RUN mkdir -p /out/sub && cd /out && for f in append cut sed place mode owner time moved gone linked \
        swapped sub/deep; do echo $f as built > $f; touch -d @1000000000 $f; done; \
        ln -s append link; chmod 640 cut; chown 7:8 place; touch -d @1000000000 sub .\n";

/// All that a step can see of the files.
const REPORT: &str = "cd /out && find . | sort | while read f; do stat -c '%n %F %a %u:%g %s' $f; \
    [ ! -f $f ] || cat $f; [ -d $f -o -L $f ] || stat -c %Y $f; done";

/// Every way in which a process changes a file.
const CHANGES: &[&str] = &[
    "echo more >> append",
    ": > cut",
    "sed -i s/built/changed/ sed",
    "printf XX | dd of=place conv=notrunc bs=1 2> /dev/null",
    "chmod 4711 mode",
    "chown 99:99 owner",
    "touch -d @1 time",
    "mv moved away && echo new > moved",
    "rm gone",
    "ln linked again && echo more >> again",
    "echo x > other && mv other swapped",
    "echo more >> sub/deep && chmod 700 sub",
    "echo through the link >> link",
];

/// Returns what a builder has now, by a step of another build on it.
#[track_caller]
fn look(sandbox: &Sandbox, builder: &str) -> String {
    sandbox.file("Dockerfile.look", format!("{builder}RUN {REPORT} > /report\n"));
    let file = sandbox.context().join("Dockerfile.look").to_string_lossy().into_owned();
    let trace = sandbox.trace(&["-f", &file, "--no-cache-filter", "none"]).success();
    assert!(trace.ran().iter().all(|step| step.contains("/report")), "{:?}", trace.ran());
    sandbox.build(&["-f", &file]).image.text("/report")
}

/// Builds a Dockerfile whose final stage changes what it has copied, and looks at the builder.
#[track_caller]
fn check(sandbox: &Sandbox, copy: &str, folder: &str) {
    sandbox.dockerfile(BUILDER).build(&[]);
    let before = {
        let fresh = crate::sandbox().expect("there is one already");
        fresh.dockerfile(&format!("{BUILDER}RUN {REPORT} > /report\n")).build(&[]).image
    };
    let changes = CHANGES.join(" && ");
    sandbox.dockerfile(&format!(
        "{BUILDER}FROM busybox\n{copy}\nRUN cd {folder} && {changes}\nRUN cat {folder}/append > /seen\n"
    ));
    let image = sandbox.build(&["-t", "changed"]).image;
    let wanted = "append as built\nmore\nthrough the link\n";
    assert_eq!(image.text("/seen"), wanted, "{copy}");
    assert_eq!(image.text(&format!("{folder}/sub/deep")), "sub/deep as built\nmore\n");
    assert_eq!(image.node(&format!("{folder}/mode")).mode, 0o4711);
    assert_eq!(look(sandbox, BUILDER), before.text("/report"), "{copy}: the builder has changed");
    // A container may write to the files of its image as well.
    let run =
        "cd /out 2> /dev/null || cd /elsewhere; echo run >> append; chmod 777 mode; rm -r sub";
    sandbox.lathe(&["run", "--rm", "changed", "sh", "-c", run]).success();
    assert_eq!(
        look(sandbox, BUILDER),
        before.text("/report"),
        "{copy}: a container has changed it"
    );
}

for_everybody! {
    fn what_a_later_stage_does_to_its_copies_does_not_reach_the_builder(sandbox) {
        check(sandbox, "COPY --from=builder /out /out", "/out");
    }

    fn linked_copies_do_not_reach_the_builder_either(sandbox) {
        check(sandbox, "COPY --link --from=builder /out /elsewhere", "/elsewhere");
    }

    fn the_same_files_copied_twice_are_two(sandbox) {
        sandbox.dockerfile(&format!(
            "{BUILDER}FROM busybox\nCOPY --from=builder /out /one\nCOPY --from=builder /out /two\n\
             RUN echo more >> /one/append && chmod 600 /two/mode && rm /two/gone\n\
             RUN cat /two/append > /two-append && cat /one/gone > /one-gone && stat -c %a /one/mode > /one-mode\n"
        ));
        let image = sandbox.build(&[]).image;
        assert_eq!(image.text("/two-append"), "append as built\n");
        assert_eq!((image.text("/one-gone"), image.text("/one-mode")), ("gone as built\n".to_owned(), "644\n".to_owned()));
    }
}

/// The names of hard links in all layers of an image.
fn hard_links(layers: &[lathe_testkit::image::Tree]) -> Vec<String> {
    let is_link = |node: &Node| node.kind == Kind::File && node.link.is_some();
    let links = layers.iter().flatten().filter(|(_, node)| is_link(node));
    links.map(|(path, _)| path.clone()).collect()
}

/// One file of a builder comes into two folders of one layer on different ways.
const TWO_WAYS: &str = "FROM busybox AS builder\nRUN mkdir /out && echo same > /out/f\n\
    FROM busybox AS middle\nCOPY --from=builder /out/f /one/f\nCOPY --from=builder /out/f /two/g\n\
    FROM scratch\nCOPY --from=middle /one /two /all/\nCOPY --from=builder /out/f /out/f /again/\n";

#[test]
fn files_that_only_share_their_bytes_are_no_hard_links() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile(TWO_WAYS);
    let image = sandbox
        .build(&[
            "-o",
            "type=image",
            "-o",
            "type=local,dest=files",
            "-o",
            "type=tar,dest=files.tar",
        ])
        .image;
    assert_eq!(hard_links(&image.layers), Vec::<String>::new());
    let inode = |name: &str| fs::metadata(sandbox.path(name)).expect(name).ino();
    let inodes = ["files/all/f", "files/all/g", "files/again/f"].map(inode);
    assert!(inodes[0] != inodes[1] && inodes[1] != inodes[2], "{inodes:?}");
    let bytes = fs::read(sandbox.path("files.tar")).expect("the output is there");
    let types: Vec<u8> = bytes
        .chunks(512)
        .filter(|block| block[257..].starts_with(b"ustar"))
        .map(|block| block[156])
        .collect();
    assert!(types.len() >= 4 && !types.contains(&b'1'), "{types:?}");
    for path in ["/all/f", "/all/g", "/again/f"] {
        assert_eq!(image.text(path), "same\n");
    }
}

#[test]
fn the_outputs_do_not_share_with_the_store() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile(TWO_WAYS);
    sandbox.lathe(&["build", "-o", "files", "context"]).success();
    fs::write(sandbox.path("files/all/f"), "changed outside").expect("the output is the user's");
    sandbox.lathe(&["build", "-o", "again", "context"]).success();
    assert_eq!(fs::read(sandbox.path("again/all/f")).expect("it is there"), b"same\n");
}

#[test]
fn hard_links_of_one_layer_stay_hard_links() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile(
        "FROM busybox AS builder\nRUN mkdir /out && echo x > /out/a && ln /out/a /out/b && ln /out/a /out/c\n\
         FROM scratch\nCOPY --from=builder /out /out\n",
    );
    let first = sandbox.build(&["--target", "builder"]).image;
    assert_eq!(hard_links(&first.layers[first.layers.len() - 1..]).len(), 2);
    let image = sandbox.build(&[]).image;
    for path in ["/out/a", "/out/b", "/out/c"] {
        assert_eq!(image.text(path), "x\n");
    }
}

#[test]
fn what_is_shared_makes_the_same_layers_as_what_is_not() {
    let (Some(one), Some(two)) = (sandbox(), sandbox()) else { return };
    let epoch = [("SOURCE_DATE_EPOCH", "1700000000")];
    // In the first store all is built in one go; in the second each stage by itself, and the
    // middle again without what was cached.
    let shared = one.dockerfile(TWO_WAYS).build_with(&epoch, &[]).image;
    two.dockerfile(TWO_WAYS);
    two.build_with(&epoch, &["--target", "builder"]);
    two.build_with(&epoch, &["--target", "middle"]);
    two.build_with(&epoch, &["--target", "middle", "--no-cache-filter", "middle"]);
    two.lathe(&["system", "prune", "-f"]).success();
    let apart = two.build_with(&epoch, &["--no-cache"]).image;
    let bare = |image: &lathe_testkit::image::Image| -> Vec<Vec<String>> {
        image.layers.iter().map(lathe_testkit::image::names).collect()
    };
    assert_eq!(bare(&shared), bare(&apart));
    assert_eq!(hard_links(&apart.layers), Vec::<String>::new());
}

for_everybody! {
    fn a_linked_copy_is_rebased(sandbox) {
        let dockerfile = |base: &str| format!(
            "FROM busybox AS builder\nRUN mkdir /out && echo made > /out/f\n\
             FROM busybox\nRUN mkdir -p /app && echo {base} > /app/base\n\
             COPY --link --from=builder /out /app\nCOPY --link f /app/context\nRUN cat /app/* > /all\n"
        );
        sandbox.file("f", "context\n").dockerfile(&dockerfile("old"));
        assert_eq!(sandbox.build(&[]).image.text("/all"), "old\ncontext\nmade\n");
        sandbox.dockerfile(&dockerfile("new"));
        let trace = sandbox.trace(&[]).success();
        let copied: Vec<&str> = trace.ran().into_iter().filter(|step| step.starts_with("COPY --link")).collect();
        // Merging is work of its own, if next to none; the copying itself is not done again.
        assert!(trace.with(Fate::Cached).iter().any(|step| step.contains("RUN mkdir /out")), "{:?} {copied:?}", trace.steps);
        let image = sandbox.build(&[]).image;
        assert_eq!(image.text("/all"), "new\ncontext\nmade\n");
        assert_eq!(image.text("/app/base"), "new\n");
    }

    fn a_copy_lands_the_same_way_on_another_base(sandbox) {
        let dockerfile = |base: &str| format!(
            "FROM busybox\nRUN echo {base} > /base\nCOPY src /app/src\nRUN echo more >> /app/src/a && cat /app/src/a /base > /all\n"
        );
        sandbox.file("src/a", "a\n").file("src/b", "b\n").dockerfile(&dockerfile("one"));
        assert_eq!(sandbox.build(&["-t", "one"]).image.text("/all"), "a\nmore\none\n");
        sandbox.dockerfile(&dockerfile("two"));
        let two = sandbox.build(&["-t", "two"]).image;
        assert_eq!((two.text("/all"), two.text("/app/src/b")), ("a\nmore\ntwo\n".to_owned(), "b\n".to_owned()));
        // The owner of what both have may go; the other one keeps it.
        sandbox.lathe(&["rmi", "-f", "one"]).success();
        sandbox.lathe(&["builder", "prune", "-a", "-f"]).success();
        let read = |name: &str| sandbox.lathe(&["run", "--rm", "two", "cat", name]).success().stdout;
        assert_eq!((read("/app/src/a"), read("/app/src/b"), read("/base")), ("a\nmore\n".to_owned(), "b\n".to_owned(), "two\n".to_owned()));
    }
}

#[test]
fn a_copy_onto_what_the_base_has_is_as_the_base_wants_it() {
    let Some(sandbox) = sandbox() else { return };
    // The same copy, once onto nothing, once onto a folder with another mode, once through a link.
    sandbox.file("src/a", "a");
    for (line, place, mode) in [
        ("RUN true", "/app/a", 0o755),
        ("RUN mkdir -m 700 /app", "/app/a", 0o700),
        ("RUN mkdir -m 711 /real && ln -s /real /app", "/real/a", 0o711),
        ("RUN true && true", "/app/a", 0o755),
    ] {
        let image =
            sandbox.dockerfile(&format!("FROM busybox\n{line}\nCOPY src /app\n")).build(&[]).image;
        assert_eq!(image.text(place), "a", "{line}");
        let folder = place.strip_suffix("/a").expect("it ends so");
        assert_eq!(image.node(folder).mode, mode, "{line}");
    }
}

/// Programs take two names of one inode for one file: tar stores the second as a link, and copies
/// that `cp -a` makes of them change together.
#[test]
fn copies_of_one_file_are_two_files_to_the_programs_of_a_step() {
    let Some(sandbox) = sandbox() else { return };
    let builder = "FROM busybox AS builder\nRUN mkdir -p /out/sub && echo a > /out/sub/f\n";
    let differ = |a: &str, b: &str| {
        let inode = |path: &str| format!("$(stat -c %i {path}/sub/f)");
        format!("RUN [ {} != {} ]\n", inode(a), inode(b))
    };
    for (stages, a, b) in [
        ("FROM busybox\nCOPY --from=builder /out /x\nCOPY --from=builder /out /y\n", "/x", "/y"),
        ("FROM builder\nCOPY --from=builder /out /x\n", "/out", "/x"),
        (
            "FROM busybox AS between\nCOPY --from=builder /out /o\n\
             FROM busybox\nCOPY --from=builder /out /x\nCOPY --from=between /o /y\n",
            "/x",
            "/y",
        ),
    ] {
        sandbox.dockerfile(&format!("{builder}{stages}{}", differ(a, b))).build(&[]);
    }
}
