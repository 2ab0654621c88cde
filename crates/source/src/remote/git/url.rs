//! URLs of repositories: which are followed at all, without what is secret in them, and what
//! relative URLs of submodules mean.

use lathe_oci::Digest;
use lathe_registry::basic_authorization;

use crate::{Error, Result, remote::url::parts};

/// How a repository is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Web,
    Ssh,
    Git,
    /// A folder of this machine. Submodules may be one only of a repository that is one as well.
    File,
}

/// The URL of a repository.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct GitUrl {
    /// As git takes it, without user (but for ssh) and password.
    pub(super) text: String,
    pub(super) protocol: Protocol,
    /// Scheme, host and port, to which credentials belong; empty for what needs none.
    pub(super) origin: String,
    /// User and password of the URL, as `Authorization`.
    pub(super) authorization: Option<String>,
}

impl GitUrl {
    /// Reads a URL, and refuses what git would take for an option, a program or another file.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (scheme, user, host, rest) = parts(text);
        let invalid = |reason| {
            let user = if user.is_some() { "…@" } else { "" };
            let shown = format!("{scheme}{user}{host}{}", rest.escape_debug());
            Err(Error::GitUrl { url: shown, reason })
        };
        if text.chars().any(char::is_control) {
            return invalid("it has a control character");
        }
        if scheme.is_empty() {
            return Self::scp_style(text).map_or_else(|| invalid("it is none of a repository"), Ok);
        }
        let clean = |user: &str| format!("{scheme}{user}{host}{rest}");
        let protocol = match scheme.to_ascii_lowercase().as_str() {
            "http://" | "https://" => Protocol::Web,
            "ssh://" | "git+ssh://" | "ssh+git://" => Protocol::Ssh,
            "git://" => Protocol::Git,
            "file://" if host.is_empty() && rest.starts_with('/') => Protocol::File,
            _ => return invalid("only https, http, ssh and git are followed"),
        };
        if protocol != Protocol::File && host.is_empty() {
            return invalid("it has no host");
        }
        let name = user.map(|user| user.split_once(':').map_or(user, |(name, _)| name));
        // ssh would take these for options.
        if host.starts_with('-') || name.is_some_and(|name| name.starts_with('-')) {
            return invalid("a host or user cannot begin with `-`");
        }
        Ok(match protocol {
            Protocol::Web => Self {
                text: clean(""),
                protocol,
                origin: format!("{}{}", scheme.to_lowercase(), host.to_lowercase()),
                authorization: user.filter(|user| !user.is_empty()).map(basic_authorization),
            },
            Protocol::Ssh => {
                let user = name.map_or_else(String::new, |name| format!("{name}@"));
                Self::without_authorization(clean(&user), protocol)
            }
            Protocol::Git | Protocol::File => Self::without_authorization(clean(""), protocol),
        })
    }

    fn without_authorization(text: String, protocol: Protocol) -> Self {
        Self { text, protocol, origin: String::new(), authorization: None }
    }

    /// Reads `user@host:path`.
    fn scp_style(text: &str) -> Option<Self> {
        let (user, rest) = text.split_once('@')?;
        let (host, path) = rest.split_once(':')?;
        let plain = |text: &str, extra: &[u8]| {
            !text.starts_with('-')
                && !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
        };
        let good = plain(user, b"-_.") && plain(host, b"-.") && !path.is_empty();
        // `a@b::c` would be a program to be run.
        (good && !path.starts_with(['-', ':']))
            .then(|| Self::without_authorization(text.to_owned(), Protocol::Ssh))
    }

    /// Returns the URL of a submodule as its repository, which is at this URL, writes it.
    pub(super) fn submodule(&self, text: &str) -> Result<Self> {
        let mut rest = text;
        if !rest.starts_with("./") && !rest.starts_with("../") {
            let url = Self::parse(text)?;
            return self.check_submodule(url);
        }
        let mut base = self.text.trim_end_matches('/').to_owned();
        // What cannot be cut off: scheme and host.
        let floor = match base.find("://") {
            Some(at) => base[at + 3..].find('/').map_or(base.len(), |slash| at + 3 + slash),
            None => base.find(':').map_or(0, |colon| colon + 1),
        };
        loop {
            if let Some(behind) = rest.strip_prefix("./") {
                rest = behind;
            } else if let Some(behind) = rest.strip_prefix("../") {
                rest = behind;
                let cut = base[floor..].rfind('/').map_or(floor, |slash| floor + slash);
                if base.len() <= floor {
                    let reason = "it leads above the host of its repository";
                    return Err(Error::GitUrl { url: text.to_owned(), reason });
                }
                base.truncate(cut);
            } else {
                break;
            }
        }
        let separator = if base.ends_with(':') { "" } else { "/" };
        self.check_submodule(Self::parse(&format!("{base}{separator}{rest}"))?)
    }

    fn check_submodule(&self, url: Self) -> Result<Self> {
        if url.protocol == Protocol::File && self.protocol != Protocol::File {
            let reason = "a submodule cannot be a folder of this machine";
            return Err(Error::GitUrl { url: url.text, reason });
        }
        Ok(url)
    }

    /// Returns host and port, as names of secrets have them.
    pub(super) fn host(&self) -> &str {
        parts(&self.text).2
    }

    /// Returns the name of the folder that keeps the repository.
    pub(super) fn folder(&self) -> String {
        let mut name = Digest::of(self.text.as_bytes()).hex();
        name.truncate(32);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_taken_out_of_urls() {
        let check = |text: &str, expected: &str, authorization: Option<&str>| {
            let url = GitUrl::parse(text).expect(text);
            assert_eq!(url.text, expected);
            assert_eq!(url.authorization.as_deref(), authorization, "{text}");
        };
        check("https://h/a.git", "https://h/a.git", None);
        check("https://u:p@h:1/a.git", "https://h:1/a.git", Some("Basic dTpw"));
        check("https://token@h/a.git", "https://h/a.git", Some("Basic dG9rZW46"));
        check("https://u:a%40b@h/a", "https://h/a", Some("Basic dTphQGI="));
        check("ssh://git:x@h:22/a", "ssh://git@h:22/a", None);
        check("git@h.example:a/b.git", "git@h.example:a/b.git", None);
        check("file:///a/b", "file:///a/b", None);
        check("git://u@h/a", "git://h/a", None);
    }

    #[test]
    fn urls_that_are_options_or_programs_are_refused() {
        for text in [
            "--upload-pack=touch /tmp/x",
            "-x@h:y",
            "u@-oProxyCommand=x:y",
            "ssh://-oProxyCommand=x/y",
            "ssh://-x@h/y",
            "ext::sh -c touch% /tmp/x",
            "a@b::c",
            "a@b:-c",
            "fd::1",
            "ftp://h/a",
            "file://h/a",
            "https:///a",
            "https://h/a\n-x",
            "/etc",
            "../a",
            "",
        ] {
            let error = GitUrl::parse(text).err();
            assert!(matches!(error, Some(Error::GitUrl { .. })), "{text}");
        }
        let error = GitUrl::parse("ftp://u:secret@h/a").err().unwrap().to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn relative_urls_of_submodules_start_at_their_repository() {
        let check = |base: &str, text: &str, expected: &str| {
            let url = GitUrl::parse(base).unwrap().submodule(text).expect(text);
            assert_eq!(url.text, expected, "{base} {text}");
        };
        check("https://h/a/b.git", "../c.git", "https://h/a/c.git");
        check("https://h/a/b.git/", "../../c/d", "https://h/c/d");
        check("https://h/a/b", "./c", "https://h/a/b/c");
        check("https://h/a/b", "https://g/x", "https://g/x");
        check("git@h:a/b.git", "../c.git", "git@h:a/c.git");
        check("git@h:a.git", "../c.git", "git@h:c.git");
        check("file:///a/b", "../c", "file:///a/c");
        check("file:///a/b", "file:///etc", "file:///etc");
    }

    #[test]
    fn submodules_do_not_lead_into_this_machine_or_nowhere() {
        for text in ["file:///etc", "/etc", "../../../x", "--upload-pack=x", "ext::x"] {
            let url = GitUrl::parse("https://h/a/b").unwrap();
            assert!(matches!(url.submodule(text), Err(Error::GitUrl { .. })), "{text}");
        }
    }
}
