//! The tree as text, for tests and for people who debug.
//!
//! One line per node, stable: made by hand rather than by `Debug`, so that a
//! new field does not change every snapshot.

use std::fmt::Write as _;

use crate::ast::{
    Add, Arg, CommandLine, Copy, Dockerfile, Healthcheck, Heredoc, Instruction, InstructionKind,
    Pair, Paths, Run, Stage, Word,
};

/// The tree of a Dockerfile as indented text.
pub fn dump(file: &Dockerfile) -> String {
    let mut out = Dump { out: String::new(), depth: 0 };
    let directives = &file.directives;
    for (name, word) in [
        ("syntax", &directives.syntax),
        ("escape", &directives.escape),
        ("check", &directives.check),
    ] {
        if let Some(word) = word {
            out.line(&format!("directive {name} {:?}", word.raw));
        }
    }
    for arg in &file.global_args {
        out.arg(arg);
    }
    for stage in &file.stages {
        out.stage(stage);
    }
    out.out
}

struct Dump {
    out: String,
    depth: usize,
}

impl Dump {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{:indent$}{text}", "", indent = self.depth * 2);
    }

    fn nested(&mut self, body: impl FnOnce(&mut Self)) {
        self.depth += 1;
        body(self);
        self.depth -= 1;
    }

    fn word(&mut self, name: &str, word: &Word) {
        let Word { raw, span } = word;
        self.line(&format!("{name} {raw:?} {}..{}", span.start, span.end));
    }

    fn words(&mut self, name: &str, words: &[Word]) {
        for word in words {
            self.word(name, word);
        }
    }

    fn option(&mut self, name: &str, word: Option<&Word>) {
        if let Some(word) = word {
            self.word(name, word);
        }
    }

    fn when(&mut self, condition: bool, text: &str) {
        if condition {
            self.line(text);
        }
    }

    fn stage(&mut self, stage: &Stage) {
        self.line(&format!("FROM {}..{}", stage.span.start, stage.span.end));
        self.nested(|out| {
            out.word("base", &stage.base);
            if let Some(name) = &stage.name {
                out.line(&format!("name {:?} {}..{}", name.text, name.span.start, name.span.end));
            }
            out.option("platform", stage.platform.as_ref());
            if let Some(doc) = &stage.doc {
                out.line(&format!("doc {doc:?}"));
            }
            for instruction in &stage.instructions {
                out.instruction(instruction);
            }
        });
    }

    fn instruction(&mut self, instruction: &Instruction) {
        if let InstructionKind::Arg(arg) = &instruction.kind {
            return self.arg(arg);
        }
        let (keyword, span) = (instruction.kind.keyword(), instruction.span);
        self.line(&format!("{keyword} {}..{}", span.start, span.end));
        self.nested(|out| out.kind(&instruction.kind));
    }

    fn kind(&mut self, kind: &InstructionKind) {
        match kind {
            InstructionKind::Add(add) => self.add(add),
            InstructionKind::Arg(_) => {}
            InstructionKind::Cmd(cmd) => self.command(&cmd.command),
            InstructionKind::Copy(copy) => self.copy(copy),
            InstructionKind::Entrypoint(entrypoint) => self.command(&entrypoint.command),
            InstructionKind::Env(env) => self.pairs(&env.pairs),
            InstructionKind::Expose(expose) => self.words("port", &expose.ports),
            InstructionKind::Healthcheck(check) => self.healthcheck(check),
            InstructionKind::Label(label) => self.pairs(&label.pairs),
            InstructionKind::Maintainer(maintainer) => {
                self.line(&format!("name {:?}", maintainer.name));
            }
            InstructionKind::Onbuild(onbuild) => {
                self.line(&format!("trigger {:?}", onbuild.trigger));
                self.instruction(&onbuild.instruction);
            }
            InstructionKind::Run(run) => self.run(run),
            InstructionKind::Shell(shell) => self.line(&format!("exec {:?}", shell.command)),
            InstructionKind::StopSignal(stop) => self.word("signal", &stop.signal),
            InstructionKind::User(user) => self.word("user", &user.user),
            InstructionKind::Volume(volume) => self.words("path", &volume.paths),
            InstructionKind::Workdir(workdir) => self.word("path", &workdir.path),
        }
    }

    fn arg(&mut self, arg: &Arg) {
        self.line(&format!("ARG {}..{}", arg.span.start, arg.span.end));
        self.nested(|out| {
            for entry in &arg.entries {
                match &entry.default {
                    Some(default) => out.word(&format!("{} =", entry.name), default),
                    None => out.line(&entry.name),
                }
                if let Some(doc) = &entry.doc {
                    out.line(&format!("doc {doc:?}"));
                }
            }
        });
    }

    fn command(&mut self, command: &CommandLine) {
        match command {
            CommandLine::Shell(text, heredocs) => {
                self.line(&format!("shell {text:?}"));
                self.heredocs(heredocs);
                self.when(command.script().is_some(), "script");
            }
            CommandLine::Exec(arguments) => self.line(&format!("exec {arguments:?}")),
        }
    }

    fn heredocs(&mut self, heredocs: &[Heredoc]) {
        for Heredoc { name, fd, expand, chomp, body, body_span, .. } in heredocs {
            let expand = if *expand { " expand" } else { "" };
            let chomp = if *chomp { " chomp" } else { "" };
            let (start, end) = (body_span.start, body_span.end);
            self.line(&format!("heredoc {name:?} fd {fd}{expand}{chomp} {body:?} {start}..{end}"));
        }
    }

    fn paths(&mut self, paths: &Paths) {
        self.words("source", &paths.sources);
        self.heredocs(&paths.heredocs);
        self.word("destination", &paths.destination);
    }

    fn copy(&mut self, copy: &Copy) {
        self.option("from", copy.from.as_ref());
        self.option("chown", copy.chown.as_ref());
        self.option("chmod", copy.chmod.as_ref());
        self.when(copy.link, "link");
        self.when(copy.parents, "parents");
        self.words("exclude", &copy.exclude);
        self.paths(&copy.paths);
    }

    fn add(&mut self, add: &Add) {
        self.option("chown", add.chown.as_ref());
        self.option("chmod", add.chmod.as_ref());
        self.when(add.link, "link");
        self.words("exclude", &add.exclude);
        self.option("checksum", add.checksum.as_ref());
        for (name, value) in [("keep-git-dir", add.keep_git_dir), ("unpack", add.unpack)] {
            if let Some(value) = value {
                self.line(&format!("{name} {value}"));
            }
        }
        self.paths(&add.paths);
    }

    fn pairs(&mut self, pairs: &[Pair]) {
        for pair in pairs {
            let sign = if pair.legacy { "(legacy)" } else { "=" };
            self.word(&format!("{} {sign}", pair.key.raw), &pair.value);
        }
    }

    fn run(&mut self, run: &Run) {
        for mount in &run.mounts {
            self.line(&format!("mount {}..{}", mount.span.start, mount.span.end));
            self.nested(|out| {
                for option in &mount.options {
                    match &option.value {
                        Some(value) => out.word(option.key.name(), value),
                        None => out.line(option.key.name()),
                    }
                }
            });
        }
        if let Some(network) = run.network {
            self.line(&format!("network {network:?}"));
        }
        if let Some(security) = run.security {
            self.line(&format!("security {security:?}"));
        }
        for device in &run.devices {
            let required = if device.required { "device (required)" } else { "device" };
            self.word(required, &device.name);
        }
        self.command(&run.command);
    }

    fn healthcheck(&mut self, check: &Healthcheck) {
        let Healthcheck::Cmd(check) = check else { return self.line("none") };
        for (name, value) in [
            ("interval", check.interval),
            ("timeout", check.timeout),
            ("start-period", check.start_period),
            ("start-interval", check.start_interval),
        ] {
            if let Some(value) = value {
                self.line(&format!("{name} {value:?}"));
            }
        }
        if let Some(retries) = check.retries {
            self.line(&format!("retries {retries}"));
        }
        self.command(&check.command);
    }
}
