//! RFC 3339 text of a time, for logs.

use std::fmt::Write as _;

/// Returns nanoseconds since the Unix epoch as `2026-01-02T03:04:05.123456789Z`.
pub(crate) fn rfc3339(nanos: i64) -> String {
    let (seconds, fraction) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
    let mut text = lathe_oci::format_rfc3339(seconds);
    text.truncate(text.len() - "Z".len());
    // Writing to a string cannot fail.
    let _ok = write!(text, ".{fraction:09}Z");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_all_nine_digits() {
        for (nanos, want) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
            (1_767_323_045_123_456_789, "2026-01-02T03:04:05.123456789Z"),
        ] {
            assert_eq!(rfc3339(nanos), want);
        }
    }
}
