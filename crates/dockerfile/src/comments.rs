//! What comments mean: descriptions, and checks to skip.

use crate::diagnostic::Rule;

/// The description of `name` in the comments directly above it: the rest of
/// the first line that starts with the name.
pub(crate) fn description(comments: &[String], name: &str) -> Option<String> {
    let line = comments.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.trim().to_owned())
}

/// What `# check=` says, at the top of the file or above an instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// `skip=all`
    pub skip_all: bool,
    /// The rules of `skip=`, in lower case.
    pub skip: Vec<String>,
    /// `error=true`: findings fail the build.
    pub error: bool,
    /// `experimental=`, in lower case; `all` for all.
    pub experimental: Vec<String>,
}

impl CheckOptions {
    /// Reads `skip=A,B;error=true;experimental=all`; unknown parts are left
    /// out.
    pub fn parse(text: &str) -> Self {
        let mut options = Self::default();
        for part in text.split(';') {
            let Some((key, value)) = part.split_once('=') else { continue };
            let value = value.trim().to_ascii_lowercase();
            let list = || value.split(',').map(|rule| rule.trim().to_owned()).collect();
            match key.trim().to_ascii_lowercase().as_str() {
                "skip" if value == "all" => options.skip_all = true,
                "skip" => options.skip = list(),
                "error" => options.error = matches!(value.as_str(), "1" | "t" | "true"),
                "experimental" => options.experimental = list(),
                _ => {}
            }
        }
        options
    }

    /// Whether findings of `rule` are not wanted.
    pub fn skips(&self, rule: Rule) -> bool {
        self.skip_all || self.skip.iter().any(|name| name.eq_ignore_ascii_case(rule.name()))
    }
}

/// What a comment `check=…` says.
fn check_options(line: &str) -> Option<CheckOptions> {
    let (key, value) = line.split_once('=')?;
    key.trim().eq_ignore_ascii_case("check").then(|| CheckOptions::parse(value))
}

/// Whether any comment is a `check=…`.
pub(crate) fn has_check(comments: &[String]) -> bool {
    comments.iter().any(|line| check_options(line).is_some())
}

/// Whether a comment `check=skip=…` above an instruction skips `rule`.
pub(crate) fn skipped_above(comments: &[String], rule: Rule) -> bool {
    comments.iter().filter_map(|line| check_options(line)).any(|options| options.skips(rule))
}
