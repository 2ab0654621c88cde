//! Annotations of an image: remarks in the documents around it (OCI image specification,
//! `annotations.md`).
//!
//! Two ways to write them, and both are buildx's:
//!
//! ```text
//! --annotation [TYPE[PLATFORM],…:]KEY=VALUE
//! --output     annotation[-TYPE][PLATFORM].KEY=VALUE
//! ```
//!
//! The type says which document gets the remark. A build makes an image for one platform, whose
//! manifest is not in an index, except for the `index.json` of a layout; so not every document is
//! there each time, and what has no place is told ([`ExportSpec::notes`](crate::ExportSpec::notes)).

use std::collections::BTreeMap;

use lathe_oci::Platform;

/// What an annotation stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnnotationTarget {
    /// The image manifest.
    Manifest,
    /// What an index says of the manifest.
    ManifestDescriptor,
    /// The index.
    Index,
    /// What the index of a layout says of the index of the image.
    IndexDescriptor,
}

/// A remark, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The documents, each for all platforms or for one.
    pub targets: Vec<(AnnotationTarget, Option<Platform>)>,
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

/// Why an annotation is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid annotation `{text}`: {reason}")]
pub struct AnnotationError {
    text: String,
    reason: String,
}

const TARGETS: [(&str, AnnotationTarget); 4] = [
    ("manifest", AnnotationTarget::Manifest),
    ("manifest-descriptor", AnnotationTarget::ManifestDescriptor),
    ("index", AnnotationTarget::Index),
    ("index-descriptor", AnnotationTarget::IndexDescriptor),
];

impl AnnotationTarget {
    /// Returns the name as it is written.
    pub fn as_str(self) -> &'static str {
        let found = TARGETS.iter().find(|(_, target)| *target == self);
        found.expect("all targets are in the table").0
    }
}

impl Annotation {
    /// Parses the value of `--annotation`; without a type it is about the manifest.
    pub fn parse(text: &str) -> Result<Self, AnnotationError> {
        let invalid = |reason| AnnotationError { text: text.to_owned(), reason };
        let (left, value) = text.split_once('=').ok_or_else(|| {
            invalid("it is no `key=value`, as `org.example.key=value`".to_owned())
        })?;
        let (targets, key) = match left.split_once(':') {
            Some((types, key)) => {
                let targets = types.split(',').map(parse_target).collect::<Result<_, _>>();
                (targets.map_err(invalid)?, key)
            }
            None => (vec![(AnnotationTarget::Manifest, None)], left),
        };
        check_key(key).map_err(invalid)?;
        Ok(Self { targets, key: key.to_owned(), value: value.to_owned() })
    }

    /// Parses a field of `--output`, whose key begins with `annotation`; `None` for another one.
    pub(crate) fn of_field(key: &str, value: &str) -> Option<Result<Self, String>> {
        let rest = key.strip_prefix("annotation").filter(|rest| rest.starts_with(['-', '.', '[']));
        rest.map(|rest| {
            // A platform has no dot, a type neither.
            let (target, name) =
                rest.split_once('.').ok_or("the key of the annotation is missing".to_owned())?;
            let target = match target {
                "" => (AnnotationTarget::Manifest, None),
                platform if platform.starts_with('[') => {
                    parse_target(&format!("manifest{platform}"))?
                }
                typed => parse_target(&typed[1..])?,
            };
            check_key(name)?;
            Ok(Self { targets: vec![target], key: name.to_owned(), value: value.to_owned() })
        })
    }
}

fn check_key(key: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err("its key is empty".to_owned());
    }
    if key.contains(char::is_whitespace) {
        return Err(format!("its key `{key}` has a space in it"));
    }
    Ok(())
}

/// Parses `type[platform]`.
fn parse_target(text: &str) -> Result<(AnnotationTarget, Option<Platform>), String> {
    let (name, platform) = match text.split_once('[') {
        Some((name, rest)) => {
            let inner = rest.strip_suffix(']').ok_or("a `]` is missing".to_owned())?;
            let platform = inner.parse().map_err(|error: lathe_oci::Error| error.to_string())?;
            (name, Some(platform))
        }
        None => (text, None),
    };
    let names = TARGETS.map(|(name, _)| name);
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = found.ok_or_else(|| match crate::spec::near(name, &names) {
        Some(known) => format!("unknown type `{name}`; did you mean `{known}`?"),
        None => format!("unknown type `{name}`; known are {}", names.join(", ")),
    })?;
    Ok((*target, platform))
}

/// Returns the remarks of one document, by key; one for the platform wins over one for all.
pub(crate) fn of_target(
    annotations: &[Annotation],
    wanted: AnnotationTarget,
    platform: &Platform,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for is_special in [false, true] {
        for annotation in annotations {
            let fits = |(target, only): &(AnnotationTarget, Option<Platform>)| {
                *target == wanted
                    && only.is_some() == is_special
                    && only.as_ref().is_none_or(|only| only.matches(platform))
            };
            if annotation.targets.iter().any(fits) {
                found.insert(annotation.key.clone(), annotation.value.clone());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use AnnotationTarget::{Index, IndexDescriptor, Manifest, ManifestDescriptor};

    fn annotation(
        targets: &[(AnnotationTarget, Option<&str>)],
        key: &str,
        value: &str,
    ) -> Annotation {
        let platform = |text: &str| text.parse().unwrap();
        Annotation {
            targets: targets.iter().map(|(target, only)| (*target, only.map(platform))).collect(),
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn flags_are_read_as_buildx_reads_them() {
        #[track_caller]
        fn check(text: &str, want: &Annotation) {
            assert_eq!(Annotation::parse(text).as_ref(), Ok(want), "{text}");
        }
        let amd64 = Some("linux/amd64");
        check("k=v", &annotation(&[(Manifest, None)], "k", "v"));
        check("k=", &annotation(&[(Manifest, None)], "k", ""));
        check("a.b/c=x=y:z", &annotation(&[(Manifest, None)], "a.b/c", "x=y:z"));
        check("index:k=v", &annotation(&[(Index, None)], "k", "v"));
        check("index,manifest:k=v", &annotation(&[(Index, None), (Manifest, None)], "k", "v"));
        check("manifest[linux/amd64]:k=v", &annotation(&[(Manifest, amd64)], "k", "v"));
        check(
            "manifest-descriptor[linux/amd64],index-descriptor:k=v",
            &annotation(&[(ManifestDescriptor, amd64), (IndexDescriptor, None)], "k", "v"),
        );
    }

    #[test]
    fn fields_of_outputs_name_the_same_documents() {
        #[track_caller]
        fn check(key: &str, want: &Annotation) {
            assert_eq!(Annotation::of_field(key, "v").unwrap().as_ref(), Ok(want), "{key}");
        }
        let arm = Some("linux/arm/v7");
        check("annotation.a.b", &annotation(&[(Manifest, None)], "a.b", "v"));
        check("annotation-index.a.b", &annotation(&[(Index, None)], "a.b", "v"));
        check("annotation-manifest.k", &annotation(&[(Manifest, None)], "k", "v"));
        check("annotation[linux/arm/v7].k", &annotation(&[(Manifest, arm)], "k", "v"));
        let descriptor = annotation(&[(ManifestDescriptor, arm)], "k", "v");
        check("annotation-manifest-descriptor[linux/arm/v7].k", &descriptor);
        assert_eq!(Annotation::of_field("annotations", "v"), None);
        assert_eq!(Annotation::of_field("name", "v"), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_advice() {
        #[track_caller]
        fn check(text: &str, want: &str) {
            let error = Annotation::parse(text).unwrap_err().to_string();
            assert!(error.contains(want) && error.contains(text), "{text}: {error}");
        }
        check("k", "no `key=value`");
        check("=v", "key is empty");
        check("a b=v", "has a space");
        check("idnex:k=v", "did you mean `index`?");
        check("layer:k=v", "known are manifest, manifest-descriptor");
        check("manifest[linux:k=v", "`]` is missing");
        check("manifest[x]:k=v", "invalid platform");
        for key in ["annotation-idnex.k", "annotation-index", "annotation[x.k", "annotation."] {
            assert!(Annotation::of_field(key, "v").unwrap().is_err(), "{key}");
        }
    }

    #[test]
    fn a_platform_wins_and_others_are_left_out() {
        let annotations = [
            annotation(&[(Manifest, Some("linux/amd64"))], "k", "special"),
            annotation(&[(Manifest, None), (Index, None)], "k", "general"),
            annotation(&[(Manifest, Some("linux/arm64"))], "other", "x"),
        ];
        let amd64 = Platform::linux("amd64");
        let pairs =
            |target| of_target(&annotations, target, &amd64).into_iter().collect::<Vec<_>>();
        assert_eq!(pairs(Manifest), [("k".to_owned(), "special".to_owned())]);
        assert_eq!(pairs(Index), [("k".to_owned(), "general".to_owned())]);
        assert_eq!(pairs(ManifestDescriptor), []);
    }
}
