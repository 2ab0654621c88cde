//! Blobs: files named by the digest of their bytes.
//!
//! A blob is written to a file without a name (`O_TMPFILE`), hashed on the way, and linked under
//! its digest when it is complete: a killed writer leaves nothing. File systems that know no such
//! files get a name below `ingest/`. Downloads keep theirs there by digest, to be gone on with.
//!
//! Nothing is synced to the disk: a blob can be pulled or built again, and syncing would cost more
//! than many a build step. After a power cut a blob may be empty, as file systems leave it; an
//! empty file counts as missing (unless emptiness is what the digest says), so it is made again.
//! `Store::check` re-reads all of them.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::io::Write;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::path::PathBuf;

use lathe_oci::Digest;
use lathe_oci::Digester;
use rustix::fs::AtFlags;
use rustix::fs::FlockOperation;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::error::Error;
use crate::error::Result;
use crate::hold::Target;
use crate::lock::Guard;
use crate::lock::flock;
use crate::lock::is_at;
use crate::record::SnapshotId;
use crate::store::Store;

/// The mode of blobs: nobody writes to them.
const MODE: Mode = Mode::from_raw_mode(0o444);

impl Store {
    /// Says whether the blob is there; it is kept from now on while this process shares the store.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_size(digest).is_some()
    }

    /// Returns the size of a blob in bytes; `None` when it is not there. It is kept from now on
    /// while this process shares the store.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        let target = Target::Blob(*digest);
        let size = self.file_size(digest)?;
        if self.holds(&target) {
            return Some(size);
        }
        // What cannot be held may be gone at any time, so it counts as missing.
        self.hold([target]).ok()?;
        self.file_size(digest)
    }

    /// Returns the size of a blob's file in bytes.
    pub(crate) fn file_size(&self, digest: &Digest) -> Option<u64> {
        let size = fs::metadata(self.blob_path(digest)).ok()?.len();
        (size > 0 || *digest == empty_of(digest)).then_some(size)
    }

    /// Returns where the blob is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.inner.layout.blob(digest)
    }

    /// Opens a blob for reading.
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.blob_path(digest);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::BlobMissing(*digest))
            }
            opened => opened.map_err(|source| Error::io("open", &path, source)),
        }
    }

    /// Returns the bytes of a blob of at most `limit` bytes, checked against the digest. For
    /// documents; layers are read as streams.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let mut file = self.open_blob(digest)?;
        let path = || self.blob_path(digest);
        let size = file.metadata().map_err(|source| Error::io("stat", &path(), source))?.len();
        if size > limit {
            return Err(Error::BlobTooLarge { digest: *digest, size, limit });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
        file.read_to_end(&mut bytes).map_err(|source| Error::io("read", &path(), source))?;
        let mut digester = Digester::new(digest.algorithm());
        digester.update(&bytes);
        expect_digest(digest, digester.finish())?;
        Ok(bytes)
    }

    /// Stores bytes and returns their digest.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.blob_size(&digest) != Some(bytes.len() as u64) {
            let guard = self.share()?;
            let mut draft = Draft::create(self)?;
            draft.write(bytes)?;
            self.hold([Target::Blob(digest)])?;
            draft.publish(self, &digest, bytes.len() as u64)?;
            drop(guard);
        }
        Ok(digest)
    }

    /// Starts a blob whose digest is not known, or not yet proven.
    pub fn blob_writer(&self) -> Result<BlobWriter> {
        Ok(BlobWriter {
            _guard: self.share()?,
            store: self.clone(),
            draft: Draft::create(self)?,
            digester: Digester::default(),
            size: 0,
        })
    }

    /// Starts or goes on with the download of a blob; `None` when the blob is there. While another
    /// process downloads it, this waits.
    pub fn partial(&self, digest: &Digest) -> Result<Option<PartialBlob>> {
        if self.has_blob(digest) {
            return Ok(None);
        }
        let guard = self.share()?;
        let path = self.inner.layout.partial(digest);
        loop {
            let file = fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(|source| Error::io("open", &path, source))?;
            flock(&file, &path, FlockOperation::LockExclusive)?;
            if self.has_blob(digest) {
                return Ok(None);
            }
            // The one waited for may have given up and removed the file: then it is a new one.
            if !is_at(&file, &path)? {
                continue;
            }
            let digester = Digester::new(digest.algorithm());
            let mut partial = PartialBlob {
                _guard: guard,
                store: self.clone(),
                digest: *digest,
                path,
                file,
                digester,
                offset: 0,
            };
            partial.hash_what_is_there()?;
            return Ok(Some(partial));
        }
    }
}

/// A blob being written. Dropping it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    _guard: Guard,
    store: Store,
    draft: Draft,
    digester: Digester,
    size: u64,
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.draft.file.write(bytes)?;
        self.digester.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter {
    /// Puts the blob into its place and returns its digest and its size in bytes.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`] when it is not the `expected` one; nothing is kept then.
    pub fn finish(self, expected: Option<&Digest>) -> Result<(Digest, u64)> {
        let digest = self.digester.finish();
        if let Some(expected) = expected {
            expect_digest(expected, digest)?;
        }
        self.store.hold([Target::Blob(digest)])?;
        self.draft.publish(&self.store, &digest, self.size)?;
        Ok((digest, self.size))
    }
}

/// A blob being downloaded. Dropping it keeps what has come, for the next try.
#[derive(Debug)]
pub struct PartialBlob {
    _guard: Guard,
    store: Store,
    digest: Digest,
    path: PathBuf,
    file: File,
    digester: Digester,
    offset: u64,
}

impl PartialBlob {
    /// Returns how many bytes are there already, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Opens what has come for reading, from its start: more appears while it is written. None of
    /// it is checked before [`PartialBlob::finish`].
    pub fn reader(&self) -> Result<File> {
        File::open(&self.path).map_err(|source| Error::io("open", &self.path, source))
    }

    /// Throws away what is there, for servers that only send from the start.
    pub fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(|source| Error::io("truncate", &self.path, source))?;
        io::Seek::rewind(&mut self.file).map_err(|source| Error::io("seek", &self.path, source))?;
        self.digester = Digester::new(self.digest.algorithm());
        self.offset = 0;
        Ok(())
    }

    /// Checks the bytes and puts the blob into its place.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] with too few bytes (they are kept) or too many, and
    /// [`Error::DigestMismatch`] with others than promised (they are thrown away).
    pub fn finish(mut self, size: u64) -> Result<()> {
        if self.offset != size {
            if self.offset > size {
                self.restart()?;
            }
            let found = self.offset;
            return Err(Error::SizeMismatch { digest: self.digest, expected: size, found });
        }
        let digester = std::mem::take(&mut self.digester);
        if let Err(error) = expect_digest(&self.digest, digester.finish()) {
            self.restart()?;
            return Err(error);
        }
        rustix::fs::fchmod(&self.file, MODE)
            .map_err(|errno| Error::io("set the mode of", &self.path, errno))?;
        self.store.hold([Target::Blob(self.digest)])?;
        let target = blob_place(&self.store, &self.digest)?;
        fs::rename(&self.path, &target).map_err(|source| Error::io("rename", &self.path, source))
    }

    fn hash_what_is_there(&mut self) -> Result<()> {
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let read = self
                .file
                .read(&mut buffer)
                .map_err(|source| Error::io("read", &self.path, source))?;
            if read == 0 {
                return Ok(());
            }
            self.digester.update(&buffer[..read]);
            self.offset += read as u64;
        }
    }
}

impl Write for PartialBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digester.update(&bytes[..written]);
        self.offset += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is not a blob yet.
#[derive(Debug)]
struct Draft {
    file: File,
    /// Its name, on file systems which have no files without.
    path: Option<PathBuf>,
    ingest: PathBuf,
}

impl Draft {
    fn create(store: &Store) -> Result<Self> {
        let ingest = store.inner.layout.ingest();
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        match rustix::fs::open(&ingest, flags | OFlags::TMPFILE, MODE) {
            Ok(file) => return Ok(Self { file: file.into(), path: None, ingest }),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {}
            Err(errno) => return Err(Error::io("create a file in", &ingest, errno)),
        }
        let path = ingest.join(SnapshotId::random().as_str());
        let file = rustix::fs::open(&path, flags | OFlags::CREATE | OFlags::EXCL, MODE)
            .map_err(|errno| Error::io("create", &path, errno))?;
        Ok(Self { file: file.into(), path: Some(path), ingest })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|source| Error::io("write", &self.ingest, source))
    }

    fn publish(mut self, store: &Store, digest: &Digest, size: u64) -> Result<()> {
        let target = blob_place(store, digest)?;
        if let Some(path) = self.path.take() {
            return fs::rename(&path, &target).map_err(|source| Error::io("rename", &path, source));
        }
        match self.link(&target) {
            Err(Errno::EXIST) if store.file_size(digest) == Some(size) => Ok(()),
            Err(Errno::EXIST) => {
                // What is there is a power cut's leaving: put the whole one over it.
                let path = self.ingest.join(SnapshotId::random().as_str());
                self.link(&path).map_err(|errno| Error::io("create", &path, errno))?;
                fs::rename(&path, &target).map_err(|source| Error::io("rename", &path, source))
            }
            linked => linked.map_err(|errno| Error::io("create", &target, errno)),
        }
    }

    fn link(&self, target: &Path) -> rustix::io::Result<()> {
        let source = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let here = rustix::fs::CWD;
        rustix::fs::linkat(here, &source, here, target, AtFlags::SYMLINK_FOLLOW)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What cannot be removed here is removed by the next prune.
            drop(fs::remove_file(path));
        }
    }
}

/// Returns the blob's path, whose directory exists afterwards.
fn blob_place(store: &Store, digest: &Digest) -> Result<PathBuf> {
    let path = store.blob_path(digest);
    if digest.algorithm() != lathe_oci::Algorithm::Sha256 {
        let directory = path.parent().expect("blobs lie in a directory");
        fs::create_dir_all(directory).map_err(|source| Error::io("create", directory, source))?;
    }
    Ok(path)
}

fn expect_digest(expected: &Digest, found: Digest) -> Result<()> {
    if *expected == found {
        return Ok(());
    }
    Err(Error::DigestMismatch { expected: Box::new(*expected), found: Box::new(found) })
}

fn empty_of(digest: &Digest) -> Digest {
    Digester::new(digest.algorithm()).finish()
}

#[cfg(test)]
mod tests;
