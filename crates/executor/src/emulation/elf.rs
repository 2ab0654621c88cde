//! Architectures, as the first bytes of their programs show them. Pure.

/// An architecture which programs can be emulated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Architecture {
    /// Name in images (Go's `GOARCH`).
    pub(super) name: &'static str,
    /// Name in the names of QEMU's programs.
    pub(super) qemu: &'static str,
    bits: Bits,
    order: Order,
    /// `e_machine` (System V ABI, and the supplements of each architecture).
    machine: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bits {
    B32 = 1,
    B64 = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little = 1,
    Big = 2,
}

use Bits::B32;
use Bits::B64;
use Order::Big;
use Order::Little;

/// What images are made for.
pub(super) const ARCHITECTURES: &[Architecture] = &[
    Architecture { name: "amd64", qemu: "x86_64", bits: B64, order: Little, machine: 62 },
    Architecture { name: "386", qemu: "i386", bits: B32, order: Little, machine: 3 },
    Architecture { name: "arm64", qemu: "aarch64", bits: B64, order: Little, machine: 183 },
    Architecture { name: "arm", qemu: "arm", bits: B32, order: Little, machine: 40 },
    Architecture { name: "riscv64", qemu: "riscv64", bits: B64, order: Little, machine: 243 },
    Architecture { name: "ppc64le", qemu: "ppc64le", bits: B64, order: Little, machine: 21 },
    Architecture { name: "s390x", qemu: "s390x", bits: B64, order: Big, machine: 22 },
    Architecture { name: "loong64", qemu: "loongarch64", bits: B64, order: Little, machine: 258 },
    Architecture { name: "mips64le", qemu: "mips64el", bits: B64, order: Little, machine: 8 },
    Architecture { name: "mips64", qemu: "mips64", bits: B64, order: Big, machine: 8 },
];

/// Bytes of a program which tell its architecture: up to `e_machine`.
pub(super) const HEADER: usize = 20;

impl Architecture {
    /// Returns the architecture with this name in images.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        ARCHITECTURES.iter().find(|architecture| architecture.name == name)
    }

    /// Returns the first bytes of a program.
    pub(super) fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(b"\x7fELF");
        (header[4], header[5], header[6]) = (self.bits as u8, self.order as u8, 1);
        header[16..18].copy_from_slice(&self.bytes(2)); // ET_EXEC
        header[18..].copy_from_slice(&self.bytes(self.machine));
        header
    }

    /// Returns which bits of [`Self::header`] count: not the operating system,
    /// and not whether the program is position-independent.
    pub(super) fn mask(&self) -> [u8; HEADER] {
        let mut mask = [0xff; HEADER];
        mask[7] = 0;
        mask[16..18].copy_from_slice(&self.bytes(0xfffe));
        mask
    }

    /// Returns whether a program that starts like this is for it.
    pub(super) fn is_of(&self, start: &[u8]) -> bool {
        let (header, mask) = (self.header(), self.mask());
        start.len() >= HEADER && (0..HEADER).all(|at| start[at] & mask[at] == header[at] & mask[at])
    }

    fn bytes(&self, value: u16) -> [u8; 2] {
        match self.order {
            Little => value.to_le_bytes(),
            Big => value.to_be_bytes(),
        }
    }
}

/// Returns whether a program of this machine needs no dynamic loader, so that
/// it can be executed in any root file system; `None` when it is no program.
///
/// `start` are its first bytes, with the program headers.
pub(super) fn is_static(start: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    let number = |offset: usize, size: usize| -> Option<usize> {
        let bytes = start.get(offset..offset + size)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    // Only little-endian 64-bit hosts are built for.
    if start.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (offset, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let kind = |index: usize| number(offset.checked_add(index * size)?, 4);
    Some((0..count).all(|index| kind(index) != Some(PT_INTERP as usize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the bytes behind the digits.
    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("digits");
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    #[track_caller]
    fn check(name: &str, header: &str, mask: &str) {
        let architecture = Architecture::find(name).expect(name);
        assert_eq!(architecture.header()[..], bytes(header), "{name}");
        assert_eq!(architecture.mask()[..], bytes(mask), "{name}");
        assert!(architecture.is_of(&bytes(header)) && !architecture.is_of(b"#!/bin/sh"));
    }

    #[test]
    fn headers_are_those_of_the_abi() {
        const LITTLE: &str = "ffffffffffffff00fffffffffffffffffeffffff";
        check("arm64", "7f454c460201010000000000000000000200b700", LITTLE);
        check("arm", "7f454c4601010100000000000000000002002800", LITTLE);
        check("loong64", "7f454c4602010100000000000000000002000201", LITTLE);
        let big = "ffffffffffffff00fffffffffffffffffffeffff";
        check("s390x", "7f454c4602020100000000000000000000020016", big);
        assert_eq!(Architecture::find("wasm"), None);
    }

    #[test]
    fn static_programs_are_told_from_dynamic_ones() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(is_static(&own), Some(cfg!(target_feature = "crt-static")));
        assert_eq!(is_static(b"#!/bin/sh"), None);
        assert_eq!(is_static(&own[..10]), None);
    }
}
