//! What a case expects, line by line.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::image::Kind;
use super::line::{self, Word};
use super::place::{mode, owner};

/// What is expected of a file; what is not said does not matter.
#[derive(Debug, Default, Clone)]
pub(super) struct Want {
    pub(super) absent: bool,
    pub(super) kind: Option<Kind>,
    pub(super) mode: Option<u32>,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) content: Option<Vec<u8>>,
    pub(super) part: Option<String>,
    pub(super) target: Option<String>,
    pub(super) same_as: Option<String>,
    pub(super) mtime: Option<u64>,
    pub(super) attributes: Vec<(String, String)>,
}

/// A line of the section `expect`.
#[derive(Debug, Clone)]
pub(super) enum Expectation {
    /// A file of the image.
    Entry(String, Want),
    /// A file in the folder of the case: what an exporter wrote.
    Out(String, Want),
    /// The entries are all in which the image differs from its base.
    Diff,
    /// The entries are all that is below a folder.
    Only(String),
    Config(String, Value),
    ConfigHas(String, Value),
    ConfigLacks(String, Value),
    Layers(usize),
    /// All items after those of the base.
    History(Vec<String>),
    HistoryHas(String),
    HistoryLacks(String),
    Says(String),
    SaysNot(String),
    Prints(String),
    PrintsNot(String),
    PrintsJson(String, Value),
    Warns(String),
    WarnsNot(String),
    WarnsNothing,
    Error(String),
    At(String),
    Exit(i32),
}

impl Expectation {
    /// Tells whether it is met by a build that fails.
    pub(super) fn is_of_failure(&self) -> bool {
        matches!(self, Self::Error(_) | Self::At(_))
            || matches!(self, Self::Exit(code) if *code != 0)
    }

    /// Tells whether an image is needed to check it.
    pub(super) fn is_of_image(&self) -> bool {
        matches!(
            self,
            Self::Entry(..)
                | Self::Diff
                | Self::Only(_)
                | Self::Config(..)
                | Self::ConfigHas(..)
                | Self::ConfigLacks(..)
                | Self::Layers(_)
                | Self::History(_)
                | Self::HistoryHas(_)
                | Self::HistoryLacks(_)
        )
    }
}

/// Reads the lines of a section `expect`.
pub(super) fn read(lines: &[&str]) -> Result<Vec<Expectation>> {
    lines.iter().map(|line| parse(line).with_context(|| format!("`{line}`"))).collect()
}

/// Reads the lines of a section `history`, which are all items.
pub(super) fn history(lines: &[&str]) -> Expectation {
    Expectation::History(lines.iter().map(|line| (*line).to_owned()).collect())
}

fn parse(line: &str) -> Result<Expectation> {
    if line.starts_with('/') || line.starts_with("\"/") {
        let words = line::words(line)?;
        let (path, rest) = words.split_first().context("a path")?;
        return Ok(Expectation::Entry(path.text()?, want(rest)?));
    }
    match line {
        "diff" => return Ok(Expectation::Diff),
        "no warnings" => return Ok(Expectation::WarnsNothing),
        "fails" => return Ok(Expectation::Exit(1)),
        _ => {}
    }
    let (key, value) = line.split_once(": ").context("what is this?")?;
    let value = value.trim();
    let text = || value.to_owned();
    Ok(match key {
        "out" => {
            let words = line::words(value)?;
            let (path, rest) = words.split_first().context("a path")?;
            Expectation::Out(path.text()?, want(rest)?)
        }
        "only" => Expectation::Only(text()),
        "layers" => Expectation::Layers(value.parse().context("how many?")?),
        "history" => Expectation::HistoryHas(text()),
        "no history" => Expectation::HistoryLacks(text()),
        "stderr" => Expectation::Says(text()),
        "no stderr" => Expectation::SaysNot(text()),
        "stdout" => Expectation::Prints(text()),
        "no stdout" => Expectation::PrintsNot(text()),
        "stdout json" => {
            let (pointer, value) = value.split_once(' ').context("a pointer and a value")?;
            Expectation::PrintsJson(pointer.to_owned(), json(value)?)
        }
        "warning" => Expectation::Warns(text()),
        "no warning" => Expectation::WarnsNot(text()),
        "error" => Expectation::Error(text()),
        "at" => Expectation::At(text()),
        "exit" => Expectation::Exit(value.parse().context("a code")?),
        field => config(field, value)?,
    })
}

fn config(field: &str, value: &str) -> Result<Expectation> {
    let (name, rest) = field.split_once(' ').unwrap_or((field, ""));
    ensure!(name.starts_with(|c: char| c.is_ascii_uppercase()), "no key `{field}`");
    let (name, value) = (name.to_owned(), json(value)?);
    match rest {
        "" => Ok(Expectation::Config(name, value)),
        "has" => Ok(Expectation::ConfigHas(name, value)),
        "lacks" => Ok(Expectation::ConfigLacks(name, value)),
        _ => bail!("`has`, `lacks` or nothing after {name}"),
    }
}

fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| format!("{text} is no JSON"))
}

fn want(words: &[Word]) -> Result<Want> {
    let mut want = Want::default();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word.quoted {
            want.kind = Some(Kind::File);
            want.content = Some(word.bytes.clone());
            continue;
        }
        let plain = word.plain();
        let mut next = || rest.next().context("one more word")?.text();
        match plain {
            "absent" => want.absent = true,
            "dir" => want.kind = Some(Kind::Folder),
            "file" => want.kind = Some(Kind::File),
            "link" => want.kind = Some(Kind::Symlink),
            "fifo" => want.kind = Some(Kind::Pipe),
            "device" => want.kind = Some(Kind::Device),
            "->" => {
                want.kind = Some(Kind::Symlink);
                want.target = Some(next()?);
            }
            "same-as" => want.same_as = Some(next()?),
            "has" => want.part = Some(next()?),
            _ => attribute(&mut want, plain)?,
        }
    }
    Ok(want)
}

fn attribute(want: &mut Want, word: &str) -> Result<()> {
    if let Some(seconds) = word.strip_prefix("mtime=") {
        want.mtime = Some(seconds.parse().context("mtime")?);
    } else if let Some(pair) = word.strip_prefix("xattr:") {
        let (name, value) = pair.split_once('=').context("xattr:NAME=VALUE")?;
        want.attributes.push((name.to_owned(), value.to_owned()));
    } else if let Some(found) = owner(word) {
        want.owner = Some(found);
    } else if let Some(found) = mode(word) {
        want.mode = Some(found);
    } else {
        bail!("what is `{word}`?");
    }
    Ok(())
}
