//! `rmi`: names first, the image when its last name goes.
//!
//! The rules and texts are those of moby's `ImageDelete` (`daemon/images/image_delete.go`).

use std::collections::BTreeSet;

use lathe_oci::{ChainId, DiffId, Digest, Reference};
use lathe_store::{ContainerRecord, ImageRecord, PruneOptions, Store};

use super::{Error, Result, find, find::is_id_of, list::config_of};
use crate::Engine;

/// Whether containers and further names stand in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// They do.
    No,
    /// Only containers that run do.
    Yes,
}

/// What becomes of what only the image needed (`--no-prune`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UntaggedParents {
    /// It goes.
    Remove,
    /// It stays until the next prune.
    Keep,
}

/// How to remove an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoveOptions {
    /// Whether other uses stand in the way.
    pub force: Force,
    /// What becomes of its layers.
    pub parents: UntaggedParents,
}

/// What was removed, in docker's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name, in docker's short form.
    Untagged(String),
    /// An image by id, or a layer by chain id.
    Deleted(Digest),
}

impl std::fmt::Display for Removed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Untagged(name) => write!(f, "Untagged: {name}"),
            Self::Deleted(digest) => write!(f, "Deleted: {digest}"),
        }
    }
}

/// Removes a name of an image, and the image when it was the last one; by id, the image.
///
/// The store does not know which containers run: the caller tells.
///
/// # Errors
/// [`Error::Conflict`] when a container or another name stands in the way.
pub fn remove(
    engine: &Engine,
    text: &str,
    options: RemoveOptions,
    runs: &dyn Fn(&ContainerRecord) -> bool,
) -> Result<Vec<Removed>> {
    let share = engine.store.share()?;
    let image = find(&engine.store, text)?;
    let mut removal =
        Removal { store: &engine.store, force: options.force, runs, image, removed: Vec::new() };
    let deleted = removal.run(text)?;
    let removed = removal.removed;
    drop(share);
    if deleted && options.parents == UntaggedParents::Remove {
        // Only what nothing needs any more; while other commands run, the next prune does it.
        engine.store.prune(&PruneOptions::default())?;
    }
    Ok(removed)
}

struct Removal<'a> {
    store: &'a Store,
    force: Force,
    runs: &'a dyn Fn(&ContainerRecord) -> bool,
    /// The image with the names that it still has.
    image: ImageRecord,
    removed: Vec<Removed>,
}

impl Removal<'_> {
    /// Tells whether the image itself went.
    fn run(&mut self, text: &str) -> Result<bool> {
        // A digest is never a name, also when it is the manifest's.
        if is_id_of(text, &self.image) || text.parse::<Digest>().is_ok() {
            if self.has_one_name() {
                self.check_containers()?;
                self.untag_all()?;
            } else if self.force == Force::No {
                return Err(
                    self.conflict("must be forced", "image is referenced in multiple repositories")
                );
            }
        } else {
            self.untag_by_name(text)?;
            if !self.image.names.is_empty() || !self.image.repo_digests.is_empty() {
                return Ok(false);
            }
        }
        self.check_containers()?;
        self.untag_all()?;
        self.delete()?;
        Ok(true)
    }

    /// Removes one name, and with the last tag of a repository also its digests.
    fn untag_by_name(&mut self, text: &str) -> Result<()> {
        if self.force == Force::No
            && self.has_one_name()
            && let Some(container) = self.containers()?.first()
        {
            return Err(Error::Conflict(format!(
                "unable to remove repository reference \"{text}\" (must force) - container {} is \
                 using its referenced image {}",
                short(&container.id),
                self.image.id.short()
            )));
        }
        let reference = Reference::parse(text)?.with_default_tag();
        if let Some(digest) = reference.digest() {
            let wanted = format!("{}@{digest}", reference.name());
            return self.remove_digests(|other| *other == wanted);
        }
        let name = reference.to_string();
        self.store.remove_tag(&name)?;
        self.image.names.retain(|other| *other != name);
        self.removed.push(Removed::Untagged(reference.familiar()));
        let repository = reference.name();
        let in_repository =
            |other: &String| Reference::parse(other).is_ok_and(|other| other.name() == repository);
        if !self.image.names.iter().any(in_repository) {
            self.remove_digests(in_repository)?;
        }
        Ok(())
    }

    fn remove_digests(&mut self, goes: impl Fn(&String) -> bool) -> Result<()> {
        let (gone, kept): (Vec<String>, Vec<String>) =
            std::mem::take(&mut self.image.repo_digests).into_iter().partition(goes);
        self.image.repo_digests = kept;
        if !gone.is_empty() {
            self.store.put_image(&self.image)?;
        }
        self.removed.extend(gone.iter().map(|name| Removed::Untagged(familiar(name))));
        Ok(())
    }

    fn untag_all(&mut self) -> Result<()> {
        for name in std::mem::take(&mut self.image.names) {
            self.store.remove_tag(&name)?;
            self.removed.push(Removed::Untagged(familiar(&name)));
        }
        self.remove_digests(|_| true)
    }

    fn delete(&mut self) -> Result<()> {
        let own = chain_ids(self.store, &self.image)?;
        self.store.remove_image(&self.image.id)?;
        self.removed.push(Removed::Deleted(self.image.id));
        let mut shared = BTreeSet::new();
        for image in self.store.images()? {
            // An image that cannot be read keeps nothing; checking the store tells about it.
            shared.extend(chain_ids(self.store, &image).unwrap_or_default());
        }
        let gone = own.into_iter().rev().filter(|chain| !shared.contains(chain));
        self.removed.extend(gone.map(Removed::Deleted));
        Ok(())
    }

    fn check_containers(&self) -> Result<()> {
        for container in self.containers()? {
            let id = short(&container.id);
            if (self.runs)(&container) {
                let reason = format!("image is being used by running container {id}");
                return Err(self.conflict("cannot be forced", &reason));
            }
            if self.force == Force::No {
                let reason = format!("image is being used by stopped container {id}");
                return Err(self.conflict("must be forced", &reason));
            }
        }
        Ok(())
    }

    fn conflict(&self, force: &str, reason: &str) -> Error {
        let id = self.image.id.short();
        Error::Conflict(format!("unable to delete {id} ({force}) - {reason}"))
    }

    /// Returns the containers of the image, those that run first.
    fn containers(&self) -> Result<Vec<ContainerRecord>> {
        let mut containers = self.store.containers()?;
        containers.retain(|container| container.image == Some(self.image.id));
        containers.sort_by_key(|container| !(self.runs)(container));
        Ok(containers)
    }

    /// Tells whether at most one tag means the image, and all digests are of its repository.
    fn has_one_name(&self) -> bool {
        let repositories: BTreeSet<String> = self
            .image
            .repo_digests
            .iter()
            .filter_map(|name| Reference::parse(name).ok())
            .map(|name| name.name())
            .collect();
        match self.image.names.as_slice() {
            [] => repositories.len() <= 1,
            [name] => {
                let own = Reference::parse(name).map(|name| name.name()).unwrap_or_default();
                repositories.iter().all(|repository| *repository == own)
            }
            _ => false,
        }
    }
}

/// Returns the chain ids of an image, the lowest first.
fn chain_ids(store: &Store, image: &ImageRecord) -> Result<Vec<Digest>> {
    let mut below: Option<ChainId> = None;
    let step = |diff_id: &DiffId| {
        let chain = below.map_or(ChainId::first(*diff_id), |below| below.push(*diff_id));
        below = Some(chain);
        chain.0
    };
    Ok(config_of(store, image)?.rootfs.diff_ids.iter().map(step).collect())
}

fn familiar(name: &str) -> String {
    Reference::parse(name).map_or_else(|_| name.to_owned(), |name| name.familiar())
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
