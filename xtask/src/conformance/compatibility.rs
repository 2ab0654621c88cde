//! The page that accounts for every row: the same as elsewhere, better, or different on purpose.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::case::Case;
use super::rows::Rows;

const VERDICTS: [&str; 3] = ["same", "better", "different"];

/// The table's rows.
#[derive(Debug)]
pub(super) struct Page {
    rows: Vec<Entry>,
}

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    id: String,
    verdict: String,
    /// The files that have cases of it.
    files: Vec<String>,
}

impl Page {
    /// Reads the page; one that is not there has no rows.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        };
        Ok(Self::parse(&text))
    }

    /// Reads the lines like ``| `A6.link` | same | … | a6-copy, b1-flags |``.
    fn parse(text: &str) -> Self {
        let row = |line: &str| {
            let (id, rest) = line.strip_prefix("| `")?.split_once("` |")?;
            let (verdict, rest) = rest.split_once('|')?;
            let (_, files) = rest.trim_end_matches([' ', '|']).rsplit_once('|')?;
            let files = files.split(',').map(|file| file.trim().to_owned());
            Some(Entry {
                id: id.to_owned(),
                verdict: verdict.trim().to_owned(),
                files: files.filter(|file| !file.is_empty()).collect(),
            })
        };
        Self { rows: text.lines().filter_map(row).collect() }
    }

    /// Returns the rows that the page forgets, or of which it says what is not so.
    pub(super) fn findings(&self, rows: &Rows, cases: &[Case]) -> Vec<String> {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for row in &rows.rows {
            match self.rows.iter().find(|entry| entry.id == row.id) {
                None => missing.push(row.id.as_str()),
                Some(entry) => found.extend(entry.findings(row.is_language(), cases)),
            }
        }
        if !missing.is_empty() {
            found.push(format!("docs/compatibility.md has no row for {}", missing.join(" ")));
        }
        for entry in self.rows.iter().filter(|entry| !rows.has(&entry.id)) {
            found.push(format!("docs/compatibility.md speaks of {}, which is no row", entry.id));
        }
        found
    }
}

impl Entry {
    fn findings(&self, is_language: bool, cases: &[Case]) -> Vec<String> {
        let Self { id, verdict, files } = self;
        let mut found = Vec::new();
        if !VERDICTS.contains(&verdict.as_str()) {
            found.push(format!("docs/compatibility.md says `{verdict}` of {id}, not {VERDICTS:?}"));
        }
        let shown: BTreeSet<&str> = cases
            .iter()
            .filter(|case| case.rows.contains(id))
            .map(|case| case.file.trim_end_matches(".case"))
            .collect();
        if shown != files.iter().map(String::as_str).collect::<BTreeSet<_>>() {
            let shown: Vec<&str> = shown.iter().copied().collect();
            found.push(format!(
                "docs/compatibility.md: {id} has cases in {}, not in {}",
                shown.join(", "),
                files.join(", ")
            ));
        }
        if shown.is_empty() && is_language && verdict != "different" {
            found.push(format!("{id} is `{verdict}`, and no case shows it"));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_from_a_table() {
        let page =
            Page::parse("# T\n\n| id | v |\n|---|---|\n| `A1.x` | same | `a\\|b` | f, g |\n");
        let files = vec!["f".to_owned(), "g".to_owned()];
        let entry = Entry { id: "A1.x".to_owned(), verdict: "same".to_owned(), files };
        assert_eq!(page.rows, [entry]);
    }
}
