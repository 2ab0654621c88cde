//! From the fields of an output to what they mean together.

use std::path::PathBuf;

use lathe_layer::Compression;
use lathe_oci::Reference;

use super::{
    ArchiveSpec, Destination, ExportSpec, ImageForm, LayerForm, LayoutForm, LocalMode, LocalSpec,
    MediaTypes, PlatformSplit, Push, Recompress, StoreSpec, csv,
    keys::{self, Kind, near},
};
use crate::{Annotation, ArchiveForm};

pub(super) fn parse(text: &str) -> Result<ExportSpec, String> {
    let fields = csv::fields(text)?;
    if let [only] = fields.as_slice()
        && !only.contains('=')
    {
        return match only.as_str() {
            "" => Err("it is empty".to_owned()),
            "-" => Ok(ExportSpec::Tar { destination: Destination::Stdout, epoch: None }),
            path => Ok(local(PathBuf::from(path))),
        };
    }
    let mut pairs = Vec::new();
    for field in &fields {
        let (key, value) =
            field.split_once('=').ok_or_else(|| format!("`{field}` is no `key=value`"))?;
        pairs.push((key.trim(), value));
    }
    let kind = pairs.iter().rfind(|(key, _)| key.eq_ignore_ascii_case("type"));
    let Some((_, kind)) = kind else {
        let names = Kind::NAMES.map(|(name, _)| name);
        return Err(format!("`type` is missing; known are {}", names.join(", ")));
    };
    let mut attributes = Attributes { kind: Kind::parse(kind)?, ..Attributes::default() };
    for (key, value) in pairs {
        attributes.add(key, value)?;
    }
    attributes.into_spec()
}

fn local(destination: PathBuf) -> ExportSpec {
    ExportSpec::Local(LocalSpec {
        destination,
        mode: LocalMode::Copy,
        split: PlatformSplit::No,
        epoch: None,
    })
}

/// The fields as they come; what they mean together is found out at the end.
struct Attributes {
    kind: Kind,
    destination: Option<String>,
    names: Vec<Reference>,
    push: Option<bool>,
    by_digest: bool,
    compression: Option<Compression>,
    level: Option<u8>,
    layout: LayoutForm,
    mode: LocalMode,
    split: PlatformSplit,
    epoch: Option<i64>,
    /// What needs nothing more; its form and names are filled in later.
    store: StoreSpec,
    form: ImageForm,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            kind: Kind::CacheOnly,
            destination: None,
            names: Vec::new(),
            push: None,
            by_digest: false,
            compression: None,
            level: None,
            layout: LayoutForm::Tar,
            mode: LocalMode::Copy,
            split: PlatformSplit::No,
            epoch: None,
            store: StoreSpec::default(),
            form: ImageForm::default(),
        }
    }
}

impl Attributes {
    fn add(&mut self, written: &str, value: &str) -> Result<(), String> {
        let key = match written.to_ascii_lowercase() {
            key if key == "destination" => "dest".to_owned(),
            key => key,
        };
        if key == "type" {
            return Ok(());
        }
        // Buildx makes these keys lower-case as a whole; the remark's own is not a keyword.
        if key.starts_with("annotation") {
            let lower = key.split('.').next().map_or(0, str::len);
            let written = format!("{}{}", &key[..lower], &written[lower..]);
            if let Some(annotation) = Annotation::of_field(&written, value) {
                keys::check(self.kind, "annotation")?;
                self.form.annotations.push(annotation?);
                return Ok(());
            }
        }
        keys::check(self.kind, &key)?;
        match key.as_str() {
            "dest" => self.destination = Some(value.to_owned()),
            // In CSV the names of one field are parted by quoted commas.
            "name" => {
                for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                    self.names.push(parse_name(name)?);
                }
            }
            "source-date-epoch" => {
                let invalid = || format!("`{key}={value}` is no number of seconds since 1970");
                self.epoch = Some(lathe_oci::parse_epoch(value).ok_or_else(invalid)?);
            }
            "mode" => self.mode = mode(value)?,
            "attestation-prefix" => {}
            "dangling-name-prefix" => {
                let name = Reference::parse(value).map_err(|error| error.to_string())?;
                if name.tag().is_some() || name.digest().is_some() {
                    return Err(format!("`{key}={value}` has a tag or digest"));
                }
                self.store.dangling_prefix = Some(name);
            }
            "compression" => self.compression = Some(compression(value)?),
            "compression-level" => {
                let invalid = || format!("`{key}={value}` is no number from 0 to 22");
                let level = value.parse().ok().filter(|level| *level <= 22);
                self.level = Some(level.ok_or_else(invalid)?);
            }
            key => self.add_switch(key, boolean(key, value)?),
        }
        Ok(())
    }

    fn add_switch(&mut self, key: &str, on: bool) {
        let note = match (key, on) {
            ("push", _) => return self.push = Some(on),
            ("push-by-digest", _) => return self.by_digest = on,
            ("registry.insecure", _) => return self.store.insecure = on,
            ("name-canonical", _) => return self.store.canonical = on,
            ("store", _) => return self.store.unlisted = !on,
            ("rewrite-timestamp", _) => return self.form.rewrite_timestamp = on,
            ("tar", _) => {
                return self.layout = if on { LayoutForm::Tar } else { LayoutForm::Directory };
            }
            ("force-compression", _) => {
                return self.form.recompress = if on { Recompress::All } else { Recompress::Own };
            }
            ("oci-mediatypes", _) => {
                return self.form.media_types =
                    if on { MediaTypes::Oci } else { MediaTypes::Docker };
            }
            ("platform-split", _) => {
                return self.split = if on { PlatformSplit::Yes } else { PlatformSplit::No };
            }
            ("unpack", true) => "an image that was built here can be run at once",
            ("unpack", false) => "the files of an image are what it is built of",
            ("attestation-inline" | "oci-artifact", true) => "lathe makes no attestations",
            ("prefer-nondist-layers", true) => "layers keep the form in which they came",
            ("buildinfo" | "buildinfo-attrs", true) => "the format was withdrawn by BuildKit 0.12",
            _ => return,
        };
        self.form.notes.push(format!("`{key}={on}` does nothing: {note}"));
    }

    fn into_spec(mut self) -> Result<ExportSpec, String> {
        self.form.layers = self.layers()?;
        self.form.epoch = self.epoch;
        let destination = self.destination()?;
        let name = self.kind.as_str();
        let required = |destination: Option<Destination>| {
            destination.ok_or_else(|| format!("`dest` is required for type `{name}`"))
        };
        match self.kind {
            Kind::CacheOnly => Ok(ExportSpec::CacheOnly),
            Kind::Image | Kind::Registry => self.into_store(),
            // As buildx: without a file it goes where `docker load` would put it.
            Kind::Docker if destination.is_none() => {
                if self.layout == LayoutForm::Directory {
                    return Err("`dest` is required for `tar=false`".to_owned());
                }
                self.into_store()
            }
            Kind::Oci | Kind::Docker => self.into_archive(required(destination)?),
            Kind::Tar if self.split == PlatformSplit::Yes => Err(
                "`platform-split=true` is for builds for several platforms; lathe builds for one"
                    .to_owned(),
            ),
            Kind::Tar => {
                Ok(ExportSpec::Tar { destination: required(destination)?, epoch: self.epoch })
            }
            Kind::Local => match required(destination)? {
                Destination::File(destination) => Ok(ExportSpec::Local(LocalSpec {
                    destination,
                    mode: self.mode,
                    split: self.split,
                    epoch: self.epoch,
                })),
                Destination::Stdout => {
                    Err("a folder cannot be written to standard output; use type `tar`".to_owned())
                }
            },
        }
    }

    fn into_store(self) -> Result<ExportSpec, String> {
        let pushes = match (self.kind, self.push) {
            (Kind::Registry, Some(false)) => return Err("type `registry` always pushes".to_owned()),
            (Kind::Registry, _) | (_, Some(true)) => true,
            (_, None | Some(false)) => false,
        };
        let push = match (pushes, self.by_digest) {
            (false, _) => Push::No,
            (true, false) => Push::Yes,
            (true, true) => Push::ByDigest,
        };
        if self.store.unlisted && !pushes {
            return Err("`store=false` without `push=true` leaves nothing".to_owned());
        }
        let names = if push == Push::ByDigest {
            if let Some(name) = self.names.iter().find(|name| name.tag().is_some()) {
                let name = name.familiar();
                return Err(format!("`push-by-digest` pushes without a tag, and `{name}` has one"));
            }
            self.names
        } else {
            self.names.into_iter().map(Reference::with_default_tag).collect()
        };
        Ok(ExportSpec::Store(StoreSpec { names, push, form: self.form, ..self.store }))
    }

    fn into_archive(self, destination: Destination) -> Result<ExportSpec, String> {
        if self.layout == LayoutForm::Directory && destination == Destination::Stdout {
            return Err("a folder cannot be written to standard output".to_owned());
        }
        let format = if self.kind == Kind::Oci { ArchiveForm::Oci } else { ArchiveForm::Docker };
        Ok(ExportSpec::Archive(ArchiveSpec {
            format,
            names: self.names.into_iter().map(Reference::with_default_tag).collect(),
            destination,
            layout: self.layout,
            form: self.form,
        }))
    }

    /// Returns the form of the layers, if anything was said of it.
    fn layers(&self) -> Result<Option<LayerForm>, String> {
        let forced = self.form.recompress == Recompress::All;
        if self.compression.is_none() && self.level.is_none() && !forced {
            return Ok(None);
        }
        let compression = self.compression.unwrap_or(Compression::Gzip);
        match (self.level, compression.max_level()) {
            (Some(level), Some(max)) if level > max => Err(format!(
                "`compression-level={level}` is too high; {compression} has 0 to {max}"
            )),
            (Some(level), None) => {
                Err(format!("`compression-level={level}` is of no use for uncompressed layers"))
            }
            (level, _) => Ok(Some(LayerForm { compression, level })),
        }
    }

    fn destination(&self) -> Result<Option<Destination>, String> {
        match self.destination.as_deref() {
            Some("") => Err("`dest` is empty".to_owned()),
            Some("-") => Ok(Some(Destination::Stdout)),
            Some(path) => Ok(Some(Destination::File(PathBuf::from(path)))),
            None => Ok(None),
        }
    }
}

fn compression(value: &str) -> Result<Compression, String> {
    let known = ["uncompressed", "gzip", "zstd"];
    match value {
        "uncompressed" => Ok(Compression::None),
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        "estargz" => Err("`compression=estargz` is not supported: it is gzip with a table of \
             contents, of use only to nodes that start containers before their layers are there; \
             use gzip or zstd"
            .to_owned()),
        _ => Err(match near(value, &known) {
            Some(near) => format!("unknown compression `{value}`; did you mean `{near}`?"),
            None => format!("unknown compression `{value}`; known are {}", known.join(", ")),
        }),
    }
}

fn mode(value: &str) -> Result<LocalMode, String> {
    match value {
        "copy" => Ok(LocalMode::Copy),
        "delete" => Ok(LocalMode::Delete),
        _ => Err(match near(value, &["copy", "delete"]) {
            Some(near) => format!("unknown mode `{value}`; did you mean `{near}`?"),
            None => format!("unknown mode `{value}`; known are copy, delete"),
        }),
    }
}

fn parse_name(name: &str) -> Result<Reference, String> {
    let reference = Reference::parse(name).map_err(|error| error.to_string())?;
    if reference.digest().is_some() {
        return Err(format!(
            "the name `{name}` has a digest, which only the image can give itself"
        ));
    }
    Ok(reference)
}

/// Reads what Go's `strconv.ParseBool` reads; nothing is true, as in BuildKit.
fn boolean(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("`{key}={value}` is neither true nor false")),
    }
}
