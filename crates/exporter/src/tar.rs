//! The little of tar that archives of images need: folders and files with short names.

use std::io::{self, Write};

/// Bytes of a header, and of the unit that everything is padded to.
pub(crate) const BLOCK: usize = 512;

/// Longest name that a header holds, in bytes.
const NAME: usize = 100;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
}

/// Makes a header (POSIX.1-1988 `ustar`); time and owner are zero, so that equal images are equal
/// archives.
pub(crate) fn header(name: &str, kind: Kind, size: u64) -> [u8; BLOCK] {
    assert!(name.len() <= NAME, "names are made here, of digests");
    let mut block = [0; BLOCK];
    block[..name.len()].copy_from_slice(name.as_bytes());
    let mode = if kind == Kind::Directory { "0000755\0" } else { "0000644\0" };
    block[100..108].copy_from_slice(mode.as_bytes());
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    if size < 1 << 33 {
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        // What eleven octal digits cannot hold is written in base 256, as GNU and Go do.
        block[124] = 0x80;
        block[128..136].copy_from_slice(&size.to_be_bytes());
    }
    block[136..148].copy_from_slice(b"00000000000\0");
    block[148..156].fill(b' ');
    block[156] = if kind == Kind::Directory { b'5' } else { b'0' };
    block[257..263].copy_from_slice(b"ustar\0");
    block[263..265].copy_from_slice(b"00");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Fills up to the next block.
pub(crate) fn pad(output: &mut impl Write, size: u64) -> io::Result<()> {
    let over = usize::try_from(size % BLOCK as u64).expect("less than a block");
    if over == 0 { Ok(()) } else { output.write_all(&[0; BLOCK][over..]) }
}

/// Writes the end mark.
pub(crate) fn finish(output: &mut impl Write) -> io::Result<()> {
    output.write_all(&[0; 2 * BLOCK])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_readers_understand_the_headers() {
        let check = |name: &str, kind, size: u64| {
            let mut bytes = header(name, kind, size).to_vec();
            finish(&mut bytes).unwrap();
            let mut archive = ::tar::Archive::new(bytes.as_slice());
            let entry = archive.entries().unwrap().next().unwrap().unwrap();
            assert_eq!(entry.path().unwrap().to_str().unwrap(), name);
            assert_eq!(entry.header().size().unwrap(), size);
            assert_eq!(entry.header().entry_type().is_dir(), kind == Kind::Directory);
        };
        check("blobs/", Kind::Directory, 0);
        check("oci-layout", Kind::File, 12);
        check("large", Kind::File, (1 << 33) - 1);
        check("larger", Kind::File, 1 << 33);
    }
}
