//! Character classes: `[a-z]`, `[^a]`.

/// A class: ranges of characters, or everything but them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
    separator: Separator,
}

/// What a class has to do with `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Separator {
    /// It never matches it, so that a path can be matched segment by segment.
    Apart,
    /// It is a character like others: `a[^x]b` matches `a/b`.
    Character,
}

impl Class {
    /// Reads a class behind its `[`, as Go does: `^` negates, `-` and `]`
    /// must be escaped, an empty class is an error.
    ///
    /// A `]` or `-` where a character is expected is an error, so `[]a]` and
    /// `[-x]` are.
    pub(crate) fn read(
        chars: &mut std::str::Chars<'_>,
        separator: Separator,
    ) -> Result<Self, &'static str> {
        let negated = chars.as_str().starts_with('^');
        if negated {
            chars.next();
        }
        let mut ranges = Vec::new();
        loop {
            if chars.as_str().starts_with(']') && !ranges.is_empty() {
                chars.next();
                return Ok(Self { negated, ranges, separator });
            }
            let low = character(chars)?;
            let mut high = low;
            if chars.as_str().starts_with('-') {
                chars.next();
                high = character(chars)?;
            }
            ranges.push((low, high));
        }
    }

    pub(crate) fn contains(&self, c: char) -> bool {
        if c == '/' && self.separator == Separator::Apart {
            return false;
        }
        self.ranges.iter().any(|&(low, high)| low <= c && c <= high) != self.negated
    }

    /// Whether a range ends before it begins: nothing is in it.
    pub(crate) fn has_reversed_range(&self) -> bool {
        self.ranges.iter().any(|&(low, high)| low > high)
    }
}

fn character(chars: &mut std::str::Chars<'_>) -> Result<char, &'static str> {
    match chars.next() {
        None => Err("`[` is never closed"),
        Some('-') => Err("a `-` in `[…]` must be escaped or between two characters"),
        Some(']') => Err("`[…]` is empty or lacks the end of a range"),
        Some('\\') => chars.next().ok_or("`\\` at the end escapes nothing"),
        Some(c) => Ok(c),
    }
}
