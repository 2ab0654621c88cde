//! Reading a tar: USTAR, old V7, PAX, GNU long names, files with holes.

use super::BLOCK;
use super::Header;
use super::Kind;
use super::padding;
use super::pax;
use super::sparse;
use crate::error::Error;
use crate::error::Fault;
use crate::error::Result;
use lathe_tree::Device;
use lathe_tree::FileKind;
use lathe_tree::Timestamp;
use lathe_tree::Xattrs;
use std::io;
use std::io::BufRead;
use std::io::Seek;
use std::io::Write;

/// Bytes that one extended header, long name or map of holes may have, as in Go.
const EXTENDED_LIMIT: u64 = 1024 * 1024;

/// Reads entries one after the other.
pub(crate) struct Reader<R> {
    input: R,
    /// Stored bytes of the present entry that are still to be read.
    stored: u64,
    /// Bytes after them up to the next header.
    padding: u64,
    content: Content,
}

/// How the stored bytes become the content.
enum Content {
    Plain,
    /// Fragments still to come, last first; size of the whole; bytes written so far.
    Holes {
        fragments: Vec<(u64, u64)>,
        size: u64,
        at: u64,
    },
}

/// Records of the extended headers before an entry.
#[derive(Debug, Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<u64>,
    gid: Option<u64>,
    size: Option<u64>,
    mtime: Option<Timestamp>,
    xattrs: Xattrs,
    sparse_name: Option<Vec<u8>>,
    sparse_size: Option<u64>,
    sparse_list: Option<Vec<u8>>,
    sparse_major: Option<u64>,
}

impl<R: BufRead> Reader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, stored: 0, padding: 0, content: Content::Plain }
    }

    /// Returns the header of the next entry, `None` at the end. What was not read of the entry
    /// before is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Header>> {
        let rest = self.stored.checked_add(self.padding);
        self.skip(rest.ok_or_else(|| Error::malformed(b"", Fault::Sparse))?)?;
        (self.stored, self.padding, self.content) = (0, 0, Content::Plain);
        let mut extended = Extended::default();
        loop {
            let Some(block) = self.header_block()? else { return Ok(None) };
            let name = block_name(&block);
            let fault = |fault| Error::malformed(&name, fault);
            let size = number(&block[124..136]).ok_or_else(|| fault(Fault::Number))?;
            match block[156] {
                b'x' => extended.read_pax(&self.extension(&name, size)?).map_err(fault)?,
                b'L' => extended.path = Some(until_nul(&self.extension(&name, size)?).to_vec()),
                b'K' => extended.link = Some(until_nul(&self.extension(&name, size)?).to_vec()),
                // Global records: Docker ignores them, git puts the commit there.
                b'g' => drop(self.extension(&name, size)?),
                _ => return self.entry(&block, &name, extended).map(Some),
            }
        }
    }

    /// Writes the content of the present entry; errors of `output` come out unchanged.
    ///
    /// Holes stay holes: an archive of a few bytes may have a file of any size.
    pub(crate) fn copy_content(
        &mut self,
        output: &mut (impl Write + Seek),
    ) -> std::result::Result<u64, CopyError> {
        let before = self.stored;
        let Content::Holes { fragments, size, at } = &mut self.content else {
            self.copy_stored(before, output)?;
            return Ok(before);
        };
        let (mut fragments, size, mut at) = (std::mem::take(fragments), *size, *at);
        while let Some((offset, length)) = fragments.pop() {
            skip(offset - at, output).map_err(CopyError::Write)?;
            self.copy_stored(length, output)?;
            at = offset + length;
        }
        if size > at {
            // The last byte makes the file as long as it is.
            skip(size - at - 1, output).map_err(CopyError::Write)?;
            output.write_all(&[0]).map_err(CopyError::Write)?;
        }
        Ok(size)
    }

    fn copy_stored(
        &mut self,
        mut length: u64,
        output: &mut impl Write,
    ) -> std::result::Result<(), CopyError> {
        while length > 0 {
            let chunk = self.input.fill_buf().map_err(CopyError::Read)?;
            if chunk.is_empty() {
                return Err(CopyError::Read(io::ErrorKind::UnexpectedEof.into()));
            }
            let count = usize::try_from(length).unwrap_or(usize::MAX).min(chunk.len());
            output.write_all(&chunk[..count]).map_err(CopyError::Write)?;
            self.input.consume(count);
            self.stored -= count as u64;
            length -= count as u64;
        }
        Ok(())
    }

    /// Reads a header; `None` at the end mark or at the end of the input.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        // Two zero blocks are the end, and so is the end of the input; what comes after a single
        // zero block is no header, as in Go.
        if !self.fill(&mut block)? {
            return Ok(None);
        }
        if block.iter().all(|byte| *byte == 0) {
            if !self.fill(&mut block)? || block.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            return Err(Error::malformed(&block_name(&block), Fault::Checksum));
        }
        if !checksum_is_right(&block) {
            return Err(Error::malformed(&block_name(&block), Fault::Checksum));
        }
        Ok(Some(block))
    }

    /// Fills a block; `false` when the input ends before its first byte.
    fn fill(&mut self, block: &mut [u8; BLOCK]) -> Result<bool> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(Error::malformed(b"", Fault::Truncated)),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::ReadLayer { source }),
            }
        }
        Ok(true)
    }

    /// Reads the content of an extension entry.
    fn extension(&mut self, name: &[u8], size: u64) -> Result<Vec<u8>> {
        if size > EXTENDED_LIMIT {
            return Err(Error::malformed(name, Fault::ExtendedTooLong));
        }
        let mut content = vec![0; usize::try_from(size).expect("one MiB fits")];
        self.input.read_exact(&mut content).map_err(|source| cut_off(name, source))?;
        self.skip(padding(size) as u64)?;
        Ok(content)
    }

    fn entry(&mut self, block: &[u8; BLOCK], name: &[u8], extended: Extended) -> Result<Header> {
        let fault = |fault| Error::malformed(name, fault);
        let mut header = main_header(block, name, &extended).map_err(fault)?;
        let stored = header.size;
        if header.kind != Kind::File(FileKind::Regular) {
            // Some writers give directories and links a size without content. Go and GNU tar
            // ignore it; who skipped so many bytes would read other entries than they do.
            header.size = 0;
            header.xattrs = extended.xattrs;
            return Ok(header);
        }
        (self.stored, self.padding) = (stored, padding(stored) as u64);
        let map = self.sparse_map(block, &extended).map_err(|error| match error {
            MapError::Fault(reason) => fault(reason),
            MapError::Other(error) => error,
        })?;
        if let Some((map, size)) = map {
            let fragments = map.finish(self.stored, size).map_err(fault)?;
            self.content = Content::Holes { fragments, size, at: 0 };
            header.size = size;
            if let Some(name) = extended.sparse_name {
                header.path = name;
            }
        }
        header.xattrs = extended.xattrs;
        Ok(header)
    }

    /// Returns the map of holes and the size of the whole, if the file has one.
    fn sparse_map(
        &mut self,
        block: &[u8; BLOCK],
        extended: &Extended,
    ) -> std::result::Result<Option<(sparse::Map, u64)>, MapError> {
        if block[156] == b'S' {
            let mut map = sparse::Map::default();
            map.push_fields(&block[386..482])?;
            let mut more = block[482] != 0;
            let mut blocks = 0;
            while more {
                blocks += BLOCK as u64;
                let mut next = [0; BLOCK];
                if blocks > EXTENDED_LIMIT || !self.fill(&mut next)? {
                    return Err(Fault::Sparse.into());
                }
                map.push_fields(&next[..504])?;
                more = next[504] != 0;
            }
            let size = number(&block[483..495]).ok_or(Fault::Sparse)?;
            return Ok(Some((map, size)));
        }
        let Some(size) = extended.sparse_size else { return Ok(None) };
        if let Some(list) = &extended.sparse_list {
            return Ok(Some((sparse::Map::parse_list(list)?, size)));
        }
        if extended.sparse_major != Some(1) {
            return Err(Fault::Sparse.into());
        }
        let mut lines = sparse::Lines::default();
        let mut taken = 0;
        loop {
            let mut next = [0; BLOCK];
            taken += BLOCK as u64;
            if taken > self.stored.min(EXTENDED_LIMIT) || !self.fill(&mut next)? {
                return Err(Fault::Sparse.into());
            }
            if lines.push(&next)? {
                self.stored -= taken;
                return Ok(Some((lines.map()?, size)));
            }
        }
    }

    fn skip(&mut self, mut length: u64) -> Result<()> {
        while length > 0 {
            let available = self.input.fill_buf().map_err(|source| Error::ReadLayer { source })?;
            if available.is_empty() {
                return Err(Error::malformed(b"", Fault::Truncated));
            }
            let count = usize::try_from(length).unwrap_or(usize::MAX).min(available.len());
            self.input.consume(count);
            length -= count as u64;
        }
        Ok(())
    }
}

/// Which side of a copy failed.
#[derive(Debug)]
pub(crate) enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

enum MapError {
    Fault(Fault),
    Other(Error),
}

impl From<Fault> for MapError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for MapError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Extended {
    fn read_pax(&mut self, mut records: &[u8]) -> std::result::Result<(), Fault> {
        // A later header of the same entry replaces the former as a whole in Go; here record by
        // record, which is the same for every archive that a program writes.
        while !records.is_empty() {
            let (key, value, rest) = pax::cut(records).ok_or(Fault::Pax)?;
            records = rest;
            let number = || sparse::decimal(value).ok_or(Fault::Number);
            // An empty value takes the record back.
            let text = || (!value.is_empty()).then(|| value.to_vec());
            match key {
                b"path" => self.path = text(),
                b"linkpath" => self.link = text(),
                b"uid" => self.uid = Some(number()?),
                b"gid" => self.gid = Some(number()?),
                b"size" => self.size = Some(number()?),
                b"mtime" => self.mtime = Some(time(value).ok_or(Fault::Number)?),
                b"GNU.sparse.name" => self.sparse_name = text(),
                b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse_size = Some(number()?),
                b"GNU.sparse.map" => self.sparse_list = text(),
                b"GNU.sparse.major" => self.sparse_major = Some(number()?),
                _ => {
                    if let Some(name) = key.strip_prefix(pax::XATTR) {
                        self.xattrs.insert(name.to_vec(), value.to_vec());
                    }
                }
            }
        }
        Ok(())
    }
}

fn main_header(
    block: &[u8; BLOCK],
    name: &[u8],
    extended: &Extended,
) -> std::result::Result<Header, Fault> {
    let field = |from: usize, to: usize| number(&block[from..to]).ok_or(Fault::Number);
    let id = |id: u64| u32::try_from(id).map_err(|_| Fault::Id);
    let path = extended.path.clone().unwrap_or_else(|| name.to_vec());
    let kind = match block[156] {
        // Before POSIX, a directory was a file whose name ends in a slash. As in Go only with the
        // type of that time.
        0 if path.last() == Some(&b'/') => Kind::File(FileKind::Directory),
        0 | b'0' | b'7' | b'S' => Kind::File(FileKind::Regular),
        b'1' => Kind::HardLink,
        b'2' => Kind::File(FileKind::Symlink),
        b'3' => Kind::File(FileKind::CharDevice),
        b'4' => Kind::File(FileKind::BlockDevice),
        b'5' => Kind::File(FileKind::Directory),
        b'6' => Kind::File(FileKind::Fifo),
        _ => return Err(Fault::Kind),
    };
    let link = extended.link.clone().unwrap_or_else(|| until_nul(&block[157..257]).to_vec());
    let is_device = matches!(kind, Kind::File(kind) if kind.is_device());
    let device = if is_device {
        Device { major: id(field(329, 337)?)?, minor: id(field(337, 345)?)? }
    } else {
        Device::default()
    };
    let mtime = match extended.mtime {
        Some(mtime) => mtime,
        None => Timestamp::from_seconds(signed(&block[136..148]).ok_or(Fault::Number)?),
    };
    Ok(Header {
        kind,
        link,
        mode: u32::try_from(field(100, 108)? & 0o7777).expect("twelve bits fit"),
        uid: id(extended.uid.map_or_else(|| field(108, 116), Ok)?)?,
        gid: id(extended.gid.map_or_else(|| field(116, 124), Ok)?)?,
        size: extended.size.map_or_else(|| field(124, 136), Ok)?,
        mtime,
        device,
        path,
        xattrs: Xattrs::new(),
    })
}

/// Returns name with prefix; only USTAR (not GNU, which has other fields there) has a prefix.
fn block_name(block: &[u8; BLOCK]) -> Vec<u8> {
    let name = until_nul(&block[..100]);
    let prefix = until_nul(&block[345..500]);
    if &block[257..263] != b"ustar\0" || prefix.is_empty() {
        return name.to_vec();
    }
    [prefix, name].join(&b'/')
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Returns whether a block is a header, by its checksum: formats have no magic in common.
pub(crate) fn is_header(block: &[u8; BLOCK]) -> bool {
    block.iter().any(|byte| *byte != 0) && checksum_is_right(block)
}

fn checksum_is_right(block: &[u8; BLOCK]) -> bool {
    let counted = || block[..148].iter().chain(&[b' '; 8]).chain(&block[156..]);
    let unsigned: u64 = counted().map(|byte| u64::from(*byte)).sum();
    // Old tars summed signed characters.
    let signed: i64 = counted().map(|byte| i64::from(byte.cast_signed())).sum();
    let stated = number(&block[148..156]);
    stated == Some(unsigned) || stated.is_some_and(|stated| i64::try_from(stated) == Ok(signed))
}

/// Reads a numeric field that is not negative.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    u64::try_from(signed(field)?).ok()
}

/// Reads octal digits, or binary when the first bit is set (GNU).
fn signed(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        // Two's complement without the mark bit; the bit below it is the sign.
        let mut value: i128 = if first & 0x40 != 0 { -1 } else { 0 };
        value = (value << 6) | i128::from(first & 0x3f);
        for byte in &field[1..] {
            value = (value << 8) | i128::from(*byte);
        }
        return i64::try_from(value).ok();
    }
    let trimmed = field.trim_ascii_start();
    let digits = trimmed.split(|byte| *byte == 0 || *byte == b' ').next()?;
    if digits.is_empty() {
        return Some(0);
    }
    let text = std::str::from_utf8(digits).ok()?;
    i64::from_str_radix(text, 8).ok().filter(|_| !text.starts_with(['+', '-']))
}

/// Reads `seconds[.fraction]`, perhaps negative.
fn time(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: u32 = digits.parse().ok()?;
    if whole.starts_with('-') && nanos > 0 {
        return Some(Timestamp { seconds: seconds - 1, nanos: 1_000_000_000 - nanos });
    }
    Some(Timestamp { seconds, nanos })
}

fn skip(length: u64, output: &mut impl Seek) -> io::Result<()> {
    let length = i64::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
    output.seek(io::SeekFrom::Current(length)).map(drop)
}

fn cut_off(name: &[u8], source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::UnexpectedEof {
        return Error::malformed(name, Fault::Truncated);
    }
    Error::ReadLayer { source }
}

#[cfg(test)]
mod tests;
