//! Pushing to a registry.

use std::io::Read as _;

use lathe_exporter::{
    ExportRequest, ExportSpec, Owners, compressed_image, export, layers, push, store_image,
};
use lathe_layer::Compression;
use lathe_oci::{Digest, MediaType, Reference};
use lathe_registry::Pushed;
use lathe_testkit::registry::FakeRegistry;

use crate::fixture::{Fixture, assemble, name, request};

#[test]
fn an_image_is_pushed_once() {
    let Some(fixture) = Fixture::new("an_image_is_pushed_once") else { return };
    let registry = FakeRegistry::start();
    let (image, _) = fixture.small_image();
    let target = name(&format!("{}/team/app:1", registry.host()));
    store_image(&fixture.store, &image, &[name("app")], 0).unwrap();
    let report = push(&fixture.env(), &image, &target).unwrap();
    assert_eq!(report.manifest.digest, *image.manifest.digest());
    assert_eq!(report.manifest.size, image.manifest.bytes().len() as u64);
    assert!(report.layers.iter().all(|layer| layer.outcome == Pushed::Uploaded));
    let (media_type, bytes) = registry.manifest("team/app", "1").unwrap();
    assert_eq!(media_type, "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(bytes, image.manifest.bytes());
    for digest in image.layers.iter().map(|layer| &layer.descriptor.digest).chain([image.id()]) {
        assert!(registry.blob("team/app", digest).is_some(), "{digest}");
    }
    let record = fixture.store.image(image.id()).unwrap().unwrap();
    let repo_digest = format!("{}/team/app@{}", registry.host(), image.manifest.digest());
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
    let digest = *image.manifest.digest();
    let attempt = |options: &str, names: &[Reference]| {
        let spec = ExportSpec::parse(&format!("type=registry,{options}")).unwrap();
        export(&fixture.env(), &spec, &request(&image, names))
    };
    let host = registry.host();
    let by_digest = format!("push-by-digest=true,name={host}/app");
    let receipt = attempt(&by_digest, &[]).unwrap();
    assert_eq!(receipt.pushed[0].manifest.digest, digest);
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
    let snapshot = fixture.snapshot(None, &[("file", "content")]);
    let plain = assemble(layers(&fixture.env(), &[snapshot], Compression::None, None).unwrap());
    fixture.packed();
    let image = compressed_image(&fixture.env(), plain.clone()).unwrap();
    assert_eq!(fixture.packed(), 1);
    assert_eq!(image.id(), plain.id());
    let layer = &image.layers[0];
    assert_eq!(layer.descriptor.media_type, MediaType::OciLayerGzip);
    let blob = fixture.store.open_blob(&layer.descriptor.digest).unwrap();
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(blob).read_to_end(&mut bytes).unwrap();
    assert_eq!(Digest::of(&bytes), layer.diff_id.0);
    lathe_oci::validate(image.manifest.descriptor(), image.manifest.bytes(), image.config.bytes())
        .unwrap();
    assert_eq!(compressed_image(&fixture.env(), plain).unwrap(), image);
    assert_eq!(compressed_image(&fixture.env(), image.clone()).unwrap(), image);
    assert_eq!(fixture.packed(), 0);
}
