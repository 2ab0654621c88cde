//! What takes space, what goes when, and caches of steps.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use lathe_testkit::{
    image::untar,
    sandbox::{Sandbox, skip},
};
use serde_json::Value;

use crate::sandbox;

/// What `du` counts: the blocks of each inode once.
fn on_disk(folder: &Path) -> u64 {
    let mut seen = std::collections::BTreeSet::new();
    let mut todo = vec![folder.to_owned()];
    let mut bytes = 0;
    while let Some(path) = todo.pop() {
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        if seen.insert((metadata.dev(), metadata.ino())) {
            bytes += metadata.blocks() * 512;
        }
        if metadata.is_dir() {
            todo.extend(
                fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()),
            );
        }
    }
    bytes
}

/// The rows of `builder du` as data.
fn usage(sandbox: &Sandbox, arguments: &[&str]) -> Vec<Value> {
    let all = [&["builder", "du", "--format", "json"], arguments].concat();
    let text = sandbox.lathe(&all).success().stdout;
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

const SPACE: &str = "FROM busybox AS builder\nRUN mkdir /out && for i in 1 2 3 4 5; do head -c 300000 /dev/urandom > /out/$i; done\n\
    FROM busybox\nCOPY --from=builder /out /copied\nRUN --mount=type=cache,target=/cache head -c 200000 /dev/urandom > /cache/x; echo printed\n";

#[test]
fn the_sums_of_du_are_those_of_the_disk() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile(SPACE).build(&["-t", "app"]);
    sandbox.lathe(&["run", "--name", "cc", "app", "sh", "-c", "echo x > /y"]).success();
    // What a command needs while it runs is not there any more when it is counted.
    let format = "{{.ID}}\t{{.Size}}";
    sandbox.lathe(&["builder", "du", "--format", format]).success();
    let verbose = sandbox.lathe(&["builder", "du", "--verbose"]).success().stdout;
    assert!(verbose.contains("exec.cachemount") && verbose.contains("Usage count:"), "{verbose}");
    let table = sandbox.lathe(&["builder", "du"]).success().stdout;
    assert!(table.starts_with("ID ") && table.contains("LAST ACCESSED"), "{table}");
    let total = |label: &str| {
        let line = table.lines().find(|line| line.starts_with(label)).expect(label);
        size(line.split_whitespace().nth(1).expect("a size"))
    };
    let disk = on_disk(&sandbox.store());
    #[expect(clippy::cast_precision_loss, reason = "sizes here are small")]
    let near = |a: f64| (a - disk as f64).abs() < disk as f64 * 0.01 + 70_000.0;
    assert!(near(total("Total:")), "{} and {disk} on the disk:\n{table}", total("Total:"));
    assert!((total("Shared:") + total("Private:") - total("Total:")).abs() < 3000.0, "{table}");
    let caches = usage(&sandbox, &["--filter", "type=exec.cachemount"]);
    assert_eq!(caches.len(), 1, "{caches:?}");
    sandbox.lathe(&["builder", "du", "--filter", "nonsense=1"]).failure(1).says("invalid filter");
}

/// Reads a size as docker prints it.
fn size(text: &str) -> f64 {
    let end = text.find(|letter: char| letter.is_alphabetic()).expect("a unit");
    let number: f64 = text[..end].parse().expect("a number");
    let unit = match &text[end..] {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        other => panic!("{other}"),
    };
    number * unit
}

for_everybody! {
    fn pruning_can_be_tried_out_and_stops_at_a_size(sandbox) {
        sandbox.dockerfile(SPACE).build(&[]);
        sandbox.file("f", "1").dockerfile("FROM busybox\nCOPY f /f\n").build(&["-t", "kept"]);
        let before = usage(sandbox, &[]).len();
        let dry = sandbox.lathe(&["builder", "prune", "-a", "--dry-run"]).success().stdout;
        assert!(dry.contains("Would delete") && dry.contains("Total reclaimable space:"), "{dry}");
        assert_eq!(usage(sandbox, &[]).len(), before, "nothing was deleted");
        let dry = sandbox.lathe(&["system", "prune", "-a", "--dry-run"]).success().stdout;
        assert!(dry.contains("untagged: kept:latest"), "{dry}");
        sandbox.lathe(&["builder", "prune", "-f", "--keep-storage", "1TB"]).success();
        sandbox.lathe(&["builder", "prune", "-f", "--filter", "type=exec.cachemount"]).success();
        assert_eq!(usage(sandbox, &["--filter", "type=exec.cachemount"]), Vec::<Value>::new());
        assert!(on_disk_as(sandbox) > 1_500_000);
        sandbox.lathe(&["builder", "prune", "-f", "--filter", "until=1h"]).success();
        assert!(on_disk_as(sandbox) > 1_500_000, "what was just used stays");
        sandbox.lathe(&["rmi", "-f", "kept"]).success();
        sandbox.lathe(&["system", "prune", "-f"]).success();
        sandbox.lathe(&["builder", "prune", "-f", "--keep-storage", "1MB"]).success();
        let table = sandbox.lathe(&["builder", "du"]).success().stdout;
        assert!(on_disk_as(sandbox) < 5_500_000, "{table}");
        sandbox.lathe(&["builder", "prune", "-f", "--keep-storage", "lots"]).failure(1).says("`lots` is no size");
    }
}

/// What the store takes, from the product's own rows: others may not look into a user's folders.
fn on_disk_as(sandbox: &Sandbox) -> u64 {
    let text = sandbox.lathe(&["builder", "du"]).success().stdout;
    let line = text.lines().find(|line| line.starts_with("Total:")).expect("a sum");
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes are positive"
    )]
    let bytes = size(line.split_whitespace().nth(1).expect("a size")) as u64;
    bytes
}

#[test]
fn the_cap_holds_and_what_is_named_stays() {
    let Some(sandbox) = sandbox() else { return };
    let build = |index: usize, name: &[&str]| {
        let file = format!("FROM busybox\nRUN head -c 1500000 /dev/urandom > /big-{index}\n");
        sandbox.dockerfile(&file);
        let cap = [("LATHE_STORE_MAX_SIZE", "9MB")];
        sandbox.lathe_with(&cap, &[&["build"], name, &["context"]].concat()).success();
    };
    build(0, &["-t", "kept"]);
    for index in 1..9 {
        build(index, &[]);
    }
    assert!(on_disk(&sandbox.store()) < 13_000_000, "{}", on_disk(&sandbox.store()));
    let seen = sandbox.lathe(&["run", "--rm", "kept", "wc", "-c", "/big-0"]).success().stdout;
    assert_eq!(seen, "1500000 /big-0\n");
}

#[test]
fn settings_come_from_a_file_and_mistakes_in_it_are_told() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("f", "f").dockerfile("FROM scratch\nCOPY f /f\n");
    fs::create_dir_all(sandbox.path("config/lathe")).expect("the sandbox's folder");
    let file = sandbox.path("config/lathe/lathe.toml");
    fs::write(&file, "[store]\nmax-size = \"5GB\"\n").expect("the sandbox's folder");
    let facts = sandbox.lathe(&["info", "--format", "{{json .}}"]).success().stdout;
    let facts: Value = serde_json::from_str(&facts).expect("JSON");
    assert_eq!(facts["StoreMaxSize"], 5_u64 << 30);
    let df = sandbox.lathe(&["system", "df"]).success().stdout;
    assert!(df.contains("The store may have 5.369GB before a build."), "{df}");
    fs::write(&file, "[store]\nmax-sise = \"5GB\"\n").expect("the sandbox's folder");
    sandbox.lathe(&["build", "context"]).failure(1).says("lathe.toml: ").says("max-sise");
    let named = sandbox.path("none.toml").to_string_lossy().into_owned();
    sandbox.lathe(&["--config", &named, "build", "context"]).failure(1).says("none.toml");
}

const CACHE: &str = "FROM busybox\nARG N\nRUN --mount=type=cache,id=things,target=/cache \
    echo $N >> /cache/list; mkdir -p /cache/d; ln -sf ../list /cache/d/link; chmod 600 /cache/list; cat /cache/list > /seen\n";

for_everybody! {
    fn caches_of_steps_go_out_and_come_in(sandbox) {
        sandbox.dockerfile(CACHE).build(&["--build-arg", "N=1"]);
        let list = sandbox.lathe(&["cache-mount", "ls"]).success().stdout;
        assert!(list.starts_with("NAME ") && list.contains(" things "), "{list}");
        sandbox.lathe(&["cache-mount", "export", "-o", "things.tar", "things"]).success();
        let files = untar(&fs::read(sandbox.path("things.tar")).expect("it was written")).expect("a tar");
        assert!(files.iter().any(|(name, data)| name.ends_with("list") && data == b"1\n"), "{files:?}");
        // Into another store, under a name that nobody has used there.
        let other = sandbox.path("other").to_string_lossy().into_owned();
        sandbox.lathe(&["--root", &other, "cache-mount", "import", "-i", "things.tar", "things"]).success();
        let context = sandbox.context().to_string_lossy().into_owned();
        let args = ["--root", &other, "build", "-t", "x", "--build-arg", "N=2", &context];
        sandbox.lathe(&args).success();
        let seen = sandbox.lathe(&["--root", &other, "run", "--rm", "x", "cat", "/seen"]).success().stdout;
        assert_eq!(seen, "1\n2\n");
        // What comes in takes the place of all that was there.
        sandbox.build(&["--build-arg", "N=3"]);
        sandbox.lathe(&["cache-mount", "import", "-i", "things.tar", "things"]).success();
        assert_eq!(sandbox.build(&["--build-arg", "N=4"]).image.text("/seen"), "1\n4\n");
        sandbox.lathe(&["cache-mount", "rm", "things"]).success();
        assert_eq!(sandbox.lathe(&["cache-mount", "ls", "-q"]).success().stdout, "");
        assert_eq!(sandbox.build(&["--build-arg", "N=5"]).image.text("/seen"), "5\n");
        sandbox.lathe(&["cache-mount", "rm", "nothing"]).failure(1).says("there is no cache mount `nothing`");
        sandbox.lathe(&["cache-mount", "rm", "-f", "nothing"]).success();
        sandbox.lathe(&["cache-mount", "export", "nothing"]).failure(1).says("nothing");
    }
}

#[test]
fn a_broken_archive_leaves_the_cache_as_it_was() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile(CACHE).build(&["--build-arg", "N=1"]);
    sandbox.lathe(&["cache-mount", "export", "-o", "things.tar", "things"]).success();
    let bytes = fs::read(sandbox.path("things.tar")).expect("it was written");
    if bytes.len() < 2048 {
        return skip("the archive is too small to be cut");
    }
    fs::write(sandbox.path("cut.tar"), &bytes[..1500]).expect("the sandbox's folder");
    sandbox.lathe(&["cache-mount", "import", "-i", "cut.tar", "things"]).failure(1);
    assert_eq!(sandbox.build(&["--build-arg", "N=2"]).image.text("/seen"), "1\n2\n");
}
