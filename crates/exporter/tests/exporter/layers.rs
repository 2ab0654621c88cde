//! Snapshots to layers.

use std::io::Read as _;

use lathe_exporter::{layers, store_image, stored_image};
use lathe_layer::Compression;
use lathe_oci::{ChainId, Descriptor, DiffId, Digest, MediaType};
use lathe_store::LayerRecord;

use crate::fixture::{Fixture, name};

#[test]
fn a_layer_is_packed_once() {
    let Some(fixture) = Fixture::new("a_layer_is_packed_once") else { return };
    let base = fixture.snapshot(None, &[("a", "1")]);
    let top = fixture.snapshot(Some(base), &[("b", "2")]);
    let first = layers(&fixture.env(), &[base, top], Compression::Gzip, None).unwrap();
    assert_eq!(fixture.packed(), 2);
    let second = layers(&fixture.env(), &[base, top], Compression::Gzip, None).unwrap();
    assert_eq!(fixture.packed(), 0);
    assert_eq!(first, second);
    assert_eq!(first[0].unpacked_size, 1);
    assert_eq!(first[1].snapshot, top);
    assert_eq!(first[1].entry.descriptor.media_type, MediaType::OciLayerGzip);
    layers(&fixture.env(), &[base, top], Compression::Zstd, None).unwrap();
    assert_eq!(fixture.packed(), 2);
}

#[test]
fn an_image_that_was_packed_can_be_run() {
    let Some(fixture) = Fixture::new("an_image_that_was_packed_can_be_run") else { return };
    let base = fixture.snapshot(None, &[("a", "1")]);
    let top = fixture.snapshot(Some(base), &[("b", "2")]);
    let found = layers(&fixture.env(), &[base, top], Compression::Gzip, None).unwrap();
    let diff_ids: Vec<DiffId> = found.iter().map(|layer| layer.entry.diff_id).collect();
    let chain = ChainId::of(&diff_ids).unwrap();
    assert_eq!(fixture.store.snapshot_for_chain(chain).unwrap(), Some(top));
}

#[test]
fn snapshots_that_do_not_lie_on_each_other_are_no_chain() {
    let test = "snapshots_that_do_not_lie_on_each_other_are_no_chain";
    let Some(fixture) = Fixture::new(test) else { return };
    let (one, other) =
        (fixture.snapshot(None, &[("a", "1")]), fixture.snapshot(None, &[("b", "2")]));
    let found = layers(&fixture.env(), &[one, other], Compression::Gzip, None).unwrap();
    let diff_ids: Vec<DiffId> = found.iter().map(|layer| layer.entry.diff_id).collect();
    let chain = |count| ChainId::of(&diff_ids[..count]).unwrap();
    assert_eq!(fixture.store.snapshot_for_chain(chain(1)).unwrap(), Some(one));
    assert_eq!(fixture.store.snapshot_for_chain(chain(2)).unwrap(), None);
}

#[test]
fn an_epoch_makes_other_layers_and_keeps_the_first() {
    let Some(fixture) = Fixture::new("an_epoch_makes_other_layers_and_keeps_the_first") else {
        return;
    };
    let snapshot = fixture.snapshot(None, &[("file", "content")]);
    let get = |epoch| layers(&fixture.env(), &[snapshot], Compression::Gzip, epoch).unwrap();
    let plain = get(None);
    let old = get(Some(1_000_000));
    assert_ne!(plain[0].entry.diff_id, old[0].entry.diff_id);
    assert_eq!(fixture.packed(), 2);
    assert_eq!(get(None), plain);
    assert_eq!(get(Some(1_000_000)), old);
    assert_eq!(fixture.packed(), 0);
    let blob = fixture.store.open_blob(&old[0].entry.descriptor.digest).unwrap();
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(blob));
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
    for (compression, epoch) in [(Compression::Gzip, None), (Compression::Zstd, Some(0))] {
        let found = layers(&fixture.env(), &[snapshot], compression, epoch).unwrap();
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
    let found = layers(&fixture.env(), &[base, top], Compression::None, None).unwrap();
    let mut blob = fixture.store.open_blob(&found[1].entry.descriptor.digest).unwrap();
    let mut bytes = Vec::new();
    blob.read_to_end(&mut bytes).unwrap();
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
    let error = layers(&fixture.env(), &[snapshot], Compression::Gzip, None).unwrap_err();
    assert!(matches!(error, lathe_exporter::Error::Cancelled), "{error}");
}

#[test]
fn a_lost_blob_is_packed_again() {
    let Some(fixture) = Fixture::new("a_lost_blob_is_packed_again") else { return };
    let (image, _) = fixture.small_image();
    let record = store_image(&fixture.store, &image, &[name("a")], 1).unwrap();
    assert_eq!(record.names, ["docker.io/library/a:latest"]);
    assert_eq!(record.created, 1_709_210_096);
    let lost = image.layers[1].descriptor.digest;
    std::fs::remove_file(fixture.store.blob_path(&lost)).unwrap();
    let again = stored_image(&fixture.env(), &record).unwrap();
    assert_eq!(again.id(), image.id());
    assert_eq!(again.layers[1].diff_id, image.layers[1].diff_id);
    assert!(fixture.store.has_blob(&again.layers[1].descriptor.digest));
}
