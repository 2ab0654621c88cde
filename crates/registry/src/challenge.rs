//! `WWW-Authenticate` (RFC 9110 section 11.6.1), as far as registries use it.

/// What a registry wants to see in `Authorization`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token of the service at `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
        /// Scopes, split at spaces.
        scopes: Vec<String>,
    },
}

/// Picks the challenge to answer out of the header's values: a bearer challenge before a
/// basic one, since a token is the narrower thing to send.
pub(crate) fn pick<'a>(values: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut basic = None;
    for (scheme, parameters) in values.flat_map(parse) {
        let get = |name: &str| {
            parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v)
        };
        if scheme.eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer") {
            let Some(realm) = get("realm") else { continue };
            return Some(Challenge::Bearer {
                realm: realm.clone(),
                service: get("service").cloned(),
                scopes: get("scope")
                    .map(|scope| scope.split_whitespace().map(str::to_owned).collect())
                    .unwrap_or_default(),
            });
        }
    }
    basic
}

type Parsed = (String, Vec<(String, String)>);

/// Splits one header value into challenges. Lenient: what makes no sense is passed over,
/// since the request fails anyway when nothing is left.
fn parse(value: &str) -> Vec<Parsed> {
    let mut found: Vec<Parsed> = Vec::new();
    let mut rest = value.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        if end == 0 {
            // Not the start of anything: step over one character.
            rest = rest.split_at(rest.chars().next().map_or(0, char::len_utf8)).1;
            continue;
        }
        let (word, after) = rest.split_at(end);
        let after_blank = after.trim_start_matches([' ', '\t']);
        if let Some(value) = after_blank.strip_prefix('=') {
            let (text, after) = parameter_value(value.trim_start_matches([' ', '\t']));
            if let Some((_, parameters)) = found.last_mut() {
                parameters.push((word.to_owned(), text));
            }
            rest = after;
        } else {
            found.push((word.to_owned(), Vec::new()));
            rest = after;
        }
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    found
}

/// Reads a token or a quoted string; returns it and what follows.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[at + 1..]),
            _ => value.push(c),
        }
    }
    (value, "")
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scopes: &[&str]) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        }
    }

    #[track_caller]
    fn check(values: &[&str], expected: Option<&Challenge>) {
        assert_eq!(pick(values.iter().copied()).as_ref(), expected, "{values:?}");
    }

    #[test]
    fn the_forms_that_registries_send_are_understood() {
        check(&["Basic realm=\"Registry\""], Some(&Challenge::Basic));
        check(&["basic"], Some(&Challenge::Basic));
        check(
            &["Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",\
               scope=\"repository:library/node:pull\""],
            Some(&bearer(
                "https://auth.docker.io/token",
                Some("registry.docker.io"),
                &["repository:library/node:pull"],
            )),
        );
        check(
            &["Bearer realm=\"https://a/t\", scope=\"repository:x:pull,push repository:y:pull\""],
            Some(&bearer("https://a/t", None, &["repository:x:pull,push", "repository:y:pull"])),
        );
        check(
            &["bearer Realm=https://a/t , error=invalid_token"],
            Some(&bearer("https://a/t", None, &[])),
        );
        check(&["Bearer realm=\"a \\\"b\\\" c\""], Some(&bearer("a \"b\" c", None, &[])));
    }

    #[test]
    fn bearer_is_preferred_to_basic_wherever_it_stands() {
        let expected = bearer("https://a/t", None, &[]);
        check(&["Basic realm=\"x\", Bearer realm=\"https://a/t\""], Some(&expected));
        check(&["Basic realm=\"x\"", "Bearer realm=\"https://a/t\""], Some(&expected));
    }

    #[test]
    fn nonsense_is_no_challenge() {
        for value in ["", "Negotiate", "Bearer", "Bearer scope=\"x\"", "\"\"=,=", "é é", "a=\"b"]
        {
            check(&[value], None);
        }
    }
}
