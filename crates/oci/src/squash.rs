//! The history of an image whose topmost layers became one, as docker's `--squash` writes it.

use crate::{Digest, History};

/// Returns the history after the layers above the base became one: what was done stays to be read
/// and has no layers any more, one new item has the layer.
///
/// `base` is how many items are those of the base image, whose layers stay; `created` is when the
/// squashed layer was made. `comment` is what [`squash_comment`] returns.
pub fn squash_history(
    mut history: Vec<History>,
    base: usize,
    created: Option<String>,
    comment: String,
) -> Vec<History> {
    for item in history.iter_mut().skip(base) {
        item.empty_layer = true;
    }
    history.push(History { created, comment: Some(comment), ..History::default() });
    history
}

/// Returns docker's remark on a squashed layer: which image it was before (`image`), and which it
/// was merged to, if there is a base image.
pub fn squash_comment(image: &Digest, base: Option<&Digest>) -> String {
    match base {
        Some(base) => format!("merge {image} to {base}"),
        None => format!("create new from {image}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str, empty_layer: bool) -> History {
        History { created_by: Some(text.to_owned()), empty_layer, ..History::default() }
    }

    #[test]
    fn what_was_done_stays_without_layers() {
        let history = vec![item("base", false), item("ENV", true), item("RUN", false)];
        let created = Some("2024-01-01T00:00:00Z".to_owned());
        let squashed = squash_history(history, 1, created.clone(), "merge".to_owned());
        let comment = Some("merge".to_owned());
        let last = History { created, comment, ..History::default() };
        assert_eq!(squashed, [item("base", false), item("ENV", true), item("RUN", true), last]);
    }

    #[test]
    fn the_remark_names_both_images() {
        let (image, base) = (Digest::of(b"image"), Digest::of(b"base"));
        assert_eq!(squash_comment(&image, Some(&base)), format!("merge {image} to {base}"));
        assert_eq!(squash_comment(&image, None), format!("create new from {image}"));
    }
}
