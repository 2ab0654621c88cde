//! `lathe system df`.

use anyhow::Result;

use super::{Field, Listing, human_size, listing};

/// One line of `lathe system df`; sizes in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UsageRow {
    /// `Images`, `Containers`, …
    pub(crate) kind: &'static str,
    pub(crate) total: u64,
    pub(crate) active: u64,
    pub(crate) size: u64,
    pub(crate) reclaimable: u64,
}

const FIELDS: &[Field] = &[
    Field { name: "Type", header: "TYPE" },
    Field { name: "TotalCount", header: "TOTAL" },
    Field { name: "Active", header: "ACTIVE" },
    Field { name: "Size", header: "SIZE" },
    Field { name: "Reclaimable", header: "RECLAIMABLE" },
];

const COLUMNS: &str = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";

/// Renders the rows.
pub(crate) fn disk_usage(rows: &[UsageRow], format: Option<&str>) -> Result<String> {
    let texts: Vec<Vec<String>> = rows.iter().map(UsageRow::texts).collect();
    listing(Listing { fields: FIELDS, columns: COLUMNS }, format, &texts)
}

impl UsageRow {
    fn texts(&self) -> Vec<String> {
        // docker gives no share for the cache, all of which can always go.
        let share = match (self.kind, (self.reclaimable * 100).checked_div(self.size)) {
            ("Build Cache", _) | (_, None) => String::new(),
            (_, Some(percent)) => format!(" ({percent}%)"),
        };
        vec![
            self.kind.to_owned(),
            self.total.to_string(),
            self.active.to_string(),
            human_size(self.size),
            format!("{}{share}", human_size(self.reclaimable)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_shown_in_dockers_columns() {
        let row = |kind, total, active, size, reclaimable| UsageRow {
            kind,
            total,
            active,
            size,
            reclaimable,
        };
        let rows = [
            row("Images", 5, 1, 1_234_567_890, 1_000_000_000),
            row("Containers", 0, 0, 0, 0),
            row("Build Cache", 12, 0, 5_000_000, 5_000_000),
        ];
        let want = "\
TYPE          TOTAL     ACTIVE    SIZE      RECLAIMABLE
Images        5         1         1.235GB   1GB (81%)
Containers    0         0         0B        0B
Build Cache   12        0         5MB       5MB
";
        assert_eq!(disk_usage(&rows, None).expect("renders"), want);
        let got = disk_usage(&rows[..1], Some("{{.Type}} {{.Size}}")).expect("renders");
        assert_eq!(got, "Images 1.235GB\n");
    }
}
