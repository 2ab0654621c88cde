//! Moving the bytes of one file to another inside the kernel.
//!
//! Best first: share the blocks (FICLONE: btrfs, XFS), let the kernel copy (`copy_file_range`),
//! read and write. What a file system refuses once is not tried again for the rest of the copy.
//! Holes of large files stay holes.

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::Write as _;

/// From this size on it pays to ask for holes.
const LARGE: u64 = 1024 * 1024;

/// Bytes read and written at a time by the last resort.
const BUFFER: usize = 256 * 1024;

/// Copies content and remembers what the file systems can do.
pub(super) struct DataCopier {
    can_clone: bool,
    can_copy_range: bool,
    buffer: Vec<u8>,
}

impl Default for DataCopier {
    fn default() -> Self {
        Self { can_clone: true, can_copy_range: true, buffer: Vec::new() }
    }
}

impl DataCopier {
    /// Copies `size` bytes of `from` to the empty file `to`.
    ///
    /// A file that grows meanwhile is cut there; one that shrinks ends earlier.
    pub(super) fn copy(&mut self, from: &File, to: &File, size: u64) -> io::Result<()> {
        if size == 0 || self.clone_blocks(from, to)? {
            return Ok(());
        }
        if size < LARGE {
            return self.copy_range(from, to, 0, size);
        }
        let mut at = 0;
        while at < size {
            let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
                Ok(start) => start.min(size),
                // Nothing but a hole up to the end.
                Err(Errno::NXIO) => size,
                Err(_) => at,
            };
            let end = match rustix::fs::seek(from, SeekFrom::Hole(start)) {
                Ok(end) if end > start => end.min(size),
                _ => size,
            };
            self.copy_range(from, to, start, end - start)?;
            at = end;
        }
        to.set_len(size)
    }

    fn clone_blocks(&mut self, from: &File, to: &File) -> io::Result<bool> {
        if !self.can_clone {
            return Ok(false);
        }
        match rustix::fs::ioctl_ficlone(to, from) {
            Ok(()) => Ok(true),
            Err(
                Errno::OPNOTSUPP
                | Errno::XDEV
                | Errno::INVAL
                | Errno::NOTTY
                | Errno::NOSYS
                | Errno::PERM
                | Errno::ACCESS,
            ) => {
                self.can_clone = false;
                Ok(false)
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn copy_range(&mut self, from: &File, to: &File, start: u64, length: u64) -> io::Result<()> {
        let (mut input, mut output) = (start, start);
        let end = start + length;
        while self.can_copy_range && input < end {
            let rest = usize::try_from(end - input).unwrap_or(usize::MAX).min(1 << 30);
            match rustix::fs::copy_file_range(from, Some(&mut input), to, Some(&mut output), rest) {
                // Some file systems say 0 for content they cannot copy this way; read() decides.
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(
                    Errno::XDEV
                    | Errno::INVAL
                    | Errno::NOSYS
                    | Errno::OPNOTSUPP
                    | Errno::PERM
                    | Errno::BADF,
                ) => self.can_copy_range = false,
                Err(errno) => return Err(errno.into()),
            }
        }
        if input < end { self.read_write(from, to, input, end - input) } else { Ok(()) }
    }

    fn read_write(
        &mut self,
        mut from: &File,
        mut to: &File,
        start: u64,
        length: u64,
    ) -> io::Result<()> {
        if self.buffer.is_empty() {
            self.buffer.resize(BUFFER, 0);
        }
        from.seek(io::SeekFrom::Start(start))?;
        to.seek(io::SeekFrom::Start(start))?;
        let mut rest = length;
        while rest > 0 {
            let wanted = usize::try_from(rest).unwrap_or(BUFFER).min(BUFFER);
            match from.read(&mut self.buffer[..wanted]) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    to.write_all(&self.buffer[..count])?;
                    rest -= count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(content: &[u8], can_copy_range: bool) -> Vec<u8> {
        let mut from = tempfile::tempfile().expect("temporary file");
        from.write_all(content).expect("written");
        from.rewind().expect("rewound");
        let mut to = tempfile::tempfile().expect("temporary file");
        let mut copier = DataCopier { can_clone: false, can_copy_range, buffer: Vec::new() };
        copier.copy(&from, &to, content.len() as u64).expect("copied");
        let mut result = Vec::new();
        to.rewind().expect("rewound");
        to.read_to_end(&mut result).expect("read");
        result
    }

    #[test]
    fn every_way_gives_the_same_bytes() {
        let large: Vec<u8> =
            (0..3_000_000_u32).map(|number| (number / 251).to_le_bytes()[0]).collect();
        let mut holes = vec![0; 4 * 1024 * 1024];
        holes[2_000_000] = 7;
        for content in [&b""[..], b"x", &large, &holes] {
            for can_copy_range in [true, false] {
                assert!(copied(content, can_copy_range) == content, "{} bytes", content.len());
            }
        }
    }
}
