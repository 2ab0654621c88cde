//! The page that accounts for every row: the same as elsewhere, better, or different on purpose.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::case::Case;
use super::rows::Rows;

const VERDICTS: [&str; 3] = ["same", "better", "different"];

/// The table's rows: id and verdict.
#[derive(Debug)]
pub(super) struct Page {
    rows: Vec<(String, String)>,
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

    /// Reads the lines like ``| `A6.link` | same | …``.
    fn parse(text: &str) -> Self {
        let row = |line: &str| {
            let mut cells = line.strip_prefix("| `")?.split('|');
            let id = cells.next()?.trim().trim_matches('`').to_owned();
            let verdict = cells.next()?.trim();
            let verdict = verdict.split(|c: char| !c.is_ascii_alphabetic()).next()?;
            Some((id, verdict.to_owned()))
        };
        Self { rows: text.lines().filter_map(row).collect() }
    }

    /// Returns the rows that the page forgets, or speaks of without being rows.
    pub(super) fn findings(&self, rows: &Rows, cases: &[Case]) -> Vec<String> {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for row in &rows.rows {
            let said = self.rows.iter().find(|(id, _)| *id == row.id);
            let has_case = cases.iter().any(|case| case.rows.contains(&row.id));
            match said {
                None => missing.push(row.id.as_str()),
                Some((_, verdict)) if !VERDICTS.contains(&verdict.as_str()) => found.push(format!(
                    "docs/compatibility.md says `{verdict}` of {}, which is none of {VERDICTS:?}",
                    row.id
                )),
                Some((_, verdict)) if !has_case && row.is_language() && verdict != "different" => {
                    found.push(format!("{} is `{verdict}`, and no case shows it", row.id));
                }
                Some(_) => {}
            }
        }
        if !missing.is_empty() {
            found.push(format!("docs/compatibility.md has no row for {}", missing.join(" ")));
        }
        for (id, _) in self.rows.iter().filter(|(id, _)| !rows.has(id)) {
            found.push(format!("docs/compatibility.md speaks of {id}, which is no row"));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_from_a_table() {
        let page = Page::parse("# T\n\n| id | v |\n|---|---|\n| `A1.bom` | better: x | y |\n");
        assert_eq!(page.rows, [("A1.bom".to_owned(), "better".to_owned())]);
    }
}
