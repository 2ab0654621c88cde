//! Room on the disk: the store is kept below its cap, and makes room when the disk is full.

use lathe_event::Event;
use rustix::{fs::statvfs, io::Errno};

use crate::{Engine, Error, Result, record::recorder::Recorder, time};

/// Less free space than this, in bytes, means that the disk is full: a process of a step that
/// could not write only says so in words.
const FULL: u64 = 16 << 20;

/// At least this much is freed on a full disk, in bytes.
const LEAST: u64 = 1 << 30;

/// Brings the store below its cap, the least recently used first.
pub(crate) fn keep_below(engine: &Engine, cap: Option<u64>) -> Result<()> {
    let Some(cap) = cap else { return Ok(()) };
    let cancel = &engine.images.cancel;
    engine.store.collect(cap, time::now(), &|| cancel.is_cancelled())?;
    Ok(())
}

/// Makes room in the store if a failure stems from a full disk; returns the bytes that were freed,
/// `None` if it stems from something else.
pub(crate) fn make_room(recorder: &Recorder, error: &Error) -> Result<Option<u64>> {
    let engine = &recorder.engine;
    let space = statvfs(engine.store.directory()).ok();
    let is_full = space.as_ref().is_some_and(|space| space.f_bavail * space.f_frsize < FULL);
    let is_full = is_full || recorder.met_full_disk() || is_no_space(error);
    if matches!(error, Error::Interrupted) || !is_full {
        return Ok(None);
    }
    engine.images.events.emit(Event::Note("the disk is full: unused cache is removed".into()));
    let tenth = space.map_or(0, |space| space.f_blocks * space.f_frsize / 10);
    let cancel = &engine.images.cancel;
    let report =
        engine.store.make_room(tenth.max(LEAST), time::now(), &|| cancel.is_cancelled())?;
    Ok(Some(report.bytes()))
}

/// Tells whether some cause of an error is that the disk, or the user's part of it, is full.
fn is_no_space(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let number = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        let full = [Errno::NOSPC, Errno::DQUOT].map(Errno::raw_os_error);
        if number.is_some_and(|number| full.contains(&number)) {
            return true;
        }
        cause = error.source();
    }
    // A failed step is only text by now.
    matches!(error, Error::Step { .. }) && error.to_string().contains("No space left on device")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_found_below_other_errors_and_in_what_a_step_says() {
        let io = |errno: Errno| {
            let source = std::io::Error::from_raw_os_error(errno.raw_os_error());
            Error::Io { action: "write", path: "/a".into(), source }
        };
        let step = |text: &str| Error::Step { rendered: text.to_owned(), code: Some(1) };
        for (error, expected) in [
            (io(Errno::NOSPC), true),
            (io(Errno::DQUOT), true),
            (io(Errno::ACCESS), false),
            (step("  | cp: write error: No space left on device"), true),
            (step("  | no such file"), false),
        ] {
            assert_eq!(is_no_space(&error), expected, "{error}");
        }
    }
}
