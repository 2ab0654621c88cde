//! Durations as Go writes them: `1m30s`, `1.5h`, `200ms`.

use std::time::Duration;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Reads a duration as Go's `time.ParseDuration` does; negative ones are no
/// durations here.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let number =
            rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (digits, behind) = rest.split_at(number);
        let unit = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        nanos = nanos.checked_add(scaled(digits, unit_nanos(&behind[..unit])?)?)?;
        rest = &behind[unit..];
    }
    // Go's durations are signed 64 bit nanoseconds.
    let nanos = u64::try_from(nanos).ok().filter(|&nanos| i64::try_from(nanos).is_ok())?;
    Some(Duration::from_nanos(nanos))
}

fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => NANOS_PER_SECOND,
        "m" => 60 * NANOS_PER_SECOND,
        "h" => 3_600 * NANOS_PER_SECOND,
        _ => return None,
    })
}

/// `digits` (with at most one point) times `unit`.
fn scaled(digits: &str, unit: u64) -> Option<u128> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut nanos = 0;
    if !whole.is_empty() {
        nanos = whole.parse::<u128>().ok()?.checked_mul(u128::from(unit))?;
    }
    let mut place = u128::from(unit);
    for digit in fraction.chars() {
        place /= 10;
        nanos += u128::from(digit.to_digit(10)?) * place;
    }
    Some(nanos)
}

/// Writes a duration as Go's `Duration.String` does.
pub(crate) fn format(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < NANOS_PER_SECOND {
        let (unit, name) = match nanos {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{}{name}", decimal(nanos, unit));
    }
    let minutes = nanos / (60 * NANOS_PER_SECOND);
    let seconds = decimal(nanos % (60 * NANOS_PER_SECOND), NANOS_PER_SECOND);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / unit` with no more digits than it needs; `unit` is a power of ten.
fn decimal(value: u64, unit: u64) -> String {
    let (whole, fraction) = (value / unit, value % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::{format, parse};

    #[test]
    fn durations_read_and_write_as_in_go() {
        let round = |text: &str| parse(text).map(format);
        assert_eq!(round("90s").as_deref(), Some("1m30s"));
        assert_eq!(round("1.5h").as_deref(), Some("1h30m0s"));
        assert_eq!(round("1h2m3.5s").as_deref(), Some("1h2m3.5s"));
        assert_eq!(round("200ms").as_deref(), Some("200ms"));
        assert_eq!(round("1500us").as_deref(), Some("1.5ms"));
        assert_eq!(round("0").as_deref(), Some("0s"));
        for bad in ["", "5", "s", "-1s", "1x", "1.2.3s", ".s", "99999999999h"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
