//! Reads cases: text in, one [`Case`] for each `===` line.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::{Context as _, Result, bail, ensure};

use super::archive;
use super::expectation::{self, Expectation};
use super::line::{self, unescaped};
use super::place::{Placed, ensure_inside};
use super::rows::Rows;
use super::world::World;

/// The text of a case, before it is understood.
#[derive(Debug)]
pub(super) struct Source<'a> {
    file: &'a str,
    line: usize,
    title: &'a str,
    body: Vec<&'a str>,
}

/// What is written to standard input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Input {
    Nothing,
    Text(Vec<u8>),
    /// The context's folder as an archive of this kind.
    Context(String),
}

/// What the case says of the other builder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Agreement {
    Same,
    /// It differs in these lines, for a reason.
    Differs(Vec<String>),
    /// It cannot build this.
    Cannot,
}

/// A case.
#[derive(Debug)]
pub(super) struct Case {
    /// Its place among all cases.
    pub(super) number: usize,
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) title: String,
    pub(super) rows: Vec<String>,
    pub(super) args: Vec<String>,
    /// Builds before this one, with the same context.
    pub(super) before: Vec<Vec<String>>,
    /// Commands of lathe after the build.
    pub(super) after: Vec<Vec<String>>,
    /// In place of `build …`.
    pub(super) command: Option<Vec<String>>,
    pub(super) env: Vec<(String, String)>,
    /// The last argument.
    pub(super) context: String,
    pub(super) stdin: Input,
    pub(super) needs: Vec<String>,
    pub(super) agreement: Agreement,
    pub(super) files: Vec<Placed>,
    pub(super) expect: Vec<Expectation>,
    /// Changes when the input of the case does.
    pub(super) inputs: String,
}

/// Splits a file into cases. What is before the first one is for the reader.
pub(super) fn split<'a>(file: &'a str, text: &'a str) -> Result<Vec<Source<'a>>> {
    let mut cases: Vec<Source<'a>> = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        if let Some(title) = line.strip_prefix("=== ") {
            cases.push(Source { file, line: index + 1, title: title.trim(), body: Vec::new() });
        } else if let Some(case) = cases.last_mut() {
            case.body.push(line);
        }
    }
    ensure!(!cases.is_empty(), "{file} has no cases");
    Ok(cases)
}

/// Opinions are found by title.
pub(super) fn refuse_twins(cases: &[Case]) -> Result<()> {
    let mut keys = BTreeSet::new();
    for case in cases {
        ensure!(keys.insert(case.key()), "{}:{}: this title is there twice", case.file, case.line);
    }
    Ok(())
}

impl Case {
    /// Reads a case; `number` gives it a folder of its own in the world.
    pub(super) fn parse(
        source: &Source<'_>,
        world: &World,
        number: usize,
        rows: &Rows,
    ) -> Result<Self> {
        let place = || format!("{}:{}: {}", source.file, source.line, source.title);
        let mut case = Self {
            number,
            file: source.file.to_owned(),
            line: source.line,
            title: source.title.to_owned(),
            rows: Vec::new(),
            args: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            command: None,
            env: Vec::new(),
            context: world.folder(number).join("context").display().to_string(),
            stdin: Input::Nothing,
            needs: Vec::new(),
            agreement: Agreement::Same,
            files: Vec::new(),
            expect: Vec::new(),
            inputs: inputs(&source.body),
        };
        let fill = |text: &str| world.fill(text, number);
        let begin =
            source.body.iter().position(|l| l.starts_with("--- ")).unwrap_or(source.body.len());
        let (header, sections) = source.body.split_at(begin);
        for line in header.iter().filter(|l| !l.trim().is_empty() && !l.starts_with('#')) {
            case.header(&fill(line)).with_context(|| format!("`{line}`")).with_context(place)?;
        }
        let mut rest = sections;
        while let Some((head, after)) = rest.split_first() {
            let end = after.iter().position(|l| l.starts_with("--- ")).unwrap_or(after.len());
            let body: Vec<String> = after[..end].iter().map(|line| fill(line)).collect();
            case.section(&head[4..], &body)
                .with_context(|| format!("`{head}`"))
                .with_context(place)?;
            rest = &after[end..];
        }
        ensure!(!case.rows.is_empty(), "{}: no rows", place());
        for row in &case.rows {
            ensure!(rows.has(row), "{}: {row} is not in rows.txt", place());
        }
        ensure!(!case.expect.is_empty(), "{}: nothing is expected", place());
        Ok(case)
    }

    /// Returns what names it: file and title.
    pub(super) fn key(&self) -> String {
        format!("{}: {}", self.file.trim_end_matches(".case"), self.title)
    }

    fn header(&mut self, line: &str) -> Result<()> {
        let (key, value) = line.split_once(':').context("`key: value`")?;
        let value = value.trim();
        match key {
            "rows" => self.rows = value.split_whitespace().map(str::to_owned).collect(),
            "args" => self.args.extend(arguments(value)?),
            "before" => self.before.push(arguments(value)?),
            "after" => self.after.push(arguments(value)?),
            "command" => self.command = Some(arguments(value)?),
            "env" => {
                let (name, value) = value.split_once('=').context("NAME=VALUE")?;
                self.env.push((name.to_owned(), value.to_owned()));
            }
            "context" => value.clone_into(&mut self.context),
            "stdin" => self.stdin = Input::Context(value.to_owned()),
            "needs" => self.needs = value.split_whitespace().map(str::to_owned).collect(),
            "buildah" => self.agreement = agreement(value)?,
            _ => bail!("no key `{key}`"),
        }
        Ok(())
    }

    fn section(&mut self, head: &str, body: &[String]) -> Result<()> {
        let head = line::words(head)?;
        let mut head: Vec<&str> = head.iter().map(line::Word::plain).collect();
        let escaped = head.last() == Some(&"escaped");
        head.truncate(head.len() - usize::from(escaped));
        match head.as_slice() {
            ["Dockerfile"] => self.add(Placed::file("context/Dockerfile", text(body, escaped)?))?,
            ["file", path, rest @ ..] => {
                let description = format!("context/{path} {}", rest.join(" "));
                let mut file = Placed::parse(&line::words(&description)?)?;
                file.what = super::place::What::Bytes(text(body, escaped)?);
                self.add(file)?;
            }
            ["context"] => self.entries("context", body)?,
            ["folder", name] => self.entries(name, body)?,
            ["archive", path, kind @ ..] => {
                let kind = if let ["as", kind] = kind { kind } else { path };
                let bytes = archive::pack(kind, &placed(body)?)?;
                self.add(Placed::file(&format!("context/{path}"), bytes))?;
            }
            ["stdin"] => self.stdin = Input::Text(text(body, escaped)?),
            ["expect"] => self.expect.extend(expectation::read(&meant(body))?),
            ["history"] => self.expect.push(expectation::history(&meant(body))),
            _ => bail!("no such section"),
        }
        Ok(())
    }

    fn entries(&mut self, folder: &str, body: &[String]) -> Result<()> {
        for mut file in placed(body)? {
            file.path = format!("{folder}/{}", file.path);
            self.add(file)?;
        }
        Ok(())
    }

    fn add(&mut self, mut file: Placed) -> Result<()> {
        ensure_inside(&file.path)?;
        // `file ../other/x` is a file of the folder beside the context.
        if let Some(beside) = file.path.strip_prefix("context/../") {
            file.path = String::from(beside);
        }
        self.files.push(file);
        Ok(())
    }
}

/// Returns a number for all that is no expectation.
fn inputs(body: &[&str]) -> String {
    let mut hasher = DefaultHasher::new();
    let mut counts = true;
    for line in body {
        let head = line.strip_prefix("--- ");
        counts = head.map_or(counts, |head| head != "expect" && head != "history");
        let is_note = line.starts_with("buildah:") || line.starts_with("rows:");
        if counts && !is_note && !line.trim().is_empty() {
            line.hash(&mut hasher);
        }
    }
    format!("{:016x}", hasher.finish())
}

fn arguments(value: &str) -> Result<Vec<String>> {
    line::words(value)?.iter().map(line::Word::text).collect()
}

/// Reads `cannot: REASON` or `differs KEY…: REASON`; a reason there must be.
fn agreement(value: &str) -> Result<Agreement> {
    let (head, reason) = value.split_once(": ").context("a reason after `: `")?;
    ensure!(!reason.trim().is_empty(), "a reason");
    let mut words = head.split_whitespace();
    match words.next() {
        Some("cannot") => Ok(Agreement::Cannot),
        Some("differs") => {
            let keys: Vec<String> = words.map(str::to_owned).collect();
            ensure!(!keys.is_empty(), "in what does it differ?");
            Ok(Agreement::Differs(keys))
        }
        _ => bail!("`cannot: …` or `differs KEY…: …`"),
    }
}

/// Returns a section as the text of a file: blank lines at its end belong to the case and not to the file.
fn text(body: &[String], escaped: bool) -> Result<Vec<u8>> {
    let joined = body.join("\n");
    let text = joined.trim_end_matches('\n');
    if escaped {
        // An escaped text says itself how it ends.
        return unescaped(text);
    }
    Ok(if text.is_empty() { Vec::new() } else { format!("{text}\n").into_bytes() })
}

/// Returns the lines that are neither blank nor comments.
fn meant(body: &[String]) -> Vec<&str> {
    let lines = body.iter().map(|line| line.trim());
    lines.filter(|line| !line.is_empty() && !line.starts_with("# ")).collect()
}

fn placed(body: &[String]) -> Result<Vec<Placed>> {
    meant(body)
        .iter()
        .map(|line| Placed::parse(&line::words(line)?).with_context(|| format!("`{line}`")))
        .collect()
}
