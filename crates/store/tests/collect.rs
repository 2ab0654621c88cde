//! Collecting, sizes and pruning of the build cache through the public interface.

#![expect(clippy::unwrap_used, reason = "a failed call fails the test")]

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use lathe_oci::Descriptor;
use lathe_oci::DiffId;
use lathe_oci::Digest;
use lathe_oci::MediaType;
use lathe_oci::Platform;
use lathe_store::BuildRecord;
use lathe_store::CacheRecord;
use lathe_store::Compression;
use lathe_store::DryRun;
use lathe_store::Finding;
use lathe_store::ImageRecord;
use lathe_store::LayerRecord;
use lathe_store::PruneReport;
use lathe_store::SnapshotId;
use lathe_store::SnapshotKind;
use lathe_store::Store;
use lathe_store::UsageItem;
use lathe_store::UsageKind;

/// What the file of a snapshot has here, in bytes: much more than all that is not counted exactly.
const FILE: usize = 256 * 1024;

const NOW: i64 = 1_000_000;

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
        let new = self.store.new_snapshot().unwrap();
        let files = new.directory().join("fs");
        fs::create_dir(&files).unwrap();
        fs::write(files.join("file"), vec![b'x'; FILE]).unwrap();
        new.record(parent, SnapshotKind::Committed, 1).unwrap()
    }

    /// Makes a snapshot that has the same file as another one.
    fn linked(&self, other: SnapshotId) -> SnapshotId {
        let new = self.store.new_snapshot().unwrap();
        let files = new.directory().join("fs");
        fs::create_dir(&files).unwrap();
        fs::hard_link(self.file_of(other), files.join("other name")).unwrap();
        new.record(None, SnapshotKind::Committed, 2).unwrap()
    }

    fn file_of(&self, id: SnapshotId) -> PathBuf {
        self.store.snapshot_path(id).join("fs/file")
    }

    fn cache(&self, key: &str, snapshot: SnapshotId, last_used: i64) {
        let record = CacheRecord {
            key: key.into(),
            result: "{}".into(),
            snapshots: vec![snapshot],
            blobs: Vec::new(),
            created: 1,
            last_used,
            recipe: Some(format!("op\t{key}\n")),
        };
        self.store.cache_record(&record).unwrap();
    }

    fn cached(&self, key: &str, last_used: i64) -> SnapshotId {
        let id = self.snapshot(None);
        self.cache(key, id, last_used);
        id
    }

    fn image(&self, text: &str) -> ImageRecord {
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","created":"2020-01-02T03:04:05Z",
                "config":{{"Labels":{{"text":"{text}"}}}},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
        );
        let id = self.store.put_blob(config.as_bytes()).unwrap();
        let manifest = lathe_oci::Manifest {
            schema_version: 2,
            media_type: Some(MediaType::OciManifest),
            config: Descriptor::of(MediaType::OciConfig, config.as_bytes()),
            layers: Vec::new(),
            annotations: std::collections::BTreeMap::default(),
        };
        let bytes = serde_json::to_vec(&manifest).unwrap();
        self.store.put_blob(&bytes).unwrap();
        ImageRecord {
            id,
            manifest: Descriptor::of(MediaType::OciManifest, &bytes),
            names: Vec::new(),
            created: 100,
            size: 5,
            platform: Platform::linux("amd64"),
            repo_digests: Vec::new(),
        }
    }

    fn size(&self) -> u64 {
        self.store.size(NOW).unwrap().unwrap()
    }

    fn collect(&self, cap: u64) -> PruneReport {
        let report = self.store.collect(cap, NOW, &|| false).unwrap();
        let mut findings = Vec::new();
        self.store.check(&mut |finding| findings.push(finding)).unwrap();
        findings.retain(Finding::is_damage);
        assert_eq!(findings, []);
        report
    }
}

fn fill(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, vec![b'y'; FILE]).unwrap();
}

fn disk_usage(directory: &Path) -> u64 {
    let output = Command::new("du").args(["-s", "-B1"]).arg(directory).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

#[track_caller]
fn check_near(found: u64, expected: u64) {
    let slack = FILE as u64 / 2;
    assert!(found.abs_diff(expected) < slack, "{found} is not about {expected}");
}

/// A store with all that there can be.
fn full() -> Bench {
    let bench = Bench::new();
    let base = bench.cached("base", 10);
    let linked = bench.linked(base);
    bench.cache("linked", linked, 20);
    let sharer = bench.store.share_snapshot(Some(linked), base, 3).unwrap();
    bench.cache("sharer", sharer, 30);
    let root = bench.store.directory().to_owned();
    for path in [
        "cache-mounts/npm/fs/file",
        "git/repository/pack",
        "digests/context",
        "builds/b1/step",
        "volumes/data/file",
        "ingest/sha256-xyz.part",
        "snapshots/0000000000/fs/left over",
    ] {
        fill(&root.join(path));
    }
    let (id, project) = ("b1".to_owned(), "p".to_owned());
    let build = BuildRecord { id, created: 5000, project, record: "{}".into() };
    bench.store.put_build(&build).unwrap();
    bench.store.set_tag("docker.io/library/x:1", &bench.image("x")).unwrap();
    bench.store.put_blob(&vec![b'z'; FILE]).unwrap();
    bench
}

#[test]
fn each_byte_of_the_store_is_in_one_row() {
    let bench = full();
    let _share = bench.store.share().unwrap();
    assert!(bench.store.cache_lookup("base").unwrap().is_some());
    let rows = bench.store.usage_rows().unwrap();
    let sum: u64 = rows.iter().map(|row| row.bytes).sum();
    assert_eq!(sum, disk_usage(bench.store.directory()));
    let row = |kind| -> Vec<&UsageItem> { rows.iter().filter(|row| row.kind == kind).collect() };
    let [base, linked, sharer] = row(UsageKind::Snapshot)[..] else { panic!("{rows:#?}") };
    assert!(base.bytes >= FILE as u64, "who made the file has it");
    assert!(linked.bytes < FILE as u64 && sharer.bytes == 0);
    assert!(base.shared && linked.shared && sharer.shared);
    assert_eq!(sharer.parents, [linked.id.clone(), base.id.clone()]);
    assert_eq!((base.last_used, base.description.as_str()), (Some(30), "op\tbase\n"));
    assert!(base.in_use && !linked.in_use, "this process holds what it has looked up");
    assert_eq!(row(UsageKind::Temporary).iter().filter(|row| row.bytes >= FILE as u64).count(), 2);
    for kind in [UsageKind::CacheMount, UsageKind::Repository, UsageKind::Digests] {
        assert!(row(kind).iter().any(|row| row.bytes >= FILE as u64 && !row.in_use), "{kind:?}");
    }
    assert_eq!(row(UsageKind::BuildLog)[0].id, "b1");
}

#[test]
fn the_size_is_known_without_a_look_at_the_files() {
    let bench = Bench::new();
    let start = bench.size();
    let first = bench.cached("one", 10);
    check_near(bench.size(), start + FILE as u64);
    let digest = bench.store.put_blob(&vec![b'z'; FILE]).unwrap();
    bench
        .store
        .record_layer(&LayerRecord {
            snapshot: first,
            diff_id: DiffId(Digest::of(b"other")),
            compression: Compression::Gzip,
            descriptor: Descriptor::new(MediaType::OciLayer, digest, FILE as u64),
            unpacked_size: 1,
        })
        .unwrap();
    check_near(bench.size(), start + 2 * FILE as u64);
    // Counted twice until somebody looks.
    bench.cache("linked", bench.linked(first), 20);
    check_near(bench.size(), start + 3 * FILE as u64);
    bench.collect(bench.size() - 1);
    check_near(bench.size(), start + 2 * FILE as u64);
    check_near(bench.size(), disk_usage(bench.store.directory()));
    bench.collect(0);
    check_near(bench.size(), disk_usage(bench.store.directory()));
}

#[test]
fn the_least_recently_used_goes_until_the_rest_fits() {
    let bench = Bench::new();
    let old = bench.cached("old", 10);
    let mid = bench.cached("mid", 20);
    let new = bench.cached("new", 30);
    assert_eq!(bench.collect(u64::MAX), PruneReport::default(), "not even looked at");
    let report = bench.collect(bench.size() - 1000);
    assert_eq!(report.cache_records, ["old"]);
    assert_eq!(report.snapshots.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [old]);
    check_near(report.left, disk_usage(bench.store.directory()));
    assert!(!bench.store.snapshot_path(old).exists());
    // A child keeps what it lies on, and its time counts for both.
    bench.cache("child", bench.snapshot(Some(mid)), 40);
    let report = bench.collect(bench.size() - 1000);
    assert_eq!(report.cache_records, ["mid", "new"], "what was used before it goes as well");
    assert!(bench.store.snapshot_path(mid).exists() && !bench.store.snapshot_path(new).exists());
}

#[test]
fn what_names_and_running_commands_need_stays_under_any_cap() {
    let bench = full();
    let image = bench.image("loose");
    bench.store.put_image(&image).unwrap();
    let other = Store::open(bench.store.directory()).unwrap();
    let share = other.share().unwrap();
    let held = other.cache_lookup("sharer").unwrap().unwrap().snapshots[0];
    let report = bench.collect(0);
    assert_eq!(report.cache_records, ["base", "linked", "sharer"]);
    assert_eq!(report.images, [image.id]);
    assert_eq!(report.builds, ["b1"]);
    assert!(other.snapshot(held).unwrap().is_some());
    assert_eq!(bench.store.snapshots().unwrap().len(), 3);
    assert_eq!(bench.store.images().unwrap().len(), 1);
    let gone = |path: &str| !bench.store.directory().join(path).exists();
    assert!(gone("digests/context") && gone("builds/b1"));
    assert!(!gone("git/repository"), "somebody may be reading it");
    assert!(!gone("cache-mounts/npm"), "it is none of ours: nobody can tell what it began with");
    assert!(!gone("volumes/data/file"));
    drop(share);
    let report = bench.collect(0);
    assert_eq!(report.snapshots.len(), 3);
    assert!(gone("git/repository") && gone("cache-mounts/npm") && gone("ingest/sha256-xyz.part"));
    assert!(!gone("volumes/data/file"));
}

#[test]
fn room_is_made_whatever_the_cap() {
    let bench = Bench::new();
    bench.cached("old", 10);
    bench.cached("new", 20);
    let report = bench.store.make_room(FILE as u64 / 2, NOW, &|| false).unwrap();
    assert_eq!(report.cache_records, ["old"]);
    let report = bench.store.make_room(u64::MAX, NOW, &|| false).unwrap();
    assert_eq!(report.cache_records, ["new"]);
}

#[test]
fn a_disk_that_is_full_is_made_room_on() {
    let directory = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "lathe-test"])
        .arg(directory.path())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("SKIP a_disk_that_is_full_is_made_room_on: cannot mount a tmpfs");
        return;
    }
    let root = directory.path().join("store");
    let store = Store::open(&root).unwrap();
    let bench = Bench { store, _directory: tempfile::tempdir().unwrap() };
    for number in 0..4 {
        bench.cached(&format!("key{number}"), number);
    }
    let filler = directory.path().join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    let full = std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let report = bench.store.make_room(FILE as u64, NOW, &|| false);
    let free = fs::write(root.join("ingest/more"), vec![0; FILE]);
    drop((bench, file));
    assert!(Command::new("umount").arg(directory.path()).status().unwrap().success());
    let report = report.unwrap();
    assert!(!report.cache_records.is_empty() && report.cache_records[0] == "key0");
    free.unwrap();
}

#[test]
fn build_cache_is_pruned_by_choice_and_down_to_a_size() {
    let bench = Bench::new();
    for (key, last_used) in [("a", 10), ("b", 20), ("c", 30)] {
        bench.cached(key, last_used);
    }
    fill(&bench.store.directory().join("git/repository/pack"));
    let prune = |select: &dyn Fn(&UsageItem) -> bool, keep, dry| {
        bench.store.prune_cache(select, keep, dry).unwrap().unwrap()
    };
    let is_b = |row: &UsageItem| row.description.contains("\tb");
    let planned = prune(&is_b, 0, DryRun::Yes);
    assert_eq!(planned.cache_records, ["b"]);
    assert_eq!(planned, prune(&is_b, 0, DryRun::No));
    let regular = |row: &UsageItem| row.kind.buildkit_type() == "regular";
    let report = prune(&regular, 2 * FILE as u64 + FILE as u64 / 2, DryRun::No);
    assert_eq!(report.cache_records, ["a"], "the oldest goes, and no repository");
    let report = prune(&|_| true, 0, DryRun::No);
    assert_eq!((report.cache_records.len(), report.cache_mounts.len()), (1, 1));
}

#[test]
fn lists_of_images_read_no_files() {
    let bench = Bench::new();
    for number in 0..50 {
        let image = bench.image(&number.to_string());
        bench.store.set_tag(&format!("docker.io/library/x:{number}"), &image).unwrap();
    }
    let again = bench.image("7");
    bench.store.set_tag("docker.io/library/x:other", &again).unwrap();
    fs::remove_dir_all(bench.store.directory().join("blobs")).unwrap();
    let summaries = bench.store.image_summaries().unwrap();
    assert_eq!(summaries.len(), 50);
    for summary in &summaries {
        assert_eq!(summary.created, Some(1_577_934_245));
        let name = format!("docker.io/library/x:{}", summary.labels["text"]);
        let names = &summary.image.names;
        assert!(names.contains(&name), "{names:?}");
        assert_eq!(names.len(), if summary.labels["text"] == "7" { 2 } else { 1 });
    }
}

#[test]
fn a_store_of_format_1_is_migrated_in_place() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["blobs/sha256", "ingest", "snapshots/0123456789/fs", "containers", "run"] {
        fs::create_dir_all(directory.path().join(name)).unwrap();
    }
    let made = Bench::new();
    let image = made.image("old");
    for path in [image.id, image.manifest.digest].map(|digest| made.store.blob_path(&digest)) {
        let name = path.file_name().unwrap();
        fs::copy(&path, directory.path().join("blobs/sha256").join(name)).unwrap();
    }
    {
        let old = rusqlite::Connection::open(directory.path().join("index.db")).unwrap();
        old.execute_batch(include_str!("data/format-1.sql")).unwrap();
        old.pragma_update(None, "application_id", 0x6c61_7468).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        old.execute(
            "INSERT INTO snapshots VALUES ('0123456789', NULL, 'committed', 7, 4096, 1)",
            [],
        )
        .unwrap();
        old.execute("INSERT INTO builds VALUES ('b', 7, '{}')", []).unwrap();
        let record = serde_json::to_string(&image).unwrap();
        old.execute("INSERT INTO images VALUES (?1, 100, ?2)", [image.id.to_string(), record])
            .unwrap();
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| Store::open(directory.path()).unwrap());
        }
    });
    let store = Store::open(directory.path()).unwrap();
    let snapshots = store.snapshots().unwrap();
    let [snapshot] = &snapshots[..] else { panic!("{snapshots:?}") };
    assert_eq!((snapshot.content, snapshot.created), (snapshot.id, 7));
    assert_eq!(store.builds().unwrap()[0].project, "");
    assert_eq!(store.image_summaries().unwrap()[0].labels["text"], "old");
    assert_eq!(store.size(NOW).unwrap(), None, "nobody has looked yet");
    store.collect(u64::MAX, NOW, &|| false).unwrap();
    assert!(store.size(NOW).unwrap().is_some());
    let schema = |directory: &Path| -> Vec<(String, String)> {
        let index = rusqlite::Connection::open(directory.join("index.db")).unwrap();
        let sql = "SELECT m.name, COALESCE(p.name || ' ' || p.type || p.[notnull] || p.pk, '')
            FROM sqlite_schema m LEFT JOIN pragma_table_info(m.name) p
            WHERE m.name NOT LIKE 'sqlite_%' ORDER BY m.name, p.name";
        let mut statement = index.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(schema(directory.path()), schema(made.store.directory()));
}
