//! Progress of builds and transfers, drawn from the one stream of events.
//!
//! ```text
//! worker threads ─emit─► Progress ─► Renderer ─► bytes ─► one write(2) to standard error
//!                                      ▲ tick, ten times a second (tty only)
//! ```
//!
//! Renderers are pure: they take events and times and append bytes, so that tests read what
//! a terminal would. Output of steps is untrusted and passes `clean.rs` before it is shown.

mod bar;
mod cells;
mod clean;
mod frame;
mod model;
mod plain;
mod rawjson;
mod screen;
mod tty;

pub(crate) use clean::safe;

use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use lathe_event::{Event, EventSink};

use crate::{args::ProgressArg, term};

/// Time between two frames on a terminal.
const FRAME: Duration = Duration::from_millis(100);

/// How progress is shown, decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Plain,
    Tty,
    Quiet,
    RawJson,
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Steps, below a line that counts them.
    Build,
    /// Layers and files that come, go or are written.
    Transfers,
}

/// What deciding needs to know of the surroundings.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) stderr_is_tty: bool,
    /// `$TERM`.
    pub(crate) term: Option<String>,
    /// `$BUILDKIT_PROGRESS`, which stands for a missing `--progress`.
    pub(crate) progress: Option<String>,
}

/// Decides how to show progress.
pub(crate) fn mode(asked: ProgressArg, quiet: bool, around: &Surroundings) -> Mode {
    let capable = around.stderr_is_tty && around.term.as_deref() != Some("dumb");
    let best = if capable { Mode::Tty } else { Mode::Plain };
    let asked = match (asked, around.progress.as_deref()) {
        _ if quiet => ProgressArg::Quiet,
        (ProgressArg::Auto, Some("plain")) => ProgressArg::Plain,
        (ProgressArg::Auto, Some("quiet")) => ProgressArg::Quiet,
        (ProgressArg::Auto, Some("rawjson")) => ProgressArg::Rawjson,
        (asked, _) => asked,
    };
    match asked {
        ProgressArg::Quiet => Mode::Quiet,
        ProgressArg::Plain => Mode::Plain,
        ProgressArg::Rawjson => Mode::RawJson,
        ProgressArg::Tty | ProgressArg::Auto => best,
    }
}

/// Size of the terminal in columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    columns: usize,
    rows: usize,
}

/// Turns events into bytes for standard error. Times count from the start of the command.
trait Renderer: Send {
    /// Takes an event.
    fn event(&mut self, now: Duration, event: &Event, out: &mut Vec<u8>);
    /// Draws what moves.
    fn tick(&mut self, _now: Duration, _size: Size, _out: &mut Vec<u8>) {}
    /// Draws the last state; nothing follows.
    fn finish(&mut self, now: Duration, size: Size, out: &mut Vec<u8>);
}

struct State {
    renderer: Box<dyn Renderer>,
    finished: bool,
}

struct Shared {
    start: Instant,
    /// Held while an event is rendered and written, so that lines keep their order.
    state: Mutex<State>,
    ended: Condvar,
    live: bool,
}

/// Shows the events of one command. Drawing stops when this is finished or dropped.
pub(crate) struct Progress {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("live", &self.shared.live).finish_non_exhaustive()
    }
}

impl Progress {
    /// Starts to show; a thread is started for a terminal only.
    pub(crate) fn start(mode: Mode, subject: Subject) -> Self {
        let color = term::color_wanted();
        let renderer: Box<dyn Renderer> = match mode {
            Mode::Plain => Box::new(plain::Plain::default()),
            Mode::Tty => {
                let title = (subject == Subject::Build).then_some("Building");
                Box::new(tty::Tty::new(color, title))
            }
            Mode::Quiet => Box::new(plain::Quiet),
            Mode::RawJson => {
                let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Box::new(rawjson::RawJson::new(epoch))
            }
        };
        let live = mode == Mode::Tty;
        let state = Mutex::new(State { renderer, finished: false });
        let shared = Arc::new(Shared { start: Instant::now(), state, ended: Condvar::new(), live });
        let thread = live.then(|| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.animate())
        });
        Self { shared, thread }
    }

    /// The sink to hand to the engine.
    pub(crate) fn sink(&self) -> Arc<dyn EventSink> {
        Arc::clone(&self.shared) as Arc<dyn EventSink>
    }

    /// Draws the last state and returns when it is on the screen.
    pub(crate) fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.end();
        if let Some(thread) = self.thread.take() {
            // A panic in the drawing thread has been printed; there is nothing to add.
            drop(thread.join());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn animate(&self) {
        let mut state = self.lock();
        while !state.finished {
            let (next, _) =
                self.ended.wait_timeout(state, FRAME).unwrap_or_else(PoisonError::into_inner);
            state = next;
            if !state.finished {
                let mut out = Vec::new();
                state.renderer.tick(self.start.elapsed(), size(), &mut out);
                term::progress(&out);
            }
        }
    }

    fn end(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.finished, true) {
            let mut out = Vec::new();
            state.renderer.finish(self.start.elapsed(), size(), &mut out);
            term::progress(&out);
        }
        self.ended.notify_all();
    }
}

impl EventSink for Shared {
    fn emit(&self, event: Event) {
        let mut state = self.lock();
        if state.finished {
            return;
        }
        let mut out = Vec::new();
        state.renderer.event(self.start.elapsed(), &event, &mut out);
        term::progress(&out);
    }
}

fn size() -> Size {
    let (columns, rows) = term::size().unwrap_or((80, 24));
    Size { columns, rows }
}

#[cfg(test)]
mod tests;
