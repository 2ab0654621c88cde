//! What is kept of a repository, and how more of it gets there.
//!
//! Each URL has a bare repository in the store, so that a new commit brings only what is new. A
//! commit that is there completely has a reference `refs/lathe/commits/<commit>`: git makes it
//! after the last object. Only fetching takes the repository's lock, since whoever reads a commit
//! is not disturbed by others that arrive.

use std::{fs::File, path::PathBuf, thread, time::Duration};

use lathe_event::Cancel;
use lathe_graph::GitReference;
use rustix::fs::FlockOperation;

use super::program::{Call, Git, Places};
use crate::{Error, Result};

/// Between two looks at a lock that another process holds.
const PATIENCE: Duration = Duration::from_millis(50);

/// Most names that an error lists.
const LISTED: usize = 8;

/// What a name in a repository means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    /// The id of the commit.
    pub(super) commit: String,
    /// The full name (`refs/heads/main`), where it was found by name.
    pub(super) name: Option<String>,
    /// The id of the tag, where it is one that is an object of its own.
    pub(super) tag: Option<String>,
}

impl Resolved {
    pub(super) fn commit(id: &str) -> Self {
        Self { commit: id.to_ascii_lowercase(), name: None, tag: None }
    }

    /// Returns the same with the commit that it turned out to be: a name may have moved, and an id
    /// may be that of a tag.
    pub(super) fn with_commit(self, commit: String) -> Self {
        let by_id = self.name.is_none() && self.commit != commit;
        Self { tag: if by_id { Some(self.commit) } else { self.tag }, name: self.name, commit }
    }
}

/// Tells whether a text is the whole id of an object: of SHA-1, or of SHA-256.
pub(super) fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Tells whether a text may be the beginning of an id; four digits are git's least.
fn is_short_id(text: &str) -> bool {
    (4..40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Asks what a reference means, without bringing anything; `None` if there is no such name.
pub(super) fn ask(git: &Git<'_>, reference: &GitReference) -> Result<Option<Resolved>> {
    let (patterns, candidates) = match reference {
        GitReference::Head => (vec!["HEAD".to_owned()], vec!["HEAD".to_owned()]),
        GitReference::Any(name) if name == "HEAD" => return ask(git, &GitReference::Head),
        GitReference::Any(name) => {
            check_name(git, name)?;
            let short = name.strip_prefix("refs/").unwrap_or(name);
            // As `git checkout`, branches win over tags.
            let candidates = ["refs", "refs/heads", "refs/tags"].map(|at| format!("{at}/{short}"));
            (vec![name.clone(), format!("{name}^{{}}")], candidates.to_vec())
        }
        GitReference::Branch(name) => {
            check_name(git, name)?;
            let full = format!("refs/heads/{}", name.strip_prefix("refs/heads/").unwrap_or(name));
            (vec![full.clone()], vec![full])
        }
        GitReference::Tag(name) => {
            check_name(git, name)?;
            let full = format!("refs/tags/{}", name.strip_prefix("refs/tags/").unwrap_or(name));
            (vec![full.clone(), format!("{full}^{{}}")], vec![full])
        }
    };
    let call = Call { action: "read the references of", ..Call::default() };
    let mut arguments = vec!["ls-remote", "--quiet", "--symref", "--", git.url.text.as_str()];
    arguments.extend(patterns.iter().map(String::as_str));
    let output = git.run(&call, arguments)?;
    Ok(choose(&String::from_utf8_lossy(&output), &candidates))
}

/// Finds the first of the candidates in git's list of names.
fn choose(list: &str, candidates: &[String]) -> Option<Resolved> {
    let id = |name: &str| {
        let line = |line: &&str| line.split_once('\t').is_some_and(|(_, own)| own == name);
        let ids = list.lines().filter(|one| !one.starts_with("ref:")).find(line);
        ids.and_then(|line| line.split('\t').next()).filter(|id| is_id(id)).map(str::to_owned)
    };
    candidates.iter().find_map(|name| {
        let found = id(name)?;
        // `HEAD` is one of the branches.
        let target = list.lines().find_map(|line| {
            let (target, own) = line.strip_prefix("ref: ")?.split_once('\t')?;
            (own == name).then(|| target.to_owned())
        });
        let name = target.unwrap_or_else(|| name.clone());
        Some(match id(&format!("{name}^{{}}")) {
            Some(commit) => Resolved { commit, name: Some(name), tag: Some(found) },
            None => Resolved { commit: found, name: Some(name), tag: None },
        })
    })
}

/// Returns names that may have been meant instead of one that is not there, for its error.
pub(super) fn near(git: &Git<'_>, name: &str) -> String {
    let call = Call { action: "list", ..Call::default() };
    let arguments = ["ls-remote", "--quiet", "--refs", "--heads", "--tags", "--"];
    let arguments = arguments.into_iter().chain([git.url.text.as_str()]);
    // Without this list the error is still the one that is wanted.
    let Ok(output) = git.run(&call, arguments) else { return String::new() };
    let output = String::from_utf8_lossy(&output);
    let names: Vec<&str> = output
        .lines()
        .filter_map(|line| line.split_once('\t')?.1.strip_prefix("refs/"))
        .filter_map(|name| name.strip_prefix("heads/").or_else(|| name.strip_prefix("tags/")))
        .collect();
    let distance = |other: &&str| strsim::osa_distance(name, other);
    let nearest = names.iter().copied().min_by_key(|other| distance(other));
    match nearest {
        Some(nearest) if distance(&nearest) <= (name.len().max(nearest.len()) / 3).max(1) => {
            format!("; did you mean `{nearest}`?")
        }
        Some(_) if names.len() <= LISTED => format!("; it has `{}`", names.join("`, `")),
        Some(_) => String::new(),
        None => "; it has none at all".to_owned(),
    }
}

/// Refuses names that git would take for an option, a pattern or an expression.
fn check_name(git: &Git<'_>, name: &str) -> Result<()> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[]\\{}".contains(c);
    let wrong = name.is_empty()
        || name.starts_with(['-', '/', '.'])
        || name.ends_with(['/', '.'])
        || name.contains("..")
        || name.contains("//")
        || name.contains(odd);
    if wrong {
        let name = name.escape_debug().to_string();
        let hint = "; no name is written like that".to_owned();
        return Err(Error::GitName { url: git.url.text.clone(), name, hint });
    }
    Ok(())
}

/// The kept repository of one URL, held for this process alone.
pub(super) struct Repository<'a> {
    git: &'a Git<'a>,
    folder: PathBuf,
    _lock: File,
}

impl<'a> Repository<'a> {
    /// Returns the folder of a repository whose ids are like `commit`.
    pub(super) fn folder(git: &Git<'_>, places: &Places, commit: &str) -> PathBuf {
        let kind = if commit.len() == 64 { "-sha256" } else { "" };
        places.folder.join(format!("{}{kind}", git.url.folder()))
    }

    /// Opens it, made if it is not there; waits while another process brings something.
    pub(super) fn open(git: &'a Git<'a>, places: &Places, commit: &str) -> Result<Self> {
        let folder = Self::folder(git, places, commit);
        let lock = lock(&folder.with_extension("lock"), git.cancel)?;
        let repository = Self { git, folder, _lock: lock };
        // The last thing that is written when it is made.
        if !repository.folder.join("lathe").exists() {
            repository.make(commit)?;
        }
        // Left by a git that was killed; nobody else is here.
        for left in ["shallow.lock", "packed-refs.lock", "refs/lathe/fetched.lock"] {
            let _not_there = std::fs::remove_file(repository.folder.join(left));
        }
        Ok(repository)
    }

    fn make(&self, commit: &str) -> Result<()> {
        let io = |source| Error::Io {
            action: "make",
            subject: self.folder.display().to_string(),
            source,
        };
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        std::fs::create_dir_all(&self.folder).map_err(io)?;
        let format = if commit.len() == 64 { "sha256" } else { "sha1" };
        let call = self.call("make the copy of");
        let format = format!("--object-format={format}");
        self.git.run(&call, ["init", "--quiet", "--bare", "--template=", &format])?;
        // With more, packs of the same objects differ; they get into images with `.git`.
        self.git.run(&call, ["config", "pack.threads", "1"])?;
        std::fs::write(self.folder.join("lathe"), format!("{}\n", self.git.url.text)).map_err(io)
    }

    fn call(&self, action: &'static str) -> Call<'_> {
        Call { action, git_dir: Some(&self.folder), ..Call::default() }
    }

    /// Brings a commit, unless it is there; returns its id, which differs if the name means
    /// another one by now.
    pub(super) fn bring(&self, wanted: &Resolved) -> Result<String> {
        if self.has(&wanted.commit)
            && wanted.tag.as_ref().is_none_or(|tag| self.has_reference(&tag_reference(tag)))
        {
            return Ok(wanted.commit.clone());
        }
        let from = wanted.name.as_deref().unwrap_or(&wanted.commit);
        match self.fetch(&["--depth=1"], &[&format!("+{from}:refs/lathe/fetched")]) {
            Ok(()) => self.keep("refs/lathe/fetched"),
            Err(Error::Git { message, .. }) if wanted.name.is_none() && is_refusal(&message) => {
                self.bring_all()?;
                self.keep(&wanted.commit).map_err(|_| Error::GitCommit {
                    url: self.git.url.text.clone(),
                    commit: wanted.commit.clone(),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Finds the commit whose id begins like this; that takes the whole history.
    pub(super) fn find(&self, short: &str) -> Result<Option<Resolved>> {
        if !is_short_id(short) {
            return Ok(None);
        }
        self.bring_all()?;
        let commit = format!("{}^{{commit}}", short.to_ascii_lowercase());
        let arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit];
        match self.git.word(&self.call("search"), arguments) {
            Ok(id) => self.keep(&id).map(|id| Some(Resolved::commit(&id))),
            Err(Error::Git { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Brings all branches and tags, with their history.
    fn bring_all(&self) -> Result<()> {
        let deep: &[&str] =
            if self.folder.join("shallow").exists() { &["--unshallow"] } else { &[] };
        let names = ["+refs/heads/*:refs/lathe/heads/*", "+refs/tags/*:refs/lathe/names/*"];
        self.fetch(deep, &names)
    }

    fn fetch(&self, how: &[&str], names: &[&str]) -> Result<()> {
        let fixed = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--force",
        ];
        let fetch = |how: &[&str]| {
            let mut arguments = fixed.to_vec();
            arguments.extend(how);
            arguments.extend(["--", self.git.url.text.as_str()]);
            arguments.extend(names);
            self.git.run(&self.call("fetch"), arguments).map(drop)
        };
        match fetch(how) {
            // Servers without a program of git's behind them send all or nothing.
            Err(Error::Git { message, .. })
                if !how.is_empty()
                    && (message.contains("shallow") || message.contains("depth")) =>
            {
                fetch(&[])
            }
            result => result,
        }
    }

    /// Keeps the commit that something leads to, and the tag on the way; returns its id.
    fn keep(&self, expression: &str) -> Result<String> {
        let call = self.call("read");
        let id = |expression: &str| {
            let arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", expression];
            self.git.word(&call, arguments)
        };
        let commit = id(&format!("{expression}^{{commit}}"))?;
        let object = id(expression)?;
        if object != commit {
            self.git.run(&call, ["update-ref", &tag_reference(&object), &object])?;
        }
        self.git.run(&call, ["update-ref", &commit_reference(&commit), &commit])?;
        Ok(commit)
    }

    fn has(&self, commit: &str) -> bool {
        self.has_reference(&commit_reference(commit))
    }

    fn has_reference(&self, name: &str) -> bool {
        // Nobody packs the references of this repository.
        self.folder.join(name).exists()
    }
}

/// Returns the name that keeps a commit.
pub(super) fn commit_reference(commit: &str) -> String {
    format!("refs/lathe/commits/{commit}")
}

/// Returns the name that keeps a tag.
pub(super) fn tag_reference(tag: &str) -> String {
    format!("refs/lathe/tags/{tag}")
}

/// Tells whether a server does not give commits by their id, or has no such commit.
fn is_refusal(message: &str) -> bool {
    ["not our ref", "unadvertised object", "remote ref", "dumb http", "not found on remote"]
        .iter()
        .any(|words| message.contains(words))
}

/// Takes a lock for this process alone.
fn lock(path: &std::path::Path, cancel: &Cancel) -> Result<File> {
    let io = |source| Error::Io { action: "lock", subject: path.display().to_string(), source };
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(io)?;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            // Waiting in the kernel could not be canceled.
            Err(rustix::io::Errno::WOULDBLOCK) if !cancel.is_cancelled() => {
                thread::sleep(PATIENCE);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::Cancelled),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(io(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    #[track_caller]
    fn check(list: &str, candidates: &[&str], expected: Option<(&str, &str, Option<&str>)>) {
        let list = list.replace("ONE", ONE).replace("TWO", TWO);
        let names: Vec<String> = candidates.iter().map(|name| (*name).to_owned()).collect();
        let expected = expected.map(|(commit, name, tag)| Resolved {
            commit: commit.to_owned(),
            name: Some(name.to_owned()),
            tag: tag.map(str::to_owned),
        });
        assert_eq!(choose(&list, &names), expected, "{list}");
    }

    #[test]
    fn names_are_chosen_as_git_checkout_chooses() {
        let any = ["refs/a", "refs/heads/a", "refs/tags/a"];
        let both = "ONE\trefs/heads/a\nTWO\trefs/tags/a\n";
        check(both, &any, Some((ONE, "refs/heads/a", None)));
        check("TWO\trefs/tags/a\n", &any, Some((TWO, "refs/tags/a", None)));
        let annotated = "ONE\trefs/tags/a\nTWO\trefs/tags/a^{}\n";
        check(annotated, &any, Some((TWO, "refs/tags/a", Some(ONE))));
        check("ONE\trefs/heads/x/a\n", &any, None);
        check("", &any, None);
    }

    #[test]
    fn head_is_the_branch_that_it_names() {
        let list = "ref: refs/heads/main\tHEAD\nONE\tHEAD\n";
        check(list, &["HEAD"], Some((ONE, "refs/heads/main", None)));
        check("ONE\tHEAD\n", &["HEAD"], Some((ONE, "HEAD", None)));
        check("ref: refs/heads/main\tHEAD\n", &["HEAD"], None);
    }
}
