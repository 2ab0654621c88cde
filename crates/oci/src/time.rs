//! Points in time: as documents write them (RFC 3339), and as builds are told them.

/// Parses the value of `SOURCE_DATE_EPOCH`: seconds since 1970, in decimal digits; `None` for
/// anything else.
///
/// A sign, spaces and fractions are none of it (reproducible-builds.org, the
/// specification of it), nor is a time that RFC 3339 cannot write: years have four digits.
pub fn parse_epoch(text: &str) -> Option<i64> {
    const YEAR_10000: i64 = 253_402_300_800;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|seconds| *seconds < YEAR_10000)
}

/// Parses `2024-01-31T12:00:00.123+01:00` to seconds since 1970, fractions dropped.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let field = |from: usize, to: usize| -> Option<i64> {
        let part = bytes.get(from..to)?;
        part.iter().try_fold(0, |sum, byte| {
            byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0'))
        })
    };
    let separator = |at: usize, want: &[u8]| bytes.get(at).filter(|byte| want.contains(byte));
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    separator(4, b"-").and(separator(7, b"-")).and(separator(10, b"Tt "))?;
    separator(13, b":").and(separator(16, b":"))?;
    let in_range = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 60;
    if !in_range {
        return None;
    }
    let rest = &text[19..];
    let zone = rest
        .strip_prefix('.')
        .map_or(rest, |fraction| fraction.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds - zone_offset(zone)?)
}

/// Returns how many seconds a zone is ahead of UTC.
fn zone_offset(zone: &str) -> Option<i64> {
    if zone == "Z" || zone == "z" {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone[1..].split_once(':')?;
    let number = |text: &str| (text.len() == 2).then(|| text.parse::<i64>().ok()).flatten();
    Some(sign * (number(hours)? * 3600 + number(minutes)? * 60))
}

/// Days from a date of the Gregorian calendar (Howard Hinnant's `days_from_civil`).
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Returns a time as RFC 3339 has it, in UTC: `2024-01-31T12:00:00Z`.
pub fn format_rfc3339(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Returns the date of a day counted from 1970 (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_configs_are_read() {
        let check = |text: &str, seconds| assert_eq!(parse_rfc3339(text), seconds, "{text}");
        check("1970-01-01T00:00:00Z", Some(0));
        check("2024-02-29T12:34:56.789012345Z", Some(1_709_210_096));
        check("2024-02-29T13:34:56+01:00", Some(1_709_210_096));
        check("2000-01-01T00:00:00-05:30", Some(946_704_600));
        check("0001-01-01T00:00:00Z", Some(-62_135_596_800));
        check("1969-12-31T23:59:59Z", Some(-1));
        for wrong in ["", "2024", "2024-13-01T00:00:00Z", "2024-01-01T00:00:00", "yesterday at 4"] {
            check(wrong, None);
        }
        check("2024-01-01T00:00:00+1:00", None);
        check("2024-01-01T00:00:00é", None);
    }

    #[test]
    fn epochs_are_whole_seconds() {
        let check = |text: &str, seconds| assert_eq!(parse_epoch(text), seconds, "{text}");
        check("0", Some(0));
        check("1700000000", Some(1_700_000_000));
        check("007", Some(7));
        check("253402300799", Some(253_402_300_799));
        for wrong in
            ["", "-1", "+1", " 1", "1.5", "1e3", "context", "253402300800", "9".repeat(30).as_str()]
        {
            check(wrong, None);
        }
    }

    #[test]
    fn times_are_written_and_read_alike() {
        let check = |seconds, text: &str| {
            assert_eq!(format_rfc3339(seconds), text);
            assert_eq!(parse_rfc3339(text), Some(seconds));
        };
        check(0, "1970-01-01T00:00:00Z");
        check(951_827_696, "2000-02-29T12:34:56Z");
        check(1_704_067_199, "2023-12-31T23:59:59Z");
        check(-1, "1969-12-31T23:59:59Z");
    }
}
