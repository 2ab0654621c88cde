//! `lathe images`, `tag`, `rmi`, `history`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use lathe_engine::images::{
    self, Error, Force, ImageFilters, ImageSummary, RemoveOptions, UntaggedParents,
};
use lathe_oci::Reference;

use super::Session;
use crate::{
    args::{HistoryArgs, ImagesArgs, RemoveImageArgs, TagArgs},
    env, failure,
    render::{self, HistoryRow, HistoryView, ImageRow, ImageView},
    term,
};

pub(super) fn images(session: &Session, args: &ImagesArgs) -> Result<u8> {
    let mut filters = ImageFilters::parse(args.filters.iter().map(String::as_str))?;
    filters.references.extend(args.repository.clone());
    let summaries = images::list(&session.quiet_engine(), &filters)?;
    let digests =
        args.digests || args.format.as_deref().is_some_and(|format| format.contains(".Digest"));
    let rows: Vec<ImageRow> = summaries.iter().flat_map(|image| rows(image, digests)).collect();
    let view = ImageView {
        format: args.format.as_deref(),
        quiet: args.quiet,
        digests: args.digests,
        no_trunc: args.no_trunc,
        now: env::now(),
        zone: env::zone(),
    };
    term::out(&render::images(&rows, &view)?)?;
    Ok(0)
}

/// Makes the lines of one image: one per tag (and digest, where those are shown), or one for an
/// image that has no name but that of a registry, or none at all.
fn rows(image: &ImageSummary, digests: bool) -> Vec<ImageRow> {
    let mut tags: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in &image.repo_tags {
        let (repository, tag) = split(name);
        tags.entry(repository).or_default().push(tag);
    }
    let mut known: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in &image.repo_digests {
        if let Some((repository, digest)) = name.split_once('@') {
            known.entry(repository).or_default().push(digest);
        }
    }
    let row = |repository: Option<&str>, tag: Option<&str>, digest: Option<&str>| ImageRow {
        id: image.id.to_string(),
        repository: repository.map(str::to_owned),
        tag: tag.map(str::to_owned),
        digest: digest.map(str::to_owned),
        created: image.created,
        size: image.size,
        containers: image.containers,
    };
    let mut rows = Vec::new();
    for (repository, tags) in &tags {
        let found = known.remove(repository.as_str()).filter(|_| digests).unwrap_or_default();
        let found: Vec<Option<&str>> = match found.as_slice() {
            [] => vec![None],
            found => found.iter().copied().map(Some).collect(),
        };
        for digest in found {
            rows.extend(tags.iter().map(|tag| row(Some(repository), Some(tag), digest)));
        }
    }
    for (repository, found) in known {
        if digests {
            rows.extend(found.iter().map(|digest| row(Some(repository), None, Some(digest))));
        } else {
            rows.push(row(Some(repository), None, None));
        }
    }
    if rows.is_empty() {
        rows.push(row(None, None, None));
    }
    rows
}

fn split(name: &str) -> (String, String) {
    match Reference::parse(name) {
        Ok(reference) => {
            let tag = reference.tag().unwrap_or("<none>").to_owned();
            (reference.familiar_name(), tag)
        }
        Err(_) => (name.to_owned(), "<none>".to_owned()),
    }
}

pub(super) fn tag(session: &Session, args: &TagArgs) -> Result<u8> {
    images::tag(&session.quiet_engine(), &args.source, &args.target)?;
    Ok(0)
}

pub(super) fn remove(session: &Session, args: &RemoveImageArgs) -> Result<u8> {
    let views = session.containers().list()?;
    let running: BTreeSet<&str> =
        views.iter().filter(|view| view.is_running()).map(|view| view.record.id.as_str()).collect();
    let options = RemoveOptions {
        force: if args.force { Force::Yes } else { Force::No },
        parents: if args.no_prune { UntaggedParents::Keep } else { UntaggedParents::Remove },
    };
    let engine = session.quiet_engine();
    let mut failed = false;
    for name in &args.images {
        match images::remove(&engine, name, options, &|record| running.contains(record.id.as_str()))
        {
            Ok(removed) => term::lines(&removed)?,
            Err(error) => {
                // With force, what is gone already is as wanted, but said.
                failed |= !(args.force && matches!(error, Error::NoSuchImage { .. }));
                term::err(&failure::report(&error.into()).text);
            }
        }
    }
    Ok(u8::from(failed))
}

pub(super) fn history(session: &Session, args: &HistoryArgs) -> Result<u8> {
    let rows = images::history(&session.quiet_engine(), &args.image)?;
    let rows: Vec<HistoryRow> = rows
        .into_iter()
        .map(|row| HistoryRow {
            id: row.id.map(|id| id.to_string()),
            created: row.created,
            created_by: row.created_by,
            size: row.size,
            comment: row.comment,
        })
        .collect();
    let view = HistoryView {
        format: args.format.as_deref(),
        quiet: args.quiet,
        human: args.human,
        no_trunc: args.no_trunc,
        now: env::now(),
        zone: env::zone(),
    };
    term::out(&render::history(&rows, &view)?)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use lathe_oci::{Digest, Platform};

    use super::*;

    fn check(tags: &[&str], repo_digests: &[&str], digests: bool, want: &[(&str, &str, &str)]) {
        let image = ImageSummary {
            id: Digest::of(b"config"),
            manifest: Digest::of(b"manifest"),
            repo_tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            repo_digests: repo_digests.iter().map(|&name| name.to_owned()).collect(),
            created: None,
            size: 0,
            labels: BTreeMap::new(),
            platform: Platform::host(),
            containers: 0,
        };
        let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let got: Vec<(String, String, String)> = rows(&image, digests)
            .into_iter()
            .map(|row| (text(row.repository), text(row.tag), text(row.digest)))
            .collect();
        let want: Vec<(String, String, String)> = want
            .iter()
            .map(|(repository, tag, digest)| {
                ((*repository).to_owned(), (*tag).to_owned(), (*digest).to_owned())
            })
            .collect();
        assert_eq!(got, want, "{tags:?} {repo_digests:?}");
    }

    #[test]
    fn an_image_has_a_line_per_name() {
        check(&[], &[], false, &[("-", "-", "-")]);
        check(
            &["a:1", "a:2", "b:1"],
            &[],
            false,
            &[("a", "1", "-"), ("a", "2", "-"), ("b", "1", "-")],
        );
        check(&["localhost:5000/a:1"], &[], false, &[("localhost:5000/a", "1", "-")]);
        check(&["a:1"], &["a@sha256:x"], false, &[("a", "1", "-")]);
        check(&["a:1"], &["a@sha256:x"], true, &[("a", "1", "sha256:x")]);
        check(&[], &["a@sha256:x"], false, &[("a", "-", "-")]);
        check(&["a:1"], &["b@sha256:x"], true, &[("a", "1", "-"), ("b", "-", "sha256:x")]);
    }
}
