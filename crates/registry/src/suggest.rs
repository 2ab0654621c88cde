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
    let wanted = word.to_lowercase();
    let length = wanted.chars().count();
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let there = candidate.to_lowercase();
        let limit = (length.max(there.chars().count()) / 3).max(1);
        if wanted.is_empty() {
            continue;
        }
        let distance = strsim::osa_distance(&wanted, &there);
        if distance <= limit && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
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
