//! What the demo has measured: the tutorial's table, and the same as data.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::examples::{COMPARED, Example};

/// An image that was built.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) example: Example,
    pub(super) first: Duration,
    /// The second time, from the cache.
    pub(super) again: Option<Duration>,
    /// Bytes, unpacked.
    pub(super) size: u64,
    pub(super) id: String,
}

/// All figures.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Whether the base images are stand-ins.
    pub(super) standins: bool,
    pub(super) builds: Vec<Built>,
    /// What servers have said, by example.
    pub(super) answers: Vec<(&'static str, String)>,
}

/// A row of the table; sizes in bytes.
#[derive(Debug, PartialEq)]
struct Row {
    language: &'static str,
    single: u64,
    multi: u64,
}

impl Row {
    /// Returns how much smaller the multi-stage image is, in percent.
    #[expect(clippy::cast_precision_loss, reason = "sizes of images are far below 2^52")]
    fn reduction(&self) -> f64 {
        100.0 * (1.0 - self.multi as f64 / self.single as f64)
    }
}

impl Summary {
    fn rows(&self) -> Vec<Row> {
        let size = |example: Example| {
            self.builds.iter().find(|built| built.example == example).map(|built| built.size)
        };
        let rows = COMPARED.into_iter().filter_map(|(language, single, multi)| {
            Some(Row { language, single: size(single)?, multi: size(multi)? })
        });
        rows.collect()
    }

    /// Returns the table in the tutorial's form.
    pub(super) fn table(&self) -> String {
        let mut table = "| Language   | Single-Stage | Multi-Stage | Reduction |\n\
                         |------------|--------------|-------------|-----------|\n"
            .to_owned();
        for row in self.rows() {
            let (single, multi) = (human(row.single), human(row.multi));
            let reduction = format!("{:.0}%", row.reduction());
            let language = row.language;
            writeln!(table, "| {language:<10} | {single:<12} | {multi:<11} | {reduction:<9} |")
                .expect("a string can be written to");
        }
        table
    }

    /// Fails unless each multi-stage image is smaller than its twin.
    pub(super) fn check(&self) -> Result<()> {
        let rows = self.rows();
        ensure!(rows.len() == COMPARED.len(), "only {} rows could be measured", rows.len());
        for row in rows {
            ensure!(row.multi < row.single, "{}: the stages save nothing", row.language);
        }
        Ok(())
    }

    pub(super) fn json(&self) -> String {
        let builds: Vec<Value> = self.builds.iter().map(Built::json).collect();
        let sizes: Vec<Value> = self
            .rows()
            .iter()
            .map(|row| {
                json!({
                    "language": row.language, "single_stage_bytes": row.single,
                    "multi_stage_bytes": row.multi, "reduction_percent": row.reduction(),
                })
            })
            .collect();
        let answers: Vec<Value> = self
            .answers
            .iter()
            .map(|(example, answer)| json!({ "example": example, "answer": answer }))
            .collect();
        let value = json!({
            "base_images": if self.standins { "stand-ins" } else { "public" },
            "builds": builds, "sizes": sizes, "answers": answers,
        });
        format!("{value:#}\n")
    }
}

impl Built {
    fn json(&self) -> Value {
        json!({
            "example": self.example.folder, "dockerfile": self.example.dockerfile,
            "target": self.example.target, "image": self.example.tag, "id": self.id,
            "bytes": self.size, "seconds": self.first.as_secs_f64(),
            "seconds_again": self.again.map(|time| time.as_secs_f64()),
        })
    }
}

/// Returns a size as docker writes it: decimal units, three digits.
#[expect(clippy::cast_precision_loss, reason = "sizes of images are far below 2^52")]
pub(super) fn human(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    let digits =
        if value < 9.995 && unit != "B" { 2 } else { usize::from(value < 99.95 && unit != "B") };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        let found = [0, 999, 1000, 9_996, 99_960, 999_600, 1_234_567_890].map(human);
        assert_eq!(found, ["0 B", "999 B", "1.00 kB", "10.0 kB", "100 kB", "1.00 MB", "1.23 GB"]);
    }

    fn summary(single: u64, multi: u64) -> Summary {
        let built = |example, size| Built {
            example,
            first: Duration::from_secs(1),
            again: None,
            size,
            id: String::new(),
        };
        let builds = COMPARED.into_iter();
        let builds = builds.flat_map(|(_, one, many)| [built(one, single), built(many, multi)]);
        Summary { builds: builds.collect(), ..Summary::default() }
    }

    #[test]
    fn the_table_is_the_tutorial_s() {
        let table = summary(1_200_000_000, 200_000_000).table();
        let line = "| Node.js    | 1.20 GB      | 200 MB      | 83%       |";
        assert_eq!(table.lines().nth(2), Some(line), "{table}");
        assert_eq!(table.lines().count(), 2 + COMPARED.len());
    }

    #[test]
    fn stages_that_save_nothing_are_a_failure() {
        assert!(summary(2, 1).check().is_ok());
        assert!(summary(1, 1).check().is_err());
        assert!(Summary::default().check().is_err());
    }
}
