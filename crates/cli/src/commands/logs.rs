//! `lathe logs`.

use std::{io, time::Duration};

use anyhow::{Context as _, Result};
use lathe_engine::container::{ContainerId, Containers, Follow, LogLine, LogStream};

use super::Session;
use crate::{args::LogsArgs, env, render, term};

pub(super) fn logs(session: &Session, args: &LogsArgs) -> Result<u8> {
    let containers = session.containers();
    let id = containers.find(&args.container)?.record.id;
    let window =
        Window { since: moment(args.since.as_deref())?, until: moment(args.until.as_deref())? };
    let mut skip = skipped(&containers, &id, args.tail.as_deref(), &window)?;
    let follow = if args.follow { Follow::Yes } else { Follow::No };
    let mut outcome = Ok(());
    containers.logs(&id, follow, &mut |line| {
        if !window.holds(&line) {
            return true;
        }
        if skip > 0 {
            skip -= 1;
            return true;
        }
        outcome = print(&line, args.timestamps);
        outcome.is_ok()
    })?;
    outcome?;
    Ok(0)
}

/// `--since` and `--until`, counted from 1970.
struct Window {
    since: Option<Duration>,
    until: Option<Duration>,
}

impl Window {
    fn holds(&self, line: &LogLine) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let Some(time) = render::parse_moment(&line.time, Duration::ZERO) else { return true };
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until)
    }
}

fn moment(text: Option<&str>) -> Result<Option<Duration>> {
    let now = Duration::from_secs(u64::try_from(env::now()).unwrap_or(0));
    text.map(|text| {
        render::parse_moment(text, now).with_context(|| {
            format!("invalid time `{text}`: want RFC 3339, seconds since 1970, or 42m")
        })
    })
    .transpose()
}

/// How many of the lines that are there now `--tail` leaves out.
fn skipped(
    containers: &Containers,
    id: &ContainerId,
    tail: Option<&str>,
    window: &Window,
) -> Result<usize> {
    let Some(tail) = tail.filter(|tail| *tail != "all" && !tail.starts_with('-')) else {
        return Ok(0);
    };
    let tail: usize = tail.parse().with_context(|| format!("invalid number of lines `{tail}`"))?;
    let mut lines = 0_usize;
    containers.logs(id, Follow::No, &mut |line| {
        lines += usize::from(window.holds(&line));
        true
    })?;
    Ok(lines.saturating_sub(tail))
}

fn print(line: &LogLine, timestamps: bool) -> io::Result<()> {
    let text = if timestamps { format!("{} {}", line.time, line.text) } else { line.text.clone() };
    match line.stream {
        LogStream::Stdout => term::out(&text),
        LogStream::Stderr => {
            term::err(&text);
            Ok(())
        }
    }
}
