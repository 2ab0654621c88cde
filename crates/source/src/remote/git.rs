//! Files of git repositories: `ADD https://….git`, and contexts.
//!
//! A source names a commit in some way; what it is once the commit is known never changes and is
//! remembered, so that the same commit is neither fetched nor written a second time. Where a
//! source has the whole id, not even the server is asked.
//!
//! Read `repository.rs` for what is brought, `checkout.rs` for what becomes of it, `program.rs`
//! for how git is run.

mod checkout;
mod program;
mod repository;
mod url;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lathe_event::{StepId, TransferKind};
use lathe_graph::{GitReference, GitSource, GitTime};
use lathe_rootfs::Root;
use lathe_store::SnapshotId;
use serde::{Deserialize, Serialize};

use self::{
    checkout::Checkout,
    program::{Call, Git, Places},
    repository::{Repository, Resolved, is_id},
    url::{GitUrl, Protocol},
};
use super::{Fetched, Remotes};
use crate::{Error, Result, progress::Progress};

/// Topic of the store's memo: the files of commits.
const CHECKOUTS: &str = "git";

/// What became of a commit.
#[derive(Serialize, Deserialize)]
struct Known {
    snapshot: SnapshotId,
    time: i64,
    commit: String,
}

impl From<Known> for Fetched {
    fn from(known: Known) -> Self {
        Self { snapshot: known.snapshot, time: Some(known.time), revision: Some(known.commit) }
    }
}

impl Remotes {
    /// Checks a commit out; the snapshot has the files of the folder that is wanted, of root, with
    /// the modes 0644 and 0755.
    ///
    /// Secrets by the names of BuildKit are sent to the host of the repository and no other:
    /// `GIT_AUTH_TOKEN`, or `GIT_AUTH_HEADER` for a whole `Authorization`, each also with `.<host>`
    /// behind it. For ssh the agent at `SSH_AUTH_SOCK` is asked.
    ///
    /// # Errors
    /// [`Error::NoGit`], [`Error::Git`] with git's words, [`Error::GitName`],
    /// [`Error::GitCommit`], [`Error::GitChecksum`], [`Error::GitFolder`], [`Error::GitUrl`].
    pub fn git(&self, source: &GitSource, step: Option<StepId>) -> Result<Fetched> {
        let url = GitUrl::parse(&source.url)?;
        // The id in the reference counts first: the checksum is compared with it.
        let pinned = match &source.reference {
            GitReference::Any(name) if is_id(name) => Some(name.as_str()),
            _ => source.commit(),
        };
        // With `.git` it matters by which name the commit was found.
        if let Some(id) = pinned.filter(|_| !source.keep_git_dir)
            && let Some(known) = self.known_checkout(source, &url, &Resolved::commit(id))?
        {
            return Ok(known);
        }
        let places = Places::make(self.images.store.directory())?;
        let session = Session { remotes: self, main: &url, places, step };
        let git = session.git(&url);
        let resolved = session.resolve(&git, source)?;
        // An id may be that of a tag; then its commit is not known before it is here.
        if resolved.name.is_some() {
            check(source, &url, &resolved)?;
        }
        if let Some(known) = self.known_checkout(source, &url, &resolved)? {
            return Ok(known);
        }
        let commit = session.bring(&git, &resolved)?;
        let resolved = resolved.with_commit(commit);
        check(source, &url, &resolved)?;
        let known = session.check_out(&git, source, &resolved)?;
        let mut keys = vec![key(source, &url, &resolved)];
        keys.extend(pinned.map(|id| key(source, &url, &Resolved::commit(id))));
        let bytes = serde_json::to_vec(&known).expect("texts and numbers can be written as JSON");
        let memos = keys.iter().map(|key| (key.as_bytes(), bytes.as_slice()));
        self.images.store.memo_put(CHECKOUTS, memos)?;
        Ok(known.into())
    }

    /// Returns what became of a commit earlier, if it is still here and the one that is wanted.
    fn known_checkout(
        &self,
        source: &GitSource,
        url: &GitUrl,
        resolved: &Resolved,
    ) -> Result<Option<Fetched>> {
        let store = &self.images.store;
        let key = key(source, url, resolved);
        let Some(bytes) = store.memo_get(CHECKOUTS, key.as_bytes())? else { return Ok(None) };
        match serde_json::from_slice::<Known>(&bytes).ok() {
            Some(known) if store.snapshot(known.snapshot)?.is_some() => {
                check(source, url, &resolved.clone().with_commit(known.commit.clone()))?;
                Ok(Some(known.into()))
            }
            _ => Ok(None),
        }
    }
}

/// Returns what decides of the files.
fn key(source: &GitSource, url: &GitUrl, resolved: &Resolved) -> String {
    let folder = source.subdir.as_deref().unwrap_or_default();
    let modules = if source.submodules { "submodules" } else { "" };
    let time = match source.mtime {
        GitTime::Commit => "commit",
        GitTime::Checkout => "checkout",
    };
    let kept = match (source.keep_git_dir, &resolved.name, &resolved.tag) {
        (false, ..) => String::new(),
        (true, name, tag) => format!("{name:?} {tag:?}"),
    };
    [url.text.as_str(), &resolved.commit, folder, modules, time, &kept].join("\0")
}

/// Compares with `--checksum`, which may be the id of a commit or of the tag that leads to it.
fn check(source: &GitSource, url: &GitUrl, resolved: &Resolved) -> Result<()> {
    let Some(checksum) = &source.checksum else { return Ok(()) };
    let wanted = checksum.to_ascii_lowercase();
    let tag = resolved.tag.as_deref();
    if resolved.commit.starts_with(&wanted) || tag.is_some_and(|tag| tag.starts_with(&wanted)) {
        return Ok(());
    }
    let got = match tag {
        Some(tag) => format!("{} (tag {tag})", resolved.commit),
        None => resolved.commit.clone(),
    };
    let name = match &source.reference {
        GitReference::Head => "HEAD",
        GitReference::Any(name) | GitReference::Tag(name) | GitReference::Branch(name) => name,
    };
    Err(Error::GitChecksum { url: url.text.clone(), name: name.to_owned(), wanted, got })
}

/// One call of [`Remotes::git`].
struct Session<'a> {
    remotes: &'a Remotes,
    /// The repository that the user names; others are its submodules.
    main: &'a GitUrl,
    places: Places,
    step: Option<StepId>,
}

impl Session<'_> {
    /// Returns git for a repository, with the credentials that belong to it.
    fn git<'a>(&'a self, url: &'a GitUrl) -> Git<'a> {
        Git {
            url,
            home: &self.places.home,
            known_hosts: &self.places.known_hosts,
            authorization: self.authorization(url),
            ssh: &self.remotes.ssh,
            cancel: &self.remotes.images.cancel,
        }
    }

    fn authorization(&self, url: &GitUrl) -> Option<String> {
        if url.protocol != Protocol::Web {
            return None;
        }
        let secret = |name: &str| {
            let value = (self.remotes.secrets)(name)?;
            Some(value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let token = |name: &str| {
            let pair = format!("x-access-token:{}", secret(name)?);
            Some(format!("basic {}", STANDARD.encode(pair)))
        };
        let host = url.host();
        let own = secret(&format!("GIT_AUTH_HEADER.{host}"))
            .or_else(|| token(&format!("GIT_AUTH_TOKEN.{host}")));
        // Those without a host are for the repository that the user named.
        let same = url.origin == self.main.origin;
        let main = || same.then(|| secret("GIT_AUTH_HEADER").or_else(|| token("GIT_AUTH_TOKEN")));
        let typed = || {
            url.authorization
                .clone()
                .or_else(|| same.then(|| self.main.authorization.clone()).flatten())
        };
        own.or_else(|| main().flatten()).or_else(typed)
    }

    /// Finds out which commit is wanted.
    fn resolve(&self, git: &Git<'_>, source: &GitSource) -> Result<Resolved> {
        if let GitReference::Any(name) = &source.reference
            && is_id(name)
        {
            return Ok(Resolved::commit(name));
        }
        if let Some(checksum) = source.checksum.as_ref().filter(|_| source.fetch_by_commit)
            && is_id(checksum)
        {
            return Ok(Resolved::commit(checksum));
        }
        if let Some(found) = repository::ask(git, &source.reference)? {
            return Ok(found);
        }
        let name = match &source.reference {
            GitReference::Any(name) => {
                let repository = Repository::open(git, &self.places, "")?;
                if let Some(found) = repository.find(name)? {
                    return Ok(found);
                }
                name.as_str()
            }
            GitReference::Tag(name) | GitReference::Branch(name) => name,
            GitReference::Head => "HEAD",
        };
        let hint = repository::near(git, name);
        Err(Error::GitName { url: git.url.text.clone(), name: name.to_owned(), hint })
    }

    /// Brings a commit into the kept repository; returns its id.
    fn bring(&self, git: &Git<'_>, wanted: &Resolved) -> Result<String> {
        let events = &*self.remotes.images.events;
        let label = &git.url.text;
        let _progress = Progress::start(events, TransferKind::Download, label, None, self.step);
        Repository::open(git, &self.places, &wanted.commit)?.bring(wanted)
    }

    /// Writes the files of a commit that is there.
    fn check_out(&self, git: &Git<'_>, source: &GitSource, resolved: &Resolved) -> Result<Known> {
        let commit = &resolved.commit;
        let git_dir = Repository::folder(git, &self.places, commit);
        let call = Call { action: "read", git_dir: Some(&git_dir), ..Call::default() };
        let time = git.word(&call, ["log", "-1", "--no-show-signature", "--format=%ct", commit])?;
        let time: i64 = time.parse().unwrap_or(0);
        let mtime = match source.mtime {
            GitTime::Commit => Some(time),
            GitTime::Checkout => None,
        };
        let active = self.remotes.snapshots.prepare(None)?;
        {
            let mounted = active.mount()?;
            let root = Root::open(mounted.path())?;
            let checkout = Checkout { session: self, git, git_dir: &git_dir, commit };
            checkout.write(source, resolved, &root, mtime)?;
        }
        Ok(Known { snapshot: active.commit()?, time, commit: commit.clone() })
    }

    /// Returns the place of an index that is removed again.
    fn index(&self) -> Index {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("index-{}-{number}", std::process::id());
        Index(self.places.folder.join(name))
    }
}

/// An index for one checkout.
struct Index(PathBuf);

impl Index {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        // Where reading the commit failed there is none.
        let _not_there = std::fs::remove_file(&self.0);
    }
}
