//! `/etc/subuid` and `/etc/subgid`: who may map which ids (subuid(5)). Pure.
//!
//! Lines are `owner:first:count`, the owner by name or by number. As `newuidmap` does, lines that
//! cannot be read are skipped: one bad line of another user must not lock this one out.

/// A run of consecutive ids in the parent namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubRange {
    /// The first id.
    pub first: u32,
    /// How many ids; never 0.
    pub count: u32,
}

/// Whose ranges are looked for: by number, and by name when the user has one.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The uid (in both files: `/etc/subgid` is keyed by user as well).
    pub uid: u32,
    /// The login name.
    pub name: Option<&'a str>,
}

/// Returns the ranges that the text of a subuid file grants to `owner`, in the file's order,
/// without those that overlap an earlier one (the kernel refuses overlapping maps).
pub fn ranges_of(text: &str, owner: Owner<'_>) -> Vec<SubRange> {
    let mut ranges: Vec<SubRange> = Vec::new();
    for (name, range) in text.lines().filter_map(parse_line) {
        let ours = owner.name == Some(name) || name.parse() == Ok(owner.uid);
        if ours && !ranges.iter().any(|other| overlap(*other, range)) {
            ranges.push(range);
        }
    }
    ranges
}

fn parse_line(line: &str) -> Option<(&str, SubRange)> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let mut fields = line.split(':');
    let (owner, first, count) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() || owner.is_empty() {
        return None;
    }
    let range = SubRange { first: first.parse().ok()?, count: count.parse().ok()? };
    // The last uid (-1) means "no uid", so a range may not reach it.
    let fits = range.first.checked_add(range.count).is_some();
    (fits && range.count > 0).then_some((owner, range))
}

fn overlap(a: SubRange, b: SubRange) -> bool {
    a.first < b.first + b.count && b.first < a.first + a.count
}

/// Returns the login name of `uid` in the text of a passwd file.
pub(crate) fn login_name(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number.parse() == Ok(uid) && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(u32, u32)]) {
        let owner = Owner { uid: 1000, name: Some("ann") };
        let found: Vec<_> =
            ranges_of(text, owner).iter().map(|range| (range.first, range.count)).collect();
        assert_eq!(found, expected, "in {text:?}");
    }

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        check("", &[]);
        check("ann:100000:65536\n", &[(100_000, 65_536)]);
        check("1000:100000:65536", &[(100_000, 65_536)]);
        check("bob:1:2\nann:100000:10\n1000:200000:20\n", &[(100_000, 10), (200_000, 20)]);
        check("anna:100000:65536\n10000:5:5\n", &[]);
    }

    #[test]
    fn lines_that_cannot_be_read_are_skipped() {
        check("# ann:1:2\nann\nann:1\nann:x:2\nann:1:2:3\nann:7:0\n:1:2\n", &[]);
        check("ann:4294967295:1\nann:4294967000:1000\n", &[]);
        check("ann:-1:5\nann:9:1\n", &[(9, 1)]);
    }

    #[test]
    fn overlapping_ranges_are_given_once() {
        check("ann:100:10\nann:105:10\nann:110:10\n", &[(100, 10), (110, 10)]);
        check("ann:100:10\n1000:100:10\n", &[(100, 10)]);
    }

    #[test]
    fn login_names_are_read_from_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbad\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(login_name(passwd, 1000), Some("ann"));
        assert_eq!(login_name(passwd, 0), Some("root"));
        assert_eq!(login_name(passwd, 7), None);
    }
}
