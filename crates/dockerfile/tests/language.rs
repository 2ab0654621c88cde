//! The rules of the language, one test for each: how lines, flags, arguments
//! and triggers are read. What whole files become is in `test_data`.

use std::time::Duration;

use lathe_dockerfile::ast::{Healthcheck, ItemKind, Network, Security};
use lathe_dockerfile::{
    CommandLine, Dockerfile, InstructionKind, Rule, Severity, parse, parse_trigger,
};

/// The file, which must have no errors.
#[track_caller]
fn file(text: &str) -> Dockerfile {
    let parsed = parse(text);
    assert!(!parsed.has_errors(), "{text}: {:?}", parsed.diagnostics);
    parsed.file
}

/// The instructions of the first stage.
#[track_caller]
fn instructions(text: &str) -> Vec<InstructionKind> {
    file(text).stages.remove(0).instructions.into_iter().map(|it| it.kind).collect()
}

/// The only instruction of a stage.
#[track_caller]
fn one(line: &str) -> InstructionKind {
    let mut all = instructions(&format!("FROM a\n{line}\n"));
    assert_eq!(all.len(), 1, "{line}");
    all.remove(0)
}

/// Checks what each `RUN` hands to the shell.
#[track_caller]
fn check_runs(text: &str, expected: &[&str]) {
    let found: Vec<String> = instructions(text)
        .into_iter()
        .map(|kind| match kind {
            InstructionKind::Run(run) => run.command.shell_argument().expect("a shell form"),
            other => panic!("no RUN: {other:?}"),
        })
        .collect();
    assert_eq!(found, expected, "{text}");
}

/// Checks the errors of a file: each message, and the text at its place.
#[track_caller]
fn check_errors(text: &str, expected: &[(&str, &str)]) {
    let parsed = parse(text);
    let errors = parsed.diagnostics.iter().filter(|it| it.is_error());
    let found: Vec<_> = errors.map(|it| (it.message.as_str(), it.span.slice(text))).collect();
    assert_eq!(found, expected, "{text}");
}

#[track_caller]
fn check_help(text: &str, expected: &str) {
    let parsed = parse(text);
    let help: Vec<_> = parsed.diagnostics.iter().filter_map(|it| it.help.as_deref()).collect();
    assert_eq!(help, [expected], "{text}");
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_no_part_of_the_text() {
    let text = "\u{feff}# escape=`\r\nFROM a\r\nRUN x `\r\n  y\r\n";
    check_runs(text, &["x   y"]);
    assert_eq!(file(text).escape, '`');
    assert_eq!(file(text).items[0].kind, ItemKind::ByteOrderMark);
}

#[test]
fn heredoc_bodies_keep_their_bytes_and_end_at_the_bare_word() {
    check_runs("FROM a\r\nRUN <<EOF\r\nx\r\n# y\r\n\r\nEOF\r\n", &["x\r\n# y\r\n\r\n"]);
    check_runs("FROM a\nRUN <<EOF\n EOF\nEOF \nEOF", &[" EOF\nEOF \n"]);
    check_runs("FROM a\nRUN <<-EOF\n\t\tx\n\t y\n\tEOF\n", &["x\n y\n"]);
    check_runs("FROM a\nRUN cat <<A <<-B\na\nA\n\tb\n\tB\n", &["cat <<A <<-B\na\nA\n\tb\nB"]);
    check_runs("FROM a\nRUN <<EOF\nEOF\n", &[""]);
}

#[test]
fn heredocs_are_for_run_copy_and_add_alone() {
    check_errors("FROM a\nLABEL a=<<EOF\nEOF\n", &[("unknown instruction `EOF`", "EOF")]);
    check_errors("FROM a\nRUN <<EOF\nx\n", &[("heredoc `EOF` is never closed", "<<EOF")]);
    check_errors(
        "FROM a\nCOPY x <<EOF\nEOF\n",
        &[("a heredoc cannot be the destination", "<<EOF")],
    );
    let InstructionKind::Copy(copy) = one("COPY <<\"A\" 3<<B c /d/\n$x\nA\n$x\nB") else {
        panic!()
    };
    let of = |index: usize| {
        let heredoc = &copy.paths.heredocs[index];
        (heredoc.name.as_str(), heredoc.expand, heredoc.fd, heredoc.body.as_str())
    };
    assert_eq!((of(0), of(1)), (("A", false, 0, "$x\n"), ("B", true, 3, "$x\n")));
    assert_eq!(
        (copy.paths.sources[0].raw.as_str(), copy.paths.destination.raw.as_str()),
        ("c", "/d/")
    );
}

#[test]
fn lines_may_be_of_any_length() {
    let long = "x".repeat(200_000);
    check_runs(&format!("FROM a\nRUN echo {long}\n"), &[&format!("echo {long}")]);
}

#[test]
fn a_file_needs_instructions_and_a_stage() {
    check_errors("", &[("the Dockerfile has no instructions", "")]);
    check_errors("\n# x\n", &[("the Dockerfile has no instructions", "")]);
    check_errors("ARG A\n", &[("there is no `FROM`, so nothing to build", "")]);
    check_errors("RUN x\nENV a=b\n", &[("`RUN` before the first `FROM`", "RUN")]);
}

#[test]
fn comments_are_whole_lines_also_inside_of_instructions() {
    check_runs("FROM a\nRUN x \\\n# y\n   # z \\\n  w # v\n# u\n", &["x   w # v"]);
    check_runs("FROM a\nRUN x \\\n# y\n", &["x"]);
}

#[test]
fn continuations_may_have_blanks_behind_the_mark() {
    check_runs("FROM a\nRUN x \\ \t\n  y\\\nz\n", &["x   yz"]);
    check_runs("FROM a\n  \t RUN x \\\n\t y\n", &["x \t y"]);
    check_runs("FROM a\nRU\\\nN x\n", &["x"]);
    check_runs("FROM a\nRUN x \\", &["x"]);
}

#[test]
fn an_escaped_escape_continues_nothing() {
    check_runs("FROM a\nRUN x \\\\\nRUN y\n", &["x \\\\", "y"]);
    check_runs("FROM a\nRUN x \\\\\\\nRUN y\n", &["x \\\\\\", "y"]);
    check_runs("FROM a\nRUN x \\\\\\\n y\n", &["x \\\\ y"]);
    check_errors("FROM a\nRUN x \\\\\n y\n", &[("unknown instruction `y`", "y")]);
}

#[test]
fn empty_lines_inside_are_skipped_with_a_warning() {
    let text = "FROM a\nRUN x \\\n\n   \n y\nRUN z\n";
    check_runs(text, &["x  y", "z"]);
    assert_eq!(file(text).empty_continuations.len(), 2);
}

#[test]
fn keywords_have_any_case_and_near_ones_are_suggested() {
    check_runs("from a\nRuN x\n", &["x"]);
    check_errors("FROM a\nRUNN x\n", &[("unknown instruction `RUNN`", "RUNN")]);
    check_help("FROM a\nRUNN x\n", "did you mean `RUN`?");
    check_help("FROM a\nENTRYPONT x\n", "did you mean `ENTRYPOINT`?");
    check_help("FROM a\n// x\n", "comments start with `#`");
}

#[test]
fn switches_are_bare_or_have_a_word() {
    let link = |line: &str| match one(line) {
        InstructionKind::Copy(copy) => copy.link,
        other => panic!("{other:?}"),
    };
    assert!(
        link("COPY --link a b") && link("COPY --link=true a b") && link("COPY --link=TRUE a b")
    );
    assert!(!link("COPY --link=False a b") && !link("COPY a b"));
    check_errors(
        "FROM a\nCOPY --link= a b\n",
        &[("flag `--link` takes `true` or `false`, not ``", "--link=")],
    );
    check_errors(
        "FROM a\nCOPY --link=1 a b\n",
        &[("flag `--link` takes `true` or `false`, not `1`", "--link=1")],
    );
}

#[test]
fn flags_come_once_but_for_lists() {
    check_errors("FROM a\nCOPY --link --link a b\n", &[("flag `--link` is given twice", "--link")]);
    check_errors("FROM a\nCOPY --chown a b\n", &[("flag `--chown` needs a value", "--chown")]);
    check_errors(
        "FROM a\nCOPY --froom=x a b\n",
        &[("unknown flag `--froom` for `COPY`", "--froom")],
    );
    check_help("FROM a\nCOPY --froom=x a b\n", "did you mean `--from`?");
    check_help("FROM a\nENV --x a=b\n", "`ENV` takes no flags");
    let InstructionKind::Copy(copy) =
        one("COPY --exclude=a --exclude=\"b c\" --chown= --chmod=u=rwX,go=rX -- --x y /z")
    else {
        panic!()
    };
    let raw = |words: &[lathe_dockerfile::Word]| -> Vec<String> {
        words.iter().map(|word| word.raw.clone()).collect()
    };
    assert_eq!(raw(&copy.exclude), ["a", "b c"]);
    assert_eq!(raw(&copy.paths.sources), ["--x", "y"]);
    assert_eq!(copy.chown.map(|word| word.raw).as_deref(), Some(""));
    assert_eq!(copy.chmod.map(|word| word.raw).as_deref(), Some("u=rwX,go=rX"));
}

#[test]
fn the_json_form_is_all_or_nothing() {
    let command = |line: &str| match one(line) {
        InstructionKind::Cmd(cmd) => cmd.command,
        InstructionKind::Entrypoint(entrypoint) => entrypoint.command,
        other => panic!("{other:?}"),
    };
    let exec = |words: &[&str]| CommandLine::Exec(words.iter().map(|&w| w.to_owned()).collect());
    let text = |text: &str| CommandLine::Shell(text.to_owned(), Vec::new());
    assert_eq!(command(r#"CMD  [ "a" , "b\"\u00e9" ]  "#), exec(&["a", "b\"é"]));
    assert_eq!(command("ENTRYPOINT []"), exec(&[]));
    assert_eq!(command("CMD ['a']"), text("['a']"));
    assert_eq!(command(r#"CMD ["a",]"#), text(r#"["a",]"#));
    assert_eq!(command(r#"CMD ["a"] b"#), text(r#"["a"] b"#));
    assert_eq!(command(r#"CMD ["c:\x"]"#), text(r#"["c:\x"]"#));
    assert_eq!(command("CMD"), text(""));
    for trap in ["CMD ['a']", "RUN [\"a\" \"b\"]", "COPY ['a', 'b']", "VOLUME ['a']"] {
        let rules: Vec<_> =
            parse(&format!("FROM a\n{trap}\n")).diagnostics.iter().map(|it| it.rule).collect();
        assert_eq!(rules, [Rule::MalformedJsonForm], "{trap}");
    }
    assert!(parse("FROM a\nRUN [ \"$x\" = y ]\n").diagnostics.is_empty());
    check_errors("FROM a\nCMD [\"a\", 1]\n", &[("the JSON form takes strings only", "1")]);
    check_errors("FROM a\nSHELL bash -c\n", &[("`SHELL` takes the JSON form only", "bash -c")]);
}

#[test]
fn directives_stand_before_all_else() {
    let escape = |text: &str| file(&format!("{text}\nFROM a\n")).escape;
    assert_eq!(escape("# escape=`"), '`');
    assert_eq!(escape("#\tEsCaPe = ` "), '`');
    assert_eq!(escape("# syntax=a\n# check=skip=all\n# escape=`"), '`');
    assert_eq!(escape("  # escape=`"), '`');
    assert_eq!(escape("  # syntax=x\n# escape=`"), '\\');
    assert_eq!(escape("# a comment\n# escape=`"), '\\');
    assert_eq!(escape("# unknown=x\n# escape=`"), '\\');
    assert_eq!(escape("\n# escape=`"), '\\');
    assert_eq!(escape("ARG A\n# escape=`"), '\\');
    check_errors("# escape=x\nFROM a\n", &[("invalid escape character `x`", "x")]);
    check_errors(
        "# escape=\\\n# Escape=`\nFROM a\n",
        &[("directive `Escape` is given twice", "`")],
    );
    let file = file("# syntax=docker/dockerfile:1.7-labs --x\nFROM a\n");
    assert_eq!(file.directives.frontend(), Some("docker/dockerfile:1.7-labs"));
}

#[test]
fn the_options_of_checks_are_checked() {
    check_errors("# check=skip\nFROM a\n", &[("check option `skip` has no value", "skip")]);
    check_errors("# check=skp=all\nFROM a\n", &[("unknown check option `skp`", "skp=all")]);
    check_help("# check=skp=all\nFROM a\n", "did you mean `skip`?");
    check_errors(
        "# check=error=maybe\nFROM a\n",
        &[("check option `error` takes `true` or `false`, not `maybe`", "error=maybe")],
    );
    check_help("# check=skip=FromAsCasin\nFROM a\n", "did you mean `FromAsCasing`?");
    assert!(
        parse("# check=error=1; skip = all ;experimental=all\nFROM a\n").diagnostics.is_empty()
    );
}

#[test]
fn a_file_for_another_front_end_is_one_error() {
    let message = "this is a file for the front end `example/buildpacks:1`, no Dockerfile";
    check_errors(
        "#!/usr/bin/env x\n// syntax=example/buildpacks:1 --x\nfoo\nbar\n",
        &[(message, "example/buildpacks:1 --x")],
    );
    check_errors(
        "{\"syntax\": \"example/buildpacks:1\"}\n",
        &[(message, "\"example/buildpacks:1\"")],
    );
    check_errors("// syntax=docker/dockerfile:1\nFROM a\n", &[("unknown instruction `//`", "//")]);
}

#[test]
fn descriptions_stand_directly_above() {
    let file =
        file("# VERSION of it\nARG VERSION\n# base is first\nFROM a AS Base\n# B is\n\nARG B\n");
    assert_eq!(file.global_args[0].entries[0].doc.as_deref(), Some("of it"));
    assert_eq!(file.stages[0].doc.as_deref(), Some("is first"));
    let InstructionKind::Arg(arg) = &file.stages[0].instructions[0].kind else { panic!() };
    assert_eq!(arg.entries[0].doc, None);
}

#[test]
fn from_has_an_image_and_may_have_a_name() {
    let stage = file("FROM --platform=$P \"a:$T\" As B-1_x.y\n").stages.remove(0);
    assert_eq!((stage.base.raw.as_str(), stage.key().as_deref()), ("\"a:$T\"", Some("b-1_x.y")));
    assert_eq!(stage.platform.map(|word| word.raw).as_deref(), Some("$P"));
    let surplus = "`FROM` takes an image, or an image and `AS name`";
    check_errors("FROM a b\n", &[(surplus, "b")]);
    check_errors("FROM a AS b c\n", &[(surplus, "AS b c")]);
    check_errors("FROM a AS 1b\n", &[("invalid stage name `1b`", "1b")]);
    check_errors("FROM a AS b/c\n", &[("invalid stage name `b/c`", "b/c")]);
}

#[test]
fn pairs_are_new_or_old() {
    let pairs = |line: &str| -> Vec<(String, String, bool)> {
        let pairs = match one(line) {
            InstructionKind::Env(env) => env.pairs,
            InstructionKind::Label(label) => label.pairs,
            other => panic!("{other:?}"),
        };
        pairs.into_iter().map(|pair| (pair.key.raw, pair.value.raw, pair.legacy)).collect()
    };
    let pair = |key: &str, value: &str, legacy| (key.to_owned(), value.to_owned(), legacy);
    assert_eq!(
        pairs("ENV a=1 b=\"x y\" c=\\ d="),
        [pair("a", "1", false), pair("b", "\"x y\"", false), pair("c", "\\ d=", false)]
    );
    assert_eq!(pairs("ENV a  b = c  "), [pair("a", "b = c", true)]);
    assert_eq!(
        pairs("LABEL \"a b\"='c' d=e=f"),
        [pair("\"a b\"", "'c'", false), pair("d", "e=f", false)]
    );
    check_errors("FROM a\nENV a=1 b\n", &[("`b` has no value", "b")]);
    check_errors("FROM a\nENV a\n", &[("`a` has no value", "a")]);
}

#[test]
fn run_has_mounts_network_security_and_devices() {
    let InstructionKind::Run(run) = one(
        "RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t,size=1m --network=host \
         --security=insecure --device=vendor.com/gpu=all,required --device=name=b x",
    ) else {
        panic!()
    };
    assert_eq!(
        (run.mounts.len(), run.network, run.security),
        (2, Some(Network::Host), Some(Security::Insecure))
    );
    let devices: Vec<_> =
        run.devices.iter().map(|it| (it.name.raw.as_str(), it.required)).collect();
    assert_eq!(devices, [("vendor.com/gpu=all", true), ("b", false)]);
    check_errors(
        "FROM a\nRUN --network=hots x\n",
        &[("`--network` takes `default` or `none` or `host`, not `hots`", "hots")],
    );
    check_errors("FROM a\nRUN []\n", &[("`RUN` needs a command", "RUN")]);
    assert_eq!(parse("FROM a\nRUN\n").diagnostics[0].severity, Severity::Warning);
}

#[test]
fn add_has_its_own_flags() {
    let InstructionKind::Add(add) =
        one("ADD --keep-git-dir --unpack=false --link --checksum=sha256:x --exclude=y u v")
    else {
        panic!()
    };
    assert_eq!((add.keep_git_dir, add.unpack, add.link), (Some(true), Some(false), true));
    assert_eq!(add.checksum.map(|word| word.raw).as_deref(), Some("sha256:x"));
    check_errors("FROM a\nADD --from=x a b\n", &[("unknown flag `--from` for `ADD`", "--from")]);
    check_errors("FROM a\nCOPY --from=$x a b\n", &[("`--from` cannot hold a variable", "$x")]);
    check_errors("FROM a\nCOPY https://x/y z\n", &[("`COPY` cannot fetch a URL", "https://x/y")]);
}

#[test]
fn health_checks_have_intervals() {
    let InstructionKind::Healthcheck(Healthcheck::Cmd(check)) =
        one("HEALTHCHECK --interval=1m30s --timeout=0s --start-period=1h --retries=0 cmd [\"a\"]")
    else {
        panic!()
    };
    assert_eq!(check.command, CommandLine::Exec(vec!["a".to_owned()]));
    assert_eq!(
        (check.interval, check.timeout, check.retries),
        (Some(Duration::from_secs(90)), Some(Duration::ZERO), Some(0))
    );
    let none = InstructionKind::Healthcheck(Healthcheck::None);
    assert_eq!(one("HEALTHCHECK none"), none);
    assert_eq!(one("HEALTHCHECK --interval=1s NONE"), none);
    let error = |line: &str| parse(&format!("FROM a\n{line}\n")).diagnostics[0].message.clone();
    assert_eq!(error("HEALTHCHECK --interval=1us CMD x"), "`--interval` is less than 1ms");
    assert_eq!(
        error("HEALTHCHECK --interval=-1s CMD x"),
        "invalid duration `-1s` for `--interval`"
    );
    assert_eq!(error("HEALTHCHECK --retries=-1 CMD x"), "invalid number of retries `-1`");
    assert_eq!(error("HEALTHCHECK NONE x"), "`HEALTHCHECK NONE` takes no arguments");
    assert_eq!(error("HEALTHCHECK CMD"), "a command is expected behind `CMD`");
}

#[test]
fn volumes_and_ports_are_words_or_json() {
    let InstructionKind::Volume(volume) = one("VOLUME [\"/a b\", \"/c\"]") else { panic!() };
    assert_eq!(volume.paths[0].raw, "/a b");
    let InstructionKind::Volume(volume) = one("VOLUME /a $b") else { panic!() };
    assert_eq!(volume.paths[1].raw, "$b");
    let InstructionKind::Expose(expose) = one("EXPOSE 80 $PORTS 90-99/udp") else { panic!() };
    assert_eq!(expose.ports.len(), 3);
}

#[test]
fn triggers_are_kept_as_text_with_their_heredocs() {
    let InstructionKind::Onbuild(onbuild) = one("onbuild  copy --from=b <<E /x\nbody\nE") else {
        panic!()
    };
    assert_eq!(onbuild.trigger, "copy --from=b <<E /x\nbody\nE");
    let again = parse_trigger(&onbuild.trigger, '\\').expect("what was written is read");
    let InstructionKind::Copy(copy) = again.kind else { panic!() };
    assert_eq!(copy.paths.heredocs[0].body, "body\n");
}

#[test]
fn a_trigger_is_one_instruction_and_not_any() {
    let error = |text: &str| parse_trigger(text, '\\').expect_err(text)[0].message.clone();
    assert_eq!(error("FROM a"), "`FROM` cannot be a trigger of `ONBUILD`");
    assert_eq!(error("onbuild RUN x"), "`ONBUILD` cannot be a trigger of `ONBUILD`");
    assert_eq!(error("MAINTAINER x"), "`MAINTAINER` cannot be a trigger of `ONBUILD`");
    assert_eq!(error(""), "the trigger has no instruction");
    assert_eq!(error("RUN x\nRUN y"), "a trigger is one instruction, and this is another");
    assert_eq!(error("RUNN x"), "unknown instruction `RUNN`");
    assert_eq!(error("RUN <<E\nx"), "heredoc `E` is never closed");
    assert_eq!(error("COPY a"), "`COPY` needs a source and a destination");
    let continued = parse_trigger("RUN x `\n  y\n", '`').expect("another escape character");
    assert_eq!(continued.source, "RUN x   y");
    assert!(parse_trigger("RUN ['x']", '\\').is_ok(), "warnings do not count");
}
