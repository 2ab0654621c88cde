//! The build cache, kept in the store: from a key to a snapshot.

use std::sync::{Mutex, PoisonError};

use lathe_event::Cancel;
use lathe_solver::{CacheHit, CacheIndex, CacheKey, KeyRecipe};
use lathe_store::{CacheRecord, SnapshotId, Store};

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
    type Claim = ();

    fn claim(&self, _key: CacheKey, stop: &Cancel) -> Result<Option<()>> {
        Ok((!stop.is_cancelled()).then_some(()))
    }

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

    fn record(&self, keys: &[CacheKey], recipe: &KeyRecipe, output: &Output) -> Result<()> {
        let Output::Snapshot(snapshot) = output else { return Ok(()) };
        let (Some(canonical), snapshot) = (keys.first(), *snapshot) else { return Ok(()) };
        let mut text = String::new();
        for part in &recipe.parts {
            text.extend([&part.name, "\t", &escape(&part.value), "\n"]);
        }
        for key in keys {
            self.store.cache_record(&CacheRecord {
                key: key.to_string(),
                result: format!("{snapshot} {canonical}"),
                snapshots: vec![snapshot],
                blobs: Vec::new(),
                created: self.now,
                last_used: self.now,
                recipe: Some(text.clone()),
            })?;
        }
        Ok(())
    }
}

/// One line for each part.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n")
}

/// Reads `snapshot canonical-key`.
fn parse(text: &str) -> Option<CacheHit<Output>> {
    let (snapshot, canonical) = text.split_once(' ')?;
    let snapshot: SnapshotId = snapshot.parse().ok()?;
    let mut key = [0; 32];
    if canonical.len() != 64 {
        return None;
    }
    for (byte, at) in key.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(canonical.get(at..at + 2)?, 16).ok()?;
    }
    Some(CacheHit { output: Output::Snapshot(snapshot), canonical: CacheKey(key) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip_and_broken_ones_are_found() {
        let key = CacheKey(std::array::from_fn(|i| u8::try_from(i * 7).unwrap_or(255)));
        let hit = parse(&format!("0123456789 {key}")).unwrap();
        assert_eq!(hit.canonical, key);
        for text in ["", "0123456789", "../../../x aa", &format!("0123456789 {}", "é".repeat(32))]
        {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
