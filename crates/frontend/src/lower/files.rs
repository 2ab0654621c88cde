//! Instructions that change files: `COPY`, `ADD`, `WORKDIR`.

use lathe_dockerfile::{
    Instruction, Word,
    ast::{Add, Copy, Paths, Workdir},
    created_by, expand_heredoc,
};
use lathe_graph::{
    CopyAction, FileAction, FileOp, Input, InputIndex, MakeDirAction, MakeFileAction, Op, Selector,
    Unpack, VertexId,
};

use super::{StageCx, Stop, stop, stop_with_help};
use crate::path::join;

/// What `COPY` and `ADD` have in common, expanded.
struct Transfer {
    keyword: &'static str,
    from: Option<VertexId>,
    owner: Option<String>,
    mode: Option<String>,
    exclude: Vec<String>,
    unpack: Unpack,
    parents: bool,
}

impl StageCx<'_, '_> {
    pub(super) fn copy(&mut self, instruction: &Instruction, copy: &Copy) -> Result<(), Stop> {
        for source in &copy.paths.sources {
            if is_remote(&source.raw) {
                let help = "use ADD to download, or RUN with curl";
                return Err(stop_with_help(source.span, "COPY does not download", help));
            }
        }
        let from = match &copy.from {
            Some(word) => {
                let missing =
                    || stop(word.span, format!("`{}` has no files to copy from", word.raw));
                Some(self.from(word).ok_or_else(missing)?)
            }
            None => None,
        };
        let transfer = Transfer {
            keyword: "COPY",
            from,
            owner: self.expand_optional(copy.chown.as_ref())?,
            mode: self.expand_optional(copy.chmod.as_ref())?,
            exclude: self.expand_all(&copy.exclude)?,
            unpack: Unpack::Never,
            parents: copy.parents,
        };
        self.transfer(instruction, &copy.paths, transfer)
    }

    pub(super) fn add(&mut self, instruction: &Instruction, add: &Add) -> Result<(), Stop> {
        for source in &add.paths.sources {
            let text = self.expand(source)?;
            if is_remote(&text) {
                let message = format!("this version does not download: `{text}`");
                let help = "fetch it in a RUN step, or put it into the build context";
                return Err(stop_with_help(source.span, message, help));
            }
        }
        let transfer = Transfer {
            keyword: "ADD",
            from: None,
            owner: self.expand_optional(add.chown.as_ref())?,
            mode: self.expand_optional(add.chmod.as_ref())?,
            exclude: self.expand_all(&add.exclude)?,
            unpack: if add.unpack == Some(false) { Unpack::Never } else { Unpack::ByContent },
            parents: false,
        };
        self.transfer(instruction, &add.paths, transfer)
    }

    fn transfer(
        &mut self,
        instruction: &Instruction,
        paths: &Paths,
        transfer: Transfer,
    ) -> Result<(), Stop> {
        let sources = self.expand_all(&paths.sources)?;
        let typed = self.expand(&paths.destination)?;
        let destination = self.destination(&paths.destination, &typed)?;
        check_destination(paths, &sources, &destination)?;
        let mut shown = sources.clone();
        shown.extend(paths.heredocs.iter().map(|heredoc| heredoc.mark.clone()));
        let (owner, mode) = (transfer.owner.as_deref(), transfer.mode.as_deref());
        let created_by = created_by::files(&created_by::Files {
            keyword: transfer.keyword,
            parents: false,
            chown: owner,
            chmod: mode,
            sources: &shown,
            heredocs: &[],
            destination: &typed,
        });

        let mut inputs = Vec::new();
        let base = self.push_base(&mut inputs);
        let mut actions = Vec::new();
        if !sources.is_empty() {
            let from = transfer.from.unwrap_or_else(|| self.cx.local_context());
            let index = push(&mut inputs, Input { vertex: from, by_content: true });
            actions.push(FileAction::Copy(CopyAction {
                from: index,
                select: Selector {
                    paths: sources.iter().map(|source| clean_source(source)).collect(),
                    exclude: transfer.exclude,
                },
                destination: destination.clone(),
                owner: transfer.owner.clone(),
                mode: transfer.mode.clone(),
                unpack: transfer.unpack,
                parents: transfer.parents,
            }));
        }
        for heredoc in &paths.heredocs {
            let content = if heredoc.expand {
                let expanded = expand_heredoc(&heredoc.body, &self.state);
                expanded.map_err(|error| stop(heredoc.span, error.to_string()))?.text
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
        self.layer(instruction, Op::File(FileOp { base, actions }), inputs, created_by);
        Ok(())
    }

    pub(super) fn workdir(
        &mut self,
        instruction: &Instruction,
        workdir: &Workdir,
    ) -> Result<(), Stop> {
        let typed = self.expand(&workdir.path)?;
        if typed.is_empty() {
            let message = format!("`{}` is empty after expansion", workdir.path.raw);
            return Err(stop(workdir.path.span, message));
        }
        let path = join(self.state.working_dir(), &typed);
        self.state.config.config.working_dir.clone_from(&path);
        let created_by = format!("WORKDIR {path}");
        if path == "/" {
            self.steps.next("");
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
        let vertex = self.state.vertex?;
        Some(push(inputs, Input { vertex, by_content: false }))
    }

    fn expand_optional(&mut self, word: Option<&Word>) -> Result<Option<String>, Stop> {
        word.map(|word| self.expand(word)).transpose()
    }

    fn destination(&self, word: &Word, typed: &str) -> Result<String, Stop> {
        if typed.is_empty() {
            return Err(stop(word.span, format!("`{}` is empty after expansion", word.raw)));
        }
        let mut path = join(self.state.working_dir(), typed);
        let is_directory = typed.ends_with('/') || typed == "." || typed.ends_with("/.");
        if is_directory && !path.ends_with('/') {
            path.push('/');
        }
        Ok(path)
    }
}

fn check_destination(paths: &Paths, sources: &[String], destination: &str) -> Result<(), Stop> {
    if sources.len() + paths.heredocs.len() > 1 && !destination.ends_with('/') {
        let typed = &paths.destination.raw;
        let message = format!("several sources need a directory as destination, `{typed}` is none");
        let help = format!("end it with a slash: `{typed}/`");
        return Err(stop_with_help(paths.destination.span, message, help));
    }
    Ok(())
}

fn push(inputs: &mut Vec<Input>, input: Input) -> InputIndex {
    let index = u32::try_from(inputs.len()).expect("an instruction has few inputs");
    inputs.push(input);
    InputIndex(index)
}

fn is_remote(source: &str) -> bool {
    let scheme = ["http://", "https://", "git://", "ssh://", "git@"];
    scheme.iter().any(|prefix| source.starts_with(prefix))
}

/// Returns a source relative to the root of its context; `.` for all of it.
fn clean_source(source: &str) -> String {
    let path = join("/", source);
    // The pivot of `--parents` is not a step on the way.
    if let Some((before, after)) = source.split_once("/./") {
        let (before, after) = (join("/", before), join("/", after));
        return format!("{}/.{after}", &before[1..]);
    }
    match &path[1..] {
        "" => ".".to_owned(),
        path => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_cannot_leave_their_context() {
        let check = |source: &str, expected: &str| assert_eq!(clean_source(source), expected);
        check(".", ".");
        check("/", ".");
        check("../../etc/passwd", "etc/passwd");
        check("/app/dist/", "app/dist");
        check("package*.json", "package*.json");
    }
}
