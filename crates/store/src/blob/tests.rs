use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

fn ingest_is_empty(store: &Store) -> bool {
    fs::read_dir(store.directory().join("ingest")).unwrap().next().is_none()
}

/// INV-STORE-1.
#[test]
fn a_blob_is_seen_only_when_complete() {
    let (_directory, store) = store();
    let digest = Digest::of(b"hello world");
    let mut writer = store.blob_writer().unwrap();
    writer.write_all(b"hello ").unwrap();
    assert!(!store.has_blob(&digest));
    writer.write_all(b"world").unwrap();
    assert_eq!(writer.finish(Some(&digest)).unwrap(), (digest, 11));
    assert_eq!(store.read_blob(&digest, 11).unwrap(), b"hello world");
    assert!(ingest_is_empty(&store));
}

#[test]
fn a_dropped_or_wrong_blob_leaves_nothing() {
    let (_directory, store) = store();
    let digest = Digest::of(b"right");
    let mut writer = store.blob_writer().unwrap();
    writer.write_all(b"wrong").unwrap();
    assert!(matches!(writer.finish(Some(&digest)), Err(Error::DigestMismatch { .. })));
    drop(store.blob_writer().unwrap());
    assert!(!store.has_blob(&digest) && !store.has_blob(&Digest::of(b"wrong")));
    assert!(ingest_is_empty(&store));
}

#[test]
fn the_same_blob_may_be_written_twice() {
    let (_directory, store) = store();
    let digest = store.put_blob(b"same").unwrap();
    let mut writer = store.blob_writer().unwrap();
    writer.write_all(b"same").unwrap();
    assert_eq!(writer.finish(None).unwrap().0, digest);
    assert_eq!(store.put_blob(b"same").unwrap(), digest);
}

#[test]
fn an_empty_file_of_a_power_cut_counts_as_missing_and_is_replaced() {
    let (_directory, store) = store();
    let digest = Digest::of(b"content");
    File::create(store.blob_path(&digest)).unwrap();
    assert!(!store.has_blob(&digest));
    store.put_blob(b"content").unwrap();
    assert_eq!(store.read_blob(&digest, 100).unwrap(), b"content");
    let empty = store.put_blob(b"").unwrap();
    assert!(store.has_blob(&empty));
}

#[test]
fn reading_checks_the_digest_and_the_limit() {
    let (_directory, store) = store();
    let digest = store.put_blob(b"content").unwrap();
    assert!(matches!(store.read_blob(&digest, 6), Err(Error::BlobTooLarge { size: 7, .. })));
    fs::remove_file(store.blob_path(&digest)).unwrap();
    fs::write(store.blob_path(&digest), b"c0ntent").unwrap();
    assert!(matches!(store.read_blob(&digest, 7), Err(Error::DigestMismatch { .. })));
    let missing = Digest::of(b"missing");
    assert!(matches!(store.read_blob(&missing, 7), Err(Error::BlobMissing(_))));
}

#[test]
fn a_download_goes_on_where_it_broke_off() {
    let (_directory, store) = store();
    let digest = Digest::of(b"hello world");
    let mut partial = store.partial(&digest).unwrap().unwrap();
    partial.write_all(b"hello").unwrap();
    drop(partial);
    let mut partial = store.partial(&digest).unwrap().unwrap();
    assert_eq!(partial.offset(), 5);
    partial.write_all(b" world").unwrap();
    partial.finish(11).unwrap();
    assert!(store.has_blob(&digest));
    assert!(store.partial(&digest).unwrap().is_none());
}

#[test]
fn a_download_of_other_bytes_starts_over() {
    let (_directory, store) = store();
    let digest = Digest::of(b"hello world");
    let mut partial = store.partial(&digest).unwrap().unwrap();
    partial.write_all(b"HELLO WORLD").unwrap();
    assert!(matches!(partial.finish(11), Err(Error::DigestMismatch { .. })));
    let mut partial = store.partial(&digest).unwrap().unwrap();
    assert_eq!(partial.offset(), 0);
    partial.write_all(b"too short").unwrap();
    let error = partial.finish(11).unwrap_err();
    assert!(matches!(error, Error::SizeMismatch { found: 9, .. }));
    let mut partial = store.partial(&digest).unwrap().unwrap();
    assert_eq!(partial.offset(), 9);
    partial.restart().unwrap();
    partial.write_all(b"hello world").unwrap();
    partial.finish(11).unwrap();
}

#[test]
fn the_second_download_of_a_blob_waits_and_finds_it_there() {
    let (_directory, store) = store();
    let digest = Digest::of(b"hello world");
    let mut first = store.partial(&digest).unwrap().unwrap();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| store.partial(&digest).unwrap().is_none());
        first.write_all(b"hello world").unwrap();
        first.finish(11).unwrap();
        assert!(second.join().unwrap());
    });
}
