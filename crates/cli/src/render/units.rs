//! Sizes and durations in the words of docker's `go-units`.

use std::time::Duration;

const DECIMAL: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];

/// Formats a size with up to four significant digits: `1.235MB`.
pub(crate) fn human_size(bytes: u64) -> String {
    decimal(bytes, 4)
}

/// Formats a size with up to three significant digits, as the SIZE of images: `133MB`.
pub(crate) fn human_size_3(bytes: u64) -> String {
    decimal(bytes, 3)
}

#[expect(clippy::cast_precision_loss, reason = "at most four digits are shown")]
fn decimal(bytes: u64, digits: usize) -> String {
    let mut size = bytes as f64;
    let mut unit = 0;
    // A value that rounds up to 1000 moves on to the next unit; docker prints "1e+03MB".
    while unit + 1 < DECIMAL.len() && rounded(size, digits) >= 1000.0 {
        size /= 1000.0;
        unit += 1;
    }
    format!("{}{}", general(size, digits), DECIMAL[unit])
}

fn rounded(value: f64, digits: usize) -> f64 {
    // Below 1000 there are at most three digits before the point.
    let places = decimals(value, digits);
    format!("{value:.places$}").parse().unwrap_or(value)
}

/// Formats as C's `%.{digits}g` for values from 0 to 1000: no trailing zeros.
fn general(value: f64, digits: usize) -> String {
    let places = decimals(value, digits);
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn decimals(value: f64, digits: usize) -> usize {
    let before = match value {
        v if v >= 100.0 => 3,
        v if v >= 10.0 => 2,
        _ => 1,
    };
    digits.saturating_sub(before)
}

/// Formats a duration roughly: `About a minute`, `3 weeks`.
pub(crate) fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match (seconds, minutes, hours) {
        (0, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (2..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, 2..60, _) => format!("{minutes} minutes"),
        (.., 1) => "About an hour".to_owned(),
        (.., 2..48) => format!("{hours} hours"),
        (.., 48..336) => format!("{} days", hours / 24),
        (.., 336..1440) => format!("{} weeks", hours / 24 / 7),
        (.., 1440..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_go_units_prints_them() {
        let cases: [(u64, &str, &str); 12] = [
            (0, "0B", "0B"),
            (1, "1B", "1B"),
            (999, "999B", "999B"),
            (1000, "1kB", "1kB"),
            (1024, "1.024kB", "1.02kB"),
            (1_234_567, "1.235MB", "1.23MB"),
            (5_580_000, "5.58MB", "5.58MB"),
            (132_900_000, "132.9MB", "133MB"),
            (999_960_000, "1GB", "1GB"),
            (999_600_000, "999.6MB", "1GB"),
            (1_140_000_000, "1.14GB", "1.14GB"),
            (u64::MAX, "18.45EB", "18.4EB"),
        ];
        for (bytes, four, three) in cases {
            assert_eq!(human_size(bytes), four, "{bytes}");
            assert_eq!(human_size_3(bytes), three, "{bytes}");
        }
    }

    #[test]
    fn durations_read_as_go_units_prints_them() {
        const HOUR: u64 = 3600;
        const DAY: u64 = 24 * HOUR;
        let cases: [(u64, &str); 20] = [
            (0, "Less than a second"),
            (1, "1 second"),
            (45, "45 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (180, "3 minutes"),
            (59 * 60 + 59, "59 minutes"),
            (HOUR, "About an hour"),
            (HOUR + 1799, "About an hour"),
            (HOUR + 1800, "2 hours"),
            (47 * HOUR, "47 hours"),
            (2 * DAY, "2 days"),
            (13 * DAY, "13 days"),
            (14 * DAY, "2 weeks"),
            (59 * DAY, "8 weeks"),
            (60 * DAY, "2 months"),
            (365 * DAY, "12 months"),
            (729 * DAY, "24 months"),
            (730 * DAY, "2 years"),
            (1100 * DAY, "3 years"),
        ];
        for (seconds, want) in cases {
            assert_eq!(human_duration(Duration::from_secs(seconds)), want, "{seconds}");
        }
    }
}
