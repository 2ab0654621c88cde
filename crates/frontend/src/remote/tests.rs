use std::fmt::Write as _;

use lathe_graph::{GitReference, GitSource, GitTime};

use super::{Remote, RemoteError, parse_known_git, parse_remote, parse_remote_context, redact};

fn show(remote: Result<Remote, RemoteError>) -> String {
    match remote {
        Err(error) => format!("error: {error}"),
        Ok(Remote::Http(http)) => format!("http {} as {}", http.url, http.name),
        Ok(Remote::Git(git)) => show_git(&git),
    }
}

fn show_git(git: &GitSource) -> String {
    let mut text = format!("git {}", git.url);
    match &git.reference {
        GitReference::Head => {}
        GitReference::Any(name) => write!(text, " ref {name}").unwrap(),
        GitReference::Tag(name) => write!(text, " tag {name}").unwrap(),
        GitReference::Branch(name) => write!(text, " branch {name}").unwrap(),
    }
    let options = [("folder", &git.subdir), ("checksum", &git.checksum)];
    for (name, value) in options {
        if let Some(value) = value {
            write!(text, " {name} {value}").unwrap();
        }
    }
    let flags = [
        ("keep", git.keep_git_dir),
        ("no submodules", !git.submodules),
        ("checkout time", git.mtime == GitTime::Checkout),
        ("by commit", git.fetch_by_commit),
    ];
    for (name, _) in flags.iter().filter(|(_, set)| *set) {
        write!(text, " {name}").unwrap();
    }
    text
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(parse_remote(text).map_or_else(|| "path".to_owned(), show), expected, "{text}");
}

#[test]
fn paths_are_told_from_urls() {
    for text in [
        "",
        ".",
        "src/main.rs",
        "./https://x",
        "../a@b:c",
        "github.com/moby/buildkit",
        "example.org/a.git",
        ".git",
        "ftp://example.org/a",
        "C:/x",
        "a b@c:d",
    ] {
        check(text, "path");
    }
}

#[test]
fn downloads_are_named_by_the_last_part_of_their_path() {
    check("https://e.org/a/b.tgz", "http https://e.org/a/b.tgz as b.tgz");
    check("http://e.org/a/b/?x=/y.txt", "http http://e.org/a/b/?x=/y.txt as b");
    check("https://e.org/a%20b.txt#part", "http https://e.org/a%20b.txt as a b.txt");
    check("HTTPS://e.org/a", "http HTTPS://e.org/a as a");
    check("https://e.org/a.git.bar", "http https://e.org/a.git.bar as a.git.bar");
    check("https://e.org/a.git/", "http https://e.org/a.git/ as a.git");
    for url in ["https://e.org", "https://e.org/", "https://e.org?x=1", "https://e.org/a/.."] {
        check(url, &format!("http {url} as __unnamed__"));
    }
    check("https://e.org/..%2f..", "http https://e.org/..%2f.. as __unnamed__");
    check(
        "https://e.org/a%2",
        "error: the URL is not valid: a `%` needs two hexadecimal digits behind it",
    );
    check("https:///a", "error: the URL is not valid: it has no host");
    check("http://u@/a", "error: the URL is not valid: it has no host");
}

#[test]
fn repositories_are_told_by_scheme_and_ending() {
    check("https://e.org/a.git", "git https://e.org/a.git");
    check("http://u:p@e.org/a.git", "git http://u:p@e.org/a.git");
    check("git://e.org/a", "git git://e.org/a");
    check("ssh://git@e.org:22/a", "git ssh://git@e.org:22/a");
    check("git@e.org:a/b", "git git@e.org:a/b");
    check("me@e.org:a/b.git#v1:docs", "git me@e.org:a/b.git ref v1 folder docs");
}

#[test]
fn fragments_name_a_reference_and_a_folder() {
    let url = "https://e.org/a.git";
    let check = |fragment: &str, expected: &str| {
        check(&format!("{url}{fragment}"), &format!("git {url}{expected}"));
    };
    check("#", "");
    check("#main", " ref main");
    check("#feature/x:docs/en", " ref feature/x folder docs/en");
    check("#:/docs/", " folder docs");
    check("#main:../../etc", " ref main folder etc");
    check("#a%20b", " ref a b");
}

#[test]
fn queries_say_what_fragments_say_and_more() {
    const FULL: &str = "0123456789abcdef0123456789ABCDEF01234567";
    let lower = FULL.to_lowercase();
    let url = "https://e.org/a.git";
    let check = |query: &str, expected: &str| {
        let expected = match expected.strip_prefix("error") {
            Some(_) => expected.to_owned(),
            None => format!("git {url}{expected}"),
        };
        check(&format!("{url}?{query}"), &expected);
    };
    check("ref=main&subdir=/docs", " ref main folder docs");
    check("ref=main#main", " ref main");
    check("tag=v1", " tag v1");
    check("tag=refs/tags/v1#refs/tags/v1", " tag v1");
    check("branch=refs/heads/x", " branch x");
    check("branch=a%2Fb", " branch a/b");
    check("keep-git-dir&submodules=false&mtime=checkout", " keep no submodules checkout time");
    check("keep-git-dir=0&submodules=", "");
    check("ref=v1&checksum=0123456", " ref v1 checksum 0123456");
    check(&format!("commit={FULL}"), &format!(" ref {lower} checksum {lower}"));
    check(
        &format!("tag=v1&checksum={FULL}&fetch-by-commit=true"),
        &format!(" tag v1 checksum {lower} by commit"),
    );

    check("rev=x", "error: unknown key `rev` in the query of the git URL");
    check("ref=", "error: the key `ref` of the git URL needs a value");
    check("ref=a&ref=b", "error: the key `ref` of the git URL is given more than once");
    check(
        "checksum=0123456&commit=0123456",
        "error: the key `commit` of the git URL is given more than once",
    );
    check("tag=a&branch=b", "error: the git URL names a tag and a branch");
    check("ref=a#b", "error: the git URL names two values for its ref: `b` and `a`");
    check("tag=a#a", "error: the git URL names two values for its ref: `a` and `refs/tags/a`");
    check("subdir=a#x:b", "error: the git URL names two values for its folder: `b` and `a`");
    check(
        "submodules=maybe",
        "error: invalid value `maybe` for the key `submodules` of the git URL: `true` or `false` is expected",
    );
    check(
        "mtime=now",
        "error: invalid value `now` for the key `mtime` of the git URL: `checkout` or `commit` is expected",
    );
    check(
        "checksum=xyz",
        "error: invalid value `xyz` for the key `checksum` of the git URL: a commit is 40 or 64 hexadecimal digits, or at least the first 7 of them",
    );
    check("fetch-by-commit=true", "error: `fetch-by-commit` needs a full commit in `checksum`");
}

#[test]
fn misspelt_keys_are_suggested() {
    let error = parse_remote("git://e.org/a?brnch=x").unwrap().unwrap_err();
    assert_eq!(error.help().as_deref(), Some("did you mean `branch`?"));
}

#[test]
fn contexts_may_leave_the_scheme_of_github_out() {
    let remote = parse_remote_context("github.com/o/n#v1:docs").map(show);
    assert_eq!(remote.as_deref(), Some("git https://github.com/o/n ref v1 folder docs"));
    assert!(parse_remote_context("gitlab.com/o/n").is_none());
}

#[test]
fn a_known_repository_needs_no_ending() {
    let remote = parse_known_git("https://e.org/a#v1").map(show);
    assert_eq!(remote.as_deref(), Some("git https://e.org/a ref v1"));
    assert!(parse_known_git("src").is_none());
}

#[test]
fn credentials_are_not_shown() {
    let check = |text: &str, expected: &str| assert_eq!(redact(text), expected);
    check("ADD https://me:secret@e.org/a /", "ADD https://xxxxx@e.org/a /");
    check("https://token@e.org/a@b http://x:y@z", "https://xxxxx@e.org/a@b http://xxxxx@z");
    check("ssh://git@e.org/a", "ssh://git@e.org/a");
    check("ssh://git:pw@e.org/a", "ssh://xxxxx@e.org/a");
    check("https://e.org/a@b", "https://e.org/a@b");
    check("plain", "plain");
}
