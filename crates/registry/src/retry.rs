//! When to try again, and waiting that a canceled user does not have to sit through.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use lathe_event::Cancel;

use crate::{Error, Result};

/// How often and how patiently a failed request is tried again.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Requests in all, the first included.
    pub attempts: u32,
    /// Wait before the second attempt; doubles with each further one.
    pub base: Duration,
    /// The longest wait that the policy chooses by itself.
    pub cap: Duration,
    /// The longest wait that a registry's `Retry-After` may ask for. Where it asks for
    /// more, the request fails at once, since nobody wants a build that sleeps an hour.
    pub longest_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            base: Duration::from_millis(250),
            cap: Duration::from_secs(10),
            longest_retry_after: Duration::from_secs(90),
        }
    }
}

impl RetryPolicy {
    /// Waits before attempt number `attempt` (from 1, the first retry), or gives `error`
    /// back when there is to be no such attempt.
    pub(crate) fn wait(&self, attempt: u32, error: Error, cancel: &Cancel) -> Result<()> {
        if attempt >= self.attempts || !error.is_transient() {
            return Err(error);
        }
        let delay = match error.retry_after() {
            Some(asked) if asked > self.longest_retry_after => return Err(error),
            Some(asked) => asked,
            None => self.backoff(attempt, random()),
        };
        pause(delay, cancel)
    }

    /// Returns the wait before a retry: exponential, between half and all of the step, so
    /// that many clients that failed together do not come back together.
    fn backoff(&self, attempt: u32, random: u64) -> Duration {
        let step = self.base.saturating_mul(1 << (attempt - 1).min(16)).min(self.cap);
        let thousandths = 500 + u32::try_from(random % 501).expect("at most 500");
        step * thousandths / 1000
    }
}

/// Returns a number that differs from call to call and from process to process.
///
/// The standard library's hash keys are random; jitter needs nothing better.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Waits for `delay`, less when the work is canceled.
pub(crate) fn pause(delay: Duration, cancel: &Cancel) -> Result<()> {
    let woken = Arc::new((Mutex::new(false), Condvar::new()));
    let waker = Arc::clone(&woken);
    let guard = cancel.on_cancel(move || {
        *waker.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        waker.1.notify_all();
    });
    let lock = woken.0.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = woken.1.wait_timeout_while(lock, delay, |canceled| !*canceled);
    drop(waited);
    drop(guard);
    if cancel.is_cancelled() { Err(Error::Canceled) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transient(retry_after: Option<Duration>) -> Error {
        Error::Refused(Box::new(crate::Refusal {
            subject: "x".to_owned(),
            host: "h".to_owned(),
            status: 429,
            code: String::new(),
            message: String::new(),
            hint: String::new(),
            retry_after,
        }))
    }

    #[test]
    fn the_wait_doubles_up_to_the_cap_with_at_most_half_of_it_as_jitter() {
        let policy = RetryPolicy::default();
        for (attempt, full) in [(1, 250), (2, 500), (3, 1000), (7, 10_000), (40, 10_000)] {
            for random in [0, 250, 500, u64::MAX] {
                let wait = policy.backoff(attempt, random).as_millis();
                assert!(wait >= full / 2 && wait <= full, "{attempt}: {wait}");
            }
        }
    }

    #[test]
    fn attempts_are_bounded() {
        let policy = RetryPolicy { attempts: 2, base: Duration::ZERO, ..RetryPolicy::default() };
        assert!(policy.wait(1, transient(None), &Cancel::new()).is_ok());
        assert!(policy.wait(2, transient(None), &Cancel::new()).is_err());
    }

    #[test]
    fn a_registry_that_asks_for_an_hour_is_an_error_at_once() {
        let error = transient(Some(Duration::from_hours(1)));
        assert!(RetryPolicy::default().wait(1, error, &Cancel::new()).is_err());
    }

    #[test]
    fn a_canceled_wait_ends() {
        let cancel = Cancel::new();
        cancel.cancel();
        assert!(matches!(pause(Duration::from_hours(1), &cancel), Err(Error::Canceled)));
    }
}
