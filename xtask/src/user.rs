//! A normal user of this machine, as whom root runs tests.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::sh::{self, Cmd};

const NAME: &str = "lathe-test";

/// Ids below this belong to users and to other users' ranges; the first range of ours begins here.
const FIRST_SUB_ID: u64 = 200_000;
const SUB_IDS: u64 = 65_536;

/// The user.
#[derive(Debug)]
pub(crate) struct User {
    home: String,
}

/// Returns the user; makes it, with subordinate ids, where it is missing. Needs root.
pub(crate) fn ensure() -> Result<User> {
    if !Cmd::new("id").arg(NAME).succeeds() {
        Cmd::new("useradd").args(["--create-home", "--shell", "/bin/sh", NAME]).run()?;
    }
    for (file, option) in [("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")] {
        // A file that is not there has no ranges.
        let text = fs::read_to_string(file).unwrap_or_default();
        if !text.lines().any(|line| line.starts_with(&format!("{NAME}:"))) {
            let first = free_range(&text);
            let range = format!("{first}-{}", first + SUB_IDS - 1);
            Cmd::new("usermod").args([option, &range, NAME]).run()?;
        }
    }
    let entry = Cmd::new("getent").args(["passwd", NAME]).read()?;
    let Some(home) = entry.split(':').nth(5) else { bail!("`{entry}` names no home folder") };
    Ok(User { home: home.to_owned() })
}

impl User {
    /// Returns a command of this user, with an environment of its own.
    pub(crate) fn command(&self, program: &Path) -> Result<Cmd> {
        let start = Cmd::new("runuser").args(["-u", NAME, "--"]);
        if !start.clone().args(["test", "-x"]).arg(program).succeeds() {
            bail!(
                "the user `{NAME}` cannot reach {}: move the repository to where others may read it",
                program.display()
            );
        }
        // Later assignments win over those that `env` removes.
        let clean = ["-u", "XDG_DATA_HOME", "-u", "XDG_CONFIG_HOME", "-u", "XDG_CACHE_HOME"];
        let clean = start.arg("env").args(clean).args(["-u", "XDG_RUNTIME_DIR", "-u", "TMPDIR"]);
        let own =
            [format!("HOME={}", self.home), format!("USER={NAME}"), format!("LOGNAME={NAME}")];
        Ok(clean.args(own).arg(program).dir(sh::repository()))
    }
}

/// Returns the first id after all ranges of a file.
fn free_range(text: &str) -> u64 {
    let ends = text.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(1).map(|field| field.trim().parse::<u64>().ok());
        Some(fields.next()?? + fields.next()??)
    });
    ends.max().unwrap_or(0).max(FIRST_SUB_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_free_range_is_behind_all_others() {
        assert_eq!(free_range(""), FIRST_SUB_ID);
        assert_eq!(free_range("ann:100000:65536\nbob:300000:65536\nbad\n"), 365_536);
    }
}
