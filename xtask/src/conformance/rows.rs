//! The rows of the checklist: what the language consists of.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// A row: one item of the language, or of the command line.
#[derive(Debug)]
pub(super) struct Row {
    /// Like `A6.link`.
    pub(super) id: String,
    pub(super) title: String,
}

/// All rows, in the order of the checklist.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) rows: Vec<Row>,
    places: BTreeMap<String, usize>,
}

impl Rows {
    /// Reads a file with a row in each line: id, then title.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let mut rows = Vec::new();
        let mut places = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (id, title) = line.split_once(' ').with_context(|| format!("a title: {line}"))?;
            ensure!(id.contains('.'), "{id} names no part");
            ensure!(places.insert(id.to_owned(), rows.len()).is_none(), "{id} is there twice");
            rows.push(Row { id: id.to_owned(), title: title.trim().to_owned() });
        }
        Ok(Self { rows, places })
    }

    /// Tells whether there is such a row.
    pub(super) fn has(&self, id: &str) -> bool {
        self.places.contains_key(id)
    }
}

impl Row {
    /// Tells whether it is of the language itself, and not of the command line.
    pub(super) fn is_language(&self) -> bool {
        self.id.starts_with('A')
    }
}
