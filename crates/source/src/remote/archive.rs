//! Archives that become a context: from standard input, or downloaded.

use std::{
    io::{self, Read},
    path::Path,
    sync::{Mutex, PoisonError},
};

use lathe_layer::{Codec, ExtractOptions, Probe};
use lathe_rootfs::Root;
use lathe_tree::Timestamp;

use crate::{Error, Fetched, Remotes, Result};

/// Bytes that are looked at to find out what an archive is. A block of bzip2, of which nothing
/// can be read before it is there as a whole, has 900 kB and may even have grown a little.
const HEAD: u64 = 1 << 20;

/// Tells whether bytes are the beginning of an archive, compressed or not.
///
/// What is compressed counts as an archive without a look inside, since no Dockerfile begins like
/// that. 512 bytes are enough; fewer are, too, for what is compressed.
pub fn is_archive(head: &[u8]) -> bool {
    // Two bytes are all that gzip's begin has in common with what our decoders look for; the third
    // is always 8 (RFC 1952, section 2.3.1).
    let compressed = match Codec::of_magic(head) {
        Codec::Layer(lathe_layer::Compression::None) => false,
        Codec::Layer(lathe_layer::Compression::Gzip) => head.get(2) == Some(&8),
        _ => true,
    };
    compressed || matches!(lathe_layer::probe(head), Ok(Probe::Archive(_)))
}

impl Remotes {
    /// Unpacks an archive, compressed or not, into a snapshot. `name` is for errors. Owners, modes
    /// and times are the archive's.
    pub fn archive(&self, archive: impl Read + Send, name: &str) -> Result<Fetched> {
        let io = |source| Error::Io { action: "read", subject: name.to_owned(), source };
        let broken = Mutex::new(None);
        let mut archive = Watched { inner: archive, remotes: self, broken: &broken };
        let mut head = Vec::new();
        let read = archive.by_ref().take(HEAD).read_to_end(&mut head);
        read.map_err(|error| if self.is_cancelled() { Error::Cancelled } else { io(error) })?;
        let codec = match lathe_layer::probe(&head[..])? {
            Probe::Archive(codec) => codec,
            Probe::Other => {
                return Err(Error::NoArchive(name.to_owned()));
            }
        };
        let active = self.snapshots.prepare(None)?;
        {
            let mounted = active.mount()?;
            let root = Root::open(mounted.path())?;
            let made = root.stat(Path::new(""))?.mtime;
            let options = ExtractOptions::default();
            let stream = head.chain(archive);
            let extracted = lathe_layer::extract(stream, codec, &root, Path::new(""), &options);
            if self.is_cancelled() {
                return Err(Error::Cancelled);
            }
            // Of a stream that breaks, the extractor may only see that it ends.
            if let Some(error) = broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Err(io(error));
            }
            extracted?;
            // Where the archive does not have the top folder, its time would be the present, and
            // another one each time.
            if root.stat(Path::new(""))?.mtime >= made {
                root.set_times(Path::new(""), Timestamp::from_seconds(0))?;
            }
        }
        Ok(Fetched { snapshot: active.commit()?, time: None, revision: None })
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.images.cancel.is_cancelled()
    }
}

/// Ends with an error when the user has enough, and remembers the error that it ended with.
struct Watched<'a, R> {
    inner: R,
    remotes: &'a Remotes,
    broken: &'a Mutex<Option<io::Error>>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.remotes.is_cancelled() {
            return Err(io::Error::other(Error::Cancelled));
        }
        let result = self.inner.read(buffer);
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            let copy = io::Error::new(error.kind(), error.to_string());
            *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
        }
        result
    }
}
