//! What is measured: groups of rows, each of which can be measured without the others.

mod copies;
mod examples;
mod large;
mod parts;
mod steps;
mod whole;

use std::path::Path;

use anyhow::Result;

use super::place::Place;
use super::row::Row;
use super::tool::Tool;
use crate::lathe::Lathe;

/// What all measurements share.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) place: &'a Place,
    /// lathe with the store that it shares with `tools`.
    pub(super) lathe: Lathe,
    /// lathe first.
    pub(super) tools: Vec<Tool>,
    pub(super) rounds: usize,
}

impl World<'_> {
    pub(super) fn folder(&self) -> &Path {
        self.place.folder()
    }

    /// Returns the tools' names, in their order.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.tools.iter().map(Tool::name).collect()
    }

    /// Returns how often something that takes seconds is repeated.
    fn few(&self) -> usize {
        self.rounds.min(3)
    }
}

type Group = fn(&World<'_>) -> Result<Vec<Row>>;

/// All groups, in the order of the table.
pub(super) const GROUPS: [(&str, Group); 13] = [
    ("a", examples::first),
    ("b", examples::cached),
    ("c", examples::changed),
    ("d", steps::many),
    ("e1", copies::cold),
    ("e2", copies::one_changed),
    ("e3", copies::unchanged),
    ("f", copies::from_stage),
    ("g", large::all),
    ("h", steps::parallel),
    ("mem", whole::memory),
    ("start", whole::start),
    ("parts", parts::all),
];
