//! Images as containers: servers that are asked over HTTP, and programs that say something.

use anyhow::{Result, ensure};

use super::http;
use crate::examples::{self, Example};
use crate::lathe::Lathe;

/// An image with a server in it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) example: Example,
    /// Where it listens in the container.
    port: u16,
    path: &'static str,
    /// What its answer contains.
    says: &'static str,
}

pub(super) const SERVERS: [Server; 6] = [
    Server {
        example: examples::NODE,
        port: 3000,
        path: "/",
        says: "Hello from a multi-stage Node image",
    },
    Server {
        example: examples::GO,
        port: 8080,
        path: "/",
        says: "Hello from a multi-stage Go image",
    },
    Server {
        example: examples::PYTHON,
        port: 5000,
        path: "/",
        says: "Hello from a multi-stage Python image",
    },
    Server { example: examples::REACT, port: 80, path: "/", says: "<script" },
    Server { example: examples::PRODUCTION, port: 3000, path: "/?name=Ada", says: "Ada" },
    Server {
        example: examples::FULLSTACK,
        port: 3000,
        path: "/api/message",
        says: "Hello from the backend",
    },
];

/// An image with a program that ends.
#[derive(Debug)]
pub(super) struct Program {
    example: Example,
    words: &'static [&'static str],
    /// What it prints, among other things.
    says: &'static str,
}

pub(super) const PROGRAMS: [Program; 2] = [
    Program { example: examples::EXTERNAL, words: &[], says: "certificate authorities" },
    Program { example: examples::MODULES, words: &["/app", "Ada"], says: "Ada" },
];

impl Server {
    pub(super) fn title(&self) -> String {
        format!("run {} and ask port {}", self.example.folder, self.port)
    }

    /// Starts the server, asks it, stops and removes it; returns its answer.
    pub(super) fn visit(&self, lathe: &Lathe) -> Result<(String, String)> {
        let name = format!("demo-{}-{}", self.example.folder, std::process::id());
        let address = http::free_address()?;
        let publish = format!("{address}:{}", self.port);
        lathe.command(&["run", "-d", "--name", &name, "-p", &publish, self.example.tag]).run()?;
        let answer = http::get(address, self.path).and_then(|answer| {
            ensure!(answer.contains(self.says), "the answer has no `{}`: {answer}", self.says);
            Ok(answer)
        });
        if let Err(error) = answer {
            let logs = lathe.command(&["logs", &name]).output()?;
            let logs = [logs.stdout, logs.stderr].concat();
            lathe.command(&["rm", "-f", &name]).run()?;
            let logs = String::from_utf8_lossy(&logs);
            return Err(error.context(format!("the container said:\n{logs}")));
        }
        lathe.command(&["stop", &name]).run()?;
        lathe.command(&["rm", &name]).run()?;
        let answer = answer?;
        Ok((shown(&answer), answer))
    }
}

impl Program {
    pub(super) fn title(&self) -> String {
        format!("run {} to its end", self.example.folder)
    }

    pub(super) fn run(&self, lathe: &Lathe) -> Result<(String, ())> {
        let command = lathe.command(&["run", "--rm", self.example.tag]).args(self.words);
        let said = command.read()?;
        ensure!(said.contains(self.says), "`{}` said `{said}`", command.line());
        Ok((shown(&said), ()))
    }
}

/// Returns the first line of a text, cut to what fits behind a step.
fn shown(text: &str) -> String {
    let line = text.lines().find(|line| line.len() > 4).unwrap_or(text).trim();
    if line.chars().count() > 60 {
        format!("{}…", line.chars().take(59).collect::<String>())
    } else {
        line.to_owned()
    }
}
