//! Changes of files: `COPY`, `ADD`, `WORKDIR`, heredocs.

mod again;
mod kin;
mod link;
mod reuse;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use lathe_graph::{
    CopyAction, FileAction, FileOp, InputIndex, MakeDirAction, MakeFileAction, MergeOp, Unpack,
};
use lathe_layer::{ExtractOptions, Probe, extract, probe};
use lathe_rootfs::{
    CopyOptions, CopyRequest, DirOptions, FileOptions, Identity, Root, Times, copy,
};
use lathe_snapshot::{ActiveSnapshot, Mounted};
use lathe_solver::NodeId;
use lathe_store::SnapshotId;
use lathe_tree::{FileKind, Metadata, ModeChange, Owner};

use crate::{
    Error, Output, Result, Worker,
    content::style_of,
    owner::find_owner,
    runner::snapshot_of,
    select::{Selected, Tree},
};

use self::{
    again::{Again, Changed},
    kin::Kin,
    reuse::landing,
};

impl Worker<'_> {
    pub(crate) fn files(&self, node: NodeId, op: &FileOp, inputs: &[Output]) -> Result<Output> {
        let base = op.base.and_then(|index| snapshot_of(&inputs[index.0 as usize]));
        let known = base.map(|base| self.known(node, op, inputs, base)).transpose()?.flatten();
        if let Some(known) = &known
            && let Some(snapshot) = self.reuse(known, op)?
        {
            return Ok(Output::Snapshot(snapshot));
        }
        let mut canvas = Canvas::new(self.snapshots.prepare(base)?);
        let landing = known.as_ref().map(|_| landing(op, canvas.root()?)).transpose()?;
        let mut traces = Traces::default();
        if let [FileAction::Copy(copy)] = op.actions.as_slice() {
            traces = self.only_copy(node, copy, inputs, base, &mut canvas)?;
        } else {
            for action in &op.actions {
                match action {
                    FileAction::Copy(copy) => self.copy(node, copy, inputs, &mut canvas)?,
                    FileAction::MakeDir(dir) => self.make_dir(dir, canvas.root()?)?,
                    FileAction::MakeFile(file) => self.make_file(file, canvas.root()?)?,
                }
            }
        }
        let snapshot = canvas.commit()?;
        if let Some(again) = traces.again {
            self.remember_sources(&again, snapshot)?;
        }
        if let Some(kin) = traces.kin {
            self.remember_kin(snapshot, &kin)?;
        }
        if let (Some(known), Some(landing)) = (known, landing) {
            self.remember(&known, &landing, snapshot)?;
        }
        Ok(Output::Snapshot(snapshot))
    }

    pub(crate) fn merge(&self, op: &MergeOp, inputs: &[Output]) -> Result<Output> {
        let snapshot = |index: InputIndex| snapshot_of(&inputs[index.0 as usize]);
        // A folder of the user has no layer; the frontend makes none of it.
        let Some(layer) = snapshot(op.layer) else {
            return Ok(inputs[op.layer.0 as usize].clone());
        };
        let base = op.base.and_then(snapshot);
        Ok(Output::Snapshot(self.snapshots.merge(base, layer)?))
    }

    fn make_dir(&self, dir: &MakeDirAction, root: &Root) -> Result<()> {
        // BuildKit reads `USER` here as it reads `--chown`: `1000` is group 1000, too.
        let owner = owner_of(root, dir.owner.as_deref())?.unwrap_or(Owner::ROOT);
        let options = DirOptions { owner, mode: dir.mode, mtime: self.epoch };
        root.create_dir_all(Path::new(&dir.path), &options)?;
        Ok(())
    }

    fn make_file(&self, file: &MakeFileAction, root: &Root) -> Result<()> {
        let mut path = PathBuf::from(&file.path);
        let is_dir = || Ok::<_, Error>(root.try_stat(&path)?.is_some_and(|found| found.is_dir()));
        if file.path.ends_with('/') || is_dir()? {
            path.push(&file.name);
        }
        let owner = owner_of(root, file.owner.as_deref())?.unwrap_or(Owner::ROOT);
        if let Some(parent) = path.parent() {
            let options = DirOptions { owner, mode: 0o755, mtime: self.epoch };
            root.create_dir_all(parent, &options)?;
        }
        let mode = mode_of(file.mode.as_deref())?.apply(0o644, FileKind::Regular);
        // The time does not depend on when the build runs.
        let mtime = Some(self.epoch.unwrap_or_default());
        root.write_file(&path, file.content.as_bytes(), &FileOptions { owner, mode, mtime })?;
        Ok(())
    }

    /// Copies into a snapshot that nothing else goes into: what is there already may be linked.
    /// Returns what is to be remembered about it.
    fn only_copy(
        &self,
        node: NodeId,
        action: &CopyAction,
        inputs: &[Output],
        base: Option<SnapshotId>,
        canvas: &mut Canvas,
    ) -> Result<Traces> {
        let input = action.from.0 as usize;
        let place = self.place(node, input);
        match &inputs[input] {
            Output::Context(context) => {
                let tree = Tree::Context(context);
                let owner = owner_of(canvas.root()?, action.owner.as_deref())?;
                let selected = tree.find(&action.select, style_of(action), &place)?;
                let again = self.again(node, action, context, tree, &selected, base)?;
                let repeated = match &again {
                    Some(again) => self.repeat(again, action, base, canvas)?,
                    None => None,
                };
                let (changed, kin) = repeated.unzip();
                // The little that changed goes among what is there already.
                let place = match changed {
                    Some(_) => None,
                    None => self.past_the_mount(tree, action, &selected, owner, canvas)?,
                };
                let how = How { owner, identity: None, changed: changed.as_ref(), place };
                self.copy_selected(tree, action, &selected, &how, canvas)?;
                Ok(Traces { again, kin })
            }
            Output::Snapshot(snapshot) => {
                let mounted = self.snapshots.view(*snapshot)?;
                let root = Root::open(mounted.path())?;
                let owner = owner_of(canvas.root()?, action.owner.as_deref())?;
                let tree = Tree::Snapshot(&root);
                let selected = tree.find(&action.select, style_of(action), &place)?;
                let kin = self.link(*snapshot, action, &selected, &root, canvas)?;
                if kin.is_none() {
                    let identity = self.identity(*snapshot);
                    let identity = Some(&identity as Identity<'_>);
                    let place = self.past_the_mount(tree, action, &selected, owner, canvas)?;
                    let how = How { owner, identity, changed: None, place };
                    self.copy_selected(tree, action, &selected, &how, canvas)?;
                }
                Ok(Traces { again: None, kin })
            }
        }
    }

    fn copy(
        &self,
        node: NodeId,
        action: &CopyAction,
        inputs: &[Output],
        canvas: &mut Canvas,
    ) -> Result<()> {
        let input = action.from.0 as usize;
        let place = self.place(node, input);
        let owner = owner_of(canvas.root()?, action.owner.as_deref())?;
        let how = How { owner, identity: None, changed: None, place: None };
        match &inputs[input] {
            Output::Context(context) => {
                let tree = Tree::Context(context);
                let selected = tree.find(&action.select, style_of(action), &place)?;
                self.copy_selected(tree, action, &selected, &how, canvas)
            }
            Output::Snapshot(snapshot) => {
                let mounted = self.snapshots.view(*snapshot)?;
                let root = Root::open(mounted.path())?;
                let tree = Tree::Snapshot(&root);
                let selected = tree.find(&action.select, style_of(action), &place)?;
                let identity = self.identity(*snapshot);
                let how = How { identity: Some(&identity), ..how };
                self.copy_selected(tree, action, &selected, &how, canvas)
            }
        }
    }

    /// Returns what tells apart names of one file that have nothing to do with each other.
    pub(crate) fn identity(
        &self,
        snapshot: SnapshotId,
    ) -> impl Fn(&Path, &Metadata) -> u64 + Sync + use<'_> {
        // Most copies never ask.
        let identity = OnceLock::new();
        move |path: &Path, _: &Metadata| {
            let identity = identity.get_or_init(|| self.snapshots.layer_identity(snapshot).ok());
            identity.as_ref().map_or(0, |identity| identity(path))
        }
    }

    fn copy_selected(
        &self,
        tree: Tree<'_>,
        action: &CopyAction,
        selected: &Selected,
        how: &How<'_>,
        canvas: &mut Canvas,
    ) -> Result<()> {
        let How { owner: asked, identity, changed, ref place } = *how;
        let to = if place.is_some() { &canvas.changes()? } else { canvas.root()? };
        // Owners of the context's files are the user's matter.
        let owner = asked.or(matches!(tree, Tree::Context(_)).then_some(Owner::ROOT));
        let mode = mode_of(action.mode.as_deref())?;
        let mut destination = PathBuf::from(&action.destination);
        // Several matches of one pattern need a directory, whether it was written so or not.
        if selected.found.len() > 1 || action.parents {
            destination.push("");
        }
        let destination = place.as_ref().unwrap_or(&destination);
        for found in &selected.found {
            if action.unpack == Unpack::ByContent
                && self.unpack(tree.root(), &found.real, to, destination, asked)?
            {
                continue;
            }
            let filter = |below: &Path, kind: FileKind| {
                let selection = self.choose(tree, selected, found, below, kind);
                changed.map_or(selection, |changed| selection.and(changed.select(below, kind)))
            };
            copy(&CopyRequest {
                from: tree.root(),
                source: &found.path,
                to,
                destination,
                options: CopyOptions {
                    owner,
                    mode: mode.clone(),
                    // As BuildKit: what a build with an epoch copies has its time.
                    times: self.epoch.map_or(Times::Preserve, Times::Set),
                    parent_mtime: self.epoch,
                    contents_of_directory: true,
                    filter: Some(&filter),
                    identity,
                    ..CopyOptions::default()
                },
            })?;
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
        }
        Ok(())
    }

    /// Unpacks the source if it is an archive; tells whether it was one. Its files keep their
    /// owners unless `--chown` gives them another one.
    fn unpack(
        &self,
        from: &Root,
        source: &Path,
        to: &Root,
        destination: &Path,
        owner: Option<Owner>,
    ) -> Result<bool> {
        if !from.stat(source)?.is_file() {
            return Ok(false);
        }
        match probe(from.open_file(source)?)? {
            Probe::Archive(codec) => {
                let made_mtime = self.epoch;
                let options = ExtractOptions { owner, made_mtime, ..ExtractOptions::default() };
                extract(from.open_file(source)?, codec, to, destination, &options)?;
                Ok(true)
            }
            Probe::Other => Ok(false),
        }
    }
}

/// A snapshot that files are put into: through a mount, or, where links are to be made, into its
/// changes, while nothing is mounted. Drops in the order of the fields: the mount before the
/// snapshot below it.
pub(crate) struct Canvas {
    shown: Option<(Root, Mounted)>,
    active: ActiveSnapshot,
}

impl Canvas {
    fn new(active: ActiveSnapshot) -> Self {
        Self { shown: None, active }
    }

    /// Returns the tree.
    fn root(&mut self) -> Result<&Root> {
        if self.shown.is_none() {
            let mounted = self.active.mount()?;
            self.shown = Some((Root::open(mounted.path())?, mounted));
        }
        Ok(&self.shown.as_ref().expect("it was mounted just now").0)
    }

    /// Returns the changes alone, in overlay's form. Nothing is mounted meanwhile.
    fn changes(&mut self) -> Result<Root> {
        self.shown = None;
        Ok(Root::open(self.active.changes())?)
    }

    fn commit(self) -> Result<SnapshotId> {
        drop(self.shown);
        Ok(self.active.commit()?)
    }
}

/// How what is selected is copied, apart from what the action says.
struct How<'a> {
    /// The owner that the action names, as numbers.
    owner: Option<Owner>,
    identity: Option<Identity<'a>>,
    /// What is to be copied, where that is not all.
    changed: Option<&'a Changed>,
    /// Where it goes in the changes, past the mount.
    place: Option<PathBuf>,
}

/// What is to be remembered about a copy.
#[derive(Default)]
struct Traces {
    again: Option<Again>,
    /// Where the files come from that were linked.
    kin: Option<Kin>,
}

fn owner_of(root: &Root, spec: Option<&str>) -> Result<Option<Owner>> {
    spec.map(|spec| find_owner(root, spec)).transpose()
}

fn mode_of(text: Option<&str>) -> Result<ModeChange> {
    let Some(text) = text else { return Ok(ModeChange::Keep) };
    ModeChange::parse(text).map_err(|source| Error::Mode { text: text.to_owned(), source })
}
