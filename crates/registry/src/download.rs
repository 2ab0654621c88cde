//! Plain downloads: files of web servers that are no registries (`ADD https://…`, contexts).
//!
//! They go the way of all requests (`transport`): same certificates, proxies, settings of each
//! host, retries and cancellation. What differs is that there is no challenge to answer: whoever
//! wants to be known sends its `Authorization` at once, to the origin of the URL and no other.

use std::{
    fmt::{self, Write as _},
    io::{self, Read},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    Client, Error, Refusal, Result,
    reply::by_status,
    transport::{Answer, Exchange, Method, NO_TLS, connection_error},
    url::{Url, percent_decode},
};

/// Bytes after which a connection counts as a good one: failures before it are forgotten.
const PROGRESS: u64 = 1024 * 1024;

/// What is said along with the request for a file.
#[derive(Clone, Default)]
pub struct GetRequest {
    /// The `Authorization` header. Goes to the origin of the URL only, whatever redirects say.
    pub authorization: Option<String>,
    /// `ETag` of what is here already.
    pub etag: Option<String>,
    /// `Last-Modified` of what is here already. Asked for only where there is no `etag`, as
    /// servers do not look at it otherwise (RFC 9110, section 13.1.3).
    pub last_modified: Option<String>,
}

/// Without the secret.
impl fmt::Debug for GetRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetRequest")
            .field("etag", &self.etag)
            .field("last_modified", &self.last_modified)
            .finish_non_exhaustive()
    }
}

/// A file as a server gives it: headers as sent, content still to be read.
#[derive(Debug)]
pub struct WebFile {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
    /// `Date`: when the server answered.
    pub date: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Length`, in bytes.
    pub content_length: Option<u64>,
    /// The content, as it is stored on the server: no transfer compression is asked for.
    pub reader: WebReader,
}

impl Client {
    /// Downloads the file at an `http` or `https` URL; `None` when it is still what the request
    /// says is here already.
    ///
    /// User and password of the URL are sent as `Basic`, unless the request has an `Authorization`.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`] for other schemes, [`Error::Refused`] for all answers but 200 and 304.
    pub fn get(&self, url: &str, request: &GetRequest) -> Result<Option<WebFile>> {
        let (url, user) = parse(url)?;
        self.check_not_blocked(&url.authority)?;
        let authorization = request.authorization.clone().or(user);
        let origin = Origin { client: self.clone(), subject: format!("download {url}"), url };
        let mut exchange = origin.exchange();
        if let Some(etag) = &request.etag {
            exchange = exchange.header("If-None-Match", etag);
        } else if let Some(time) = &request.last_modified {
            exchange = exchange.header("If-Modified-Since", time);
        }
        let answer = origin.ask(&exchange, authorization.as_deref())?;
        match answer.status {
            // Some servers know tags but no conditions. What is under way is not waited for.
            200 if request.etag.as_deref().is_some_and(|etag| is_same(etag, &answer)) => {
                return Ok(None);
            }
            200 => {}
            304 if request.etag.is_some() || request.last_modified.is_some() => {
                answer.drain();
                return Ok(None);
            }
            status => {
                return Err(Error::Refused(Box::new(Refusal {
                    subject: origin.subject,
                    host: answer.url.authority,
                    status,
                    code: String::new(),
                    message: by_status(status),
                    hint: String::new(),
                    retry_after: None,
                })));
            }
        }
        Ok(Some(origin.file(answer, authorization)))
    }
}

/// Where a file comes from.
struct Origin {
    client: Client,
    url: Url,
    /// For error messages.
    subject: String,
}

impl Origin {
    fn exchange(&self) -> Exchange<'_> {
        Exchange::new(Method::GET, &self.subject).header("Accept-Encoding", "identity")
    }

    fn ask(&self, exchange: &Exchange<'_>, authorization: Option<&str>) -> Result<Answer> {
        self.client.exchange(exchange, &self.url, authorization).map_err(|error| match error {
            // What it says is about registries.
            Error::Connection { subject, host, reason, hint: NO_TLS, transient } => {
                Error::Connection { subject, host, reason, hint: "", transient }
            }
            other => other,
        })
    }

    fn file(self, answer: Answer, authorization: Option<String>) -> WebFile {
        let header = |name| answer.header(name).map(str::to_owned);
        let etag = header("etag");
        let content_length = header("content-length").and_then(|text| text.trim().parse().ok());
        WebFile {
            last_modified: header("last-modified"),
            date: header("date"),
            content_type: header("content-type"),
            content_disposition: header("content-disposition"),
            content_length,
            reader: WebReader {
                // A weak one may stand for other bytes (RFC 9110, section 13.1.5).
                validator: etag.clone().filter(|etag| !etag.starts_with("W/")),
                authorization,
                origin: self,
                body: Some(answer.into_reader()),
                at: 0,
                length: content_length,
                failed_at: 0,
                failures: 0,
            },
            etag,
        }
    }
}

/// The bytes of a file as they arrive.
///
/// Where the server has given the file a strong `ETag`, a connection that breaks is followed by
/// another one that goes on at the same byte. It ends with an error when fewer bytes come than
/// were announced.
pub struct WebReader {
    origin: Origin,
    authorization: Option<String>,
    validator: Option<String>,
    /// `None` once all is read.
    body: Option<ureq::BodyReader<'static>>,
    /// Next byte to be read.
    at: u64,
    /// Bytes in all.
    length: Option<u64>,
    /// Offset of the last failure.
    failed_at: u64,
    failures: u32,
}

impl fmt::Debug for WebReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebReader").field("at", &self.at).finish_non_exhaustive()
    }
}

impl WebReader {
    /// Opens another connection where the last one broke.
    fn resume(&mut self, broken: io::Error) -> Result<()> {
        let Origin { client, subject, url } = &self.origin;
        let broken = connection_error(subject, &url.authority, &ureq::Error::from(broken));
        let Some(validator) = &self.validator else { return Err(broken) };
        if self.at - self.failed_at >= PROGRESS {
            self.failures = 0;
        }
        self.failed_at = self.at;
        self.failures += 1;
        self.body = None;
        client.policy().wait(self.failures, broken, client.cancel())?;
        let exchange = self
            .origin
            .exchange()
            .header("Range", format!("bytes={}-", self.at))
            .header("If-Range", validator);
        let answer = self.origin.ask(&exchange, self.authorization.as_deref())?;
        if answer.status != 206 || answer.range_start() != Some(self.at) {
            let reason = "the connection was cut, and the rest cannot be had";
            return Err(answer.wrong(subject, reason));
        }
        self.body = Some(answer.into_reader());
        Ok(())
    }
}

impl Read for WebReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.origin.client.cancel().is_cancelled() {
                return Err(io::Error::other(Error::Canceled));
            }
            let Some(body) = &mut self.body else { return Ok(0) };
            let result = match body.read(buffer) {
                Ok(0) if self.length.is_some_and(|length| self.at < length) => {
                    Err(io::ErrorKind::UnexpectedEof.into())
                }
                other => other,
            };
            match result {
                Ok(count) => {
                    self.at += count as u64;
                    if count == 0 {
                        self.body = None;
                    }
                    return Ok(count);
                }
                Err(_) if self.origin.client.cancel().is_cancelled() => {}
                Err(error) => self.resume(error).map_err(io::Error::other)?,
            }
        }
    }
}

/// Tells whether an answer has this tag; weak and strong ones are the same (RFC 9110, section
/// 13.1.2).
fn is_same(etag: &str, answer: &Answer) -> bool {
    let plain = |etag: &str| etag.trim().trim_start_matches("W/").to_owned();
    answer.header("etag").is_some_and(|own| plain(own) == plain(etag))
}

/// Reads a URL; returns it without user and password, and these as `Authorization`.
fn parse(text: &str) -> Result<(Url, Option<String>)> {
    let invalid = || Error::InvalidUrl(shown(text));
    let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    if !host.is_ascii() {
        return Err(invalid());
    }
    // People write what browsers show; what goes over the wire is encoded.
    let mut encoded = String::with_capacity(text.len());
    for byte in tail.bytes() {
        if byte == b' ' || !byte.is_ascii() {
            write!(encoded, "%{byte:02X}").expect("a String takes everything");
        } else {
            encoded.push(char::from(byte));
        }
    }
    let url = Url::parse(&format!("{scheme}://{host}{encoded}")).ok_or_else(invalid)?;
    let basic = user.filter(|user| !user.is_empty()).map(basic_authorization);
    Ok((url, basic))
}

/// Makes the `Authorization` of the part of a URL before its `@`: `user:password`, encoded as
/// URLs are.
pub fn basic_authorization(user: &str) -> String {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let pair = [percent_decode(name), b":".to_vec(), percent_decode(password)].concat();
    format!("Basic {}", STANDARD.encode(pair))
}

/// Makes a URL that is none fit for an error message: without what may be secret.
fn shown(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let separator = if scheme.is_empty() { "" } else { "://" };
    let clean = |c: char| if c.is_control() { '?' } else { c };
    format!("{scheme}{separator}{host}{path}").chars().map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_people_write_them() {
        let check = |text: &str, url: &str, basic: Option<&str>| {
            let (parsed, authorization) = parse(text).expect(text);
            assert_eq!(parsed.to_request(), url);
            assert_eq!(authorization.as_deref(), basic, "{text}");
        };
        check("https://a/b c/é?x=1#f", "https://a/b%20c/%C3%A9?x=1", None);
        check("HTTP://A:80/x", "http://a/x", None);
        check("https://u:p@a/x", "https://a/x", Some("Basic dTpw"));
        check("https://u%40:p%3A@a/x", "https://a/x", Some("Basic dUA6cDo="));
        check("https://token@a/x", "https://a/x", Some("Basic dG9rZW46"));
        check("https://a/x@y", "https://a/x@y", None);
    }

    #[test]
    fn inv_registry_secrets_other_schemes_are_refused_without_their_password() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse(text).err().map(|error| error.to_string()).as_deref(), Some(expected));
        };
        check("file:///etc/passwd", "`file:///etc/passwd` is no http or https URL");
        check("ftp://u:p@h/x?token=1", "`ftp://h/x` is no http or https URL");
        check("/etc/passwd", "`/etc/passwd` is no http or https URL");
        check("https://", "`https://` is no http or https URL");
        check("https://é/", "`https://é/` is no http or https URL");
    }
}
