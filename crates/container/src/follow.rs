//! `logs`: reading a container's log, and waiting for more of it.

use std::os::fd::AsFd as _;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::fs::inotify;

use crate::Error;
use crate::Result;
use crate::containers::Containers;
use crate::log::LogLine;
use crate::log::LogReader;
use crate::record::ContainerId;

/// Whether reading a log waits for more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Follow {
    #[default]
    No,
    /// Until the container ends.
    Yes,
}

impl Containers {
    /// Gives the lines of a container's log to `take`, in order, until it returns false. What a
    /// caller filters (`--tail`, `--since`) is its own matter.
    pub fn logs(
        &self,
        id: &ContainerId,
        follow: Follow,
        take: &mut dyn FnMut(LogLine) -> bool,
    ) -> Result<()> {
        // Before the first look, so that the end cannot be missed between two looks.
        let end = match follow {
            Follow::No => None,
            Follow::Yes => self.begin_wait(id)?,
        };
        let path = self.log_path(id);
        let Some(mut reader) = LogReader::open(&path)? else { return Ok(()) };
        let fail = |errno: rustix::io::Errno| Error::io("watch", &path)(errno.into());
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
            .map_err(fail)?;
        inotify::add_watch(&watch, &path, inotify::WatchFlags::MODIFY).map_err(fail)?;
        loop {
            while let Some(line) = reader.next_line()? {
                if !take(line) {
                    return Ok(());
                }
            }
            let Some(end) = &end else { return Ok(()) };
            let mut fds = [PollFd::new(&watch, PollFlags::IN), PollFd::new(end, PollFlags::IN)];
            rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None)).map_err(fail)?;
            if !fds[1].revents().is_empty() {
                break;
            }
            // The events say nothing but that there is more: they are only taken away.
            let mut buffer = [0; 4096];
            let _none = rustix::io::read(watch.as_fd(), &mut buffer);
        }
        // The shim writes the log before it tells the end.
        while let Some(line) = reader.next_line()? {
            if !take(line) {
                break;
            }
        }
        Ok(())
    }
}
