//! One output of a build.

use std::path::PathBuf;

use lathe_oci::{BuiltImage, Descriptor, Digest, Reference};
use lathe_store::SnapshotId;

use crate::{
    Annotation, ArchiveForm, ArchiveImage, Destination, Env, Error, ExportSpec, LayoutForm, Owners, Push,
    PushReport, Result, archive::write_archive, layout::write_layout, push::push,
    stored::store_image, tree,
};

/// What was built.
#[derive(Clone, Copy, Debug)]
pub struct ExportRequest<'a> {
    /// The image; needed where [`ExportSpec::needs_image`] says so.
    pub image: Option<&'a BuiltImage>,
    /// Unpacked size of its layers in bytes.
    pub size: u64,
    /// The files; `None` where there are none at all.
    pub tree: Option<SnapshotId>,
    /// Names of the build (`--tag`), to which an output may add its own.
    pub names: &'a [Reference],
    /// Latest modification time in a tar of the files, in seconds since 1970.
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
        ExportSpec::Image { names, push: wanted } => {
            let image = request.image()?;
            let names = all_names(request.names, names);
            let record = store_image(env.store, image, &names, request.size)?;
            let mut receipt = image_receipt(image, names);
            receipt.manifest = Some(record.manifest);
            if *wanted == Push::Yes {
                if receipt.names.is_empty() {
                    return Err(Error::Nothing("name to push it under"));
                }
                for name in &receipt.names {
                    receipt.pushed.push(push(env, image, name)?);
                }
            }
            Ok(receipt)
        }
        ExportSpec::Oci { names, destination: Destination::File(path), form }
            if *form == LayoutForm::Directory =>
        {
            let image = request.image()?;
            let names = all_names(request.names, names);
            let bytes = write_layout(env, &[ArchiveImage { image, names: &names }], path)?;
            Ok(Receipt { path: Some(path.clone()), bytes, ..image_receipt(image, names) })
        }
        ExportSpec::Oci { names, destination, .. } => {
            archive(env, request, names, destination, ArchiveForm::Oci)
        }
        ExportSpec::Docker { names, destination } => {
            archive(env, request, names, destination, ArchiveForm::Docker)
        }
        ExportSpec::Tar { destination } => {
            let bytes = tree::write_tar(env, request.tree()?, request.epoch, destination)?;
            Ok(Receipt { path: destination.path(), bytes, ..Receipt::default() })
        }
        ExportSpec::Local { destination } => {
            let bytes = tree::write_folder(env, request.tree()?, destination, request.owners)?;
            Ok(Receipt { path: Some(destination.clone()), bytes, ..Receipt::default() })
        }
    }
}

impl<'a> ExportRequest<'a> {
    fn image(&self) -> Result<&'a BuiltImage> {
        self.image.ok_or(Error::Nothing("image"))
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

fn archive(
    env: &Env<'_>,
    request: &ExportRequest<'_>,
    names: &[Reference],
    destination: &Destination,
    form: ArchiveForm,
) -> Result<Receipt> {
    let image = request.image()?;
    let names = all_names(request.names, names);
    let bytes = write_archive(env, &[ArchiveImage { image, names: &names }], form, destination)?;
    Ok(Receipt { path: destination.path(), bytes, ..image_receipt(image, names) })
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
