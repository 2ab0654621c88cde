//! `--output`: where the result of a build goes, and what it looks like there, as buildx writes it.
//!
//! A CSV record of `key=value` fields; a lone path is `type=local,dest=PATH`, a lone `-` is
//! `type=tar,dest=-`. What is not known is refused: an output that was misspelled would be missed
//! only when it is needed. What makes no difference here (there is no daemon that could unpack)
//! is accepted, and [`ExportSpec::notes`] says why.

use std::path::{Path, PathBuf};

use lathe_layer::Compression;
use lathe_oci::Reference;

use crate::{Annotation, AnnotationTarget, ArchiveForm};

mod attributes;
mod csv;
mod keys;

pub(crate) use keys::near;

/// Why an output is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid output `{text}`: {reason}")]
pub struct SpecError {
    text: String,
    reason: String,
}

/// Whether an image is pushed as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Push {
    /// It stays here.
    #[default]
    No,
    /// It goes to the registries that its names say, under their tags.
    Yes,
    /// It goes to the repositories that its names say, and has no name there but its digest.
    ByDigest,
}

/// Where an archive goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file, replaced as a whole.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

/// What form an OCI layout has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayoutForm {
    /// A folder, to which images are added.
    Directory,
    /// One archive.
    #[default]
    Tar,
}

/// Where the result of a build goes, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportSpec {
    /// Into the store, and to registries. The default.
    Store(StoreSpec),
    /// Into an OCI layout, or what `docker load` reads.
    Archive(ArchiveSpec),
    /// The files, as a tar.
    Tar {
        /// Where.
        destination: Destination,
        /// `source-date-epoch` of the output: the time of all files, in seconds since 1970.
        epoch: Option<i64>,
    },
    /// The files, into a folder.
    Local(LocalSpec),
    /// Nowhere: the build fills the cache.
    CacheOnly,
}

/// `type=image`, `type=registry`, and `type=docker` without a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreSpec {
    /// Names, besides those of the build. With [`Push::ByDigest`] they have no tags.
    pub names: Vec<Reference>,
    /// Whether it goes to registries, too.
    pub push: Push,
    /// `registry.insecure`: HTTP and certificates that cannot be checked will do. Whoever makes
    /// the client has to see to it, see [`ExportSpec::insecure_registries`].
    pub insecure: bool,
    /// `store=false`: it is not listed here.
    pub unlisted: bool,
    /// `dangling-name-prefix`: what it is called, with its digest, when it has no names.
    pub dangling_prefix: Option<Reference>,
    /// `name-canonical`: it is also known under each of its names with its digest.
    pub canonical: bool,
    /// What it looks like.
    pub form: ImageForm,
}

/// `type=oci`, and `type=docker` with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveSpec {
    /// For whom it is.
    pub format: ArchiveForm,
    /// Names in it, besides those of the build.
    pub names: Vec<Reference>,
    /// Where; a folder is always a [`Destination::File`].
    pub destination: Destination,
    /// Folder or archive.
    pub layout: LayoutForm,
    /// What the image looks like.
    pub form: ImageForm,
}

/// `type=local`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSpec {
    /// The folder.
    pub destination: PathBuf,
    /// What becomes of what is there.
    pub mode: LocalMode,
    /// Whether the files are in a folder for their platform, as `linux_amd64`.
    pub split: PlatformSplit,
    /// `source-date-epoch` of the output: the time of all files, in seconds since 1970.
    pub epoch: Option<i64>,
}

/// What becomes of the files that are in a folder already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocalMode {
    /// Those of the build are put over them.
    #[default]
    Copy,
    /// Those that the build does not have are deleted (`rsync --delete`).
    Delete,
}

/// Whether files are in a folder for their platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlatformSplit {
    /// As for all builds for one platform.
    #[default]
    No,
    /// In a folder called `os_architecture[_variant]`.
    Yes,
}

/// What an image looks like: nothing of it changes what is in its layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageForm {
    /// Form of the layers; when `None` gzip where the image leaves the store, else as they are.
    pub layers: Option<LayerForm>,
    /// Which layers have that form.
    pub recompress: Recompress,
    /// Whose names for documents and layers the manifest uses.
    pub media_types: MediaTypes,
    /// Remarks.
    pub annotations: Vec<Annotation>,
    /// `source-date-epoch`: the time of the image, in seconds since 1970. It is the build's matter.
    pub epoch: Option<i64>,
    /// `rewrite-timestamp`: files of this build's layers are not younger than the epoch. As every
    /// build with an epoch does so, asking for it says only that there should be one.
    pub rewrite_timestamp: bool,
    /// What was asked for and makes no difference, with the reason.
    pub notes: Vec<String>,
}

/// Form of a layer's blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerForm {
    /// How it is compressed.
    pub compression: Compression,
    /// How well: 0 to 9 for gzip, 0 to 22 for zstd; the usual level when `None`.
    pub level: Option<u8>,
}

/// Which layers are compressed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recompress {
    /// Those that were packed here. Those of a pulled image stay as they came.
    #[default]
    Own,
    /// All (`force-compression`).
    All,
}

/// Whose media types a manifest has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaTypes {
    /// OCI's.
    #[default]
    Oci,
    /// Those of Docker's image manifest version 2, schema 2.
    Docker,
}

impl Default for LayerForm {
    fn default() -> Self {
        Self { compression: Compression::Gzip, level: None }
    }
}

impl Default for ExportSpec {
    fn default() -> Self {
        Self::Store(StoreSpec::default())
    }
}

impl ExportSpec {
    /// Parses the value of `--output`.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        attributes::parse(text).map_err(|reason| SpecError { text: text.to_owned(), reason })
    }

    /// Tells whether an image is needed for it, and not the files alone.
    pub const fn needs_image(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Archive(_))
    }

    /// Tells whether it writes to standard output, which only one may.
    pub const fn uses_stdout(&self) -> bool {
        matches!(
            self,
            Self::Archive(ArchiveSpec { destination: Destination::Stdout, .. })
                | Self::Tar { destination: Destination::Stdout, .. }
        )
    }

    /// Returns the folder of which files are deleted that the build does not have.
    ///
    /// As buildx has it, that is allowed below the working directory, and elsewhere with
    /// `--allow buildx.local.delete`; asking is the caller's matter.
    pub fn deletes(&self) -> Option<&Path> {
        match self {
            Self::Local(local) if local.mode == LocalMode::Delete => Some(&local.destination),
            _ => None,
        }
    }

    /// Returns what the image looks like; `None` where there is none.
    pub const fn form(&self) -> Option<&ImageForm> {
        match self {
            Self::Store(StoreSpec { form, .. }) | Self::Archive(ArchiveSpec { form, .. }) => {
                Some(form)
            }
            _ => None,
        }
    }

    /// Returns the `source-date-epoch` of the output, in seconds since 1970.
    pub const fn epoch(&self) -> Option<i64> {
        match self {
            Self::Store(StoreSpec { form, .. }) | Self::Archive(ArchiveSpec { form, .. }) => {
                form.epoch
            }
            Self::Tar { epoch, .. } | Self::Local(LocalSpec { epoch, .. }) => *epoch,
            Self::CacheOnly => None,
        }
    }

    /// Returns the form in which these outputs need the blobs of new layers, so that one pass over
    /// the files makes diffID and blob; `None` where no output needs one, or sends it while it is
    /// made. Where outputs need several forms it is the first one's.
    pub fn packing(specs: &[Self]) -> Option<LayerForm> {
        specs.iter().find_map(|spec| match spec {
            Self::Archive(ArchiveSpec { form, .. }) => Some(form.layers.unwrap_or_default()),
            Self::Store(StoreSpec { form, .. }) => form.layers,
            _ => None,
        })
    }

    /// Returns the form in which these outputs need blobs at the end, pushed ones too.
    pub fn traveling(specs: &[Self]) -> Option<LayerForm> {
        let pushed = || {
            specs.iter().find_map(|spec| match spec {
                Self::Store(StoreSpec { form, push: Push::Yes | Push::ByDigest, .. }) => {
                    Some(form.layers.unwrap_or_default())
                }
                _ => None,
            })
        };
        Self::packing(specs).or_else(pushed)
    }

    /// Returns the registries to which it may speak HTTP, or whose certificates are not checked
    /// (`registry.insecure`); `names` are those of the build.
    pub fn insecure_registries<'a>(&'a self, names: &'a [Reference]) -> Vec<&'a str> {
        match self {
            Self::Store(store) if store.insecure && store.push != Push::No => {
                let all = names.iter().chain(&store.names).chain(&store.dangling_prefix);
                let mut hosts: Vec<&str> = all.map(Reference::registry).collect();
                hosts.sort_unstable();
                hosts.dedup();
                hosts
            }
            _ => Vec::new(),
        }
    }

    /// Returns what was asked for and makes no difference, a sentence each; `annotations` are
    /// those of the build, `epoch` its `SOURCE_DATE_EPOCH`.
    pub fn notes(&self, annotations: &[Annotation], epoch: Option<i64>) -> Vec<String> {
        let form = self.form();
        let mut notes = form.map(|form| form.notes.clone()).unwrap_or_default();
        let all = annotations.iter().chain(form.iter().flat_map(|form| &form.annotations));
        let has_index = matches!(self, Self::Archive(_));
        let is_lost = |target: AnnotationTarget| match target {
            AnnotationTarget::Manifest => !self.needs_image(),
            AnnotationTarget::IndexDescriptor => true,
            AnnotationTarget::ManifestDescriptor | AnnotationTarget::Index => !has_index,
        };
        let mut lost: Vec<AnnotationTarget> = all
            .flat_map(|annotation| annotation.targets.iter().map(|(target, _)| *target))
            .filter(|target| is_lost(*target))
            .collect();
        lost.sort_unstable();
        lost.dedup();
        for target in lost {
            let target = target.as_str();
            notes.push(if self.needs_image() {
                format!(
                    "annotations of type `{target}` have no place: \
                     an image for one platform has no index of its own"
                )
            } else {
                format!("annotations of type `{target}` have no place: files have no manifest")
            });
        }
        if let Some(form) = form {
            if form.rewrite_timestamp && epoch.or(form.epoch).is_none() {
                notes.push("`rewrite-timestamp` does nothing without SOURCE_DATE_EPOCH".to_owned());
            }
            let forced = form.forces_oci(annotations);
            if let Some(reason) = forced.filter(|_| form.media_types == MediaTypes::Docker) {
                notes.push(format!("`oci-mediatypes=false` does nothing: {reason} need OCI's"));
            }
        }
        notes
    }
}

impl ImageForm {
    /// Returns what a manifest with Docker's media types could not hold.
    pub(crate) fn forces_oci(&self, annotations: &[Annotation]) -> Option<&'static str> {
        if self.layers.is_some_and(|layers| layers.compression == Compression::Zstd) {
            return Some("layers compressed with zstd");
        }
        let mut all = annotations.iter().chain(&self.annotations);
        all.any(|annotation| {
            annotation.targets.iter().any(|(target, _)| *target == AnnotationTarget::Manifest)
        })
        .then_some("annotations")
    }
}

#[cfg(test)]
mod tests;
