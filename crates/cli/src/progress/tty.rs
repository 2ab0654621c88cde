//! Progress on a terminal: a block of lines that is kept up to date in place.
//!
//! `frame.rs` says what is to be seen, `screen.rs` how the terminal gets there. The size is
//! asked for at every frame, so a change of it needs no signal.

use std::time::Duration;

use lathe_event::Event;

use super::{
    Renderer, Size,
    clean::clean,
    frame::{Moment, frame},
    model::Model,
    screen::Screen,
};

/// The renderer.
#[derive(Debug)]
pub(super) struct Tty {
    model: Model,
    /// What the header says is done; without one there is no header.
    title: Option<&'static str>,
    screen: Screen,
}

impl Tty {
    pub(super) fn new(color: bool, title: Option<&'static str>) -> Self {
        Self { model: Model::default(), title, screen: Screen::new(color) }
    }

    fn draw(&mut self, now: Duration, size: Size, moment: Moment, out: &mut Vec<u8>) {
        let rows = frame(&self.model, self.title, now, size, moment);
        let messages = self.model.messages.drain(..);
        let above: Vec<String> = messages.map(|text| clean(text.as_bytes())).collect();
        if !(rows.is_empty() && above.is_empty() && self.screen.is_empty()) {
            self.screen.show(&above, rows, size, out);
        }
    }
}

impl Renderer for Tty {
    fn event(&mut self, now: Duration, event: &Event, _out: &mut Vec<u8>) {
        self.model.apply(now, event);
    }

    fn tick(&mut self, now: Duration, size: Size, out: &mut Vec<u8>) {
        self.draw(now, size, Moment::Now, out);
    }

    fn finish(&mut self, now: Duration, size: Size, out: &mut Vec<u8>) {
        self.draw(now, size, Moment::End, out);
    }
}

#[cfg(test)]
mod tests;
