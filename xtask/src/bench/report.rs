//! The table of figures, and its place in a document.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::row::{Row, Unit};

/// The name of a part of a document that a program writes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Table,
    Growth,
}

impl Part {
    fn begin(self) -> &'static str {
        match self {
            Self::Table => "<!-- begin: written by `cargo xtask bench` -->",
            Self::Growth => "<!-- begin: written by `cargo xtask bench growth` -->",
        }
    }
}

const END: &str = "<!-- end -->";

/// What a figure was measured with, as a sentence each.
#[derive(Debug)]
pub(super) struct Circumstances<'a> {
    pub(super) versions: &'a [String],
    pub(super) rounds: usize,
    /// The kind of file system of the work.
    pub(super) place: &'a str,
}

/// Returns the table of a run on this machine; `names` are the tools', lathe's first.
pub(super) fn table(rows: &[Row], names: &[&str], run: &Circumstances<'_>) -> Result<String> {
    let mut text = format!("{}\n\n{}", machine(run)?, lines(rows, names));
    for note in rows.iter().filter(|row| !row.note.is_empty()) {
        write!(text, "\n{}: {}.\n", note.id, note.note).expect("a string can be written to");
    }
    Ok(text)
}

/// Returns the sentences that say what was measured with.
pub(super) fn machine(run: &Circumstances<'_>) -> Result<String> {
    Ok(format!(
        "Processor: {}; kernel {}; {}. Work and stores on {}. Medians of up to {} rounds, the tools in turn.",
        processor()?,
        kernel()?,
        run.versions.join("; "),
        run.place,
        run.rounds,
    ))
}

fn lines(rows: &[Row], names: &[&str]) -> String {
    let mut text = String::from("| id | measurement | lathe | at most | reached | floor |");
    for name in &names[1..] {
        write!(text, " {name} | ratio |").expect("a string can be written to");
    }
    text.push_str(" BuildKit, elsewhere |\n|---|---|---:|---:|---|---:|");
    text.push_str(&"---:|".repeat(2 * (names.len() - 1) + 1));
    text.push('\n');
    for row in rows {
        let show = |figure: Option<f64>| {
            figure.map_or_else(|| "–".to_owned(), |figure| row.unit.show(figure))
        };
        let reached = match row.is_reached() {
            None => "–",
            Some(true) => "yes",
            Some(false) => "**no**",
        };
        write!(
            text,
            "| {} | {} | {} | {} | {reached} | {} |",
            row.id,
            row.what,
            show(row.own()),
            show(row.limit),
            show(row.floor),
        )
        .expect("a string can be written to");
        for tool in 1..names.len() {
            let ratio = row.ratio(tool).map_or_else(|| "–".to_owned(), |r| format!("{r:.1}×"));
            let figure = row.figures.get(tool).copied().flatten();
            write!(text, " {} | {ratio} |", show(figure)).expect("a string can be written to");
        }
        writeln!(text, " {} |", show(row.elsewhere)).expect("a string can be written to");
    }
    text
}

impl Unit {
    pub(super) fn show(self, figure: f64) -> String {
        match self {
            Self::Seconds if figure < 1.0 => format!("{figure:.3} s"),
            Self::Seconds => format!("{figure:.2} s"),
            Self::Milliseconds => format!("{figure:.1} ms"),
            Self::Megabytes => format!("{figure:.0} MB"),
        }
    }
}

/// Puts a text between the marks of a part of a document.
pub(super) fn write(file: &Path, part: Part, new: &str) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let text = replaced(&text, part, new).with_context(|| format!("read {}", file.display()))?;
    fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    println!("written to {}", file.display());
    Ok(())
}

fn replaced(text: &str, part: Part, new: &str) -> Result<String> {
    let begin = part.begin();
    let Some((before, rest)) = text.split_once(begin) else { bail!("there is no line `{begin}`") };
    let Some((_, after)) = rest.split_once(END) else { bail!("there is no line `{END}`") };
    Ok(format!("{before}{begin}\n\n{}\n\n{END}{after}", new.trim_end()))
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

    #[test]
    fn the_table_has_goals_and_ratios() {
        let row = Row::new("x", "a thing", Unit::Milliseconds, vec![Some(20.0), Some(250.0)]);
        let rows = [
            row.at_most(40.0).floor(Some(5.0)).elsewhere(60.0),
            Row::new("y", "another", Unit::Seconds, vec![Some(1.0), None]).at_most(0.5),
        ];
        let found = lines(&rows, &["lathe", "other"]);
        let expected = "\
            | id | measurement | lathe | at most | reached | floor | other | ratio | BuildKit, elsewhere |\n\
            |---|---|---:|---:|---|---:|---:|---:|---:|\n\
            | x | a thing | 20.0 ms | 40.0 ms | yes | 5.0 ms | 250.0 ms | 12.5× | 60.0 ms |\n\
            | y | another | 1.00 s | 0.500 s | **no** | – | – | – | – |\n";
        assert_eq!(found, expected);
    }

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let begin = Part::Growth.begin();
        let other = Part::Table.begin();
        let text = format!("a\n{other}\nx\n{END}\n{begin}\nold\n{END}\nb\n");
        let found = replaced(&text, Part::Growth, "new\n").expect("has marks");
        let expected = format!("a\n{other}\nx\n{END}\n{begin}\n\nnew\n\n{END}\nb\n");
        assert_eq!(found, expected);
        assert!(replaced("a\n", Part::Table, "new").is_err());
    }
}
