//! Snapshots to layers, and layers to bytes again.

use std::{fs, io::Read as _};

use lathe_exporter::{
    ArchiveForm, ArchiveImage, Destination, Env, Error, ExportSpec, LayerForm, PackOptions,
    Packing, PackingRequest, export, layers, store_image, stored_image, write_archive,
};
use lathe_layer::Compression;
use lathe_oci::{ChainId, Descriptor, DiffId, Digest, MediaType};
use lathe_snapshot::{Driver, Snapshots};
use lathe_store::{LayerRecord, SnapshotId, Store};

use crate::fixture::{Fixture, assemble, name, request};

const PLAIN: PackOptions = PackOptions { form: None, epoch: None };
const GZIP: LayerForm = LayerForm { compression: Compression::Gzip, level: None };

/// Returns the tar of a layer, as an archive has it that is written now.
fn tar_of(fixture: &Fixture, chain: &[SnapshotId], epoch: Option<i64>) -> Vec<u8> {
    let options = PackOptions { epoch, ..PLAIN };
    let image = assemble(layers(&fixture.env(), &[], chain, options).unwrap());
    let path = fixture.path("layers.tar");
    let images = [ArchiveImage { image: &image, names: &[] }];
    write_archive(&fixture.env(), &images, ArchiveForm::Oci, &Destination::File(path.clone()))
        .unwrap();
    let wanted = format!("blobs/sha256/{}", image.layers.last().unwrap().diff_id.0.hex());
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().to_str() == Some(&wanted) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            return bytes;
        }
    }
    panic!("{wanted} is not in the archive");
}

#[test]
fn a_layer_is_looked_at_once_and_its_blob_is_virtual() {
    let Some(fixture) = Fixture::new("a_layer_is_looked_at_once_and_its_blob_is_virtual") else {
        return;
    };
    let base = fixture.snapshot(None, &[("a", "1")]);
    let top = fixture.snapshot(Some(base), &[("b", "2")]);
    let first = layers(&fixture.env(), &[], &[base, top], PLAIN).unwrap();
    assert_eq!(fixture.packed(), 2);
    let second = layers(&fixture.env(), &[], &[base, top], PLAIN).unwrap();
    assert_eq!((fixture.packed(), &second), (0, &first));
    assert_eq!(first[0].unpacked_size, 1);
    assert_eq!(first[1].snapshot, top);
    for layer in &first {
        let descriptor = &layer.entry.descriptor;
        assert_eq!(descriptor.media_type, MediaType::OciLayer);
        assert_eq!(descriptor.digest, layer.entry.diff_id.0);
        assert!(!fixture.store.has_blob(&descriptor.digest), "nothing is written");
    }
    let tar = tar_of(&fixture, &[base, top], None);
    assert_eq!(Digest::of(&tar), first[1].entry.diff_id.0);
    assert_eq!(tar.len() as u64, first[1].entry.descriptor.size);
    assert!(!fixture.store.has_blob(&first[1].entry.diff_id.0), "nor when an archive has it");
}

#[test]
fn what_an_output_needs_is_made_in_the_same_pass() {
    let Some(fixture) = Fixture::new("what_an_output_needs_is_made_in_the_same_pass") else {
        return;
    };
    let snapshot = fixture.snapshot(None, &[("a", "1")]);
    let options = PackOptions { form: Some(GZIP), epoch: None };
    let image = assemble(layers(&fixture.env(), &[], &[snapshot], options).unwrap());
    assert_eq!(fixture.packed(), 1);
    let spec = format!("type=oci,dest={}", fixture.path("x.tar").display());
    export(&fixture.env(), &ExportSpec::parse(&spec).unwrap(), &request(&image, &[])).unwrap();
    assert_eq!(fixture.packed(), 0);
    let spec = format!("{spec},compression=zstd");
    for expected in [1, 0] {
        export(&fixture.env(), &ExportSpec::parse(&spec).unwrap(), &request(&image, &[])).unwrap();
        assert_eq!(fixture.packed(), expected, "never twice");
    }
}

#[test]
fn a_store_that_is_opened_again_packs_the_same_bytes() {
    let test = "a_store_that_is_opened_again_packs_the_same_bytes";
    let Some(mut fixture) = Fixture::new(test) else { return };
    let base = fixture.snapshot(None, &[("dir/a", "1"), ("dir/b", "2")]);
    let top = fixture.snapshot(Some(base), &[("dir/b", "other"), ("c", "3")]);
    let before: Vec<Vec<u8>> = [None, Some(1_000_000)]
        .map(|epoch| tar_of(&fixture, &[base, top], epoch))
        .into_iter()
        .collect();
    fixture.store = Store::open(&fixture.folder.path().join("store")).unwrap();
    let driver = Driver::Native("a test".to_owned());
    fixture.snapshots = Snapshots::with_driver(&fixture.store, false, driver);
    fixture.packed();
    for (epoch, before) in [None, Some(1_000_000)].into_iter().zip(before) {
        let options = PackOptions { epoch, ..PLAIN };
        let known = layers(&fixture.env(), &[], &[base, top], options).unwrap();
        assert_eq!(fixture.packed(), 0, "the diffIDs are remembered");
        assert_eq!(known[1].entry.diff_id.0, Digest::of(&before));
        assert!(tar_of(&fixture, &[base, top], epoch) == before);
        fixture.packed();
    }
}

#[test]
fn a_file_of_the_store_that_was_changed_is_found_on_the_way_out() {
    let test = "a_file_of_the_store_that_was_changed_is_found_on_the_way_out";
    let Some(fixture) = Fixture::new(test) else { return };
    let snapshot = fixture.snapshot(None, &[("file", "as it was")]);
    let image = assemble(layers(&fixture.env(), &[], &[snapshot], PLAIN).unwrap());
    let record = store_image(&fixture.store, &image, &[name("a")], 1).unwrap();
    fs::write(fixture.snapshots.changes(snapshot).join("file"), "as it is!").unwrap();
    let path = fixture.path("x.tar");
    let check = |result: lathe_exporter::Result<()>| {
        let error = result.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::SnapshotChanged { .. }), "{text}");
        assert!(text.contains("has changed since its layer was made"), "{text}");
        assert!(!path.exists(), "what is not right is not there");
    };
    for options in ["", ",compression=zstd", ",compression=uncompressed"] {
        let spec = format!("type=oci,dest={}{options}", path.display());
        let spec = ExportSpec::parse(&spec).unwrap();
        check(export(&fixture.env(), &spec, &request(&image, &[])).map(drop));
    }
    let stored = stored_image(&fixture.env(), &record).unwrap();
    let images = [ArchiveImage { image: &stored, names: &[] }];
    let destination = Destination::File(path.clone());
    check(write_archive(&fixture.env(), &images, ArchiveForm::Docker, &destination).map(drop));
    assert!(fixture.store.blobs_for_diff_id(image.layers[0].diff_id).unwrap().is_empty());
}

#[test]
fn layers_are_made_while_the_build_goes_on() {
    let Some(fixture) = Fixture::new("layers_are_made_while_the_build_goes_on") else { return };
    let request = |cancel: &lathe_event::Cancel| PackingRequest {
        store: fixture.store.clone(),
        snapshots: fixture.snapshots.clone(),
        events: std::sync::Arc::new(lathe_event::NullSink),
        cancel: cancel.clone(),
        epoch: None,
    };
    let base = fixture.snapshot(None, &[("a", "1")]);
    let packing = Packing::start(request(&fixture.cancel));
    packing.submit(base, None);
    let top = fixture.snapshot(Some(base), &[("b", "2")]);
    packing.submit(top, Some(GZIP));
    // The same once more is known by then, or made twice with the same outcome.
    packing.submit(base, None);
    packing.finish().unwrap();
    let found = layers(&fixture.env(), &[], &[base, top], PLAIN).unwrap();
    assert_eq!(fixture.packed(), 0);
    let blobs = |at: usize| fixture.store.blobs_for_diff_id(found[at].entry.diff_id).unwrap().len();
    assert_eq!((blobs(0), blobs(1)), (0, 1));
    // Nothing to do, nothing done.
    Packing::start(request(&fixture.cancel)).finish().unwrap();
    // What is dropped leaves its threads.
    let packing = Packing::start(request(&fixture.cancel));
    packing.submit(top, None);
    drop(packing);
    let failing = Packing::start(request(&fixture.cancel));
    failing.submit("0000000000".parse().unwrap(), None);
    assert!(matches!(failing.finish(), Err(Error::Store(_))));
    let cancelled = lathe_event::Cancel::new();
    cancelled.cancel();
    let packing = Packing::start(request(&cancelled));
    packing.submit(fixture.snapshot(None, &[("c", "3")]), None);
    assert!(matches!(packing.finish(), Err(Error::Cancelled)));
}

#[test]
fn snapshots_with_the_same_changes_have_one_layer() {
    let Some(fixture) = Fixture::new("snapshots_with_the_same_changes_have_one_layer") else {
        return;
    };
    let content = fixture.snapshot(None, &[("app/x", "1")]);
    let bases = ["1", "2"].map(|text| fixture.snapshot(None, &[("base", text)]));
    let made = layers(&fixture.env(), &[], &[content], PLAIN).unwrap();
    for base in bases {
        let shared = fixture.store.share_snapshot(Some(base), content, 0).unwrap();
        fixture.packed();
        let found = layers(&fixture.env(), &[], &[base, shared], PLAIN).unwrap();
        assert_eq!(fixture.packed(), 1, "of the base alone");
        assert_eq!(found[1].entry, made[0].entry);
        assert_eq!(found[1].snapshot, shared);
        let tar = tar_of(&fixture, &[base, shared], None);
        assert_eq!(Digest::of(&tar), made[0].entry.diff_id.0);
        let chain = ChainId::of(&[found[0].entry.diff_id, found[1].entry.diff_id]).unwrap();
        assert_eq!(fixture.store.snapshot_for_chain(chain).unwrap(), Some(shared));
    }
}

#[test]
fn an_image_that_was_packed_can_be_run() {
    let Some(fixture) = Fixture::new("an_image_that_was_packed_can_be_run") else { return };
    let base = fixture.snapshot(None, &[("a", "1")]);
    let top = fixture.snapshot(Some(base), &[("b", "2")]);
    let check = |below: &[DiffId], snapshots: &[SnapshotId]| {
        let found = layers(&fixture.env(), below, snapshots, PLAIN).unwrap();
        let own = found.iter().map(|layer| layer.entry.diff_id);
        let diff_ids: Vec<DiffId> = below.iter().copied().chain(own).collect();
        let chain = ChainId::of(&diff_ids).unwrap();
        assert_eq!(fixture.store.snapshot_for_chain(chain).unwrap(), snapshots.last().copied());
        diff_ids
    };
    let diff_ids = check(&[], &[base, top]);
    // On a base image that came from elsewhere, too.
    check(&diff_ids, &[fixture.snapshot(Some(top), &[("c", "3")])]);
}

#[test]
fn snapshots_that_do_not_lie_on_each_other_are_no_chain() {
    let test = "snapshots_that_do_not_lie_on_each_other_are_no_chain";
    let Some(fixture) = Fixture::new(test) else { return };
    let (one, other) =
        (fixture.snapshot(None, &[("a", "1")]), fixture.snapshot(None, &[("b", "2")]));
    let found = layers(&fixture.env(), &[], &[one, other], PLAIN).unwrap();
    let diff_ids: Vec<DiffId> = found.iter().map(|layer| layer.entry.diff_id).collect();
    let chain = |count| ChainId::of(&diff_ids[..count]).unwrap();
    assert_eq!(fixture.store.snapshot_for_chain(chain(1)).unwrap(), None);
    assert_eq!(fixture.store.snapshot_for_chain(chain(2)).unwrap(), None);
    // Nor is one on a base of other depth than was said.
    let top = fixture.snapshot(Some(one), &[("c", "3")]);
    let found = layers(&fixture.env(), &[], &[top], PLAIN).unwrap();
    let chain = ChainId::first(found[0].entry.diff_id);
    assert_eq!(fixture.store.snapshot_for_chain(chain).unwrap(), None);
}

#[test]
fn an_epoch_makes_other_layers_and_keeps_the_first() {
    let Some(fixture) = Fixture::new("an_epoch_makes_other_layers_and_keeps_the_first") else {
        return;
    };
    let snapshot = fixture.snapshot(None, &[("file", "content")]);
    let get = |epoch| {
        layers(&fixture.env(), &[], &[snapshot], PackOptions { form: None, epoch }).unwrap()
    };
    let plain = get(None);
    let old = get(Some(1_000_000));
    assert_ne!(plain[0].entry.diff_id, old[0].entry.diff_id);
    assert_eq!(fixture.packed(), 2);
    assert_eq!(get(None), plain);
    assert_eq!(get(Some(1_000_000)), old);
    assert_eq!(fixture.packed(), 0);
    let bytes = tar_of(&fixture, &[snapshot], Some(1_000_000));
    let mut tar = tar::Archive::new(bytes.as_slice());
    for entry in tar.entries().unwrap() {
        assert_eq!(entry.unwrap().header().mtime().unwrap(), 1_000_000);
    }
}

#[test]
fn a_layer_of_a_pulled_image_stays_as_it_came() {
    let Some(fixture) = Fixture::new("a_layer_of_a_pulled_image_stays_as_it_came") else { return };
    let snapshot = fixture.snapshot(None, &[("file", "content")]);
    let digest = fixture.store.put_blob(b"as it came").unwrap();
    let diff_id = DiffId(Digest::of(b"unpacked"));
    let record = LayerRecord {
        snapshot,
        diff_id,
        compression: lathe_store::Compression::Gzip,
        descriptor: Descriptor::new(MediaType::DockerLayerGzip, digest, 10),
        unpacked_size: 7,
    };
    fixture.store.record_layer(&record).unwrap();
    let zstd = LayerForm { compression: Compression::Zstd, level: None };
    for (form, epoch) in [(None, None), (Some(GZIP), None), (Some(zstd), Some(0))] {
        let options = PackOptions { form, epoch };
        let found = layers(&fixture.env(), &[], &[snapshot], options).unwrap();
        assert_eq!(found[0].entry.descriptor.digest, digest);
        assert_eq!(found[0].entry.diff_id, diff_id);
        // The manifest that it goes into is one of OCI.
        assert_eq!(found[0].entry.descriptor.media_type, MediaType::OciLayerGzip);
    }
    assert_eq!(fixture.packed(), 0);
}

#[test]
fn a_directory_that_hides_nothing_has_no_whiteout() {
    let Some(fixture) = Fixture::new("a_directory_that_hides_nothing_has_no_whiteout") else {
        return;
    };
    let base = fixture.snapshot(None, &[("old/file", "1")]);
    let top = fixture.snapshot(Some(base), &[("new/file", "2")]);
    let bytes = tar_of(&fixture, &[base, top], None);
    let mut tar = tar::Archive::new(bytes.as_slice());
    let names: Vec<String> = tar
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names, ["new/", "new/file"]);
}

#[test]
fn cancelling_ends_packing() {
    let Some(fixture) = Fixture::new("cancelling_ends_packing") else { return };
    let snapshot = fixture.snapshot(None, &[("file", "content")]);
    fixture.cancel.cancel();
    let error = layers(&fixture.env(), &[], &[snapshot], PLAIN).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
}

#[test]
fn a_lost_blob_is_packed_again() {
    let Some(fixture) = Fixture::new("a_lost_blob_is_packed_again") else { return };
    let (image, _) = fixture.small_image();
    let spec = ExportSpec::parse("type=image,name=a,compression=gzip").unwrap();
    let receipt = export(&fixture.env(), &spec, &request(&image, &[])).unwrap();
    let record = fixture.store.image(image.id()).unwrap().unwrap();
    assert_eq!(record.manifest, receipt.manifest.unwrap());
    assert_eq!(record.names, ["docker.io/library/a:latest"]);
    assert_eq!(record.created, 1_709_210_096);
    let stored = stored_image(&fixture.env(), &record).unwrap();
    let lost = &stored.layers[1].descriptor;
    assert_eq!(lost.media_type, MediaType::OciLayerGzip);
    fs::remove_file(fixture.store.blob_path(&lost.digest)).unwrap();
    let again = stored_image(&fixture.env(), &record).unwrap();
    assert_eq!(again.id(), image.id());
    assert_eq!(again.layers[0], stored.layers[0]);
    assert_eq!(again.layers[1], image.layers[1], "the plain one can be had");
    let saved = |env: &Env<'_>| {
        let images = [ArchiveImage { image: &again, names: &[] }];
        let destination = Destination::File(fixture.path("x.tar"));
        write_archive(env, &images, ArchiveForm::Docker, &destination)
    };
    saved(&fixture.env()).unwrap();
}

#[test]
fn a_layer_that_is_nowhere_is_told() {
    let Some(fixture) = Fixture::new("a_layer_that_is_nowhere_is_told") else { return };
    let (mut image, _) = fixture.small_image();
    let digest = Digest::of(b"nowhere");
    image.layers[1].descriptor = Descriptor::new(MediaType::OciLayerGzip, digest, 7);
    image.layers[1].diff_id = DiffId(Digest::of(b"nor so"));
    for options in ["", ",compression=gzip,force-compression=true"] {
        let spec = format!("type=oci,dest={}{options}", fixture.path("x.tar").display());
        let spec = ExportSpec::parse(&spec).unwrap();
        let error = export(&fixture.env(), &spec, &request(&image, &[])).unwrap_err();
        assert!(matches!(error, Error::LayerMissing { .. }), "{error}");
        assert!(!fixture.path("x.tar").exists());
    }
}
