//! What steps print, on disk: all of it, whatever is shown.
//!
//! A sink between the build and whoever shows it. Output comes in the pieces in which it was read
//! from the step, and each is written at once: one system call more for each that was made to read
//! it, and nothing is lost however the build ends. A step without output has no file.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use lathe_event::{Event, EventSink, StepId};

use crate::record::LogFile;

/// Passes events on, and writes what steps print into files.
pub(crate) struct LogSink {
    inner: Arc<dyn EventSink>,
    directory: PathBuf,
    logs: Mutex<Logs>,
}

#[derive(Default)]
struct Logs {
    files: BTreeMap<StepId, (File, u64)>,
    written: BTreeMap<StepId, u64>,
    /// Whether it was said that a file could not be written.
    said: bool,
    /// Whether that was since the disk is full.
    full: bool,
}

impl LogSink {
    pub(crate) fn new(inner: Arc<dyn EventSink>, directory: PathBuf) -> Self {
        Self { inner, directory, logs: Mutex::default() }
    }

    /// Returns the logs by step.
    pub(crate) fn files(&self) -> BTreeMap<StepId, LogFile> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let open = logs.files.iter().map(|(step, (_, bytes))| (*step, *bytes));
        let closed = logs.written.iter().map(|(step, bytes)| (*step, *bytes));
        let file = |(step, bytes)| (step, LogFile { name: name(step), bytes });
        open.chain(closed).map(file).collect()
    }

    /// Tells whether the disk was full when something was to be written.
    pub(crate) fn met_full_disk(&self) -> bool {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).full
    }

    fn write(&self, step: StepId, bytes: &[u8]) {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = logs.append(&self.directory, step, bytes) {
            logs.full |= error.kind() == io::ErrorKind::StorageFull;
            if std::mem::replace(&mut logs.said, true) {
                return;
            }
            drop(logs);
            let path = self.directory.join(name(step));
            let text = format!("what steps print is not kept: {}: {error}", path.display());
            self.inner.emit(Event::Warning(text.into()));
        }
    }

    fn close(&self, step: StepId) {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = logs.files.remove(&step) {
            logs.written.insert(step, bytes);
        }
    }
}

impl Logs {
    fn append(&mut self, directory: &Path, step: StepId, bytes: &[u8]) -> io::Result<()> {
        if !self.files.contains_key(&step) {
            if self.files.is_empty() && self.written.is_empty() {
                fs::create_dir_all(directory)?;
            }
            // A step may still print after it has ended: what its processes left in the pipe.
            let before = self.written.remove(&step).unwrap_or(0);
            let file =
                File::options().create(true).append(true).open(directory.join(name(step)))?;
            self.files.insert(step, (file, before));
        }
        if let Some((file, length)) = self.files.get_mut(&step) {
            file.write_all(bytes)?;
            *length += bytes.len() as u64;
        }
        Ok(())
    }
}

fn name(step: StepId) -> String {
    format!("{}.log", step.0)
}

impl EventSink for LogSink {
    fn emit(&self, event: Event) {
        match &event {
            Event::StepLog { step, bytes, .. } => self.write(*step, bytes),
            Event::StepFinished { step, .. } | Event::StepFailed { step, .. } => self.close(*step),
            _ => {}
        }
        self.inner.emit(event);
    }
}

#[cfg(test)]
mod tests {
    use lathe_event::{Disposition, RecordingSink, Stream};
    use std::time::Duration;

    use super::*;

    fn log(step: u32, text: &str) -> Event {
        let (step, bytes) = (StepId(step), Arc::from(text.as_bytes()));
        Event::StepLog { step, stream: Stream::Stdout, bytes }
    }

    fn finished(step: u32) -> Event {
        let (disposition, duration) = (Disposition::Ran, Duration::ZERO);
        Event::StepFinished { step: StepId(step), disposition, duration }
    }

    #[test]
    fn all_that_steps_print_is_on_disk_and_passed_on() {
        let folder = tempfile::tempdir().unwrap();
        let shown = Arc::new(RecordingSink::default());
        let sink = LogSink::new(shown.clone(), folder.path().join("builds/a"));
        let events = [log(1, "one\n"), log(2, "two"), log(1, "\x1b[0m"), finished(1), finished(3)];
        for event in &events {
            sink.emit(event.clone());
        }
        sink.emit(log(1, "late"));
        let read = |name: &str| fs::read_to_string(folder.path().join("builds/a").join(name));
        assert_eq!(read("1.log").unwrap(), "one\n\x1b[0mlate");
        assert_eq!(read("2.log").unwrap(), "two");
        let lengths: Vec<_> = sink.files().into_values().map(|file| file.bytes).collect();
        assert_eq!(lengths, [12, 3]);
        assert_eq!(shown.take()[..5], events);
    }

    #[test]
    fn a_build_that_prints_nothing_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let sink = LogSink::new(Arc::new(lathe_event::NullSink), folder.path().join("a"));
        sink.emit(finished(1));
        assert!(!folder.path().join("a").exists());
        assert!(sink.files().is_empty());
    }

    #[test]
    fn a_log_that_cannot_be_written_is_said_once_and_does_not_stop_the_build() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let shown = Arc::new(RecordingSink::default());
        let sink = LogSink::new(shown.clone(), folder.path().join("file/a"));
        sink.emit(log(1, "one"));
        sink.emit(log(1, "two"));
        let warnings = shown.take().into_iter().filter(|e| matches!(e, Event::Warning(_)));
        assert_eq!(warnings.count(), 1);
    }
}
