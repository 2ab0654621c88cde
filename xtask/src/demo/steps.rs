//! One line per step: its number, what it does, how long it took.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Counts the steps of a demo.
#[derive(Debug)]
pub(super) struct Steps {
    done: usize,
    all: usize,
}

/// A step that went well.
#[derive(Debug)]
pub(super) struct Done<T> {
    pub(super) value: T,
    pub(super) time: Duration,
}

impl Steps {
    pub(super) fn new(all: usize) -> Self {
        Self { done: 0, all }
    }

    /// Does a step, which returns a word for the terminal and a value.
    pub(super) fn step<T>(
        &mut self,
        title: &str,
        work: impl FnOnce() -> Result<(String, T)>,
    ) -> Result<Done<T>> {
        self.done += 1;
        print!("[{:>2}/{}] {title:<42} ", self.done, self.all);
        std::io::stdout().flush().context("write to the terminal")?;
        let start = Instant::now();
        let result = work();
        let time = start.elapsed();
        match result {
            Ok((word, value)) => {
                println!("{:>8.2} s  {word}", time.as_secs_f64());
                Ok(Done { value, time })
            }
            Err(error) => {
                println!("FAILED after {:.2} s", time.as_secs_f64());
                Err(error.context(title.to_owned()))
            }
        }
    }
}
