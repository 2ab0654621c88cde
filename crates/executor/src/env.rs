//! The environment which docker gives to a process besides the image's.

use crate::TerminalSize;

/// Docker's `PATH` for images that set none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the environment is completed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvDefaults<'a> {
    /// Home directory of the user, for `HOME`.
    pub home: &'a str,
    /// For `HOSTNAME`; builds set none, so that nothing depends on it.
    pub hostname: Option<&'a str>,
    /// For `TERM`.
    pub terminal: Option<TerminalSize>,
}

/// Returns `given` completed with what is missing: `PATH`, `HOSTNAME`, `TERM`
/// before it and `HOME` after it, as docker orders them. Of names that occur
/// more than once the last value wins, at the place of the first.
pub fn default_env(given: &[String], defaults: EnvDefaults<'_>) -> Vec<String> {
    let mut env = vec![format!("PATH={DEFAULT_PATH}")];
    env.extend(defaults.hostname.map(|hostname| format!("HOSTNAME={hostname}")));
    env.extend(defaults.terminal.map(|_| "TERM=xterm".to_owned()));
    for entry in given {
        match env.iter_mut().find(|other| name(other) == name(entry)) {
            Some(other) => other.clone_from(entry),
            None => env.push(entry.clone()),
        }
    }
    if !env.iter().any(|entry| name(entry) == "HOME") {
        env.push(format!("HOME={}", defaults.home));
    }
    env
}

fn name(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &[&str], defaults: EnvDefaults<'_>, expected: &[&str]) {
        let given: Vec<String> = given.iter().map(|&entry| entry.to_owned()).collect();
        assert_eq!(default_env(&given, defaults), expected);
    }

    const BUILD: EnvDefaults<'_> = EnvDefaults { home: "/root", hostname: None, terminal: None };

    #[test]
    fn missing_variables_are_added_around_the_given_ones() {
        check(&["A=1"], BUILD, &[&format!("PATH={DEFAULT_PATH}"), "A=1", "HOME=/root"]);
        let container = EnvDefaults {
            hostname: Some("web"),
            terminal: Some(TerminalSize { rows: 1, columns: 1 }),
            ..BUILD
        };
        check(
            &["PATH=/bin"],
            container,
            &["PATH=/bin", "HOSTNAME=web", "TERM=xterm", "HOME=/root"],
        );
    }

    #[test]
    fn given_variables_win_and_the_last_of_a_name_wins() {
        check(
            &["PATH=/a", "HOME=/h", "A=1", "PATH=/b", "A=2", "B="],
            BUILD,
            &["PATH=/b", "HOME=/h", "A=2", "B="],
        );
    }
}
