//! Names of users and groups, looked up in the image's own files.

use std::path::Path;

use lathe_executor::user::{ResolvedUser, resolve_user};
use lathe_rootfs::Root;
use lathe_tree::Owner;

use crate::Result;

/// Largest passwd or group file that is read, in bytes; a larger one is an attack
/// (GHSA-72x6-4j93-7w86).
const LIMIT: u64 = 10 << 20;

/// Finds the user that `USER` or `--chown` names.
pub(crate) fn find_user(root: &Root, spec: &str) -> Result<ResolvedUser> {
    let passwd = read(root, "etc/passwd")?;
    let group = read(root, "etc/group")?;
    Ok(resolve_user(spec, passwd.as_deref(), group.as_deref())?)
}

/// Finds the owner that `--chown` names; a user alone brings the group of the same number.
pub(crate) fn find_owner(root: &Root, spec: &str) -> Result<Owner> {
    // Numbers need no file, and scratch has none.
    let (user, group) = spec.split_once(':').unwrap_or((spec, spec));
    if let (Ok(uid), Ok(gid)) = (user.parse(), group.parse()) {
        return Ok(Owner { uid, gid });
    }
    let found = find_user(root, spec)?.ids;
    Ok(Owner { uid: found.uid, gid: found.gid })
}

/// Reads a regular file, if there is one.
fn read(root: &Root, path: &str) -> Result<Option<Vec<u8>>> {
    let path = Path::new(path);
    let is_file = root.try_stat(path)?.is_some_and(|metadata| metadata.is_file());
    Ok(if is_file { Some(root.read(path, LIMIT)?) } else { None })
}
