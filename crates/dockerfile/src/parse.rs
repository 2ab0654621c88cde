//! The driver: the file from top to bottom.

use crate::ast::{Dockerfile, Instruction, InstructionKind, Item, ItemKind, Stage};
use crate::comments::{self, CheckOptions};
use crate::diagnostic::{Diagnostic, Rule};
use crate::directive::{self, Directives};
use crate::heredoc::Bodies;
use crate::instruction::{self, Statement};
use crate::lines::{Lines, LogicalLine, PhysicalLine, is_comment};
use crate::span::Span;

/// What `parse` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parse {
    /// The tree of what could be understood.
    pub file: Dockerfile,
    /// What is wrong, in order of place. Without errors the tree is complete.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parse {
    /// Whether the file must not be built.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Parses the text of a Dockerfile. Never fails and never panics: what is
/// wrong is in the diagnostics.
pub fn parse(text: &str) -> Parse {
    let mut parser = Parser::new(text);
    if u32::try_from(text.len()).is_err() {
        let span = Span::empty_at(0);
        parser.diagnostics.push(Diagnostic::error(span, "the Dockerfile is larger than 4 GiB"));
        return parser.finish();
    }
    parser.file();
    parser.check_stages();
    parser.finish()
}

/// Parses one instruction: the text of an `ONBUILD` trigger in the
/// configuration of an image, which may hold heredocs.
///
/// `FROM`, `MAINTAINER` and `ONBUILD` are refused, as is more than one
/// instruction. The spans are those of `text`.
pub fn parse_trigger(text: &str, escape: char) -> Result<Instruction, Vec<Diagnostic>> {
    let mut parser = Parser::new(text);
    parser.file.escape = escape;
    let mut found = None;
    while let Some(line) = parser.lines.next() {
        if line.text.trim().is_empty() || is_comment(line.text) {
            continue;
        }
        if parser.any {
            let span = Span::between(line.start, line.start + line.text.len());
            let message = "a trigger is one instruction, and this is another";
            parser
                .diagnostics
                .push(Diagnostic::error(span, message).help("give it an `ONBUILD` of its own"));
            break;
        }
        found = parser.statement(line);
    }
    if !parser.any {
        let message = "the trigger has no instruction";
        parser.diagnostics.push(Diagnostic::error(Span::empty_at(0), message));
    }
    let keyword = match &found {
        Some(Found::Stage(stage)) => Some(("FROM", stage.keyword)),
        Some(Found::Instruction(it))
            if matches!(it.kind, InstructionKind::Maintainer(_) | InstructionKind::Onbuild(_)) =>
        {
            Some((it.kind.keyword(), it.keyword))
        }
        _ => None,
    };
    if let Some((keyword, span)) = keyword {
        parser.diagnostics.push(instruction::no_trigger(keyword, span));
    }
    parser.diagnostics.retain(Diagnostic::is_error);
    match found {
        Some(Found::Instruction(instruction)) if parser.diagnostics.is_empty() => Ok(instruction),
        _ => Err(parser.diagnostics),
    }
}

/// What a logical line is.
enum Found {
    Stage(Stage),
    Instruction(Instruction),
}

struct Parser<'a> {
    lines: Lines<'a>,
    file: Dockerfile,
    diagnostics: Vec<Diagnostic>,
    bodies: Bodies,
    /// Comment lines directly above.
    comments: Vec<String>,
    /// An instruction before the first `FROM` was reported.
    reported_early: bool,
    /// Any instruction was seen.
    any: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            lines: Lines::new(text, 0),
            file: Dockerfile {
                directives: Directives::default(),
                escape: '\\',
                global_args: Vec::new(),
                stages: Vec::new(),
                items: Vec::new(),
                empty_continuations: Vec::new(),
            },
            diagnostics: Vec::new(),
            bodies: Bodies::default(),
            comments: Vec::new(),
            reported_early: false,
            any: false,
        }
    }

    fn item(&mut self, kind: ItemKind, start: usize) {
        let span = Span::between(start, self.lines.offset());
        self.file.items.push(Item { kind, span });
    }

    fn file(&mut self) {
        self.preamble();
        if self.foreign() {
            return;
        }
        while let Some(line) = self.lines.next() {
            if line.text.trim().is_empty() {
                self.comments.clear();
                self.item(ItemKind::Blank, line.start);
            } else if is_comment(line.text) {
                self.comment(line.text);
                self.item(ItemKind::Comment, line.start);
            } else {
                self.logical_line(line);
            }
        }
    }

    /// The byte order mark, a `#!` line and the directives.
    fn preamble(&mut self) {
        let text = self.lines.text();
        if text.starts_with('\u{feff}') {
            self.lines.seek('\u{feff}'.len_utf8());
            self.item(ItemKind::ByteOrderMark, 0);
        }
        let mut start = self.lines.offset();
        if text[start..].starts_with("#!") && self.lines.next().is_some() {
            self.item(ItemKind::Comment, start);
            start = self.lines.offset();
        }
        while let Some(line) = self.lines.next() {
            if !self.file.directives.read(line, &mut self.diagnostics) {
                break;
            }
            self.item(ItemKind::Directive, line.start);
            start = line.end;
        }
        self.lines.seek(start);
        self.file.escape = self.file.directives.escape_char();
        self.check_options();
    }

    /// Reports a `# check=` that cannot be read, and rules that there are
    /// not.
    fn check_options(&mut self) {
        let Some(word) = &self.file.directives.check else { return };
        match CheckOptions::parse(&word.raw) {
            Err(error) => self
                .diagnostics
                .push(Diagnostic::error(word.span, error.to_string()).help(error.help())),
            Ok(options) => {
                for (name, near) in options.unknown_rules() {
                    let at = word.raw.find(name).unwrap_or_default();
                    let span = word.locate(at).join(word.locate(at + name.len() - 1));
                    let message = format!("there is no rule `{name}`");
                    let warning = Diagnostic::warning(Rule::UnknownRule, span, message);
                    self.diagnostics.push(warning.did_you_mean(near));
                }
            }
        }
    }

    /// Reports a file in another language: every line of it would be an
    /// error.
    fn foreign(&mut self) -> bool {
        let text = self.lines.text();
        let Some(syntax) = directive::foreign_syntax(text) else { return false };
        let start = self.lines.offset();
        if self.file.directives.syntax.is_some() || start == text.len() {
            return false;
        }
        let frontend = syntax.raw.split_whitespace().next().unwrap_or_default().to_owned();
        if frontend.contains("docker/dockerfile") {
            // Then its lines are to be read, and are wrong one by one.
            return false;
        }
        let message = format!("this is a file for the front end `{frontend}`, no Dockerfile");
        let error = Diagnostic::error(syntax.span, message);
        self.diagnostics.push(error.help("a Dockerfile names its front end in `# syntax=…`"));
        self.lines.seek(text.len());
        self.item(ItemKind::Foreign, start);
        self.file.directives.syntax = Some(syntax);
        true
    }

    fn comment(&mut self, line: &str) {
        let content = line.trim_start().trim_start_matches('#').trim();
        if content.is_empty() {
            self.comments.clear();
        } else {
            self.comments.push(content.to_owned());
        }
    }

    fn logical_line(&mut self, first: PhysicalLine<'a>) {
        let Some(found) = self.statement(first) else { return };
        let instruction = match found {
            Found::Stage(stage) => return self.file.stages.push(stage),
            Found::Instruction(instruction) => instruction,
        };
        match (self.file.stages.last_mut(), instruction.kind) {
            (Some(stage), kind) => stage.instructions.push(Instruction { kind, ..instruction }),
            (None, InstructionKind::Arg(arg)) => self.file.global_args.push(arg),
            (None, kind) => self.early(kind.keyword(), instruction.keyword),
        }
    }

    /// Reads the instruction that starts with `first`; `None` if there is
    /// none that could be understood.
    fn statement(&mut self, first: PhysicalLine<'a>) -> Option<Found> {
        let mut line = LogicalLine::read(first, &mut self.lines, self.file.escape);
        if line.text.trim().is_empty() {
            self.item(ItemKind::Blank, first.start);
            return None;
        }
        self.any = true;
        let head = instruction::head(&line, 0);
        let marks = instruction::heredoc_marks(&line, &head);
        let wanted = marks.len();
        let heredocs = self.bodies.read(marks, &mut line, &mut self.lines, &mut self.diagnostics);
        self.item(ItemKind::Instruction, first.start);
        self.file.empty_continuations.append(&mut line.empty_lines);
        let comments = std::mem::take(&mut self.comments);
        if head.keyword.is_none() {
            self.diagnostics.push(instruction::unknown(&line, &head));
            return None;
        }
        if heredocs.len() < wanted {
            // That is reported; more about this instruction would be noise.
            return None;
        }
        let is_from = head.keyword == Some("FROM");
        let statement = Statement {
            line: &line,
            head,
            heredocs,
            escape: self.file.escape,
            comments: &comments,
            diagnostics: &mut self.diagnostics,
        };
        if is_from {
            stage(statement).map(Found::Stage)
        } else {
            instruction::instruction(statement).map(Found::Instruction)
        }
    }

    /// An instruction before the first `FROM`: one report is enough.
    fn early(&mut self, keyword: &str, span: Span) {
        if !std::mem::replace(&mut self.reported_early, true) {
            self.diagnostics.push(
                Diagnostic::error(span, format!("`{keyword}` before the first `FROM`"))
                    .help("a Dockerfile starts with `FROM image`; only `ARG` can stand before it"),
            );
        }
    }

    fn check_stages(&mut self) {
        let failed = self.reported_early || self.diagnostics.iter().any(Diagnostic::is_error);
        if !self.file.stages.is_empty() || failed {
            return;
        }
        let end = u32::try_from(self.lines.text().len()).unwrap_or(u32::MAX);
        let error = if self.any {
            Diagnostic::error(Span::empty_at(end), "there is no `FROM`, so nothing to build")
        } else {
            Diagnostic::error(Span::empty_at(end), "the Dockerfile has no instructions")
        };
        self.diagnostics.push(error.help("a Dockerfile starts with `FROM image`"));
    }

    fn finish(mut self) -> Parse {
        self.diagnostics.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
        Parse { file: self.file, diagnostics: self.diagnostics }
    }
}

/// Makes a stage of a `FROM`.
fn stage(mut statement: Statement<'_>) -> Option<Stage> {
    let from = instruction::from(&mut statement)?;
    let doc =
        from.name.as_ref().and_then(|name| comments::description(statement.comments, &name.key()));
    Some(Stage {
        name: from.name,
        base: from.base,
        platform: from.platform,
        instructions: Vec::new(),
        span: statement.span(),
        keyword: statement.keyword_span(),
        as_keyword: from.as_keyword,
        source: statement.source(),
        comments: statement.comments.to_vec(),
        doc,
    })
}
