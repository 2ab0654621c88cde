//! One server that answers for a registry: the registry itself, or a mirror of it.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use crate::{auth::Authorizer, config::is_loopback, url::Scheme};

/// Where the requests for a registry go, and what was learned of it so far.
pub(crate) struct Endpoint {
    /// Host and port of its API.
    pub(crate) host: String,
    /// Path before a repository's: empty, or ends with `/`.
    pub(crate) prefix: String,
    /// Whether plain HTTP is all it speaks, as the configuration says.
    plain_http: bool,
    /// Whether plain HTTP may be tried after TLS.
    may_fall_back: bool,
    /// The scheme that worked.
    scheme: OnceLock<Scheme>,
    /// A connection to it failed; while there are others, they are asked instead.
    down: AtomicBool,
    /// Proves who we are.
    pub(crate) auth: Authorizer,
}

impl Endpoint {
    pub(crate) fn new(
        host: &str,
        prefix: String,
        plain_http: bool,
        insecure: bool,
        auth: Authorizer,
    ) -> Self {
        Self {
            host: host.to_owned(),
            prefix,
            plain_http,
            may_fall_back: insecure || is_loopback(host),
            scheme: OnceLock::new(),
            down: AtomicBool::new(false),
            auth,
        }
    }

    /// Returns the schemes to try, in order.
    pub(crate) fn schemes(&self) -> &[Scheme] {
        match self.scheme.get() {
            Some(Scheme::Http) => &[Scheme::Http],
            None if self.plain_http => &[Scheme::Http],
            None if self.may_fall_back => &[Scheme::Https, Scheme::Http],
            Some(Scheme::Https) | None => &[Scheme::Https],
        }
    }

    /// Remembers the scheme that worked.
    pub(crate) fn set_scheme(&self, scheme: Scheme) {
        // Another thread may have been first, and found the same.
        let _ = self.scheme.set(scheme);
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    pub(crate) fn set_down(&self) {
        self.down.store(true, Ordering::Relaxed);
    }

    /// Returns the path of a repository's resource, as `manifests/latest`.
    pub(crate) fn path(&self, repository: &str, resource: &str) -> String {
        format!("/v2/{}{repository}/{resource}", self.prefix)
    }
}
