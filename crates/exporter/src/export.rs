//! One output of a build.

use std::path::PathBuf;

use lathe_oci::{BuiltImage, Descriptor, Digest, ImageConfig, Platform, Reference};
use lathe_store::SnapshotId;

use crate::{
    Annotation, ArchiveImage, ArchiveSpec, Destination, Env, Error, ExportSpec, LayoutForm, Owners,
    Push, PushReport, Result, StoreSpec,
    archive::write_annotated,
    form::{Way, formed},
    layout::write_layout,
    push::{check_without_tag, push_formed},
    stored::{record_digest_name, store_image},
    tree::{self, Folder},
};

/// What was built.
#[derive(Clone, Copy, Debug)]
pub struct ExportRequest<'a> {
    /// The image; needed where [`ExportSpec::needs_image`] says so.
    pub image: Option<&'a BuiltImage>,
    /// What it is for, where there is no image to tell; this machine when `None`.
    pub platform: Option<&'a Platform>,
    /// Unpacked size of its layers in bytes.
    pub size: u64,
    /// The files; `None` where there are none at all.
    pub tree: Option<SnapshotId>,
    /// Names of the build (`--tag`), to which an output may add its own.
    pub names: &'a [Reference],
    /// Modification time of the files where they are written as such, in seconds since 1970; that
    /// of an output comes first.
    pub epoch: Option<i64>,
    /// Remarks for the image (`--annotation`), besides those of an output.
    pub annotations: &'a [Annotation],
    /// Whom the files of a folder belong to.
    pub owners: Owners,
}

/// What was written where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The image id: the digest of the config.
    pub image: Option<Digest>,
    /// The manifest.
    pub manifest: Option<Descriptor>,
    /// Names under which the image is in the store, or in the archive.
    pub names: Vec<Reference>,
    /// Where it was pushed to.
    pub pushed: Vec<PushReport>,
    /// File or folder that was written; `None` for the store and standard output.
    pub path: Option<PathBuf>,
    /// Bytes that were written to file, folder or standard output.
    pub bytes: u64,
}

/// Writes one output.
pub fn export(env: &Env<'_>, spec: &ExportSpec, request: &ExportRequest<'_>) -> Result<Receipt> {
    match spec {
        ExportSpec::Store(spec) => store(env, spec, request),
        ExportSpec::Archive(spec) => archive(env, spec, request),
        ExportSpec::Tar { destination, epoch } => {
            let epoch = epoch.or(request.epoch);
            let bytes = tree::write_tar(env, request.tree()?, epoch, destination)?;
            Ok(Receipt { path: destination.path(), bytes, ..Receipt::default() })
        }
        ExportSpec::Local(spec) => {
            let folder = Folder {
                spec,
                owners: request.owners,
                epoch: spec.epoch.or(request.epoch),
                platform: request.platform()?,
            };
            let bytes = tree::write_folder(env, request.tree()?, &folder)?;
            Ok(Receipt { path: Some(spec.destination.clone()), bytes, ..Receipt::default() })
        }
        ExportSpec::CacheOnly => Ok(Receipt::default()),
    }
}

impl<'a> ExportRequest<'a> {
    fn image(&self) -> Result<&'a BuiltImage> {
        self.image.ok_or(Error::Nothing("image"))
    }

    /// Returns what the image or the files are for.
    fn platform(&self) -> Result<Platform> {
        let Some(image) = self.image else {
            return Ok(self.platform.cloned().unwrap_or_else(Platform::host));
        };
        Ok(ImageConfig::parse(image.config.bytes())?.platform())
    }

    fn tree(&self) -> Result<SnapshotId> {
        self.tree.ok_or(Error::Nothing("files"))
    }
}

impl Destination {
    fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Stdout => None,
        }
    }
}

/// Puts the image into the store, and pushes it from there.
fn store(env: &Env<'_>, spec: &StoreSpec, request: &ExportRequest<'_>) -> Result<Receipt> {
    let targets = push_targets(spec, request)?;
    for (target, push) in &targets {
        if *push == Push::ByDigest {
            check_without_tag(target)?;
        }
    }
    let image = request.image()?;
    let mut receipt = image_receipt(image, Vec::new());
    if !spec.unlisted {
        let image = formed(env, image, &spec.form, request.annotations, Way::Here)?;
        receipt = image_receipt(&image, Vec::new());
        // What has no tag in its registry has none here.
        if spec.push != Push::ByDigest {
            receipt.names = all_names(request.names, &spec.names);
        }
        let mut record = store_image(env.store, &image, &receipt.names, request.size)?;
        if spec.canonical {
            for name in request.names.iter().chain(&spec.names) {
                record_digest_name(env.store, &mut record, name)?;
            }
        }
        let is_nameless = request.names.is_empty() && spec.names.is_empty();
        if let Some(prefix) = spec.dangling_prefix.as_ref().filter(|_| is_nameless) {
            record_digest_name(env.store, &mut record, prefix)?;
        }
    }
    for (target, _) in targets {
        let form = (&spec.form, request.annotations);
        let (image, report) = push_formed(env, image, form, target)?;
        // What others can have is what the build is known by.
        receipt.manifest = Some(image.manifest.descriptor().clone());
        receipt.pushed.push(report);
    }
    Ok(receipt)
}

/// Returns where the image is pushed to, and how. Asked first: nothing is done when it is nowhere.
fn push_targets(spec: &StoreSpec, request: &ExportRequest<'_>) -> Result<Vec<(Reference, Push)>> {
    let names: Vec<Reference> = match spec.push {
        Push::No => return Ok(Vec::new()),
        Push::Yes => all_names(request.names, &spec.names),
        Push::ByDigest => {
            if let Some(tagged) = request.names.iter().find(|name| name.tag().is_some()) {
                return Err(Error::TagByDigest(tagged.familiar(), tagged.familiar_name()));
            }
            request.names.iter().chain(&spec.names).cloned().collect()
        }
    };
    if !names.is_empty() {
        return Ok(names.into_iter().map(|name| (name, spec.push)).collect());
    }
    // Its name has a digest, so there is no tag to push it under.
    let prefix = spec.dangling_prefix.clone().ok_or(Error::Nothing("name to push it under"))?;
    Ok(vec![(prefix, Push::ByDigest)])
}

fn archive(env: &Env<'_>, spec: &ArchiveSpec, request: &ExportRequest<'_>) -> Result<Receipt> {
    let image = formed(env, request.image()?, &spec.form, request.annotations, Way::Out)?;
    let names = all_names(request.names, &spec.names);
    let annotations: Vec<Annotation> =
        request.annotations.iter().chain(&spec.form.annotations).cloned().collect();
    let images = [ArchiveImage { image: &image, names: &names }];
    let bytes = match (&spec.destination, spec.layout) {
        (Destination::File(folder), LayoutForm::Directory) => {
            write_layout(env, &images, &annotations, folder)?
        }
        (destination, _) => write_annotated(env, &images, spec.format, &annotations, destination)?,
    };
    Ok(Receipt { path: spec.destination.path(), bytes, ..image_receipt(&image, names) })
}

fn image_receipt(image: &BuiltImage, names: Vec<Reference>) -> Receipt {
    Receipt {
        image: Some(*image.id()),
        manifest: Some(image.manifest.descriptor().clone()),
        names,
        ..Receipt::default()
    }
}

/// Joins names, each once, in the order in which they were given.
fn all_names(first: &[Reference], second: &[Reference]) -> Vec<Reference> {
    let mut names: Vec<Reference> = Vec::new();
    for name in first.iter().chain(second) {
        let name = name.clone().with_default_tag();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
