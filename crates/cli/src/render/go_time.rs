//! Times as Go prints them.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

/// The time zone in which local times are shown.
#[derive(Debug, Clone)]
pub(crate) struct Zone(TimeZone);

impl Zone {
    #[cfg(test)]
    pub(crate) fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The zone of this machine, from the bytes of `/etc/localtime`, where there is nothing
    /// else to go by: jiff would first look at all files of all zones.
    pub(crate) fn local(localtime: Option<&[u8]>) -> Self {
        let zone = localtime.and_then(|bytes| TimeZone::tzif("Local", bytes).ok());
        Self(zone.unwrap_or_else(TimeZone::system))
    }

    /// Prints seconds since 1970 as Go's `Time.String()`: `2023-11-20 10:00:00 +0000 UTC`.
    pub(crate) fn display(&self, seconds: i64) -> String {
        let time = Timestamp::from_second(seconds).unwrap_or_default().to_zoned(self.0.clone());
        time.strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
    }

    /// Prints as Go's `time.RFC3339` in this zone: `2023-11-20T10:00:00+01:00`.
    pub(crate) fn rfc3339(&self, seconds: i64) -> String {
        let time = Timestamp::from_second(seconds).unwrap_or_default().to_zoned(self.0.clone());
        if time.offset().is_zero() {
            time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        } else {
            time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
        }
    }
}

/// Prints as Go's `time.RFC3339Nano` in UTC: trailing zeros of the fraction are left out.
pub(crate) fn rfc3339(since_epoch: Duration) -> String {
    let time = Timestamp::try_from(since_epoch_signed(since_epoch)).unwrap_or_default();
    time.to_string()
}

fn since_epoch_signed(duration: Duration) -> std::time::SystemTime {
    std::time::UNIX_EPOCH + duration
}

/// Reads the value of `--since`: RFC 3339, a date, seconds since 1970, or a Go duration that
/// is counted back from `now`. Returns the time since 1970.
pub(crate) fn parse_moment(text: &str, now: Duration) -> Option<Duration> {
    if let Some(back) = go_duration(text) {
        return Some(now.saturating_sub(back));
    }
    if let Some(seconds) = text.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let time: Timestamp = text.parse().ok().or_else(|| {
        text.parse::<jiff::civil::DateTime>()
            .ok()?
            .to_zoned(TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp())
    })?;
    Duration::try_from(time.duration_since(Timestamp::UNIX_EPOCH)).ok()
}

/// Reads a duration such as `1h30m`, `42m`, `1.5s`.
fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..number].parse().ok()?;
        rest = &rest[number..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let seconds = match &rest[..unit] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += Duration::try_from_secs_f64(value * seconds).ok()?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_go_prints_them() {
        let zone = Zone::utc();
        assert_eq!(zone.display(1_700_474_400), "2023-11-20 10:00:00 +0000 UTC");
        assert_eq!(zone.rfc3339(1_700_474_400), "2023-11-20T10:00:00Z");
        let offset = Zone(TimeZone::fixed(jiff::tz::offset(1)));
        assert_eq!(offset.rfc3339(1_700_474_400), "2023-11-20T11:00:00+01:00");
        assert_eq!(rfc3339(Duration::new(1_700_474_400, 0)), "2023-11-20T10:00:00Z");
        assert_eq!(rfc3339(Duration::new(1_700_474_400, 120_000_000)), "2023-11-20T10:00:00.12Z");
        assert_eq!(rfc3339(Duration::new(0, 1)), "1970-01-01T00:00:00.000000001Z");
    }

    #[test]
    fn moments_are_absolute_or_counted_back() {
        let now = Duration::from_secs(10_000);
        let check = |text: &str, want: Option<f64>| {
            let got = parse_moment(text, now).map(|moment| moment.as_secs_f64());
            assert_eq!(got, want, "{text}");
        };
        check("42m", Some(7480.0));
        check("1h30m", Some(4600.0));
        check("1.5s", Some(9998.5));
        check("12", Some(12.0));
        check("1970-01-01T00:01:00Z", Some(60.0));
        check("1970-01-01T01:01:00+01:00", Some(60.0));
        check("1970-01-02", Some(86400.0));
        check("1970-01-01T00:00:05", Some(5.0));
        check("soon", None);
        check("", None);
    }
}
