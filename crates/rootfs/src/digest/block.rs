//! What is remembered of one directory: for each name the version of the file that was seen and
//! the digest that it had.
//!
//! ```text
//! "lathe-dm"  checksum u64  owner (kind, uid, gid) 3 x u32  count u32
//! offsets (count + 1) x u32, from the start of the records
//! records: version (inode, size, mtime, ctime) 4 x u64, digest 32 bytes, name
//! ```
//!
//! Records are sorted by name; the empty name is the directory itself. Numbers are little endian,
//! times nanoseconds since 1970. The file system is that of the directory. A version of zeros says
//! that the digest was right, but that the file might have changed since without a trace (see
//! `version.rs`): it only tells what changed.
//!
//! The checksum begins with the format of the digests, so a block of another lathe counts as none,
//! as does a damaged one.

use super::version::Version;
use lathe_tree::EntryDigest;
use lathe_tree::Owner;
use lathe_tree::TreeDigest;
use std::cmp::Ordering;

const MAGIC: &[u8; 8] = b"lathe-dm";

/// Of the layout above; part of the checksum.
const LAYOUT: u64 = 1;

/// Bytes before the offsets.
const HEADER: usize = 32;

/// Where the part begins that the checksum is over.
const CHECKED: usize = 16;

/// Bytes of a record before its name.
const FIXED: usize = Version::LENGTH + 32;

/// What is known of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) version: Version,
    pub(super) digest: EntryDigest,
}

/// A block that was checked.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    count: usize,
}

impl Block {
    /// Returns the block, unless it is damaged, foreign or was made for another owner.
    pub(super) fn parse(bytes: Vec<u8>, owner: Option<Owner>) -> Option<Self> {
        let checked = bytes.get(CHECKED..)?;
        let checksum = u64::from_le_bytes(bytes[8..CHECKED].try_into().ok()?);
        if !bytes.starts_with(MAGIC) || checksum != checksum_of(checked) {
            return None;
        }
        if checked.get(..12)? != owner_bytes(owner) {
            return None;
        }
        let count = number(&bytes, HEADER - 4)?;
        let block = Self { bytes, count };
        block.is_sound().then_some(block)
    }

    /// Whether every record lies where the next one begins.
    fn is_sound(&self) -> bool {
        let records = self.records();
        let room = self.bytes.len().checked_sub(records);
        let mut last = 0;
        let sound = (1..=self.count).all(|index| {
            let Some(end) = number(&self.bytes, HEADER + 4 * index) else { return false };
            let start = std::mem::replace(&mut last, end);
            end >= start && end - start >= FIXED
        });
        sound && number(&self.bytes, HEADER) == Some(0) && room == Some(last)
    }

    /// Where the records begin.
    fn records(&self) -> usize {
        HEADER + 4 * (self.count + 1)
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    fn bytes_of(&self, index: usize) -> &[u8] {
        let offset = |index| number(&self.bytes, HEADER + 4 * index).expect("the block is sound");
        let records = &self.bytes[self.records()..];
        &records[offset(index)..offset(index + 1)]
    }

    pub(super) fn name(&self, index: usize) -> &[u8] {
        &self.bytes_of(index)[FIXED..]
    }

    pub(super) fn record(&self, index: usize) -> Record {
        let bytes = self.bytes_of(index);
        let version = bytes[..Version::LENGTH].try_into().expect("a version long");
        let digest = bytes[Version::LENGTH..FIXED].try_into().expect("a digest long");
        Record { version: Version(version), digest: EntryDigest(digest) }
    }

    /// Returns where `name` is, or the place of the next one.
    pub(super) fn position(&self, name: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            match self.name(middle).cmp(name) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Returns what is known of `name`.
    pub(super) fn find(&self, name: &[u8]) -> Option<Record> {
        self.position(name).ok().map(|index| self.record(index))
    }
}

/// Looks up names that come in order.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    block: &'a Block,
    next: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(block: &'a Block, first: &[u8]) -> Self {
        let (Ok(next) | Err(next)) = block.position(first);
        Self { block, next }
    }

    /// Returns what is known of `name`, which is not before the one that was asked for last.
    pub(super) fn find(&mut self, name: &[u8]) -> Option<Record> {
        while self.next < self.block.len() {
            match self.block.name(self.next).cmp(name) {
                Ordering::Less => self.next += 1,
                Ordering::Equal => {
                    self.next += 1;
                    return Some(self.block.record(self.next - 1));
                }
                Ordering::Greater => break,
            }
        }
        None
    }
}

/// Returns a block of the fresh records, which are sorted by name, and of those of the old block
/// that are not among them and that `keep` wants.
pub(super) fn merge<'a>(
    old: Option<&Block>,
    fresh: impl Iterator<Item = (&'a [u8], Record)>,
    mut keep: impl FnMut(&[u8]) -> bool,
    owner: Option<Owner>,
) -> Vec<u8> {
    let mut writer = Writer::default();
    let count = old.map_or(0, Block::len);
    let mut next = 0;
    let mut copy_old = |writer: &mut Writer, before: Option<&[u8]>| {
        while let Some(block) = old.filter(|_| next < count) {
            let name = block.name(next);
            match before.map_or(Ordering::Less, |before| name.cmp(before)) {
                Ordering::Less if keep(name) => writer.add(name, &block.record(next)),
                Ordering::Less | Ordering::Equal => {}
                Ordering::Greater => break,
            }
            next += 1;
        }
    };
    for (name, record) in fresh {
        copy_old(&mut writer, Some(name));
        writer.add(name, &record);
    }
    copy_old(&mut writer, None);
    writer.finish(owner)
}

#[derive(Debug, Default)]
struct Writer {
    ends: Vec<u32>,
    records: Vec<u8>,
}

impl Writer {
    fn add(&mut self, name: &[u8], record: &Record) {
        let length = self.records.len() + FIXED + name.len();
        // What does not fit is not remembered; that is fifty million names.
        let Ok(end) = u32::try_from(length) else { return };
        self.records.extend_from_slice(&record.version.0);
        self.records.extend_from_slice(&record.digest.0);
        self.records.extend_from_slice(name);
        self.ends.push(end);
    }

    fn finish(self, owner: Option<Owner>) -> Vec<u8> {
        let length = HEADER + 4 * (self.ends.len() + 1) + self.records.len();
        let count = u32::try_from(self.ends.len()).expect("each takes many bytes of 32 bits");
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&owner_bytes(owner));
        for number in [count, 0].into_iter().chain(self.ends) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.records);
        let checksum = checksum_of(&bytes[CHECKED..]);
        bytes[8..CHECKED].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

fn owner_bytes(owner: Option<Owner>) -> [u8; 12] {
    let mut bytes = [0; 12];
    if let Some(owner) = owner {
        bytes[0] = 1;
        bytes[4..8].copy_from_slice(&owner.uid.to_le_bytes());
        bytes[8..].copy_from_slice(&owner.gid.to_le_bytes());
    }
    bytes
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
}

/// Mixes eight bytes at a time; against accidents, not against attacks.
fn checksum_of(bytes: &[u8]) -> u64 {
    let mut sum = LAYOUT;
    for part in [TreeDigest::FORMAT, bytes] {
        sum = mix(sum, part.len() as u64);
        let (words, rest) = part.as_chunks::<8>();
        for word in words {
            sum = mix(sum, u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        sum = mix(sum, u64::from_le_bytes(last));
    }
    sum
}

/// One to one for each `sum` and each `word`, so that a changed word always shows.
fn mix(sum: u64, word: u64) -> u64 {
    let product = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 32)
}
