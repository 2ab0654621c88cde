//! Dates of HTTP (RFC 9110, section 5.6.7): the one form that is written, and the two obsolete
//! ones that must be read.

use lathe_oci::parse_rfc3339;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Returns the seconds since 1970.
pub(super) fn parse(text: &str) -> Option<i64> {
    let fields: Vec<&str> = text.split([' ', '-']).filter(|field| !field.is_empty()).collect();
    let (day, month, year, time) = match fields.as_slice() {
        // `Sun, 06 Nov 1994 08:49:37 GMT` and `Sunday, 06-Nov-94 08:49:37 GMT`
        [weekday, day, month, year, time, "GMT" | "UTC"] if weekday.ends_with(',') => {
            (*day, *month, *year, *time)
        }
        // `Sun Nov  6 08:49:37 1994`
        [_, month, day, time, year] => (*day, *month, *year, *time),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let day: u8 = day.parse().ok()?;
    let mut full: u16 = year.parse().ok()?;
    if year.len() == 2 {
        // As Go and curl have it; the specification's rule looks at the clock.
        full += if full >= 69 { 1900 } else { 2000 };
    }
    parse_rfc3339(&format!("{full:04}-{month:02}-{day:02}T{time}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_read() {
        let check = |text: &str, expected| assert_eq!(parse(text), expected, "{text}");
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777));
        check("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777));
        check("Sun Nov  6 08:49:37 1994", Some(784_111_777));
        check("Thu, 01 Jan 1970 00:00:00 GMT", Some(0));
        check("Wed, 21 Oct 2026 07:28:00 UTC", Some(1_792_567_680));
        check("Monday, 01-Jan-24 00:00:00 GMT", Some(1_704_067_200));
    }

    #[test]
    fn anything_else_is_no_date() {
        for text in ["", "0", "now", "Sun, 06 Nov 1994", "Sun, 06 Xxx 1994 08:49:37 GMT"] {
            assert_eq!(parse(text), None, "{text}");
        }
        for text in ["Sun, 06 Nov 1994 8:49:37 GMT", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
