//! Several snapshots as one: the same tree, one layer.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use lathe_exporter::{Error, LayerForm, PackOptions, layers, squash};
use lathe_snapshot::{Driver, Snapshots};
use lathe_store::SnapshotId;

use crate::fixture::Fixture;

/// When directories are changed.
const LONG_AGO: u64 = 1_000_000_000;

/// Runs a check with the driver that copies, and with overlay where this thread can mount.
fn with_drivers(test: &str, check: impl Fn(&Fixture)) {
    let Some(fixture) = Fixture::new(test) else { return };
    check(&fixture);
    // Of this thread alone: the others of the harness have other mounts.
    let private = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
    let unshared = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)
        .and_then(|()| nix::mount::mount(None::<&str>, "/", None::<&str>, private, None::<&str>));
    if unshared.is_err() {
        println!("SKIP {test} with overlay: this process cannot have mounts of its own");
        return;
    }
    let mut fixture = Fixture::new(test).unwrap();
    fixture.snapshots = Snapshots::new(&fixture.store, false);
    check(&fixture);
    if let Some(Driver::Native(reason)) = fixture.snapshots.driver() {
        println!("SKIP {test} with overlay: {reason}");
    }
}

/// Makes a snapshot by changing what is there.
fn change(fixture: &Fixture, parent: SnapshotId, change: impl Fn(&Path)) -> SnapshotId {
    let active = fixture.snapshots.prepare(Some(parent)).unwrap();
    let mounted = active.mount().unwrap();
    change(mounted.path());
    // Long ago, so that whatever is touched later is seen.
    for folder in ["", "etc", "new", "new/deep", "old"] {
        if let Ok(folder) = fs::File::open(mounted.path().join(folder)) {
            folder.set_modified(UNIX_EPOCH + Duration::from_secs(LONG_AGO)).unwrap();
        }
    }
    drop(mounted);
    active.commit().unwrap()
}

/// Whether the times of directories are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DirTimes {
    Exact,
    /// The driver that copies does not keep them.
    Any,
}

/// Lists a tree: names, kinds, modes, owners, times, contents, which names are one file.
fn dump(path: &Path, prefix: &str, times: DirTimes, lines: &mut Vec<String>) {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let path = path.join(&name);
        let metadata = fs::symlink_metadata(&path).unwrap();
        let shown = format!("{prefix}{}", name.display());
        let kind = metadata.file_type();
        let content = if kind.is_symlink() {
            format!("->{}", fs::read_link(&path).unwrap().display())
        } else if kind.is_file() {
            format!("={} x{}", fs::read_to_string(&path).unwrap(), metadata.nlink())
        } else if kind.is_fifo() {
            "|".to_owned()
        } else {
            "/".to_owned()
        };
        let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        let mut line = format!("{shown}{content} {mode:o} {uid}:{gid}");
        if !kind.is_dir() || times == DirTimes::Exact {
            write!(line, " {}", metadata.mtime()).unwrap();
        }
        lines.push(line);
        if kind.is_dir() {
            dump(&path, &format!("{shown}/"), times, lines);
        }
    }
}

fn tree(fixture: &Fixture, snapshot: SnapshotId) -> Vec<String> {
    let mounted = fixture.snapshots.view(snapshot).unwrap();
    let is_overlay = matches!(fixture.snapshots.driver(), Some(Driver::Overlay));
    let times = if is_overlay { DirTimes::Exact } else { DirTimes::Any };
    let mut lines = Vec::new();
    dump(mounted.path(), "", times, &mut lines);
    lines
}

/// Returns the names in the layer of the topmost of a chain.
fn layer_names(fixture: &Fixture, chain: &[SnapshotId]) -> Vec<String> {
    let options = PackOptions { form: Some(LayerForm::default()), epoch: None };
    let found = layers(&fixture.env(), &[], chain, options).unwrap();
    let blobs = fixture.store.blobs_for_diff_id(found.last().unwrap().entry.diff_id).unwrap();
    let blob = fixture.store.open_blob(&blobs[0].digest).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(blob));
    let name = |entry: std::io::Result<tar::Entry<'_, flate2::read::GzDecoder<fs::File>>>| {
        entry.unwrap().path().unwrap().display().to_string()
    };
    archive.entries().unwrap().map(name).collect()
}

#[test]
fn a_squashed_snapshot_shows_the_same_tree_in_one_layer() {
    with_drivers("a_squashed_snapshot_shows_the_same_tree_in_one_layer", |fixture| {
        let base = fixture.snapshot(
            None,
            &[("etc/os", "1"), ("etc/gone", "2"), ("old/a", "3"), ("old/b", "4"), ("kept/x", "5")],
        );
        let first = change(fixture, base, |root| {
            fs::write(root.join("secret"), "s").unwrap();
            fs::create_dir_all(root.join("new/deep")).unwrap();
            fs::write(root.join("new/deep/file"), "6").unwrap();
            fs::set_permissions(root.join("new"), fs::Permissions::from_mode(0o1750)).unwrap();
            fs::hard_link(root.join("new/deep/file"), root.join("new/same")).unwrap();
            symlink("/etc", root.join("new/link")).unwrap();
            fs::remove_file(root.join("etc/gone")).unwrap();
        });
        let second = change(fixture, first, |root| {
            fs::remove_file(root.join("secret")).unwrap();
            fs::remove_dir_all(root.join("old")).unwrap();
            fs::create_dir(root.join("old")).unwrap();
            fs::write(root.join("old/c"), "7").unwrap();
            fs::write(root.join("etc/os"), "8").unwrap();
            std::os::unix::fs::chown(root.join("etc/os"), Some(1000), Some(1001)).unwrap();
            let mode = nix::sys::stat::Mode::from_bits_truncate(0o640);
            nix::unistd::mkfifo(&root.join("etc/pipe"), mode).unwrap();
        });
        let third = change(fixture, second, |root| {
            fs::remove_file(root.join("new/same")).unwrap();
            fs::rename(root.join("new/deep/file"), root.join("new/deep/moved")).unwrap();
        });
        let squashed = squash(&fixture.env(), &[first, second, third]).unwrap();
        assert_eq!(tree(fixture, squashed), tree(fixture, third));
        let record = fixture.store.snapshot(squashed).unwrap().unwrap();
        assert_eq!(record.parent, Some(base));
        let mut names = layer_names(fixture, &[base, squashed]);
        names.sort();
        let expected = [
            "etc/",
            "etc/.wh.gone",
            "etc/os",
            "etc/pipe",
            "new/",
            "new/deep/",
            "new/deep/moved",
            "new/link",
            "old/",
        ];
        let (old, rest): (Vec<String>, Vec<String>) =
            names.into_iter().partition(|name| name.starts_with("old/") && name != "old/");
        assert_eq!(rest, expected, "neither what was there for a while, nor its removal");
        // Either all of the folder is hidden, or each of its files.
        let hidden =
            [["old/.wh..wh..opq", "old/c"].to_vec(), ["old/.wh.a", "old/.wh.b", "old/c"].to_vec()];
        assert!(hidden.iter().any(|names| old == *names), "{old:?}");
        // What is known is not made again.
        assert_eq!(squash(&fixture.env(), &[first, second, third]).unwrap(), squashed);
        let upper = squash(&fixture.env(), &[second, third]).unwrap();
        assert_ne!(upper, squashed);
        assert_eq!(tree(fixture, upper), tree(fixture, third));
    });
}

#[test]
fn all_of_a_chain_can_be_squashed() {
    with_drivers("all_of_a_chain_can_be_squashed", |fixture| {
        let base = fixture.snapshot(None, &[("a", "1"), ("b", "2")]);
        let top = change(fixture, base, |root| fs::remove_file(root.join("a")).unwrap());
        let squashed = squash(&fixture.env(), &[base, top]).unwrap();
        assert_eq!(tree(fixture, squashed), tree(fixture, top));
        assert_eq!(layer_names(fixture, &[squashed]), ["b"]);
        assert_eq!(fixture.store.snapshot(squashed).unwrap().unwrap().parent, None);
    });
}

#[test]
fn one_snapshot_is_squashed_already() {
    let Some(fixture) = Fixture::new("one_snapshot_is_squashed_already") else { return };
    let base = fixture.snapshot(None, &[("a", "1")]);
    assert_eq!(squash(&fixture.env(), &[base]).unwrap(), base);
    assert!(matches!(squash(&fixture.env(), &[]), Err(Error::Nothing(_))));
}

#[test]
fn cancelling_ends_squashing_and_leaves_nothing() {
    let Some(fixture) = Fixture::new("cancelling_ends_squashing_and_leaves_nothing") else {
        return;
    };
    let base = fixture.snapshot(None, &[("a", "1")]);
    let top = fixture.snapshot(Some(base), &[("b", "2")]);
    let before = fixture.store.snapshots().unwrap().len();
    fixture.cancel.cancel();
    let error = squash(&fixture.env(), &[base, top]).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert_eq!(fixture.store.snapshots().unwrap().len(), before);
}
