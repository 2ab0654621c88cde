//! Files with holes: the old GNU form (type `S`) and the PAX forms 0.1 and 1.0.
//!
//! Nobody writes them into layers on purpose, but GNU tar does with `-S`, and Go reads them.

use super::BLOCK;
use crate::error::Fault;

/// Data in a file with holes: begin and length, ascending, not overlapping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Map {
    fragments: Vec<(u64, u64)>,
}

impl Map {
    /// Adds a fragment.
    pub(super) fn push(&mut self, offset: u64, length: u64) -> Result<(), Fault> {
        let end = self.fragments.last().map_or(0, |(offset, length)| offset + length);
        if offset < end || offset.checked_add(length).is_none() {
            return Err(Fault::Sparse);
        }
        self.fragments.push((offset, length));
        Ok(())
    }

    /// Checks against the bytes that are stored and the size of the whole, and returns the
    /// fragments last first.
    pub(super) fn finish(self, stored: u64, size: u64) -> Result<Vec<(u64, u64)>, Fault> {
        let end = self.fragments.last().map_or(0, |(offset, length)| offset + length);
        let sum: u64 = self.fragments.iter().map(|(_, length)| length).sum();
        if end > size || sum != stored {
            return Err(Fault::Sparse);
        }
        let mut fragments = self.fragments;
        fragments.reverse();
        Ok(fragments)
    }

    /// Reads the fields of an old GNU header or of its extension blocks; stops at the first
    /// unused one.
    pub(super) fn push_fields(&mut self, fields: &[u8]) -> Result<(), Fault> {
        for field in fields.as_chunks::<24>().0 {
            if field[0] == 0 {
                break;
            }
            let (offset, length) = field.split_at(12);
            let number = |bytes| super::read::number(bytes).ok_or(Fault::Sparse);
            self.push(number(offset)?, number(length)?)?;
        }
        Ok(())
    }

    /// Reads `offset,length,…` (PAX 0.1).
    pub(super) fn parse_list(text: &[u8]) -> Result<Self, Fault> {
        let numbers: Vec<u64> = text
            .split(|byte| *byte == b',')
            .map(|part| decimal(part).ok_or(Fault::Sparse))
            .collect::<Result<_, _>>()?;
        Self::from_numbers(&numbers)
    }

    pub(super) fn from_numbers(numbers: &[u64]) -> Result<Self, Fault> {
        let (pairs, rest) = numbers.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Fault::Sparse);
        }
        let mut map = Self::default();
        for [offset, length] in pairs {
            map.push(*offset, *length)?;
        }
        Ok(map)
    }
}

/// Numbers at the begin of the content (PAX 1.0): their count, then pairs, one per line, filled up
/// to a block.
#[derive(Debug, Default)]
pub(super) struct Lines {
    numbers: Vec<u64>,
    line: Vec<u8>,
}

impl Lines {
    /// Takes one more block; returns whether all numbers are there.
    pub(super) fn push(&mut self, block: &[u8; BLOCK]) -> Result<bool, Fault> {
        for byte in block {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            self.numbers.push(decimal(&self.line).ok_or(Fault::Sparse)?);
            self.line.clear();
            if self.is_complete() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_complete(&self) -> bool {
        let count = self.numbers.first().and_then(|count| count.checked_mul(2));
        count.is_some_and(|count| self.numbers.len() as u64 > count)
    }

    pub(super) fn map(&self) -> Result<Map, Fault> {
        Map::from_numbers(&self.numbers[1..])
    }
}

/// Reads decimal digits.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
