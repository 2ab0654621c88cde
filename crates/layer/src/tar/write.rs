//! Writing a tar as Go's `archive/tar` does (`strconv.go`, `writer.go`): USTAR when everything
//! fits, else a PAX header with sorted records before a USTAR one with what can be said there.

use super::BLOCK;
use super::Header;
use super::Kind;
use super::padding;
use super::pax;
use lathe_tree::FileKind;
use std::collections::BTreeMap;
use std::io;
use std::io::Write;

const NAME: usize = 100;
const PREFIX: usize = 155;

/// Writes entries. Their content comes from elsewhere, as does the end mark of two zero blocks.
pub(crate) struct Writer<W> {
    output: W,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(output: W) -> Self {
        Self { output }
    }

    /// Writes the header of an entry; `size` bytes of content follow, and zeros that fill the block.
    pub(crate) fn header(&mut self, header: &Header) -> io::Result<()> {
        let extended = extended_records(header);
        // A long path alone may be cut in two at a slash, which needs no extension.
        let split = split_path(&header.path);
        let path_alone = extended.keys().all(|key| key == b"path");
        if extended.is_empty() {
            return self.output.write_all(&block(header, &header.path, &header.link, b""));
        }
        if let (true, Some((prefix, name))) = (path_alone, split) {
            return self.output.write_all(&block(header, name, &header.link, prefix));
        }
        self.extended_header(&header.path, &extended)?;
        let ascii = |text: &[u8]| -> Vec<u8> {
            text.iter().copied().filter(|byte| *byte < 0x80 && *byte != 0).collect()
        };
        let main = block(header, &ascii(&header.path), &ascii(&header.link), b"");
        self.output.write_all(&main)
    }

    /// Writes content.
    #[cfg(test)]
    pub(crate) fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)
    }

    /// Fills the last block after `size` bytes of content.
    pub(crate) fn pad(&mut self, size: u64) -> io::Result<()> {
        self.output.write_all(&[0; BLOCK][..padding(size)])
    }

    /// Writes the end mark.
    #[cfg(test)]
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.output.write_all(&[0; 2 * BLOCK])?;
        Ok(self.output)
    }

    fn extended_header(
        &mut self,
        path: &[u8],
        extended: &BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> io::Result<()> {
        let mut records = Vec::new();
        for (key, value) in extended {
            pax::append(&mut records, key, value);
        }
        let mut block = [0; BLOCK];
        let mut name = extended_name(path);
        name.retain(|byte| *byte < 0x80 && *byte != 0);
        name.truncate(NAME);
        while name.last() == Some(&b'/') {
            name.pop();
        }
        text(&mut block[..NAME], &name);
        for field in [100..108, 108..116, 116..124, 136..148] {
            octal(&mut block[field], 0);
        }
        octal(&mut block[124..136], records.len() as u64);
        block[156] = b'x';
        seal(&mut block);
        self.output.write_all(&block)?;
        self.output.write_all(&records)?;
        self.pad(records.len() as u64)
    }
}

/// Returns the name of the extended header: `PaxHeaders.0` between directory and name, where Go's
/// `path.Split` cuts after the last slash, so that a directory's own name comes before.
fn extended_name(path: &[u8]) -> Vec<u8> {
    let cut = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (dir, file) = path.split_at(cut);
    let parts = dir.split(|byte| *byte == b'/').chain([&b"PaxHeaders.0"[..], file]);
    let parts: Vec<&[u8]> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(&b'/')
}

/// Returns what a USTAR header cannot say, by key.
fn extended_records(header: &Header) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut records = BTreeMap::new();
    let fits = |text: &[u8]| text.len() <= NAME && text.iter().all(|byte| *byte < 0x80);
    let mut add = |key: &[u8], value: Vec<u8>| drop(records.insert(key.to_vec(), value));
    if !fits(&header.path) {
        add(b"path", header.path.clone());
    }
    if !fits(&header.link) {
        add(b"linkpath", header.link.clone());
    }
    for (key, id) in [(&b"uid"[..], header.uid), (b"gid", header.gid)] {
        if id >= 1 << 21 {
            add(key, id.to_string().into_bytes());
        }
    }
    if header.size >= 1 << 33 {
        add(b"size", header.size.to_string().into_bytes());
    }
    if !(0..1 << 33).contains(&header.mtime.seconds) {
        add(b"mtime", header.mtime.seconds.to_string().into_bytes());
    }
    for (name, value) in &header.xattrs {
        add(&[pax::XATTR, name].concat(), value.clone());
    }
    records
}

/// Cuts a long path into prefix and name at the last possible slash.
fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME || path.iter().any(|byte| *byte >= 0x80) {
        return None;
    }
    let mut end = path.len();
    if end > PREFIX + 1 {
        end = PREFIX + 1;
    } else if path[end - 1] == b'/' {
        end -= 1;
    }
    let slash = path[..end].iter().rposition(|byte| *byte == b'/')?;
    let (prefix, name) = (&path[..slash], &path[slash + 1..]);
    let fits = slash > 0 && !name.is_empty() && name.len() <= NAME && prefix.len() <= PREFIX;
    fits.then_some((prefix, name))
}

/// Lays out a USTAR header.
fn block(header: &Header, name: &[u8], link: &[u8], prefix: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    text(&mut block[..NAME], name);
    octal(&mut block[100..108], u64::from(header.mode));
    octal(&mut block[108..116], u64::from(header.uid));
    octal(&mut block[116..124], u64::from(header.gid));
    octal(&mut block[124..136], header.size);
    octal(&mut block[136..148], u64::try_from(header.mtime.seconds).unwrap_or(0));
    block[156] = type_flag(header.kind);
    text(&mut block[157..257], link);
    octal(&mut block[329..337], u64::from(header.device.major));
    octal(&mut block[337..345], u64::from(header.device.minor));
    text(&mut block[345..500], prefix);
    seal(&mut block);
    block
}

/// Sets magic, version and checksum.
fn seal(block: &mut [u8; BLOCK]) {
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut block[148..155], sum);
}

/// Writes text, cut and ended with NUL where there is room.
fn text(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
    // A cut name that ends in a slash would make old readers see a directory.
    if text.len() > field.len() && field[length - 1] == b'/' {
        let kept = field.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        field[kept] = 0;
    }
}

/// Writes zero-padded octal digits and NUL; 0 when it does not fit (a PAX record has it then).
fn octal(field: &mut [u8], number: u64) {
    let digits = field.len() - 1;
    let fits = digits * 3 >= 64 || number < 1 << (digits * 3);
    let mut rest = if fits { number } else { 0 };
    for byte in field[..digits].iter_mut().rev() {
        *byte = b'0' + u8::try_from(rest & 7).expect("three bits fit");
        rest >>= 3;
    }
    field[digits] = 0;
}

fn type_flag(kind: Kind) -> u8 {
    match kind {
        Kind::HardLink => b'1',
        Kind::File(kind) => match kind {
            // A socket has no tar entry; callers leave it out.
            FileKind::Regular | FileKind::Socket => b'0',
            FileKind::Symlink => b'2',
            FileKind::CharDevice => b'3',
            FileKind::BlockDevice => b'4',
            FileKind::Directory => b'5',
            FileKind::Fifo => b'6',
        },
    }
}
