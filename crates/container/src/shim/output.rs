//! Carries a container's output to its log and to whoever is attached.

use std::io;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::prepare::Streams;
use super::serve::Shared;
use crate::Error;
use crate::Result;
use crate::log::LogStream;
use crate::protocol::STREAM_LIMIT;

/// The threads that read the output.
pub(super) struct Pumps(Vec<JoinHandle<()>>);

impl Pumps {
    /// Waits until all output has been read.
    pub(super) fn join(self) {
        for thread in self.0 {
            // A panic in a pump must not keep the end of the container from being recorded.
            let _panicked = thread.join();
        }
    }
}

pub(super) fn start(shared: &Arc<Shared>, streams: Streams) -> Result<Pumps> {
    let sources = match streams {
        Streams::Terminal(console) => vec![(console, LogStream::Stdout)],
        Streams::Pipes { stdout, stderr, .. } => {
            vec![(stdout, LogStream::Stdout), (stderr, LogStream::Stderr)]
        }
    };
    let threads = sources.into_iter().map(|(source, stream)| {
        let shared = Arc::clone(shared);
        std::thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || pump(&shared, source, stream))
            .map_err(Error::Channel)
    });
    threads.collect::<Result<_>>().map(Pumps)
}

fn pump(shared: &Shared, source: OwnedFd, stream: LogStream) {
    let mut source = std::fs::File::from(source);
    let mut buffer = vec![0; STREAM_LIMIT];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => shared.output(stream, &buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A terminal whose last process has gone gives EIO.
            Err(_) => break,
        }
    }
    shared.output_ended(stream);
}
