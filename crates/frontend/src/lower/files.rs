//! Instructions that change files: `COPY`, `ADD`, `WORKDIR`.
//!
//! `COPY` and `ADD` become one [`FileOp`] with an action for each kind of source in turn: paths,
//! downloads, repositories, heredocs. With `--link` that is made on nothing and put on the stage
//! by a [`MergeOp`], so that it need not be made again when the stage changes.

mod ignored;
mod paths;

use lathe_dockerfile::{
    Diagnostic, Instruction, Rule, Span, Word,
    ast::{Add, Copy, Paths, Workdir},
    created_by, expand_heredoc,
};
use lathe_graph::{
    CopyAction, FileAction, FileOp, Input, InputIndex, MakeDirAction, MakeFileAction, MergeOp, Op,
    Selector, SourceOp, Unpack, VertexId, VertexMeta,
};

use super::step::{StageCx, Stop, stop_with_help};
use crate::{
    fetch::{Asked, FetchError, fetch},
    parse_remote,
    path::join,
};

/// What `COPY` and `ADD` have in common, expanded.
struct Transfer<'a> {
    keyword: &'static str,
    /// Where it stands.
    place: Span,
    /// What paths are of; the build context where `None`.
    from: Option<VertexId>,
    owner: Option<String>,
    mode: Option<String>,
    exclude: Vec<String>,
    parents: bool,
    link: bool,
    /// `ADD`, with the value of its checksum.
    add: Option<(&'a Add, Option<String>)>,
}

/// What is copied from where.
enum Source {
    Path(String),
    Remote(SourceOp),
}

impl StageCx<'_, '_> {
    pub(super) fn copy(&mut self, instruction: &Instruction, copy: &Copy) -> Result<(), Stop> {
        let from = copy.from.as_ref().filter(|word| !word.raw.is_empty());
        let transfer = Transfer {
            keyword: "COPY",
            place: self.place(instruction),
            from: from.map(|word| self.from(word)),
            owner: self.expand_optional(copy.chown.as_ref())?,
            mode: self.mode(copy.chmod.as_ref())?,
            exclude: self.expand_all(&copy.exclude)?,
            parents: copy.parents,
            link: copy.link,
            add: None,
        };
        self.transfer(instruction, &copy.paths, &transfer)
    }

    pub(super) fn add(&mut self, instruction: &Instruction, add: &Add) -> Result<(), Stop> {
        let checksum = self.expand_optional(add.checksum.as_ref())?;
        let transfer = Transfer {
            keyword: "ADD",
            place: self.place(instruction),
            from: None,
            owner: self.expand_optional(add.chown.as_ref())?,
            mode: self.mode(add.chmod.as_ref())?,
            exclude: self.expand_all(&add.exclude)?,
            parents: false,
            link: add.link,
            add: Some((add, checksum)),
        };
        self.transfer(instruction, &add.paths, &transfer)
    }

    fn transfer(
        &mut self,
        instruction: &Instruction,
        paths: &Paths,
        transfer: &Transfer<'_>,
    ) -> Result<(), Stop> {
        let sources = self.expand_all(&paths.sources)?;
        let typed = self.expand(&paths.destination)?;
        let names: Vec<String> =
            paths.heredocs.iter().map(|heredoc| heredoc.name.clone()).collect();
        let created_by = created_by::files(&created_by::Files {
            keyword: transfer.keyword,
            parents: transfer.parents,
            chown: transfer.owner.as_deref(),
            chmod: transfer.mode.as_deref(),
            sources: &sources,
            heredocs: &names,
            destination: &typed,
        });
        let mut found = Vec::new();
        for (text, word) in sources.iter().zip(&paths.sources) {
            found.push(self.source(text, word, paths, transfer)?);
        }
        let several = paths.sources.len() + paths.heredocs.len() > 1;
        let destination = paths::destination(self.state.working_dir(), &typed, several);
        // Names are looked up in the files of the stage, so that the layer depends on them.
        let linked = transfer.link
            && self.state.vertex.is_some()
            && transfer.owner.as_deref().is_none_or(paths::is_numeric_owner);
        let mut inputs = Vec::new();
        let base = if linked { None } else { self.push_base(&mut inputs) };
        let mut actions = Vec::new();
        for source in found {
            self.push_action(&mut actions, &mut inputs, source, &destination, transfer);
        }
        for heredoc in &paths.heredocs {
            let content = if heredoc.expand {
                let word = Word { raw: heredoc.body.clone(), span: heredoc.body_span };
                let expanded = expand_heredoc(&heredoc.body, &self.state);
                self.expanded(&word, expanded)?
            } else {
                heredoc.body.clone()
            };
            actions.push(FileAction::MakeFile(MakeFileAction {
                path: destination.clone(),
                name: heredoc.name.clone(),
                content,
                owner: transfer.owner.clone(),
                mode: transfer.mode.clone(),
            }));
        }
        let op = Op::File(FileOp { base, actions });
        if linked {
            self.link(instruction, op, inputs, created_by);
        } else {
            self.layer(instruction, op, inputs, created_by);
        }
        Ok(())
    }

    /// Adds a layer that is made on nothing, and puts it on the stage.
    fn link(&mut self, instruction: &Instruction, op: Op, inputs: Vec<Input>, created_by: String) {
        let name = self.next_step(instruction);
        let layer = self.vertex(instruction, name.clone(), op, inputs);
        let mut inputs = Vec::new();
        let base = self.push_base(&mut inputs);
        let layer = push(&mut inputs, layer, false);
        let op = Op::Merge(MergeOp { base, layer });
        let name = name.replacen("] ", "] LINK ", 1).into();
        let vertex = self.vertex(instruction, name, op, inputs);
        self.commit(vertex, created_by);
    }

    /// Tells a path from a URL.
    fn source(
        &mut self,
        text: &str,
        word: &Word,
        paths: &Paths,
        transfer: &Transfer<'_>,
    ) -> Result<Source, Stop> {
        let Some((add, checksum)) = &transfer.add else {
            if parse_remote(text).is_some() {
                let help = "use ADD to download, or RUN with curl or git";
                return Err(stop_with_help(word.span, "COPY does not download", help));
            }
            return Ok(self.path(text, word, transfer));
        };
        let at = add.checksum.as_ref().map_or(word.span, |checksum| checksum.span);
        if checksum.is_some() && paths.sources.len() + paths.heredocs.len() > 1 {
            let help = "write an ADD of its own for each of them";
            return Err(stop_with_help(at, "`--checksum` is for a single source", help));
        }
        let asked = Asked { checksum: checksum.as_deref(), keep_git_dir: add.keep_git_dir };
        match fetch(text, &asked) {
            Some(Ok(source)) => Ok(Source::Remote(source)),
            Some(Err(error)) => Err(Box::new(FetchError::at(error, add, word.span))),
            None if checksum.is_some() => {
                let message = "`--checksum` is for a file or repository that is downloaded";
                Err(stop_with_help(at, message, "leave it out: this source is a path"))
            }
            None => Ok(self.path(text, word, transfer)),
        }
    }

    fn path(&mut self, text: &str, word: &Word, transfer: &Transfer<'_>) -> Source {
        let ignore = self.cx.options.ignore.clone().filter(|_| transfer.from.is_none());
        if ignore.is_some_and(|ignore| ignored::is_ignored(&ignore, text)) {
            let message = format!("the ignore file excludes `{text}`");
            let path = paths::clean_source(text, false);
            let help = match path.as_str() {
                "." => "narrow its patterns down".to_owned(),
                path => format!("add `!{path}` to it, or do not copy it"),
            };
            let warning = Diagnostic::warning(Rule::CopyIgnoredFile, word.span, message);
            self.warn(warning.help(help));
        }
        Source::Path(paths::clean_source(text, transfer.parents))
    }

    fn push_action(
        &mut self,
        actions: &mut Vec<FileAction>,
        inputs: &mut Vec<Input>,
        source: Source,
        destination: &str,
        transfer: &Transfer<'_>,
    ) {
        let unpack = transfer.add.as_ref().and_then(|(add, _)| add.unpack);
        let copy = |from, path: String, unpack| CopyAction {
            from,
            select: Selector { paths: vec![path], exclude: transfer.exclude.clone() },
            destination: destination.to_owned(),
            owner: transfer.owner.clone(),
            mode: transfer.mode.clone(),
            unpack,
            parents: false,
        };
        let action = match source {
            Source::Path(path) => {
                let vertex = transfer.from.unwrap_or_else(|| self.cx.local_context());
                let from = position(inputs, vertex);
                // Paths in a row are one copy.
                if let Some(FileAction::Copy(last)) = actions.last_mut()
                    && Some(last.from) == from
                {
                    last.select.paths.push(path);
                    return;
                }
                let from = from.unwrap_or_else(|| push(inputs, vertex, true));
                let unpacks = transfer.add.is_some() && unpack != Some(false);
                let unpack = if unpacks { Unpack::ByContent } else { Unpack::Never };
                CopyAction { parents: transfer.parents, ..copy(from, path, unpack) }
            }
            Source::Remote(source) => {
                let (path, shown) = match &source {
                    SourceOp::Http(http) => (paths::literal(&http.name), &http.url),
                    SourceOp::Git(git) => (".".to_owned(), &git.url),
                    SourceOp::Image { name, .. } | SourceOp::Local { name } => {
                        (".".to_owned(), name)
                    }
                };
                let is_file = matches!(source, SourceOp::Http(_));
                let unpacks = is_file && unpack == Some(true);
                let unpack = if unpacks { Unpack::ByContent } else { Unpack::Never };
                let name = format!("[internal] load {}", crate::redact(shown)).into();
                let meta = VertexMeta {
                    name,
                    span: Some((transfer.place.start, transfer.place.end)),
                    ..VertexMeta::default()
                };
                let vertex = self.cx.graph.add(Op::Source(source), Vec::new(), meta);
                copy(push(inputs, vertex, true), path, unpack)
            }
        };
        actions.push(FileAction::Copy(action));
    }

    pub(super) fn workdir(
        &mut self,
        instruction: &Instruction,
        workdir: &Workdir,
    ) -> Result<(), Stop> {
        let typed = self.expand(&workdir.path)?;
        // What the file says as it stands is checked without expanding.
        if !self.state.has_workdir && !typed.starts_with('/') && workdir.path.raw.starts_with('$') {
            let message = format!("`{typed}` is relative to whatever the base image has");
            let rule = Rule::WorkdirRelativePath;
            self.warn(Diagnostic::warning(rule, workdir.path.span, message));
        }
        self.state.has_workdir = true;
        let path = join(self.state.working_dir(), &typed);
        self.state.config.config.working_dir.clone_from(&path);
        let created_by = created_by::workdir(&path);
        if path == "/" {
            self.next_step(instruction);
            self.note(created_by);
            return Ok(());
        }
        let user = &self.state.config.config.user;
        let owner = (!user.is_empty()).then(|| user.clone());
        let mut inputs = Vec::new();
        let base = self.push_base(&mut inputs);
        let actions = vec![FileAction::MakeDir(MakeDirAction { path, mode: 0o755, owner })];
        self.layer(instruction, Op::File(FileOp { base, actions }), inputs, created_by);
        Ok(())
    }

    /// Puts the stage so far in front of the inputs.
    pub(super) fn push_base(&self, inputs: &mut Vec<Input>) -> Option<InputIndex> {
        Some(push(inputs, self.state.vertex?, false))
    }

    /// Returns the value of `--chmod`.
    fn mode(&mut self, word: Option<&Word>) -> Result<Option<String>, Stop> {
        let text = self.expand_optional(word)?;
        match (&text, word) {
            (Some(text), Some(word)) if !paths::is_mode(text) => {
                let message = format!("invalid mode `{text}`");
                let help = "a mode is octal, up to 07777, or symbolic as in `u=rwX,go=rX`";
                Err(stop_with_help(word.span, message, help))
            }
            _ => Ok(text),
        }
    }
}

/// Returns where an output is among the inputs that count by content.
fn position(inputs: &[Input], vertex: VertexId) -> Option<InputIndex> {
    let index = inputs.iter().position(|input| input.vertex == vertex && input.by_content)?;
    u32::try_from(index).ok().map(InputIndex)
}

/// Adds an input.
pub(super) fn push(inputs: &mut Vec<Input>, vertex: VertexId, by_content: bool) -> InputIndex {
    let index = u32::try_from(inputs.len()).expect("an instruction has few inputs");
    inputs.push(Input { vertex, by_content });
    InputIndex(index)
}
