//! The tree that `parse` makes of a Dockerfile.
//!
//! The tree is a plain value: no interner, no file names, no borrowed text.
//! Words stay unexpanded, because what a variable holds depends on build
//! arguments and on the base image, which only the front end knows. Every
//! node has a byte span, so that an error found much later (a failed `RUN`)
//! can still show its source line.

use std::time::Duration;

use crate::directive::Directives;
use crate::mount::Mount;
use crate::span::Span;

/// A whole Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// Parser directives at the top (`syntax`, `escape`, `check`).
    pub directives: Directives,
    /// The escape character: `\` unless `# escape=` says `` ` ``.
    pub escape: char,
    /// `ARG` instructions before the first `FROM`.
    pub global_args: Vec<Arg>,
    /// One per `FROM`, in order.
    pub stages: Vec<Stage>,
    /// Everything at the top level, in order; their spans concatenated are
    /// exactly the text.
    pub items: Vec<Item>,
    /// Blank lines inside instructions, which a future version may refuse.
    pub empty_continuations: Vec<Span>,
}

/// A piece of the text at the top level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// The bytes, with the line end.
    pub span: Span,
}

/// What an [`Item`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// The byte order mark at the very start.
    ByteOrderMark,
    /// A `#` line that is a known parser directive.
    Directive,
    /// Any other `#` line (or the `#!` line at the start).
    Comment,
    /// A line of blanks.
    Blank,
    /// An instruction with its continuation lines and heredoc bodies.
    Instruction,
    /// All of a file that asks for a front end in another way than a
    /// Dockerfile does.
    Foreign,
}

/// A `FROM` with the instructions up to the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The name behind `AS`.
    pub name: Option<Name>,
    /// The image, stage or context to start from, unexpanded.
    pub base: Word,
    /// The value of `--platform`, unexpanded.
    pub platform: Option<Word>,
    /// What follows the `FROM`, in order.
    pub instructions: Vec<Instruction>,
    /// The `FROM` instruction alone.
    pub span: Span,
    /// The word `FROM` as typed.
    pub keyword: Span,
    /// The word `AS` as typed.
    pub as_keyword: Option<Span>,
    /// The `FROM` in one line, as typed.
    pub source: String,
    /// The comment lines directly above, without `#`.
    pub comments: Vec<String>,
    /// The description in a comment `# <name> <description>` directly above.
    pub doc: Option<String>,
}

impl Stage {
    /// The name in lower case, by which the stage is looked up.
    pub fn key(&self) -> Option<String> {
        self.name.as_ref().map(Name::key)
    }
}

/// The name of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// As typed.
    pub text: String,
    /// Where.
    pub span: Span,
}

impl Name {
    /// The name in lower case: names are looked up without regard to case.
    pub fn key(&self) -> String {
        self.text.to_lowercase()
    }
}

/// An instruction of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Which instruction, with its parts.
    pub kind: InstructionKind,
    /// From the keyword to the last byte, heredoc bodies included, without
    /// the last line end.
    pub span: Span,
    /// The keyword as typed.
    pub keyword: Span,
    /// The instruction in one line as typed (continuations joined, comments
    /// dropped, heredoc bodies left out), for progress and logs.
    pub source: String,
    /// The comment lines directly above, without `#`.
    pub comments: Vec<String>,
}

/// One variant per instruction; `FROM` is the [`Stage`] itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstructionKind {
    /// `ADD`
    Add(Add),
    /// `ARG`
    Arg(Arg),
    /// `CMD`
    Cmd(Cmd),
    /// `COPY`
    Copy(Copy),
    /// `ENTRYPOINT`
    Entrypoint(Entrypoint),
    /// `ENV`
    Env(Env),
    /// `EXPOSE`
    Expose(Expose),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `LABEL`
    Label(Label),
    /// `MAINTAINER`
    Maintainer(Maintainer),
    /// `ONBUILD`
    Onbuild(Onbuild),
    /// `RUN`
    Run(Run),
    /// `SHELL`
    Shell(Shell),
    /// `STOPSIGNAL`
    StopSignal(StopSignal),
    /// `USER`
    User(User),
    /// `VOLUME`
    Volume(Volume),
    /// `WORKDIR`
    Workdir(Workdir),
}

impl InstructionKind {
    /// The keyword in upper case.
    pub const fn keyword(&self) -> &'static str {
        match self {
            Self::Add(_) => "ADD",
            Self::Arg(_) => "ARG",
            Self::Cmd(_) => "CMD",
            Self::Copy(_) => "COPY",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Env(_) => "ENV",
            Self::Expose(_) => "EXPOSE",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Label(_) => "LABEL",
            Self::Maintainer(_) => "MAINTAINER",
            Self::Onbuild(_) => "ONBUILD",
            Self::Run(_) => "RUN",
            Self::Shell(_) => "SHELL",
            Self::StopSignal(_) => "STOPSIGNAL",
            Self::User(_) => "USER",
            Self::Volume(_) => "VOLUME",
            Self::Workdir(_) => "WORKDIR",
        }
    }
}

/// A word as typed: variables, quotes and escapes are still in it.
///
/// [`crate::expand`] makes a value of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// The text with continuation lines joined; of a JSON form, the decoded
    /// string.
    pub raw: String,
    /// Where it stands in the file.
    pub span: Span,
}

impl Word {
    /// Where the byte at `offset` of `raw` stands in the file.
    ///
    /// Exact unless the word runs over several lines or was JSON; then the
    /// whole word.
    pub fn locate(&self, offset: usize) -> Span {
        let end = (offset + 1..=self.raw.len()).find(|&at| self.raw.is_char_boundary(at));
        self.locate_range(offset..end.unwrap_or(self.raw.len()))
    }

    /// Where a range of bytes of `raw` stands in the file.
    ///
    /// Exact unless the word runs over several lines or was JSON; then the
    /// whole word.
    pub fn locate_range(&self, range: std::ops::Range<usize>) -> Span {
        let narrow = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        let start = self.span.start.saturating_add(narrow(range.start));
        let end = self.span.start.saturating_add(narrow(range.end));
        if self.raw.len() == self.span.len() as usize && start < end && end <= self.span.end {
            Span::new(start, end)
        } else {
            self.span
        }
    }
}

/// A command of `RUN`, `CMD`, `ENTRYPOINT` or `HEALTHCHECK CMD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// Text for the shell (continuation lines joined), and the heredocs that
    /// it names, in order.
    Shell(String, Vec<Heredoc>),
    /// The JSON form: the arguments, never expanded.
    Exec(Vec<String>),
}

impl CommandLine {
    /// The heredoc whose body is the whole script: `RUN <<EOF` with nothing
    /// else on the line.
    ///
    /// Its body goes to the shell as one argument, or, where it starts with
    /// `#!`, is a program of its own.
    pub fn script(&self) -> Option<&Heredoc> {
        match self {
            Self::Shell(text, heredocs) => match heredocs.as_slice() {
                [only] if only.mark == text.trim() => Some(only),
                _ => None,
            },
            Self::Exec(_) => None,
        }
    }

    /// What the shell gets as the argument of `-c`: the heredoc body for
    /// `RUN <<EOF`; otherwise the text, with the heredocs put behind it again
    /// for the shell to read. `None` for the JSON form.
    pub fn shell_argument(&self) -> Option<String> {
        let Self::Shell(text, heredocs) = self else { return None };
        if let Some(script) = self.script() {
            return Some(script.body.clone());
        }
        let mut argument = text.clone();
        for heredoc in heredocs {
            argument.push('\n');
            argument.push_str(&heredoc.raw_body);
            argument.push_str(&heredoc.name);
        }
        Some(argument)
    }
}

/// A `<<NAME` with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    /// The `<<NAME` word as typed.
    pub mark: String,
    /// The terminator without quotes; for `COPY` also the file name.
    pub name: String,
    /// The file descriptor before `<<`; 0 when none is given.
    pub fd: u32,
    /// `<<NAME` lets variables be expanded in the body, `<<"NAME"` does not.
    pub expand: bool,
    /// `<<-`: leading tabs are stripped from each line of the body.
    pub chomp: bool,
    /// The body, tabs stripped if `chomp`; ends with a line end if not empty.
    pub body: String,
    /// The body as it stands in the file.
    pub raw_body: String,
    /// The `<<NAME` word.
    pub span: Span,
    /// The body, without the terminator.
    pub body_span: Span,
}

/// `ADD`: files from the context, from the network or from git.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Add {
    /// What to add and where to.
    pub paths: Paths,
    /// `--chown`
    pub chown: Option<Word>,
    /// `--chmod`
    pub chmod: Option<Word>,
    /// `--link`
    pub link: bool,
    /// `--exclude`, in order.
    pub exclude: Vec<Word>,
    /// `--checksum`
    pub checksum: Option<Word>,
    /// `--keep-git-dir`; `None` when not given.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`; `None` when not given: by content.
    pub unpack: Option<bool>,
}

/// `COPY`: files from the context, another stage or an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    /// What to copy and where to.
    pub paths: Paths,
    /// `--from`: a stage, image or context. Never expanded.
    pub from: Option<Word>,
    /// `--chown`
    pub chown: Option<Word>,
    /// `--chmod`
    pub chmod: Option<Word>,
    /// `--link`
    pub link: bool,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`, in order.
    pub exclude: Vec<Word>,
}

/// The arguments of `COPY` and `ADD`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// The sources that are paths (or URLs), in order.
    pub sources: Vec<Word>,
    /// The sources that are heredocs, in order; copied behind the paths.
    pub heredocs: Vec<Heredoc>,
    /// The last argument.
    pub destination: Word,
}

/// `ARG`, in a stage or before the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// At least one.
    pub entries: Vec<ArgEntry>,
    /// The whole instruction.
    pub span: Span,
    /// The instruction in one line as typed.
    pub source: String,
    /// The keyword as typed.
    pub keyword: Span,
    /// The comment lines directly above, without `#`.
    pub comments: Vec<String>,
}

/// One `name[=default]` of an `ARG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgEntry {
    /// The name, unexpanded (it is taken as it is).
    pub name: String,
    /// The default; `None` when there is no `=`.
    pub default: Option<Word>,
    /// The whole entry.
    pub span: Span,
    /// The description in a comment `# <name> <description>` directly above.
    pub doc: Option<String>,
}

/// `CMD`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cmd {
    /// The command; `Exec(vec![])` when there are no arguments.
    pub command: CommandLine,
}

/// `ENTRYPOINT`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrypoint {
    /// The command; `Exec(vec![])` clears the inherited one.
    pub command: CommandLine,
}

/// `ENV`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Env {
    /// At least one; all are expanded with the values from before.
    pub pairs: Vec<Pair>,
}

/// `LABEL`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// At least one.
    pub pairs: Vec<Pair>,
}

/// A `key=value` of `ENV` or `LABEL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The key, unexpanded.
    pub key: Word,
    /// The value, unexpanded.
    pub value: Word,
    /// Written as `key value`, without `=`.
    pub legacy: bool,
}

/// `EXPOSE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expose {
    /// At least one; a variable may stand for several (`expand_words`).
    pub ports: Vec<Word>,
}

/// `HEALTHCHECK`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`
    None,
    /// `HEALTHCHECK [flags] CMD command`
    Cmd(HealthcheckCmd),
}

/// `HEALTHCHECK CMD` with its flags; `None` and zero mean "inherit".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthcheckCmd {
    /// The command that probes.
    pub command: CommandLine,
    /// `--interval`
    pub interval: Option<Duration>,
    /// `--timeout`
    pub timeout: Option<Duration>,
    /// `--start-period`
    pub start_period: Option<Duration>,
    /// `--start-interval`
    pub start_interval: Option<Duration>,
    /// `--retries`
    pub retries: Option<u32>,
}

/// `MAINTAINER` (deprecated)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintainer {
    /// The author.
    pub name: String,
}

/// `ONBUILD`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onbuild {
    /// The instruction to run in a build on top of this image.
    pub instruction: Box<Instruction>,
    /// What goes into the image configuration: the text behind `ONBUILD`
    /// with its heredocs, in a form that `parse` reads again.
    pub trigger: String,
}

/// `RUN`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What to run.
    pub command: CommandLine,
    /// `--mount`, in order.
    pub mounts: Vec<Mount>,
    /// `--network`
    pub network: Option<Network>,
    /// `--security`
    pub security: Option<Security>,
    /// `--device`, in order.
    pub devices: Vec<Device>,
}

/// The value of `RUN --network`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// What the build uses.
    Default,
    /// No network.
    None,
    /// The host's network.
    Host,
}

/// The value of `RUN --security`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// In the sandbox.
    Sandbox,
    /// With all privileges.
    Insecure,
}

/// A value of `RUN --device`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The CDI name, unexpanded.
    pub name: Word,
    /// Whether the build fails without it.
    pub required: bool,
}

/// `SHELL`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shell {
    /// The program and its arguments; not empty.
    pub command: Vec<String>,
}

/// `STOPSIGNAL`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopSignal {
    /// A name or number, unexpanded.
    pub signal: Word,
}

/// `USER`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `user[:group]`, names or ids, unexpanded.
    pub user: Word,
}

/// `VOLUME`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// At least one path, unexpanded.
    pub paths: Vec<Word>,
}

/// `WORKDIR`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workdir {
    /// The path, unexpanded.
    pub path: Word,
}
