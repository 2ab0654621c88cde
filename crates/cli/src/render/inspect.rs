//! `lathe inspect`: a JSON array with docker's indent of four, or one template per document.

use anyhow::{Context as _, Result};
use serde::Serialize as _;
use serde_json::{
    Value,
    ser::{PrettyFormatter, Serializer},
};

use super::document;

/// Renders documents.
pub(crate) fn inspect(documents: &[Value], format: Option<&str>) -> Result<String> {
    match format {
        Some(format) if !format.is_empty() => {
            documents.iter().map(|value| document(format, value)).collect()
        }
        _ => {
            let mut out = Vec::new();
            let formatter = PrettyFormatter::with_indent(b"    ");
            let mut serializer = Serializer::with_formatter(&mut out, formatter);
            documents.serialize(&mut serializer).context("writing JSON")?;
            out.push(b'\n');
            String::from_utf8(out).context("writing JSON")
        }
    }
}
