//! What a registry's refusals say (distribution specification, section "Error Codes").

use std::time::Duration;

use serde::Deserialize;

use crate::Refusal;

/// Longest error document that is read, in bytes.
pub(crate) const ERROR_LIMIT: u64 = 64 * 1024;
/// Longest message that is shown, in characters.
const SHOWN: usize = 400;

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    errors: Vec<Entry>,
    /// Token services have this form.
    details: Option<String>,
    message: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// Reads a refusal out of status and body.
pub(crate) fn refusal(
    subject: &str,
    host: &str,
    login: &str,
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
) -> Refusal {
    let (code, message) = parse(body);
    let message = match (code.as_str(), message) {
        (_, Some(message)) => shown(&message),
        ("", None) => by_status(status),
        (code, None) => code.to_lowercase().replace('_', " "),
    };
    Refusal {
        subject: subject.to_owned(),
        host: host.to_owned(),
        status,
        hint: hint(status, login),
        code,
        message,
        retry_after: retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs),
    }
}

/// Returns code and message of the body's first error.
fn parse(body: &[u8]) -> (String, Option<String>) {
    let Ok(document) = serde_json::from_slice::<Document>(body) else {
        return (String::new(), None);
    };
    let first = document.errors.into_iter().next();
    let (code, message) = if let Some(entry) = first {
        (entry.code, Some(entry.message))
    } else {
        let text = [document.details, document.error_description, document.message];
        (String::new(), text.into_iter().flatten().next().or(document.error))
    };
    // Docker's words for a code are the code in lower case; the message says more.
    let words = code.to_lowercase().replace('_', " ");
    let message = message.filter(|message| !message.trim().is_empty()).map(|message| {
        let same = message.to_lowercase().starts_with(&words) || words.is_empty();
        if same { message } else { format!("{words}: {message}") }
    });
    (code, message)
}

/// Makes text of a stranger fit for one line of a terminal.
fn shown(text: &str) -> String {
    let clean: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Says what a status means.
pub(crate) fn by_status(status: u16) -> String {
    let text = match status {
        401 => "authentication required",
        403 => "access denied",
        404 => "not found",
        405 => "not supported by the server",
        413 => "too large for the server",
        416 => "range not satisfiable",
        429 => "too many requests",
        _ => {
            let reason = ureq::http::StatusCode::from_u16(status)
                .ok()
                .and_then(|status| status.canonical_reason())
                .unwrap_or("unexpected answer");
            return format!("{} (HTTP status {status})", reason.to_lowercase());
        }
    };
    text.to_owned()
}

fn hint(status: u16, login: &str) -> String {
    match status {
        401 | 403 => format!("`lathe login {login}` stores credentials"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, expected: &str) {
        let refusal = refusal("pull x", "r.example", "r.example", status, None, body.as_bytes());
        assert_eq!(refusal.to_string(), expected);
    }

    #[test]
    fn the_registrys_own_words_are_shown() {
        check(
            404,
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{}}]}"#,
            "pull x: r.example: manifest unknown",
        );
        check(
            429,
            r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your\n limit"}]}"#,
            "pull x: r.example: toomanyrequests: You have reached your limit",
        );
        check(
            403,
            r#"{"errors":[{"code":"DENIED"}]}"#,
            "pull x: r.example: denied; `lathe login r.example` stores credentials",
        );
        check(
            401,
            r#"{"details":"incorrect username or password"}"#,
            "pull x: r.example: incorrect username or password; \
             `lathe login r.example` stores credentials",
        );
    }

    #[test]
    fn a_body_that_is_no_error_document_is_not_shown() {
        check(404, "<html>", "pull x: r.example: not found");
        check(502, "", "pull x: r.example: bad gateway (HTTP status 502)");
        check(599, "{}", "pull x: r.example: unexpected answer (HTTP status 599)");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let refusal =
            refusal("x", "h", "h", 400, None, b"{\"errors\":[{\"message\":\"a\\u001b[2Jb\"}]}");
        assert_eq!(refusal.message, "a [2Jb");
    }

    #[test]
    fn retry_after_is_read_in_seconds() {
        let of = |text| refusal("x", "h", "h", 429, Some(text), b"").retry_after;
        assert_eq!(of(" 7"), Some(Duration::from_secs(7)));
        assert_eq!(of("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
