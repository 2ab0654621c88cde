//! `save` and `load`: images in files.

use std::io::Read;

use lathe_exporter::{ArchiveForm, ArchiveImage, Destination};
use lathe_oci::{BuiltImage, Digest, Reference};
use lathe_source::parse_image;
use lathe_store::ImageRecord;

use super::{
    Result,
    adopt::{adopt, nameless},
    find,
    find::is_id_of,
    refetch::bring_layers,
};
use crate::Engine;

/// Writes images as one archive that `docker load` and readers of OCI layouts take. Returns its
/// size in bytes.
///
/// An image is in it under the name that it was asked for by; a repository without tag means all
/// of its tags, an id no name at all.
pub fn save(engine: &Engine, images: &[String], destination: &Destination) -> Result<u64> {
    let _share = engine.store.share()?;
    let mut chosen: Vec<(ImageRecord, Vec<Reference>)> = Vec::new();
    for text in images {
        for (image, name) in choose(engine, text)? {
            let known = chosen.iter_mut().find(|(other, _)| {
                other.id == image.id && other.manifest.digest == image.manifest.digest
            });
            match known {
                Some((_, names)) => names.extend(name.filter(|name| !names.contains(name))),
                None => chosen.push((image, name.into_iter().collect())),
            }
        }
    }
    for (image, _) in &chosen {
        bring_layers(engine, image)?;
    }
    let client = || engine.client().map_err(Into::into);
    let env = engine.exporter_env(&client);
    let built = chosen.iter().map(|(image, _)| lathe_exporter::stored_image(&env, image));
    let built: Vec<BuiltImage> = built.collect::<std::result::Result<_, _>>()?;
    let items: Vec<ArchiveImage<'_>> = built
        .iter()
        .zip(&chosen)
        .map(|(image, (_, names))| ArchiveImage { image, names })
        .collect();
    Ok(lathe_exporter::write_archive(&env, &items, ArchiveForm::Docker, destination)?)
}

/// Returns the images that an argument means, each with the name that it is saved under.
fn choose(engine: &Engine, text: &str) -> Result<Vec<(ImageRecord, Option<Reference>)>> {
    let store = &engine.store;
    let reference = Reference::parse(text).ok();
    if let Some(reference) = &reference
        && reference.tag().is_none()
        && reference.digest().is_none()
    {
        let mut found = Vec::new();
        for tag in store.tags()? {
            let name = Reference::parse(&tag.name)?;
            if name.name() == reference.name()
                && let Some(image) = store.image_by_name(&tag.name)?
            {
                found.push((image, Some(name)));
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let image = find(store, text)?;
    let name = reference.filter(|reference| reference.digest().is_none());
    let name = name.map(Reference::with_default_tag);
    let named =
        name.filter(|name| image.names.contains(&name.to_string()) || !is_id_of(text, &image));
    Ok(vec![(image, named)])
}

/// An image that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its id.
    pub id: Digest,
    /// Names that it got.
    pub names: Vec<Reference>,
    /// Names that another image had until now, with its id.
    pub taken: Vec<(Reference, Digest)>,
}

impl Loaded {
    /// Returns the lines that docker prints.
    pub fn lines(&self) -> Vec<String> {
        let taken = self.taken.iter().map(|(name, id)| {
            let name = name.familiar();
            format!(
                "The image {name} already exists, renaming the old one with ID {id} to empty string"
            )
        });
        let mut lines: Vec<String> = taken.collect();
        match self.names.as_slice() {
            [] => lines.push(format!("Loaded image ID: {}", self.id)),
            names => {
                lines.extend(names.iter().map(|name| format!("Loaded image: {}", name.familiar())));
            }
        }
        lines
    }
}

/// Reads all images of an archive, plain or compressed.
pub fn load(engine: &Engine, reader: impl Read + Send) -> Result<Vec<Loaded>> {
    let store = &engine.store;
    let _share = store.share()?;
    let client = || engine.client().map_err(Into::into);
    let env = engine.exporter_env(&client);
    let mut loaded = Vec::new();
    for item in lathe_exporter::load(&env, reader)? {
        let parsed = parse_image(store, item.image.manifest.digest())?;
        let id = *item.image.id();
        let mut taken = Vec::new();
        for name in &item.names {
            let owner = store.image_by_name(&name.to_string())?;
            taken.extend(owner.filter(|old| old.id != id).map(|old| (name.clone(), old.id)));
        }
        let reference = item.names.first().cloned().map_or_else(nameless, Ok)?;
        adopt(engine, &reference, &parsed, &item.names, None)?;
        loaded.push(Loaded { id, names: item.names, taken });
    }
    Ok(loaded)
}
