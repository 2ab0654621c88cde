//! Block files: many small blocks of bytes by key, in one file that is replaced as a whole.
//!
//! For what is looked up by the thousand at the start of a build and mostly stays the same, as the
//! digests of a context's files: a table of a database would cost a query for each block.
//!
//! ```text
//! header  magic (8), generation (4), number of blocks (4), checksum of generation and table (8)
//! table   by key: key (16), offset (8), length (4), generation of the last use (4), checksum (8)
//! blocks
//! ```
//!
//! Numbers are little-endian. New blocks go to a file without a name until they are saved, so that
//! memory holds the table alone. Saving writes a new file and renames it: readers keep the old one,
//! and of two who save at once the last one wins. What a power cut or a broken disk leaves is found
//! by the checksums, which guard against accidents only: the store's owner may write what he likes.
//! A block that was not asked for while [`GENERATIONS`] files were written is left out of the next.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use lathe_oci::Digest;
use rustix::fs::Mode;
use rustix::fs::OFlags;

use crate::error::Error;
use crate::error::Result;
use crate::record::SnapshotId;
use crate::store::Store;

const MAGIC: &[u8; 8] = b"lathblk1";

const HEADER: usize = 24;

const ENTRY: usize = 40;

/// After how many saved files a block goes that nobody asked for.
const GENERATIONS: u32 = 16;

/// How much is written at once, in bytes.
const CHUNK: usize = 256 * 1024;

/// How exact the time of the last use is, as for the rest of the cache.
const TOUCH_INTERVAL: Duration = Duration::from_hours(1);

type Key = [u8; 16];

/// One file of blocks, as it was when it was opened, with what was put since.
#[derive(Debug)]
pub struct BlockFile {
    path: PathBuf,
    old: Option<Old>,
    /// How many blocks were put, to ask without the lock.
    put: AtomicUsize,
    fresh: Mutex<Fresh>,
}

/// The file that was found.
#[derive(Debug)]
struct Old {
    file: File,
    generation: u32,
    /// Sorted by key.
    table: Vec<Entry>,
    used: Vec<AtomicBool>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: Key,
    offset: u64,
    length: u32,
    last_used: u32,
    checksum: u64,
}

/// What was put and is not saved.
#[derive(Debug, Default)]
struct Fresh {
    /// Has no name, so nothing stays of it.
    scratch: Option<File>,
    /// Bytes in the scratch file.
    written: u64,
    /// What is not in the scratch file yet.
    buffer: Vec<u8>,
    entries: BTreeMap<Key, Entry>,
    failed: Option<Error>,
}

impl Store {
    /// Opens the block file with a name; one that is missing or damaged is empty.
    ///
    /// # Errors
    /// Only when a file is there that cannot be opened.
    pub fn block_file(&self, name: &str) -> Result<BlockFile> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let name = if !name.is_empty() && name.len() <= 128 && name.bytes().all(plain) {
            name.to_owned()
        } else {
            Digest::of(name.as_bytes()).hex()
        };
        let path = self.inner.layout.digests().join(name);
        let old = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Old::read(opened.map_err(|source| Error::io("open", &path, source))?),
        };
        Ok(BlockFile { path, old, put: AtomicUsize::new(0), fresh: Mutex::default() })
    }
}

impl BlockFile {
    /// Returns a block; `None` when there is none, or when it is damaged.
    pub fn get(&self, key: &[u8; 16]) -> Option<Vec<u8>> {
        if self.put.load(Ordering::Acquire) > 0 {
            let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(entry) = fresh.entries.get(key) {
                return fresh.read(entry);
            }
        }
        let old = self.old.as_ref()?;
        let at = old.table.binary_search_by(|entry| entry.key.cmp(key)).ok()?;
        let block = read_block(&old.file, &old.table[at])?;
        old.used[at].store(true, Ordering::Relaxed);
        Some(block)
    }

    /// Puts a block in the place of any other with the key. A failure to keep it is told by
    /// [`BlockFile::save`].
    pub fn put(&self, key: [u8; 16], block: &[u8]) {
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        if fresh.failed.is_some() {
            return;
        }
        match fresh.add(key, block, self.path.parent().unwrap_or(&self.path)) {
            Ok(()) => self.put.store(fresh.entries.len(), Ordering::Release),
            Err(error) => fresh.failed = Some(error),
        }
    }

    /// Writes the blocks that were found together with those that were put, when there are any.
    pub fn save(&self) -> Result<()> {
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = fresh.failed.take() {
            return Err(error);
        }
        if fresh.entries.is_empty() {
            return Ok(());
        }
        let draft = self.path.with_extension(format!("{}.draft", SnapshotId::random()));
        let failed = |source| Error::io("write", &draft, source);
        let written = self.write(&mut fresh, &draft).map_err(failed);
        let renamed = written.and_then(|()| fs::rename(&draft, &self.path).map_err(failed));
        if renamed.is_err() {
            drop(fs::remove_file(&draft));
        }
        renamed
    }

    fn write(&self, fresh: &mut Fresh, path: &Path) -> io::Result<()> {
        fresh.flush()?;
        let generation = self.old.as_ref().map_or(0, |old| old.generation).wrapping_add(1);
        let old = self.old.iter().flat_map(|old| old.kept(generation));
        let mut kept: Vec<Entry> =
            old.filter(|entry| !fresh.entries.contains_key(&entry.key)).collect();
        // In the order of the files they are read from: one pass over each.
        kept.sort_unstable_by_key(|entry| entry.offset);
        let mut put: Vec<Entry> = fresh.entries.values().copied().collect();
        put.sort_unstable_by_key(|entry| entry.offset);
        for entry in &mut put {
            entry.last_used = generation;
        }
        let table = table(kept.iter().chain(&put), generation)?;
        let file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
        let mut writer = BufWriter::with_capacity(CHUNK, file);
        writer.write_all(&table)?;
        if let Some(old) = &self.old {
            copy_blocks(&old.file, &kept, &mut writer)?;
        }
        if let Some(scratch) = &fresh.scratch {
            copy_blocks(scratch, &put, &mut writer)?;
        }
        writer.flush()
    }
}

impl Old {
    /// Reads the table; `None` when the file is not whole.
    fn read(file: File) -> Option<Self> {
        let metadata = file.metadata().ok()?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).ok()?;
        let generation = u32_at(&header, 8);
        let count = usize::try_from(u32_at(&header, 12)).ok()?;
        let length = count.checked_mul(ENTRY)?;
        let start = (HEADER + length) as u64;
        if &header[..8] != MAGIC || start > metadata.len() {
            return None;
        }
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, HEADER as u64).ok()?;
        if checksum(u64::from(generation), &bytes) != u64_at(&header, 16) {
            return None;
        }
        let table: Vec<Entry> = bytes.chunks_exact(ENTRY).map(Entry::parse).collect();
        let inside = |entry: &Entry| {
            let end = entry.offset.checked_add(u64::from(entry.length));
            entry.offset >= start && end.is_some_and(|end| end <= metadata.len())
        };
        if !table.iter().all(inside) || !table.is_sorted_by(|a, b| a.key < b.key) {
            return None;
        }
        let now = SystemTime::now();
        let age = metadata.modified().ok().and_then(|then| now.duration_since(then).ok());
        if age.is_some_and(|age| age > TOUCH_INTERVAL) {
            // For the collector; a file that is used and looks old may go, which costs only time.
            drop(file.set_modified(now));
        }
        let used = table.iter().map(|_| AtomicBool::new(false)).collect();
        Some(Self { file, generation, table, used })
    }

    /// Returns the blocks that somebody asked for not too long ago.
    fn kept(&self, generation: u32) -> impl Iterator<Item = Entry> {
        self.table.iter().zip(&self.used).filter_map(move |(entry, used)| {
            let used = used.load(Ordering::Relaxed);
            let last_used = if used { generation } else { entry.last_used };
            let recent = generation.wrapping_sub(last_used) < GENERATIONS;
            recent.then_some(Entry { last_used, ..*entry })
        })
    }
}

impl Fresh {
    fn add(&mut self, key: Key, block: &[u8], directory: &Path) -> Result<()> {
        let failed = |source: io::Error| Error::io("write a file in", directory, source);
        let length = u32::try_from(block.len())
            .map_err(|_| failed(io::Error::from(io::ErrorKind::FileTooLarge)))?;
        if self.scratch.is_none() {
            self.scratch = Some(scratch(directory).map_err(failed)?);
        }
        let offset = self.written + self.buffer.len() as u64;
        self.buffer.extend_from_slice(block);
        let checksum = checksum(0, block);
        self.entries.insert(key, Entry { key, offset, length, last_used: 0, checksum });
        if self.buffer.len() >= CHUNK {
            self.flush().map_err(failed)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(scratch) = &self.scratch {
            scratch.write_all_at(&self.buffer, self.written)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    fn read(&self, entry: &Entry) -> Option<Vec<u8>> {
        match entry.offset.checked_sub(self.written) {
            None => read_block(self.scratch.as_ref()?, entry),
            Some(start) => {
                let start = usize::try_from(start).ok()?;
                let end = start.checked_add(usize::try_from(entry.length).ok()?)?;
                self.buffer.get(start..end).map(<[u8]>::to_vec)
            }
        }
    }
}

impl Entry {
    fn parse(bytes: &[u8]) -> Self {
        let mut key = [0; 16];
        key.copy_from_slice(&bytes[..16]);
        Self {
            key,
            offset: u64_at(bytes, 16),
            length: u32_at(bytes, 24),
            last_used: u32_at(bytes, 28),
            checksum: u64_at(bytes, 32),
        }
    }

    fn write(&self, offset: u64, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.key);
        to.extend_from_slice(&offset.to_le_bytes());
        to.extend_from_slice(&self.length.to_le_bytes());
        to.extend_from_slice(&self.last_used.to_le_bytes());
        to.extend_from_slice(&self.checksum.to_le_bytes());
    }
}

/// Returns header and table for blocks that follow in the order given.
fn table<'a>(
    blocks: impl Iterator<Item = &'a Entry> + Clone,
    generation: u32,
) -> io::Result<Vec<u8>> {
    let count = blocks.clone().count();
    let mut offset = (HEADER + count * ENTRY) as u64;
    let mut placed: Vec<(&Entry, u64)> = Vec::with_capacity(count);
    for entry in blocks {
        placed.push((entry, offset));
        offset += u64::from(entry.length);
    }
    placed.sort_unstable_by_key(|(entry, _)| entry.key);
    let mut bytes = Vec::with_capacity(HEADER + count * ENTRY);
    bytes.resize(HEADER, 0);
    for (entry, offset) in placed {
        entry.write(offset, &mut bytes);
    }
    let count = u32::try_from(count).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let sum = checksum(u64::from(generation), &bytes[HEADER..]);
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&generation.to_le_bytes());
    bytes[12..16].copy_from_slice(&count.to_le_bytes());
    bytes[16..24].copy_from_slice(&sum.to_le_bytes());
    Ok(bytes)
}

/// Copies blocks that are sorted by their offsets, those that lie side by side at once.
fn copy_blocks(from: &File, blocks: &[Entry], to: &mut impl io::Write) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut blocks = blocks.iter().peekable();
    while let Some(first) = blocks.next() {
        let mut end = first.offset + u64::from(first.length);
        while let Some(next) = blocks.next_if(|next| next.offset == end) {
            end += u64::from(next.length);
        }
        let mut at = first.offset;
        while at < end {
            let length = usize::try_from(end - at).map_or(CHUNK, |left| left.min(CHUNK));
            from.read_exact_at(&mut buffer[..length], at)?;
            to.write_all(&buffer[..length])?;
            at += length as u64;
        }
    }
    Ok(())
}

fn read_block(file: &File, entry: &Entry) -> Option<Vec<u8>> {
    let mut block = vec![0; usize::try_from(entry.length).ok()?];
    file.read_exact_at(&mut block, entry.offset).ok()?;
    (checksum(0, &block) == entry.checksum).then_some(block)
}

/// Makes a file without a name.
fn scratch(directory: &Path) -> io::Result<File> {
    fs::create_dir_all(directory)?;
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::TMPFILE;
    if let Ok(file) = rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR) {
        return Ok(file.into());
    }
    let path = directory.join(format!("{}.draft", SnapshotId::random()));
    let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// Adds up bytes so that any change of them is all but sure to show; far faster than reading them.
fn checksum(seed: u64, bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |sum: u64, word: u64| {
        let sum = (sum ^ word).wrapping_mul(MULTIPLIER);
        sum ^ (sum >> 32)
    };
    let mut words = bytes.chunks_exact(8);
    let sum =
        words.by_ref().fold(mix(seed, bytes.len() as u64), |sum, word| mix(sum, u64_at(word, 0)));
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    mix(sum, u64::from_le_bytes(last))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes were asked for"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were asked for"))
}

#[cfg(test)]
mod tests;
