//! Overlay mounts.
//!
//! Through the new mount interface one layer is one `fsconfig` call (`lowerdir+`, kernel 6.8), so
//! neither the number of layers nor a `:` or `,` in a path matters. Older kernels get `mount(2)`
//! with paths relative to the snapshot directory, which a thread with a working directory of its
//! own resolves: short enough for some 270 layers in the page of options.
//!
//! Options: `volatile` (5.10), since what a step writes is not synced anywhere in the store, and a
//! package manager's many `fsync`s cost more than its work; `redirect_dir=nofollow`, `metacopy=off`,
//! so that attributes in strangers' layers cannot point at other files; `index=off`, `xino=off`,
//! since layers are never exported and lie on one file system.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::mount::FsMountFlags;
use rustix::mount::FsOpenFlags;
use rustix::mount::MountAttrFlags;
use rustix::mount::MountFlags;
use rustix::mount::MoveMountFlags;

use crate::driver::End;
use crate::driver::Layers;
use crate::driver::Shown;
use crate::driver::Snapshotter;
use crate::driver::Upper;
use crate::error::Error;
use crate::error::Result;
use crate::native::Before;
use crate::snapshots::make_private;

/// Where overlay keeps its marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marks {
    /// In `trusted.overlay.*`: for root of the machine.
    Trusted,
    /// In `user.overlay.*`: in user namespaces.
    User,
}

/// The driver.
#[derive(Debug)]
pub(crate) struct Overlay {
    pub(crate) marks: Marks,
    /// The directory that the layers of the store are in.
    pub(crate) snapshots: PathBuf,
    /// An empty directory: overlay without an upper wants two layers.
    pub(crate) empty: PathBuf,
}

impl Snapshotter for Overlay {
    fn show(&self, layers: &Layers, point: &Path) -> Result<Shown> {
        if let Some(upper) = &layers.upper {
            fresh_work(upper)?;
        }
        fs::create_dir(point).map_err(|source| Error::io("create", point, source))?;
        if let Err(error) = self.mount(layers, point) {
            // The error of the mount is the one to tell.
            drop(fs::remove_dir(point));
            return Err(error);
        }
        Ok(Shown { path: point.to_owned(), end: End::Unmount, before: None })
    }

    fn collect(&self, _upper: &Upper, _before: Option<&Before>) -> Result<()> {
        Ok(())
    }
}

impl Overlay {
    fn mount(&self, layers: &Layers, point: &Path) -> Result<()> {
        match self.mount_by_descriptor(layers, point) {
            Err(Failure::Interface) => self.mount_by_options(layers, point),
            Err(Failure::Mount(errno, message)) => {
                Err(Error::Mount { path: point.to_owned(), message, source: errno.into() })
            }
            Ok(()) => Ok(()),
        }
    }

    fn lower_directories<'a>(&'a self, layers: &'a Layers) -> Vec<&'a Path> {
        let mut lower: Vec<&Path> = layers.lower.iter().map(PathBuf::as_path).collect();
        if lower.len() == 1 && layers.upper.is_none() {
            lower.push(&self.empty);
        }
        lower
    }

    fn fixed_options(&self) -> &'static [(&'static str, &'static str)] {
        match self.marks {
            Marks::Trusted => &[
                ("redirect_dir", "nofollow"),
                ("metacopy", "off"),
                ("index", "off"),
                ("xino", "off"),
            ],
            // `userxattr` switches redirects and metacopy off by itself and refuses the words.
            Marks::User => &[("index", "off"), ("xino", "off")],
        }
    }

    fn mount_by_descriptor(
        &self,
        layers: &Layers,
        point: &Path,
    ) -> std::result::Result<(), Failure> {
        let context =
            rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| {
                if errno == Errno::NOSYS { Failure::Interface } else { Failure::Mount(errno, None) }
            })?;
        let set = |key: &str, value: &Path| {
            rustix::mount::fsconfig_set_string(&context, key, value)
                .map_err(|errno| failure(&context, errno))
        };
        set("source", Path::new("overlay"))?;
        for (position, lower) in self.lower_directories(layers).into_iter().enumerate() {
            match rustix::mount::fsconfig_set_string(&context, "lowerdir+", lower) {
                // Before 6.8 there was no such key.
                Err(Errno::INVAL) if position == 0 => return Err(Failure::Interface),
                set => set.map_err(|errno| failure(&context, errno))?,
            }
        }
        if let Some(upper) = &layers.upper {
            set("upperdir", &escape(&upper.changes))?;
            set("workdir", &escape(&upper.work))?;
            rustix::mount::fsconfig_set_flag(&context, "volatile")
                .map_err(|errno| failure(&context, errno))?;
        }
        for (key, value) in self.fixed_options() {
            set(key, Path::new(value))?;
        }
        if self.marks == Marks::User {
            rustix::mount::fsconfig_set_flag(&context, "userxattr")
                .map_err(|errno| failure(&context, errno))?;
        }
        rustix::mount::fsconfig_create(&context).map_err(|errno| failure(&context, errno))?;
        let read_only = match layers.upper {
            Some(_) => MountAttrFlags::empty(),
            None => MountAttrFlags::MOUNT_ATTR_RDONLY,
        };
        let mount = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, read_only)
            .map_err(|errno| failure(&context, errno))?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(&mount, "", rustix::fs::CWD, point, flags)
            .map_err(|errno| Failure::Mount(errno, None))
    }

    fn mount_by_options(&self, layers: &Layers, point: &Path) -> Result<()> {
        let mut options = self.options_text(layers);
        let mounted = self.mount_with(&options, layers, point);
        let mounted = match mounted {
            // Before 5.10 there was no such option.
            Err(Errno::INVAL) if layers.upper.is_some() => {
                options = options.replace(",volatile", "");
                self.mount_with(&options, layers, point)
            }
            mounted => mounted,
        };
        mounted.map_err(|errno| Error::Mount {
            path: point.to_owned(),
            message: None,
            source: errno.into(),
        })
    }

    fn options_text(&self, layers: &Layers) -> String {
        let relative = |path: &Path| match path.strip_prefix(&self.snapshots) {
            Ok(relative) => relative.to_string_lossy().into_owned(),
            Err(_) => escape(path).to_string_lossy().into_owned(),
        };
        let lower: Vec<String> = self.lower_directories(layers).into_iter().map(relative).collect();
        let mut options = vec![format!("lowerdir={}", lower.join(":"))];
        if let Some(upper) = &layers.upper {
            options.push(format!("upperdir={}", relative(&upper.changes)));
            options.push(format!("workdir={}", relative(&upper.work)));
            options.push("volatile".into());
        }
        options.extend(self.fixed_options().iter().map(|(key, value)| format!("{key}={value}")));
        if self.marks == Marks::User {
            options.push("userxattr".into());
        }
        options.join(",")
    }

    /// Mounts in a thread that has a working directory of its own, since the paths are relative.
    fn mount_with(&self, options: &str, layers: &Layers, point: &Path) -> rustix::io::Result<()> {
        let options = std::ffi::CString::new(options).map_err(|_| Errno::INVAL)?;
        let flags = match layers.upper {
            Some(_) => MountFlags::empty(),
            None => MountFlags::RDONLY,
        };
        let mount = || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS)
                .map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
            rustix::process::chdir(&self.snapshots)?;
            rustix::mount::mount("overlay", point, "overlay", flags, Some(options.as_c_str()))
        };
        std::thread::scope(|scope| scope.spawn(mount).join().unwrap_or(Err(Errno::CANCELED)))
    }
}

/// Why mounting by descriptor did not work.
enum Failure {
    /// The kernel does not have it; the older interface is to be tried.
    Interface,
    /// The kernel refused, with its own words when it has some.
    Mount(Errno, Option<String>),
}

/// Reads what the kernel has to say about a refused option.
fn failure(context: &OwnedFd, errno: Errno) -> Failure {
    let mut buffer = [0; 512];
    let message = rustix::io::read(context, &mut buffer)
        .ok()
        .map(|length| String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned());
    Failure::Mount(errno, message)
}

/// Escapes a path as overlay's options want it.
fn escape(path: &Path) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::ffi::OsStringExt as _;
    let bytes = path.as_os_str().as_bytes();
    if !bytes.iter().any(|byte| b"\\:,".contains(byte)) {
        return path.to_owned();
    }
    let mut escaped = Vec::with_capacity(bytes.len() + 8);
    for byte in bytes {
        if b"\\:,".contains(byte) {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    std::ffi::OsString::from_vec(escaped).into()
}

/// Makes the scratch directory, or empties it: after a volatile mount the kernel refuses it, as it
/// cannot know that nobody cares about a power cut.
fn fresh_work(upper: &Upper) -> Result<()> {
    match make_private(&upper.work) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
            Ok(lathe_store::remove_tree(&upper.work.join("work"))?)
        }
        made => made,
    }
}

/// Says whether an error means that overlay cannot be had here, and not that this mount was wrong.
pub(crate) fn unavailable(error: &Error) -> bool {
    let Error::Mount { source, .. } = error else { return false };
    let errno = Errno::from_io_error(source);
    matches!(
        errno,
        Some(
            Errno::NODEV
                | Errno::PERM
                | Errno::ACCESS
                | Errno::NOSYS
                | Errno::INVAL
                | Errno::OPNOTSUPP
        )
    )
}

#[cfg(test)]
mod tests;
