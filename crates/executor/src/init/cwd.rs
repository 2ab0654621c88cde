//! The working directory.

use rustix::io::Errno;

use crate::wire::Failure;

/// Changes to the working directory and makes sure that it is inside the root.
///
/// A path such as `/proc/self/fd/7` could lead to a directory of the host that
/// some descriptor still holds (CVE-2024-21626). None does, and here is the
/// second lock: the kernel gives no path starting with `/` to a directory which
/// cannot be reached from the root.
pub(crate) fn enter(path: &str) -> Result<(), Failure> {
    let failed = |errno: Errno| Failure::setup(format!("chdir \"{path}\""), errno);
    rustix::process::chdir(path).map_err(failed)?;
    let current = rustix::process::getcwd(Vec::new()).map_err(failed)?;
    if current.to_bytes().starts_with(b"/") {
        Ok(())
    } else {
        Err(Failure::Setup {
            step: format!("chdir \"{path}\""),
            reason: "the directory is outside of the root file system".to_owned(),
        })
    }
}
