//! From a commit to files.
//!
//! Git writes the files, since what they are depends on attributes (line ends, encodings); what
//! it cannot know is set afterwards: modes that do not depend on the umask, and times that do not
//! depend on the clock. The index is a file of its own for each checkout, so that they do not
//! disturb each other.
//!
//! Submodules are repositories like others and are brought in the same way; git's own command for
//! them would run what `.gitmodules` says, and leave paths of this machine behind.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use lathe_graph::GitSource;
use lathe_rootfs::Root;
use lathe_tree::{FileKind, Owner, Timestamp};

use super::{
    Session,
    program::{Call, Git},
    repository::{Repository, Resolved, commit_reference, tag_reference},
};
use crate::{Error, Result};

/// How deep submodules may be within each other.
const DEPTH: usize = 16;

/// A commit that is there, to be written somewhere.
#[derive(Clone, Copy)]
pub(super) struct Checkout<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) git: &'a Git<'a>,
    /// The repository's own folder.
    pub(super) git_dir: &'a Path,
    pub(super) commit: &'a str,
}

impl Checkout<'_> {
    /// Writes what a source asks for into the empty folder `root`.
    pub(super) fn write(
        &self,
        source: &GitSource,
        resolved: &Resolved,
        root: &Root,
        time: Option<i64>,
    ) -> Result<()> {
        let folder = source.subdir.as_deref().map(|text| self.clean(text)).transpose()?;
        if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) {
            self.write_folder(source, root, &folder)?;
        } else {
            if source.keep_git_dir {
                self.keep_git_dir(resolved, root)?;
            }
            self.files(root, Path::new(""), None)?;
            if source.submodules {
                self.submodules(root, Path::new(""), DEPTH)?;
            }
        }
        settle(root, time)
    }

    /// Returns a folder of the repository as a clean path; it cannot lead out.
    fn clean(&self, text: &str) -> Result<PathBuf> {
        let mut path = PathBuf::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => return Err(self.no_folder(text)),
                part if part.contains('\0') => return Err(self.no_folder(text)),
                part => path.push(part),
            }
        }
        Ok(path)
    }

    fn no_folder(&self, folder: &str) -> Error {
        Error::GitFolder {
            url: self.git.url.text.clone(),
            commit: self.commit.to_owned(),
            folder: folder.escape_debug().to_string(),
        }
    }

    /// Writes the content of one folder.
    fn write_folder(&self, source: &GitSource, root: &Root, folder: &Path) -> Result<()> {
        // No commit contains its own id, so that nothing in it has this name.
        let aside = PathBuf::from(format!(".lathe-{}", self.commit));
        root.create_dir_all(&aside, &lathe_rootfs::DirOptions::default())?;
        let modules = source.submodules && self.has_modules()?;
        // The folder may lie in a submodule: then all is needed to find it.
        let only = (!modules).then_some(folder);
        self.files(root, &aside, only)?;
        if modules {
            self.submodules(root, &aside, DEPTH)?;
        }
        // A link on the way could lead anywhere in the repository, or out of it (CVE-2026-33748).
        let path = aside.join(folder);
        let Some(dir) = root.dir_without_links(&path)? else {
            return Err(self.no_folder(&folder.to_string_lossy()));
        };
        for name in dir.names()? {
            root.rename(&path.join(&name), Path::new(&name))?;
        }
        Ok(root.remove(&aside)?)
    }

    /// Writes the files of the commit, or of one folder of it, below `at`.
    fn files(&self, root: &Root, at: &Path, only: Option<&Path>) -> Result<()> {
        let index = self.session.index();
        let tree = root.host_path().join(at);
        let call = Call {
            action: "check out",
            git_dir: Some(self.git_dir),
            work_tree: Some(&tree),
            index: Some(index.path()),
            input: None,
        };
        self.git.run(&call, ["read-tree", self.commit])?;
        let Some(folder) = only else {
            self.git.run(&call, ["checkout-index", "--all", "--force", "--quiet"])?;
            return Ok(());
        };
        let mut pathspec = std::ffi::OsString::from(":(literal,top)");
        pathspec.push(folder);
        let list = [OsStr::new("ls-files"), OsStr::new("-z"), OsStr::new("--"), &pathspec];
        let names = self.git.run(&call, list)?;
        let call = Call { input: Some(names), ..call };
        self.git.run(&call, ["checkout-index", "--force", "--quiet", "-z", "--stdin"])?;
        Ok(())
    }

    fn call(&self) -> Call<'_> {
        Call { action: "read", git_dir: Some(self.git_dir), ..Call::default() }
    }

    fn has_modules(&self) -> Result<bool> {
        let path = format!("{}:.gitmodules", self.commit);
        match self.git.run(&self.call(), ["cat-file", "-e", &path]) {
            Ok(_) => Ok(true),
            Err(Error::Git { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes the submodules of what was written to `at`, and theirs.
    fn submodules(&self, root: &Root, at: &Path, depth: usize) -> Result<()> {
        if !self.has_modules()? {
            return Ok(());
        }
        let list =
            self.git.run(&self.call(), ["ls-tree", "-r", "-z", "--full-tree", self.commit])?;
        let links: Vec<(String, &Path)> = list
            .split(|byte| *byte == 0)
            .filter_map(|line| {
                let tab = line.iter().position(|byte| *byte == b'\t')?;
                let (head, path) = line.split_at(tab);
                let commit = std::str::from_utf8(head).ok()?.strip_prefix("160000 commit ")?;
                Some((commit.to_owned(), Path::new(OsStr::from_bytes(&path[1..]))))
            })
            .collect();
        if links.is_empty() {
            return Ok(());
        }
        let modules = self.modules()?;
        for (commit, path) in links {
            let module = modules.get(path);
            if module.is_some_and(|module| module.update.as_deref() == Some("none")) {
                continue;
            }
            let url = module.and_then(|module| module.url.as_deref());
            let failed = |reason: &str| Error::Submodule {
                url: self.git.url.text.clone(),
                path: path.to_owned(),
                reason: reason.to_owned(),
            };
            let url = url.ok_or_else(|| failed("`.gitmodules` has no URL for it"))?;
            if depth == 0 {
                return Err(failed("there are too many within each other"));
            }
            let url = self.git.url.submodule(url).map_err(|error| failed(&error.to_string()))?;
            let git = self.session.git(&url);
            let wanted = Resolved::commit(&commit);
            let commit = self.session.bring(&git, &wanted)?;
            let git_dir = Repository::folder(&git, &self.session.places, &commit);
            let inner = Checkout { git: &git, git_dir: &git_dir, commit: &commit, ..*self };
            let at = at.join(path);
            // Git made the folder. A link in its place would lead elsewhere.
            if root.dir_without_links(&at)?.is_none() {
                return Err(failed("its folder is none"));
            }
            inner.files(root, &at, None)?;
            inner.submodules(root, &at, depth - 1)?;
        }
        Ok(())
    }

    /// Reads `.gitmodules`, by path.
    fn modules(&self) -> Result<BTreeMap<PathBuf, Module>> {
        let blob = format!("--blob={}:.gitmodules", self.commit);
        let arguments = ["config", "--null", &blob, "--get-regexp", "^submodule\\."];
        let output = match self.git.run(&self.call(), arguments) {
            // That is how it says that there is nothing.
            Err(Error::Git { .. }) => Vec::new(),
            result => result?,
        };
        let mut named: BTreeMap<String, Module> = BTreeMap::new();
        for entry in output.split(|byte| *byte == 0) {
            let text = String::from_utf8_lossy(entry);
            let Some((key, value)) = text.split_once('\n') else { continue };
            let Some((name, key)) =
                key.strip_prefix("submodule.").and_then(|rest| rest.rsplit_once('.'))
            else {
                continue;
            };
            let module = named.entry(name.to_owned()).or_default();
            match key {
                "path" => module.path = Some(PathBuf::from(value)),
                "url" => module.url = Some(value.to_owned()),
                "update" => module.update = Some(value.to_owned()),
                _ => {}
            }
        }
        let modules = named.into_values();
        Ok(modules.filter_map(|module| Some((module.path.clone()?, module))).collect())
    }

    /// Makes `.git`: this commit without history, as `HEAD`, under the name that was asked for.
    fn keep_git_dir(&self, resolved: &Resolved, root: &Root) -> Result<()> {
        let git_dir = root.host_path().join(".git");
        let call = Call { action: "copy", git_dir: Some(&git_dir), ..Call::default() };
        let format = if self.commit.len() == 64 { "sha256" } else { "sha1" };
        let format = format!("--object-format={format}");
        let init = ["-c", "init.defaultBranch=master", "init", "--quiet", "--template=", &format];
        // With the variable alone it would be taken for a bare one.
        let tree = Call { work_tree: Some(root.host_path()), ..call };
        self.git.run(&tree, init)?;
        let call = Call { action: "copy", git_dir: Some(&git_dir), ..Call::default() };
        let from = match &resolved.tag {
            Some(tag) => tag_reference(tag),
            None => commit_reference(self.commit),
        };
        let named = resolved.name.as_ref().filter(|name| name.starts_with("refs/"));
        let to = named.map_or("", String::as_str);
        let here = format!("file://{}", self.git_dir.display());
        let local = Git { url: &super::GitUrl::parse(&here)?, authorization: None, ..*self.git };
        let names = format!("+{from}:{to}");
        let options = ["--quiet", "--depth=1", "--no-tags", "--update-head-ok"];
        let mut fetch = vec!["fetch", "--no-write-fetch-head", "--no-recurse-submodules"];
        fetch.extend(options);
        fetch.extend(["--", here.as_str(), names.trim_end_matches(':')]);
        local.run(&call, fetch)?;
        self.git.run(&call, ["update-ref", "--no-deref", "HEAD", self.commit])?;
        self.git.run(&call, ["config", "remote.origin.url", &self.git.url.text])?;
        let all = "+refs/heads/*:refs/remotes/origin/*";
        self.git.run(&call, ["config", "remote.origin.fetch", all])?;
        // An index without what the file system says of the files, which differs each time.
        self.git.run(&call, ["read-tree", self.commit])?;
        Ok(())
    }
}

/// What `.gitmodules` says of one submodule.
#[derive(Default)]
struct Module {
    path: Option<PathBuf>,
    url: Option<String>,
    update: Option<String>,
}

/// Sets owners, modes and times of all files.
fn settle(root: &Root, time: Option<i64>) -> Result<()> {
    let mtime = time.map(Timestamp::from_seconds);
    for entry in root.walk(Path::new(""))? {
        let entry = entry?;
        let (dir, name, metadata) = (&entry.parent, entry.name(), &entry.metadata);
        if metadata.owner() != Owner::ROOT {
            dir.set_owner(name, Owner::ROOT)?;
        }
        let mode = match metadata.kind {
            FileKind::Directory => Some(0o755),
            FileKind::Regular if metadata.mode & 0o100 != 0 => Some(0o755),
            // Git makes its objects so.
            FileKind::Regular if metadata.mode & 0o200 == 0 => Some(0o444),
            FileKind::Regular => Some(0o644),
            _ => None,
        };
        if let Some(mode) = mode.filter(|mode| *mode != metadata.mode & 0o7777) {
            dir.set_mode(name, mode)?;
        }
        if let Some(mtime) = mtime {
            dir.set_times(name, mtime)?;
        }
    }
    if let Some(mtime) = mtime {
        root.set_times(Path::new(""), mtime)?;
    }
    Ok(())
}
