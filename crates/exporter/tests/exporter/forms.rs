//! Images in the forms that outputs ask for.

use std::{fs, io::Read as _, path::Path};

use lathe_exporter::{
    Annotation, ArchiveForm, ArchiveImage, Destination, Env, ExportRequest, ExportSpec, LayerForm,
    Owners, PackOptions, Receipt, export, layers, write_archive,
};
use lathe_layer::Compression;
use lathe_oci::{
    BuiltImage, Descriptor, DiffId, Digest, ImageConfig, Index, LayerEntry, Manifest, MediaType,
    Reference,
};
use lathe_store::{LayerRecord, SnapshotId};

use crate::fixture::{Fixture, assemble, name, request};

/// Writes an image as a layout in a folder; returns its index and its manifest.
fn layout(
    env: &Env<'_>,
    image: &BuiltImage,
    folder: &Path,
    options: &str,
    annotations: &[&str],
) -> (Index, Manifest, Receipt) {
    let spec = format!("type=oci,tar=false,dest={}{options}", folder.display());
    let annotations: Vec<Annotation> =
        annotations.iter().map(|text| Annotation::parse(text).unwrap()).collect();
    let names = [name("app:1")];
    let request = ExportRequest {
        image: Some(image),
        platform: None,
        size: 0,
        tree: None,
        names: &names,
        epoch: None,
        annotations: &annotations,
        owners: Owners::Caller,
    };
    let receipt = export(env, &ExportSpec::parse(&spec).unwrap(), &request).unwrap();
    let index = Index::parse(&fs::read(folder.join("index.json")).unwrap()).unwrap();
    let manifest = index.manifests.last().unwrap();
    let blob = folder.join("blobs/sha256").join(manifest.digest.hex());
    let manifest = Manifest::parse(&fs::read(blob).unwrap()).unwrap();
    assert_eq!(manifest.config.digest, *image.id(), "the image is the same");
    for layer in &manifest.layers {
        let blob = fs::read(folder.join("blobs/sha256").join(layer.digest.hex())).unwrap();
        assert_eq!((Digest::of(&blob), blob.len() as u64), (layer.digest, layer.size));
    }
    (index, manifest, receipt)
}

fn types(manifest: &Manifest) -> Vec<MediaType> {
    manifest.layers.iter().map(|layer| layer.media_type.clone()).collect()
}

/// Returns the tar of a snapshot's layer.
fn plain_layer(fixture: &Fixture, snapshot: SnapshotId) -> Vec<u8> {
    let found = layers(&fixture.env(), &[], &[snapshot], PackOptions::default()).unwrap();
    let image = assemble(found);
    let path = fixture.path("plain.tar");
    let images = [ArchiveImage { image: &image, names: &[] }];
    write_archive(&fixture.env(), &images, ArchiveForm::Oci, &Destination::File(path.clone()))
        .unwrap();
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    let hex = image.layers[0].diff_id.0.hex();
    let is_layer = |entry: &tar::Entry<'_, fs::File>| entry.path().unwrap().ends_with(&hex);
    let mut layer = archive.entries().unwrap().map(Result::unwrap).find(is_layer).unwrap();
    let mut bytes = Vec::new();
    layer.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Makes an image of a pulled layer and one that was packed here.
fn pulled_and_own(fixture: &Fixture) -> BuiltImage {
    let base = fixture.snapshot(None, &[("etc/os", "test\n")]);
    let plain = plain_layer(fixture, base);
    // As another tool compresses it, which is not as it would be packed here.
    let mut gzip =
        flate2::GzBuilder::new().comment("pulled").write(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut gzip, &plain).unwrap();
    let blob = gzip.finish().unwrap();
    let digest = fixture.store.put_blob(&blob).unwrap();
    let snapshot = fixture.snapshot(None, &[("etc/os", "test\n")]);
    let entry = LayerEntry {
        diff_id: DiffId(Digest::of(&plain)),
        descriptor: Descriptor::new(MediaType::DockerLayerGzip, digest, blob.len() as u64),
    };
    let record = LayerRecord {
        snapshot,
        diff_id: entry.diff_id,
        compression: lathe_store::Compression::Gzip,
        descriptor: entry.descriptor,
        unpacked_size: 5,
    };
    fixture.store.record_layer(&record).unwrap();
    fixture.store.memo_clear(&lathe_store::Store::snapshot_namespace(base, "packed")).unwrap();
    let top = fixture.snapshot(Some(snapshot), &[("app/data", "content of the second layer\n")]);
    assemble(layers(&fixture.env(), &[], &[snapshot, top], PackOptions::default()).unwrap())
}

#[test]
fn own_layers_are_compressed_as_asked_and_pulled_ones_if_forced() {
    let test = "own_layers_are_compressed_as_asked_and_pulled_ones_if_forced";
    let Some(fixture) = Fixture::new(test) else { return };
    let image = pulled_and_own(&fixture);
    let pulled = image.layers[0].descriptor.digest;
    let (env, folder) = (fixture.env(), fixture.path("out"));
    let check = |options: &str, first: MediaType, second: MediaType, stays: bool| {
        let (_, manifest, _) = layout(&env, &image, &folder, options, &[]);
        assert_eq!(types(&manifest), [first, second], "{options}");
        assert_eq!(manifest.layers[0].digest == pulled, stays, "{options}");
        manifest
    };
    let (plain, gzip, zstd) =
        (MediaType::OciLayer, MediaType::OciLayerGzip, MediaType::OciLayerZstd);
    check("", gzip.clone(), gzip.clone(), true);
    check(",compression=gzip,force-compression=true", gzip.clone(), gzip.clone(), true);
    check(",compression=zstd", gzip.clone(), zstd.clone(), true);
    check(",compression=zstd,force-compression=true", zstd.clone(), zstd.clone(), false);
    check(",compression=uncompressed", gzip.clone(), plain.clone(), true);
    check(",compression=uncompressed,force-compression=true", plain.clone(), plain, false);
    let low = check(",compression-level=0", gzip.clone(), gzip.clone(), true);
    let usual = check(",compression=gzip", gzip.clone(), gzip, true);
    assert!(low.layers[1].size > usual.layers[1].size);
    // What was made once is found again.
    fixture.packed();
    check(",compression=zstd,force-compression=true", zstd.clone(), zstd, false);
    let again =
        check(",compression-level=0", MediaType::OciLayerGzip, MediaType::OciLayerGzip, true);
    assert_eq!((again, fixture.packed()), (low, 0));
}

/// Gives a file of one snapshot the times of that of another.
fn copy_times(fixture: &Fixture, from: SnapshotId, to: SnapshotId, name: &str) {
    let path = |snapshot| fixture.snapshots.changes(snapshot).join(name);
    let time = fs::metadata(path(from)).unwrap().modified().unwrap();
    fs::File::open(path(to)).unwrap().set_modified(time).unwrap();
}

#[test]
fn packing_in_a_form_and_converting_to_it_is_the_same() {
    let Some(fixture) = Fixture::new("packing_in_a_form_and_converting_to_it_is_the_same") else {
        return;
    };
    let base = fixture.snapshot(None, &[("a", &"text ".repeat(1000))]);
    for (options, form) in [
        (",compression=zstd", LayerForm { compression: Compression::Zstd, level: None }),
        (",compression-level=1", LayerForm { compression: Compression::Gzip, level: Some(1) }),
    ] {
        for epoch in [None, Some(1_000_000)] {
            let made =
                |form| layers(&fixture.env(), &[], &[base], PackOptions { form, epoch }).unwrap();
            let image = assemble(made(None));
            let folder = fixture.path(&format!("out{epoch:?}"));
            let (_, manifest, _) = layout(&fixture.env(), &image, &folder, options, &[]);
            // As if nothing were known of the snapshot.
            let other = fixture.snapshot(None, &[("a", &"text ".repeat(1000))]);
            for name in ["", "a"] {
                copy_times(&fixture, base, other, name);
            }
            let options = PackOptions { form: Some(form), epoch };
            let direct = layers(&fixture.env(), &[], &[other], options).unwrap();
            assert_eq!(image.layers[0].diff_id, direct[0].entry.diff_id);
            let blobs = fixture.store.blobs_for_diff_id(direct[0].entry.diff_id).unwrap();
            assert!(blobs.contains(&manifest.layers[0]), "{options:?}");
        }
    }
}

#[test]
fn a_blob_that_holds_another_layer_is_not_converted() {
    let Some(fixture) = Fixture::new("a_blob_that_holds_another_layer_is_not_converted") else {
        return;
    };
    let (mut image, _) = fixture.small_image();
    let blob = fixture.store.put_blob(b"not what the image says").unwrap();
    image.layers[0].diff_id = DiffId(Digest::of(b"what the image says"));
    image.layers[0].descriptor = Descriptor::new(MediaType::OciLayer, blob, 23);
    let spec = ExportSpec::parse("type=image,compression=zstd,force-compression=true").unwrap();
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
    let error = export(&fixture.env(), &spec, &request).unwrap_err();
    assert!(matches!(error, lathe_exporter::Error::LayerContent { .. }), "{error}");
}

#[test]
fn media_types_are_of_one_family() {
    let Some(fixture) = Fixture::new("media_types_are_of_one_family") else { return };
    let (image, _) = fixture.small_image();
    let (env, folder) = (fixture.env(), fixture.path("out"));
    let check = |options: &str, annotations: &[&str], docker: bool| {
        let (index, manifest, _) = layout(&env, &image, &folder, options, annotations);
        let (manifest_type, config, layer) = if docker {
            (MediaType::DockerManifest, MediaType::DockerConfig, MediaType::DockerLayerGzip)
        } else {
            (MediaType::OciManifest, MediaType::OciConfig, MediaType::OciLayerGzip)
        };
        assert_eq!(index.manifests.last().unwrap().media_type, manifest_type, "{options}");
        assert_eq!(manifest.media_type, Some(manifest_type), "{options}");
        assert_eq!(manifest.config.media_type, config, "{options}");
        let is_zstd = options.contains("zstd");
        let layer = if is_zstd { MediaType::OciLayerZstd } else { layer };
        assert_eq!(types(&manifest), [layer.clone(), layer], "{options}");
    };
    check("", &[], false);
    check(",oci-mediatypes=false", &[], true);
    check(",oci-mediatypes=false", &["k=v"], false);
    check(",oci-mediatypes=false,compression=zstd", &[], false);
}

#[test]
fn annotations_are_where_they_belong() {
    let Some(fixture) = Fixture::new("annotations_are_where_they_belong") else { return };
    let (image, _) = fixture.small_image();
    let (env, folder) = (fixture.env(), fixture.path("out"));
    let (index, manifest, _) = layout(
        &env,
        &image,
        &folder,
        ",annotation.own=1,annotation-manifest[linux/arm64].other=2",
        &[
            "manifest,index:both=3",
            "manifest-descriptor[linux/amd64]:near=4",
            "index-descriptor:x=5",
        ],
    );
    let pairs = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(pairs(&manifest.annotations), ["both=3", "own=1"]);
    assert_eq!(pairs(&index.annotations), ["both=3"]);
    let descriptor = &index.manifests[0].annotations;
    assert_eq!(descriptor["near"], "4");
    assert_eq!(descriptor["io.containerd.image.name"], "docker.io/library/app:1");
    assert_eq!(descriptor.len(), 3, "{descriptor:?}");
    let (_, manifest, _) = layout(&env, &image, &fixture.path("plain"), "", &[]);
    assert!(manifest.annotations.is_empty());
}

#[test]
fn an_image_without_names_gets_one_with_its_digest() {
    let Some(fixture) = Fixture::new("an_image_without_names_gets_one_with_its_digest") else {
        return;
    };
    let (image, _) = fixture.small_image();
    let repo_digests = |options: &str, names: &[Reference]| {
        let spec = ExportSpec::parse(&format!("type=image,{options}")).unwrap();
        fixture.store.remove_image(image.id()).unwrap();
        let receipt = export(&fixture.env(), &spec, &request(&image, names)).unwrap();
        let record = fixture.store.image(image.id()).unwrap().unwrap();
        let names = receipt.names.iter().map(Reference::familiar).collect::<Vec<_>>();
        (names, record.repo_digests)
    };
    let digest = image.manifest.digest();
    let prefixed = vec![format!("docker.io/me/none@{digest}")];
    assert_eq!(repo_digests("dangling-name-prefix=me/none", &[]), (vec![], prefixed));
    let named = (vec!["a:1".to_owned()], vec![]);
    assert_eq!(repo_digests("dangling-name-prefix=me/none", &[name("a:1")]), named);
    let both = (
        vec!["a:1".to_owned(), "b:latest".to_owned()],
        vec![format!("docker.io/library/a@{digest}"), format!("docker.io/library/b@{digest}")],
    );
    assert_eq!(repo_digests("name-canonical=true,name=b", &[name("a:1")]), both);
}

#[test]
fn nothing_is_written_for_the_cache_alone() {
    let Some(fixture) = Fixture::new("nothing_is_written_for_the_cache_alone") else { return };
    let (image, tree) = fixture.small_image();
    let names = [name("a:1")];
    let request = ExportRequest {
        image: Some(&image),
        platform: None,
        size: 0,
        tree: Some(tree),
        names: &names,
        epoch: None,
        annotations: &[],
        owners: Owners::Caller,
    };
    let spec = ExportSpec::parse("type=cacheonly").unwrap();
    assert_eq!(export(&fixture.env(), &spec, &request).unwrap(), Receipt::default());
    assert!(fixture.store.images().unwrap().is_empty());
    let platform = ImageConfig::parse(image.config.bytes()).unwrap().platform();
    assert_eq!(platform.to_string(), "linux/amd64");
}
