//! Digests against a plain reference, and what a memo saves and does not hide.

use super::*;
use lathe_tree::ChildDigest;
use lathe_tree::EntryHeader;
use lathe_tree::FileDigest;
use lathe_tree::FileKind;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::walk::Selection;

struct Scene {
    temporary: tempfile::TempDir,
    root: Root,
}

/// Lines are `dir/`, `file=content`, `link->target`.
fn scene(lines: &[&str]) -> Scene {
    let temporary = tempfile::tempdir().expect("temporary directory");
    for line in lines {
        let path = |name: &str| {
            let path = temporary.path().join(name);
            fs::create_dir_all(path.parent().expect("below the root")).expect("made");
            path
        };
        match (line.split_once("->"), line.split_once('=')) {
            (Some((name, target)), _) => symlink(target, path(name)).expect("linked"),
            (_, Some((name, content))) => fs::write(path(name), content).expect("written"),
            _ => fs::create_dir_all(path(line)).expect("made"),
        }
    }
    let root = Root::open(temporary.path()).expect("opened");
    Scene { temporary, root }
}

impl Scene {
    fn host(&self, path: &str) -> PathBuf {
        self.temporary.path().join(path)
    }

    fn write(&self, path: &str, content: &str) {
        fs::write(self.host(path), content).expect("written");
    }

    fn ask(&self, path: &str, options: DigestOptions<'_>) -> ContentDigest {
        content_digest(&self.root, Path::new(path), options).expect("digest")
    }

    /// The digest with a memo, asked for until all of it could be remembered: the files of a test
    /// are younger than a step of the kernel's clock.
    fn settled(&self, path: &str, options: DigestOptions<'_>) -> ContentDigest {
        loop {
            let digest = self.ask(path, options);
            if digest.files_read == 0 {
                return digest;
            }
        }
    }
}

#[derive(Default)]
struct Memo {
    blocks: Mutex<BTreeMap<DirectoryId, Vec<u8>>>,
    puts: AtomicU64,
}

impl Memo {
    fn options(&self) -> DigestOptions<'_> {
        DigestOptions { memo: Some(self), ..DigestOptions::default() }
    }

    fn puts(&self) -> u64 {
        self.puts.load(Ordering::Relaxed)
    }

    /// Names in the only block.
    fn names(&self) -> Vec<String> {
        let blocks = self.blocks.lock().expect("not poisoned");
        let bytes = blocks.values().next().expect("a block").clone();
        assert_eq!(blocks.len(), 1);
        let block = Block::parse(bytes, None).expect("sound");
        (0..block.len()).map(|i| String::from_utf8_lossy(block.name(i)).into_owned()).collect()
    }
}

impl DirectoryMemo for Memo {
    fn get(&self, directory: DirectoryId) -> Option<Vec<u8>> {
        self.blocks.lock().expect("not poisoned").get(&directory).cloned()
    }

    fn put(&self, directory: DirectoryId, block: &[u8]) {
        let old = self.blocks.lock().expect("not poisoned").insert(directory, block.to_vec());
        assert_ne!(old.as_deref(), Some(block), "a block that did not change is not put");
        self.puts.fetch_add(1, Ordering::Relaxed);
    }
}

/// What [`content_digest`] has to find, said as plainly as possible.
fn reference(
    root: &Root,
    path: &Path,
    below: &Path,
    selection: Selection,
    filter: Filter<'_>,
) -> Option<ChildDigest> {
    let metadata = root.lstat(path).expect("stat");
    let content = metadata.is_file().then(|| {
        let file = root.open_file(path).expect("opened");
        FileDigest::of(file, &mut [0; 4096]).expect("read")
    });
    let target = match metadata.kind {
        FileKind::Symlink => root.read_link(path).expect("link"),
        _ => std::ffi::OsString::new(),
    };
    let xattrs = root.xattrs(path).expect("xattrs");
    let header =
        EntryHeader { metadata: &metadata, link_target: target.as_bytes(), xattrs: &xattrs };
    let entry = header.digest(content.as_ref());
    if !metadata.is_dir() {
        let counts = matches!(selection, Selection::Keep | Selection::Lazy);
        return counts.then_some(entry.into());
    }
    let mut tree = TreeDigester::new(&entry);
    let mut is_empty = true;
    for name in root.list(path).expect("listed") {
        let (path, below) = (path.join(&name), below.join(&name));
        let selection = filter(&below, root.lstat(&path).expect("stat").kind);
        if selection == Selection::Skip {
            continue;
        }
        if let Some(child) = reference(root, &path, &below, selection, filter) {
            tree.add(name.as_bytes(), &child);
            is_empty = false;
        }
    }
    (selection == Selection::Keep || !is_empty).then(|| tree.finish().into())
}

#[test]
fn digests_of_many_threads_are_those_of_the_reference() {
    let scene = scene(&["a/link->../b", "a/empty/none/", "b/x=1", "b/y/z=2", "b-c=3", "b.d/e=4"]);
    fs::create_dir(scene.host("many")).expect("made");
    for number in 0..600 {
        scene.write(&format!("many/{number}"), &number.to_string());
        let dir = format!("tree/{}/{}", number % 3, number % 40);
        fs::create_dir_all(scene.host(&dir)).expect("made");
        scene.write(&format!("{dir}/{number}"), &number.to_string());
    }
    for number in 0..4 {
        scene.write(&format!("tree/1/large{number}"), &number.to_string().repeat(270_000));
    }
    let sum = |path: &Path| -> u32 {
        path.as_os_str().as_bytes().iter().map(|byte| u32::from(*byte)).sum()
    };
    let filters: [Filter<'_>; 4] = [
        &|_, _| Selection::Keep,
        &|_, kind| if kind == FileKind::Directory { Selection::Lazy } else { Selection::Keep },
        &|path, _| match sum(path) % 4 {
            0 => Selection::Skip,
            1 => Selection::Descend,
            2 => Selection::Lazy,
            _ => Selection::Keep,
        },
        &|path, kind| match (kind, sum(path) % 5) {
            (FileKind::Directory, _) => Selection::Descend,
            (_, 0) => Selection::Keep,
            _ => Selection::Skip,
        },
    ];
    let memo = Memo::default();
    for (index, filter) in filters.into_iter().enumerate() {
        for start in ["", "tree", "many", "a"] {
            let path = Path::new(start);
            let expected = reference(&scene.root, path, Path::new(""), Selection::Keep, filter);
            for memo in [None, Some(&memo as &dyn DirectoryMemo)] {
                let options = DigestOptions { filter: Some(filter), memo, owner: None };
                let found = scene.ask(start, options).digest;
                assert_eq!(Some(found.into()), expected, "filter {index} of `{start}`");
            }
        }
    }
}

#[test]
fn an_unchanged_tree_is_not_read_and_not_remembered_again() {
    let scene = scene(&["d/a=1", "d/b=2", "d/s/c=3", "d/link->a", "d/empty/"]);
    let memo = Memo::default();
    let first = scene.ask("d", memo.options());
    assert_eq!((first.files_read, first.changed.len()), (3, 0));
    let mut puts = 0;
    let settled = loop {
        let settled = scene.settled("d", memo.options());
        // Directories are young, too.
        if std::mem::replace(&mut puts, memo.puts()) == memo.puts() {
            break settled;
        }
    };
    assert_eq!(scene.ask("d", memo.options()), settled);
    assert_eq!((settled.digest, memo.puts()), (first.digest, puts));
    assert_eq!(scene.ask("d", DigestOptions::default()).digest, first.digest);
}

#[test]
fn a_changed_file_is_read_and_named() {
    let scene = scene(&["d/a=1", "d/b=2", "d/s/c=3"]);
    let memo = Memo::default();
    let before = scene.settled("d", memo.options());
    let time = fs::metadata(scene.host("d/s/c")).expect("stat").modified().expect("known");
    scene.write("d/s/c", "4");
    let file = fs::File::options().write(true).open(scene.host("d/s/c")).expect("opened");
    file.set_modified(time).expect("size and modification time are as before");
    let after = scene.ask("d", memo.options());
    assert_eq!((after.files_read, &after.changed[..]), (1, &[PathBuf::from("d/s/c")][..]));
    assert_ne!(after.digest, before.digest);
    // Touched only: read again, but not what a rebuild is explained with.
    file.set_modified(std::time::UNIX_EPOCH).expect("set");
    let touched = scene.ask("d", memo.options());
    assert_eq!((touched.files_read, touched.changed.len()), (1, 0));
    assert_eq!(touched.digest, after.digest);
}

#[test]
fn the_first_of_many_changed_files_are_named() {
    let scene = scene(&[]);
    let names: Vec<String> = (10..30).map(|number| format!("d{number}/f")).collect();
    let write = |content| {
        for name in &names {
            fs::create_dir_all(scene.host(name).parent().expect("a folder")).expect("made");
            scene.write(name, content);
        }
    };
    write("1");
    let memo = Memo::default();
    scene.settled("", memo.options());
    write("2");
    let changed = scene.ask("", memo.options()).changed;
    assert_eq!(changed, names[..8].iter().map(PathBuf::from).collect::<Vec<_>>());
}

#[test]
fn changed_modes_and_attributes_are_seen() {
    let scene = scene(&["d/a=1", "d/s/b=1"]);
    let memo = Memo::default();
    let mut last = scene.settled("d", memo.options()).digest;
    let mut check = |what: &str| {
        let digest = scene.settled("d", memo.options()).digest;
        assert_ne!(digest, last, "{what}");
        assert_eq!(digest, scene.ask("d", DigestOptions::default()).digest, "{what}");
        last = digest;
    };
    for path in ["d", "d/a", "d/s", "d/s/b"] {
        scene.root.set_mode(Path::new(path), 0o710).expect("set");
        check(path);
        match scene.root.set_xattr(Path::new(path), b"user.key", b"value") {
            Ok(()) => check(path),
            Err(error) => eprintln!("SKIP changed_modes_and_attributes_are_seen: {error}"),
        }
    }
}

#[test]
fn what_another_filter_saw_is_kept_and_what_is_gone_is_dropped() {
    let scene = scene(&["a=1", "b=2", "c=3"]);
    let memo = Memo::default();
    scene.settled("", memo.options());
    assert_eq!(memo.names(), ["", "a", "b", "c"]);
    let only_a = |path: &Path, _| {
        if path == Path::new("a") { Selection::Keep } else { Selection::Skip }
    };
    let options = DigestOptions { filter: Some(&only_a), ..memo.options() };
    scene.write("a", "4");
    scene.write("d", "5");
    assert_eq!(scene.ask("", options).files_read, 1);
    assert_eq!(memo.names(), ["", "a", "b", "c"]);
    fs::remove_file(scene.host("b")).expect("removed");
    scene.ask("", options);
    assert_eq!(memo.names(), ["", "a", "c"]);
    assert_eq!(scene.settled("", memo.options()).changed, <[PathBuf; 0]>::default());
    assert_eq!(memo.names(), ["", "a", "c", "d"]);
}

#[test]
fn single_files_and_their_directory_have_one_memo() {
    let scene = scene(&["d/a=1", "d/b=2", "d/link->b"]);
    let memo = Memo::default();
    for (path, names) in [("d/b", &["b"][..]), ("d/a", &["a", "b"]), ("d/link", &["a", "b"])] {
        let digest = scene.settled(path, memo.options()).digest;
        assert_eq!(digest, scene.ask(path, DigestOptions::default()).digest, "{path}");
        assert_eq!(memo.names(), names, "{path}");
    }
    assert_eq!(scene.ask("d", memo.options()).files_read, 0);
    scene.write("d/a", "3");
    let digest = scene.ask("d/a", memo.options());
    assert_eq!((digest.files_read, digest.changed), (1, vec![PathBuf::from("d/a")]));
}

#[test]
fn another_owner_has_another_memo() {
    let scene = scene(&["a=1"]);
    let memo = Memo::default();
    let own = scene.settled("", memo.options()).digest;
    let options = DigestOptions { owner: Some(Owner { uid: 7, gid: 8 }), ..memo.options() };
    let other = scene.ask("", options);
    assert_eq!(other.files_read, 1);
    assert_ne!(other.digest, own);
    let plain = DigestOptions { memo: None, ..options };
    assert_eq!(scene.settled("", options).digest, scene.ask("", plain).digest);
}

#[test]
fn a_block_that_was_damaged_counts_as_none() {
    let scene = scene(&["a=1", "bb=2", "c=3"]);
    let memo = Memo::default();
    let digest = scene.settled("", memo.options()).digest;
    let (id, block) = memo.blocks.lock().expect("not poisoned").pop_first().expect("a block");
    let mut damaged: Vec<Vec<u8>> = (0..block.len()).map(|at| block[..at].to_vec()).collect();
    for at in 0..block.len() {
        let mut bytes = block.clone();
        bytes[at] ^= 0x40;
        damaged.push(bytes);
    }
    for (index, bytes) in damaged.into_iter().enumerate() {
        assert!(Block::parse(bytes.clone(), None).is_none(), "damage {index}");
        if index % 50 == 0 {
            memo.blocks.lock().expect("not poisoned").insert(id, bytes);
            let found = scene.ask("", memo.options());
            assert_eq!((found.digest, found.files_read), (digest, 3), "damage {index}");
        }
    }
    assert!(Block::parse(block, None).is_some());
}
