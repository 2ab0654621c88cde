//! Whiteouts: what a layer removes from those below it.
//!
//! They apply to lower layers only, wherever in the archive they stand. Where the target shows the
//! lower layers (`Whiteouts::Remove`), what this layer brought itself must be told apart: it keeps
//! a set of the paths it touched.

use super::OverlayAttributes;
use super::SkipReason;
use super::Whiteouts;
use super::apply::Applier;
use crate::error::Error;
use crate::error::Fault;
use crate::error::Result;
use crate::whiteout;
use lathe_rootfs::Dir;
use lathe_tree::Device;
use lathe_tree::FileKind;
use lathe_tree::Metadata;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

impl Applier<'_> {
    /// Applies the entry at `path` if it is a whiteout; returns whether it was.
    pub(super) fn whiteout(&mut self, path: &Path) -> Result<bool> {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let parent = path.parent().unwrap_or(Path::new(""));
        if name == whiteout::OPAQUE {
            self.opaque(parent)?;
            return Ok(true);
        }
        let is_meta = |part: &OsStr| part.as_bytes().starts_with(whiteout::META_PREFIX);
        if path.iter().any(is_meta) {
            return Ok(true);
        }
        let Some(hidden) = name.strip_prefix(whiteout::PREFIX) else { return Ok(false) };
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(Error::malformed(path.as_os_str().as_bytes(), Fault::Whiteout));
        }
        let hidden = OsStr::from_bytes(hidden);
        match self.rules.whiteouts {
            Whiteouts::Overlay(attributes) => self.mark_removed(parent, hidden, attributes)?,
            Whiteouts::Remove | Whiteouts::Literal => {
                if let Some(dir) = self.existing_dir(parent)? {
                    self.remove_lower(&dir, hidden)?;
                }
            }
        }
        Ok(true)
    }

    fn opaque(&mut self, path: &Path) -> Result<()> {
        match self.rules.whiteouts {
            Whiteouts::Overlay(_) if path.as_os_str().is_empty() => {
                self.skip(path, SkipReason::OpaqueRoot);
                Ok(())
            }
            Whiteouts::Overlay(attributes) => {
                let target = self.place(path)?;
                set_opaque(target.dir(), OsStr::new("."), attributes)
            }
            Whiteouts::Remove | Whiteouts::Literal => match self.existing_dir(path)? {
                Some(dir) => self.remove_lower_children(&dir),
                None => Ok(()),
            },
        }
    }

    /// Removes `name` but for what this layer put there.
    fn remove_lower(&mut self, dir: &Dir, name: &OsStr) -> Result<()> {
        if !self.touched.contains(&dir.path().join(name)) {
            return self.clear(dir, name);
        }
        if dir.lstat(name)?.is_dir() {
            return self.remove_lower_children(&dir.open_dir(name)?);
        }
        Ok(())
    }

    fn remove_lower_children(&mut self, dir: &Dir) -> Result<()> {
        for name in dir.names()? {
            self.remove_lower(dir, &name)?;
        }
        Ok(())
    }

    fn mark_removed(
        &mut self,
        parent: &Path,
        name: &OsStr,
        attributes: OverlayAttributes,
    ) -> Result<()> {
        let target = self.place(parent)?;
        match target.dir().try_lstat(name)? {
            None => Ok(target.dir().make_node(name, FileKind::CharDevice, 0, Device::default())?),
            // This layer has a directory there: it stands for itself alone then.
            Some(metadata) if metadata.is_dir() => set_opaque(target.dir(), name, attributes),
            Some(_) => Ok(()),
        }
    }

    /// Hides the lower directory under the new directory `name`, in whose place there was
    /// `replaced`.
    pub(super) fn keep_removed(
        &mut self,
        dir: &Dir,
        name: &OsStr,
        replaced: &Metadata,
    ) -> Result<()> {
        let was_mark =
            replaced.kind == FileKind::CharDevice && replaced.device == Device::default();
        match self.rules.whiteouts {
            Whiteouts::Overlay(attributes) if was_mark => set_opaque(dir, name, attributes),
            _ => Ok(()),
        }
    }
}

fn set_opaque(dir: &Dir, name: &OsStr, attributes: OverlayAttributes) -> Result<()> {
    let key: &[u8] = match attributes {
        OverlayAttributes::Trusted => b"trusted.overlay.opaque",
        OverlayAttributes::User => b"user.overlay.opaque",
    };
    Ok(dir.set_xattr(name, key, b"y")?)
}
