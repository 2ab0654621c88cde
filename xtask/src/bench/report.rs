//! The table of figures, and its place in a document.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::tool::Tool;

const BEGIN: &str = "<!-- begin: written by `cargo xtask bench` -->";
const END: &str = "<!-- end -->";

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    Megabytes,
}

/// One measurement, for all tools.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) unit: Unit,
    /// In the order of the tools; what was not measured is `None`.
    pub(super) figures: Vec<Option<f64>>,
    /// Highest figure of lathe, the first tool, that is good enough.
    pub(super) goal: Option<f64>,
}

impl Row {
    /// Returns whether lathe reaches its goal, if it has one.
    pub(super) fn is_met(&self) -> bool {
        match (self.goal, self.figures.first()) {
            (Some(goal), Some(Some(figure))) => *figure <= goal,
            _ => true,
        }
    }

    fn show(&self, figure: f64) -> String {
        match self.unit {
            Unit::Seconds => format!("{figure:.1} s"),
            Unit::Milliseconds => format!("{figure:.1} ms"),
            Unit::Megabytes => format!("{figure:.0} MB"),
        }
    }

    /// Returns how many times lathe's figure the other tool's is.
    fn ratio(&self, tool: usize) -> Option<f64> {
        let (own, other) = (*self.figures.first()?, *self.figures.get(tool)?);
        Some(other? / own?)
    }
}

/// Returns the table of a run on this machine.
pub(super) fn table(rows: &[Row], tools: &[Tool], rounds: usize) -> Result<String> {
    let mut versions = Vec::new();
    for tool in tools {
        versions.push(tool.version()?);
    }
    let names: Vec<&str> = tools.iter().map(Tool::name).collect();
    Ok(format!(
        "Processor: {}; kernel {}; {}. Medians of up to {rounds} rounds, the tools in turn.\n\n{}",
        processor()?,
        kernel()?,
        versions.join("; "),
        lines(rows, &names)
    ))
}

fn lines(rows: &[Row], names: &[&str]) -> String {
    let mut text = String::from("| measurement | goal |");
    for (index, name) in names.iter().enumerate() {
        let ratio = if index > 0 { " ratio |" } else { "" };
        write!(text, " {name} |{ratio}").expect("a string can be written to");
    }
    text.push_str("\n|---|---:|");
    text.push_str(&"---:|".repeat(2 * names.len() - 1));
    text.push('\n');
    for row in rows {
        let goal = row.goal.map_or_else(|| "–".to_owned(), |goal| row.show(goal));
        write!(text, "| {} | {goal} |", row.what).expect("a string can be written to");
        for index in 0..names.len() {
            let figure = row.figures.get(index).copied().flatten();
            let figure = figure.map_or_else(|| "–".to_owned(), |figure| row.show(figure));
            write!(text, " {figure} |").expect("a string can be written to");
            if index > 0 {
                let ratio = row.ratio(index).map_or_else(|| "–".to_owned(), |r| format!("{r:.1}×"));
                write!(text, " {ratio} |").expect("a string can be written to");
            }
        }
        text.push('\n');
    }
    text
}

/// Puts a table between the marks of a document.
pub(super) fn write(file: &Path, table: &str) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let text = replaced(&text, table).with_context(|| format!("read {}", file.display()))?;
    fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    println!("written to {}", file.display());
    Ok(())
}

fn replaced(text: &str, table: &str) -> Result<String> {
    let Some((before, rest)) = text.split_once(BEGIN) else { bail!("there is no line `{BEGIN}`") };
    let Some((_, after)) = rest.split_once(END) else { bail!("there is no line `{END}`") };
    Ok(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", table.trim_end()))
}

fn processor() -> Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo").context("read /proc/cpuinfo")?;
    let count = text.lines().filter(|line| line.starts_with("processor")).count();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    // Not every architecture names its model.
    let name = name.map_or("of an unknown model", |(_, name)| name);
    Ok(format!("{name}, {count} cores"))
}

fn kernel() -> Result<String> {
    let text =
        fs::read_to_string("/proc/sys/kernel/osrelease").context("read the kernel's release")?;
    // Behind the numbers stands what its maker calls it.
    Ok(text.split('-').next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(figures: Vec<Option<f64>>, goal: Option<f64>) -> Row {
        Row { what: "a thing".to_owned(), unit: Unit::Milliseconds, figures, goal }
    }

    #[test]
    fn the_table_has_goals_and_ratios() {
        let rows =
            [row(vec![Some(20.0), Some(250.0)], Some(40.0)), row(vec![Some(1.0), None], None)];
        let found = lines(&rows, &["lathe", "other"]);
        let expected = "| measurement | goal | lathe | other | ratio |\n|---|---:|---:|---:|---:|\n\
                        | a thing | 40.0 ms | 20.0 ms | 250.0 ms | 12.5× |\n\
                        | a thing | – | 1.0 ms | – | – |\n";
        assert_eq!(found, expected);
    }

    #[test]
    fn a_goal_is_met_or_missed() {
        assert!(row(vec![Some(40.0)], Some(40.0)).is_met());
        assert!(!row(vec![Some(40.1)], Some(40.0)).is_met());
        assert!(row(vec![None], Some(40.0)).is_met());
    }

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let found = replaced(&text, "new\n").expect("has marks");
        assert_eq!(found, format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n"));
        assert!(replaced("a\n", "new").is_err());
    }
}
