//! Listing, naming, removing and looking at images; archives of them.

use std::fs;

use lathe_testkit::{image::Image, sandbox::Sandbox};
use serde_json::Value;

use crate::sandbox;

#[track_caller]
fn ask(sandbox: &Sandbox, arguments: &[&str]) -> String {
    sandbox.lathe(arguments).success().stdout.trim_end().to_owned()
}

fn build(sandbox: &Sandbox, tag: &str, text: &str) -> Image {
    sandbox
        .file("f", text)
        .dockerfile("FROM busybox\nLABEL l=v\nCOPY f /f\nCMD [\"cat\", \"/f\"]\n");
    sandbox.build(&["-t", tag]).image
}

for_everybody! {
    fn images_are_listed_tagged_and_removed(sandbox) {
        let image = build(sandbox, "mine:1", "one");
        let short = &image.id["sha256:".len()..][..12];
        let table = ask(sandbox, &["images"]);
        let mut lines = table.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
        assert_eq!(header, ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]);
        let row = lines.find(|line| line.starts_with("mine ")).expect("the image is listed");
        assert!(row.contains(short) && row.contains(" 1 ") && row.ends_with('B'), "{row}");
        assert_eq!(ask(sandbox, &["images", "-q", "mine"]), short);
        assert_eq!(ask(sandbox, &["images", "--no-trunc", "-q", "mine:1"]), image.id);
        let format = "{{.Repository}}:{{.Tag}}";
        assert_eq!(ask(sandbox, &["images", "--format", format, "mine"]), "mine:1");
        ask(sandbox, &["tag", "mine:1", "registry.example:5000/other"]);
        let named = ask(sandbox, &["images", "--format", format, "registry.example:5000/other"]);
        assert_eq!(named, "registry.example:5000/other:latest");
        let removed = ask(sandbox, &["rmi", "mine:1"]);
        assert_eq!(removed, "Untagged: mine:1");
        let removed = ask(sandbox, &["rmi", "registry.example:5000/other"]);
        assert!(removed.starts_with("Untagged: registry.example:5000/other:latest\n"), "{removed}");
        assert!(removed.contains(&format!("Deleted: {}", image.id)), "{removed}");
        assert_eq!(ask(sandbox, &["images", "-q", "mine"]), "");
        sandbox.lathe(&["rmi", "mine:1"]).failure(1).says("mine:1");
    }

    fn an_archive_goes_round(sandbox) {
        let image = build(sandbox, "mine:1", "one");
        ask(sandbox, &["tag", "mine:1", "mine:2"]);
        ask(sandbox, &["save", "-o", "saved.tar", "mine:1"]);
        let bytes = fs::read(sandbox.path("saved.tar")).expect("the archive is there");
        let (saved, names) = Image::from_docker_archive(&bytes).expect("an archive");
        assert_eq!((saved.id.as_str(), names), (image.id.as_str(), vec!["mine:1".to_owned()]));
        ask(sandbox, &["rmi", "-f", "mine:1", "mine:2"]);
        ask(sandbox, &["system", "prune", "-a", "-f"]);
        let loaded = ask(sandbox, &["load", "-i", "saved.tar"]);
        assert_eq!(loaded.lines().last(), Some("Loaded image: mine:1"));
        assert_eq!(ask(sandbox, &["images", "-q", "--no-trunc", "mine"]), image.id);
        assert_eq!(ask(sandbox, &["run", "--rm", "mine:1"]), "one");
        let again = sandbox.lathe_reading(&bytes, &["load", "-q"]).success();
        assert!(again.stdout.contains("mine:1"), "{again:?}");
    }
}

#[test]
fn a_name_that_moves_leaves_the_old_image_without_one() {
    let Some(sandbox) = sandbox() else { return };
    let one = build(&sandbox, "x", "one");
    let two = build(&sandbox, "x", "two");
    assert_eq!(ask(&sandbox, &["images", "-q", "--no-trunc", "x"]), two.id);
    let dangling = ["images", "-q", "--no-trunc", "-f", "dangling=true"];
    assert_eq!(ask(&sandbox, &dangling), one.id);
    let pruned = ask(&sandbox, &["image", "prune", "-f"]);
    assert!(pruned.contains(&one.id) && pruned.contains("reclaimed"), "{pruned}");
    assert_eq!(ask(&sandbox, &dangling), "");
    assert_eq!(ask(&sandbox, &["images", "-q", "-f", "label=l=v"]).lines().count(), 1);
    assert_eq!(ask(&sandbox, &["images", "-q", "-f", "label=l=w"]), "");
}

#[test]
fn history_and_inspect_show_the_image() {
    let Some(sandbox) = sandbox() else { return };
    let image = build(&sandbox, "x", "one");
    let history =
        ask(&sandbox, &["history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Size}}", "x"]);
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!(lines.len(), 4, "{history}");
    assert_eq!(lines[0], "CMD [\"cat\" \"/f\"]|0B");
    assert!(lines[1].starts_with("COPY f /f # buildkit|"), "{history}");
    assert!(lines[3].starts_with("layer 0|") && lines[3].ends_with("MB"), "{history}");
    let table = ask(&sandbox, &["history", "x"]);
    assert!(table.starts_with("IMAGE ") && table.contains("<missing>"), "{table}");
    let text = ask(&sandbox, &["inspect", "x"]);
    let documents: Value = serde_json::from_str(&text).expect("JSON");
    let document = &documents[0];
    assert_eq!(document["Id"], image.id);
    assert_eq!(document["RepoTags"], serde_json::json!(["x:latest"]));
    assert_eq!(document["Config"]["Cmd"], serde_json::json!(["cat", "/f"]));
    assert_eq!(document["RootFS"]["Layers"], image.config["rootfs"]["diff_ids"]);
    assert_eq!(
        ask(&sandbox, &["inspect", "-f", "{{.Os}}/{{.Architecture}}", "x"]),
        format!("linux/{}", lathe_testkit::fixture::architecture())
    );
    assert_eq!(
        ask(&sandbox, &["inspect", "-f", "{{json .Config.Cmd}}", &image.id[7..19]]),
        "[\"cat\",\"/f\"]"
    );
    sandbox.lathe(&["inspect", "nothing"]).failure(1).says("nothing");
    sandbox.lathe(&["history", "nothing"]).failure(1).says("nothing");
}

#[test]
fn an_image_in_use_is_not_removed() {
    let Some(sandbox) = sandbox() else { return };
    build(&sandbox, "x", "one");
    let id = ask(&sandbox, &["run", "-d", "x", "sleep", "1000"]);
    sandbox.lathe(&["rmi", "x"]).failure(1).says(&id[..12]);
    ask(&sandbox, &["rm", "-f", &id]);
    ask(&sandbox, &["rmi", "x"]);
}

#[test]
fn several_images_in_one_archive() {
    let Some(sandbox) = sandbox() else { return };
    let one = build(&sandbox, "one", "1");
    let two = build(&sandbox, "two", "2");
    ask(&sandbox, &["save", "-o", "both.tar", "one", "two"]);
    ask(&sandbox, &["rmi", "one", "two"]);
    let loaded = ask(&sandbox, &["load", "-i", "both.tar"]);
    assert!(loaded.contains("one:latest") && loaded.contains("two:latest"), "{loaded}");
    assert_eq!(ask(&sandbox, &["images", "-q", "--no-trunc", "one"]), one.id);
    assert_eq!(ask(&sandbox, &["images", "-q", "--no-trunc", "two"]), two.id);
    sandbox.lathe_reading(b"nonsense", &["load"]).failure(1);
    sandbox.lathe(&["save", "-o", "x.tar", "nothing"]).failure(1).says("nothing");
}

#[test]
fn space_is_told_and_given_back() {
    let Some(sandbox) = sandbox() else { return };
    build(&sandbox, "x", "one");
    let table = ask(&sandbox, &["system", "df"]);
    for word in ["TYPE", "TOTAL", "RECLAIMABLE", "Images", "Containers", "Build Cache"] {
        assert!(table.contains(word), "{word} in {table}");
    }
    let pruned = ask(&sandbox, &["system", "prune", "-a", "-f"]);
    assert!(pruned.contains("Total reclaimed space:"), "{pruned}");
    assert_eq!(ask(&sandbox, &["images", "-q"]), "");
    let snapshots = fs::read_dir(sandbox.store().join("snapshots")).expect("a folder").count();
    assert_eq!(snapshots, 0, "snapshots are left");
    let blobs = fs::read_dir(sandbox.store().join("blobs/sha256")).expect("a folder").count();
    assert_eq!(blobs, 0, "blobs are left");
}
