//! What comments mean: descriptions, and checks to skip.

use crate::bool::go_bool;
use crate::diagnostic::Rule;
use crate::suggest::suggest;

/// The description of `name` in the comments directly above it: the rest of
/// the first line that starts with the name.
pub(crate) fn description(comments: &[String], name: &str) -> Option<String> {
    let line = comments.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.trim().to_owned())
}

/// What `# check=` says, at the top of the file, above an instruction, or in
/// the build argument `BUILDKIT_DOCKERFILE_CHECK`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// `skip=all`
    pub skip_all: bool,
    /// The rules of `skip=`, as typed.
    pub skip: Vec<String>,
    /// `error=true`: findings fail the build.
    pub error: bool,
    /// `experimental=all`
    pub experimental_all: bool,
    /// The rules of `experimental=`, as typed.
    pub experimental: Vec<String>,
}

/// What is wrong with the text of a `# check=`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A part without `=`.
    #[error("check option `{part}` has no value")]
    NoValue {
        /// As typed.
        part: String,
    },
    /// A key that is none of `skip`, `error`, `experimental`.
    #[error("unknown check option `{key}`")]
    UnknownOption {
        /// As typed.
        key: String,
        /// A key that was probably meant.
        near: Option<&'static str>,
    },
    /// `error=` with something that is no boolean.
    #[error("check option `error` takes `true` or `false`, not `{value}`")]
    NotBoolean {
        /// As typed.
        value: String,
    },
}

impl CheckError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::UnknownOption { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::NotBoolean { .. } => "write `error=true`".to_owned(),
            _ => "write, for example, `skip=JSONArgsRecommended;error=true`".to_owned(),
        }
    }
}

impl CheckOptions {
    /// Reads `skip=A,B;error=true;experimental=all`, in any order.
    ///
    /// Follows `BuildKit`'s `linter.ParseLintOptions`; keys and rules may be
    /// written in any case.
    pub fn parse(text: &str) -> Result<Self, CheckError> {
        let mut options = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                return Err(CheckError::NoValue { part: part.to_owned() });
            };
            let (key, value) = (key.trim(), value.trim());
            match key.to_ascii_lowercase().as_str() {
                "skip" => (options.skip_all, options.skip) = rules(value),
                "experimental" => {
                    (options.experimental_all, options.experimental) = rules(value);
                }
                "error" => options.error = boolean(value)?,
                _ => {
                    let near = suggest(key, ["skip", "error", "experimental"]);
                    return Err(CheckError::UnknownOption { key: key.to_owned(), near });
                }
            }
        }
        Ok(options)
    }

    /// Whether findings of `rule` are not wanted.
    ///
    /// Experimental rules are found only if asked for, and `skip` does not
    /// concern them; syntax errors are always wanted.
    pub fn skips(&self, rule: Rule) -> bool {
        if rule == Rule::SyntaxError {
            false
        } else if rule.experimental() {
            !self.experimental_all && !names(&self.experimental, rule)
        } else {
            self.skip_all || names(&self.skip, rule)
        }
    }

    /// The rules that no rule is called like, with one that was probably
    /// meant.
    pub fn unknown_rules(&self) -> Vec<(&str, Option<&'static str>)> {
        let all = self.skip.iter().chain(&self.experimental).map(String::as_str);
        all.filter(|&name| Rule::ALL.iter().all(|&rule| !is_name(name, rule)))
            .map(|name| (name, suggest(name, Rule::ALL.iter().map(|rule| rule.name()))))
            .collect()
    }
}

/// `all`, or a list.
fn rules(value: &str) -> (bool, Vec<String>) {
    if value.eq_ignore_ascii_case("all") {
        return (true, Vec::new());
    }
    let list = value.split(',').map(str::trim).filter(|name| !name.is_empty());
    (false, list.map(str::to_owned).collect())
}

fn boolean(value: &str) -> Result<bool, CheckError> {
    go_bool(value).ok_or_else(|| CheckError::NotBoolean { value: value.to_owned() })
}

fn names(list: &[String], rule: Rule) -> bool {
    list.iter().any(|name| is_name(name, rule))
}

/// Whether `name` is the rule's, with or without our prefix.
fn is_name(name: &str, rule: Rule) -> bool {
    let full = rule.name();
    let short = full.strip_prefix("lathe/").unwrap_or(full);
    name.eq_ignore_ascii_case(full) || name.eq_ignore_ascii_case(short)
}

/// The text of a comment `check=…`.
fn check_text(line: &str) -> Option<&str> {
    let (key, value) = line.split_once('=')?;
    key.trim().eq_ignore_ascii_case("check").then_some(value)
}

/// Whether a comment is a `check=…`.
pub(crate) fn is_check(line: &str) -> bool {
    check_text(line).is_some()
}

/// The options of all comments `check=…`; those that cannot be read say
/// nothing.
pub(crate) fn check_comments(comments: &[String]) -> Vec<CheckOptions> {
    comments.iter().filter_map(|line| CheckOptions::parse(check_text(line)?).ok()).collect()
}
