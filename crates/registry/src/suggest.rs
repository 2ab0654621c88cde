//! "Did you mean": the nearest of a few candidates.

/// The candidate that `word` was probably meant to be, if any is near.
///
/// Case is free; near is an edit distance (insert, delete, replace, swap of
/// neighbors) of at most a third of the longer of both, at least one. Of
/// equally near ones the first wins.
pub(crate) fn suggest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let wanted: Vec<char> = word.to_lowercase().chars().collect();
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let there: Vec<char> = candidate.to_lowercase().chars().collect();
        let limit = (wanted.len().max(there.len()) / 3).max(1);
        if wanted.len().abs_diff(there.len()) > limit || wanted.is_empty() {
            continue;
        }
        let distance = distance(&wanted, &there);
        if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance: three rows of the table suffice.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, &a) in from.iter().enumerate() {
        let mut row = Vec::with_capacity(to.len() + 1);
        row.push(i + 1);
        for (j, &b) in to.iter().enumerate() {
            let mut least = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a == to[j - 1] && from[i - 1] == b {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[track_caller]
    fn check(word: &str, candidates: &[&str], expected: Option<&str>) {
        assert_eq!(suggest(word, candidates.iter().copied()), expected, "{word}");
    }

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        check("COPPY", &["CMD", "COPY", "ENV"], Some("COPY"));
        check("from", &["FROM"], Some("FROM"));
        check("FORM", &["FROM", "RUN"], Some("FROM"));
        check("buidler", &["builder", "build"], Some("builder"));
        check("x", &["builder"], None);
        check("", &["a"], None);
        check("/app/dist", &["/app/build", "/app/dst"], Some("/app/dst"));
    }
}
