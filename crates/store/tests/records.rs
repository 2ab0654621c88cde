//! Records, pruning and checking through the public interface.

#![expect(clippy::unwrap_used, reason = "a failed call fails the test")]

use std::fs;
use std::path::Path;

use lathe_oci::ChainId;
use lathe_oci::Descriptor;
use lathe_oci::DiffId;
use lathe_oci::Digest;
use lathe_oci::MediaType;
use lathe_oci::Platform;
use lathe_store::BuildRecord;
use lathe_store::CachePrune;
use lathe_store::CacheRecord;
use lathe_store::Compression;
use lathe_store::ContainerRecord;
use lathe_store::DryRun;
use lathe_store::Error;
use lathe_store::Finding;
use lathe_store::ImagePrune;
use lathe_store::ImageRecord;
use lathe_store::LayerRecord;
use lathe_store::PruneOptions;
use lathe_store::PruneReport;
use lathe_store::SnapshotId;
use lathe_store::SnapshotKind;
use lathe_store::Store;
use lathe_store::UsageKind;
use lathe_store::Wait;

struct Bench {
    store: Store,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { store: Store::open(directory.path()).unwrap(), _directory: directory }
    }

    fn snapshot(&self, parent: Option<SnapshotId>) -> SnapshotId {
        self.snapshot_of_kind(parent, SnapshotKind::Committed)
    }

    fn snapshot_of_kind(&self, parent: Option<SnapshotId>, kind: SnapshotKind) -> SnapshotId {
        let new = self.store.new_snapshot().unwrap();
        let files = new.directory().join("fs");
        fs::create_dir(&files).unwrap();
        fs::write(files.join("file"), b"12345").unwrap();
        new.record(parent, kind, 1).unwrap()
    }

    /// Makes an image of layers with the given texts, on snapshots.
    fn image(&self, layers: &[&str]) -> (ImageRecord, Vec<SnapshotId>) {
        let (mut diff_ids, mut descriptors) = (Vec::new(), Vec::new());
        let mut snapshots: Vec<SnapshotId> = Vec::new();
        for text in layers {
            let blob = format!("layer {text}");
            let digest = self.store.put_blob(blob.as_bytes()).unwrap();
            let diff_id = DiffId(digest);
            diff_ids.push(diff_id);
            let descriptor = Descriptor::new(MediaType::OciLayer, digest, blob.len() as u64);
            let chain = ChainId::of(&diff_ids).unwrap();
            let known = self.store.snapshot_for_chain(chain).unwrap();
            let snapshot = known.unwrap_or_else(|| self.snapshot(snapshots.last().copied()));
            self.store.record_chain(chain, snapshot).unwrap();
            let layer = LayerRecord {
                snapshot,
                diff_id,
                compression: Compression::None,
                descriptor: descriptor.clone(),
                unpacked_size: 5,
            };
            self.store.record_layer(&layer).unwrap();
            descriptors.push(descriptor);
            snapshots.push(snapshot);
        }
        let ids: Vec<String> = diff_ids.iter().map(|id| format!("\"{id}\"")).collect();
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            ids.join(",")
        );
        let id = self.store.put_blob(config.as_bytes()).unwrap();
        let manifest = lathe_oci::Manifest {
            schema_version: 2,
            media_type: Some(MediaType::OciManifest),
            config: Descriptor::of(MediaType::OciConfig, config.as_bytes()),
            layers: descriptors,
            annotations: std::collections::BTreeMap::default(),
        };
        let bytes = serde_json::to_vec(&manifest).unwrap();
        self.store.put_blob(&bytes).unwrap();
        let image = ImageRecord {
            id,
            manifest: Descriptor::of(MediaType::OciManifest, &bytes),
            names: Vec::new(),
            created: 100,
            size: 5 * layers.len() as u64,
            platform: Platform::linux("amd64"),
            repo_digests: Vec::new(),
        };
        (image, snapshots)
    }

    fn cache(&self, key: &str, snapshot: SnapshotId, last_used: i64) {
        let record = CacheRecord {
            key: key.into(),
            result: "{}".into(),
            snapshots: vec![snapshot],
            blobs: Vec::new(),
            created: 1,
            last_used,
            recipe: Some("{\"op\":\"run\"}".into()),
        };
        self.store.cache_record(&record).unwrap();
    }

    fn prune(&self, images: ImagePrune, cache: CachePrune) -> PruneReport {
        let options = PruneOptions { images, cache, ..PruneOptions::default() };
        let dry = PruneOptions { dry_run: DryRun::Yes, ..options };
        let planned = self.store.prune(&dry).unwrap().unwrap();
        let report = self.store.prune(&options).unwrap().unwrap();
        assert_eq!(planned, report, "a dry run tells what the real one does");
        self.check_is_clean();
        report
    }

    #[track_caller]
    fn check_is_clean(&self) {
        assert_eq!(self.findings(), []);
    }

    #[track_caller]
    fn check_is_clean_but_for_rubbish(&self) {
        let damage: Vec<Finding> = self.findings().into_iter().filter(Finding::is_damage).collect();
        assert_eq!(damage, []);
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.store.check(&mut |finding| findings.push(finding)).unwrap();
        findings
    }

    fn names(&self, directory: &str) -> usize {
        fs::read_dir(self.store.directory().join(directory)).unwrap().count()
    }
}

#[test]
fn retagging_moves_the_name_and_leaves_the_old_image_dangling() {
    let bench = Bench::new();
    let ((first, _), (second, _)) = (bench.image(&["a"]), bench.image(&["b"]));
    bench.store.set_tag("docker.io/library/x:1", &first).unwrap();
    bench.store.set_tag("docker.io/library/x:2", &first).unwrap();
    bench.store.set_tag("docker.io/library/x:1", &second).unwrap();
    bench.store.set_tag("docker.io/library/x:2", &second).unwrap();
    let dangling = bench.store.image(&first.id).unwrap().unwrap();
    assert_eq!(dangling.names, [""; 0]);
    let named = bench.store.image_by_name("docker.io/library/x:1").unwrap().unwrap();
    assert_eq!(named.id, second.id);
    assert_eq!(named.names, ["docker.io/library/x:1", "docker.io/library/x:2"]);
    assert_eq!(bench.store.images().unwrap().len(), 2);
    let report = bench.prune(ImagePrune::Dangling, CachePrune::Keep);
    assert_eq!(report.images, [first.id]);
    assert!(!bench.store.has_blob(&first.id) && bench.store.has_blob(&second.id));
}

#[test]
fn images_are_found_by_the_beginning_of_their_id() {
    let bench = Bench::new();
    let (image, _) = bench.image(&["a"]);
    bench.store.put_image(&image).unwrap();
    let hex = image.id.hex();
    let find = |prefix: &str| bench.store.images_by_id_prefix(prefix).unwrap().len();
    assert_eq!((find(&hex[..4]), find(&hex), find(&format!("sha256:{}", &hex[..12]))), (1, 1, 1));
    assert_eq!((find(&format!("{}0", &hex)), find("%"), find("x' OR 1=1")), (0, 0, 0));
    let by_manifest = bench.store.image_by_manifest(&image.manifest.digest).unwrap();
    assert_eq!(by_manifest.unwrap().id, image.id);
}

/// INV-STORE-5.
#[test]
fn pruning_keeps_what_images_containers_and_cache_records_need() {
    let bench = Bench::new();
    let (kept, kept_snapshots) = bench.image(&["base", "kept"]);
    let (other, other_snapshots) = bench.image(&["base", "other"]);
    assert_eq!(kept_snapshots[0], other_snapshots[0], "images share their base");
    bench.store.set_tag("docker.io/library/kept:1", &kept).unwrap();
    let cached = bench.snapshot(Some(other_snapshots[1]));
    bench.cache("key", cached, 50);
    let rubbish = bench.snapshot(Some(cached));
    let stray = bench.store.put_blob(b"stray").unwrap();

    let report = bench.prune(ImagePrune::Dangling, CachePrune::Keep);
    let removed: Vec<SnapshotId> = report.snapshots.iter().map(|(id, _)| *id).collect();
    assert_eq!(removed, [rubbish]);
    // The other image was never recorded: its documents go, its layer is the cache's.
    let mut blobs: Vec<Digest> = report.blobs.iter().map(|(digest, _)| *digest).collect();
    let mut expected = vec![stray, other.id, other.manifest.digest];
    blobs.sort();
    expected.sort();
    assert_eq!(blobs, expected);

    let report = bench.prune(ImagePrune::Keep, CachePrune::UnusedSince(50));
    assert_eq!(report, PruneReport::default(), "used at 50 is not unused since 50");
    let report = bench.prune(ImagePrune::Keep, CachePrune::UnusedSince(51));
    assert_eq!(report.cache_records, ["key"]);
    assert_eq!(report.snapshots.len(), 2);
    assert!(report.bytes() > 0);
    bench.prune(ImagePrune::Unused, CachePrune::All);
    assert_eq!((bench.names("snapshots"), bench.names("blobs/sha256")), (0, 0));
}

#[test]
fn images_of_containers_stay() {
    let bench = Bench::new();
    let (image, snapshots) = bench.image(&["a"]);
    bench.store.put_image(&image).unwrap();
    let writable = bench.snapshot_of_kind(Some(snapshots[0]), SnapshotKind::Writable);
    let container = container("c1", "name", vec![writable], Some(image.id));
    bench.store.put_container(&container).unwrap();
    let report = bench.prune(ImagePrune::Unused, CachePrune::All);
    assert_eq!(report, PruneReport::default());
    let in_use = bench.store.remove_snapshot(writable).unwrap_err();
    assert!(matches!(in_use, Error::SnapshotInUse { .. }), "{in_use}");
    bench.store.remove_container("c1").unwrap();
    bench.store.remove_snapshot(writable).unwrap();
    assert_eq!(bench.prune(ImagePrune::Unused, CachePrune::All).images, [image.id]);
}

fn container(
    id: &str,
    name: &str,
    snapshots: Vec<SnapshotId>,
    image: Option<Digest>,
) -> ContainerRecord {
    ContainerRecord {
        id: id.into(),
        name: name.into(),
        created: 1,
        image,
        snapshots,
        record: "{}".into(),
    }
}

#[test]
fn container_names_are_unique_and_records_change_in_one_step() {
    let bench = Bench::new();
    bench.store.put_container(&container("c1", "web", Vec::new(), None)).unwrap();
    let taken = bench.store.put_container(&container("c2", "web", Vec::new(), None)).unwrap_err();
    assert_eq!(taken.to_string(), "the name `web` is in use by container c1");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let add = |container: &mut ContainerRecord| container.record.push('+');
                    bench.store.update_container("c1", add).unwrap().unwrap();
                }
            });
        }
    });
    let record = bench.store.container_by_name("web").unwrap().unwrap().record;
    assert_eq!(record.len(), 2 + 100);
    assert_eq!(bench.store.containers_by_id_prefix("c").unwrap().len(), 1);
    assert!(bench.store.update_container("c9", |_| ()).unwrap().is_none());
}

#[test]
fn a_snapshot_with_children_cannot_be_removed() {
    let bench = Bench::new();
    let base = bench.snapshot(None);
    let child = bench.snapshot(Some(base));
    assert!(matches!(bench.store.remove_snapshot(base), Err(Error::SnapshotInUse { .. })));
    assert_eq!(bench.store.snapshot_chain(child).unwrap(), [child, base]);
    bench.store.remove_snapshot(child).unwrap();
    bench.store.remove_snapshot(base).unwrap();
    assert!(matches!(bench.store.snapshot_chain(base), Err(Error::SnapshotMissing(_))));
}

#[test]
fn memos_of_a_snapshot_go_with_it() {
    let bench = Bench::new();
    let (one, other) = (bench.snapshot(None), bench.snapshot(None));
    for id in [one, other] {
        let namespace = Store::snapshot_namespace(id, "content");
        bench.store.memo_put(&namespace, [("b", "2"), ("a", "1")]).unwrap();
    }
    bench.store.remove_snapshot(one).unwrap();
    let namespace = |id| Store::snapshot_namespace(id, "content");
    assert_eq!(bench.store.memo_get(&namespace(one), b"a").unwrap(), None);
    assert_eq!(bench.store.memo_get(&namespace(other), b"a").unwrap(), Some(b"1".to_vec()));
    let all = bench.store.memo_all(&namespace(other)).unwrap();
    assert_eq!(all, [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2".to_vec())]);
}

#[test]
fn layers_are_found_by_snapshot_by_diff_id_and_by_blob() {
    let bench = Bench::new();
    let (_, snapshots) = bench.image(&["a"]);
    let layer = bench.store.layer_of(snapshots[0], Compression::None).unwrap().unwrap();
    assert!(bench.store.layer_of(snapshots[0], Compression::Gzip).unwrap().is_none());
    let blob = bench.store.blob_for_diff_id(layer.diff_id).unwrap().unwrap();
    assert_eq!(blob, layer.descriptor);
    assert_eq!(bench.store.diff_id_of(&blob.digest).unwrap(), Some(layer.diff_id));
    let found = bench.store.layers_by_diff_id(layer.diff_id).unwrap();
    assert_eq!(found.as_slice(), std::slice::from_ref(&layer));
    fs::remove_file(bench.store.blob_path(&blob.digest)).unwrap();
    assert!(bench.store.layer_of(snapshots[0], Compression::None).unwrap().is_none());
    assert!(bench.store.blob_for_diff_id(layer.diff_id).unwrap().is_none());
}

#[test]
fn a_cache_record_comes_back_as_it_was_and_notes_its_use() {
    let bench = Bench::new();
    let snapshot = bench.snapshot(None);
    bench.cache("key", snapshot, 1000);
    let record = bench.store.cache_lookup("key").unwrap().unwrap();
    assert_eq!((record.snapshots.as_slice(), record.last_used), (&[snapshot][..], 1000));
    let last_used = || bench.store.cache_lookup("key").unwrap().unwrap().last_used;
    bench.store.cache_touch(["key", "unknown"], 2000).unwrap();
    assert_eq!(last_used(), 1000, "within the hour nothing is written");
    bench.store.cache_touch(["key"], 9000).unwrap();
    assert_eq!(last_used(), 9000);
    assert!(bench.store.cache_remove("key").unwrap());
    assert!(bench.store.cache_lookup("key").unwrap().is_none());
}

#[test]
fn builds_are_listed_newest_first() {
    let bench = Bench::new();
    for (id, created) in [("a", 1), ("b", 3), ("c", 2)] {
        let project = if id == "b" { "other" } else { "one" };
        let (id, project) = (id.into(), project.into());
        bench.store.put_build(&BuildRecord { id, created, project, record: "{}".into() }).unwrap();
    }
    let ids: Vec<String> = bench.store.builds().unwrap().into_iter().map(|b| b.id).collect();
    assert_eq!(ids, ["b", "c", "a"]);
    let latest = |project| bench.store.latest_build(project).unwrap().map(|build| build.id);
    assert_eq!((latest("one"), latest("none")), (Some("c".into()), None));
}

#[test]
fn a_build_is_found_by_the_beginning_of_its_id_and_takes_its_logs_along() {
    let bench = Bench::new();
    for id in ["abc", "abd", "ab", "x"] {
        let (project, record) = (String::new(), "{}".into());
        bench.store.put_build(&BuildRecord { id: id.into(), created: 1, project, record }).unwrap();
        fs::create_dir_all(bench.store.build_directory(id)).unwrap();
    }
    let find = |prefix| bench.store.build(prefix).map(|build| build.map(|build| build.id));
    assert_eq!(find("abc").unwrap(), Some("abc".into()));
    assert_eq!(find("ab").unwrap(), Some("ab".into()), "a whole id is never ambiguous");
    assert_eq!(find("y").unwrap(), None);
    assert!(matches!(find("a"), Err(Error::AmbiguousBuild(_))));
    assert!(bench.store.remove_build("x").unwrap());
    assert!(!bench.store.build_directory("x").exists());
}

#[test]
fn shared_changes_have_one_directory_and_the_layers_of_their_owner() {
    let bench = Bench::new();
    let (base, other) = (bench.snapshot(None), bench.snapshot(None));
    let owner = bench.snapshot(Some(base));
    let sharer = bench.store.share_snapshot(Some(other), owner, 1).unwrap();
    let second = bench.store.share_snapshot(Some(base), sharer, 1).unwrap();
    let top = bench.snapshot(Some(second));
    assert_eq!(bench.store.snapshot(second).unwrap().unwrap().content, owner);
    assert_eq!(bench.store.snapshot_content(sharer).unwrap(), owner);
    assert_eq!(bench.store.snapshot_contents(top).unwrap(), [top, owner, base]);
    assert_eq!(bench.store.snapshot_chain(top).unwrap(), [top, second, base]);
    assert!(!bench.store.snapshot_path(sharer).exists());
    let digest = Digest::of(b"packed");
    let layer = LayerRecord {
        snapshot: sharer,
        diff_id: DiffId(digest),
        compression: Compression::None,
        descriptor: Descriptor::new(MediaType::OciLayer, digest, 6),
        unpacked_size: 5,
    };
    assert_eq!(bench.store.is_virtual(&digest).unwrap(), None);
    bench.store.record_layer(&layer).unwrap();
    assert_eq!(bench.store.is_virtual(&digest).unwrap(), Some(owner));
    for id in [owner, sharer, second] {
        let found = bench.store.layer_of(id, Compression::None).unwrap().unwrap();
        assert_eq!((found.snapshot, found.diff_id), (owner, layer.diff_id));
    }
    assert!(!bench.store.has_blob(&digest));
    bench.check_is_clean_but_for_rubbish();
    let in_use = bench.store.remove_snapshot(owner).unwrap_err();
    assert!(matches!(in_use, Error::SnapshotInUse { .. }), "{in_use}");

    bench.cache("key", sharer, 50);
    let report = bench.prune(ImagePrune::Keep, CachePrune::Keep);
    let mut removed: Vec<SnapshotId> = report.snapshots.iter().map(|(id, _)| *id).collect();
    removed.sort_unstable();
    let mut expected = [second, top];
    expected.sort_unstable();
    assert_eq!(removed, expected, "the owner and what it lies on stay with their sharer");
    assert!(bench.store.snapshot_path(owner).exists());
    bench.prune(ImagePrune::Keep, CachePrune::All);
    assert_eq!(bench.store.snapshots().unwrap(), []);
}

#[test]
fn a_sharer_without_the_owner_of_its_changes_is_damage() {
    let bench = Bench::new();
    let owner = bench.snapshot(None);
    let sharer = bench.store.share_snapshot(None, owner, 1).unwrap();
    bench.cache("key", sharer, 50);
    fs::remove_dir_all(bench.store.snapshot_path(owner)).unwrap();
    let findings = bench.findings();
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings.iter().all(Finding::is_damage));
    let missing = "0123456789".parse().unwrap();
    let error = bench.store.share_snapshot(None, missing, 1).unwrap_err();
    assert!(matches!(error, Error::SnapshotMissing(id) if id == missing), "{error}");
}

#[test]
fn the_store_is_taken_alone_only_when_nobody_uses_it() {
    let bench = Bench::new();
    let other = Store::open(bench.store.directory()).unwrap();
    let guard = other.share().unwrap();
    assert!(bench.store.exclusive(Wait::Try).unwrap().is_none());
    drop(guard);
    assert!(bench.store.exclusive(Wait::Try).unwrap().is_some());
    let own = bench.store.share().unwrap();
    let waits_for_itself = bench.store.exclusive(Wait::Block).unwrap();
    assert!(waits_for_itself.is_none());
    drop(own);
}

/// INV-STORE-3.
#[test]
fn what_another_command_makes_or_finds_is_not_pruned_under_it() {
    let bench = Bench::new();
    let store = &bench.store;
    let prune = || {
        let options = PruneOptions {
            images: ImagePrune::Unused,
            cache: CachePrune::All,
            ..PruneOptions::default()
        };
        store.prune(&options).unwrap().unwrap()
    };
    let (image, layers) = bench.image(&["a"]);
    store.set_tag("docker.io/library/x:1", &image).unwrap();
    let base = bench.snapshot(None);
    let owner = bench.snapshot(None);
    let cached = store.share_snapshot(Some(base), owner, 1).unwrap();
    bench.cache("key", cached, 1);
    let blob = store.put_blob(b"found").unwrap();

    let other = Store::open(store.directory()).unwrap();
    let share = other.share().unwrap();
    assert_eq!(other.cache_lookup("key").unwrap().unwrap().snapshots, [cached]);
    assert!(other.image_by_name("docker.io/library/x:1").unwrap().is_some());
    assert!(other.has_blob(&blob));
    let (made, started) = (other.put_blob(b"made").unwrap(), other.new_snapshot().unwrap());
    fs::create_dir(started.directory().join("fs")).unwrap();
    let report = prune();
    assert_eq!(report.cache_records, ["key"], "the record may go, not what it needs");
    assert_eq!(report.images, [image.id]);
    assert_eq!((report.snapshots.len(), report.blobs.len()), (0, 0));
    assert!([blob, made, image.id, image.manifest.digest].iter().all(|blob| other.has_blob(blob)));
    for id in [cached, base, owner, layers[0]] {
        assert!(other.snapshot(id).unwrap().is_some());
    }
    assert!(started.directory().join("fs").exists());
    let started = started.record(Some(cached), SnapshotKind::Committed, 1).unwrap();
    drop(share);
    let report = prune();
    assert_eq!(report.snapshots.len(), 5);
    assert!(store.snapshots().unwrap().is_empty() && !store.snapshot_path(started).exists());
    assert_eq!(report.blobs.len(), 5);
    bench.check_is_clean();
}

/// INV-STORE-3, when the finder is alive no more: its journal is nobody's.
#[test]
fn what_nobody_holds_any_more_is_pruned() {
    let bench = Bench::new();
    let other = Store::open(bench.store.directory()).unwrap();
    let share = other.share().unwrap();
    let found = bench.store.put_blob(b"found").unwrap();
    assert!(other.has_blob(&found));
    let prune = || bench.store.prune(&PruneOptions::default()).unwrap().unwrap().blobs.len();
    assert_eq!(prune(), 0);
    drop((share, other));
    assert_eq!(prune(), 1);
}

#[test]
fn damage_is_found() {
    let bench = Bench::new();
    let (image, snapshots) = bench.image(&["a"]);
    bench.store.set_tag("docker.io/library/x:1", &image).unwrap();
    bench.check_is_clean();
    let layer = bench.store.layer_of(snapshots[0], Compression::None).unwrap().unwrap();
    let path = bench.store.blob_path(&layer.descriptor.digest);
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"other").unwrap();
    let found = Some(Digest::of(b"other"));
    let damaged = Finding::BlobDamaged { digest: layer.descriptor.digest, found };
    assert_eq!(bench.findings(), [damaged]);
    fs::remove_file(&path).unwrap();
    let missing = bench.findings();
    assert_eq!(missing.len(), 1, "the image's layer may be packed again: {missing:?}");
    fs::remove_dir_all(bench.store.snapshot_path(snapshots[0])).unwrap();
    assert_eq!(bench.findings().len(), 3);
    assert!(bench.findings().iter().all(Finding::is_damage));
}

#[test]
fn rubbish_is_told_apart_from_damage_and_pruned() {
    let bench = Bench::new();
    let root = bench.store.directory();
    fs::create_dir_all(root.join("snapshots/0000000000/fs")).unwrap();
    fs::write(root.join("ingest/sha256-xyz.part"), b"x").unwrap();
    fs::create_dir(root.join("containers/gone")).unwrap();
    let findings = bench.findings();
    assert_eq!(findings.len(), 3);
    assert!(!findings.iter().any(Finding::is_damage));
    assert_eq!(bench.prune(ImagePrune::Keep, CachePrune::Keep).leftovers.len(), 3);
}

#[test]
fn disk_usage_counts_shared_layers_once() {
    let bench = Bench::new();
    let (one, _) = bench.image(&["base", "one"]);
    let (two, snapshots) = bench.image(&["base", "two"]);
    bench.store.put_image(&one).unwrap();
    bench.store.put_image(&two).unwrap();
    let cached = bench.snapshot(Some(snapshots[1]));
    bench.cache("key", cached, 1);
    let writable = bench.snapshot_of_kind(Some(snapshots[1]), SnapshotKind::Writable);
    let container = container("c1", "web", vec![writable], Some(two.id));
    bench.store.put_container(&container).unwrap();
    let volume = bench.store.directory().join("volumes/data");
    fs::create_dir_all(&volume).unwrap();
    fs::write(volume.join("file"), b"x").unwrap();
    let usage = bench.store.df(&|_| true, &|name| name == "data").unwrap();
    let rows = bench.store.usage_rows().unwrap();
    let size = |id: SnapshotId| {
        rows.iter().find(|row| row.id == id.to_string()).map(|row| row.bytes).unwrap()
    };
    assert_eq!((usage.images.total, usage.images.active), (2, 1));
    assert!(usage.images.size >= 3 * size(snapshots[0]));
    let blobs = rows.iter().filter(|row| row.kind == UsageKind::Blob).map(|row| row.bytes);
    let expected = 3 * size(snapshots[0]) + blobs.sum::<u64>();
    assert_eq!(usage.images.size, expected, "the base is counted once");
    assert!(usage.images.reclaimable > 0 && usage.images.reclaimable < usage.images.size);
    assert_eq!((usage.build_cache.total, usage.build_cache.size), (1, size(cached)));
    assert_eq!((usage.containers.size, usage.containers.reclaimable), (size(writable), 0));
    assert_eq!((usage.volumes.total, usage.volumes.active, usage.volumes.reclaimable), (1, 1, 0));
}

#[test]
fn cache_mounts_count_as_build_cache_and_go_with_all_of_it() {
    let bench = Bench::new();
    let mount = bench.store.directory().join("cache-mounts/npm");
    fs::create_dir_all(&mount).unwrap();
    fs::write(mount.join("file"), b"x").unwrap();
    let usage = bench.store.df(&|_| false, &|_| false).unwrap().build_cache;
    assert_eq!((usage.total, usage.reclaimable > 0), (1, true));
    assert_eq!(bench.prune(ImagePrune::Unused, CachePrune::UnusedSince(9)).cache_mounts.len(), 0);
    assert_eq!(bench.prune(ImagePrune::Unused, CachePrune::All).bytes(), usage.size);
    assert!(!mount.exists());
}

#[test]
fn opening_a_store_again_finds_everything() {
    let bench = Bench::new();
    let (image, _) = bench.image(&["a"]);
    bench.store.set_tag("docker.io/library/x:1", &image).unwrap();
    let again = Store::open(bench.store.directory()).unwrap();
    assert_eq!(again.images().unwrap(), bench.store.images().unwrap());
    let mode = fs::metadata(Path::new(bench.store.directory()).join("snapshots")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&mode) & 0o777, 0o700);
}
