//! A normal user of this machine, as whom root runs scenarios a second time.

use std::{
    fs,
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, ensure};

const NAME: &str = "lathe-test";
/// Ids below this belong to users and to other users' ranges; the first range begins here.
const FIRST_SUB_ID: u64 = 200_000;
const SUB_IDS: u64 = 65_536;

/// A user by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub uid: u32,
    /// The id of the user's group.
    pub gid: u32,
}

/// Returns the caller.
pub fn caller() -> Result<User> {
    let ids = |flag: &str| -> Result<u32> {
        let output = Command::new("id").arg(flag).output().context("id")?;
        String::from_utf8_lossy(&output.stdout).trim().parse().context("a number from id")
    };
    Ok(User { uid: ids("-u")?, gid: ids("-g")? })
}

/// Returns the normal user; makes it, with subordinate ids, where it is missing. Needs root.
pub fn ensure_user() -> Result<User> {
    // `useradd` and `usermod` lock their files and fail when several run at once.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if entry()?.is_none() {
        run("useradd", &["--create-home", "--shell", "/bin/sh", NAME])?;
    }
    for (file, option) in [("/etc/subuid", "--add-subuids"), ("/etc/subgid", "--add-subgids")] {
        // A file that is not there has no ranges.
        let text = fs::read_to_string(file).unwrap_or_default();
        if !text.lines().any(|line| line.starts_with(&format!("{NAME}:"))) {
            let first = free_range(&text);
            run("usermod", &[option, &format!("{first}-{}", first + SUB_IDS - 1), NAME])?;
        }
    }
    entry()?.context("the user was made")
}

fn entry() -> Result<Option<User>> {
    let text = fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
    let line = text.lines().find(|line| line.starts_with(&format!("{NAME}:")));
    let Some(line) = line else { return Ok(None) };
    let mut numbers = line.split(':').skip(2);
    let mut number = || -> Result<u32> {
        numbers.next().context("an id")?.parse().with_context(|| line.to_owned())
    };
    Ok(Some(User { uid: number()?, gid: number()? }))
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program).args(arguments).output().context(program.to_owned())?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{program} {}: {errors}", arguments.join(" "));
    Ok(())
}

/// Returns the first id after all ranges of a file.
fn free_range(text: &str) -> u64 {
    let ends = text.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(1).map(|field| field.trim().parse::<u64>().ok());
        Some(fields.next()?? + fields.next()??)
    });
    ends.max().unwrap_or(0).max(FIRST_SUB_ID)
}
