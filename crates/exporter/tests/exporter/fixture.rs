//! A store with small images.

use std::{fs, path::PathBuf};

use lathe_event::{Cancel, Event, RecordingSink, TransferKind};
use lathe_exporter::{ClientResult, Env, ExportRequest, ImageLayer, Owners, PackOptions, layers};
use lathe_oci::{BuiltImage, History, ImageConfig, Reference};
use lathe_registry::{Client, ClientOptions};
use lathe_snapshot::{Driver, Snapshots};
use lathe_store::{SnapshotId, Store};

/// When the images of the tests were made.
pub(crate) const CREATED: &str = "2024-02-29T12:34:56Z";

pub(crate) struct Fixture {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) snapshots: Snapshots,
    pub(crate) events: RecordingSink,
    pub(crate) cancel: Cancel,
}

/// A client without configuration.
#[expect(clippy::unnecessary_wraps, reason = "the exporter asks for a result")]
pub(crate) fn client() -> ClientResult {
    Ok(Client::new(ClientOptions::default()))
}

impl Fixture {
    /// Returns an empty store; `None`, with a line that says so, where no owner can be given.
    pub(crate) fn new(test: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("SKIP {test}: only root can give files their owners");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        // The native driver needs no mounts, which the threads of the harness would share.
        let driver = Driver::Native("a test".to_owned());
        let snapshots = Snapshots::with_driver(&store, false, driver);
        let (events, cancel) = (RecordingSink::default(), Cancel::new());
        Some(Self { folder, store, snapshots, events, cancel })
    }

    pub(crate) fn env(&self) -> Env<'_> {
        Env {
            store: &self.store,
            snapshots: &self.snapshots,
            events: &self.events,
            cancel: &self.cancel,
            client: &client,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a snapshot in which these files are written.
    pub(crate) fn snapshot(
        &self,
        parent: Option<SnapshotId>,
        files: &[(&str, &str)],
    ) -> SnapshotId {
        let active = self.snapshots.prepare(parent).unwrap();
        let mounted = active.mount().unwrap();
        for (name, content) in files {
            let path = mounted.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        drop(mounted);
        active.commit().unwrap()
    }

    /// Makes the image of a chain of snapshots, whose layers are known afterwards.
    pub(crate) fn image(&self, chain: &[SnapshotId]) -> BuiltImage {
        assemble(layers(&self.env(), &[], chain, PackOptions::default()).unwrap())
    }

    /// Makes an image of two layers.
    pub(crate) fn small_image(&self) -> (BuiltImage, SnapshotId) {
        let base = self.snapshot(None, &[("etc/os", "test\n"), ("bin/tool", "#!\n")]);
        let top = self.snapshot(Some(base), &[("app/data", "content of the second layer\n")]);
        (self.image(&[base, top]), top)
    }

    /// Returns how many layers were packed since the last look.
    pub(crate) fn packed(&self) -> usize {
        let is_pack = |event: &Event| matches!(event, Event::TransferStarted(transfer) if transfer.kind == TransferKind::Pack);
        self.events.take().iter().filter(|event| is_pack(event)).count()
    }
}

pub(crate) fn assemble(layers: Vec<ImageLayer>) -> BuiltImage {
    let history = layers.iter().enumerate().map(|(number, _)| History {
        created: Some(CREATED.to_owned()),
        created_by: Some(format!("step {number}")),
        ..History::default()
    });
    let config = ImageConfig {
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        created: Some(CREATED.to_owned()),
        ..ImageConfig::default()
    };
    let history = history.collect();
    lathe_oci::assemble(config, history, layers.into_iter().map(|layer| layer.entry).collect())
        .unwrap()
}

pub(crate) fn name(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

/// Returns a request for an output of an image and nothing else.
pub(crate) fn request<'a>(image: &'a BuiltImage, names: &'a [Reference]) -> ExportRequest<'a> {
    ExportRequest {
        image: Some(image),
        platform: None,
        size: 0,
        tree: None,
        names,
        epoch: None,
        annotations: &[],
        owners: Owners::Caller,
    }
}
