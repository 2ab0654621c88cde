//! From a logical line to an instruction.
//!
//! Each parser gets a [`Statement`]: the keyword is read, the flags are cut
//! off, the heredocs are there. It reports what is wrong and returns `None`
//! where nothing sensible can be made.

mod command;
mod config;
mod files;
mod from;

use crate::ast::{Heredoc, Instruction, InstructionKind, Onbuild, Word};
use crate::diagnostic::{Diagnostic, Rule};
use crate::flags::{FlagSpec, Flags};
use crate::heredoc::Mark;
use crate::json::{self, JsonForm};
use crate::lines::LogicalLine;
use crate::span::Span;
use crate::split::{self, Range};
use crate::suggest::suggest;
use crate::word::{Lookup, WordError};

pub(crate) use from::from;

/// All keywords.
pub(crate) const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// The keyword that a word is, in upper case.
pub(crate) fn keyword(word: &str) -> Option<&'static str> {
    KEYWORDS.into_iter().find(|keyword| keyword.eq_ignore_ascii_case(word))
}

/// What an instruction looks like.
const fn example(keyword: &str) -> &'static str {
    match keyword.as_bytes() {
        b"ADD" => "ADD https://example.com/file /tmp/",
        b"ARG" => "ARG VERSION=1",
        b"COPY" => "COPY package.json ./",
        b"ENV" => "ENV NAME=value",
        b"EXPOSE" => "EXPOSE 8080",
        b"FROM" => "FROM debian:12",
        b"HEALTHCHECK" => "HEALTHCHECK CMD curl -f http://localhost/",
        b"LABEL" => "LABEL org.example.name=\"value\"",
        b"MAINTAINER" => "MAINTAINER Name",
        b"ONBUILD" => "ONBUILD RUN make",
        b"SHELL" => "SHELL [\"/bin/bash\", \"-c\"]",
        b"STOPSIGNAL" => "STOPSIGNAL SIGTERM",
        b"USER" => "USER 1000:1000",
        b"VOLUME" => "VOLUME /data",
        b"WORKDIR" => "WORKDIR /app",
        _ => "RUN echo hello",
    }
}

/// The start of a logical line: its keyword and flags.
#[derive(Debug)]
pub(crate) struct Head {
    /// In upper case; `None` if there is no such instruction.
    pub(crate) keyword: Option<&'static str>,
    /// Range of the keyword in the line.
    pub(crate) range: Range,
    flags: Flags,
    /// Where the arguments start.
    arguments: usize,
}

/// Reads keyword and flags of `line` from `start` on.
pub(crate) fn head(line: &LogicalLine, start: usize) -> Head {
    let text = &line.text[start..];
    let begin = start + (text.len() - text.trim_start().len());
    let length = line.text[begin..].find(split::is_blank).unwrap_or(line.text.len() - begin);
    let typed = &line.text[begin..begin + length];
    let keyword = keyword(typed);
    let (flags, arguments) = Flags::read(line, begin + length);
    Head { keyword, range: begin..begin + length, flags, arguments }
}

/// The heredoc marks of a line, if its instruction can have any.
pub(crate) fn heredoc_marks(line: &LogicalLine, head: &Head) -> Vec<Mark> {
    match head.keyword {
        Some("RUN" | "COPY" | "ADD") if line.text.contains("<<") => {
            match json::parse(&line.text[head.arguments..]) {
                JsonForm::Other => crate::heredoc::marks(&line.text),
                _ => Vec::new(),
            }
        }
        Some("ONBUILD") if line.text.contains("<<") => {
            let inner = self::head(line, head.range.end);
            if inner.keyword == Some("ONBUILD") { Vec::new() } else { heredoc_marks(line, &inner) }
        }
        _ => Vec::new(),
    }
}

/// An instruction on its way to the AST.
#[derive(Debug)]
pub(crate) struct Statement<'a> {
    pub(crate) line: &'a LogicalLine,
    pub(crate) head: Head,
    pub(crate) heredocs: Vec<Heredoc>,
    pub(crate) escape: char,
    pub(crate) comments: &'a [String],
    pub(crate) diagnostics: &'a mut Vec<Diagnostic>,
}

/// The arguments as an array or as text.
pub(crate) enum Arguments {
    /// The JSON form.
    Json(Vec<Word>),
    /// Anything else.
    Text(Word),
}

impl Statement<'_> {
    /// The keyword in upper case; empty for an unknown one.
    pub(crate) fn keyword(&self) -> &'static str {
        self.head.keyword.unwrap_or("")
    }

    /// The span of the keyword.
    pub(crate) fn keyword_span(&self) -> Span {
        self.line.span(self.head.range.start, self.head.range.end)
    }

    /// The whole instruction, heredoc bodies included.
    pub(crate) fn span(&self) -> Span {
        let start = self.keyword_span().start;
        Span::between(start as usize, self.line.end)
    }

    /// The instruction in one line as typed.
    pub(crate) fn source(&self) -> String {
        self.line.text[self.head.range.start..].trim().to_owned()
    }

    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Checks the flags against those that the instruction has.
    pub(crate) fn check_flags(&mut self, specs: &[FlagSpec]) {
        self.head.flags.check(self.head.keyword.unwrap_or(""), specs, self.diagnostics);
    }

    pub(crate) fn flags(&mut self) -> &mut Flags {
        &mut self.head.flags
    }

    /// The range of the arguments in the line, without blanks around.
    pub(crate) fn arguments_range(&self) -> Range {
        let text = &self.line.text[self.head.arguments..];
        let end = self.head.arguments + text.trim_end().len();
        self.head.arguments.min(end)..end
    }

    /// The arguments as one text.
    pub(crate) fn text(&self) -> Word {
        self.word(self.arguments_range())
    }

    /// A range of the line as a word.
    pub(crate) fn word(&self, range: Range) -> Word {
        Word {
            raw: self.line.text[range.clone()].to_owned(),
            span: self.line.span(range.start, range.end),
        }
    }

    /// The arguments as one text, which must be there.
    pub(crate) fn single(&mut self, what: &str) -> Option<Word> {
        let text = self.text();
        if text.raw.is_empty() {
            self.missing(what);
            return None;
        }
        Some(text)
    }

    /// Reports that `what` is missing.
    pub(crate) fn missing(&mut self, what: &str) {
        let message = format!("`{}` needs {what}", self.keyword());
        let error = Diagnostic::error(self.keyword_span(), message);
        self.report(error.help(format!("for example `{}`", example(self.keyword()))));
    }

    /// The arguments as an array or as text.
    ///
    /// `None` for an array that holds anything but strings: that is an error
    /// even where the shell form would do.
    pub(crate) fn arguments(&mut self) -> Option<Arguments> {
        self.arguments_in(self.arguments_range())
    }

    /// The same for a part of the line.
    pub(crate) fn arguments_in(&mut self, range: Range) -> Option<Arguments> {
        let text = &self.line.text[range.clone()];
        match json::parse(text) {
            JsonForm::Strings(strings) => {
                let word = |(raw, start, end): (String, usize, usize)| Word {
                    raw,
                    span: self.line.span(range.start + start, range.start + end),
                };
                Some(Arguments::Json(strings.into_iter().map(word).collect()))
            }
            JsonForm::NotStrings(start, end) => {
                let span = self.line.span(range.start + start, range.start + end);
                self.report(
                    Diagnostic::error(span, "the JSON form takes strings only")
                        .help("put it in double quotes"),
                );
                None
            }
            JsonForm::Other => {
                let word = self.word(range);
                self.warn_of_json_trap(&word);
                Some(Arguments::Text(word))
            }
        }
    }

    /// Text that was meant as JSON goes to the shell without a word
    /// otherwise, and fails there in odd ways.
    fn warn_of_json_trap(&mut self, word: &Word) {
        let Some(inner) = word.raw.strip_prefix('[') else { return };
        // `[ "$a" = b ]` is the shell's test; it needs the blank.
        let inner = if self.head.keyword == Some("RUN") { inner } else { inner.trim_start() };
        let Some(quote) = inner.chars().next().filter(|c| "\"'“”‘’".contains(*c)) else {
            return;
        };
        let help = match quote {
            '"' => "check commas, quotes and backslashes: `[\"program\", \"argument\"]`",
            _ => "JSON strings have double quotes: `[\"program\", \"argument\"]`",
        };
        let message = "this is not valid JSON, so it is taken as plain text";
        self.report(Diagnostic::warning(Rule::MalformedJsonForm, word.span, message).help(help));
    }

    /// Reports a quote that never closes in one of `words`.
    pub(crate) fn check_quotes(&mut self, words: &[Word]) {
        for word in words {
            if let Some(error) = open_quote(word, self.escape) {
                self.report(error);
            }
        }
    }
}

/// A quote in a word that never closes.
pub(crate) fn open_quote(word: &Word, escape: char) -> Option<Diagnostic> {
    // Cutting is simpler than expanding, and knows no quotes within `${…}`.
    split::quoted(&word.raw, escape).1?;
    let error = crate::word::expand(&word.raw, &Anything, escape).err()?;
    let WordError::UnclosedQuote { offset, .. } = error else { return None };
    let diagnostic = Diagnostic::error(word.locate(offset), error.to_string());
    Some(Diagnostic { help: error.help(escape), ..diagnostic })
}

/// Every variable is set.
struct Anything;

impl Lookup for Anything {
    fn get(&self, _: &str) -> Option<&str> {
        Some("x")
    }
}

/// Makes an instruction of a stage (anything but `FROM`).
pub(crate) fn instruction(mut statement: Statement<'_>) -> Option<Instruction> {
    let kind = kind(&mut statement)?;
    Some(Instruction {
        kind,
        span: statement.span(),
        keyword: statement.keyword_span(),
        source: statement.source(),
        comments: statement.comments.to_vec(),
    })
}

fn kind(statement: &mut Statement<'_>) -> Option<InstructionKind> {
    Some(match statement.head.keyword? {
        "ADD" => InstructionKind::Add(files::add(statement)?),
        "ARG" => InstructionKind::Arg(config::arg(statement)?),
        "CMD" => InstructionKind::Cmd(command::cmd(statement)?),
        "COPY" => InstructionKind::Copy(files::copy(statement)?),
        "ENTRYPOINT" => InstructionKind::Entrypoint(command::entrypoint(statement)?),
        "ENV" => InstructionKind::Env(config::env(statement)?),
        "EXPOSE" => InstructionKind::Expose(config::expose(statement)?),
        "HEALTHCHECK" => InstructionKind::Healthcheck(command::healthcheck(statement)?),
        "LABEL" => InstructionKind::Label(config::label(statement)?),
        "MAINTAINER" => InstructionKind::Maintainer(config::maintainer(statement)?),
        "ONBUILD" => InstructionKind::Onbuild(onbuild(statement)?),
        "RUN" => InstructionKind::Run(command::run(statement)?),
        "SHELL" => InstructionKind::Shell(command::shell(statement)?),
        "STOPSIGNAL" => InstructionKind::StopSignal(config::stop_signal(statement)?),
        "USER" => InstructionKind::User(config::user(statement)?),
        "VOLUME" => InstructionKind::Volume(config::volume(statement)?),
        "WORKDIR" => InstructionKind::Workdir(config::workdir(statement)?),
        _ => return None,
    })
}

/// Reports a keyword that is none.
pub(crate) fn unknown(line: &LogicalLine, head: &Head) -> Diagnostic {
    let typed = &line.text[head.range.clone()];
    let span = line.span(head.range.start, head.range.end);
    let error = Diagnostic::error(span, format!("unknown instruction `{typed}`"));
    if typed.starts_with("//") || typed.starts_with("/*") || typed.starts_with("--") {
        return error.help("comments start with `#`");
    }
    match suggest(typed, KEYWORDS) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(
            "every line starts with an instruction; \
             end the line before with `\\` to continue it here",
        ),
    }
}

/// Reports an instruction that cannot wait for another build.
pub(crate) fn no_trigger(keyword: &str, span: Span) -> Diagnostic {
    Diagnostic::error(span, format!("`{keyword}` cannot be a trigger of `ONBUILD`")).help(
        "any instruction but `FROM`, `MAINTAINER` and `ONBUILD` can, such as `ONBUILD RUN make`",
    )
}

/// `ONBUILD`: an instruction that is kept for builds on top.
fn onbuild(statement: &mut Statement<'_>) -> Option<Onbuild> {
    statement.check_flags(&[]);
    let range = statement.arguments_range();
    if range.is_empty() {
        statement.missing("an instruction");
        return None;
    }
    let inner = head(statement.line, range.start);
    match inner.keyword {
        None => {
            let error = unknown(statement.line, &inner);
            statement.report(error);
            return None;
        }
        Some(keyword @ ("ONBUILD" | "FROM" | "MAINTAINER")) => {
            let span = statement.line.span(inner.range.start, inner.range.end);
            statement.report(no_trigger(keyword, span));
            return None;
        }
        Some(_) => {}
    }
    let mut trigger = statement.line.text[range].to_owned();
    for heredoc in &statement.heredocs {
        trigger.push('\n');
        trigger.push_str(&heredoc.raw_body);
        trigger.push_str(&heredoc.name);
    }
    let instruction = instruction(Statement {
        line: statement.line,
        head: inner,
        heredocs: std::mem::take(&mut statement.heredocs),
        escape: statement.escape,
        comments: &[],
        diagnostics: &mut *statement.diagnostics,
    })?;
    Some(Onbuild { instruction: Box::new(instruction), trigger })
}
