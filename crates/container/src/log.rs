//! The log of a container, in the lines of docker's json-file driver:
//! `{"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.123456789Z"}`.
//!
//! A line is written with one `write(2)` on a descriptor opened for appending, so that a reader
//! which sees its newline sees all of it, and a shim that is killed leaves at most one torn line
//! at the end, which readers skip. Text without a newline is written when it is longer than
//! 16 KiB, as docker does, and when the stream ends.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::Error;
use crate::Result;
use crate::record::now;
use crate::time;

/// Text without a newline is cut into pieces of this many bytes.
const PARTIAL_LIMIT: usize = 16 << 10;

/// Which of a process' output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    Stdout,
    Stderr,
}

/// One line as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    log: String,
    stream: LogStream,
    time: String,
}

/// A piece of a container's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// With its newline, unless the output was cut there or ended without one.
    pub text: String,
    pub stream: LogStream,
    /// RFC 3339 with nanoseconds, UTC.
    pub time: String,
}

/// Writes a container's output to its log.
#[derive(Debug)]
pub(crate) struct LogWriter {
    file: File,
    pending: [Vec<u8>; 2],
    scratch: Vec<u8>,
}

impl LogWriter {
    /// Opens the log for appending.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path)
            .map_err(Error::io("open", path))?;
        end_torn_line(&mut file).map_err(Error::io("repair", path))?;
        Ok(Self { file, pending: [Vec::new(), Vec::new()], scratch: Vec::new() })
    }

    /// Adds output of one stream. All lines completed by it are written at once.
    pub(crate) fn write(&mut self, stream: LogStream, bytes: &[u8]) -> io::Result<()> {
        let mut pending = std::mem::take(&mut self.pending[stream as usize]);
        pending.extend_from_slice(bytes);
        let time = time::rfc3339(now());
        let mut rest = pending.as_slice();
        while let Some(length) = piece(rest) {
            push_line(&mut self.scratch, stream, &rest[..length], &time);
            rest = &rest[length..];
        }
        let done = pending.len() - rest.len();
        pending.drain(..done);
        self.pending[stream as usize] = pending;
        self.flush_lines()
    }

    /// Writes what is left of a stream that ended without a newline.
    pub(crate) fn finish(&mut self, stream: LogStream) -> io::Result<()> {
        let rest = std::mem::take(&mut self.pending[stream as usize]);
        if !rest.is_empty() {
            push_line(&mut self.scratch, stream, &rest, &time::rfc3339(now()));
        }
        self.flush_lines()
    }

    fn flush_lines(&mut self) -> io::Result<()> {
        if self.scratch.is_empty() {
            return Ok(());
        }
        let result = self.file.write_all(&self.scratch);
        self.scratch.clear();
        result
    }
}

/// Ends a line that a killed writer left without its newline.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.read_exact_at(&mut last, length - 1)?;
    if last[0] == b'\n' { Ok(()) } else { file.write_all(b"\n") }
}

/// Returns the length of the next piece that can be written: up to a newline, or the limit.
fn piece(bytes: &[u8]) -> Option<usize> {
    let window = &bytes[..bytes.len().min(PARTIAL_LIMIT)];
    if let Some(newline) = window.iter().position(|byte| *byte == b'\n') {
        return Some(newline + 1);
    }
    if bytes.len() < PARTIAL_LIMIT {
        return None;
    }
    // Not inside of a UTF-8 character, which would come out as two replacement characters.
    let boundary = (PARTIAL_LIMIT - 3..=PARTIAL_LIMIT)
        .rev()
        .find(|end| bytes.get(*end).is_none_or(|byte| byte & 0xc0 != 0x80));
    Some(boundary.unwrap_or(PARTIAL_LIMIT))
}

fn push_line(out: &mut Vec<u8>, stream: LogStream, bytes: &[u8], time: &str) {
    let log = String::from_utf8_lossy(bytes).into_owned();
    let line = Line { log, stream, time: time.to_owned() };
    // Writing to a vector cannot fail, and the record has no map keys to refuse.
    serde_json::to_writer(&mut *out, &line).expect("a line is always valid JSON");
    out.push(b'\n');
}

/// Reads a container's log from the start, and on as it grows.
#[derive(Debug)]
pub(crate) struct LogReader {
    path: PathBuf,
    reader: BufReader<File>,
    buffer: Vec<u8>,
}

impl LogReader {
    /// Opens the log; `None` when the container never ran.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self {
                path: path.to_owned(),
                reader: BufReader::with_capacity(64 << 10, file),
                buffer: Vec::new(),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("open", path)(error)),
        }
    }

    /// Returns the next complete line; `None` when there is none yet.
    pub(crate) fn next_line(&mut self) -> Result<Option<LogLine>> {
        loop {
            self.reader
                .read_until(b'\n', &mut self.buffer)
                .map_err(Error::io("read", &self.path))?;
            if self.buffer.last() != Some(&b'\n') {
                return Ok(None);
            }
            let line = serde_json::from_slice::<Line>(&self.buffer);
            self.buffer.clear();
            // A line that cannot be read was torn by a kill: the lines after it are whole.
            if let Ok(Line { log, stream, time }) = line {
                return Ok(Some(LogLine { text: log, stream, time }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Vec<String> {
        let mut reader = LogReader::open(path).unwrap().unwrap();
        let mut lines = Vec::new();
        while let Some(line) = reader.next_line().unwrap() {
            lines.push(format!("{:?}:{}", line.stream, line.text));
        }
        lines
    }

    fn written(pieces: &[(LogStream, &[u8])]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("container.log");
        let mut writer = LogWriter::open(&path).unwrap();
        for (stream, bytes) in pieces {
            writer.write(*stream, bytes).unwrap();
        }
        writer.finish(LogStream::Stdout).unwrap();
        writer.finish(LogStream::Stderr).unwrap();
        lines(&path)
    }

    #[test]
    fn lines_are_whole_however_the_output_is_cut() {
        let pieces: &[(LogStream, &[u8])] = &[
            (LogStream::Stdout, b"one\ntw"),
            (LogStream::Stderr, b"err\n"),
            (LogStream::Stdout, b"o\nthree"),
        ];
        assert_eq!(
            written(pieces),
            ["Stdout:one\n", "Stderr:err\n", "Stdout:two\n", "Stdout:three"]
        );
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let text = format!("{}é\n", "x".repeat(PARTIAL_LIMIT - 1));
        let got = written(&[(LogStream::Stdout, text.as_bytes())]);
        assert_eq!(got.len(), 2);
        assert_eq!(got[0].len(), "Stdout:".len() + PARTIAL_LIMIT - 1);
        assert_eq!(got[1], "Stdout:é\n");
    }

    #[test]
    fn a_line_torn_by_a_kill_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("container.log");
        let mut writer = LogWriter::open(&path).unwrap();
        writer.write(LogStream::Stdout, b"one\n").unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"log\":\"to").unwrap();
        assert_eq!(lines(&path), ["Stdout:one\n"]);
        let mut writer = LogWriter::open(&path).unwrap();
        writer.write(LogStream::Stdout, b"two\n").unwrap();
        assert_eq!(lines(&path), ["Stdout:one\n", "Stdout:two\n"]);
    }

    #[test]
    fn the_line_on_disk_is_dockers() {
        let mut out = Vec::new();
        push_line(&mut out, LogStream::Stderr, b"a \"q\"\n", "2026-01-02T03:04:05.000000006Z");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"log\":\"a \\\"q\\\"\\n\",\"stream\":\"stderr\",\
             \"time\":\"2026-01-02T03:04:05.000000006Z\"}\n"
        );
    }
}
