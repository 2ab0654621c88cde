//! Commands around images, on a store with small images.

use std::{fs, path::Path, sync::Arc};

use lathe_event::{Cancel, NullSink};
use lathe_exporter::{Owners, PackOptions, layers, store_image};
use lathe_oci::{
    BuiltImage, ChainId, Descriptor, DiffId, Digest, History, ImageConfig, Index, MediaType,
    Platform, Reference,
};
use lathe_registry::Environment;
use lathe_snapshot::{Driver, Snapshots};
use lathe_store::{ContainerRecord, SnapshotId, Store};
use lathe_testkit::registry::FakeRegistry;

use super::*;
use crate::Destination;
use crate::{Engine, EngineOptions, PullPolicy};

struct Fixture {
    folder: tempfile::TempDir,
    engine: Engine,
}

/// An image to be made.
struct Recipe<'a> {
    names: &'a [&'a str],
    /// Content of its files; one layer for each.
    layers: &'a [&'a str],
    /// Day of January 2024.
    day: u32,
    labels: &'a [(&'a str, &'a str)],
}

const PLAIN: Recipe<'_> = Recipe { names: &[], layers: &["one"], day: 1, labels: &[] };

impl Fixture {
    fn new(test: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("SKIP {test}: only root can give files their owners");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let environment = Environment::default();
        let options = EngineOptions {
            environment,
            owners: Owners::Caller,
            userxattr: false,
            insecure: Vec::new(),
        };
        let mut engine = Engine::new(&store, options, Arc::new(NullSink), Cancel::new());
        // The native driver needs no mounts, which the threads of the harness would share.
        let driver = Driver::Native("a test".to_owned());
        engine.snapshots = Snapshots::with_driver(&store, false, driver);
        Some(Self { folder, engine })
    }

    fn snapshot(&self, parent: Option<SnapshotId>, name: &str, content: &str) -> SnapshotId {
        let active = self.engine.snapshots.prepare(parent).unwrap();
        let mounted = active.mount().unwrap();
        fs::write(mounted.path().join(name), content).unwrap();
        drop(mounted);
        active.commit().unwrap()
    }

    fn build(&self, recipe: &Recipe<'_>) -> BuiltImage {
        let mut chain = Vec::new();
        for (number, content) in recipe.layers.iter().enumerate() {
            let name = format!("file{number}");
            chain.push(self.snapshot(chain.last().copied(), &name, content));
        }
        let client = || self.engine.client().map_err(Into::into);
        let env = self.engine.exporter_env(&client);
        let layers = layers(&env, &[], &chain, PackOptions { form: None, epoch: Some(0) }).unwrap();
        let created = Some(format!("2024-01-{:02}T00:00:00Z", recipe.day));
        let step = |text: &str, empty_layer| History {
            created: created.clone(),
            created_by: Some(text.to_owned()),
            comment: Some("by a test".to_owned()),
            empty_layer,
            ..History::default()
        };
        let mut history: Vec<History> =
            recipe.layers.iter().map(|text| step(&format!("COPY {text}"), false)).collect();
        history.push(step("CMD [\"sh\"]", true));
        let host = Platform::host();
        let mut config = ImageConfig {
            architecture: host.architecture,
            os: host.os,
            created: created.clone(),
            ..ImageConfig::default()
        };
        let labels = recipe.labels.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        config.config.labels = labels.collect();
        config.config.cmd = Some(vec!["sh".to_owned()]);
        let size = layers.iter().map(|layer| layer.unpacked_size).sum();
        let entries = layers.into_iter().map(|layer| layer.entry).collect();
        let image = lathe_oci::assemble(config, history, entries).unwrap();
        let names: Vec<_> = recipe.names.iter().map(|name| name.parse().unwrap()).collect();
        store_image(&self.engine.store, &image, &names, size).unwrap();
        image
    }

    fn container(&self, image: &BuiltImage, id: char) {
        let container = ContainerRecord {
            id: id.to_string().repeat(64),
            name: format!("name-{id}"),
            created: 0,
            image: Some(*image.id()),
            snapshots: Vec::new(),
            record: "{}".to_owned(),
        };
        self.engine.store.put_container(&container).unwrap();
    }

    fn remove(&self, text: &str, force: Force) -> Result<Vec<String>> {
        let options = RemoveOptions { force, parents: UntaggedParents::Remove };
        // Containers of the test whose id begins with `a` run.
        let removed = remove(&self.engine, text, options, &|c| c.id.starts_with('a'))?;
        Ok(removed.iter().map(ToString::to_string).collect())
    }

    fn names(&self) -> Vec<String> {
        self.engine.store.tags().unwrap().into_iter().map(|tag| tag.name).collect()
    }
}

#[test]
fn images_are_found_by_name_digest_and_id() {
    let Some(fixture) = Fixture::new("images_are_found_by_name_digest_and_id") else { return };
    let image = fixture.build(&Recipe { names: &["app:1", "localhost:5000/x/tool"], ..PLAIN });
    let other = fixture.build(&Recipe { names: &["other"], layers: &["two"], ..PLAIN });
    let store = &fixture.engine.store;
    let check = |text: &str, want: &BuiltImage| {
        assert_eq!(find(store, text).unwrap().id, *want.id(), "{text}");
    };
    check("app:1", &image);
    check("docker.io/library/app:1", &image);
    check("localhost:5000/x/tool", &image);
    check("other", &other);
    check("other:latest", &other);
    check(&image.id().to_string(), &image);
    check(&image.id().hex(), &image);
    check(&image.id().short(), &image);
    check(&image.id().to_string()[..20], &image);
    check(&image.manifest.digest().to_string(), &image);
    check(&format!("app@{}", image.manifest.digest()), &image);
    check(&format!("app:1@{}", image.manifest.digest()), &image);
}

#[test]
fn what_is_not_found_is_told_in_dockers_words_with_a_suggestion() {
    let test = "what_is_not_found_is_told_in_dockers_words_with_a_suggestion";
    let Some(fixture) = Fixture::new(test) else { return };
    let image = fixture.build(&Recipe { names: &["builder:1", "me/builder:2"], ..PLAIN });
    let check = |text: &str, message: &str, hint: Option<&str>| {
        let error = find(&fixture.engine.store, text).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.hint().as_deref(), hint, "{text}");
    };
    let both = Some("did you mean `builder:1` or `me/builder:2`?");
    check("builder", "No such image: builder:latest", both);
    check("buidler:1", "No such image: buidler:1", Some("did you mean `builder:1`?"));
    check("nothing/alike", "No such image: nothing/alike:latest", None);
    check("fffffff", "No such image: fffffff:latest", None);
    let digest = format!("sha256:{}", "0".repeat(64));
    check(&digest, &format!("No such image: {digest}"), None);
    let named = format!("builder@{}", image.id());
    check(&named, &format!("No such image: {named}"), None);
    let error = find(&fixture.engine.store, "UPPER").unwrap_err().to_string();
    assert!(error.contains("lower case"), "{error}");
}

#[test]
fn lists_are_filtered_and_the_newest_is_first() {
    let Some(fixture) = Fixture::new("lists_are_filtered_and_the_newest_is_first") else { return };
    let labels = [("team", "a"), ("stage", "x")];
    fixture.build(&Recipe { names: &["old:1", "example.com/a/old:2"], labels: &labels, ..PLAIN });
    fixture.build(&Recipe { names: &["mid"], layers: &["two"], day: 2, ..PLAIN });
    let new = fixture.build(&Recipe { layers: &["three"], day: 3, ..PLAIN });
    fixture.container(&new, 'b');
    let check = |filters: &[&str], want: &[&str]| {
        let filters = ImageFilters::parse(filters.iter().copied()).unwrap();
        let found = list(&fixture.engine, &filters).unwrap();
        let found: Vec<String> = found.iter().map(|image| image.repo_tags.join(" ")).collect();
        assert_eq!(found, want, "{filters:?}");
    };
    let old = "old:1 example.com/a/old:2";
    check(&[], &["", "mid:latest", old]);
    check(&["dangling=true"], &[""]);
    check(&["dangling=false"], &["mid:latest", old]);
    check(&["reference=old"], &["old:1"]);
    check(&["reference=*:1", "reference=m*"], &["mid:latest", "old:1"]);
    check(&["reference=example.com/*/old"], &["example.com/a/old:2"]);
    check(&["reference=nothing"], &[]);
    check(&["label=team"], &[old]);
    check(&["label=team=a", "label=stage=x"], &[old]);
    check(&["label=team=b"], &[]);
    check(&["before=mid"], &[old]);
    check(&["since=mid"], &[""]);
    check(&["since=old:1", "dangling=0"], &["mid:latest"]);
    let all = list(&fixture.engine, &ImageFilters::default()).unwrap();
    assert_eq!((all[0].created, all[0].size, all[0].containers), (Some(1_704_240_000), 5, 1));
    assert!(all[0].is_dangling());
    let fails = |filter: &str| ImageFilters::parse([filter]).unwrap_err().to_string();
    assert_eq!(fails("colour=red"), "invalid filter 'colour'");
    assert!(fails("dangling=maybe").contains("neither true nor false"));
}

#[test]
fn names_are_removed_first_and_the_image_with_the_last() {
    let test = "names_are_removed_first_and_the_image_with_the_last";
    let Some(fixture) = Fixture::new(test) else { return };
    let image = fixture.build(&Recipe { names: &["app:1"], layers: &["one", "two"], ..PLAIN });
    let shared = fixture.build(&Recipe { names: &["base"], ..PLAIN });
    let target = tag(&fixture.engine, "app:1", "other.example/app").unwrap();
    assert_eq!(target.familiar(), "other.example/app:latest");
    let remove = |text: &str, force| fixture.remove(text, force).unwrap();
    assert_eq!(remove("app:1", Force::No), ["Untagged: app:1"]);
    let diff_ids: Vec<_> = image.layers.iter().map(|layer| layer.diff_id).collect();
    let top = ChainId::of(&diff_ids).unwrap();
    // The layer that the other image has as well stays.
    let expected = [
        "Untagged: other.example/app:latest".to_owned(),
        format!("Deleted: {}", image.id()),
        format!("Deleted: {top}"),
    ];
    assert_eq!(remove("other.example/app", Force::No), expected);
    assert!(find(&fixture.engine.store, &image.id().to_string()).is_err());
    let snapshot = |diff_ids: &[DiffId]| {
        let chain = ChainId::of(diff_ids).unwrap();
        fixture.engine.store.snapshot_for_chain(chain).unwrap()
    };
    assert!(snapshot(&diff_ids).is_none());
    assert!(snapshot(&[shared.layers[0].diff_id]).is_some());
    assert_eq!(fixture.names(), ["docker.io/library/base:latest"]);
}

#[test]
fn an_id_means_the_whole_image() {
    let Some(fixture) = Fixture::new("an_id_means_the_whole_image") else { return };
    let image = fixture.build(&Recipe { names: &["a", "b"], ..PLAIN });
    let id = image.id().short();
    let error = fixture.remove(&id, Force::No).unwrap_err().to_string();
    let reason = "image is referenced in multiple repositories";
    assert_eq!(error, format!("conflict: unable to delete {id} (must be forced) - {reason}"));
    let chain = lathe_oci::ChainId::first(image.layers[0].diff_id);
    let expected = [
        "Untagged: a:latest".to_owned(),
        "Untagged: b:latest".to_owned(),
        format!("Deleted: {}", image.id()),
        format!("Deleted: {chain}"),
    ];
    assert_eq!(fixture.remove(&id, Force::Yes).unwrap(), expected);
    assert!(fixture.names().is_empty());
}

#[test]
fn containers_keep_images() {
    let Some(fixture) = Fixture::new("containers_keep_images") else { return };
    let (runs, stopped) = ("a".repeat(12), "b".repeat(12));
    let image = fixture.build(&Recipe { names: &["app"], ..PLAIN });
    let id = image.id().short();
    let fails = |text: &str, force| fixture.remove(text, force).unwrap_err().to_string();
    fixture.container(&image, 'b');
    assert_eq!(
        fails("app", Force::No),
        format!(
            "conflict: unable to remove repository reference \"app\" (must force) - container \
             {stopped} is using its referenced image {id}"
        )
    );
    let reason = format!("image is being used by stopped container {stopped}");
    assert_eq!(
        fails(&id, Force::No),
        format!("conflict: unable to delete {id} (must be forced) - {reason}")
    );
    fixture.container(&image, 'a');
    let reason = format!("image is being used by running container {runs}");
    for force in [Force::No, Force::Yes] {
        assert_eq!(
            fails(&id, force),
            format!("conflict: unable to delete {id} (cannot be forced) - {reason}")
        );
    }
    assert_eq!(fixture.names(), ["docker.io/library/app:latest"]);
    fixture.engine.store.remove_container(&"a".repeat(64)).unwrap();
    assert_eq!(fixture.remove("app", Force::Yes).unwrap().len(), 3);
}

#[test]
fn a_history_has_sizes_and_the_id_on_top() {
    let Some(fixture) = Fixture::new("a_history_has_sizes_and_the_id_on_top") else { return };
    let layers = ["one", "second"];
    let image = fixture.build(&Recipe { names: &["app"], layers: &layers, ..PLAIN });
    let rows = history(&fixture.engine, "app").unwrap();
    let brief: Vec<(Option<Digest>, &str, u64)> =
        rows.iter().map(|row| (row.id, row.created_by.as_str(), row.size)).collect();
    let expected =
        [(Some(*image.id()), "CMD [\"sh\"]", 0), (None, "COPY second", 6), (None, "COPY one", 3)];
    assert_eq!(brief, expected);
    assert_eq!(rows[0].tags, ["app:latest"]);
    assert_eq!(rows[2].created, Some(1_704_067_200));
    assert_eq!(rows[2].comment, "by a test");
}

#[test]
fn the_document_has_dockers_fields() {
    let Some(fixture) = Fixture::new("the_document_has_dockers_fields") else { return };
    let recipe =
        Recipe { names: &["app"], layers: &["one", "two"], labels: &[("a", "b")], ..PLAIN };
    let image = fixture.build(&recipe);
    let value = serde_json::to_value(inspect(&fixture.engine, "app").unwrap()).unwrap();
    let check = |pointer: &str, want: serde_json::Value| {
        assert_eq!(value.pointer(pointer), Some(&want), "{pointer}");
    };
    check("/Id", image.id().to_string().into());
    check("/RepoTags", vec!["app:latest"].into());
    check("/RepoDigests", serde_json::Value::Array(Vec::new()));
    check("/Created", "2024-01-01T00:00:00Z".into());
    check("/Comment", "by a test".into());
    check("/Size", 6.into());
    check("/Config/Cmd", vec!["sh"].into());
    check("/Config/Entrypoint", serde_json::Value::Null);
    check("/Config/Labels/a", "b".into());
    check("/RootFS/Type", "layers".into());
    check("/RootFS/Layers/1", image.layers[1].diff_id.0.to_string().into());
    check("/GraphDriver/Name", "overlay2".into());
    let lower = value.pointer("/GraphDriver/Data/LowerDir").unwrap().as_str().unwrap();
    assert!(Path::new(lower).join("file0").exists(), "{lower}");
}

#[test]
fn saved_images_are_loaded_and_can_be_run() {
    let Some(from) = Fixture::new("saved_images_are_loaded_and_can_be_run") else { return };
    let into = Fixture::new("saved_images_are_loaded_and_can_be_run").unwrap();
    let one = from.build(&Recipe { names: &["app:1", "app:2"], layers: &["one", "x"], ..PLAIN });
    let two = from.build(&Recipe { layers: &["two"], ..PLAIN });
    let old = into.build(&Recipe { names: &["app:2"], layers: &["old"], ..PLAIN });
    let path = from.folder.path().join("images.tar");
    let destination = Destination::File(path.clone());
    let size = save(&from.engine, &["app".to_owned(), two.id().short()], &destination).unwrap();
    assert_eq!(size, fs::metadata(&path).unwrap().len());
    let loaded = load(&into.engine, fs::File::open(&path).unwrap()).unwrap();
    let lines: Vec<String> = loaded.iter().flat_map(Loaded::lines).collect();
    let old_id = old.id();
    let taken = "already exists, renaming the old one with ID";
    let expected = [
        format!("The image app:2 {taken} {old_id} to empty string"),
        "Loaded image: app:1".to_owned(),
        "Loaded image: app:2".to_owned(),
        format!("Loaded image ID: {}", two.id()),
    ];
    assert_eq!(lines, expected);
    let found = runnable(&into.engine, "app:1", None, PullPolicy::Missing).unwrap();
    assert_eq!(found.image.id, *one.id());
    assert!(found.image.repo_digests.is_empty());
    assert_eq!(found.image.created, 1_704_067_200);
    let mounted = into.engine.snapshots.view(found.snapshot.unwrap()).unwrap();
    assert_eq!(fs::read_to_string(mounted.path().join("file1")).unwrap(), "x");
    let mut findings = Vec::new();
    into.engine.store.check(&mut |finding| findings.push(finding)).unwrap();
    assert!(findings.iter().all(|finding| !finding.is_damage()), "{findings:?}");
}

#[test]
fn what_is_saved_by_name_has_that_name_only() {
    let Some(fixture) = Fixture::new("what_is_saved_by_name_has_that_name_only") else { return };
    let image = fixture.build(&Recipe { names: &["app:1", "app:2", "b"], ..PLAIN });
    let path = fixture.folder.path().join("images.tar");
    let check = |arguments: &[&str], want: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        save(&fixture.engine, &arguments, &Destination::File(path.clone())).unwrap();
        let loaded = load(&fixture.engine, fs::File::open(&path).unwrap()).unwrap();
        let names: Vec<String> = loaded[0].names.iter().map(Reference::familiar).collect();
        assert_eq!((loaded.len(), names), (1, want.iter().map(ToString::to_string).collect()));
    };
    check(&["app:1"], &["app:1"]);
    check(&["app"], &["app:1", "app:2"]);
    check(&["app:2", "b", "app:2"], &["app:2", "b:latest"]);
    check(&[&image.id().short()], &[]);
    check(&[&image.id().to_string(), "b"], &["b:latest"]);
    let missing = save(&fixture.engine, &["c".to_owned()], &Destination::File(path.clone()));
    assert_eq!(missing.unwrap_err().to_string(), "No such image: c:latest");
}

#[test]
fn a_pushed_image_is_pulled_again() {
    let Some(from) = Fixture::new("a_pushed_image_is_pulled_again") else { return };
    let into = Fixture::new("a_pushed_image_is_pulled_again").unwrap();
    let registry = FakeRegistry::start();
    let host = registry.host();
    let name = format!("{host}/team/app:1");
    let image = from.build(&Recipe { names: &[&name], layers: &["one", "two"], ..PLAIN });
    let report = push(&from.engine, &name).unwrap();
    let digest = report.manifest.digest;
    let layer = |index: usize| image.layers[index].diff_id.0.short();
    let expected = [
        format!("{}: Pushed", layer(1)),
        format!("{}: Pushed", layer(0)),
        format!("1: digest: {digest} size: {}", report.manifest.size),
    ];
    assert_eq!(push_lines(&report), expected);
    let expected = format!("{}: Layer already exists", layer(1));
    assert_eq!(push_lines(&push(&from.engine, &name).unwrap())[0], expected);
    let pulled = pull(&into.engine, &name, None).unwrap();
    let expected = [
        format!("Digest: {digest}"),
        format!("Status: Downloaded newer image for {name}"),
        name.clone(),
    ];
    assert_eq!(pulled.lines(), expected);
    assert_eq!(pulled.image.id, *image.id());
    assert_eq!(pulled.image.created, 1_704_067_200);
    assert_eq!(pulled.image.repo_digests, [format!("{host}/team/app@{digest}")]);
    registry.take_requests();
    let again = pull(&into.engine, &name, None).unwrap();
    assert_eq!(again.lines()[1], format!("Status: Image is up to date for {name}"));
    let requests = registry.take_requests();
    let methods: Vec<&str> = requests.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["HEAD"]);
    let error = push(&from.engine, &format!("{host}/other")).unwrap_err().to_string();
    assert_eq!(error, format!("An image does not exist locally with the tag: {host}/other"));
}

#[test]
fn of_an_index_the_digest_is_kept_and_the_platform_chosen() {
    let test = "of_an_index_the_digest_is_kept_and_the_platform_chosen";
    let Some(from) = Fixture::new(test) else { return };
    let into = Fixture::new(test).unwrap();
    let registry = FakeRegistry::start();
    let host = registry.host();
    let image = from.build(&Recipe { names: &[&format!("{host}/app:one")], ..PLAIN });
    let report = push(&from.engine, &format!("{host}/app:one")).unwrap();
    let other = Descriptor {
        platform: Some("linux/s390x".parse().unwrap()),
        ..Descriptor::of(MediaType::OciManifest, b"elsewhere")
    };
    let own = Descriptor { platform: Some(Platform::host()), ..report.manifest };
    let index = serde_json::to_vec(&Index::new(vec![other, own])).unwrap();
    let digest = registry.put_manifest("app", "latest", MediaType::OciIndex.as_str(), &index);
    let pulled = pull(&into.engine, &format!("{host}/app"), None).unwrap();
    assert_eq!(pulled.digest, digest);
    assert_eq!(pulled.image.id, *image.id());
    assert_eq!(pulled.image.names, [format!("{host}/app:latest")]);
    assert_eq!(pulled.image.repo_digests, [format!("{host}/app@{digest}")]);
    // By its digest it gets no name, and is found by it.
    let exact = format!("{host}/app@{digest}");
    assert_eq!(pull(&into.engine, &exact, None).unwrap().status, PullStatus::UpToDate);
    assert_eq!(find(&into.engine.store, &exact).unwrap().id, *image.id());
    let lines = into.remove(&format!("{host}/app"), Force::No).unwrap();
    assert_eq!(lines[..2], [format!("Untagged: {host}/app:latest"), format!("Untagged: {exact}")]);
    let found = runnable(&into.engine, &exact, None, PullPolicy::Missing).unwrap();
    assert!(found.image.names.is_empty() && found.snapshot.is_some());
}

#[test]
fn transfers_are_announced_as_docker_does() {
    let check = |lines: Result<Vec<String>>, want: &[&str]| assert_eq!(lines.unwrap(), want);
    let default = "Using default tag: latest";
    check(announce_pull("alpine"), &[default, "latest: Pulling from library/alpine"]);
    check(announce_pull("a.example/b/c:1"), &["1: Pulling from a.example/b/c"]);
    let digest = format!("sha256:{}", "0".repeat(64));
    let exact = format!("{digest}: Pulling from library/a");
    check(announce_pull(&format!("a@{digest}")), &[&exact]);
    let refers = "The push refers to repository [docker.io/library/a]";
    check(announce_push("a"), &[default, refers]);
    check(announce_push("a:1"), &[refers]);
}
