//! Rows of single parts, measured by programs of their crates, which print `name=value` pairs.

use anyhow::{Context as _, Result};

use super::World;
use crate::bench::row::{Row, Unit};
use crate::cargo;

/// A program of a crate that measures a part by itself.
struct Measurement {
    id: &'static str,
    what: &'static str,
    package: &'static str,
    program: &'static str,
    figure: &'static str,
    /// In milliseconds, as the figure.
    limit: f64,
}

const PARTS: [Measurement; 2] = [
    Measurement {
        id: "parse",
        what: "a Dockerfile of 10,000 lines, parsed",
        package: "lathe-dockerfile",
        program: "parse_speed",
        figure: "parse_ms",
        limit: 10.0,
    },
    Measurement {
        id: "match",
        what: "100,000 paths against 100 ignore patterns, beyond the walk",
        package: "lathe-pattern",
        program: "match_speed",
        figure: "ms",
        limit: 150.0,
    },
];

pub(super) fn all(_world: &World<'_>) -> Result<Vec<Row>> {
    PARTS.iter().map(one).collect()
}

fn one(part: &Measurement) -> Result<Row> {
    let Measurement { id, what, package, program, figure, limit } = part;
    let words = ["run", "--release", "--quiet", "--package", package, "--example", program];
    let text = cargo::cargo().args(words).read()?;
    let prefix = format!("{figure}=");
    let value = text.split_whitespace().find_map(|word| word.strip_prefix(&prefix));
    let value = value.with_context(|| format!("`{program}` says no {figure}: {text}"))?;
    let value: f64 = value.parse().with_context(|| format!("`{program}` says {figure}={value}"))?;
    Ok(Row::new(id, what, Unit::Milliseconds, vec![Some(value)]).at_most(*limit))
}
