//! Names of signals, as `STOPSIGNAL` takes them.

const NAMES: [&str; 35] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "UNUSED", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// Tells whether a text is a name, with or without `SIG`, or a number of a signal.
pub(super) fn is_signal(name: &str) -> bool {
    // Which numbers mean something is the business of the kernel that the image is run on.
    if let Ok(number) = name.parse::<u32>() {
        return number > 0;
    }
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let near = |rest: &str, sign: char, most: u8| {
        let count = rest.strip_prefix(sign).and_then(|digits| digits.parse::<u8>().ok());
        rest.is_empty() || count.is_some_and(|count| count <= most)
    };
    NAMES.contains(&bare)
        || bare.strip_prefix("RTMIN").is_some_and(|rest| near(rest, '+', 15))
        || bare.strip_prefix("RTMAX").is_some_and(|rest| near(rest, '-', 14))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_names_or_numbers() {
        for name in ["SIGTERM", "term", "9", "64", "SIGRTMIN+3", "RTMAX", "RTMAX-14", "sigkill"] {
            assert!(is_signal(name), "{name}");
        }
        for name in ["", "0", "SIGNOPE", "-1", "RTMIN-3", "RTMAX+1", "RTMIN+16", "SIGé"] {
            assert!(!is_signal(name), "{name}");
        }
    }
}
