//! Character classes: `[a-z]`, `[^a]`.

/// A class: ranges of characters, or everything but them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Class {
    /// Reads a class behind its `[`, as Go does: `^` negates, `-` and `]`
    /// must be escaped, an empty class is an error.
    ///
    /// A `]` or `-` where a character is expected is an error, so `[]a]` and
    /// `[-x]` are.
    pub(crate) fn read(chars: &mut std::str::Chars<'_>) -> Result<Self, &'static str> {
        let negated = chars.as_str().starts_with('^');
        if negated {
            chars.next();
        }
        let mut ranges = Vec::new();
        loop {
            if chars.as_str().starts_with(']') && !ranges.is_empty() {
                chars.next();
                return Ok(Self { negated, ranges });
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
        self.ranges.iter().any(|&(low, high)| low <= c && c <= high) != self.negated
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
