//! A map whose values are computed once, also when several threads ask at the same time.
//!
//! A plain `Mutex<HashMap>` would either hold the lock during the computation, so unrelated keys
//! wait for each other, or compute a value twice. Here the lock covers only the look-up; who
//! comes second for the same key waits for the first one's result.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

type Slot<V> = Arc<Mutex<Option<V>>>;

/// Map from a key to a value that is computed at most once.
#[derive(Debug)]
pub struct OnceMap<K, V> {
    slots: Mutex<HashMap<K, Slot<V>>>,
}

impl<K, V> Default for OnceMap<K, V> {
    fn default() -> Self {
        Self { slots: Mutex::new(HashMap::new()) }
    }
}

impl<K: Eq + Hash, V: Clone> OnceMap<K, V> {
    /// Returns the value of `key`, computed by `make` when it is not there yet.
    ///
    /// An error is given to the caller whose `make` failed and is not remembered: the next one
    /// who asks tries again.
    pub fn get_or_try<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(key).or_default())
        };
        let mut value = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = value.as_ref() {
            return Ok(value.clone());
        }
        let made = make()?;
        *value = Some(made.clone());
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::OnceMap;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_value_is_made_once_by_many_threads() {
        let (map, made) = (OnceMap::default(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let value = map.get_or_try("key", || {
                        made.fetch_add(1, Ordering::SeqCst);
                        Ok::<_, ()>(7)
                    });
                    assert_eq!(value, Ok(7));
                });
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn an_error_is_not_remembered() {
        let map = OnceMap::default();
        assert_eq!(map.get_or_try(1, || Err("no")), Err("no"));
        assert_eq!(map.get_or_try(1, || Ok::<_, &str>(2)), Ok(2));
    }
}
