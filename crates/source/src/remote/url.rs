//! URLs as they are shown and told apart; how they are followed is in the crate `registry` and in
//! git.

/// Returns a URL of a download fit for people: without user, password, query and fragment, and
/// in one line.
pub(super) fn shown(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let (scheme, _, host, path) = parts(text);
    let clean = |c: char| if c.is_control() { '?' } else { c };
    format!("{scheme}{host}{path}").chars().map(clean).collect()
}

/// Returns the host of a URL, without its port and without the brackets of an address.
pub(super) fn host(text: &str) -> Option<&str> {
    let host = parts(text).2;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    Some(host).filter(|host| !host.is_empty())
}

/// Splits a URL into scheme with `://`, user and password, host with port, and the rest.
pub(super) fn parts(text: &str) -> (&str, Option<&str>, &str, &str) {
    let Some(at) = text.find("://") else { return ("", None, "", text) };
    let (scheme, rest) = text.split_at(at + 3);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) => (scheme, Some(user), host, rest),
        None => (scheme, None, authority, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_no_secrets() {
        let check = |text: &str, expected: &str| assert_eq!(shown(text), expected);
        check("https://h:1/a?token=1#x", "https://h:1/a");
        check("https://u:p@h/a", "https://h/a");
        check("https://u:p@h?a=/b@c", "https://h");
        check("https://h/a\n\u{1b}[2J", "https://h/a??[2J");
    }

    #[test]
    fn hosts_are_found() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(host(text), expected, "{text}");
        check("https://h.example:8080/a", Some("h.example"));
        check("https://u:p@h/a", Some("h"));
        check("https://[::1]:80/a", Some("::1"));
        check("/a/b", None);
        check("https:///a", None);
    }
}
