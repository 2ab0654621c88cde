//! Pushing to a registry.

use std::io::Read as _;

use lathe_exporter::{ExportRequest, ExportSpec, Owners, export, push, store_image};
use lathe_oci::{Digest, MediaType, Reference};
use lathe_registry::Pushed;
use lathe_testkit::{
    debian_registry::{DebianRegistry, Users},
    registry::FakeRegistry,
};

use crate::fixture::{Fixture, name, request};

#[test]
fn an_image_is_pushed_once() {
    let Some(fixture) = Fixture::new("an_image_is_pushed_once") else { return };
    let registry = FakeRegistry::start();
    let (image, _) = fixture.small_image();
    let target = name(&format!("{}/team/app:1", registry.host()));
    store_image(&fixture.store, &image, &[name("app")], 0).unwrap();
    let report = push(&fixture.env(), &image, &target).unwrap();
    assert!(report.layers.iter().all(|layer| layer.outcome == Pushed::Uploaded));
    let (media_type, bytes) = registry.manifest("team/app", "1").unwrap();
    assert_eq!(media_type, "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(report.manifest.digest, Digest::of(&bytes));
    assert_eq!(report.manifest.size, bytes.len() as u64);
    let blobs = report.layers.iter().map(|layer| &layer.entry.descriptor.digest);
    for digest in blobs.chain([image.id()]) {
        assert!(registry.blob("team/app", digest).is_some(), "{digest}");
    }
    let record = fixture.store.image(image.id()).unwrap().unwrap();
    let repo_digest = format!("{}/team/app@{}", registry.host(), report.manifest.digest);
    assert_eq!(record.repo_digests, [repo_digest]);
    registry.take_requests();
    let report = push(&fixture.env(), &image, &target).unwrap();
    assert!(report.layers.iter().all(|layer| layer.outcome == Pushed::AlreadyThere));
    let uploads = registry.take_requests();
    let uploads: Vec<_> = uploads.iter().filter(|r| r.method == "POST").collect();
    assert!(uploads.is_empty(), "{uploads:?}");
}

#[test]
fn what_another_repository_has_is_mounted() {
    let Some(fixture) = Fixture::new("what_another_repository_has_is_mounted") else { return };
    let registry = FakeRegistry::start();
    let (image, _) = fixture.small_image();
    store_image(&fixture.store, &image, &[name("app")], 0).unwrap();
    let target = |repository: &str| name(&format!("{}/{repository}:1", registry.host()));
    push(&fixture.env(), &image, &target("base")).unwrap();
    let report = push(&fixture.env(), &image, &target("app")).unwrap();
    for layer in report.layers {
        assert_eq!(layer.outcome, Pushed::Mounted);
        assert_eq!(layer.from.as_ref().map(Reference::repository), Some("base"));
        assert!(registry.blob("app", &layer.entry.descriptor.digest).is_some());
    }
}

#[test]
fn an_output_pushes_under_all_names() {
    let Some(fixture) = Fixture::new("an_output_pushes_under_all_names") else { return };
    let registry = FakeRegistry::start();
    let (image, _) = fixture.small_image();
    let spec = format!("type=registry,name={}/app:2", registry.host());
    let spec = ExportSpec::parse(&spec).unwrap();
    let names = [name(&format!("{}/app:1", registry.host()))];
    let request = ExportRequest {
        image: Some(&image),
        platform: None,
        size: 5,
        tree: None,
        names: &names,
        epoch: None,
        annotations: &[],
        owners: Owners::Caller,
    };
    let receipt = export(&fixture.env(), &spec, &request).unwrap();
    assert_eq!(receipt.pushed.len(), 2);
    for tag in ["1", "2"] {
        assert!(registry.manifest("app", tag).is_some());
    }
    let record = fixture.store.image(image.id()).unwrap().unwrap();
    assert_eq!((record.size, record.names.len(), record.repo_digests.len()), (5, 2, 1));
    let nameless = ExportRequest { names: &[], ..request };
    let spec = ExportSpec::parse("type=registry").unwrap();
    let error = export(&fixture.env(), &spec, &nameless).unwrap_err().to_string();
    assert!(error.contains("no name to push it under"), "{error}");
}

#[test]
fn an_image_can_be_pushed_without_a_tag() {
    let Some(fixture) = Fixture::new("an_image_can_be_pushed_without_a_tag") else { return };
    let registry = FakeRegistry::start();
    let (image, _) = fixture.small_image();
    let attempt = |options: &str, names: &[Reference]| {
        let spec = ExportSpec::parse(&format!("type=registry,{options}")).unwrap();
        export(&fixture.env(), &spec, &request(&image, names))
    };
    let host = registry.host();
    let by_digest = format!("push-by-digest=true,name={host}/app");
    let receipt = attempt(&by_digest, &[]).unwrap();
    let digest = receipt.pushed[0].manifest.digest;
    assert_eq!(receipt.manifest.map(|manifest| manifest.digest), Some(digest));
    assert_eq!(receipt.names, [], "it has no tag here either");
    assert!(registry.manifest("app", &digest.to_string()).is_some());
    assert!(registry.manifest("app", "latest").is_none());
    let record = fixture.store.image(image.id()).unwrap().unwrap();
    assert_eq!(record.repo_digests, [format!("{host}/app@{digest}")]);
    let error = attempt(&by_digest, &[name("app:1")]).unwrap_err().to_string();
    assert!(
        error.contains("cannot push `app:1` by digest") && error.contains("name=app"),
        "{error}"
    );
    // Neither has one that is called by its digest.
    let dangling = format!("dangling-name-prefix={host}/none");
    attempt(&dangling, &[]).unwrap();
    assert!(registry.manifest("none", &digest.to_string()).is_some());
    assert!(registry.manifest("none", "latest").is_none());
}

#[test]
fn an_image_can_be_pushed_without_being_listed() {
    let Some(fixture) = Fixture::new("an_image_can_be_pushed_without_being_listed") else { return };
    let registry = FakeRegistry::start();
    let (image, _) = fixture.small_image();
    let spec = format!("type=registry,store=false,compression=zstd,name={}/app:1", registry.host());
    let request = ExportRequest {
        image: Some(&image),
        platform: None,
        size: 0,
        tree: None,
        names: &[],
        epoch: None,
        annotations: &[],
        owners: Owners::Caller,
    };
    let spec = ExportSpec::parse(&spec).unwrap();
    let receipt = export(&fixture.env(), &spec, &request).unwrap();
    assert!(fixture.store.images().unwrap().is_empty());
    assert_eq!(receipt.names, []);
    let (_, manifest) = registry.manifest("app", "1").unwrap();
    let manifest = lathe_oci::Manifest::parse(&manifest).unwrap();
    assert_eq!(receipt.manifest.unwrap().digest, receipt.pushed[0].manifest.digest);
    for layer in manifest.layers {
        assert_eq!(layer.media_type, MediaType::OciLayerZstd);
        assert!(registry.blob("app", &layer.digest).is_some());
    }
}

#[test]
fn plain_layers_are_compressed_once() {
    let Some(fixture) = Fixture::new("plain_layers_are_compressed_once") else { return };
    let registry = FakeRegistry::start();
    let (image, _) = fixture.small_image();
    store_image(&fixture.store, &image, &[name("app")], 0).unwrap();
    fixture.packed();
    let target = |repository: &str| name(&format!("{}/{repository}:1", registry.host()));
    let first = push(&fixture.env(), &image, &target("a")).unwrap();
    assert_eq!(fixture.packed(), 2);
    assert_ne!(first.manifest.digest, *image.manifest.digest());
    for layer in &first.layers {
        assert_eq!(layer.entry.descriptor.media_type, MediaType::OciLayerGzip);
        let blob = registry.blob("a", &layer.entry.descriptor.digest).unwrap();
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(blob.as_slice()).read_to_end(&mut bytes).unwrap();
        assert_eq!(Digest::of(&bytes), layer.entry.diff_id.0);
    }
    let (_, manifest) = registry.manifest("a", "1").unwrap();
    let config = registry.blob("a", image.id()).unwrap();
    lathe_oci::validate(&first.manifest, &manifest, &config).unwrap();
    // Another registry gets the same blobs, and none is made.
    let other = FakeRegistry::start();
    let second = push(&fixture.env(), &image, &name(&format!("{}/a:1", other.host()))).unwrap();
    assert_eq!((fixture.packed(), second.manifest), (0, first.manifest));
}

#[test]
fn a_registry_takes_a_layer_while_it_is_made() {
    let test = "a_registry_takes_a_layer_while_it_is_made";
    let Some(fixture) = Fixture::new(test) else { return };
    let Some(registry) = DebianRegistry::start(test, Users::All).unwrap() else { return };
    let text = (0..200_000).map(|number: u32| number.to_string()).collect::<Vec<_>>().join(" ");
    let snapshot = fixture.snapshot(None, &[("text", &text)]);
    let image = fixture.image(&[snapshot]);
    store_image(&fixture.store, &image, &[name("app")], 0).unwrap();
    let target = name(&format!("{}/team/app:1", registry.host()));
    let report = push(&fixture.env(), &image, &target).unwrap();
    assert_eq!(report.layers[0].outcome, Pushed::Uploaded);
    let client = crate::fixture::client().unwrap();
    let layer = &report.layers[0].entry.descriptor;
    assert!(client.blob_exists(&target, layer).unwrap());
    let mut blob = Vec::new();
    client.fetch_blob(&target, layer, 0).unwrap().read_to_end(&mut blob).unwrap();
    assert_eq!(Digest::of(&blob), layer.digest);
    let report = push(&fixture.env(), &image, &target).unwrap();
    assert_eq!(report.layers[0].outcome, Pushed::AlreadyThere);
}
