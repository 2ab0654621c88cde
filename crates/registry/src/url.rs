//! The part of URLs (RFC 3986) that a registry client needs: http and https, joining a
//! `Location`, and telling origins apart.
//!
//! By hand, since what matters is the strictness: no user part, no other scheme, no
//! control character ever gets through to a request line.

use std::{fmt, net::IpAddr};

/// How to talk to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn port(self) -> &'static str {
        match self {
            Self::Http => ":80",
            Self::Https => ":443",
        }
    }
}

/// A URL without a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: Scheme,
    /// Host and port, lower case; the scheme's own port is left out.
    pub(crate) authority: String,
    /// Begins with `/`.
    pub(crate) path_and_query: String,
}

impl Url {
    /// Makes the URL of a path on a host.
    pub(crate) fn new(scheme: Scheme, authority: &str, path_and_query: String) -> Self {
        let authority = authority.to_ascii_lowercase();
        let authority = authority.strip_suffix(scheme.port()).unwrap_or(&authority).to_owned();
        Self { scheme, authority, path_and_query }
    }

    /// Parses an absolute URL; `None` when it is not one that is ever followed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'\\') {
            return None;
        }
        let text = text.split('#').next().unwrap_or_default();
        let (scheme, rest) = text.split_once("://")?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        if authority.is_empty() || authority.contains('@') {
            return None;
        }
        let path_and_query = match tail.as_bytes().first() {
            Some(b'/') => tail.to_owned(),
            _ => format!("/{tail}"),
        };
        Some(Self::new(scheme, authority, path_and_query))
    }

    /// Resolves a `Location` header against this URL.
    pub(crate) fn join(&self, location: &str) -> Option<Self> {
        if location.contains("://") && !location.starts_with(['/', '?']) {
            return Self::parse(location);
        }
        let base = format!("{}://{}", self.scheme.as_str(), self.authority);
        let text = match location.as_bytes() {
            [b'/', b'/', ..] => format!("{}:{location}", self.scheme.as_str()),
            [b'/', ..] => format!("{base}{location}"),
            [b'?', ..] => format!("{base}{}{location}", self.path()),
            _ => {
                let folder = self.path().rfind('/').map_or("/", |at| &self.path()[..=at]);
                format!("{base}{folder}{location}")
            }
        };
        Self::parse(&text)
    }

    /// Tells whether credentials for one are credentials for the other.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.authority == other.authority
    }

    /// Tells whether the host is an address that is reached only on the same link, or is written
    /// so oddly that only the C library would know which address it is (`0xa9fea9fe`).
    ///
    /// A name that the DNS gives such an address is not found out.
    pub(crate) fn is_link_local(&self) -> bool {
        let host = match self.authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.authority.split(':').next().unwrap_or_default(),
        };
        match host.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => address.is_link_local(),
            Ok(IpAddr::V6(address)) => {
                address.is_unicast_link_local()
                    || address.to_ipv4_mapped().is_some_and(|address| address.is_link_local())
            }
            Err(_) => {
                let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
                last.starts_with(|c: char| c.is_ascii_digit())
                    && (last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit()))
            }
        }
    }

    /// Returns the path without the query.
    pub(crate) fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }

    /// Returns the URL with one more query parameter, of which `value` gets encoded.
    #[must_use]
    pub(crate) fn with_query(mut self, name: &str, value: &str) -> Self {
        let separator = if self.path_and_query.contains('?') { '&' } else { '?' };
        self.path_and_query.push(separator);
        self.path_and_query.push_str(name);
        self.path_and_query.push('=');
        self.path_and_query.push_str(&encode(value));
        self
    }

    /// Returns the whole URL. Not for error messages: the query may hold a signature.
    pub(crate) fn to_request(&self) -> String {
        format!("{}://{}{}", self.scheme.as_str(), self.authority, self.path_and_query)
    }
}

/// For people: without the query.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.authority, self.path())
    }
}

/// Replaces `%41` by `A`; what is no such sequence stays.
pub(crate) fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let value = digits
            .filter(|_| byte == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(value.unwrap_or(byte));
        rest = if value.is_some() { &behind[2..] } else { behind };
    }
    decoded
}

/// Percent-encodes all but RFC 3986's unreserved characters and `/`, which is legal in a
/// query and keeps scopes readable in a registry's log.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_join(base: &str, location: &str, expected: Option<&str>) {
        let joined = Url::parse(base).expect("base").join(location);
        assert_eq!(joined.map(|url| url.to_request()).as_deref(), expected, "{location}");
    }

    #[test]
    fn locations_are_resolved_as_rfc_3986_says() {
        let base = "https://r.example:5000/v2/a/blobs/uploads/?x=1";
        check_join(base, "https://cdn.example/b?sig=%2F", Some("https://cdn.example/b?sig=%2F"));
        check_join(base, "//cdn.example/b", Some("https://cdn.example/b"));
        check_join(base, "/v2/u?_state=a", Some("https://r.example:5000/v2/u?_state=a"));
        check_join(base, "uuid?s=1", Some("https://r.example:5000/v2/a/blobs/uploads/uuid?s=1"));
        check_join(base, "?s=1", Some("https://r.example:5000/v2/a/blobs/uploads/?s=1"));
        check_join(base, "/x?u=http://y", Some("https://r.example:5000/x?u=http://y"));
        check_join("http://h", "HTTP://H:80/p#f", Some("http://h/p"));
    }

    #[test]
    fn only_plain_http_and_https_without_user_are_followed() {
        for bad in ["file:///etc/passwd", "ftp://x/y", "https://u:p@x/", "https://", "https://a b/"]
        {
            check_join("https://r/", bad, None);
        }
    }

    #[test]
    fn the_default_port_belongs_to_the_origin() {
        let url = |text| Url::parse(text).expect(text);
        assert!(url("https://A:443/x").same_origin(&url("https://a/y")));
        assert!(!url("https://a/x").same_origin(&url("http://a/x")));
        assert!(!url("https://a:444/x").same_origin(&url("https://a/x")));
    }

    #[test]
    fn link_local_addresses_are_told_from_others() {
        let check = |text: &str, expected| {
            assert_eq!(Url::parse(text).expect(text).is_link_local(), expected, "{text}");
        };
        for odd in ["http://169.254.169.254/x", "http://[fe80::1]/", "http://[::ffff:169.254.1.1]/"]
        {
            check(odd, true);
        }
        for odd in ["http://2852039166/", "http://0xa9fea9fe:80/", "http://169.254.43518/"] {
            check(odd, true);
        }
        for usual in ["http://10.0.0.1/", "https://a.b1/", "http://[::1]:5000/", "http://h4.x/"] {
            check(usual, false);
        }
    }

    #[test]
    fn display_hides_the_query() {
        assert_eq!(Url::parse("https://a/b?secret=1").expect("url").to_string(), "https://a/b");
    }

    #[test]
    fn query_values_are_encoded() {
        let url =
            Url::parse("https://a/b").expect("url").with_query("scope", "repository:x/y:pull");
        let url = url.with_query("q", "a&b c");
        assert_eq!(url.path_and_query, "/b?scope=repository%3Ax/y%3Apull&q=a%26b%20c");
    }
}
