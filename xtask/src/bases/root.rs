//! Root file systems under construction: overlay stacks, chroots, and what a recipe needs around it.
//!
//! All mounts happen in the private mount namespace of the making process ([`super::make`]), so a killed run
//! leaves none behind. Recipes run programs of the stand-in itself (`apt-get`, `adduser`) by chroot.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};

use super::pack::{self, EPOCH};
use super::plan::{self, Layer};
use super::state::{LayerRecord, Lock, State, remove_tree};
use crate::sh::Cmd;

/// What all recipes of one run share.
pub(super) struct Shop<'a> {
    pub(super) state: &'a State,
    lock: &'a Mutex<Lock>,
    /// Held while a kept layer is unpacked.
    trees: Mutex<()>,
    /// The suites whose package lists were read in this run; held while lists are read.
    lists: Mutex<BTreeSet<&'static str>>,
    /// Held while files are downloaded; the same file is then not fetched twice.
    downloads: Mutex<()>,
    /// A Debian system whose files go into layers on Alpine; mounted by the first recipe that asks.
    donor: Mutex<Option<Root>>,
}

impl<'a> Shop<'a> {
    pub(super) fn new(state: &'a State, lock: &'a Mutex<Lock>) -> Self {
        Self {
            state,
            lock,
            trees: Mutex::default(),
            lists: Mutex::default(),
            downloads: Mutex::default(),
            donor: Mutex::default(),
        }
    }

    /// Returns the record of a finished layer.
    pub(super) fn record(&self, id: &str) -> Option<LayerRecord> {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.layers.get(id).cloned()
    }

    /// Returns the folders of finished layers, for use as lower folders; unpacks those of an earlier run.
    pub(super) fn trees(&self, ids: &[&str]) -> Result<Vec<PathBuf>> {
        let _held = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().map(|id| self.tree(id)).collect()
    }

    fn tree(&self, id: &str) -> Result<PathBuf> {
        let tree = self.state.work().join(id).join("tree");
        if !tree.is_dir() {
            let record = self.record(id).with_context(|| format!("layer {id} is not made yet"))?;
            let partial = tree.with_extension("partial");
            remove_tree(&partial)?;
            pack::unpack(self.state, &record.digest, &partial)?;
            fs::rename(&partial, &tree).with_context(|| format!("rename to {}", tree.display()))?;
        }
        Ok(tree)
    }

    /// Runs `fetch` in the download folder unless the file is there already; returns the file.
    pub(super) fn download(
        &self,
        file: &str,
        fetch: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let _held = self.downloads.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.state.work().join("downloads");
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let path = folder.join(file);
        if !path.exists() {
            fetch(&folder)?;
            ensure!(path.exists(), "the download did not bring {}", path.display());
        }
        Ok(path)
    }

    /// Installs Debian packages in a root of the suite.
    fn apt_install(&self, root: &Root, suite: &'static str, packages: &[&str]) -> Result<()> {
        let lists = self.state.work().join("apt").join(suite);
        fs::create_dir_all(&lists).with_context(|| format!("create {}", lists.display()))?;
        let at = root.path.join("var/lib/apt/lists");
        let _lists = Mount::new(Cmd::new("mount").arg("--bind").arg(lists), &at)?;
        let cache = Cmd::new("mount").args(["-t", "tmpfs", "tmpfs"]);
        let _cache = Mount::new(cache, &root.path.join("var/cache/apt"))?;
        {
            let mut read = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
            if !read.contains(suite) {
                root.chroot("apt-get update").run()?;
                read.insert(suite);
            }
        }
        // With an epoch in the environment Python would compile modules to the slower form that is checked
        // by content; the times of packaged sources are fixed anyway.
        let script = format!(
            "unset SOURCE_DATE_EPOCH; apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io {}",
            packages.join(" ")
        );
        root.chroot(&script).run()
    }

    /// Returns the donor's root: bookworm with the packages that Alpine's stand-ins borrow from.
    fn donor(&self) -> Result<PathBuf> {
        let mut donor = self.donor.lock().unwrap_or_else(PoisonError::into_inner);
        if donor.is_none() {
            let root = Root::stack(&self.state.work().join("donor"), &self.trees(&["bookworm"])?)?;
            let system = root.with_system()?;
            self.apt_install(&root, "bookworm", &["nginx", "busybox-static"])?;
            drop(system);
            *donor = Some(root);
        }
        Ok(donor.as_ref().expect("it was just made").path.clone())
    }
}

/// The place where a recipe makes its layer.
pub(super) struct Bench<'a> {
    pub(super) shop: &'a Shop<'a>,
    layer: &'a Layer,
    root: Root,
}

impl<'a> Bench<'a> {
    /// Makes the layer and packs it.
    pub(super) fn make(shop: &'a Shop<'a>, layer: &'a Layer) -> Result<LayerRecord> {
        let place = shop.state.work().join(layer.id);
        let root = Root::stack(&place, &shop.trees(layer.below)?)?;
        let bench = Self { shop, layer, root };
        (layer.make)(&bench)?;
        bench.finish()
    }

    fn finish(self) -> Result<LayerRecord> {
        let tree = self.root.tree.clone();
        // Unmounts, so that the tree below may be changed.
        drop(self.root);
        sweep(&tree)?;
        let below = self.layer.below.iter();
        let below = below.map(|id| self.shop.record(id).map(|record| record.diff_id));
        let below = below.collect::<Option<_>>().context("a layer below is not made")?;
        pack::pack(self.shop.state, &tree, self.layer.revision, below)
    }

    /// Returns the root in which the layer is seen together with those below.
    pub(super) fn root(&self) -> &Path {
        &self.root.path
    }

    /// Returns a path in the root; `relative` has no leading slash.
    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.root.path.join(relative)
    }

    /// Returns the donor's root and keeps it mounted.
    pub(super) fn donor(&self) -> Result<PathBuf> {
        self.shop.donor()
    }

    /// Runs a shell script in the root.
    pub(super) fn chroot(&self, script: &str) -> Result<()> {
        let _system = self.root.with_system()?;
        self.root.chroot(script).run()
    }

    pub(super) fn apt_install(&self, suite: &'static str, packages: &[&str]) -> Result<()> {
        let _system = self.root.with_system()?;
        self.shop.apt_install(&self.root, suite, packages)
    }

    /// Writes a file, with its folders.
    pub(super) fn write(&self, relative: &str, mode: u32, text: &str) -> Result<()> {
        let path = self.path(relative);
        self.folder(path.parent().expect("the file lies in a folder"))?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        set_mode(&path, mode)
    }

    /// Makes a symbolic link, in place of what may be there.
    pub(super) fn link(&self, target: &str, relative: &str) -> Result<()> {
        let path = self.path(relative);
        self.folder(path.parent().expect("the link lies in a folder"))?;
        crate::sh::remove_file(&path)?;
        symlink(target, &path).with_context(|| format!("link {}", path.display()))
    }

    /// Makes a folder below the root.
    pub(super) fn folder(&self, path: &Path) -> Result<()> {
        let path = self.root.path.join(path);
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))
    }
}

pub(super) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("set the mode of {}", path.display()))
}

/// Puts an image's layers together and runs its trials.
pub(super) fn try_out(shop: &Shop<'_>, image: &plan::Image) -> Result<()> {
    let place = shop.state.work().join("trial");
    let root = Root::stack(&place, &shop.trees(image.layers)?)?;
    let _system = root.with_system()?;
    for (script, expected) in image.trials {
        let script = format!("export {}; {script}", image.config.env.join(" "));
        let said = root.chroot(&script).read()?;
        ensure!(
            said.starts_with(expected),
            "{}: `{script}` says `{said}` instead of `{expected}…`",
            image.tag
        );
    }
    Ok(())
}

/// A root file system; unmounts itself.
struct Root {
    /// Where to look at it.
    path: PathBuf,
    /// Where its own files, without those of the layers below, lie.
    tree: PathBuf,
    _overlay: Option<Mount>,
}

impl Root {
    /// Starts an empty tree in `place`, seen on top of the `lower` ones (bottom first).
    fn stack(place: &Path, lower: &[PathBuf]) -> Result<Self> {
        remove_tree(place)?;
        let [tree, work, path] = ["tree", "overlay", "root"].map(|name| place.join(name));
        for folder in [&tree, &work, &path] {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        if lower.is_empty() {
            return Ok(Self { path: tree.clone(), tree, _overlay: None });
        }
        let lower: Vec<_> = lower.iter().rev().map(|folder| folder.to_string_lossy()).collect();
        // The redirecting features would need more than file modes to be packed.
        let options = format!(
            "lowerdir={},upperdir={},workdir={},redirect_dir=off,metacopy=off,index=off,volatile",
            lower.join(":"),
            tree.display(),
            work.display()
        );
        let mount = Cmd::new("mount").args(["-t", "overlay", "overlay", "-o"]).arg(options);
        let overlay = Mount::new(mount, &path)
            .context("the state folder has to lie on a file system that can carry an overlay")?;
        Ok(Self { path, tree, _overlay: Some(overlay) })
    }

    /// Mounts what programs expect: /proc, a small /dev, and a resolver configuration.
    fn with_system(&self) -> Result<[Mount; 2]> {
        let proc = Mount::new(Cmd::new("mount").args(["-t", "proc", "proc"]), &self.at("proc")?)?;
        let dev = self.at("dev")?;
        let mount = Cmd::new("mount").args(["-t", "tmpfs", "-o", "mode=755", "tmpfs"]);
        let devices = Mount::new(mount, &dev)?;
        let names = ["null", "zero", "full", "random", "urandom", "tty"];
        let nodes = names.map(|name| format!("/dev/{name}"));
        Cmd::new("cp").arg("-a").args(nodes).arg(&dev).run()?;
        let links = [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")];
        for (name, number) in links {
            symlink(format!("/proc/self/fd{number}"), dev.join(name))
                .with_context(|| format!("link {name} in {}", dev.display()))?;
        }
        if self.path.join("etc").is_dir() {
            // Swept out again with the logs.
            let resolver = self.path.join("etc/resolv.conf");
            fs::copy("/etc/resolv.conf", &resolver)
                .with_context(|| format!("copy /etc/resolv.conf to {}", resolver.display()))?;
        }
        Ok([proc, devices])
    }

    fn at(&self, relative: &str) -> Result<PathBuf> {
        let path = self.path.join(relative);
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(path)
    }

    /// Returns a command that runs a shell script in the root, with nothing of this process' environment.
    fn chroot(&self, script: &str) -> Cmd {
        Cmd::new("env")
            .args(["-i", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"])
            // Python writes the constants of compiled modules in the order of their hashes.
            .arg("PYTHONHASHSEED=0")
            .arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .arg(format!("SOURCE_DATE_EPOCH={EPOCH}"))
            .arg("chroot")
            .arg(&self.path)
            .args(["sh", "-ec", script])
    }
}

/// A mount point that is unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    /// Runs a `mount` command that lacks only the mount point.
    fn new(command: Cmd, at: &Path) -> Result<Self> {
        command.arg(at).run()?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a program of the root may still be ending. What stays goes with the namespace.
        if let Err(error) = Cmd::new("umount").arg("--lazy").arg(&self.0).run() {
            eprintln!("{error:#}");
        }
    }
}

/// Removes from a finished tree what belongs to the making: logs, caches, this machine's names.
fn sweep(tree: &Path) -> Result<()> {
    const FILES: [&str; 12] = [
        "etc/resolv.conf",
        "etc/hostname",
        "etc/.pwd.lock",
        "etc/passwd-",
        "etc/group-",
        "etc/shadow-",
        "etc/gshadow-",
        "var/cache/ldconfig/aux-cache",
        "var/lib/dpkg/lock",
        "var/lib/dpkg/lock-frontend",
        "var/lib/dpkg/status-old",
        "var/lib/dpkg/diversions-old",
    ];
    for file in FILES {
        crate::sh::remove_file(&tree.join(file))?;
    }
    let find = |folder: &str| Cmd::new("find").arg(tree.join(folder));
    for folder in ["dev", "proc", "run", "tmp", "var/cache/apt", "var/lib/apt/lists", "var/tmp"] {
        if tree.join(folder).is_dir() {
            find(folder).args(["-xdev", "-mindepth", "1", "-delete"]).run()?;
        }
    }
    if tree.join("var/log").is_dir() {
        find("var/log").args(["-xdev", "-type", "f", "-delete"]).run()?;
    }
    if tree.join("var/cache/debconf").is_dir() {
        find("var/cache/debconf").args(["-name", "*-old", "-delete"]).run()?;
    }
    Ok(())
}
