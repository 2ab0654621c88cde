//! What lies about its digest stays out of the store.

use std::path::Path;

use lathe_oci::{Digest, Platform, Reference};
use lathe_snapshot::{Driver, Snapshots};
use lathe_source::{PullPolicy, fetch};
use lathe_store::Store;
use lathe_testkit::registry::{FakeRegistry, Fault};

use crate::common::images;

/// A layer without files: unpacking it takes no privileges.
const LAYER: [u8; 1024] = [0; 1024];

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Puts an image of one layer, whose config says `diff_id`; returns the layer's digest.
fn put(registry: &FakeRegistry, diff_id: Digest) -> Digest {
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    );
    let layer = registry.put_blob("app", &LAYER);
    let config_digest = registry.put_blob("app", config.as_bytes());
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config_digest}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":{}}}]}}"#,
        config.len(),
        LAYER.len(),
    );
    registry.put_manifest("app", "1", MANIFEST, manifest.as_bytes());
    layer
}

/// Fetches the image; returns the error's text, and how many snapshots there are afterwards.
fn pull(registry: &FakeRegistry, folder: &Path) -> (Result<(), String>, usize) {
    let store = Store::open(folder).expect("open the store");
    let snapshots = Snapshots::with_driver(&store, true, Driver::Native("no mounts".into()));
    let images = images(&store, registry.host());
    let reference: Reference = format!("{}/app:1", registry.host()).parse().expect("a name");
    let platform: Platform = "linux/amd64".parse().expect("a platform");
    let image = images.pin(&reference, &platform, PullPolicy::Missing).expect("pin");
    let fetched = fetch(&images, &snapshots, &reference, &image, None);
    let fetched = fetched.map(drop).map_err(|error| error.to_string());
    (fetched, store.snapshots().expect("read the index").len())
}

#[test]
fn an_honest_image_becomes_a_snapshot() {
    let (registry, folder) = (FakeRegistry::start(), tempfile::tempdir().unwrap());
    put(&registry, Digest::of(&LAYER));
    assert_eq!(pull(&registry, folder.path()), (Ok(()), 1));
}

#[test]
fn inv_source_verified_a_layer_with_another_diff_id_becomes_no_snapshot() {
    let (registry, folder) = (FakeRegistry::start(), tempfile::tempdir().unwrap());
    let claimed = Digest::of(b"another layer");
    put(&registry, claimed);
    let (fetched, snapshots) = pull(&registry, folder.path());
    let error = fetched.unwrap_err();
    assert!(error.contains(&claimed.to_string()), "{error}");
    assert_eq!(snapshots, 0);
}

#[test]
fn inv_source_verified_other_bytes_do_not_enter_the_store() {
    let (registry, folder) = (FakeRegistry::start(), tempfile::tempdir().unwrap());
    let layer = put(&registry, Digest::of(&LAYER));
    let other = vec![1; LAYER.len()];
    registry.fail("GET", &layer.to_string(), 100, Fault::Body(other.clone()));
    let (fetched, snapshots) = pull(&registry, folder.path());
    assert!(fetched.is_err());
    assert_eq!(snapshots, 0);
    let store = Store::open(folder.path()).unwrap();
    assert!(!store.has_blob(&layer) && !store.has_blob(&Digest::of(&other)));
}
