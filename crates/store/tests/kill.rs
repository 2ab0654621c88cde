//! Several processes work on one store and are killed at any point; nothing may be damaged.
//!
//! The workers are this executable run again, with the store's directory in an environment
//! variable.

#![expect(clippy::unwrap_used, reason = "a failed call fails the test")]

use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use lathe_oci::ChainId;
use lathe_oci::Descriptor;
use lathe_oci::DiffId;
use lathe_oci::Digest;
use lathe_oci::ImageConfig;
use lathe_oci::Manifest;
use lathe_oci::MediaType;
use lathe_oci::Platform;
use lathe_store::CachePrune;
use lathe_store::CacheRecord;
use lathe_store::Compression;
use lathe_store::ContainerRecord;
use lathe_store::Error;
use lathe_store::Finding;
use lathe_store::ImagePrune;
use lathe_store::ImageRecord;
use lathe_store::LayerRecord;
use lathe_store::PruneOptions;
use lathe_store::Result;
use lathe_store::SnapshotId;
use lathe_store::SnapshotKind;
use lathe_store::Store;

const DIRECTORY: &str = "LATHE_TEST_KILL_STORE";
const SEED: &str = "LATHE_TEST_KILL_SEED";
/// What workers write when they fail.
const FAILED: &str = "failed";
const ROUNDS: u64 = 12;
const WORKERS: u64 = 4;

/// A small generator of numbers: the same seed, the same work.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.below(40_000);
        let start = self.below(1000);
        (start..start + length).map(|number| number.to_le_bytes()[0]).collect()
    }
}

/// INV-STORE-2, INV-STORE-3 and INV-STORE-4.
#[test]
fn killed_processes_leave_a_sound_store() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut done = 0;
    for round in 0..ROUNDS {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| start(directory.path(), round * WORKERS + worker + 1))
            .collect();
        for mut worker in workers {
            // The length of a life is what is varied here; nothing is waited for.
            std::thread::park_timeout(Duration::from_millis(10 + random.below(80)));
            worker.kill().unwrap();
            let status = worker.wait().unwrap();
            assert_eq!(status.signal(), Some(9), "the worker ended by itself: {status}");
        }
        let failed = fs::read_to_string(directory.path().join(FAILED)).unwrap_or_default();
        assert_eq!(failed, "", "in round {round}");
        let store = Store::open(directory.path()).unwrap();
        let damage: Vec<Finding> =
            findings(&store).into_iter().filter(Finding::is_damage).collect();
        assert_eq!(damage, [], "after round {round}");
        done += store.cache_records().unwrap().len();
    }
    let store = Store::open(directory.path()).unwrap();
    assert!(done > 0, "the workers lived long enough to record something");
    store.prune(&PruneOptions::default()).unwrap().expect("nobody uses the store any more");
    assert_eq!(findings(&store), [], "pruning removes the rest");
}

/// The worker: runs until it is killed. Without its variables it is no test at all.
#[test]
fn worker() {
    let (Some(directory), Ok(seed)) = (std::env::var_os(DIRECTORY), std::env::var(SEED)) else {
        return;
    };
    // A worker may be killed before its exit code tells.
    let failed = Path::new(&directory).join(FAILED);
    std::panic::set_hook(Box::new(move |panic| {
        let file = fs::OpenOptions::new().append(true).create(true).open(&failed);
        file.and_then(|mut file| writeln!(file, "{panic}")).unwrap();
    }));
    let seed: u64 = seed.parse().unwrap();
    let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
    loop {
        let store = Store::open(Path::new(&directory)).unwrap();
        for _ in 0..random.below(30) {
            match work(&store, &mut random) {
                // Others remove what this one has just found.
                Ok(()) | Err(Error::SnapshotMissing(_) | Error::SnapshotInUse { .. }) => {}
                Err(error) => panic!("{error}: {error:?}"),
            }
        }
    }
}

fn start(directory: &Path, seed: u64) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "worker", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(SEED, seed.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn findings(store: &Store) -> Vec<Finding> {
    let mut findings = Vec::new();
    store.check(&mut |finding| findings.push(finding)).unwrap();
    findings
}

fn work(store: &Store, random: &mut Random) -> Result<()> {
    match random.below(14) {
        10 | 11 => hold(store, random),
        12 => share(store, random),
        13 => {
            let (cap, cancel) = (random.below(200) << 12, random.below(4) == 0);
            if random.below(2) == 0 {
                store.collect(cap, 1000, &|| cancel).map(drop)
            } else {
                store.make_room(cap, 1000, &|| cancel).map(drop)
            }
        }
        0 => store.put_blob(&random.bytes()).map(drop),
        1 => interrupted_blobs(store, random),
        2..=4 => build(store, random),
        5 => image(store, random),
        6 => container(store, random),
        7 => store.remove_tag(&name(random)).map(drop),
        8 => prune(store, random),
        _ => store
            .snapshot_usage(some_snapshot(store, random)?.unwrap_or(make(store, None)?))
            .map(drop),
    }
}

fn interrupted_blobs(store: &Store, random: &mut Random) -> Result<()> {
    let bytes = random.bytes();
    let digest = Digest::of(&bytes);
    let mut writer = store.blob_writer()?;
    writer.write_all(&bytes[..bytes.len() / 2]).unwrap();
    let Some(mut partial) = store.partial(&digest)? else { return Ok(()) };
    let offset = usize::try_from(partial.offset()).unwrap();
    partial.write_all(&bytes[offset..]).unwrap();
    partial.finish(bytes.len() as u64)
}

fn some_snapshot(store: &Store, random: &mut Random) -> Result<Option<SnapshotId>> {
    let snapshots = store.snapshots()?;
    let position = random.below(snapshots.len().max(1) as u64);
    let found = snapshots.get(usize::try_from(position).unwrap());
    Ok(found.filter(|record| record.kind == SnapshotKind::Committed).map(|record| record.id))
}

fn make(store: &Store, parent: Option<SnapshotId>) -> Result<SnapshotId> {
    let new = store.new_snapshot()?;
    let files = new.directory().join("fs");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("file"), b"content").unwrap();
    new.record(parent, SnapshotKind::Committed, 1)
}

/// As a build step: a snapshot, its layer, its cache record.
fn build(store: &Store, random: &mut Random) -> Result<()> {
    let _share = store.share()?;
    let snapshot = make(store, some_snapshot(store, random)?)?;
    let bytes = random.bytes();
    let digest = store.put_blob(&bytes)?;
    store.record_layer(&LayerRecord {
        snapshot,
        diff_id: DiffId(digest),
        compression: Compression::None,
        descriptor: Descriptor::new(MediaType::OciLayer, digest, bytes.len() as u64),
        unpacked_size: 7,
    })?;
    store.cache_record(&CacheRecord {
        key: format!("key{}", random.below(200)),
        result: "{}".into(),
        snapshots: vec![snapshot],
        blobs: vec![digest],
        created: 1,
        last_used: i64::try_from(random.below(100)).unwrap(),
        recipe: None,
    })
}

/// As a build step that shares its changes with another one.
fn share(store: &Store, random: &mut Random) -> Result<()> {
    let _share = store.share()?;
    let Some(content) = some_snapshot(store, random)? else { return Ok(()) };
    let parent = some_snapshot(store, random)?;
    let snapshot = store.share_snapshot(parent, content, 1)?;
    store.cache_record(&CacheRecord {
        key: format!("key{}", random.below(200)),
        result: "{}".into(),
        snapshots: vec![snapshot],
        blobs: Vec::new(),
        created: 1,
        last_used: i64::try_from(random.below(100)).unwrap(),
        recipe: None,
    })
}

/// As a build that finds results and images, and goes on with them while others delete
/// (INV-STORE-3).
fn hold(store: &Store, random: &mut Random) -> Result<()> {
    let _share = store.share()?;
    let (mut files, mut blobs) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        if let Some(record) = store.cache_lookup(&format!("key{}", random.below(200)))? {
            for id in record.snapshots {
                files.extend(store.snapshot_contents(id)?);
            }
            blobs.extend(record.blobs);
        }
    }
    if let Some(image) = store.image_by_name(&name(random))? {
        let manifest = store.read_blob(&image.manifest.digest, 1 << 20)?;
        let manifest = Manifest::parse(&manifest).unwrap();
        blobs.extend([image.id, image.manifest.digest]);
        blobs.extend(manifest.layers.iter().map(|layer| layer.digest));
    }
    for _ in 0..30 {
        std::thread::yield_now();
        for id in &files {
            let file = store.snapshot_path(*id).join("fs/file");
            assert!(file.exists(), "snapshot {id} went under a command");
        }
        for digest in &blobs {
            assert!(store.blob_path(digest).exists(), "blob {digest} went under a command");
        }
    }
    Ok(())
}

fn name(random: &mut Random) -> String {
    format!("docker.io/library/image:{}", random.below(20))
}

fn image(store: &Store, random: &mut Random) -> Result<()> {
    let _share = store.share()?;
    let bytes = random.bytes();
    let layer = Descriptor::of(MediaType::OciLayer, &bytes);
    store.put_blob(&bytes)?;
    let diff_id = DiffId(layer.digest);
    let mut config = ImageConfig { os: "linux".into(), ..ImageConfig::default() };
    config.rootfs.diff_ids.push(diff_id);
    let config = serde_json::to_vec(&config).unwrap();
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MediaType::OciManifest),
        config: Descriptor::of(MediaType::OciConfig, &config),
        layers: vec![layer],
        annotations: std::collections::BTreeMap::default(),
    };
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let chain = ChainId::of(&[diff_id]).unwrap();
    if store.snapshot_for_chain(chain)?.is_none() {
        store.record_chain(chain, make(store, None)?)?;
    }
    let image = ImageRecord {
        id: store.put_blob(&config)?,
        manifest: Descriptor::new(
            MediaType::OciManifest,
            store.put_blob(&manifest)?,
            manifest.len() as u64,
        ),
        names: Vec::new(),
        created: 1,
        size: 1,
        platform: Platform::linux("amd64"),
        repo_digests: Vec::new(),
    };
    store.set_tag(&name(random), &image)
}

fn container(store: &Store, random: &mut Random) -> Result<()> {
    let _share = store.share()?;
    let id = format!("c{}", random.below(20));
    if let Some(old) = store.container(&id)? {
        store.remove_container(&id)?;
        for snapshot in old.snapshots {
            store.remove_snapshot(snapshot)?;
        }
        return Ok(());
    }
    let new = store.new_snapshot()?;
    fs::create_dir(new.directory().join("fs")).unwrap();
    fs::write(new.directory().join("fs/file"), b"own").unwrap();
    let snapshot = new.record(some_snapshot(store, random)?, SnapshotKind::Writable, 1)?;
    let (name, record) = (format!("name-{id}"), "{}".into());
    let snapshots = vec![snapshot];
    match store.put_container(&ContainerRecord {
        id,
        name,
        created: 1,
        image: None,
        snapshots,
        record,
    }) {
        Err(Error::NameInUse { .. }) => Ok(()),
        put => put,
    }
}

fn prune(store: &Store, random: &mut Random) -> Result<()> {
    let time = i64::try_from(random.below(40)).unwrap();
    let options = PruneOptions {
        images: ImagePrune::Dangling,
        cache: CachePrune::UnusedSince(time),
        ..PruneOptions::default()
    };
    store.prune(&options).map(drop)
}
