//! The value of `--output`: a CSV record of `key=value` fields, as docker reads it.

use std::collections::BTreeMap;

/// What form the result of a build takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputKind {
    /// Into the store, under the tags.
    Image,
    /// An archive (or folder) in OCI layout.
    Oci,
    /// An archive in the form of `docker save`.
    Docker,
    /// The files, as an archive.
    Tar,
    /// The files, into a folder.
    Local,
}

/// One `--output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputSpec {
    pub(crate) kind: OutputKind,
    /// Where to; `-` is standard output.
    pub(crate) destination: Option<String>,
    /// All other fields.
    pub(crate) attributes: BTreeMap<String, String>,
}

impl OutputSpec {
    /// Parses `type=…,dest=…`; a lone path means `type=local`, a lone `-` means `type=tar`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let fields = csv_fields(text)?;
        if let [only] = fields.as_slice()
            && !only.contains('=')
        {
            let kind = if only == "-" { OutputKind::Tar } else { OutputKind::Local };
            let destination = Some(only.clone());
            return Ok(Self { kind, destination, attributes: BTreeMap::new() });
        }
        let mut attributes = BTreeMap::new();
        for field in &fields {
            let (key, value) =
                field.split_once('=').ok_or_else(|| format!("invalid value {field}"))?;
            attributes.insert(key.trim().to_lowercase(), value.to_owned());
        }
        let kind = attributes.remove("type").ok_or("type is required for output")?;
        let destination = attributes.remove("dest").or_else(|| attributes.remove("destination"));
        Self { kind: kind_of(&kind)?, destination, attributes }.checked()
    }

    fn checked(self) -> Result<Self, String> {
        let files = matches!(self.kind, OutputKind::Local | OutputKind::Tar | OutputKind::Oci);
        if files && self.destination.as_deref().is_none_or(str::is_empty) {
            return Err("dest is required for this type of output".to_owned());
        }
        if self.kind == OutputKind::Local && self.destination.as_deref() == Some("-") {
            return Err("dest cannot be stdout for local output".to_owned());
        }
        Ok(self)
    }
}

fn kind_of(name: &str) -> Result<OutputKind, String> {
    Ok(match name {
        "image" => OutputKind::Image,
        "oci" => OutputKind::Oci,
        "docker" => OutputKind::Docker,
        "tar" => OutputKind::Tar,
        "local" => OutputKind::Local,
        _ => return Err(format!("unknown type {name:?}: want image, oci, docker, tar or local")),
    })
}

/// Splits one record at commas; a field that begins with `"` runs to the closing quote.
fn csv_fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_field(quoted)?
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(format!("text after a closing quote in {text:?}")),
        }
    }
}

fn quoted_field(text: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"').ok_or("a quoted field has no closing quote")?;
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Ok((field, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: Result<(OutputKind, Option<&str>), &str>) {
        let got = OutputSpec::parse(text);
        match (got, want) {
            (Ok(got), Ok((kind, destination))) => {
                assert_eq!((got.kind, got.destination.as_deref()), (kind, destination), "{text}");
            }
            (Err(got), Err(want)) => assert!(got.contains(want), "{text}: {got}"),
            (got, want) => panic!("{text}: got {got:?}, want {want:?}"),
        }
    }

    #[test]
    fn outputs_are_read_as_docker_reads_them() {
        check("out", Ok((OutputKind::Local, Some("out"))));
        check("-", Ok((OutputKind::Tar, Some("-"))));
        check("type=oci,dest=x.tar", Ok((OutputKind::Oci, Some("x.tar"))));
        check("type=docker,dest=-", Ok((OutputKind::Docker, Some("-"))));
        check("type=docker", Ok((OutputKind::Docker, None)));
        check("type=image,name=a", Ok((OutputKind::Image, None)));
        check("type=local,\"dest=a,b\"", Ok((OutputKind::Local, Some("a,b"))));
        check("Type=tar,DEST=a", Ok((OutputKind::Tar, Some("a"))));
    }

    #[test]
    fn an_output_that_makes_no_sense_is_refused() {
        check("type=registry", Err("unknown type"));
        check("dest=x", Err("type is required"));
        check("type=oci", Err("dest is required"));
        check("type=local,dest=-", Err("cannot be stdout"));
        check("type=oci,x", Err("invalid value x"));
        check("type=oci,\"dest=x", Err("no closing quote"));
    }
}
