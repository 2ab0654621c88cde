//! `--output`: where the result of a build goes, as buildx writes it.
//!
//! A CSV record of `key=value` fields; a lone path is `type=local,dest=PATH`, a lone `-` is
//! `type=tar,dest=-`. What is not known is refused: an output that was misspelled would be missed
//! only when it is needed.

use std::path::PathBuf;

use lathe_oci::Reference;

mod csv;

/// Why an output is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid output `{text}`: {reason}")]
pub struct SpecError {
    text: String,
    reason: String,
}

/// Whether an image is pushed as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// It stays here.
    No,
    /// It goes to the registries that its names say.
    Yes,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutForm {
    /// A folder, to which images are added.
    Directory,
    /// One archive.
    Tar,
}

/// Where the result of a build goes, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportSpec {
    /// Into the store, under names (besides those of the build).
    Image {
        /// The names.
        names: Vec<Reference>,
        /// Whether it goes to registries, too.
        push: Push,
    },
    /// An OCI image layout (OCI image specification, `image-layout.md`).
    Oci {
        /// Names in it, besides those of the build.
        names: Vec<Reference>,
        /// Where; a folder is always a [`Destination::File`].
        destination: Destination,
        /// Folder or archive.
        form: LayoutForm,
    },
    /// What `docker load` reads.
    Docker {
        /// Names in it, besides those of the build.
        names: Vec<Reference>,
        /// Where.
        destination: Destination,
    },
    /// The files, as a tar.
    Tar {
        /// Where.
        destination: Destination,
    },
    /// The files, into a folder.
    Local {
        /// The folder.
        destination: PathBuf,
    },
}

const TYPES: [&str; 6] = ["image", "registry", "oci", "docker", "tar", "local"];

impl ExportSpec {
    /// Parses the value of `--output`.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        parse(text).map_err(|reason| SpecError { text: text.to_owned(), reason })
    }

    /// Tells whether an image is needed for it, and not the files alone.
    pub const fn needs_image(&self) -> bool {
        matches!(self, Self::Image { .. } | Self::Oci { .. } | Self::Docker { .. })
    }

    /// Tells whether it writes to standard output, which only one may.
    pub const fn uses_stdout(&self) -> bool {
        matches!(
            self,
            Self::Oci { destination: Destination::Stdout, .. }
                | Self::Docker { destination: Destination::Stdout, .. }
                | Self::Tar { destination: Destination::Stdout }
        )
    }
}

fn parse(text: &str) -> Result<ExportSpec, String> {
    let fields = csv::fields(text)?;
    if let [only] = fields.as_slice()
        && !only.contains('=')
    {
        return match only.as_str() {
            "" => Err("it is empty".to_owned()),
            "-" => Ok(ExportSpec::Tar { destination: Destination::Stdout }),
            path => Ok(ExportSpec::Local { destination: PathBuf::from(path) }),
        };
    }
    let mut attributes = Attributes::default();
    for field in &fields {
        let Some((key, value)) = field.split_once('=') else {
            return Err(format!("`{field}` is no `key=value`"));
        };
        attributes.add(&key.trim().to_ascii_lowercase(), value)?;
    }
    attributes.into_spec()
}

/// The fields as they come; which of them belong to which type is checked at the end.
#[derive(Default)]
struct Attributes {
    kind: Option<String>,
    destination: Option<String>,
    names: Vec<Reference>,
    push: Option<bool>,
    tar: Option<bool>,
}

const KEYS: [&str; 6] = ["type", "dest", "name", "push", "tar", "compression"];

impl Attributes {
    fn add(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "type" => self.kind = Some(value.to_owned()),
            "dest" | "destination" => self.destination = Some(value.to_owned()),
            // In CSV the names of one field are parted by quoted commas.
            "name" => {
                for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                    self.names.push(parse_name(name)?);
                }
            }
            "push" => self.push = Some(boolean(key, value)?),
            "tar" => self.tar = Some(boolean(key, value)?),
            // What is always so may be asked for.
            "compression" if value == "gzip" => {}
            "oci-mediatypes" | "unpack" | "store" if boolean(key, value)? => {}
            "force-compression" if !boolean(key, value)? => {}
            "compression" | "oci-mediatypes" | "unpack" | "store" | "force-compression" => {
                return Err(format!("`{key}={value}` is not supported"));
            }
            _ => {
                return Err(match near(key, &KEYS) {
                    Some(known) => format!("unknown key `{key}`; did you mean `{known}`?"),
                    None => format!("unknown key `{key}`; known are {}", KEYS.join(", ")),
                });
            }
        }
        Ok(())
    }

    fn into_spec(self) -> Result<ExportSpec, String> {
        let Some(kind) = self.kind.clone() else {
            return Err(format!("`type` is missing; known are {}", TYPES.join(", ")));
        };
        let is_image = matches!(kind.as_str(), "image" | "registry");
        let packs = matches!(kind.as_str(), "oci" | "docker");
        Self::only(&kind, "name", !self.names.is_empty(), is_image || packs)?;
        Self::only(&kind, "push", self.push.is_some(), is_image)?;
        Self::only(&kind, "tar", self.tar.is_some(), packs)?;
        Self::only(&kind, "dest", self.destination.is_some(), !is_image)?;
        let destination = self.destination()?;
        let required = |destination: Option<Destination>| {
            destination.ok_or_else(|| format!("`dest` is required for type `{kind}`"))
        };
        let names = self.names;
        match kind.as_str() {
            "image" => {
                let push = if self.push == Some(true) { Push::Yes } else { Push::No };
                Ok(ExportSpec::Image { names, push })
            }
            "registry" if self.push == Some(false) => {
                Err("type `registry` always pushes".to_owned())
            }
            "registry" => Ok(ExportSpec::Image { names, push: Push::Yes }),
            "oci" => {
                let form =
                    if self.tar == Some(false) { LayoutForm::Directory } else { LayoutForm::Tar };
                let destination = required(destination)?;
                if form == LayoutForm::Directory && destination == Destination::Stdout {
                    return Err("a folder cannot be written to standard output".to_owned());
                }
                Ok(ExportSpec::Oci { names, destination, form })
            }
            "docker" if self.tar == Some(false) => {
                Err("type `docker` is always an archive; use type `oci`".to_owned())
            }
            // As buildx: without a file it goes where `docker load` would put it.
            "docker" => Ok(match destination {
                Some(destination) => ExportSpec::Docker { names, destination },
                None => ExportSpec::Image { names, push: Push::No },
            }),
            "tar" => Ok(ExportSpec::Tar { destination: required(destination)? }),
            "local" => match required(destination)? {
                Destination::File(destination) => Ok(ExportSpec::Local { destination }),
                Destination::Stdout => {
                    Err("a folder cannot be written to standard output; use type `tar`".to_owned())
                }
            },
            _ => Err(match near(&kind, &TYPES) {
                Some(known) => format!("unknown type `{kind}`; did you mean `{known}`?"),
                None => format!("unknown type `{kind}`; known are {}", TYPES.join(", ")),
            }),
        }
    }

    /// Refuses a key that a known type does not have.
    fn only(kind: &str, key: &str, given: bool, allowed: bool) -> Result<(), String> {
        if given && !allowed && TYPES.contains(&kind) {
            return Err(format!("type `{kind}` has no `{key}`"));
        }
        Ok(())
    }

    fn destination(&self) -> Result<Option<Destination>, String> {
        match self.destination.as_deref() {
            None => Ok(None),
            Some("") => Err("`dest` is empty".to_owned()),
            Some("-") => Ok(Some(Destination::Stdout)),
            Some(path) => Ok(Some(Destination::File(PathBuf::from(path)))),
        }
    }
}

fn parse_name(text: &str) -> Result<Reference, String> {
    let reference = Reference::parse(text).map_err(|error| error.to_string())?;
    if reference.digest().is_some() {
        return Err(format!("the name `{text}` has a digest, which only the image itself has"));
    }
    Ok(reference.with_default_tag())
}

/// Reads what Go's `strconv.ParseBool` reads.
fn boolean(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("`{key}={value}` is neither true nor false")),
    }
}

/// Returns the one of `known` that differs from `word` by at most two letters, if any does.
pub(crate) fn near<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let limit = if word.len() < 4 { 1 } else { 2 };
    let ranked = known.iter().map(|other| (distance(word.as_bytes(), other.as_bytes()), *other));
    ranked.filter(|(distance, _)| *distance <= limit).min().map(|(_, other)| other)
}

/// Levenshtein distance.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests;
