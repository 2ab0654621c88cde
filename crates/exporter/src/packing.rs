//! Layers that are made while the build goes on: each as soon as its step has committed.
//!
//! What comes of it is remembered in the store, where [`layers`](crate::layers) finds it: whoever
//! asks there after [`Packing::finish`] waits for nothing. A build that fails drops it, which ends
//! what is under way; what was made until then stays, for the next build.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
};

use lathe_event::{Cancel, EventSink};
use lathe_snapshot::Snapshots;
use lathe_store::{SnapshotId, Store};

use crate::{
    Env, LayerForm, PackOptions, Result,
    layers::{AT_ONCE, known, make},
};

/// What [`Packing::start`] needs; all of it is cheap to clone.
#[derive(Clone)]
pub struct PackingRequest {
    /// Where layers are remembered.
    pub store: Store,
    /// Where the files are.
    pub snapshots: Snapshots,
    /// Takes progress.
    pub events: Arc<dyn EventSink>,
    /// Ends the work.
    pub cancel: Cancel,
    /// Latest modification time of files, in seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
}

impl std::fmt::Debug for PackingRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackingRequest").field("store", &self.store).finish_non_exhaustive()
    }
}

/// A snapshot whose layer is to be made.
#[derive(Clone, Copy, Debug)]
struct Item {
    snapshot: SnapshotId,
    form: Option<LayerForm>,
}

/// Makes layers in the background. Dropping it ends the work and waits for its threads.
#[derive(Debug)]
pub struct Packing {
    request: PackingRequest,
    /// Set when nobody waits for the rest; the user's token sets it as well.
    stop: Cancel,
    queue: Option<Sender<Item>>,
    items: Arc<Mutex<Receiver<Item>>>,
    /// Made when there is something to do.
    threads: Mutex<Vec<JoinHandle<Result<()>>>>,
}

impl Packing {
    /// Makes ready; threads begin with the first layer.
    pub fn start(request: PackingRequest) -> Self {
        let (queue, items) = mpsc::channel();
        Self {
            request,
            stop: Cancel::new(),
            queue: Some(queue),
            items: Arc::new(Mutex::new(items)),
            threads: Mutex::default(),
        }
    }

    /// Has the layer of a committed snapshot made: its diffID, and with a `form` the blob that an
    /// output will need, in one pass.
    pub fn submit(&self, snapshot: SnapshotId, form: Option<LayerForm>) {
        let queue = self.queue.as_ref().expect("it is there until the end");
        queue.send(Item { snapshot, form }).expect("the receiver lives as long as this");
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if threads.len() < AT_ONCE {
            let (request, stop) = (self.request.clone(), self.stop.clone());
            let items = Arc::clone(&self.items);
            threads.push(thread::spawn(move || run(&request, &stop, &items)));
        }
    }

    /// Waits until all layers are made that were submitted.
    ///
    /// # Errors
    /// The first thing that went wrong; [`Error::Cancelled`](crate::Error::Cancelled) when the
    /// user wanted to stop.
    pub fn finish(mut self) -> Result<()> {
        self.queue = None;
        self.join().into_iter().collect()
    }

    fn join(&self) -> Vec<Result<()>> {
        let threads = &mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let end = |thread: JoinHandle<Result<()>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.drain(..).map(end).collect()
    }
}

impl Drop for Packing {
    fn drop(&mut self) {
        self.queue = None;
        self.stop.cancel();
        // Nobody wants the layers any more, so nobody wants to know what became of them.
        drop(self.join());
    }
}

fn run(request: &PackingRequest, stop: &Cancel, items: &Mutex<Receiver<Item>>) -> Result<()> {
    let PackingRequest { store, snapshots, events, cancel, epoch } = request;
    let stop_too = stop.clone();
    let _linked = cancel.on_cancel(move || stop_too.cancel());
    let client = || Err("layers are made without a registry".into());
    let env = Env { store, snapshots, events: &**events, cancel: stop, client: &client };
    let _share = store.share()?;
    loop {
        // One at a time waits; the others wait for it.
        let item = items.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Item { snapshot, form }) = item else { return Ok(()) };
        if stop.is_cancelled() {
            return Err(crate::Error::Cancelled);
        }
        if known(store, snapshot, *epoch)?.is_none() {
            let options = PackOptions { form, epoch: *epoch };
            make(&env, snapshot, options, &format!("layer of {snapshot}"))?;
        }
    }
}
