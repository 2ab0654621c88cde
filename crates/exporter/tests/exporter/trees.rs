//! The files alone: as a tar and into a folder.

use std::{fs, io::Read as _, os::unix::fs::MetadataExt as _, path::Path};

use lathe_exporter::{Error, ExportRequest, ExportSpec, Owners, export};
use lathe_store::SnapshotId;

use crate::fixture::Fixture;

fn request(tree: Option<SnapshotId>, owners: Owners) -> ExportRequest<'static> {
    ExportRequest {
        image: None,
        platform: None,
        size: 0,
        tree,
        names: &[],
        epoch: Some(1_000_000),
        annotations: &[],
        owners,
    }
}

#[test]
fn a_tar_has_the_files_of_all_layers() {
    let Some(fixture) = Fixture::new("a_tar_has_the_files_of_all_layers") else { return };
    let (_, top) = fixture.small_image();
    let path = fixture.path("files.tar");
    let spec = ExportSpec::parse(&format!("type=tar,dest={}", path.display())).unwrap();
    let receipt = export(&fixture.env(), &spec, &request(Some(top), Owners::Keep)).unwrap();
    assert_eq!(receipt.bytes, fs::metadata(&path).unwrap().len());
    let mut archive = tar::Archive::new(fs::File::open(&path).unwrap());
    let mut files = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        assert_eq!(entry.header().mtime().unwrap(), 1_000_000);
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        files.push((entry.path().unwrap().display().to_string(), text));
    }
    let expected = [
        ("app/", ""),
        ("app/data", "content of the second layer\n"),
        ("bin/", ""),
        ("bin/tool", "#!\n"),
        ("etc/", ""),
        ("etc/os", "test\n"),
    ];
    assert_eq!(files, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
}

#[test]
fn a_folder_is_merged_with_what_is_there() {
    let Some(fixture) = Fixture::new("a_folder_is_merged_with_what_is_there") else { return };
    let tree = fixture.snapshot(None, &[("a/new", "1"), ("a/both", "new")]);
    let in_store = fixture.snapshots.changes(tree).join("a/new");
    std::os::unix::fs::chown(&in_store, Some(1000), Some(1001)).unwrap();
    let out = fixture.path("out/deep");
    fs::create_dir_all(out.join("a")).unwrap();
    fs::write(out.join("a/both"), "old").unwrap();
    fs::write(out.join("a/mine"), "mine").unwrap();
    let spec = ExportSpec::parse(out.to_str().unwrap()).unwrap();
    let text = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let owner = |name: &str| {
        let metadata = fs::metadata(out.join(name)).unwrap();
        (metadata.uid(), metadata.gid())
    };
    export(&fixture.env(), &spec, &request(Some(tree), Owners::Caller)).unwrap();
    assert_eq!([text("a/new"), text("a/both"), text("a/mine")], ["1", "new", "mine"]);
    assert_eq!(owner("a/new"), (0, 0));
    export(&fixture.env(), &spec, &request(Some(tree), Owners::Keep)).unwrap();
    assert_eq!(owner("a/new"), (1000, 1001));
}

/// Lists all paths below a folder.
fn paths(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(folder).unwrap().display().to_string());
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_folder_is_made_equal_on_request() {
    let Some(fixture) = Fixture::new("a_folder_is_made_equal_on_request") else { return };
    let files = [("a/new", "1"), ("a/both", "new"), ("file", "2"), ("dir/x", "3"), ("link/x", "4")];
    let tree = fixture.snapshot(None, &files);
    let out = fixture.path("out");
    let mine = fixture.path("mine");
    fs::create_dir_all(mine.join("deep")).unwrap();
    for folder in ["a/old", "file", "gone/deep"] {
        fs::create_dir_all(out.join(folder)).unwrap();
        fs::write(out.join(folder).join("y"), "old").unwrap();
    }
    for file in ["a/both", "dir", "other"] {
        fs::write(out.join(file), "old").unwrap();
    }
    // What links lead to is none of its business.
    std::os::unix::fs::symlink(&mine, out.join("link")).unwrap();
    std::os::unix::fs::symlink(&mine, out.join("gone/link")).unwrap();
    let spec = format!("type=local,mode=delete,dest={}", out.display());
    let spec = ExportSpec::parse(&spec).unwrap();
    export(&fixture.env(), &spec, &request(Some(tree), Owners::Caller)).unwrap();
    let expected = ["a", "a/both", "a/new", "dir", "dir/x", "file", "link", "link/x"];
    assert_eq!(paths(&out), expected);
    assert_eq!(paths(&mine), ["deep"]);
    assert_eq!(fs::read_to_string(out.join("a/both")).unwrap(), "new");
    assert_eq!(fs::metadata(out.join("dir/x")).unwrap().mtime(), 1_000_000, "the epoch");
}

#[test]
fn files_can_be_in_a_folder_for_their_platform() {
    let Some(fixture) = Fixture::new("files_can_be_in_a_folder_for_their_platform") else { return };
    let (image, tree) = fixture.small_image();
    let out = fixture.path("out");
    fs::create_dir_all(out.join("linux_amd64/old")).unwrap();
    fs::create_dir_all(out.join("other")).unwrap();
    for (mode, others) in [("copy", true), ("delete", false)] {
        let spec = format!("type=local,platform-split=true,mode={mode},dest={}", out.display());
        let request = ExportRequest { image: Some(&image), ..request(Some(tree), Owners::Caller) };
        export(&fixture.env(), &ExportSpec::parse(&spec).unwrap(), &request).unwrap();
        let found = paths(&out);
        assert!(found.contains(&"linux_amd64/app/data".to_owned()), "{found:?}");
        for path in ["other", "linux_amd64/old"] {
            assert_eq!(found.contains(&path.to_owned()), others, "{mode}: {found:?}");
        }
    }
}

#[test]
fn a_link_in_the_folder_leads_nowhere() {
    let Some(fixture) = Fixture::new("a_link_in_the_folder_leads_nowhere") else { return };
    let tree = fixture.snapshot(None, &[("file", "new")]);
    let out = fixture.path("out");
    fs::create_dir(&out).unwrap();
    fs::write(fixture.path("outside"), "mine").unwrap();
    std::os::unix::fs::symlink(Path::new("../outside"), out.join("file")).unwrap();
    let spec = ExportSpec::parse(out.to_str().unwrap()).unwrap();
    export(&fixture.env(), &spec, &request(Some(tree), Owners::Caller)).unwrap();
    assert_eq!(fs::read_to_string(fixture.path("outside")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(out.join("file")).unwrap(), "new");
}

#[test]
fn nothing_cannot_be_written() {
    let Some(fixture) = Fixture::new("nothing_cannot_be_written") else { return };
    let check = |text: &str, want: &str| {
        let spec = ExportSpec::parse(text).unwrap();
        let error = export(&fixture.env(), &spec, &request(None, Owners::Keep)).unwrap_err();
        assert!(matches!(error, Error::Nothing(_)) && error.to_string().contains(want), "{error}");
    };
    check("out", "no files");
    check("type=tar,dest=x", "no files");
    check("type=image,name=a", "no image");
}
