//! `lathe builder history` and the list of `lathe builder logs`.

use std::time::Duration;

use anyhow::Result;

use super::{Field, Listing, ellipsis, human_duration, human_size, listing};

/// A build that was made.
#[derive(Debug, Clone)]
pub(crate) struct BuildRow {
    pub(crate) id: String,
    /// What it is called: its first name, or its folder.
    pub(crate) name: String,
    pub(crate) status: &'static str,
    /// Seconds since 1970.
    pub(crate) created: i64,
    pub(crate) seconds: f64,
    pub(crate) ran: usize,
    pub(crate) cached: usize,
    pub(crate) image: Option<String>,
}

/// What a step printed.
#[derive(Debug, Clone)]
pub(crate) struct LogRow {
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// How to show builds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BuildView<'a> {
    pub(crate) format: Option<&'a str>,
    pub(crate) quiet: bool,
    pub(crate) no_trunc: bool,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

const BUILDS: &[Field] = &[
    Field { name: "ID", header: "BUILD ID" },
    Field { name: "Name", header: "NAME" },
    Field { name: "Status", header: "STATUS" },
    Field { name: "CreatedAt", header: "CREATED AT" },
    Field { name: "Duration", header: "DURATION" },
    Field { name: "Ran", header: "RAN" },
    Field { name: "Cached", header: "CACHED" },
    Field { name: "Image", header: "IMAGE ID" },
];

const BUILD_COLUMNS: &str =
    "{{.ID}}\t{{.Name}}\t{{.Status}}\t{{.CreatedAt}}\t{{.Duration}}\t{{.Ran}}\t{{.Cached}}";

const LOGS: &[Field] = &[
    Field { name: "Step", header: "STEP" },
    Field { name: "Size", header: "SIZE" },
    Field { name: "Name", header: "NAME" },
];

/// Longest name that is shown whole.
const NAME: usize = 40;

/// Renders builds.
pub(crate) fn builds(rows: &[BuildRow], view: &BuildView<'_>) -> Result<String> {
    let texts: Vec<Vec<String>> = rows.iter().map(|row| row.texts(view)).collect();
    let format = match view.format {
        None if view.quiet => Some("{{.ID}}"),
        format => format,
    };
    listing(Listing { fields: BUILDS, columns: BUILD_COLUMNS }, format, &texts)
}

/// Renders the steps of a build that printed something.
pub(crate) fn logs(rows: &[LogRow], format: Option<&str>) -> Result<String> {
    let texts: Vec<Vec<String>> = rows
        .iter()
        .map(|row| vec![row.number.to_string(), human_size(row.bytes), row.name.clone()])
        .collect();
    let columns = "{{.Step}}\t{{.Size}}\t{{.Name}}";
    listing(Listing { fields: LOGS, columns }, format, &texts)
}

impl BuildRow {
    fn texts(&self, view: &BuildView<'_>) -> Vec<String> {
        let age = u64::try_from(view.now.saturating_sub(self.created)).unwrap_or(0);
        let name = if view.no_trunc { self.name.clone() } else { ellipsis(&self.name, NAME) };
        vec![
            self.id.clone(),
            name,
            self.status.to_owned(),
            format!("{} ago", human_duration(Duration::from_secs(age))),
            format!("{:.1}s", self.seconds),
            self.ran.to_string(),
            self.cached.to_string(),
            self.image.clone().unwrap_or_default(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_and_their_logs_are_listed() {
        let row = BuildRow {
            id: "k3v9".to_owned(),
            name: "app:latest".to_owned(),
            status: "Completed",
            created: 1000,
            seconds: 2.34,
            ran: 3,
            cached: 4,
            image: None,
        };
        let view = BuildView { format: None, quiet: false, no_trunc: false, now: 1030 };
        let want = "\
BUILD ID   NAME         STATUS      CREATED AT       DURATION   RAN       CACHED
k3v9       app:latest   Completed   30 seconds ago   2.3s       3         4
";
        assert_eq!(builds(std::slice::from_ref(&row), &view).expect("renders"), want);
        let quiet = BuildView { quiet: true, ..view };
        assert_eq!(builds(&[row], &quiet).expect("renders"), "k3v9\n");
        let row = LogRow { number: 12, name: "[2/3] RUN make".to_owned(), bytes: 5_000_000 };
        let want = "STEP      SIZE      NAME\n12        5MB       [2/3] RUN make\n";
        assert_eq!(logs(&[row], None).expect("renders"), want);
    }
}
