//! What is known of the folders above a path.
//!
//! A walk asks for the files of one folder after the other. Per folder it is
//! computed once which patterns matched it or a folder above, and which can
//! match a name in it at all; a file then costs a few words of bits and, for
//! the one or two patterns that are left, a comparison of its name.

use super::bits;
use super::compile::Pattern;
use super::segment::Segment;

/// Patterns by what has to be known of a name before one is tried.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// Words of a set.
    words: usize,
    /// Sets, one for each byte: patterns for names that start with it.
    first: Vec<u64>,
    /// The same for the byte that names end in.
    last: Vec<u64>,
    /// Patterns that cannot be cut at slashes.
    whole: Vec<u64>,
    /// Patterns that end in `/**`.
    below: Vec<u64>,
    /// Patterns with one segment behind `**/`.
    floating: Vec<u64>,
    negated: Vec<u64>,
    /// What is known at the root of all paths.
    root: Level,
}

/// A folder. All fields but two are sets of patterns.
#[derive(Clone, Debug, Default)]
struct Level {
    /// Length of the folder's path.
    end: usize,
    /// The last pattern that matched: its kind decides.
    decided: Option<usize>,
    /// Those that matched the folder or one above when they were asked.
    matched: Vec<u64>,
    /// Those with a head whose first segments are the folder's.
    alive: Vec<u64>,
    /// Those whose `**` reaches here.
    open: Vec<u64>,
    /// Those with `/**` that match all that is in the folder.
    under: Vec<u64>,
    /// Those that can match a name in the folder, but for the next.
    candidates: Vec<u64>,
    /// Those with `/**` whose part before it can match a name in the folder.
    bodies: Vec<u64>,
}

/// The folders above the path that was asked for last.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    path: String,
    /// Only the first `depth` are in use; the others keep their memory.
    levels: Vec<Level>,
    depth: usize,
}

impl Index {
    pub(super) fn new(patterns: &[Pattern]) -> Self {
        let words = bits::words(patterns.len());
        let empty = || vec![0; words];
        let mut index = Self {
            words,
            first: vec![0; 256 * words],
            last: vec![0; 256 * words],
            whole: empty(),
            below: empty(),
            floating: empty(),
            negated: empty(),
            root: Level::empty(words),
        };
        for (i, pattern) in patterns.iter().enumerate() {
            index.add(i, pattern);
        }
        let mut root = std::mem::take(&mut index.root);
        index.fill_candidates(&mut root, "", patterns);
        index.root = root;
        index
    }

    fn add(&mut self, i: usize, pattern: &Pattern) {
        let words = self.words;
        if pattern.negated {
            bits::insert(&mut self.negated, i);
        }
        let segment = pattern.last_segment();
        let allow = |table: &mut [u64], byte: Option<u8>| match byte {
            Some(byte) => bits::insert(&mut table[usize::from(byte) * words..], i),
            None => table.chunks_exact_mut(words).for_each(|set| bits::insert(set, i)),
        };
        allow(&mut self.first, segment.and_then(Segment::first));
        allow(&mut self.last, segment.and_then(Segment::last));
        let Some(shape) = &pattern.shape else {
            bits::insert(&mut self.whole, i);
            return;
        };
        if shape.below {
            bits::insert(&mut self.below, i);
        }
        if shape.tail.len() == 1 {
            bits::insert(&mut self.floating, i);
        }
        let start = match (shape.head.is_empty(), shape.open) {
            (false, _) => &mut self.root.alive,
            (true, true) => &mut self.root.open,
            (true, false) => &mut self.root.under,
        };
        bits::insert(start, i);
    }

    /// Fills in which patterns can match a name in `folder`.
    fn fill_candidates(&self, level: &mut Level, folder: &str, patterns: &[Pattern]) {
        let depth = if folder.is_empty() { 0 } else { segments(folder).count() };
        for word in 0..self.words {
            let mut found = level.open[word] & self.floating[word];
            let single = |i: usize| 1 << (i % u64::BITS as usize);
            for i in bits::ascending(level.alive[word], word) {
                let shape = patterns[i].shape.as_ref();
                if shape.is_some_and(|shape| !shape.open && shape.head.len() == depth + 1) {
                    found |= single(i);
                }
            }
            for i in bits::ascending(level.open[word] & !self.floating[word], word) {
                if patterns[i].tail_fits(folder, depth) {
                    found |= single(i);
                }
            }
            level.bodies[word] = found & self.below[word];
            level.candidates[word] = found & !self.below[word];
            for i in bits::ascending(self.whole[word], word) {
                if patterns[i].prefix_fits(folder) {
                    level.candidates[word] |= single(i);
                }
            }
        }
    }

    /// Those of a set of patterns that may match a name.
    fn sift(&self, set: &[u64], word: usize, (first, last): (u8, u8)) -> u64 {
        set[word]
            & self.first[usize::from(first) * self.words + word]
            & self.last[usize::from(last) * self.words + word]
    }

    /// Whether a path in the folder `level` is excluded.
    fn excludes(&self, level: &Level, path: &str, patterns: &[Pattern]) -> bool {
        let name = &path[name_start(level)..];
        let last = self.last_match(level, path, name, patterns).or(level.decided);
        last.is_some_and(|i| !patterns[i].negated)
    }

    /// The last pattern that matches a path itself, if it stands behind the
    /// one that decides for its folder.
    fn last_match(
        &self,
        level: &Level,
        path: &str,
        name: &str,
        patterns: &[Pattern],
    ) -> Option<usize> {
        let ends = ends_of(name)?;
        for word in (0..self.words).rev() {
            let under = level.under[word];
            let set = self.sift(&level.candidates, word, ends) | under;
            let mut set = bits::behind(set, word, level.decided);
            while let Some(i) = bits::greatest(set, word) {
                let bit = 1 << (i % u64::BITS as usize);
                if under & bit != 0 || patterns[i].matches_in_folder(path, name) {
                    return Some(i);
                }
                set &= !bit;
            }
        }
        None
    }

    /// Makes the level of a folder from that of the folder above.
    fn descend(&self, above: &Level, level: &mut Level, folder: &str, patterns: &[Pattern]) {
        let name = &folder[name_start(above)..];
        let depth = segments(folder).count();
        level.end = folder.len();
        level.reset(self.words);
        let Some(ends) = ends_of(name) else { return };
        let matches = |i: &usize| patterns[*i].matches_in_folder(folder, name);
        for word in 0..self.words {
            let bodies = self.sift(&above.bodies, word, ends);
            level.under[word] = above.under[word];
            bits::ascending(bodies, word)
                .filter(matches)
                .for_each(|i| bits::insert(&mut level.under, i));
            level.open[word] = above.open[word];
            for i in bits::ascending(above.alive[word], word) {
                let Some(shape) = &patterns[i].shape else { continue };
                let longer = shape.head.len() > depth;
                if !(longer || shape.open) || !shape.head[depth - 1].matches(name) {
                    continue;
                }
                bits::insert(if longer { &mut level.alive } else { &mut level.open }, i);
            }
        }
        self.match_folder(above, level, folder, name, patterns);
        self.fill_candidates(level, folder, patterns);
    }

    /// Fills in which patterns matched a folder.
    ///
    /// A pattern is only asked where its answer can change the outcome, and
    /// what it was not asked it does not know in the folder's files either:
    /// with `*.md` and `!docs`, `docs/a.md` is excluded, because `!docs` had
    /// nothing to negate at `docs`. That is moby's
    /// `MatchesUsingParentResults`, which decides what a build sees.
    fn match_folder(
        &self,
        above: &Level,
        level: &mut Level,
        folder: &str,
        name: &str,
        patterns: &[Pattern],
    ) {
        let Some(ends) = ends_of(name) else { return };
        let mut excluded = false;
        level.decided = None;
        for word in 0..self.words {
            let known = above.matched[word];
            let tried = self.sift(&above.candidates, word, ends) | above.under[word];
            for i in bits::ascending(known | tried, word) {
                let asked = || {
                    patterns[i].negated == excluded
                        && (bits::contains(&above.under, i)
                            || patterns[i].matches_in_folder(folder, name))
                };
                if bits::contains(&above.matched, i) || asked() {
                    bits::insert(&mut level.matched, i);
                    excluded = !patterns[i].negated;
                    level.decided = Some(i);
                }
            }
        }
    }

    /// Whether a negation can take back something in an excluded folder.
    fn reaches_into(&self, level: &Level) -> bool {
        (0..self.words).any(|word| {
            let able = level.alive[word]
                | level.open[word]
                | level.under[word]
                | (level.candidates[word] & self.whole[word]);
            // What stands before the pattern that excludes the folder is
            // overruled by it in all of the folder.
            bits::behind(able & self.negated[word], word, level.decided) != 0
        })
    }
}

impl Level {
    fn empty(words: usize) -> Self {
        let mut level = Self::default();
        level.reset(words);
        level
    }

    /// Empties the sets.
    fn reset(&mut self, words: usize) {
        self.decided = None;
        for set in [
            &mut self.matched,
            &mut self.alive,
            &mut self.open,
            &mut self.under,
            &mut self.candidates,
            &mut self.bodies,
        ] {
            set.clear();
            set.resize(words, 0);
        }
    }
}

impl Trail {
    /// Whether a path is excluded.
    pub(super) fn excludes(&mut self, index: &Index, patterns: &[Pattern], path: &str) -> bool {
        let folder = path.rfind('/').map_or("", |slash| &path[..slash]);
        index.excludes(self.enter(index, patterns, folder), path, patterns)
    }

    /// Whether a negation can take back something in an excluded folder.
    pub(super) fn reaches_into(
        &mut self,
        index: &Index,
        patterns: &[Pattern],
        folder: &str,
    ) -> bool {
        index.reaches_into(self.enter(index, patterns, folder))
    }

    /// Goes to a folder, through those that are not known yet.
    fn enter<'a>(&'a mut self, index: &'a Index, patterns: &[Pattern], folder: &str) -> &'a Level {
        if self.path != folder {
            self.leave(folder);
            self.path.truncate(self.last_end());
            while self.path.len() < folder.len() {
                let from = if self.depth == 0 { 0 } else { self.path.len() + 1 };
                let rest = &folder[from..];
                let end = rest.find('/').map_or(folder.len(), |slash| from + slash);
                self.path.push_str(&folder[self.path.len()..end]);
                self.push(index, patterns, end);
            }
        }
        match self.depth {
            0 => &index.root,
            depth => &self.levels[depth - 1],
        }
    }

    /// Leaves all folders that are not above `folder`.
    fn leave(&mut self, folder: &str) {
        let above = |level: &Level| {
            let end = level.end;
            folder.as_bytes().get(end).is_none_or(|&byte| byte == b'/')
                && folder.as_bytes().get(..end) == Some(&self.path.as_bytes()[..end])
        };
        while self.depth > 0 && !above(&self.levels[self.depth - 1]) {
            self.depth -= 1;
        }
    }

    fn last_end(&self) -> usize {
        if self.depth == 0 { 0 } else { self.levels[self.depth - 1].end }
    }

    fn push(&mut self, index: &Index, patterns: &[Pattern], end: usize) {
        if self.levels.len() == self.depth {
            self.levels.push(Level::default());
        }
        let (above, below) = self.levels.split_at_mut(self.depth);
        let above = above.last().unwrap_or(&index.root);
        index.descend(above, &mut below[0], &self.path[..end], patterns);
        self.depth += 1;
    }
}

impl Pattern {
    /// Whether the pattern (without a `/**` at its end) matches a path; of
    /// the folder that the path is in it is known that it fits.
    fn matches_in_folder(&self, path: &str, name: &str) -> bool {
        match (&self.shape, self.last_segment()) {
            (Some(_), Some(segment)) => segment.matches(name),
            _ => crate::token::matches(&self.tokens, path),
        }
    }

    /// Whether the last segments of a folder are those that the pattern has
    /// behind `**/`, but for the last.
    fn tail_fits(&self, folder: &str, depth: usize) -> bool {
        let Some(shape) = &self.shape else { return false };
        let Some((_, before)) = shape.tail.split_last() else { return false };
        shape.head.len() + before.len() <= depth
            && before
                .iter()
                .rev()
                .zip(segments(folder).rev())
                .all(|(segment, name)| segment.matches(name))
    }

    /// Whether what every match starts with allows matches in a folder.
    fn prefix_fits(&self, folder: &str) -> bool {
        let length = self.prefix.len().min(folder.len());
        self.prefix[..length] == folder.as_bytes()[..length]
    }
}

fn segments(folder: &str) -> impl DoubleEndedIterator<Item = &str> {
    folder.split('/')
}

/// Where the names of a folder's files start in their paths.
fn name_start(folder: &Level) -> usize {
    if folder.end == 0 { 0 } else { folder.end + 1 }
}

fn ends_of(name: &str) -> Option<(u8, u8)> {
    Some((*name.as_bytes().first()?, *name.as_bytes().last()?))
}
