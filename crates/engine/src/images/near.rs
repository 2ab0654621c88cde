//! Names that look like one that does not exist.

use lathe_oci::Reference;
use lathe_store::Store;

use super::Result;

/// Most suggestions.
const MOST: usize = 3;

/// Returns names in the store that look like `wanted`, the nearest first.
pub(super) fn near(store: &Store, wanted: &str) -> Result<Vec<String>> {
    let has_tag = Reference::parse(wanted).is_ok_and(|name| name.tag().is_some());
    let mut found: Vec<(usize, String)> = Vec::new();
    for tag in store.tags()? {
        let Ok(name) = Reference::parse(&tag.name) else { continue };
        let shown = name.familiar();
        let bare = name.familiar_name();
        let compared = if has_tag { &shown } else { &bare };
        let mut steps = distance(wanted, compared);
        if bare == wanted || bare.rsplit('/').next() == Some(wanted) {
            // The right name with another tag, or without its registry.
            steps = 0;
        }
        if steps <= (wanted.chars().count().max(compared.chars().count()) / 3).max(1) {
            found.push((steps, shown));
        }
    }
    found.sort();
    Ok(found.into_iter().take(MOST).map(|(_, name)| name).collect())
}

/// Levenshtein distance.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
