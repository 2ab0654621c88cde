//! The build cache, kept in the store: from a key to a snapshot.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use lathe_event::Cancel;
use lathe_solver::{CacheHit, CacheIndex, CacheKey, KeyPart, KeyRecipe};
use lathe_store::{CacheRecord, Claim, SnapshotId, Store};

use crate::{Error, Output, Result};

/// Finds results by key and records new ones.
#[derive(Debug)]
pub struct StoreCache {
    store: Store,
    /// Seconds since 1970, at the start of the build.
    now: i64,
    /// Keys that hit; written once at the end, not one by one.
    used: Mutex<Vec<String>>,
}

impl StoreCache {
    /// Makes the cache of a build that starts at `now`, in seconds since 1970.
    pub fn new(store: Store, now: i64) -> Self {
        Self { store, now, used: Mutex::default() }
    }

    /// Notes in the store which records were used.
    pub fn flush(&self) -> Result<()> {
        let used = std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner));
        self.store.cache_touch(used.iter().map(String::as_str), self.now)?;
        Ok(())
    }
}

impl CacheIndex for StoreCache {
    type Output = Output;
    type Error = Error;
    type Claim = Claim;

    fn lookup(&self, key: CacheKey) -> Result<Option<CacheHit<Output>>> {
        let text = key.to_string();
        let Some(record) = self.store.cache_lookup(&text)? else { return Ok(None) };
        let hit = parse(&record.result).ok_or_else(|| Error::BrokenRecord {
            key: text.clone(),
            text: record.result.clone(),
        })?;
        self.used.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        Ok(Some(hit))
    }

    fn claim(&self, key: CacheKey, stop: &Cancel) -> Result<Option<Claim>> {
        Ok(self.store.claim(&key.to_string(), &|| stop.is_cancelled())?)
    }

    fn record(
        &self,
        keys: &[CacheKey],
        recipe: &KeyRecipe,
        output: &Output,
        cost: Duration,
    ) -> Result<()> {
        let Output::Snapshot(snapshot) = output else { return Ok(()) };
        let (Some(canonical), snapshot) = (keys.first(), *snapshot) else { return Ok(()) };
        let text = write_recipe(recipe);
        let record = |key: &CacheKey| CacheRecord {
            key: key.to_string(),
            result: format!("{snapshot} {canonical} {}", cost.as_millis()),
            snapshots: vec![snapshot],
            blobs: Vec::new(),
            created: self.now,
            last_used: self.now,
            recipe: Some(text.clone()),
        };
        let records: Vec<CacheRecord> = keys.iter().map(record).collect();
        Ok(self.store.cache_record_all(&records)?)
    }
}

/// Returns the recipe of a key that is recorded in a store.
///
/// # Errors
/// If the store cannot be read.
pub fn recorded_recipe(store: &Store, key: &str) -> Result<Option<KeyRecipe>> {
    let record = store.cache_lookup(key)?;
    Ok(record.and_then(|record| record.recipe).map(|text| read_recipe(&text)))
}

/// One line for each part.
fn write_recipe(recipe: &KeyRecipe) -> String {
    let mut text = String::new();
    for part in &recipe.parts {
        text.extend([&part.name, "\t", &escape(&part.value), "\n"]);
    }
    text
}

fn read_recipe(text: &str) -> KeyRecipe {
    let part = |line: &str| {
        let (name, value) = line.split_once('\t')?;
        Some(KeyPart::new(name, unescape(value)))
    };
    KeyRecipe { parts: text.split('\n').filter_map(part).collect() }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescape(value: &str) -> String {
    let mut text = String::new();
    let mut rest = value.chars();
    while let Some(char) = rest.next() {
        text.push(match char {
            '\\' => match rest.next() {
                Some('n') => '\n',
                other => other.unwrap_or('\\'),
            },
            char => char,
        });
    }
    text
}

/// Reads `snapshot canonical-key milliseconds`; older records do not tell the time.
fn parse(text: &str) -> Option<CacheHit<Output>> {
    let mut fields = text.split(' ');
    let snapshot: SnapshotId = fields.next()?.parse().ok()?;
    let canonical = fields.next()?;
    let cost = Duration::from_millis(fields.next().unwrap_or("0").parse().ok()?);
    let mut key = [0; 32];
    if canonical.len() != 64 {
        return None;
    }
    for (byte, at) in key.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(canonical.get(at..at + 2)?, 16).ok()?;
    }
    Some(CacheHit { output: Output::Snapshot(snapshot), canonical: CacheKey(key), cost })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip_and_broken_ones_are_found() {
        let key = CacheKey(std::array::from_fn(|i| u8::try_from(i * 7).unwrap_or(255)));
        for (text, millis) in
            [(format!("0123456789 {key}"), 0), (format!("0123456789 {key} 1500"), 1500)]
        {
            let hit = parse(&text).unwrap();
            assert_eq!((hit.canonical, hit.cost), (key, Duration::from_millis(millis)));
        }
        for text in [
            "",
            "0123456789",
            "../../../x aa",
            &format!("0123456789 {}", "é".repeat(32)),
            &format!("0123456789 {key} soon"),
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn recipes_round_trip() {
        let part = |name: &str, value: &str| KeyPart::new(name, value);
        let recipe = KeyRecipe {
            parts: vec![
                part("command", "a\nb\\n\tc\\"),
                part("user", "\r"),
                part("variable A", "b=c"),
            ],
        };
        assert_eq!(read_recipe(&write_recipe(&recipe)), recipe);
    }
}
