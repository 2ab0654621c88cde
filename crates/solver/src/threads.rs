//! What the threads of a solve do: they run what they are given and own nothing.

use std::{
    sync::{Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use lathe_event::{Cancel, Event as Progress, EventSink, StepId};

use crate::{CacheHit, CacheIndex, CacheKey, KeyPart, NodeId, OpRunner};

pub(crate) enum Task<O> {
    Key(NodeId, Vec<Option<O>>),
    /// With the key to claim, if it has one that counts.
    Run(NodeId, Vec<O>, Option<CacheKey>),
}

/// What came of a run.
pub(crate) enum Made<O, L> {
    /// An output, with the claim to hold until it is recorded.
    Ran(O, Option<L>),
    /// Somebody else had made it by the time that it was this one's turn.
    Found(CacheHit<O>),
    /// Nothing: it was stopped while it waited.
    Stopped,
}

pub(crate) type Content = Vec<Vec<KeyPart>>;

pub(crate) enum Done<O, L, E> {
    Keyed(NodeId, Result<Content, E>),
    Ran(NodeId, Result<Made<O, L>, E>, Duration),
}

impl<O, L, E> Done<O, L, E> {
    pub(crate) const fn node(&self) -> NodeId {
        match self {
            Self::Keyed(id, _) | Self::Ran(id, ..) => *id,
        }
    }
}

/// What all threads work with.
pub(crate) struct Env<'a, R, C> {
    pub(crate) runner: &'a R,
    pub(crate) cache: &'a C,
    pub(crate) events: &'a dyn EventSink,
    pub(crate) stop: &'a Cancel,
}

/// Runs tasks until there are no more.
pub(crate) fn work<R, C>(
    env: &Env<'_, R, C>,
    queue: &Mutex<mpsc::Receiver<Task<R::Output>>>,
    done: &mpsc::Sender<Done<R::Output, C::Claim, R::Error>>,
) where
    R: OpRunner,
    C: CacheIndex<Output = R::Output, Error = R::Error>,
{
    loop {
        let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let message = match task {
            Ok(Task::Key(id, inputs)) => Done::Keyed(id, key(env.runner, id, &inputs)),
            Ok(Task::Run(id, inputs, claim)) => {
                env.events.emit(Progress::StepStarted(StepId(id.0)));
                let start = Instant::now();
                Done::Ran(id, run(env, id, &inputs, claim), start.elapsed())
            }
            Err(mpsc::RecvError) => return,
        };
        if done.send(message).is_err() {
            return;
        }
    }
}

/// Runs a node, unless somebody else runs the same: then that one's result is taken.
fn run<R, C>(
    env: &Env<'_, R, C>,
    id: NodeId,
    inputs: &[R::Output],
    key: Option<CacheKey>,
) -> Result<Made<R::Output, C::Claim>, R::Error>
where
    R: OpRunner,
    C: CacheIndex<Output = R::Output, Error = R::Error>,
{
    let Some(key) = key else {
        return Ok(Made::Ran(env.runner.run(id, inputs)?, None));
    };
    let Some(claim) = env.cache.claim(key, env.stop)? else { return Ok(Made::Stopped) };
    // It may have been made and recorded between the lookup and the claim, with or without a wait.
    if let Some(hit) = env.cache.lookup(key)? {
        return Ok(Made::Found(hit));
    }
    Ok(Made::Ran(env.runner.run(id, inputs)?, Some(claim)))
}

fn key<R: OpRunner>(
    runner: &R,
    id: NodeId,
    inputs: &[Option<R::Output>],
) -> Result<Content, R::Error> {
    let by_content = inputs.iter().enumerate().filter_map(|(i, o)| Some((i, o.as_ref()?)));
    by_content.map(|(index, output)| runner.content(id, index, output)).collect()
}
