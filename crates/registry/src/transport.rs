//! The way of one request: scheme, credentials, redirects, retries.
//!
//! Four rings, each a function: [`Client::send`] tries again what may succeed later,
//! `attempt` answers a challenge, `at_endpoint` finds out whether the server speaks TLS,
//! `follow` goes after redirects. The innermost, `once`, is one HTTP request.
//!
//! `Authorization` is given to the origin that the request was first for and dropped on
//! the way to any other. A redirect from https to http is not followed at all: what comes
//! back without TLS could say anything.

use std::{
    cell::RefCell,
    io::{self, Read},
    time::Duration,
};

use lathe_event::Cancel;
pub(crate) use ureq::http::Method;
use ureq::{
    SendBody,
    http::{HeaderMap, Request},
};

use crate::{
    BlobSource, Client, Error, Result, RetryPolicy,
    auth::Scopes,
    challenge,
    endpoint::Endpoint,
    error::is_transient_status,
    reply::{self, ERROR_LIMIT},
    url::{Scheme, Url},
};

/// What to do about a server without TLS; marks the error as well.
pub(crate) const NO_TLS: &str =
    "; for a registry without TLS set `plain-http = true` in registries.toml";
/// What to do about a certificate; marks the error as well.
const UNTRUSTED: &str = "; `ca` in registries.toml names a private certificate authority";
/// Redirects that are followed in a row.
const REDIRECTS: usize = 10;
/// How long a registry may think about a blob that is complete: some copy it first.
const COMMIT: Duration = Duration::from_mins(5);

/// What a request carries.
#[derive(Clone, Copy)]
pub(crate) enum Body<'a> {
    None,
    Bytes(&'a [u8]),
    /// Part of a blob.
    Stream {
        source: &'a dyn BlobSource,
        /// Where the part begins, in bytes.
        offset: u64,
        /// How long it is, in bytes; `None` for up to the end, wherever that will be.
        length: Option<u64>,
        /// Told where in the blob the transfer is.
        progress: &'a (dyn Fn(u64) + Sync),
    },
}

/// A request, but for where it goes and who sends it.
pub(crate) struct Exchange<'a> {
    method: Method,
    /// For error messages: what the user gets by it.
    subject: &'a str,
    headers: Vec<(&'static str, String)>,
    body: Body<'a>,
}

impl<'a> Exchange<'a> {
    pub(crate) const fn new(method: Method, subject: &'a str) -> Self {
        Self { method, subject, headers: Vec::new(), body: Body::None }
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    #[must_use]
    pub(crate) const fn body(mut self, body: Body<'a>) -> Self {
        self.body = body;
        self
    }
}

/// Who a request is for.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) scopes: &'a Scopes,
    pub(crate) policy: RetryPolicy,
}

/// Where a request goes.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    /// A path of the endpoint's API.
    Path(&'a str),
    /// A URL that the registry named.
    Url(&'a Url),
}

/// The status and headers of an answer, with its body still to be read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) url: Url,
    headers: HeaderMap,
    body: ureq::Body,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns where a partial answer begins: `bytes 5-9/10` begins at 5.
    pub(crate) fn range_start(&self) -> Option<u64> {
        let range = self.header("content-range")?.trim().strip_prefix("bytes")?;
        range.trim_start().split('-').next()?.trim().parse().ok()
    }

    pub(crate) fn into_reader(self) -> ureq::BodyReader<'static> {
        self.body.into_reader()
    }

    /// Reads the body, which must not be longer than `limit` bytes.
    pub(crate) fn read(self, limit: u64, subject: &str) -> Result<Vec<u8>> {
        let host = self.url.authority.clone();
        let mut bytes = Vec::new();
        self.into_reader()
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| connection_error(subject, &host, &ureq::Error::from(error)))?;
        if bytes.len() as u64 > limit {
            let reason = format!("the answer is longer than {limit} bytes");
            return Err(Error::Protocol { subject: subject.to_owned(), host, reason });
        }
        Ok(bytes)
    }

    /// Makes the error that the answer is.
    pub(crate) fn refusal(self, subject: &str, login: &str) -> Error {
        let host = self.url.authority.clone();
        let status = self.status;
        let retry_after = self.header("retry-after").map(str::to_owned);
        let mut body = Vec::new();
        // A refusal whose text cannot be read is still the refusal.
        drop(self.into_reader().take(ERROR_LIMIT).read_to_end(&mut body));
        let retry_after = retry_after.as_deref();
        Error::Refused(Box::new(reply::refusal(subject, &host, login, status, retry_after, &body)))
    }

    /// Reads what is left of a short body, so that the connection can be used again.
    pub(crate) fn drain(self) {
        drop(io::copy(&mut self.into_reader().take(ERROR_LIMIT), &mut io::sink()));
    }

    /// Makes the error of an answer that makes no sense.
    pub(crate) fn wrong(&self, subject: &str, reason: impl Into<String>) -> Error {
        let host = self.url.authority.clone();
        Error::Protocol { subject: subject.to_owned(), host, reason: reason.into() }
    }
}

impl Client {
    /// Sends a request to an endpoint, with whatever credentials it asks for.
    ///
    /// Tries again on its own, unless the body is a stream: then only the caller knows how
    /// much of it has arrived. Answers of any status but the transient ones are returned.
    pub(crate) fn send(
        &self,
        call: Call<'_>,
        exchange: &Exchange<'_>,
        target: Target<'_>,
    ) -> Result<Answer> {
        let once = || self.attempt(call, exchange, target);
        if matches!(exchange.body, Body::Stream { .. }) {
            return settled(once(), exchange, call.endpoint.auth.name());
        }
        self.retrying(call.policy, exchange, call.endpoint.auth.name(), once)
    }

    /// Sends a request to a service that is no registry.
    pub(crate) fn exchange(
        &self,
        exchange: &Exchange<'_>,
        url: &Url,
        authorization: Option<&str>,
    ) -> Result<Answer> {
        let login = url.authority.clone();
        self.retrying(*self.policy(), exchange, &login, || {
            self.follow(exchange, url.clone(), url, authorization)
        })
    }

    fn retrying(
        &self,
        policy: RetryPolicy,
        exchange: &Exchange<'_>,
        login: &str,
        once: impl Fn() -> Result<Answer>,
    ) -> Result<Answer> {
        let mut attempt = 0;
        loop {
            match settled(once(), exchange, login) {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    attempt += 1;
                    policy.wait(attempt, error, self.cancel())?;
                }
            }
        }
    }

    /// Sends, and once more with better credentials where the answer is a challenge.
    fn attempt(
        &self,
        call: Call<'_>,
        exchange: &Exchange<'_>,
        target: Target<'_>,
    ) -> Result<Answer> {
        let auth = &call.endpoint.auth;
        let scheme = call.endpoint.schemes()[0];
        let mut header = auth.header(self, scheme, call.scopes)?;
        // Twice: the first challenge may come from a token that ran out, the second asks
        // for a scope that was not foreseen.
        for _ in 0..2 {
            let answer = self.at_endpoint(call.endpoint, exchange, target, header.as_deref())?;
            let scheme = call.endpoint.schemes()[0];
            // A CDN's 401 is not the registry's challenge.
            let origin = Url::new(scheme, &call.endpoint.host, String::new());
            let own = answer.url.same_origin(&origin);
            let challenge = challenge::pick(
                answer.headers.get_all("www-authenticate").iter().filter_map(|v| v.to_str().ok()),
            );
            let (401, true, Some(challenge)) = (answer.status, own, challenge) else {
                return Ok(answer);
            };
            let sent = header.as_deref();
            match auth.challenged(self, scheme, call.scopes, challenge, sent)? {
                Some(better) => {
                    answer.drain();
                    header = Some(better);
                }
                None => return Ok(answer),
            }
        }
        self.at_endpoint(call.endpoint, exchange, target, header.as_deref())
    }

    /// Sends by TLS, and by plain HTTP where that is allowed and TLS is not spoken.
    fn at_endpoint(
        &self,
        endpoint: &Endpoint,
        exchange: &Exchange<'_>,
        target: Target<'_>,
        authorization: Option<&str>,
    ) -> Result<Answer> {
        let (&last, others) = endpoint.schemes().split_last().expect("there is a scheme");
        let mut failed = None;
        for &scheme in others {
            match self.by_scheme(scheme, endpoint, exchange, target, authorization) {
                // Nothing is learned from it but that the next scheme is the right one.
                Err(Error::Connection { hint: NO_TLS, .. }) => {}
                // A certificate that is not to be trusted means that TLS is spoken: going
                // on without it would be what an attacker wants.
                Err(error @ Error::Connection { hint: "", .. }) => failed = Some(error),
                settled => return settled,
            }
        }
        self.by_scheme(last, endpoint, exchange, target, authorization)
            .map_err(|error| failed.unwrap_or(error))
    }

    fn by_scheme(
        &self,
        scheme: Scheme,
        endpoint: &Endpoint,
        exchange: &Exchange<'_>,
        target: Target<'_>,
        authorization: Option<&str>,
    ) -> Result<Answer> {
        let origin = Url::new(scheme, &endpoint.host, "/".to_owned());
        let url = match target {
            Target::Path(path) => Url { path_and_query: path.to_owned(), ..origin.clone() },
            Target::Url(url) => url.clone(),
        };
        let answer = self.follow(exchange, url, &origin, authorization)?;
        // 400 is what servers say to plain HTTP where they want TLS.
        if answer.status != 400 {
            endpoint.set_scheme(scheme);
        }
        Ok(answer)
    }

    /// Sends, and follows redirects.
    fn follow(
        &self,
        exchange: &Exchange<'_>,
        mut url: Url,
        trusted: &Url,
        authorization: Option<&str>,
    ) -> Result<Answer> {
        for _ in 0..=REDIRECTS {
            let authorization = authorization.filter(|_| url.same_origin(trusted));
            let answer = self.once(exchange, url, authorization)?;
            let safe = matches!(exchange.method, Method::GET | Method::HEAD);
            let follows = match answer.status {
                301..=303 => safe,
                307 | 308 => true,
                _ => false,
            };
            if !follows {
                return Ok(answer);
            }
            let next = answer
                .header("location")
                .and_then(|location| answer.url.join(location))
                .ok_or_else(|| {
                    answer.wrong(exchange.subject, "redirects to what is no http(s) URL")
                })?;
            if answer.url.scheme == Scheme::Https && next.scheme == Scheme::Http {
                let reason = format!("redirects from https to http ({})", next.authority);
                return Err(answer.wrong(exchange.subject, reason));
            }
            if next.is_link_local() {
                // Clouds keep the credentials of their machines at such addresses.
                let reason = format!("redirects to a link-local address ({})", next.authority);
                return Err(answer.wrong(exchange.subject, reason));
            }
            answer.drain();
            url = next;
        }
        Err(Error::Protocol {
            subject: exchange.subject.to_owned(),
            host: trusted.authority.clone(),
            reason: format!("redirects more than {REDIRECTS} times"),
        })
    }

    fn once(
        &self,
        exchange: &Exchange<'_>,
        url: Url,
        authorization: Option<&str>,
    ) -> Result<Answer> {
        if self.cancel().is_cancelled() {
            return Err(Error::Canceled);
        }
        let agent = self.agents().get(&url)?;
        let mut builder = Request::builder().method(&exchange.method).uri(url.to_request());
        for (name, value) in &exchange.headers {
            builder = builder.header(*name, value);
        }
        if let Some(value) = authorization {
            builder = builder.header("Authorization", value);
        }
        let content_error = RefCell::new(None);
        let sent = match exchange.body {
            Body::None => builder.body(SendBody::none()).map(|request| agent.run(request)),
            Body::Bytes(bytes) => builder.body(bytes).map(|request| agent.run(request)),
            Body::Stream { source, offset, length, progress } => {
                let inner = source.open(offset).map_err(|source| Error::Content {
                    subject: exchange.subject.to_owned(),
                    source,
                })?;
                let mut reader = SendReader {
                    inner,
                    at: offset,
                    end: length.map(|length| offset + length),
                    progress,
                    cancel: self.cancel(),
                    error: &content_error,
                };
                if let Some(length) = length {
                    builder = builder.header("Content-Length", length.to_string());
                }
                builder.body(SendBody::from_reader(&mut reader)).map(|request| {
                    let patient =
                        agent.configure_request(request).timeout_per_read(Some(COMMIT)).build();
                    agent.run(patient)
                })
            }
        };
        let result = sent.map_err(ureq::Error::from).and_then(|result| result);
        match result {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                Ok(Answer { status: parts.status.as_u16(), url, headers: parts.headers, body })
            }
            Err(_) if self.cancel().is_cancelled() => Err(Error::Canceled),
            Err(error) => Err(match content_error.take() {
                Some(source) => Error::Content { subject: exchange.subject.to_owned(), source },
                None => connection_error(exchange.subject, &url.authority, &error),
            }),
        }
    }
}

/// Turns an answer that asks to come back later into an error.
fn settled(result: Result<Answer>, exchange: &Exchange<'_>, login: &str) -> Result<Answer> {
    match result {
        Ok(answer) if is_transient_status(answer.status) => {
            Err(answer.refusal(exchange.subject, login))
        }
        other => other,
    }
}

/// Feeds a part of a blob to a request.
struct SendReader<'a> {
    inner: Box<dyn Read + 'a>,
    at: u64,
    /// Where the part ends; `None` where its reader does.
    end: Option<u64>,
    progress: &'a (dyn Fn(u64) + Sync),
    cancel: &'a Cancel,
    /// Keeps the source's error, which must not be taken for the connection's.
    error: &'a RefCell<Option<io::Error>>,
}

impl Read for SendReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.map_or(u64::MAX, |end| end - self.at);
        let left = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if left == 0 {
            return Ok(0);
        }
        if self.cancel.is_cancelled() {
            return Err(io::Error::other(Error::Canceled));
        }
        let result = match self.inner.read(&mut buffer[..left]) {
            // ureq would wait forever for the bytes that it announced.
            Ok(0) if self.end.is_some() => Err(io::ErrorKind::UnexpectedEof.into()),
            other => other,
        };
        match result {
            Ok(count) => {
                self.at += count as u64;
                (self.progress)(self.at);
                Ok(count)
            }
            Err(error) => {
                let copy = io::Error::from(error.kind());
                *self.error.borrow_mut() = Some(error);
                Err(copy)
            }
        }
    }
}

/// Says in the user's words why there was no answer.
pub(crate) fn connection_error(subject: &str, host: &str, error: &ureq::Error) -> Error {
    let (reason, hint, transient) = match error {
        ureq::Error::HostNotFound => ("host not found".to_owned(), "", false),
        ureq::Error::Timeout(_) => ("timed out".to_owned(), "", true),
        ureq::Error::Rustls(error) => tls_reason(error),
        ureq::Error::Io(error) => match error.get_ref().and_then(|e| e.downcast_ref()) {
            Some(error) => tls_reason(error),
            None => (io_reason(error), "", true),
        },
        ureq::Error::Protocol(_) => {
            ("the answer is not HTTP as it should be".to_owned(), "", false)
        }
        ureq::Error::ConnectProxyFailed(_) => ("the proxy refused".to_owned(), "", false),
        ureq::Error::Tls(reason) => ((*reason).to_owned(), "", false),
        // Others may quote the URL.
        _ => ("the request failed".to_owned(), "", false),
    };
    Error::Connection {
        subject: subject.to_owned(),
        host: host.to_owned(),
        reason,
        hint,
        transient,
    }
}

fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionAborted => "the connection was cut".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "timed out".to_owned(),
        _ => error.to_string(),
    }
}

fn tls_reason(error: &rustls::Error) -> (String, &'static str, bool) {
    match error {
        rustls::Error::InvalidMessage(_) => ("does not speak TLS".to_owned(), NO_TLS, false),
        rustls::Error::InvalidCertificate(_) => (error.to_string(), UNTRUSTED, false),
        other => (other.to_string(), "", false),
    }
}
