//! `.ci/guard.toml`: the numbers that were found last.
//!
//! A small part of TOML: comments, tables, `name = number`. Comments stay where they are when numbers are written.

use std::fmt;

use anyhow::{Context as _, Result};

use super::calls::Class;

/// How many percent more are not yet a failure.
const TOLERANCE: f64 = 3.0;

/// The file, line by line.
#[derive(Debug)]
pub(super) struct Limits {
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    Number {
        table: String,
        name: String,
        value: f64,
        comment: String,
    },
    /// A comment, a table's name, nothing.
    Other(String),
}

/// What a number says about the change that is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    AsBefore {
        before: f64,
    },
    Fewer {
        before: f64,
    },
    More {
        before: f64,
    },
    /// The file has no such number.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsBefore { before } => write!(f, "as before ({before:.2})"),
            Self::Fewer { before } => write!(f, "fewer than before ({before:.2})"),
            Self::More { before } => write!(f, "MORE THAN BEFORE ({before:.2})"),
            Self::Unknown => f.write_str("NOT KNOWN"),
        }
    }
}

impl Limits {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut table = String::new();
        let mut lines = Vec::new();
        for line in text.lines() {
            let (code, comment) = line.split_at(line.find('#').unwrap_or(line.len()));
            if let Some((name, value)) = code.split_once('=') {
                let value = value.trim().parse();
                let value = value.with_context(|| format!("`{line}` is not `name = number`"))?;
                let (table, name) = (table.clone(), name.trim().to_owned());
                lines.push(Line::Number { table, name, value, comment: comment.to_owned() });
                continue;
            }
            let name = code.trim().strip_prefix('[').and_then(|name| name.strip_suffix(']'));
            if let Some(name) = name {
                name.clone_into(&mut table);
            }
            lines.push(Line::Other(line.to_owned()));
        }
        Ok(Self { lines })
    }

    /// Compares a number with that of the file.
    pub(super) fn judge(&self, table: &str, class: Class, found: f64) -> Verdict {
        let Some(before) = self.get(table, class) else { return Verdict::Unknown };
        let room = before * TOLERANCE / 100.0 + slack(table, class);
        if found > before + room {
            Verdict::More { before }
        } else if found < before - room {
            Verdict::Fewer { before }
        } else {
            Verdict::AsBefore { before }
        }
    }

    fn get(&self, wanted: &str, class: Class) -> Option<f64> {
        self.lines.iter().find_map(|line| match line {
            Line::Number { table, name, value, .. } if table == wanted && name == class.name() => {
                Some(*value)
            }
            _ => None,
        })
    }

    /// Changes a number of the file; one that it does not have stays unknown.
    pub(super) fn set(&mut self, wanted: &str, class: Class, found: f64) {
        for line in &mut self.lines {
            if let Line::Number { table, name, value, .. } = line
                && table == wanted
                && name == class.name()
            {
                *value = (found * 100.0).round() / 100.0;
            }
        }
    }
}

/// Returns how many calls more are chance.
fn slack(table: &str, class: Class) -> f64 {
    match (table, class) {
        // How often a database reads its pages again depends on who wrote last; for a thousand files that is little.
        ("e3", Class::Data | Class::Lock) => 20.0,
        // A whole command meets the machine in a few places, such as the control groups that it is in.
        ("b", _) => 4.0,
        (_, Class::Data | Class::Lock) => 2.0,
        _ => 0.2,
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            match line {
                Line::Number { name, value, comment, .. } => {
                    let code = format!("{name} = {value}");
                    if comment.is_empty() {
                        writeln!(f, "{code}")?;
                    } else {
                        writeln!(f, "{code:<18}{comment}")?;
                    }
                }
                Line::Other(text) => writeln!(f, "{text}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# why\n[b]\nlook = 100\n\n[d]\nlook = 10         # of a step\n";

    #[test]
    fn more_is_told_from_fewer() {
        let limits = Limits::parse(TEXT).expect("parses");
        let judge = |table, found| limits.judge(table, Class::Look, found);
        assert_eq!(judge("b", 107.0), Verdict::AsBefore { before: 100.0 });
        assert_eq!(judge("b", 108.0), Verdict::More { before: 100.0 });
        assert_eq!(judge("d", 10.6), Verdict::More { before: 10.0 });
        assert_eq!(judge("d", 9.0), Verdict::Fewer { before: 10.0 });
        assert_eq!(limits.judge("d", Class::Mount, 1.0), Verdict::Unknown);
    }

    #[test]
    fn comments_stay_when_numbers_change() {
        let mut limits = Limits::parse(TEXT).expect("parses");
        assert_eq!(limits.to_string(), TEXT);
        limits.set("d", Class::Look, 8.504);
        assert_eq!(limits.to_string(), TEXT.replace("= 10  ", "= 8.5 "));
        assert!(Limits::parse("a = b").is_err());
    }
}
