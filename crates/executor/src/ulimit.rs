//! `--ulimit` as docker reads it (`github.com/docker/go-units`,
//! `ParseUlimit`): `name=soft[:hard]`, `-1` for no limit. Pure.

use std::fmt;
use std::str::FromStr;

use crate::Resource;
use crate::Rlimit;

/// A limit that is none.
pub const UNLIMITED: u64 = u64::MAX;

/// Names and resources, in the order of the names.
const NAMES: [(&str, Resource); 15] = [
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

/// Why a limit cannot be read. Each text holds the limit as it was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UlimitError {
    #[error("`{given}` is no limit: write `NAME=SOFT` or `NAME=SOFT:HARD`, as `nofile=1024:4096`")]
    NoValue { given: String },
    #[error("`{given}`: there is no limit `{name}`; there are {}", names())]
    UnknownName { given: String, name: String },
    #[error("`{given}`: `{value}` is no number; -1 stands for no limit")]
    NoNumber { given: String, value: String },
    #[error("`{given}`: there can be a soft and a hard limit, no third")]
    TooManyValues { given: String },
    #[error("`{given}`: the soft limit {soft} is above the hard limit {hard}")]
    SoftAboveHard { given: String, soft: Value, hard: Value },
}

/// A limit in the words of the option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value(u64);

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == UNLIMITED { formatter.write_str("-1 (none)") } else { self.0.fmt(formatter) }
    }
}

fn names() -> String {
    NAMES.map(|(name, _)| name).join(", ")
}

impl Resource {
    /// Returns docker's name.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, resource)| *resource == self).map_or("", |(name, _)| name)
    }
}

impl FromStr for Rlimit {
    type Err = UlimitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let given = || text.to_owned();
        let no_value = || UlimitError::NoValue { given: given() };
        let (name, values) = text.split_once('=').ok_or_else(no_value)?;
        let resource = NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, resource)| *resource)
            .ok_or_else(|| UlimitError::UnknownName { given: given(), name: name.to_owned() })?;
        let number = |value: &str| {
            number(value)
                .ok_or_else(|| UlimitError::NoNumber { given: given(), value: value.to_owned() })
        };
        let mut values = values.split(':');
        let soft = number(values.next().ok_or_else(no_value)?)?;
        let hard = values.next().map_or(Ok(soft), number)?;
        if values.next().is_some() {
            return Err(UlimitError::TooManyValues { given: given() });
        }
        if soft > hard {
            let (soft, hard) = (Value(soft), Value(hard));
            return Err(UlimitError::SoftAboveHard { given: given(), soft, hard });
        }
        Ok(Self { resource, soft, hard })
    }
}

/// No limit is above every limit, as in the kernel.
fn number(text: &str) -> Option<u64> {
    match text.parse::<i64>() {
        Ok(-1) => Some(UNLIMITED),
        Ok(number) => u64::try_from(number).ok(),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, resource: Resource, soft: u64, hard: u64) {
        assert_eq!(text.parse(), Ok(Rlimit { resource, soft, hard }), "{text}");
    }

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        assert_eq!(text.parse::<Rlimit>().expect_err(text).to_string(), expected);
    }

    #[test]
    fn one_value_is_both_limits() {
        check("nofile=1024", Resource::Nofile, 1024, 1024);
        check("nofile=1024:4096", Resource::Nofile, 1024, 4096);
        check("core=0", Resource::Core, 0, 0);
    }

    #[test]
    fn minus_one_is_no_limit() {
        check("memlock=-1", Resource::Memlock, UNLIMITED, UNLIMITED);
        check("memlock=-1:-1", Resource::Memlock, UNLIMITED, UNLIMITED);
        check("stack=8192:-1", Resource::Stack, 8192, UNLIMITED);
    }

    #[test]
    fn every_name_is_known_and_told() {
        for (name, resource) in NAMES {
            check(&format!("{name}=1"), resource, 1, 1);
            assert_eq!(resource.name(), name);
        }
    }

    #[test]
    fn errors_name_what_is_wrong() {
        check_error(
            "nofile",
            "`nofile` is no limit: write `NAME=SOFT` or `NAME=SOFT:HARD`, as `nofile=1024:4096`",
        );
        check_error(
            "files=1",
            "`files=1`: there is no limit `files`; there are core, cpu, data, fsize, locks, \
             memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack",
        );
        check_error("cpu=x", "`cpu=x`: `x` is no number; -1 stands for no limit");
        check_error("cpu=", "`cpu=`: `` is no number; -1 stands for no limit");
        check_error("cpu=1:", "`cpu=1:`: `` is no number; -1 stands for no limit");
        check_error("cpu=-2", "`cpu=-2`: `-2` is no number; -1 stands for no limit");
        check_error("cpu=1:2:3", "`cpu=1:2:3`: there can be a soft and a hard limit, no third");
        check_error("cpu=2:1", "`cpu=2:1`: the soft limit 2 is above the hard limit 1");
        check_error("cpu=-1:1", "`cpu=-1:1`: the soft limit -1 (none) is above the hard limit 1");
    }
}
