//! Sources, destinations, owners and modes of `COPY` and `ADD`, as text.

use crate::path::join;

/// Returns an absolute destination; it ends with `/` if it must be a directory.
///
/// Where several sources are copied it must be one, whether it is written so or not.
pub(super) fn destination(working_dir: &str, typed: &str, several: bool) -> String {
    let mut path = join(working_dir, typed);
    let is_directory =
        typed.is_empty() || typed.ends_with('/') || typed == "." || typed.ends_with("/.");
    if (is_directory || several) && !path.ends_with('/') {
        path.push('/');
    }
    path
}

/// Returns a source relative to the root of its context; `.` for all of it.
///
/// With `--parents`, `/./` divides what is dropped from what is kept.
pub(super) fn clean_source(source: &str, parents: bool) -> String {
    if let Some((before, after)) = source.split_once("/./").filter(|_| parents) {
        let (before, after) = (join("/", before), join("/", after));
        let before = if before == "/" { "." } else { &before[1..] };
        return format!("{before}/.{after}");
    }
    match &join("/", source)[1..] {
        "" => ".".to_owned(),
        path => path.to_owned(),
    }
}

/// Returns the pattern that matches a name and nothing else.
pub(super) fn literal(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// Tells whether the value of `--chown` is ids alone.
pub(super) fn is_numeric_owner(owner: &str) -> bool {
    let is_id = |id: &str| id.parse::<u32>().is_ok();
    match owner.split_once(':') {
        Some((user, group)) => is_id(user) && (group.is_empty() || is_id(group)),
        None => is_id(owner),
    }
}

/// Tells whether the value of `--chmod` can be one.
pub(super) fn is_mode(text: &str) -> bool {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return u32::from_str_radix(text, 8).is_ok_and(|mode| mode <= 0o7777);
    }
    text.split(',').all(is_clause)
}

/// Reads `[ugoa…][+-=][rwxXst…|ugo]`, the second part once or more.
fn is_clause(clause: &str) -> bool {
    let actions = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    if !actions.starts_with(['+', '-', '=']) {
        return false;
    }
    let mut parts = actions.split(['+', '-', '=']);
    parts.all(|perms| {
        let copied = matches!(perms, "u" | "g" | "o");
        copied || perms.chars().all(|c| "rwxXst".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_directories_if_they_must_be() {
        let check = |typed: &str, several: bool, expected: &str| {
            assert_eq!(destination("/app", typed, several), expected, "{typed}");
        };
        check("a", false, "/app/a");
        check("a", true, "/app/a/");
        check("a/", false, "/app/a/");
        check(".", false, "/app/");
        check("", false, "/app/");
        check("/x/.", false, "/x/");
        check("/", true, "/");
        check("../../../x", false, "/x");
    }

    #[test]
    fn sources_cannot_leave_their_context() {
        let check = |source: &str, expected: &str| {
            assert_eq!(clean_source(source, false), expected, "{source}");
        };
        check(".", ".");
        check("/", ".");
        check("../../etc/passwd", "etc/passwd");
        check("/app/dist/", "app/dist");
        check("package*.json", "package*.json");
        check("a/./b", "a/b");
    }

    #[test]
    fn the_pivot_of_parents_is_kept() {
        let check = |source: &str, expected: &str| {
            assert_eq!(clean_source(source, true), expected, "{source}");
        };
        check("a/./b/c", "a/./b/c");
        check("/a/../x/./b/", "x/./b");
        check("./src", "src");
        check("././src", "./././src".strip_prefix("./").unwrap_or_default());
    }

    #[test]
    fn names_are_no_patterns() {
        assert_eq!(literal("a[1]*?.txt"), r"a\[1]\*\?.txt");
    }

    #[test]
    fn owners_by_name_are_told_from_ids() {
        for owner in ["0", "1000:1000", "5:"] {
            assert!(is_numeric_owner(owner), "{owner}");
        }
        for owner in ["node", "1000:node", "", ":5", "-1"] {
            assert!(!is_numeric_owner(owner), "{owner}");
        }
    }

    #[test]
    fn modes_are_octal_or_symbolic() {
        for mode in ["0", "755", "07777", "u=rwX,go=rX", "+x", "a-w", "g=u", "u+x-w", "go="] {
            assert!(is_mode(mode), "{mode}");
        }
        for mode in ["8", "99", "10000", "x", "u", "u+z", "u=rw,", "-1", "rwxr-xr-x"] {
            assert!(!is_mode(mode), "{mode}");
        }
    }
}
