//! Which image a name means for a platform.

use lathe_oci::{Platform, Reference};
use lathe_source::{Error, PullPolicy};
use lathe_store::Store;
use lathe_testkit::{
    fixture::{ImageFixture, put_index},
    registry::FakeRegistry,
};

use crate::common::images;

fn fixture(architecture: &str) -> ImageFixture {
    ImageFixture::new(serde_json::json!({})).architecture(architecture)
}

/// Returns the architecture of what is pinned for one.
fn pin(registry: &FakeRegistry, tag: &str, architecture: &str) -> Result<String, Error> {
    let folder = tempfile::tempdir().expect("it works");
    let images = images(&Store::open(folder.path()).expect("open the store"), registry.host());
    let reference = Reference::parse(&format!("{}/app:{tag}", registry.host())).expect("it works");
    let platform = Platform::linux(architecture);
    let image = images.pin(&reference, &platform, PullPolicy::Missing)?;
    Ok(image.config.platform().architecture)
}

#[test]
fn an_image_without_index_is_given_back_for_every_platform() {
    let registry = FakeRegistry::start();
    fixture("arm64").put(&registry, "app", "1");
    assert_eq!(pin(&registry, "1", "amd64").unwrap(), "arm64");
}

#[test]
fn an_index_without_a_match_is_an_error_that_lists_what_there_is() {
    let registry = FakeRegistry::start();
    put_index(&registry, "app", "1", &[fixture("arm64"), fixture("s390x")]);
    let error = pin(&registry, "1", "amd64").unwrap_err().to_string();
    assert!(error.ends_with("for linux/amd64, only for linux/arm64, linux/s390x"), "{error}");
}

#[test]
fn the_best_of_an_index_is_taken() {
    let registry = FakeRegistry::start();
    put_index(&registry, "app", "1", &[fixture("386"), fixture("amd64")]);
    put_index(&registry, "app", "2", &[fixture("arm64"), fixture("386")]);
    assert_eq!(pin(&registry, "1", "amd64").unwrap(), "amd64");
    assert_eq!(pin(&registry, "2", "amd64").unwrap(), "386");
}

#[test]
fn a_digest_whose_manifest_is_here_is_answered_without_the_registry() {
    let registry = FakeRegistry::start();
    fixture("amd64").put(&registry, "app", "1");
    let folder = tempfile::tempdir().unwrap();
    let images = images(&Store::open(folder.path()).expect("open the store"), registry.host());
    let name = format!("{}/app", registry.host());
    let platform = Platform::linux("amd64");
    let tagged = Reference::parse(&format!("{name}:1")).unwrap();
    let image = images.pin(&tagged, &platform, PullPolicy::Missing).unwrap();
    registry.take_requests();
    let digest = Reference::parse(&format!("{name}@{}", image.manifest.digest)).unwrap();
    let again = images.pin(&digest, &platform, PullPolicy::Always).unwrap();
    assert_eq!(again.manifest.digest, image.manifest.digest);
    assert!(registry.take_requests().is_empty());
}

#[test]
fn a_pruned_blob_is_brought_again() {
    let registry = FakeRegistry::start();
    fixture("amd64").put(&registry, "app", "1");
    let folder = tempfile::tempdir().unwrap();
    let images = images(&Store::open(folder.path()).expect("open the store"), registry.host());
    let reference = Reference::parse(&format!("{}/app:1", registry.host())).unwrap();
    let image = images.pin(&reference, &Platform::linux("amd64"), PullPolicy::Missing).unwrap();
    let config = &image.document.config;
    std::fs::remove_file(images.store.blob_path(&config.digest)).unwrap();
    images.refetch_blob(&reference, config).unwrap();
    assert!(images.store.has_blob(&config.digest));
}
