//! When a file is the same as the one that was seen before.
//!
//! As long as inode, size, modification time and change time are equal, the file is: no program can
//! set the change time, and whatever happens to a file moves it. Except that it moves in steps: a
//! file that is written, read by us and written again within one step has the same times after all
//! of it. So a file is only remembered if its times were over by more than a step when we looked
//! (git calls the others racily clean). The next time they are older, and it is.

use lathe_tree::Metadata;
use lathe_tree::Timestamp;
use rustix::time::ClockId;

/// Nanoseconds between the steps of the kernel's clock of files: a tick at the slowest, 100 a
/// second.
const STEP: i64 = 10_000_000;

/// The same for file systems that keep no nanoseconds; two seconds on FAT.
const COARSE_STEP: i64 = 2_000_000_000;

const SECOND: i64 = 1_000_000_000;

/// Inode, size, modification time and change time of a file, or zeros for a file that cannot be
/// known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(pub(super) [u8; Self::LENGTH]);

/// The time before a file was looked at, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(i64);

impl Moment {
    pub(super) fn now() -> Self {
        let now = rustix::time::clock_gettime(ClockId::Realtime);
        let seconds = now.tv_sec.saturating_mul(SECOND);
        Self(seconds.saturating_add(i64::from(u32::try_from(now.tv_nsec).unwrap_or_default())))
    }

    /// Whether a change after this moment gives the file other times than those it has.
    fn is_clearly_after(self, metadata: &Metadata) -> bool {
        let step = if metadata.ctime.nanos == 0 { COARSE_STEP } else { STEP };
        let past = self.0.saturating_sub(step);
        let is_past = |time| nanoseconds(time).is_some_and(|time| time < past);
        is_past(metadata.mtime) && is_past(metadata.ctime)
    }
}

impl Version {
    pub(super) const LENGTH: usize = 32;

    /// That of a file which cannot be known again.
    pub(super) const NONE: Self = Self([0; Self::LENGTH]);

    /// Returns the version, `None` if the times are those of no realistic file.
    pub(super) fn of(metadata: &Metadata) -> Option<Self> {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&metadata.inode.to_le_bytes());
        bytes[8..16].copy_from_slice(&metadata.size.to_le_bytes());
        bytes[16..24].copy_from_slice(&nanoseconds(metadata.mtime)?.to_le_bytes());
        bytes[24..].copy_from_slice(&nanoseconds(metadata.ctime)?.to_le_bytes());
        Some(Self(bytes))
    }

    /// Returns what to remember of a file that was looked at after `moment`.
    pub(super) fn to_remember(metadata: &Metadata, moment: Moment) -> Self {
        if !moment.is_clearly_after(metadata) {
            return Self::NONE;
        }
        Self::of(metadata).unwrap_or(Self::NONE)
    }
}

fn nanoseconds(time: Timestamp) -> Option<i64> {
    time.seconds.checked_mul(SECOND)?.checked_add(i64::from(time.nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lathe_tree::Device;
    use lathe_tree::FileKind;

    fn file(mtime: i64, ctime: i64) -> Metadata {
        let time = |at: i64| Timestamp {
            seconds: at.div_euclid(SECOND),
            nanos: u32::try_from(at.rem_euclid(SECOND)).expect("below a billion"),
        };
        Metadata {
            kind: FileKind::Regular,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 3,
            mtime: time(mtime),
            device: Device::default(),
            links: 1,
            ctime: time(ctime),
            file_system: Device::default(),
            inode: 9,
        }
    }

    #[test]
    fn a_file_is_remembered_once_a_change_would_show() {
        let now = 1_000 * SECOND + 500_000_000;
        let ms = 1_000_000;
        for (mtime, ctime, is_remembered) in [
            (now - SECOND, now - 11 * ms, true),
            (now - SECOND, now - 9 * ms, false),
            (now - 9 * ms, now - SECOND, false),
            (now - SECOND, now + SECOND, false),
            (now + SECOND, now - SECOND, false),
            (-5, now - SECOND, true),
            // Without nanoseconds the clock may move in steps of two seconds.
            (998 * SECOND, 998 * SECOND, true),
            (999 * SECOND, 999 * SECOND, false),
            (999 * SECOND, now - 11 * ms, true),
        ] {
            let version = Version::to_remember(&file(mtime, ctime), Moment(now));
            assert_eq!(version != Version::NONE, is_remembered, "{mtime} {ctime}");
        }
    }

    #[test]
    fn a_version_holds_inode_size_and_both_times() {
        let base = file(5, 6);
        let version = Version::of(&base);
        for other in [
            Metadata { inode: 1, ..base },
            Metadata { size: 1, ..base },
            file(4, 6),
            file(5, 5),
            file(5 + SECOND, 6),
        ] {
            assert_ne!(Version::of(&other), version);
        }
        let far = Timestamp { seconds: i64::MAX, nanos: 0 };
        assert_eq!(Version::of(&Metadata { mtime: far, ..base }), None);
    }
}
