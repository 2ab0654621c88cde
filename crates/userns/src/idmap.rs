//! Id maps as the kernel and `newuidmap` write them (`user_namespaces(7)`). Pure.

use crate::subid::SubRange;

/// One line of a map: `count` ids from `inside` are the ids from `outside` in the parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapLine {
    /// The first id inside of the namespace.
    pub inside: u32,
    /// The first id in the parent namespace.
    pub outside: u32,
    /// How many ids.
    pub count: u32,
}

/// A map of ids of a user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdMap {
    /// Its lines, by ascending id inside.
    pub lines: Vec<MapLine>,
}

impl IdMap {
    /// Maps 0 to `id` and nothing else.
    pub fn single(id: u32) -> Self {
        Self { lines: vec![MapLine { inside: 0, outside: id, count: 1 }] }
    }

    /// Maps 0 to `id`, and 1 and up to the subordinate ranges one after the other.
    pub fn with_ranges(id: u32, ranges: &[SubRange]) -> Self {
        let mut map = Self::single(id);
        let mut inside = 1_u32;
        for range in ranges {
            let Some(next) = inside.checked_add(range.count) else { break };
            map.lines.push(MapLine { inside, outside: range.first, count: range.count });
            inside = next;
        }
        map
    }

    /// Returns how many ids exist in the namespace.
    pub fn count(&self) -> u64 {
        self.lines.iter().map(|line| u64::from(line.count)).sum()
    }

    /// Returns the arguments of `newuidmap` that follow the process id.
    pub(crate) fn arguments(&self) -> Vec<String> {
        self.lines
            .iter()
            .flat_map(|line| [line.inside, line.outside, line.count])
            .map(|number| number.to_string())
            .collect()
    }

    /// Returns the text for `/proc/self/uid_map`.
    pub(crate) fn kernel_text(&self) -> String {
        use std::fmt::Write as _;
        self.lines.iter().fold(String::new(), |mut text, line| {
            writeln!(text, "{} {} {}", line.inside, line.outside, line.count)
                .expect("writing to a string does not fail");
            text
        })
    }

    /// Reads the text of `/proc/self/uid_map`; `None` when it is not three numbers per line.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = Vec::new();
        for line in text.lines() {
            let mut numbers = line.split_ascii_whitespace().map(str::parse::<u32>);
            let inside = numbers.next()?.ok()?;
            let outside = numbers.next()?.ok()?;
            let count = numbers.next()?.ok()?;
            lines.push(MapLine { inside, outside, count });
        }
        Some(Self { lines })
    }

    /// Says whether every id is mapped to itself, as in the initial namespace.
    pub fn is_identity(&self) -> bool {
        self.lines == [MapLine { inside: 0, outside: 0, count: u32::MAX }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_the_own_id() {
        let ranges = [SubRange { first: 100_000, count: 65_536 }, SubRange { first: 7, count: 3 }];
        let map = IdMap::with_ranges(1000, &ranges);
        assert_eq!(map.kernel_text(), "0 1000 1\n1 100000 65536\n65537 7 3\n");
        assert_eq!(map.arguments().join(" "), "0 1000 1 1 100000 65536 65537 7 3");
        assert_eq!(map.count(), 65_540);
        assert_eq!(IdMap::parse(&map.kernel_text()), Some(map));
    }

    #[test]
    fn only_the_full_map_is_identity() {
        let parse = |text| IdMap::parse(text).expect("a map");
        assert!(parse("         0          0 4294967295\n").is_identity());
        assert!(!parse("0 1000 1\n").is_identity());
        assert!(!parse("").is_identity());
        assert_eq!(IdMap::parse("0 x 1"), None);
    }
}
