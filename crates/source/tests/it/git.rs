//! Git repositories, by real git over `file://`.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use lathe_graph::{GitReference, GitSource, GitTime};
use lathe_source::{Error, Fetched};

use crate::common::{FIRST, Origin, Place, can_own, has_git};

pub(crate) fn source(url: &str) -> GitSource {
    GitSource {
        url: url.to_owned(),
        reference: GitReference::Head,
        subdir: None,
        checksum: None,
        keep_git_dir: false,
        submodules: true,
        mtime: GitTime::Commit,
        fetch_by_commit: false,
    }
}

fn any(url: &str, name: &str) -> GitSource {
    GitSource { reference: GitReference::Any(name.to_owned()), ..source(url) }
}

/// A place, and a repository with one commit of a few kinds of files.
fn start(test: &str) -> Option<(Place, Origin)> {
    if !has_git(test) || !can_own(test) {
        return None;
    }
    let place = Place::new();
    let origin = Origin::new(place.path("origin"));
    origin.write("a.txt", "1\n");
    origin.write("sub/run.sh", "#!/bin/sh\n");
    symlink("a.txt", origin.folder.join("link")).expect("it works");
    let script = origin.folder.join("sub/run.sh");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(script, executable).expect("it works");
    origin.commit(FIRST);
    Some((place, origin))
}

#[track_caller]
fn fetch(place: &Place, source: &GitSource) -> Fetched {
    match place.remotes.git(source, None) {
        Ok(fetched) => fetched,
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn text(place: &Place, fetched: &Fetched, path: &str) -> String {
    fs::read_to_string(place.tree(fetched.snapshot).join(path)).expect("it works")
}

#[test]
fn files_have_the_commits_time_and_modes_without_the_umask() {
    let Some((place, origin)) = start("files_have_the_commits_time_and_modes_without_the_umask")
    else {
        return;
    };
    let fetched = fetch(&place, &source(&origin.url()));
    assert_eq!(
        place.list(&fetched),
        [
            format!("a.txt 644 {FIRST} 1\\n"),
            "link -> a.txt".to_owned(),
            format!("sub/ 755 {FIRST}"),
            format!("sub/run.sh 755 {FIRST} #!/bin/sh\\n"),
        ]
    );
    assert_eq!(fetched.time, Some(FIRST));
    assert_eq!(fetched.revision, Some(origin.git(&["rev-parse", "HEAD"])));
    let now = GitSource { mtime: GitTime::Checkout, ..source(&origin.url()) };
    let now = fetch(&place, &now);
    assert_eq!(now.time, Some(FIRST), "the time of the commit is still known");
    assert!(!place.list(&now)[0].contains(&FIRST.to_string()));
}

#[test]
fn every_kind_of_name_is_found() {
    let Some((place, origin)) = start("every_kind_of_name_is_found") else { return };
    let url = origin.url();
    let first = origin.git(&["rev-parse", "HEAD"]);
    origin.git(&["tag", "light"]);
    origin.git(&["tag", "--annotate", "--message=x", "noted"]);
    origin.git(&["branch", "both"]);
    origin.git(&["update-ref", "refs/pull/7/head", "HEAD"]);
    origin.git(&["checkout", "--quiet", "-b", "topic/x"]);
    origin.write("a.txt", "2\n");
    let second = origin.commit(FIRST + 1);
    origin.git(&["tag", "both"]);
    origin.git(&["checkout", "--quiet", "main"]);
    let note = origin.git(&["rev-parse", "noted"]);
    let check = |reference: GitReference, expected: &str| {
        let source = GitSource { reference: reference.clone(), ..source(&url) };
        let revision = fetch(&place, &source).revision;
        assert_eq!(revision.as_deref(), Some(expected), "{reference:?}");
    };
    let any = |name: &str| GitReference::Any(name.to_owned());
    check(GitReference::Head, &first);
    check(any("HEAD"), &first);
    check(any("main"), &first);
    check(any("topic/x"), &second);
    check(any("light"), &first);
    check(any("noted"), &first);
    check(any("refs/tags/noted"), &first);
    check(any("refs/heads/main"), &first);
    check(any("pull/7/head"), &first);
    check(any("both"), &first);
    check(GitReference::Tag("both".to_owned()), &second);
    check(GitReference::Branch("both".to_owned()), &first);
    check(GitReference::Tag("noted".to_owned()), &first);
    check(any(&second), &second);
    check(any(&second.to_uppercase()), &second);
    check(any(&note), &first);
    check(any(&second[..7]), &second);
    check(any(&first[..10]), &first);
}

#[test]
fn a_commit_behind_the_branches_is_found_in_the_history() {
    let Some((place, origin)) = start("a_commit_behind_the_branches_is_found_in_the_history")
    else {
        return;
    };
    let first = origin.git(&["rev-parse", "HEAD"]);
    origin.write("a.txt", "2\n");
    origin.commit(FIRST + 1);
    // The shallow commit first, so that its copy must be made deep.
    assert_eq!(text(&place, &fetch(&place, &source(&origin.url())), "a.txt"), "2\n");
    assert_eq!(text(&place, &fetch(&place, &any(&origin.url(), &first[..8])), "a.txt"), "1\n");
    let by_commit = GitSource {
        reference: GitReference::Branch("main".to_owned()),
        checksum: Some(first.clone()),
        fetch_by_commit: true,
        ..source(&origin.url())
    };
    assert_eq!(fetch(&place, &by_commit).revision, Some(first));
}

#[test]
fn the_same_commit_is_neither_fetched_nor_written_again() {
    let Some((place, origin)) = start("the_same_commit_is_neither_fetched_nor_written_again")
    else {
        return;
    };
    let first = fetch(&place, &source(&origin.url()));
    assert_eq!(fetch(&place, &source(&origin.url())), first);
    let commit = first.revision.clone().unwrap();
    fs::remove_dir_all(&origin.folder).unwrap();
    assert_eq!(fetch(&place, &any(&origin.url(), &commit)), first, "a whole id asks nobody");
    let checked =
        GitSource { checksum: Some(commit), fetch_by_commit: true, ..any(&origin.url(), "main") };
    assert_eq!(fetch(&place, &checked), first);
    assert_eq!(place.snapshots(), 1);
}

#[test]
fn a_branch_that_moved_is_another_commit() {
    let Some((place, origin)) = start("a_branch_that_moved_is_another_commit") else { return };
    let first = fetch(&place, &any(&origin.url(), "main"));
    origin.write("a.txt", "2\n");
    origin.commit(FIRST + 1);
    let second = fetch(&place, &any(&origin.url(), "main"));
    assert_eq!(text(&place, &first, "a.txt"), "1\n");
    assert_eq!(text(&place, &second, "a.txt"), "2\n");
    assert_eq!(second.time, Some(FIRST + 1));
}

#[test]
fn a_checksum_is_the_beginning_of_the_commit_or_of_its_tag() {
    let Some((place, origin)) = start("a_checksum_is_the_beginning_of_the_commit_or_of_its_tag")
    else {
        return;
    };
    origin.git(&["tag", "--annotate", "--message=x", "noted"]);
    let (commit, tag) = (origin.git(&["rev-parse", "HEAD"]), origin.git(&["rev-parse", "noted"]));
    for good in [&commit, &commit[..7], &commit.to_uppercase(), &tag, &tag[..8]] {
        let checksum = Some(good.to_owned());
        let source = GitSource { checksum, ..any(&origin.url(), "noted") };
        assert_eq!(fetch(&place, &source).revision.as_deref(), Some(commit.as_str()), "{good}");
    }
    let wrong = "0123456789012345678901234567890123456789";
    for (wrong, name) in [(&wrong[..8], "main"), (wrong, "main"), (wrong, &commit)] {
        let source = GitSource { checksum: Some(wrong.to_owned()), ..any(&origin.url(), name) };
        let error = place.remotes.git(&source, None).unwrap_err();
        assert!(matches!(error, Error::GitChecksum { .. }), "{error}");
        let expected =
            format!("`{name}` of {} is commit {commit}, but {wrong} is wanted", origin.url());
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_folder_becomes_the_top() {
    let Some((place, origin)) = start("a_folder_becomes_the_top") else { return };
    origin.write("sub/deep/er/x", "x");
    origin.write(".gitattributes", "*.win text eol=crlf\n");
    origin.write("sub/deep/y.win", "y\n");
    origin.commit(FIRST);
    let check = |folder: &str, expected: &[&str]| {
        let source = GitSource { subdir: Some(folder.to_owned()), ..source(&origin.url()) };
        let fetched = fetch(&place, &source);
        assert_eq!(place.names(&fetched), expected, "{folder}");
        fetched
    };
    check("sub", &["deep/er/x", "deep/y.win", "run.sh"]);
    let deep = check("/sub/./deep/", &["er/x", "y.win"]);
    assert_eq!(text(&place, &deep, "y.win"), "y\r\n", "attributes of the top count");
    check("sub/deep/er", &["x"]);
    check(
        ".",
        &[".gitattributes", "a.txt", "link", "sub/deep/er/x", "sub/deep/y.win", "sub/run.sh"],
    );
}

#[test]
fn inv_source_inside_a_folder_cannot_be_a_link_or_lead_out() {
    let Some((place, origin)) = start("inv_source_inside_a_folder_cannot_be_a_link_or_lead_out")
    else {
        return;
    };
    symlink("/etc", origin.folder.join("etc")).unwrap();
    symlink("sub", origin.folder.join("alias")).unwrap();
    symlink("../../..", origin.folder.join("up")).unwrap();
    origin.commit(FIRST);
    let before = place.snapshots();
    for folder in ["etc", "alias", "up", "up/etc", "../x", "sub/../..", "none", "a.txt", "link"] {
        let source = GitSource { subdir: Some(folder.to_owned()), ..source(&origin.url()) };
        let error = place.remotes.git(&source, None).unwrap_err();
        assert!(matches!(error, Error::GitFolder { .. }), "{folder}: {error}");
    }
    assert_eq!(place.snapshots(), before, "what fails leaves nothing");
}

#[test]
fn submodules_are_brought_with_theirs() {
    let Some((place, origin)) = start("submodules_are_brought_with_theirs") else { return };
    let inner = Origin::new(place.path("inner"));
    inner.write("i", "inner");
    inner.commit(FIRST);
    let middle = Origin::new(place.path("middle"));
    middle.git(&["submodule", "--quiet", "add", "../inner", "deep/inner"]);
    middle.write("m", "middle");
    middle.commit(FIRST);
    origin.git(&["submodule", "--quiet", "add", &middle.url(), "lib"]);
    origin.commit(FIRST);
    // What the branch has become since does not matter.
    inner.write("i", "changed");
    inner.commit(FIRST + 1);
    let fetched = fetch(&place, &source(&origin.url()));
    let names = [
        ".gitmodules",
        "a.txt",
        "lib/.gitmodules",
        "lib/deep/inner/i",
        "lib/m",
        "link",
        "sub/run.sh",
    ];
    assert_eq!(place.names(&fetched), names);
    assert_eq!(text(&place, &fetched, "lib/deep/inner/i"), "inner");
    let without = GitSource { submodules: false, ..source(&origin.url()) };
    let without = fetch(&place, &without);
    assert_eq!(place.names(&without), [".gitmodules", "a.txt", "link", "sub/run.sh"]);
    let folder = GitSource { subdir: Some("lib/deep".to_owned()), ..source(&origin.url()) };
    assert_eq!(place.names(&fetch(&place, &folder)), ["inner/i"]);
}

#[test]
fn a_submodule_that_cannot_be_had_is_named() {
    let Some((place, origin)) = start("a_submodule_that_cannot_be_had_is_named") else { return };
    let commit = origin.git(&["rev-parse", "HEAD"]);
    let link = |path: &str| {
        let entry = format!("160000,{commit},{path}");
        origin.git(&["update-index", "--add", "--cacheinfo", &entry]);
        origin.git(&["commit", "--quiet", "--message=x"]);
    };
    let check = |expected: &str| {
        let error = place.remotes.git(&source(&origin.url()), None).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("?submodules=false"), "{error}");
    };
    let modules = |url: &str| format!("[submodule \"x\"]\n\tpath = lib\n\turl = {url}\n");
    origin.write(".gitmodules", "[submodule \"y\"]\n\tpath = other\n\turl = ../y\n");
    origin.git(&["add", ".gitmodules"]);
    link("lib");
    check("submodule `lib`");
    for url in ["--upload-pack=touch /tmp/x", "ext::touch /tmp/x"] {
        origin.write(".gitmodules", &modules(url));
        origin.git(&["add", ".gitmodules"]);
        origin.git(&["commit", "--quiet", "--message=x"]);
        check("cannot be used as the URL of a repository");
    }
}

#[test]
fn a_kept_repository_is_this_commit_under_its_name() {
    let Some((place, origin)) = start("a_kept_repository_is_this_commit_under_its_name") else {
        return;
    };
    origin.write("a.txt", "2\n");
    let commit = origin.commit(FIRST + 1);
    origin.git(&["tag", "--annotate", "--message=x", "v1"]);
    let kept = |name: &str| GitSource { keep_git_dir: true, ..any(&origin.url(), name) };
    let fetched = fetch(&place, &kept("v1"));
    let tree = place.tree(fetched.snapshot);
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(["-c", "safe.directory=*"])
            .args(arguments)
            .current_dir(&tree)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(git(&["rev-parse", "HEAD"]), commit);
    assert_eq!(git(&["describe", "--exact-match"]), "v1");
    assert_eq!(git(&["rev-list", "--count", "HEAD"]), "1");
    assert_eq!(git(&["config", "remote.origin.url"]), origin.url());
    assert_eq!(git(&["status", "--porcelain"]), "");
    let branch = fetch(&place, &kept("main"));
    let tree = place.tree(branch.snapshot);
    assert!(tree.join(".git/refs/heads/main").exists() && !tree.join(".git/hooks").exists());
    let detached = fetch(&place, &kept(&commit));
    let head = text(&place, &detached, ".git/HEAD");
    assert_eq!(head.trim(), commit);
}

#[test]
fn a_kept_repository_is_the_same_each_time() {
    let Some((_place, origin)) = start("a_kept_repository_is_the_same_each_time") else { return };
    let source = GitSource { keep_git_dir: true, ..any(&origin.url(), "main") };
    let list = || {
        let place = Place::new();
        let fetched = place.remotes.git(&source, None).unwrap();
        place.list(&fetched)
    };
    assert_eq!(list(), list());
}

#[test]
fn hooks_and_filters_are_not_run() {
    let Some((place, origin)) = start("hooks_and_filters_are_not_run") else { return };
    let trace = place.path("trace");
    let script = format!("#!/bin/sh\ntouch {}\n", trace.display());
    for hook in ["post-checkout", "post-index-change", "reference-transaction", "fsmonitor"] {
        let path = format!(".git/hooks/{hook}");
        origin.write(&path, &script);
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(origin.folder.join(path), executable).unwrap();
    }
    origin.write(".gitattributes", "*.txt filter=lfs\n");
    origin.commit(FIRST);
    let source = GitSource { keep_git_dir: true, ..source(&origin.url()) };
    assert_eq!(text(&place, &fetch(&place, &source), "a.txt"), "1\n");
    assert!(!trace.exists());
}

#[test]
fn an_empty_commit_is_an_empty_tree() {
    let Some((place, origin)) = start("an_empty_commit_is_an_empty_tree") else { return };
    origin.git(&["rm", "-r", "--quiet", "."]);
    origin.commit(FIRST);
    assert!(place.list(&fetch(&place, &source(&origin.url()))).is_empty());
}

#[test]
fn odd_names_are_files_like_others() {
    let Some((place, origin)) = start("odd_names_are_files_like_others") else { return };
    for name in ["-f", "a b", "é", "new\nline", "d/:(top)x", "[x]", "\"q\""] {
        origin.write(name, name);
    }
    origin.commit(FIRST);
    let fetched = fetch(&place, &source(&origin.url()));
    assert_eq!(text(&place, &fetched, "new\nline"), "new\nline");
    assert_eq!(text(&place, &fetched, "-f"), "-f");
    let folder = GitSource { subdir: Some("d".to_owned()), ..source(&origin.url()) };
    assert_eq!(text(&place, &fetch(&place, &folder), ":(top)x"), "d/:(top)x");
}

#[test]
fn a_repository_with_long_ids_is_read() {
    if !has_git("a_repository_with_long_ids_is_read") || !can_own("long ids") {
        return;
    }
    let place = Place::new();
    let folder = place.path("origin");
    fs::create_dir_all(&folder).unwrap();
    let origin = Origin { folder };
    origin.git(&["init", "--quiet", "--object-format=sha256", "--initial-branch=main"]);
    origin.write("a", "a");
    let commit = origin.commit(FIRST);
    assert_eq!(commit.len(), 64);
    for name in ["main", &commit] {
        let fetched = fetch(&place, &any(&origin.url(), name));
        assert_eq!(fetched.revision.as_deref(), Some(commit.as_str()));
    }
    let kept = GitSource { keep_git_dir: true, ..any(&origin.url(), "main") };
    assert!(place.names(&fetch(&place, &kept)).contains(&"a".to_owned()));
}

#[test]
fn what_is_not_there_is_said() {
    let Some((place, origin)) = start("what_is_not_there_is_said") else { return };
    let url = origin.url();
    let check = |source: &GitSource, expected: &str| {
        let error = place.remotes.git(source, None).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    check(&any(&url, "none"), &format!("{url} has no branch, tag or commit `none`"));
    check(&any(&url, "0123abc"), &format!("{url} has no branch, tag or commit `0123abc`"));
    let tag = GitReference::Tag("main".to_owned());
    let tag = GitSource { reference: tag, ..source(&url) };
    check(&tag, &format!("{url} has no branch, tag or commit `main`"));
    let near = format!("{url} has no branch, tag or commit `mian`; did you mean `main`?");
    check(&any(&url, "mian"), &near);
    check(
        &any(&url, "v1.2.3"),
        &format!("{url} has no branch, tag or commit `v1.2.3`; it has `main`"),
    );
    let none = "0123456789012345678901234567890123456789";
    check(&any(&url, none), &format!("{url} has no commit {none}"));
    let nowhere = format!("file://{}", place.path("nowhere").display());
    check(&source(&nowhere), &format!("cannot read the references of {nowhere}: "));
    let empty = Origin::new(place.path("empty"));
    let expected = format!("{} has no branch, tag or commit `HEAD`; it has none", empty.url());
    check(&source(&empty.url()), &expected);
    assert_eq!(place.snapshots(), 0);
}

#[test]
fn names_and_urls_that_are_options_are_refused() {
    let Some((place, origin)) = start("names_and_urls_that_are_options_are_refused") else {
        return;
    };
    let url = origin.url();
    for name in ["--upload-pack=touch x", "-x", "a..b", "a*", "a^{tree}", "", "a b", "a\nb", "a:b"]
    {
        let error = place.remotes.git(&any(&url, name), None).unwrap_err();
        assert!(matches!(error, Error::GitName { .. }), "{name}: {error}");
    }
    for url in ["--upload-pack=touch x", "ext::sh -c x", "-u", "ftp://h/x", "/etc"] {
        let error = place.remotes.git(&source(url), None).unwrap_err();
        assert!(matches!(error, Error::GitUrl { .. }), "{url}: {error}");
    }
}

#[test]
fn builds_at_once_wait_for_each_other() {
    let Some((place, origin)) = start("builds_at_once_wait_for_each_other") else { return };
    let names: Vec<String> = (0..6).map(|number| format!("b{number}")).collect();
    for name in &names {
        origin.git(&["checkout", "--quiet", "-b", name]);
        origin.write("a.txt", name);
        origin.commit(FIRST);
    }
    std::thread::scope(|scope| {
        for name in &names {
            let (place, origin) = (&place, &origin);
            scope.spawn(move || {
                let fetched = fetch(place, &any(&origin.url(), name));
                assert_eq!(&text(place, &fetched, "a.txt"), name);
            });
        }
    });
    let left = fs::read_dir(place.store().directory().join("git")).unwrap();
    let index = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("index-");
    assert!(!left.flatten().any(|entry| index(&entry.file_name())), "no index is left behind");
}

#[test]
fn what_a_killed_git_left_does_not_matter() {
    let Some((place, origin)) = start("what_a_killed_git_left_does_not_matter") else { return };
    fetch(&place, &source(&origin.url()));
    let folder = place.store().directory().join("git");
    let kept = |entry: &fs::DirEntry| entry.path().join("lathe").exists();
    let kept = fs::read_dir(folder).unwrap().flatten().find(kept).unwrap().path();
    for left in ["shallow.lock", "packed-refs.lock", "refs/lathe/fetched.lock"] {
        fs::write(kept.join(left), "").unwrap();
    }
    origin.write("a.txt", "2\n");
    origin.commit(FIRST + 1);
    assert_eq!(text(&place, &fetch(&place, &source(&origin.url())), "a.txt"), "2\n");
    // One whose making was cut short is made again.
    fs::remove_file(kept.join("lathe")).unwrap();
    fs::write(kept.join("HEAD"), "").unwrap();
    origin.write("a.txt", "3\n");
    origin.commit(FIRST + 2);
    assert_eq!(text(&place, &fetch(&place, &source(&origin.url())), "a.txt"), "3\n");
}

#[test]
fn kept_repositories_are_removed_and_made_again() {
    let Some((place, origin)) = start("kept_repositories_are_removed_and_made_again") else {
        return;
    };
    let first = fetch(&place, &source(&origin.url()));
    // As pruning does.
    fs::remove_dir_all(place.store().directory().join("git")).unwrap();
    assert_eq!(fetch(&place, &source(&origin.url())), first, "its files are here still");
    origin.write("a.txt", "2\n");
    origin.commit(FIRST + 1);
    assert_eq!(text(&place, &fetch(&place, &source(&origin.url())), "a.txt"), "2\n");
}

#[test]
fn a_canceled_build_asks_nobody() {
    let Some((place, origin)) = start("a_canceled_build_asks_nobody") else { return };
    place.cancel.cancel();
    let error = place.remotes.git(&source(&origin.url()), None).unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error}");
    assert!(!Path::new(&place.path("x")).exists());
}
