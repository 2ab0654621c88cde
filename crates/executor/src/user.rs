//! Who `USER` means, by the image's own passwd and group files.
//!
//! Pure: the caller reads the two files through its door to the root file
//! system (regular files, capped). Rules and error texts are docker's
//! (`github.com/moby/sys/user`): a name is looked up before a number is taken
//! as one, an unknown number is fine, an unknown name is not, supplementary
//! groups count only when no group is asked for.

use crate::UserIds;

/// Highest id that docker takes.
const MAX_ID: i64 = 0x7fff_ffff;

/// Result of a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedUser {
    pub ids: UserIds,
    /// Home directory from passwd, `/` for a user without an entry.
    pub home: String,
    /// Name from passwd, for a user with an entry.
    pub name: Option<String>,
}

/// Why a user cannot be found; the texts are docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    #[error("unable to find user {user}: no matching entries in passwd file")]
    NoUser { user: String },
    #[error("unable to find group {group}: no matching entries in group file")]
    NoGroup { group: String },
    #[error("uids and gids must be in range 0-2147483647")]
    OutOfRange,
}

/// Resolves `user[:group]`, each a name or a number; an empty user is root.
/// `passwd` and `group` are the contents of the two files, if they exist.
pub fn resolve_user(
    spec: &str,
    passwd: Option<&[u8]>,
    group: Option<&[u8]>,
) -> Result<ResolvedUser, UserError> {
    let (user_spec, group_spec) = spec.split_once(':').unwrap_or((spec, ""));
    let mut resolved = find_user(user_spec, passwd.unwrap_or_default())?;
    let groups = group.unwrap_or_default();
    if group_spec.is_empty() {
        if let Some(name) = &resolved.name {
            resolved.ids.additional = memberships(name, groups);
        }
    } else {
        resolved.ids.gid = find_group(group_spec, groups)?;
    }
    // The primary group is one of the supplementary ones, so that dropping it
    // does not open what is closed to the group (CVE-2022-36109).
    if !resolved.ids.additional.contains(&resolved.ids.gid) {
        resolved.ids.additional.insert(0, resolved.ids.gid);
    }
    Ok(resolved)
}

fn find_user(spec: &str, passwd: &[u8]) -> Result<ResolvedUser, UserError> {
    let number = number(spec)?;
    let wanted = if spec.is_empty() { Some(0) } else { number };
    let found = entries(passwd).find_map(|fields| {
        let uid = id(fields.get(2)?)?;
        let gid = id(fields.get(3)?)?;
        let name = *fields.first()?;
        let matches = (!spec.is_empty() && name == spec) || wanted == Some(uid);
        matches.then(|| ResolvedUser {
            ids: UserIds { uid, gid, additional: Vec::new() },
            home: fields.get(5).filter(|home| !home.is_empty()).unwrap_or(&"/").to_string(),
            name: Some(name.to_owned()),
        })
    });
    let unlisted = |uid| ResolvedUser {
        ids: UserIds { uid, gid: 0, additional: Vec::new() },
        home: "/".to_owned(),
        name: None,
    };
    found
        .or_else(|| wanted.map(unlisted))
        .ok_or_else(|| UserError::NoUser { user: spec.to_owned() })
}

fn find_group(spec: &str, groups: &[u8]) -> Result<u32, UserError> {
    let number = number(spec)?;
    entries(groups)
        .find_map(|fields| {
            let gid = id(fields.get(2)?)?;
            (*fields.first()? == spec || number == Some(gid)).then_some(gid)
        })
        .or(number)
        .ok_or_else(|| UserError::NoGroup { group: spec.to_owned() })
}

/// Returns the groups which list a user as a member, in the order of the file.
fn memberships(user: &str, groups: &[u8]) -> Vec<u32> {
    let mut found = Vec::new();
    for fields in entries(groups) {
        let member =
            fields.get(3).is_some_and(|members| members.split(',').any(|name| name == user));
        let gid = fields.get(2).and_then(id);
        found.extend(gid.filter(|gid| member && !found.contains(gid)));
    }
    found
}

/// Returns the fields of each line. Lines that are not UTF-8 cannot match.
fn entries(file: &[u8]) -> impl Iterator<Item = Vec<&str>> {
    file.split(|&byte| byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok())
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split(':').map(str::trim).collect())
}

/// Returns the number that a specification is, `None` for a name.
fn number(spec: &str) -> Result<Option<u32>, UserError> {
    match spec.parse::<i64>() {
        Ok(number) if (0..=MAX_ID).contains(&number) => Ok(u32::try_from(number).ok()),
        Ok(_) => Err(UserError::OutOfRange),
        Err(_) => Ok(None),
    }
}

fn id(field: &&str) -> Option<u32> {
    field.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\
        # comment:x:7:7::/:\n\
        node:x:1000:1001:Node:/home/node:/bin/sh\n\
        bare:x:33:34::: \n\
        broken:x:abc:1::/x:\n\
        1234:x:99:99::/num:\n";
    const GROUP: &[u8] = b"root:x:0:root\nnode:x:1001:\nwheel:x:10:root,node\n\
        docker:x:998:node\nbroken\n";

    #[track_caller]
    fn check(spec: &str, uid: u32, gid: u32, additional: &[u32], home: &str) {
        let user = resolve_user(spec, Some(PASSWD), Some(GROUP)).expect(spec);
        let ids = UserIds { uid, gid, additional: additional.to_vec() };
        assert_eq!((user.ids, user.home.as_str()), (ids, home), "{spec}");
    }

    #[track_caller]
    fn check_error(spec: &str, text: &str) {
        let error = resolve_user(spec, Some(PASSWD), Some(GROUP)).expect_err(spec);
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn names_and_numbers_are_found_in_passwd() {
        check("", 0, 0, &[0, 10], "/root");
        check("root", 0, 0, &[0, 10], "/root");
        check("node", 1000, 1001, &[1001, 10, 998], "/home/node");
        check("1000", 1000, 1001, &[1001, 10, 998], "/home/node");
        check("bare", 33, 34, &[34], "/");
    }

    #[test]
    fn a_name_of_digits_comes_before_the_number() {
        check("1234", 99, 99, &[99], "/num");
    }

    #[test]
    fn a_given_group_replaces_all_groups() {
        check("node:wheel", 1000, 10, &[10], "/home/node");
        check("node:0", 1000, 0, &[0], "/home/node");
        check("node:777", 1000, 777, &[777], "/home/node");
    }

    #[test]
    fn unknown_numbers_are_taken_as_they_are() {
        check("4711", 4711, 0, &[0], "/");
        check("4711:4712", 4711, 4712, &[4712], "/");
        let user = resolve_user("5:6", None, None).expect("numbers need no files");
        assert_eq!(user.ids, UserIds { uid: 5, gid: 6, additional: vec![6] });
    }

    #[test]
    fn unknown_names_are_errors_in_docker_s_words() {
        check_error("foo", "unable to find user foo: no matching entries in passwd file");
        check_error("broken", "unable to find user broken: no matching entries in passwd file");
        check_error("node:foo", "unable to find group foo: no matching entries in group file");
        check_error("-1", "uids and gids must be in range 0-2147483647");
        check_error("0:4294967296", "uids and gids must be in range 0-2147483647");
    }
}
