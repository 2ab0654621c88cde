//! `cargo xtask bench growth`: what one more file, step, stage, layer or image costs when there are many already.
//!
//! Each kind of work is built in several sizes, a table tells the time per unit and the peak of memory, and a plot
//! shows both. Two costs are told: the whole time divided by the units, which the start of the program makes larger
//! for small work, and the time that the further units of a size took beyond the size before, which hides nothing.

mod kinds;
mod plot;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};

use self::kinds::KINDS;
use super::place::Place;
use super::report::{self, Circumstances, Part};
use super::tool::Tool;
use super::{Request, USAGE};
use crate::lathe::Lathe;
use crate::{registries, sh};

/// How much the cost per unit may grow from the first size to the last.
const FLAT: f64 = 1.3;

/// One size of a kind of work.
#[derive(Debug, Clone, Copy)]
struct Point {
    units: usize,
    seconds: f64,
    megabytes: f64,
}

/// A kind of work in all its sizes.
#[derive(Debug)]
struct Series {
    what: String,
    points: Vec<Point>,
    /// Sizes that could not be built, and why.
    missing: Vec<(usize, String)>,
}

/// What kinds of work are measured with.
#[derive(Debug)]
struct Bench<'a> {
    place: &'a Place,
    /// The tool with a store that has a base image; each size is built in one of its own.
    tool: Tool,
    lathe: Lathe,
}

/// Runs the task.
pub(super) fn run(request: &Request) -> Result<ExitCode> {
    for only in &request.only {
        ensure!(KINDS.iter().any(|kind| kind.name == only), "no growth of `{only}`\n{USAGE}");
    }
    let place = Place::make()?;
    let registries = registries::prepare(place.folder())?;
    let lathe = request.lathe(place.folder(), &registries.file)?;
    let bench = Bench { place: &place, tool: Tool::Lathe(lathe.clone()), lathe };
    let versions = [bench.tool.version()?];
    let run = Circumstances { versions: &versions, rounds: 3, place: place.kind };
    let mut text = format!("{}\n", report::machine(&run)?);
    let plots = sh::repository().join("docs/benchmarks");
    for kind in KINDS.iter().filter(|kind| request.wants(kind.name)) {
        let all = (kind.measure)(&bench)?;
        let section = section(kind.name, kind.title, kind.unit, &all);
        println!("\n{section}");
        text.push('\n');
        text.push_str(&section);
        if request.only.is_empty() {
            fs::create_dir_all(&plots).with_context(|| format!("create {}", plots.display()))?;
            save(&plots.join(format!("{}.svg", kind.name)), &plot::draw(kind.unit, &all))?;
        }
    }
    if request.only.is_empty() {
        report::write(&sh::repository().join("docs/benchmarks.md"), Part::Growth, &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn save(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

/// Returns the part of the document about one kind of work.
fn section(name: &str, title: &str, unit: &str, all: &[Series]) -> String {
    let mut text = format!(
        "### {title}\n\n![time per {unit} and peak memory](benchmarks/{name}.svg)\n\n\
         | work | {unit}s | whole | per {unit} | per further {unit} | peak memory |\n\
         |---|---:|---:|---:|---:|---:|\n"
    );
    for series in all {
        let mut before: Option<Point> = None;
        for point in &series.points {
            let further = before.map_or_else(|| "–".to_owned(), |last| time(further(last, *point)));
            writeln!(
                text,
                "| {} | {} | {} | {} | {further} | {:.0} MB |",
                series.what,
                grouped(point.units),
                time(point.seconds),
                time(point.seconds / units(*point)),
                point.megabytes,
            )
            .expect("a string can be written to");
            before = Some(*point);
        }
        for (units, reason) in &series.missing {
            writeln!(text, "| {} | {} | {reason} | | | |", series.what, grouped(*units))
                .expect("a string can be written to");
        }
    }
    text.push('\n');
    for series in all {
        writeln!(text, "{}", verdict(unit, series)).expect("a string can be written to");
    }
    text
}

/// Says whether the cost stays flat.
fn verdict(unit: &str, series: &Series) -> String {
    let points = &series.points;
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let whole = last.seconds / units(*last) / (first.seconds / units(*first));
    let word = if whole <= FLAT { "flat" } else { "**not flat**" };
    let mut text =
        format!("- {}: {word}, the last {unit} costs {whole:.2} of the first", series.what);
    let steps: Vec<f64> = points.windows(2).map(|pair| further(pair[0], pair[1])).collect();
    if let (Some(first), Some(last), true) = (steps.first(), steps.last(), steps.len() > 1) {
        write!(text, "; of further {unit}s {:.2}", last / first)
            .expect("a string can be written to");
    }
    text + "."
}

/// Returns what each unit costs that the second has more than the first.
fn further(before: Point, point: Point) -> f64 {
    (point.seconds - before.seconds) / (units(point) - units(before))
}

fn units(point: Point) -> f64 {
    f64::from(u32::try_from(point.units).expect("not so many"))
}

/// Shows seconds, in the unit that fits.
fn time(seconds: f64) -> String {
    match seconds.abs() {
        s if s >= 1.0 => format!("{seconds:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", seconds * 1e3),
        _ => format!("{:.1} µs", seconds * 1e6),
    }
}

/// Shows a number with commas between the thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(figures: &[(usize, f64)]) -> Series {
        let point = |&(units, seconds)| Point { units, seconds, megabytes: 10.0 };
        Series {
            what: "x".to_owned(),
            points: figures.iter().map(point).collect(),
            missing: Vec::new(),
        }
    }

    #[test]
    fn cost_per_unit_is_flat_or_not() {
        let flat = series(&[(10, 1.0), (100, 10.0), (1000, 100.0)]);
        let expected = "- x: flat, the last step costs 1.00 of the first; of further steps 1.00.";
        assert_eq!(verdict("step", &flat), expected);
        let steep = series(&[(10, 1.0), (100, 20.0)]);
        assert!(verdict("step", &steep).contains("**not flat**, the last step costs 2.00"));
    }

    #[test]
    fn times_and_numbers_are_readable() {
        let found = [2.5, 0.0025, 0.000_002_5].map(time);
        assert_eq!(found, ["2.50 s", "2.50 ms", "2.5 µs"]);
        assert_eq!([1, 1000, 1_000_000].map(grouped), ["1", "1,000", "1,000,000"]);
    }
}
