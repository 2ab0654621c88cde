//! What was asked for on the command line.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::case::Case;

const USAGE: &str = "usage: cargo xtask conformance [OPTIONS]

options:
  --filter TEXT   only cases with this in their file or title
  --row ID        only cases of a row, or of a part: A6.link, A6
  --no-oracle     do not compare with the other builder's stored results
  --lathe FILE    the program; else the newest one that cargo built
  --as-user       run the program as a normal user
  --update        ask the other builder again and store what it says
  --jobs N        cases at once (2)";

/// The options.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) filter: Option<String>,
    pub(super) row: Option<String>,
    pub(super) oracle: bool,
    pub(super) lathe: Option<PathBuf>,
    pub(super) as_user: bool,
    pub(super) update: bool,
    pub(super) jobs: usize,
}

impl Options {
    pub(super) fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            filter: None,
            row: None,
            oracle: true,
            lathe: None,
            as_user: false,
            update: false,
            jobs: 2,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value =
                || rest.next().cloned().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--filter" => options.filter = Some(value()?),
                "--row" => options.row = Some(value()?),
                "--no-oracle" => options.oracle = false,
                "--lathe" => options.lathe = Some(value()?.into()),
                "--as-user" => options.as_user = true,
                "--update" => options.update = true,
                "--jobs" => options.jobs = value()?.parse().context("--jobs takes a number")?,
                _ => bail!("what is `{argument}`?\n{USAGE}"),
            }
        }
        Ok(options)
    }

    /// Tells whether a case is to be run.
    pub(super) fn wants(&self, case: &Case) -> bool {
        let by_text = self.filter.as_ref().is_none_or(|text| case.key().contains(text.as_str()));
        let is_of = |row: &String, wanted: &str| {
            row == wanted || row.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
        };
        let by_row =
            self.row.as_ref().is_none_or(|row| case.rows.iter().any(|of| is_of(of, row.as_str())));
        by_text && by_row
    }

    /// Tells whether all cases are run, so that what is missing is missing.
    pub(super) fn is_whole(&self) -> bool {
        self.filter.is_none() && self.row.is_none()
    }
}
