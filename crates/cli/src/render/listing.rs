//! Lists of things: the `--format` of `images`, `ps`, `history`, `system df`.
//!
//! A format is `table` (the command's own columns), `table TEMPLATE`, `json`, or a bare
//! template that runs once per row.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Result;
use gotmpl::Value;

use super::{
    table,
    template::{self, Over},
};

/// A field that templates can name, and its header in a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) header: &'static str,
}

/// One kind of list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listing<'a> {
    pub(crate) fields: &'a [Field],
    /// The template of a plain `table`, without that word.
    pub(crate) columns: &'a str,
}

/// Renders rows, each with one text per field of the listing.
pub(crate) fn listing(
    kind: Listing<'_>,
    format: Option<&str>,
    rows: &[Vec<String>],
) -> Result<String> {
    let format = format.unwrap_or("table").trim();
    let (template, is_table) = match format.strip_prefix("table") {
        Some("") => (kind.columns, true),
        Some(rest) => (rest.trim(), true),
        None if format == "json" => ("{{json .}}", false),
        None => (format, false),
    };
    let template = template.replace("\\t", "\t").replace("\\n", "\n");
    let parsed = template::parse(&template, Over::Values)?;
    let mut out = String::new();
    if is_table {
        let headers: Vec<String> =
            kind.fields.iter().map(|field| field.header.to_owned()).collect();
        let header = template::parse(&template, Over::Headers)?;
        out.push_str(&template::execute(&header, &row_value(kind.fields, &headers))?);
        out.push('\n');
    }
    for row in rows {
        out.push_str(&template::execute(&parsed, &row_value(kind.fields, row))?);
        out.push('\n');
    }
    Ok(if is_table { table::align(&out) } else { out })
}

fn row_value(fields: &[Field], texts: &[String]) -> Value {
    let entries: BTreeMap<Arc<str>, Value> = fields
        .iter()
        .zip(texts)
        .map(|(field, text)| (Arc::from(field.name), Value::String(Arc::from(text.as_str()))))
        .collect();
    Value::Map(Arc::new(entries))
}
