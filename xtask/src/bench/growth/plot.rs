//! Plots as SVG, made by hand: two panels side by side, cost per unit and peak memory, over the number of units.
//!
//! The axes of units and of time are logarithmic, that of memory begins at zero: what stays flat is a level line. Colors come from a
//! style sheet in the file, with one set for light pages and one for dark ones.

use std::fmt::Write as _;

use super::{Point, Series, grouped, time, units};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 230.0;
/// The box of the lines of a panel.
const PANEL_WIDTH: f64 = 285.0;
const PANEL_HEIGHT: f64 = 140.0;
const TOP: f64 = 34.0;
const LEFTS: [f64; 2] = [70.0, 455.0];

const STYLE: &str = "\
text{font:11px system-ui,sans-serif;fill:#24292f}.t{font-weight:600}\
.g{stroke:#d0d7de;stroke-width:1}.l{fill:none;stroke-width:2}\
.s0{stroke:#0969da}.s1{stroke:#bc4c00}.p0{fill:#0969da}.p1{fill:#bc4c00}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.g{stroke:#3d444d}\
.s0{stroke:#58a6ff}.s1{stroke:#f0883e}.p0{fill:#58a6ff}.p1{fill:#f0883e}}";

/// A panel: where it is, what its values are, and how they are written.
struct Panel {
    left: f64,
    title: String,
    value: fn(Point) -> f64,
    show: fn(f64) -> String,
    scale: fn(&[f64]) -> Axis,
}

/// The axis of the values.
struct Axis {
    low: f64,
    high: f64,
    is_logarithmic: bool,
    /// Where lines are drawn.
    ticks: Vec<f64>,
}

impl Axis {
    /// From zero to a round number.
    fn linear(values: &[f64]) -> Self {
        let high = nice(values.iter().copied().fold(0.0, f64::max));
        Self { low: 0.0, high, is_logarithmic: false, ticks: vec![0.0, high / 2.0, high] }
    }

    /// From one power of ten to another.
    fn logarithmic(values: &[f64]) -> Self {
        let logarithms = values.iter().map(|value| value.max(1e-9).log10());
        let (low, high) = ends(logarithms);
        let (low, high) = (low.floor(), high.ceil().max(low.floor() + 1.0));
        let mut ticks = vec![low];
        while ticks.last().is_some_and(|last| *last < high - 0.5) {
            ticks.push(ticks[ticks.len() - 1] + 1.0);
        }
        let ticks = ticks.into_iter().map(|power| 10_f64.powf(power)).collect();
        Self { low, high, is_logarithmic: true, ticks }
    }

    /// Returns how high a value is on the page.
    fn y(&self, value: f64) -> f64 {
        let value = if self.is_logarithmic { value.max(1e-9).log10() } else { value };
        TOP + PANEL_HEIGHT * (1.0 - (value - self.low) / (self.high - self.low))
    }
}

/// Returns the least and the greatest of some numbers.
fn ends(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    numbers.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)))
}

/// Draws series, which have the same numbers of units.
pub(super) fn draw(unit: &str, all: &[Series]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" role=\"img\"><style>{STYLE}</style>\n"
    );
    let panels = [
        Panel {
            left: LEFTS[0],
            title: format!("time per {unit}"),
            value: |point| point.seconds / units(point),
            show: time,
            scale: Axis::logarithmic,
        },
        Panel {
            left: LEFTS[1],
            title: "peak memory".to_owned(),
            value: |point| point.megabytes,
            show: |megabytes| format!("{megabytes:.0} MB"),
            scale: Axis::linear,
        },
    ];
    for panel in &panels {
        panel.draw(unit, all, &mut svg);
    }
    legend(all, &mut svg);
    svg.push_str("</svg>\n");
    svg
}

impl Panel {
    fn draw(&self, unit: &str, all: &[Series], svg: &mut String) {
        let points = || all.iter().flat_map(|series| series.points.iter().copied());
        let values: Vec<f64> = points().map(self.value).collect();
        let axis = (self.scale)(&values);
        let (first, last) = ends(points().map(|point| units(point).log10()));
        let span = if last > first { last - first } else { 1.0 };
        let x = |point: Point| self.left + PANEL_WIDTH * (units(point).log10() - first) / span;

        let mut put = |line: String| {
            svg.push_str(&line);
            svg.push('\n');
        };
        put(format!("<text class=\"t\" x=\"{}\" y=\"16\">{}</text>", self.left, self.title));
        for tick in &axis.ticks {
            let (at, end) = (axis.y(*tick), self.left + PANEL_WIDTH);
            put(format!(
                "<line class=\"g\" x1=\"{}\" y1=\"{at:.1}\" x2=\"{end}\" y2=\"{at:.1}\"/>",
                self.left
            ));
            let label = (self.show)(*tick).replace(".00 ", " ").replace(".0 ", " ");
            put(format!(
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                self.left - 6.0,
                at + 4.0
            ));
        }
        for point in all.first().map_or(&[][..], |series| &series.points) {
            put(format!(
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                x(*point),
                TOP + PANEL_HEIGHT + 16.0,
                grouped(point.units)
            ));
        }
        put(format!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{unit}s</text>",
            self.left + PANEL_WIDTH,
            TOP + PANEL_HEIGHT + 32.0
        ));
        for (number, series) in all.iter().enumerate() {
            let mut path = String::new();
            for point in &series.points {
                write!(path, " {:.1},{:.1}", x(*point), axis.y((self.value)(*point)))
                    .expect("a string can be written to");
            }
            put(format!("<polyline class=\"l s{number}\" points=\"{}\"/>", path.trim_start()));
            for point in &series.points {
                put(format!(
                    "<circle class=\"p{number}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>{}: {}</title></circle>",
                    x(*point),
                    axis.y((self.value)(*point)),
                    grouped(point.units),
                    (self.show)((self.value)(*point))
                ));
            }
        }
    }
}

/// Writes which color is which series.
fn legend(all: &[Series], svg: &mut String) {
    let mut left = LEFTS[0];
    for (number, series) in all.iter().enumerate() {
        let name = series.what.replace('`', "");
        writeln!(
            svg,
            "<circle class=\"p{number}\" cx=\"{left}\" cy=\"{}\" r=\"4\"/><text x=\"{}\" y=\"{}\">{name}</text>",
            HEIGHT - 14.0,
            left + 9.0,
            HEIGHT - 10.0
        )
        .expect("a string can be written to");
        left += 200.0;
    }
}

/// Returns a round number at or above a value.
fn nice(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let step = [1.0, 2.0, 4.0, 6.0, 8.0].into_iter().find(|step| value <= step * power);
    step.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        let found = [0.0, 0.9, 1.5, 3.0, 70.0, 95.0].map(|value| format!("{:.1}", nice(value)));
        assert_eq!(found, ["1.0", "1.0", "2.0", "4.0", "80.0", "100.0"]);
    }

    #[test]
    fn a_level_cost_is_a_level_line() {
        let point = |units, seconds| Point { units, seconds, megabytes: 1.0 };
        let points = vec![point(10, 1.0), point(100, 10.0), point(1000, 100.0)];
        let svg = draw("step", &[Series { what: "x".to_owned(), points, missing: Vec::new() }]);
        assert!(svg.contains("points=\"70.0,174.0 212.5,174.0 355.0,174.0\""), "{svg}");
    }
}
