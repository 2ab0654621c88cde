//! A second matcher for ignore files, as plain as can be: slow, and written
//! along moby's documentation and not along the real one, so that the two can
//! be held against each other.

/// The patterns of an ignore file; `true` is a negation.
#[derive(Debug)]
pub(crate) struct Reference {
    patterns: Vec<(bool, Vec<Piece>)>,
}

#[derive(Debug)]
enum Piece {
    Char(char),
    One,
    Star,
    /// `(.*/)?`
    Folders,
    /// `.*`
    Rest,
    Class(bool, Vec<(char, char)>),
}

impl Reference {
    /// Reads an ignore file; `None` if some pattern is invalid.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for line in text.split('\n').filter(|line| !line.starts_with('#')) {
            let mut line = line.trim().to_owned();
            if line.is_empty() {
                continue;
            }
            // The first reading: of the file.
            let bang = line.starts_with('!');
            let mut path = line[usize::from(bang)..].trim().to_owned();
            if !path.is_empty() {
                path = clean(&path);
                if path.len() > 1 && path.starts_with('/') {
                    path.remove(0);
                }
            }
            line = if bang { format!("!{path}") } else { path };
            // The second: of the pattern.
            line = line.trim().to_owned();
            if line.is_empty() {
                continue;
            }
            line = clean(&line);
            let negated = line.starts_with('!');
            if negated {
                line.remove(0);
            }
            if line.is_empty() {
                return None;
            }
            patterns.push((negated, pieces(&line)?));
        }
        Some(Self { patterns })
    }

    /// What a walk from the root says about a path: each folder hands down
    /// what it knows, and a pattern is only asked where it would change
    /// something.
    pub(crate) fn walk(&self, path: &str) -> bool {
        let mut known = vec![false; self.patterns.len()];
        let mut excluded = false;
        for end in ends(path) {
            let here: Vec<char> = path[..end].chars().collect();
            excluded = false;
            for (known, (negated, pieces)) in known.iter_mut().zip(&self.patterns) {
                *known = *known || (*negated == excluded && matches(pieces, &here));
                if *known {
                    excluded = !negated;
                }
            }
        }
        excluded
    }

    /// What the path and the folders above it say without a walk.
    pub(crate) fn alone(&self, path: &str) -> bool {
        let mut excluded = false;
        for (negated, pieces) in &self.patterns {
            let fits = |end: usize| matches(pieces, &path[..end].chars().collect::<Vec<_>>());
            if ends(path).any(fits) {
                excluded = !negated;
            }
        }
        excluded
    }
}

fn ends(path: &str) -> impl Iterator<Item = usize> {
    path.match_indices('/').map(|(at, _)| at).chain([path.len()])
}

fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let rooted = path.starts_with('/');
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        let above = parts.last().copied();
        if part != ".." || (!rooted && above.is_none_or(|above| above == "..")) {
            parts.push(part);
        } else {
            parts.pop();
        }
    }
    let text = format!("{}{}", if rooted { "/" } else { "" }, parts.join("/"));
    if text.is_empty() { ".".to_owned() } else { text }
}

fn pieces(text: &str) -> Option<Vec<Piece>> {
    let text: Vec<char> = text.chars().collect();
    // A suffix of paths, not of names.
    if let ['*', '*', suffix @ ..] = text.as_slice()
        && suffix.first().is_some_and(|&c| c != '/')
        && !suffix.iter().any(|c| "*?[]\\".contains(*c))
    {
        let suffix = suffix.iter().map(|&c| Piece::Char(c));
        return Some([Piece::Rest].into_iter().chain(suffix).collect());
    }
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let c = text[at];
        at += 1;
        pieces.push(match c {
            '*' if text.get(at) == Some(&'*') => {
                at += 1;
                at += usize::from(text.get(at) == Some(&'/'));
                if at == text.len() { Piece::Rest } else { Piece::Folders }
            }
            '*' => Piece::Star,
            '?' => Piece::One,
            '\\' => {
                at += 1;
                Piece::Char(*text.get(at - 1)?)
            }
            '[' => class(&text, &mut at)?,
            c => Piece::Char(c),
        });
    }
    Some(pieces)
}

fn class(text: &[char], at: &mut usize) -> Option<Piece> {
    let negated = text.get(*at) == Some(&'^');
    *at += usize::from(negated);
    let mut ranges = Vec::new();
    let one = |at: &mut usize| {
        let mut c = *text.get(*at)?;
        *at += 1;
        if c == '\\' {
            c = *text.get(*at)?;
            *at += 1;
        } else if c == '-' || c == ']' {
            return None;
        }
        Some(c)
    };
    while ranges.is_empty() || text.get(*at) != Some(&']') {
        let low = one(at)?;
        let mut high = low;
        if text.get(*at) == Some(&'-') {
            *at += 1;
            high = one(at)?;
        }
        if low > high {
            return None;
        }
        ranges.push((low, high));
    }
    *at += 1;
    Some(Piece::Class(negated, ranges))
}

/// Keeps the set of all places in the path that the pieces so far can end at.
fn matches(pieces: &[Piece], path: &[char]) -> bool {
    let mut places = vec![false; path.len() + 1];
    places[0] = true;
    for piece in pieces {
        let mut next = vec![false; path.len() + 1];
        for from in (0..=path.len()).filter(|&from| places[from]) {
            let one = |fits: &dyn Fn(char) -> bool| path.get(from).is_some_and(|&c| fits(c));
            let is_single = match piece {
                Piece::Char(expected) => one(&|c| c == *expected),
                Piece::One => one(&|c| c != '/'),
                Piece::Class(negated, ranges) => one(&|c| {
                    ranges.iter().any(|(low, high)| (low..=high).contains(&&c)) != *negated
                }),
                Piece::Star | Piece::Folders | Piece::Rest => false,
            };
            if is_single {
                next[from + 1] = true;
            }
            for to in from..=path.len() {
                next[to] |= match piece {
                    Piece::Star => !path[from..to].contains(&'/'),
                    Piece::Folders => to == from || path[to - 1] == '/',
                    Piece::Rest => true,
                    _ => false,
                };
            }
        }
        places = next;
    }
    places[path.len()]
}
