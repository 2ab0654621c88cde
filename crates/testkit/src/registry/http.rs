//! HTTP/1.1 by hand: enough for clients that are correct, so that faults can be exact.

use std::io::{self, BufRead, Read, Write};

/// Longest body that is taken, in bytes.
const LONGEST_BODY: usize = 256 * 1024 * 1024;

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Announce the body and do not send it, as for HEAD.
    pub(super) headers_only: bool,
}

impl Reply {
    /// Makes an answer without body.
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// Makes a refusal with the specification's error document.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let document = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
        Self::new(status)
            .header("Content-Type", "application/json")
            .body(document.to_string().into_bytes())
    }

    /// Adds or replaces a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    pub(super) const fn headers_only(mut self) -> Self {
        self.headers_only = true;
        self
    }
}

/// A request, its body perhaps still to be read.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) method: String,
    pub(super) target: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Incoming {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    pub(super) fn remove_header(&mut self, name: &str) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Returns all values of a query parameter, decoded.
    pub(super) fn query(&self, name: &str) -> Vec<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        form(query, name)
    }

    /// Reads the body, or only its first `limit` bytes.
    pub(super) fn read_body(
        &mut self,
        reader: &mut impl BufRead,
        limit: Option<usize>,
    ) -> io::Result<()> {
        let length = match self.header("content-length") {
            Some(text) => text.parse().map_err(|_| io::ErrorKind::InvalidData)?,
            None if self.header("transfer-encoding").is_some() => {
                return Err(io::Error::other("chunked bodies are not taken"));
            }
            None => 0,
        };
        let length = limit.map_or(length, |limit| limit.min(length));
        if length > LONGEST_BODY {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.body = vec![0; length];
        reader.read_exact(&mut self.body)
    }
}

/// Returns the decoded values of `name` in a form or query.
pub(super) fn form(text: &str, name: &str) -> Vec<String> {
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| decode(value))
        .collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match (first, hex.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads the head of a request; `None` at the end of the connection.
pub(super) fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Incoming>> {
    // A TLS client hello begins with 0x16 and has no line ends to wait for.
    match reader.fill_buf()?.first() {
        None => return Ok(None),
        Some(byte) if !byte.is_ascii_uppercase() => return Err(io::ErrorKind::InvalidData.into()),
        Some(_) => {}
    }
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let line = read_line(reader)?;
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().ok_or_else(invalid)?.to_owned();
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Ok(Some(Incoming { method, target, headers, body: Vec::new() }));
        }
        let (name, value) = line.split_once(':').ok_or_else(invalid)?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.take(64 * 1024).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Writes an answer, or the part of it before `cut` bytes of its body.
pub(super) fn write_reply(
    mut stream: impl Write,
    reply: &Reply,
    keep_alive: bool,
    cut: Option<usize>,
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Status\r\n", reply.status);
    let has = |name: &str| reply.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    for (name, value) in &reply.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    if !has("content-length") && reply.status != 204 {
        head.extend(["Content-Length: ", &reply.body.len().to_string(), "\r\n"]);
    }
    if !keep_alive {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    if !reply.headers_only {
        let end = cut.unwrap_or(reply.body.len()).min(reply.body.len());
        bytes.extend_from_slice(&reply.body[..end]);
    }
    stream.write_all(&bytes)?;
    stream.flush()
}
