//! Go templates with docker's functions.
//!
//! docker offers `json join split title lower upper truncate pad` beside Go's own functions.
//! When a template makes a table, the same template runs once over the names of the columns;
//! there these functions leave the name as it is.

use std::{fmt::Write as _, sync::Arc};

use anyhow::{Context as _, Result, anyhow};
use gotmpl::{MissingKey, Template, TemplateError, Value};

/// Whether a template runs over values or over the names of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Values,
    Headers,
}

/// Parses a template.
pub(super) fn parse(text: &str, over: Over) -> Result<Template> {
    let mut template = Template::new("").missing_key(MissingKey::Error);
    for (name, function) in FUNCTIONS {
        template = match over {
            Over::Headers if *name != "pad" => template.func(name, first),
            _ => template.func(name, function),
        };
    }
    template.parse(text).map_err(|error| anyhow!("template parsing error: {error}"))
}

/// Runs a template over one value.
pub(super) fn execute(template: &Template, value: &Value) -> Result<String> {
    template.execute_to_string(value).map_err(|error| anyhow!("template parsing error: {error}"))
}

/// Renders one JSON document through `format`: `json`, or a template that ends its own lines.
pub(crate) fn document(format: &str, value: &serde_json::Value) -> Result<String> {
    if format == "json" {
        return Ok(format!("{value}\n"));
    }
    let template = parse(format, Over::Values)?;
    let value = gotmpl::to_value(value).context("reading the document for the template")?;
    Ok(execute(&template, &value)? + "\n")
}

// The signature is gotmpl's, whether a function can fail or not.
type Function = fn(&[Value]) -> Result<Value, TemplateError>;

const FUNCTIONS: &[(&str, Function)] = &[
    ("json", json),
    ("join", join),
    ("split", split),
    ("title", title),
    ("lower", |args| Ok(text(args[..].first()).to_lowercase().into_value())),
    ("upper", |args| Ok(text(args[..].first()).to_uppercase().into_value())),
    ("truncate", truncate),
    ("pad", pad),
];

trait IntoValue {
    fn into_value(self) -> Value;
}

impl IntoValue for String {
    fn into_value(self) -> Value {
        Value::String(Arc::from(self))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of template functions")]
fn first(args: &[Value]) -> Result<Value, TemplateError> {
    Ok(args.first().cloned().unwrap_or(Value::Nil))
}

fn text(value: Option<&Value>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn length(value: Option<&Value>) -> usize {
    value.and_then(Value::as_int).and_then(|number| usize::try_from(number).ok()).unwrap_or(0)
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of template functions")]
fn json(args: &[Value]) -> Result<Value, TemplateError> {
    let mut out = String::new();
    write_json(args.first().unwrap_or(&Value::Nil), &mut out);
    Ok(out.into_value())
}

fn join(args: &[Value]) -> Result<Value, TemplateError> {
    let separator = text(args.get(1));
    match args.first() {
        Some(Value::List(items)) => {
            let items: Vec<String> = items.iter().map(ToString::to_string).collect();
            Ok(items.join(&separator).into_value())
        }
        None | Some(Value::Nil) => Ok(String::new().into_value()),
        Some(other) => Err(TemplateError::Exec(format!("join: not a list: {other}"))),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of template functions")]
fn split(args: &[Value]) -> Result<Value, TemplateError> {
    let (whole, separator) = (text(args.first()), text(args.get(1)));
    let parts: Vec<Value> = if separator.is_empty() {
        whole.chars().map(|letter| letter.to_string().into_value()).collect()
    } else {
        whole.split(&separator).map(|part| part.to_owned().into_value()).collect()
    };
    Ok(Value::List(parts.into()))
}

/// Raises the first letter of each word, as Go's `strings.Title`.
#[expect(clippy::unnecessary_wraps, reason = "the signature of template functions")]
fn title(args: &[Value]) -> Result<Value, TemplateError> {
    let mut out = String::new();
    let mut inside = false;
    for letter in text(args.first()).chars() {
        if inside {
            out.push(letter);
        } else {
            out.extend(letter.to_uppercase());
        }
        inside = letter.is_alphanumeric() || letter == '_' || letter == '\'';
    }
    Ok(out.into_value())
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of template functions")]
fn truncate(args: &[Value]) -> Result<Value, TemplateError> {
    let cut: String = text(args.first()).chars().take(length(args.get(1))).collect();
    Ok(cut.into_value())
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of template functions")]
fn pad(args: &[Value]) -> Result<Value, TemplateError> {
    let source = text(args.first());
    if source.is_empty() {
        return Ok(source.into_value());
    }
    let (before, after) = (length(args.get(1)), length(args.get(2)));
    Ok(format!("{}{source}{}", " ".repeat(before), " ".repeat(after)).into_value())
}

/// Writes compact JSON, with the keys of maps in order, as Go's encoder does for maps.
pub(super) fn write_json(value: &Value, out: &mut String) {
    match value {
        Value::Nil | Value::Function(_) => out.push_str("null"),
        Value::Bool(_) | Value::Int(_) | Value::Uint(_) => {
            write!(out, "{value}").expect("writing to a string cannot fail");
        }
        Value::Float(number) => out.push_str(&serde_json::json!(number).to_string()),
        Value::String(text) => out.push_str(&serde_json::Value::from(&**text).to_string()),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(item, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (index, (key, item)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::Value::from(&**key).to_string());
                out.push(':');
                write_json(item, out);
            }
            out.push('}');
        }
    }
}
