//! One line for a transfer: a bar, the bytes, the rate and the time left.
//!
//! The rate is that of the last seconds, since a mean from the start would still show the
//! speed of a connection that has broken down.

use std::{collections::VecDeque, time::Duration};

use super::cells;
use crate::render::human_size;

/// What a rate is measured over.
const WINDOW: Duration = Duration::from_secs(5);
/// The least time between two samples, and the least that a rate is told of.
const SAMPLE: Duration = Duration::from_millis(200);
/// The widest bar, as docker's.
const WIDEST: usize = 50;
/// A bar that is narrower tells nothing.
const NARROWEST: usize = 10;

/// Measures the speed of a transfer.
#[derive(Debug, Default)]
pub(super) struct Meter {
    samples: VecDeque<(Duration, u64)>,
}

impl Meter {
    /// Takes how many bytes are done.
    pub(super) fn note(&mut self, now: Duration, done: u64) {
        match self.samples.back() {
            Some((at, _)) if now.saturating_sub(*at) < SAMPLE && self.samples.len() > 1 => {}
            _ => self.samples.push_back((now, done)),
        }
        while self.samples.len() > 2 && now.saturating_sub(self.samples[1].0) >= WINDOW {
            self.samples.pop_front();
        }
    }

    /// Returns bytes per second, once there is enough to tell.
    pub(super) fn rate(&self, now: Duration, done: u64) -> Option<u64> {
        let recent = self.samples.iter().find(|(at, _)| now.saturating_sub(*at) <= WINDOW);
        let (at, before) = recent.or(self.samples.back())?;
        let spent = now.saturating_sub(*at);
        let millis = u64::try_from(spent.as_millis()).ok().filter(|_| spent >= SAMPLE)?;
        Some(done.saturating_sub(*before).saturating_mul(1000) / millis)
    }
}

/// Draws `label: Verb [==>  ]  1.2MB/3.4MB  5.1MB/s  3s left` into at most `columns`; what does
/// not fit goes: first the bar, then the rate, then the time left.
pub(super) fn line(
    label: &str,
    done: u64,
    total: Option<u64>,
    rate: Option<u64>,
    columns: usize,
) -> String {
    let total = total.filter(|total| *total > 0);
    let done = total.map_or(done, |total| done.min(total));
    let speed = rate.map(|rate| format!("  {}/s", human_size(rate))).unwrap_or_default();
    let Some(total) = total else {
        return cells::shorten(&format!("{label} {}{speed}", human_size(done)), columns);
    };
    let bytes = format!("{}/{}", human_size(done), human_size(total));
    let left = match rate {
        Some(rate) if rate > 0 && done < total => {
            format!("  {} left", time_left((total - done).div_ceil(rate)))
        }
        _ => String::new(),
    };
    let whole = format!("{bytes}{speed}{left}");
    let room = columns.saturating_sub(cells::width(label) + cells::width(&whole) + 5);
    if room >= NARROWEST {
        return format!("{label} [{}]  {whole}", bar(done, total, room.min(WIDEST)));
    }
    let shorter = [format!("{label} {whole}"), format!("{label} {bytes}{left}")];
    let fits = shorter.into_iter().find(|text| cells::width(text) <= columns);
    fits.unwrap_or_else(|| cells::shorten(&format!("{label} {bytes}"), columns))
}

fn bar(done: u64, total: u64, width: usize) -> String {
    let share = u128::from(done) * width as u128 / u128::from(total);
    let filled = usize::try_from(share).unwrap_or(width).min(width);
    if filled == width {
        return "=".repeat(width);
    }
    format!("{}>{}", "=".repeat(filled), " ".repeat(width - filled - 1))
}

fn time_left(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_line_tells_how_far_how_fast_and_how_long() {
        let check = |done, total, rate, columns, want: &str| {
            assert_eq!(line("x: Pulling", done, total, rate, columns), want);
        };
        let half = format!("[{}>{}]", "=".repeat(25), " ".repeat(24));
        let (mb, fast) = (Some(3_000_000), Some(1_500_000));
        let want = format!("x: Pulling {half}  1.5MB/3MB  1.5MB/s  1s left");
        check(1_500_000, mb, fast, 200, &want);
        let want = "x: Pulling [=====>     ]  1.5MB/3MB  1.5MB/s  1s left";
        check(1_500_000, mb, fast, 53, want);
        check(1_500_000, mb, fast, 51, "x: Pulling 1.5MB/3MB  1.5MB/s  1s left");
        check(1_500_000, mb, fast, 30, "x: Pulling 1.5MB/3MB  1s left");
        check(1_500_000, mb, fast, 20, "x: Pulling 1.5MB/3MB");
        check(1_500_000, mb, fast, 12, "x: Pulling …");
        check(3_000_000, mb, None, 40, "x: Pulling [==================]  3MB/3MB");
        check(0, Some(10), None, 31, "x: Pulling [>         ]  0B/10B");
        check(1000, None, Some(2000), 80, "x: Pulling 1kB  2kB/s");
        check(20, Some(10), None, 20, "x: Pulling 10B/10B");
        check(0, Some(0), None, 20, "x: Pulling 0B");
    }

    #[test]
    fn no_width_is_overrun() {
        for columns in 0..120 {
            let text = line("213ec9aee27d: Downloading", 5, Some(9_000_000), Some(3), columns);
            assert!(cells::width(&text) <= columns, "{columns}: {text}");
        }
    }

    #[test]
    fn times_are_short() {
        assert_eq!(time_left(59), "59s");
        assert_eq!(time_left(61), "1m01s");
        assert_eq!(time_left(3 * 3600 + 125), "3h02m");
    }

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let mut meter = Meter::default();
        meter.note(ms(0), 0);
        assert_eq!(meter.rate(ms(100), 10), None, "too early to tell");
        assert_eq!(meter.rate(ms(1000), 500), Some(500));
        for second in 1..=20 {
            meter.note(ms(second * 1000), second * 1000);
        }
        for second in 21..=40 {
            meter.note(ms(second * 1000), 20_000 + (second - 20) * 10);
        }
        assert_eq!(meter.rate(ms(40_000), 20_200), Some(10), "what was before is forgotten");
        assert_eq!(meter.rate(ms(90_000), 20_200), Some(0), "a silent connection has none");
        assert!(meter.samples.len() < 40);
    }
}
