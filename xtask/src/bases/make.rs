//! Makes all layers of the plan that are not kept from an earlier run, then the images of them.
//!
//! The work is done by a second process of this program in a mount namespace of its own: whatever ends it, its
//! mounts end with it. Each finished layer is recorded at once, so a run that was interrupted goes on where it
//! stopped.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Error, Result, ensure};

use super::image;
use super::plan::{IMAGES, LAYERS, Layer};
use super::root::{self, Bench, Shop};
use super::state::{Lock, State, digest_of_file, remove_tree};
use crate::sh::Cmd;

/// Starts this program again where its mounts are seen by nobody else, and waits for it.
pub(super) fn in_own_namespace(program: &Path) -> Result<()> {
    Cmd::new("unshare")
        .args(["--mount", "--propagation", "private"])
        // Folders in layers are made with the usual modes, whoever runs this.
        .args(["sh", "-c", "umask 022; exec \"$0\" bases --inside"])
        .arg(program)
        .stream()
        .context("make the stand-in base images")
}

/// Makes layers and images; the caller holds the state's lock and gave this process its own mounts.
pub(super) fn inside(state: &State) -> Result<()> {
    let text = state.work().to_string_lossy().into_owned();
    ensure!(!text.contains([':', ',', '\\']), "`{text}` has characters that no overlay accepts");
    fs::create_dir_all(state.work()).with_context(|| format!("create {text}"))?;
    let lock = Mutex::new(Lock::read(state)?);
    let shop = Shop::new(state, &lock);
    make_layers(&shop, &lock)?;
    for image in IMAGES {
        let layers: Vec<_> = image.layers.iter().filter_map(|id| shop.record(id)).collect();
        let digest = image::write(state, image, &layers)?;
        if guard(&lock).images.get(image.tag) != Some(&digest) {
            root::try_out(&shop, image)?;
            println!("  {:<24} {digest}", image.tag);
            let mut lock = guard(&lock);
            lock.images.insert(image.tag.to_owned(), digest);
            lock.write(state)?;
        }
    }
    image::write_layout(state, &guard(&lock))?;
    image::sweep_layout(state, &guard(&lock))?;
    drop(shop);
    remove_tree(&state.work())
}

/// Which layers wait, and which are done.
struct Board {
    waiting: Vec<&'static Layer>,
    done: BTreeSet<&'static str>,
    failure: Option<Error>,
}

impl Board {
    /// Takes the first layer whose needs are met.
    fn take_ready(&mut self) -> Option<&'static Layer> {
        let ready = |layer: &&Layer| {
            layer.below.iter().chain(layer.donors).all(|id| self.done.contains(id))
        };
        let index = self.waiting.iter().position(ready)?;
        Some(self.waiting.remove(index))
    }

    fn is_over(&self) -> bool {
        self.waiting.is_empty() || self.failure.is_some()
    }
}

fn make_layers(shop: &Shop<'_>, lock: &Mutex<Lock>) -> Result<()> {
    let board = Board { waiting: LAYERS.iter().collect(), done: BTreeSet::new(), failure: None };
    let (board, changed) = (Mutex::new(board), Condvar::new());
    let workers = thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work(shop, lock, &board, &changed));
        }
    });
    match board.into_inner().unwrap_or_else(PoisonError::into_inner).failure {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Makes layers until none is left or one has failed.
fn work(shop: &Shop<'_>, lock: &Mutex<Lock>, board: &Mutex<Board>, changed: &Condvar) {
    let mut held = guard(board);
    loop {
        if held.is_over() {
            return;
        }
        let Some(layer) = held.take_ready() else {
            held = changed.wait(held).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(held);
        let outcome = make_layer(shop, lock, layer);
        held = guard(board);
        match outcome {
            Ok(()) => drop(held.done.insert(layer.id)),
            Err(error) => held.failure = Some(error.context(format!("make layer {}", layer.id))),
        }
        changed.notify_all();
    }
}

fn make_layer(shop: &Shop<'_>, lock: &Mutex<Lock>, layer: &Layer) -> Result<()> {
    let kept = guard(lock).clone();
    if kept.has(layer)
        && let Some(record) = kept.layers.get(layer.id)
        && digest_of_file(&shop.state.blob(&record.digest)).is_ok_and(|d| d == record.digest)
    {
        return Ok(());
    }
    let start = Instant::now();
    let record = Bench::make(shop, layer)?;
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let megabytes = record.size as f64 / 1e6;
    println!(
        "  layer {:<14} {megabytes:6.1} MB  {:5.1} s",
        layer.id,
        start.elapsed().as_secs_f64()
    );
    let mut lock = guard(lock);
    lock.layers.insert(layer.id.to_owned(), record);
    lock.write(shop.state)
}

/// Locks; a panic of another worker ends the process anyway.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
