//! Images of a folder in OCI's layout.

use std::{fs, path::Path};

use lathe_oci::{Digest, Platform};
use lathe_source::{Error, LayoutReference, PullPolicy, fetch, import_layout};

use crate::common::Place;

/// A layer without files.
const LAYER: [u8; 1024] = [0; 1024];

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn put(folder: &Path, bytes: &[u8]) -> Digest {
    let digest = Digest::of(bytes);
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("it works");
    fs::write(blobs.join(digest.hex()), bytes).expect("it works");
    digest
}

fn descriptor(media_type: &str, bytes: &[u8], more: &str) -> String {
    let (digest, size) = (Digest::of(bytes), bytes.len());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}{more}}}"#)
}

/// Puts an image for an architecture; returns its manifest.
fn image(folder: &Path, architecture: &str) -> Vec<u8> {
    let layer = put(folder, &LAYER);
    let config = format!(
        r#"{{"architecture":"{architecture}","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#
    );
    put(folder, config.as_bytes());
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{},"layers":[{}]}}"#,
        descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes(), ""),
        descriptor("application/vnd.oci.image.layer.v1.tar", &LAYER, ""),
    );
    put(folder, manifest.as_bytes());
    manifest.into_bytes()
}

fn write_index(folder: &Path, manifests: &[String]) -> Vec<u8> {
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#,
        manifests.join(",")
    );
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("it works");
    fs::write(folder.join("index.json"), &index).expect("it works");
    index.into_bytes()
}

fn named(name: &str) -> String {
    format!(r#","annotations":{{"org.opencontainers.image.ref.name":"{name}"}}"#)
}

fn amd64() -> Platform {
    Platform::linux("amd64")
}

#[test]
fn an_imported_image_is_pinned_and_fetched_without_a_registry() {
    let place = Place::new();
    let folder = place.path("My Layout");
    let manifest = image(&folder, "amd64");
    write_index(&folder, &[descriptor(MANIFEST, &manifest, &named("1.0"))]);
    let images = &place.remotes.images;
    let tag = LayoutReference::Tag("1.0".to_owned());
    for wanted in [tag, LayoutReference::Only, LayoutReference::Digest(Digest::of(&manifest))] {
        let (reference, image) = import_layout(images, &folder, &wanted, &amd64()).unwrap();
        let digest = Digest::of(&manifest);
        assert_eq!(reference.to_string(), format!("oci-layout.invalid/my-layout@{digest}"));
        let pinned = images.pin(&reference, &amd64(), PullPolicy::Always).unwrap();
        assert_eq!(pinned.manifest.digest, image.manifest.digest);
        let snapshots = &place.remotes.snapshots;
        assert!(fetch(images, snapshots, &reference, &image, None).unwrap().is_some());
    }
    fs::remove_dir_all(&folder).unwrap();
    let digest = Digest::of(&manifest);
    assert!(place.store().has_blob(&digest), "the store does not need the folder");
    let record = place.store().image_by_manifest(&digest).unwrap().unwrap();
    assert!(record.repo_digests.is_empty(), "nobody can pull it");
}

#[test]
fn the_platform_chooses_within_nested_indexes() {
    let place = Place::new();
    let folder = place.path("layout");
    let (arm, intel) = (image(&folder, "arm64"), image(&folder, "amd64"));
    let platform = |name: &str| format!(r#","platform":{{"architecture":"{name}","os":"linux"}}"#);
    let inner = write_index(
        &folder,
        &[
            descriptor(MANIFEST, &arm, &platform("arm64")),
            descriptor(MANIFEST, &intel, &platform("amd64")),
        ],
    );
    put(&folder, &inner);
    write_index(&folder, &[descriptor(INDEX, &inner, &named("latest"))]);
    let images = &place.remotes.images;
    let chosen = |architecture: &str| {
        let platform = Platform::linux(architecture);
        import_layout(images, &folder, &LayoutReference::Only, &platform)
    };
    assert_eq!(chosen("amd64").unwrap().1.manifest.digest, Digest::of(&intel));
    assert_eq!(chosen("arm64").unwrap().1.manifest.digest, Digest::of(&arm));
    let error = chosen("riscv64").unwrap_err().to_string();
    assert!(error.ends_with("for linux/riscv64, only for linux/arm64, linux/amd64"), "{error}");
}

#[test]
fn manifests_without_platform_say_it_in_their_configs() {
    let place = Place::new();
    let folder = place.path("layout");
    let (arm, intel) = (image(&folder, "arm64"), image(&folder, "amd64"));
    write_index(&folder, &[descriptor(MANIFEST, &arm, ""), descriptor(MANIFEST, &intel, "")]);
    let images = &place.remotes.images;
    let (_, image) = import_layout(images, &folder, &LayoutReference::Only, &amd64()).unwrap();
    assert_eq!(image.manifest.digest, Digest::of(&intel));
}

#[test]
fn the_only_image_is_taken_for_whichever_platform_it_is() {
    let place = Place::new();
    let folder = place.path("layout");
    let arm = image(&folder, "arm64");
    write_index(&folder, &[descriptor(MANIFEST, &arm, "")]);
    let images = &place.remotes.images;
    let (_, image) = import_layout(images, &folder, &LayoutReference::Only, &amd64()).unwrap();
    assert_eq!(image.config.platform().architecture, "arm64");
}

#[test]
fn what_is_missing_is_said() {
    let place = Place::new();
    let folder = place.path("layout");
    let (one, two) = (image(&folder, "amd64"), image(&folder, "arm64"));
    let images = &place.remotes.images;
    let check = |wanted: &LayoutReference, expected: &str| {
        let error = import_layout(images, &folder, wanted, &amd64()).unwrap_err();
        assert!(matches!(error, Error::Layout { .. }), "{error}");
        assert_eq!(error.to_string(), format!("{} {expected}", folder.display()));
    };
    check(&LayoutReference::Only, "is no OCI layout: it has no file `oci-layout`");
    let both = [descriptor(MANIFEST, &one, &named("a")), descriptor(MANIFEST, &two, &named("b"))];
    write_index(&folder, &both);
    check(&LayoutReference::Tag("c".to_owned()), "has no image `c`, only `a`, `b`");
    check(&LayoutReference::Only, "has several images, say which one: `a`, `b`");
    let none = Digest::of(b"none");
    check(&LayoutReference::Digest(none), &format!("has no image {none}"));
    let layer = Digest::of(&LAYER);
    fs::remove_file(folder.join("blobs/sha256").join(layer.hex())).unwrap();
    check(&LayoutReference::Tag("a".to_owned()), &format!("lacks the blob {layer}"));
    write_index(&folder, &[]);
    check(&LayoutReference::Only, "has no image");
}

#[test]
fn inv_source_verified_a_blob_that_is_not_what_it_is_called_does_not_get_in() {
    let place = Place::new();
    let folder = place.path("layout");
    let manifest = image(&folder, "amd64");
    write_index(&folder, &[descriptor(MANIFEST, &manifest, "")]);
    let blobs = folder.join("blobs/sha256");
    let layer = Digest::of(&LAYER);
    fs::write(blobs.join(layer.hex()), [1; 1024]).unwrap();
    let images = &place.remotes.images;
    let import = || import_layout(images, &folder, &LayoutReference::Only, &amd64());
    assert!(import().is_err());
    assert!(!place.store().has_blob(&layer));
    let other = vec![b' '; manifest.len()];
    fs::write(blobs.join(Digest::of(&manifest).hex()), other).unwrap();
    assert!(matches!(import(), Err(Error::Layout { .. })));
}
