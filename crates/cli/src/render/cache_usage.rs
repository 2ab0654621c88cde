//! `lathe builder du`, in buildx's columns.

use std::{fmt::Write as _, time::Duration};

use anyhow::Result;

use super::{Field, Listing, human_duration, human_size, listing};

/// Something of the store that takes space.
#[derive(Debug, Clone, Default)]
pub(crate) struct CacheRow {
    pub(crate) id: String,
    /// Ids, separated by commas.
    pub(crate) parents: String,
    /// buildx's names: `regular`, `exec.cachemount`, …
    pub(crate) kind: &'static str,
    pub(crate) description: String,
    /// Whether it can change.
    pub(crate) mutable: bool,
    pub(crate) reclaimable: bool,
    /// Whether something else takes the same space as well.
    pub(crate) shared: bool,
    /// Bytes on the disk that nothing above it in the list has.
    pub(crate) bytes: u64,
    /// How often the cache has it as a result.
    pub(crate) records: u64,
    /// Seconds since 1970.
    pub(crate) created: Option<i64>,
    /// Seconds since 1970.
    pub(crate) last_used: Option<i64>,
}

/// A cache of `RUN --mount=type=cache`.
#[derive(Debug, Clone)]
pub(crate) struct CacheMountRow {
    pub(crate) name: String,
    /// As Dockerfiles name it.
    pub(crate) id: String,
    pub(crate) bytes: u64,
    /// Seconds since 1970.
    pub(crate) last_used: i64,
    pub(crate) in_use: bool,
}

/// Sums in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CacheTotals {
    pub(crate) shared: u64,
    pub(crate) private: u64,
    pub(crate) reclaimable: u64,
    pub(crate) total: u64,
}

impl CacheTotals {
    /// Adds up rows.
    pub(crate) fn of(rows: &[CacheRow]) -> Self {
        let mut totals = Self::default();
        for row in rows {
            totals.total += row.bytes;
            if row.shared {
                totals.shared += row.bytes;
            } else {
                totals.private += row.bytes;
            }
            if row.reclaimable {
                totals.reclaimable += row.bytes;
            }
        }
        totals
    }

    fn text(self) -> String {
        format!(
            "Shared:\t{}\nPrivate:\t{}\nReclaimable:\t{}\nTotal:\t{}\n",
            human_size(self.shared),
            human_size(self.private),
            human_size(self.reclaimable),
            human_size(self.total),
        )
    }
}

const FIELDS: &[Field] = &[
    Field { name: "ID", header: "ID" },
    Field { name: "Parents", header: "PARENTS" },
    Field { name: "CreatedAt", header: "CREATED AT" },
    Field { name: "Mutable", header: "MUTABLE" },
    Field { name: "Reclaimable", header: "RECLAIMABLE" },
    Field { name: "Shared", header: "SHARED" },
    Field { name: "Size", header: "SIZE" },
    Field { name: "Description", header: "DESCRIPTION" },
    Field { name: "UsageCount", header: "USAGE COUNT" },
    Field { name: "LastUsedAt", header: "LAST ACCESSED" },
    Field { name: "Type", header: "TYPE" },
];

const COLUMNS: &str = "{{.ID}}\t{{.Reclaimable}}\t{{.Size}}\t{{.LastUsedAt}}";

const MOUNT_FIELDS: &[Field] = &[
    Field { name: "Name", header: "NAME" },
    Field { name: "ID", header: "ID" },
    Field { name: "Size", header: "SIZE" },
    Field { name: "LastUsedAt", header: "LAST USED" },
    Field { name: "InUse", header: "IN USE" },
];

/// Renders `lathe cache-mount ls`.
pub(crate) fn cache_mounts(
    rows: &[CacheMountRow],
    format: Option<&str>,
    now: i64,
) -> Result<String> {
    let row = |row: &CacheMountRow| {
        vec![
            row.name.clone(),
            row.id.clone(),
            human_size(row.bytes),
            ago(now, Some(row.last_used)),
            row.in_use.to_string(),
        ]
    };
    let texts: Vec<Vec<String>> = rows.iter().map(row).collect();
    let columns = "{{.Name}}\t{{.ID}}\t{{.Size}}\t{{.LastUsedAt}}\t{{.InUse}}";
    listing(Listing { fields: MOUNT_FIELDS, columns }, format, &texts)
}

fn ago(now: i64, time: Option<i64>) -> String {
    let age = time.map(|time| u64::try_from(now.saturating_sub(time)).unwrap_or(0));
    let words = age.map(|age| format!("{} ago", human_duration(Duration::from_secs(age))));
    words.unwrap_or_default()
}

/// Renders rows, and in a table of buildx's own columns their sums.
pub(crate) fn cache_usage(rows: &[CacheRow], format: Option<&str>, now: i64) -> Result<String> {
    let texts: Vec<Vec<String>> = rows.iter().map(|row| row.texts(now, format.is_none())).collect();
    let mut text = listing(Listing { fields: FIELDS, columns: COLUMNS }, format, &texts)?;
    if format.is_none() {
        text.push_str(&super::align(&CacheTotals::of(rows).text()));
    }
    Ok(text)
}

/// Renders all that is known of each row, a paragraph each, and the sums.
pub(crate) fn cache_usage_verbose(rows: &[CacheRow], now: i64) -> String {
    let mut text = String::new();
    for row in rows {
        let texts = row.texts(now, false);
        for (field, value) in FIELDS.iter().zip(texts).filter(|(_, value)| !value.is_empty()) {
            let label = match field.name {
                "CreatedAt" => "Created at",
                "LastUsedAt" => "Last used",
                "UsageCount" => "Usage count",
                name => name,
            };
            writeln!(text, "{label}:\t{value}").expect("writing to a string cannot fail");
        }
        text.push('\n');
    }
    text.push_str(&CacheTotals::of(rows).text());
    super::align(&text)
}

impl CacheRow {
    /// The texts of the fields; in buildx's own table `*` marks what can change and what is shared.
    fn texts(&self, now: i64, marked: bool) -> Vec<String> {
        let mark = |on: bool| if on && marked { "*" } else { "" };
        vec![
            format!("{}{}", self.id, mark(self.mutable)),
            self.parents.clone(),
            ago(now, self.created),
            self.mutable.to_string(),
            self.reclaimable.to_string(),
            self.shared.to_string(),
            format!("{}{}", human_size(self.bytes), mark(self.shared)),
            self.description.clone(),
            self.records.to_string(),
            ago(now, self.last_used),
            self.kind.to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<CacheRow> {
        let first = CacheRow {
            id: "abc".to_owned(),
            parents: "xyz".to_owned(),
            kind: "regular",
            description: "RUN make".to_owned(),
            reclaimable: true,
            bytes: 8192,
            last_used: Some(940),
            created: Some(100),
            ..CacheRow::default()
        };
        let second = CacheRow {
            id: "npm".to_owned(),
            kind: "exec.cachemount",
            mutable: true,
            shared: true,
            bytes: 1000,
            ..CacheRow::default()
        };
        vec![first, second]
    }

    #[test]
    fn the_table_is_buildxs_and_its_sums_are_those_of_the_rows() {
        let want = "\
ID        RECLAIMABLE   SIZE      LAST ACCESSED
abc       true          8.192kB   About a minute ago
npm*      false         1kB*      
Shared:        1kB
Private:       8.192kB
Reclaimable:   8.192kB
Total:         9.192kB
";
        assert_eq!(cache_usage(&rows(), None, 1000).expect("renders"), want);
        let got = cache_usage(&rows(), Some("{{.ID}} {{.Type}} {{.Shared}}"), 1000);
        assert_eq!(got.expect("renders"), "abc regular false\nnpm exec.cachemount true\n");
    }

    #[test]
    fn verbose_tells_all_that_is_known() {
        let text = cache_usage_verbose(&rows(), 1000);
        assert!(text.starts_with("ID:            abc\nParents:       xyz\n"), "{text}");
        assert!(text.contains("Description:   RUN make\n"), "{text}");
        assert!(text.contains("\n\nID:") && !text.contains('*'), "{text}");
        assert!(text.ends_with("Total:         9.192kB\n"), "{text}");
    }
}
