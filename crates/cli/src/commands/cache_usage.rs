//! `lathe builder du`: all that lies in the store, each byte of the disk in one row.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use lathe_engine::store::{UsageItem, UsageKind};

use super::Session;
use crate::{
    args::CacheUsageArgs,
    env,
    progress::safe,
    render::{self, CacheRow},
    term,
};

/// Longest description that is shown, in characters.
const DESCRIPTION: usize = 200;

pub(super) fn cache_usage(session: &Session, args: &CacheUsageArgs) -> Result<u8> {
    let filters = Filters::parse(&args.filters, env::now())?;
    let rows = session.store.usage_rows()?;
    let shown = if args.format.is_none() && !args.verbose { Shown::Short } else { Shown::Whole };
    let fit = rows.iter().filter(|row| filters.fit(row));
    let rows: Vec<CacheRow> = fit.map(|item| row(item, shown)).collect();
    let now = env::now();
    let text = if args.verbose && args.format.is_none() {
        render::cache_usage_verbose(&rows, now)
    } else {
        render::cache_usage(&rows, args.format.as_deref(), now)?
    };
    term::out(&text)?;
    Ok(0)
}

/// How much of an id is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Whole,
    Short,
}

/// Digests and names that are hashes are long; their beginnings tell them apart.
fn id(item: &UsageItem, shown: Shown) -> String {
    let is_hash =
        |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (before, last) = item.id.split_at(item.id.rfind(['/', ':']).map_or(0, |at| at + 1));
    match last.get(..12).filter(|_| shown == Shown::Short && is_hash(last)) {
        Some(short) => format!("{}{short}", safe(before)),
        None => safe(&item.id),
    }
}

fn row(item: &UsageItem, shown: Shown) -> CacheRow {
    CacheRow {
        id: id(item, shown),
        parents: item.parents.join(","),
        kind: item.kind.buildkit_type(),
        description: description(item),
        mutable: item.mutable,
        reclaimable: !item.in_use,
        shared: item.shared,
        bytes: item.bytes,
        records: item.records,
        created: item.created,
        last_used: item.last_used,
    }
}

fn description(item: &UsageItem) -> String {
    let what = match item.kind {
        UsageKind::Snapshot => "files",
        UsageKind::Blob => "blob",
        UsageKind::CacheMount => "cache mount",
        UsageKind::Repository => "git repository",
        UsageKind::Digests => "digests of a build context",
        UsageKind::BuildLog => "logs of a build",
        UsageKind::Container => "container",
        UsageKind::Volume => "volume",
        UsageKind::Temporary => "work of running commands",
        UsageKind::Index => "index",
    };
    let words: Vec<&str> = item.description.split_whitespace().collect();
    let text =
        if words.is_empty() { what.to_owned() } else { format!("{what}: {}", words.join(" ")) };
    render::ellipsis(&safe(&text), DESCRIPTION)
}

/// The values of `--filter`: all of them must fit, of one kind any.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filters {
    ids: Vec<String>,
    types: Vec<String>,
    descriptions: Vec<String>,
    parents: Vec<String>,
    /// Last used before this time, in seconds since 1970.
    pub(super) until: Option<i64>,
    in_use: Option<bool>,
    shared: Option<bool>,
    mutable: Option<bool>,
}

impl Filters {
    /// Reads them, in buildx's words.
    pub(super) fn parse(texts: &[String], now: i64) -> Result<Self> {
        let mut filters = Self::default();
        for text in texts {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            let value = value.trim_start_matches('=').to_owned();
            let on = || match value.as_str() {
                "" | "true" | "1" => Ok(true),
                "false" | "0" => Ok(false),
                _ => bail!("invalid filter '{text}': want true or false"),
            };
            match key.trim().trim_end_matches('~') {
                "id" => filters.ids.push(value),
                "type" => filters.types.push(value),
                "description" => filters.descriptions.push(value),
                "parent" | "parents" => filters.parents.push(value),
                "until" | "unused-for" => filters.until = Some(moment(&value, now)?),
                "inuse" => filters.in_use = Some(on()?),
                "shared" => filters.shared = Some(on()?),
                "private" => filters.shared = Some(!on()?),
                "mutable" => filters.mutable = Some(on()?),
                "immutable" => filters.mutable = Some(!on()?),
                _ => bail!("invalid filter '{text}'"),
            }
        }
        Ok(filters)
    }

    /// Tells whether a row fits all of them.
    pub(super) fn fit(&self, item: &UsageItem) -> bool {
        let any = |wanted: &[String], fits: &dyn Fn(&String) -> bool| {
            wanted.is_empty() || wanted.iter().any(fits)
        };
        let used = item.last_used.or(item.created);
        any(&self.ids, &|id| item.id.starts_with(id.as_str()))
            && any(&self.types, &|kind| item.kind.buildkit_type() == kind)
            && any(&self.descriptions, &|text| description(item).contains(text.as_str()))
            && any(&self.parents, &|parent| item.parents.contains(parent))
            && self.until.is_none_or(|until| used.is_some_and(|used| used < until))
            && self.in_use.is_none_or(|in_use| item.in_use == in_use)
            && self.shared.is_none_or(|shared| item.shared == shared)
            && self.mutable.is_none_or(|mutable| item.mutable == mutable)
    }

    /// Tells whether there are any but `until`.
    pub(super) fn are_only_until(&self) -> bool {
        *self == Self { until: self.until, ..Self::default() }
    }
}

fn moment(text: &str, now: i64) -> Result<i64> {
    let now = Duration::from_secs(u64::try_from(now).unwrap_or(0));
    let moment = render::parse_moment(text, now)
        .with_context(|| format!("invalid time `{text}` in the filter"))?;
    Ok(i64::try_from(moment.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: UsageKind, id: &str, last_used: i64) -> UsageItem {
        UsageItem {
            kind,
            id: id.to_owned(),
            bytes: 1,
            created: None,
            last_used: Some(last_used),
            records: 0,
            description: "RUN  make\n all".to_owned(),
            parents: vec!["p".to_owned()],
            shared: false,
            mutable: kind == UsageKind::CacheMount,
            in_use: false,
        }
    }

    #[test]
    fn filters_fit_as_buildxs_do() {
        let items =
            [item(UsageKind::Snapshot, "abc", 100), item(UsageKind::CacheMount, "npm", 900)];
        let check = |texts: &[&str], want: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            let filters = Filters::parse(&texts, 1000).expect("known filters");
            let found: Vec<&str> = items
                .iter()
                .filter(|item| filters.fit(item))
                .map(|item| item.id.as_str())
                .collect();
            assert_eq!(found, want, "{texts:?}");
        };
        check(&[], &["abc", "npm"]);
        check(&["type=exec.cachemount"], &["npm"]);
        check(&["type=regular", "type=exec.cachemount"], &["abc", "npm"]);
        check(&["id=ab"], &["abc"]);
        check(&["until=10m"], &["abc"]);
        check(&["until=10m", "mutable"], &[]);
        check(&["mutable"], &["npm"]);
        check(&["immutable"], &["abc"]);
        check(&["inuse=true"], &[]);
        check(&["private"], &["abc", "npm"]);
        check(&["description~=make all"], &["abc", "npm"]);
        check(&["parents=q"], &[]);
        for wrong in ["nonsense=1", "until=yesterday", "shared=perhaps"] {
            Filters::parse(&[wrong.to_owned()], 0).expect_err(wrong);
        }
    }
}
