//! Command lines as people type them, and what docker says to wrong ones.

use super::*;

fn argv(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn action(line: &str) -> Action {
    match parse(&argv(line)) {
        Ok((_, action)) => action,
        Err(usage) => panic!("{line}: {}", usage.text),
    }
}

fn build(line: &str) -> BuildArgs {
    match action(line) {
        Action::Build(args) => *args,
        other => panic!("{line}: {other:?}"),
    }
}

fn run(line: &str) -> RunArgs {
    match action(line) {
        Action::Run(args) => *args,
        other => panic!("{line}: {other:?}"),
    }
}

/// Checks docker's answer to a wrong command line.
fn refused(line: &str, code: u8, text: &str) {
    let usage = match parse(&argv(line)) {
        Err(usage) => usage,
        Ok((_, action)) => panic!("{line}: parsed as {action:?}"),
    };
    assert!(usage.text.starts_with(text), "{line}\n got: {}\nwant: {text}", usage.text);
    assert_eq!(usage.code, code, "{line}: {}", usage.text);
}

#[test]
fn the_tutorials_builds_are_understood() {
    let args = build("lathe build -t node-multistage .");
    assert_eq!((args.tags, args.path), (vec!["node-multistage".to_owned()], ".".to_owned()));
    let args = build("lathe build --target development -t myapp:dev .");
    assert_eq!(args.meaning.target.as_deref(), Some("development"));
    assert_eq!(args.tags, ["myapp:dev"]);
    let args = build("lathe build -f Dockerfile.single -t app:single .");
    assert_eq!(args.file.as_deref(), Some("Dockerfile.single"));
    assert_eq!(args.tags, ["app:single"]);
}

#[test]
fn the_tutorials_other_commands_are_understood() {
    let args = run("lathe run -d -p 3000:3000 node-multistage");
    assert!(args.detach);
    assert_eq!(
        (args.publish, args.rest),
        (vec!["3000:3000".to_owned()], vec!["node-multistage".to_owned()])
    );
    match action("lathe images node-multistage") {
        Action::Images(args) => assert_eq!(args.repository.as_deref(), Some("node-multistage")),
        other => panic!("{other:?}"),
    }
    assert!(matches!(action("lathe images"), Action::Images(_)));
}

#[test]
fn lists_keep_their_order_and_single_flags_keep_the_last() {
    let args =
        build("lathe build --tag=a -t b --target x --target y --build-arg K=1 --build-arg=K=2 -");
    assert_eq!(args.tags, ["a", "b"]);
    assert_eq!(args.meaning.target.as_deref(), Some("y"));
    assert_eq!(args.meaning.arguments, ["K=1", "K=2"]);
    assert_eq!(args.path, "-");
}

#[test]
fn switches_follow_gos_flags() {
    let args = run("lathe run -it --rm=false --read-only=1 alpine");
    assert!(args.interactive && args.tty && !args.rm && args.read_only);
    let args = run("lathe run -itd alpine");
    assert!(args.interactive && args.tty && args.detach);
    let args = run("lathe run --rm --rm=false alpine");
    assert!(!args.rm);
    match action("lathe history --human=false x") {
        Action::History(args) => assert!(!args.human),
        other => panic!("{other:?}"),
    }
    match action("lathe history x") {
        Action::History(args) => assert!(args.human),
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_that_follows_the_image_belongs_to_the_container() {
    assert_eq!(run("lathe run --rm alpine -e x").rest, ["alpine", "-e", "x"]);
    assert_eq!(
        run("lathe run alpine sh -c true -- --rm").rest,
        ["alpine", "sh", "-c", "true", "--", "--rm"]
    );
    assert_eq!(run("lathe run -- alpine ls --help").rest, ["alpine", "ls", "--help"]);
    assert!(!run("lathe run alpine --rm").rm);
    match action("lathe exec -it web sh -l") {
        Action::Exec(args) => assert_eq!(args.rest, ["web", "sh", "-l"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_value_may_begin_with_a_dash() {
    assert_eq!(run("lathe run -e -x -h host alpine").env, ["-x"]);
    assert_eq!(run("lathe run -h host alpine").hostname.as_deref(), Some("host"));
}

#[test]
fn management_spellings_mean_the_short_ones() {
    let pairs = [
        ("image build .", "build ."),
        ("builder build .", "build ."),
        ("image ls -q", "images -q"),
        ("image list", "images"),
        ("image rm a b", "rmi a b"),
        ("image history a", "history a"),
        ("image tag a b", "tag a b"),
        ("image pull a", "pull a"),
        ("image push a", "push a"),
        ("image save a -o f", "save a -o f"),
        ("image load -i f", "load -i f"),
        ("container run a", "run a"),
        ("container ls -a", "ps -a"),
        ("container ps", "ps"),
        ("container logs -f a", "logs -f a"),
        ("container stop -t 3 a", "stop -t 3 a"),
        ("container kill a", "kill a"),
        ("container rm -f a", "rm -f a"),
        ("container exec a b", "exec a b"),
        ("container wait a", "wait a"),
        ("system info", "info"),
    ];
    for (long, short) in pairs {
        let dump = |line: &str| format!("{:?}", action(&format!("lathe {line}")));
        assert_eq!(dump(long), dump(short), "{long}");
    }
}

#[test]
fn groups_have_their_own_prune_and_inspect() {
    let scope = |line: &str| match action(line) {
        Action::Prune(_, scope) => scope,
        other => panic!("{other:?}"),
    };
    assert_eq!(scope("lathe system prune -af"), PruneScope::System);
    assert_eq!(scope("lathe image prune -a"), PruneScope::Images);
    assert_eq!(scope("lathe container prune -f"), PruneScope::Containers);
    let kind = |line: &str| match action(line) {
        Action::Inspect(args) => args.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind("lathe image inspect a"), Some(InspectType::Image));
    assert_eq!(kind("lathe container inspect a"), Some(InspectType::Container));
    assert_eq!(kind("lathe inspect a"), None);
    assert_eq!(kind("lathe inspect --type container a"), Some(InspectType::Container));
}

#[test]
fn the_cache_has_its_own_commands() {
    match action("lathe builder prune -af --dry-run --keep-storage 1g --max-used-space 2g") {
        Action::PruneCache(args) => {
            assert!(args.common.all && args.common.force && args.common.dry_run);
            assert_eq!(args.keep_storage.as_deref(), Some("1g"));
            assert_eq!(args.max_used_space.as_deref(), Some("2g"));
        }
        other => panic!("{other:?}"),
    }
    match action("lathe buildx prune --reserved-space 1g --filter until=24h --filter shared") {
        Action::PruneCache(args) => {
            assert_eq!(args.keep_storage.as_deref(), Some("1g"));
            assert_eq!(args.common.filters, ["until=24h", "shared"]);
        }
        other => panic!("{other:?}"),
    }
    match action("lathe builder du --verbose --filter type=regular --format json") {
        Action::CacheUsage(args) => assert!(args.verbose && args.format.is_some()),
        other => panic!("{other:?}"),
    }
    match action("lathe builder logs abc 12") {
        Action::BuildLogs(args) => {
            assert_eq!((args.build.as_deref(), args.step.as_deref()), (Some("abc"), Some("12")));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(action("lathe builder ls -q"), Action::ListBuilds(args) if args.quiet));
    assert!(matches!(action("lathe why-not-cached"), Action::WhyNotCached(_)));
    assert!(matches!(action("lathe why-not-cached ^1"), Action::WhyNotCached(_)));
    match action("lathe cache-mount export -o npm.tar npm") {
        Action::ExportCacheMount(args) => {
            assert_eq!(args.output.as_deref(), Some(std::path::Path::new("npm.tar")));
            assert_eq!(args.name, "npm");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(action("lathe cache-mount import npm"), Action::ImportCacheMount(_)));
    assert!(matches!(action("lathe cache-mount list"), Action::ListCacheMounts(_)));
    assert!(matches!(action("lathe cache-mount rm -f a b"), Action::RemoveCacheMounts(_)));
    refused("lathe cache-mount rm", 1, "\"lathe cache-mount rm\" requires at least 1 argument.\n");
    refused(
        "lathe builder logs a b c",
        1,
        "\"lathe builder logs\" requires at most 2 arguments.\nSee 'lathe builder logs --help'.\n\n\
         Usage:  lathe builder logs [OPTIONS] [BUILD [STEP]]\n",
    );
    let args = build("lathe build --explain --dry-run .");
    assert!(args.explain && args.dry_run);
}

#[test]
fn global_flags_stand_before_or_after_the_command() {
    for line in [
        "lathe --root /s --config c.toml --debug images -q",
        "lathe images --root=/s -q --debug --config c.toml",
    ] {
        let (global, _) = parse(&argv(line)).expect(line);
        assert_eq!(global.config.as_deref(), Some(std::path::Path::new("c.toml")), "{line}");
        assert_eq!(global.root.as_deref(), Some(std::path::Path::new("/s")), "{line}");
        assert!(global.debug);
    }
}

#[test]
fn flags_of_other_builders_are_read_and_those_whose_effect_is_missed_explained() {
    let explained = |line: &str| -> Vec<&str> {
        build(line).accepted.explained().into_iter().map(|(flag, _)| flag).collect()
    };
    assert_eq!(explained("lathe build --load --rm --provenance=false --layers ."), [""; 0]);
    assert_eq!(
        explained("lathe build --cache-to type=local,dest=x --provenance --memory 1g -c 2 ."),
        ["--cache-to", "--provenance"]
    );
    let args = build("lathe build --memory 1g -c 2 --resource memory-swap=2g,cpu-quota=1 .");
    let limits: Vec<_> = args.run.limits.resources().collect();
    assert_eq!(limits, [("memory", "1g"), ("cpu-shares", "2")]);
    assert_eq!(args.run.resources, ["memory-swap=2g", "cpu-quota=1"]);
    assert_eq!(run("lathe run -m 1g a").later.unsupported(), Some("--memory"));
    assert_eq!(run("lathe run --restart no --init a").later.unsupported(), None);
}

#[test]
fn the_flags_of_a_build_are_read() {
    let args = build(
        "lathe build --secret id=a,src=b --ssh default --build-context a=b --add-host x:1.2.3.4 \
         --no-cache-filter one,two --allow network.host --ulimit nofile=1 --shm-size 64m --push \
         --squash --check .",
    );
    assert_eq!(args.run.secrets, ["id=a,src=b"]);
    assert_eq!(args.run.ssh, ["default"]);
    assert_eq!(args.meaning.build_contexts, ["a=b"]);
    assert_eq!(args.run.hosts, ["x:1.2.3.4"]);
    assert_eq!(args.meaning.no_cache_filter, ["one", "two"]);
    assert_eq!(args.meaning.allow, ["network.host"]);
    assert_eq!((args.run.ulimits.len(), args.run.shm_size.as_deref()), (1, Some("64m")));
    assert!(args.result.push && args.result.squash && args.call.check);
    assert_eq!(build("lathe build --print .").call.print.as_deref(), Some("graph"));
    assert_eq!(build("lathe build --print=outline .").call.print.as_deref(), Some("outline"));
}

#[test]
fn mistakes_in_flags_are_told_as_docker_tells_them() {
    refused("lathe run --foo a", 125, "unknown flag: --foo\nSee 'lathe run --help'.\n");
    refused("lathe image ls --foo=x", 125, "unknown flag: --foo\nSee 'lathe image ls --help'.\n");
    refused(
        "lathe run -xyz a",
        125,
        "unknown shorthand flag: 'x' in -xyz\nSee 'lathe run --help'.",
    );
    refused("lathe run -itX a", 125, "unknown shorthand flag: 'X' in -itX\n");
    refused("lathe images -f", 125, "flag needs an argument: 'f' in -f\n");
    refused("lathe build --tag", 125, "flag needs an argument: --tag\n");
    refused(
        "lathe run --rm=x a",
        125,
        "invalid argument \"x\" for \"--rm\" flag: strconv.ParseBool: parsing \"x\": invalid syntax\n",
    );
    refused(
        "lathe ps -n x",
        125,
        "invalid argument \"x\" for \"-n, --last\" flag: strconv.ParseInt: parsing \"x\": invalid syntax\n",
    );
    refused(
        "lathe build --progress=x .",
        125,
        "invalid argument \"x\" for \"--progress\" flag: want one of auto",
    );
    refused(
        "lathe build -o type=x .",
        125,
        "invalid argument \"type=x\" for \"-o, --output\" flag: ",
    );
}

#[test]
fn wrong_counts_of_arguments_are_told_as_docker_tells_them() {
    refused(
        "lathe rmi",
        1,
        "\"lathe rmi\" requires at least 1 argument.\nSee 'lathe rmi --help'.\n\nUsage:  lathe rmi [OPTIONS] IMAGE [IMAGE...]\n\nRemove one or more images\n",
    );
    refused("lathe run", 1, "\"lathe run\" requires at least 1 argument.\n");
    refused("lathe run --rm", 1, "\"lathe run\" requires at least 1 argument.\n");
    refused("lathe tag a", 1, "\"lathe tag\" requires exactly 2 arguments.\n");
    refused("lathe tag a b c", 1, "\"lathe tag\" requires exactly 2 arguments.\n");
    refused("lathe images a b", 1, "\"lathe images\" requires at most 1 argument.\n");
    refused("lathe ps a", 1, "\"lathe ps\" accepts no arguments.\n");
    refused("lathe exec a", 1, "\"lathe exec\" requires at least 2 arguments.\n");
    refused("lathe build", 1, "\"lathe build\" requires exactly 1 argument.\n");
    refused("lathe build a b", 1, "\"lathe build\" requires exactly 1 argument.\n");
}

#[test]
fn unknown_commands_are_told_as_docker_tells_them() {
    refused("lathe foo", 1, "lathe: 'foo' is not a lathe command.\nSee 'lathe --help'\n");
    refused(
        "lathe image foo",
        1,
        "lathe: 'image foo' is not a lathe command.\nSee 'lathe image --help'\n",
    );
}

#[test]
fn help_goes_with_exit_code_0() {
    refused(
        "lathe rmi --help",
        0,
        "Usage:  lathe rmi [OPTIONS] IMAGE [IMAGE...]\n\nRemove one or more images\n\nOptions:\n  -f, --force",
    );
    refused("lathe --help", 0, "Usage:  lathe [OPTIONS] COMMAND\n\n");
    refused("lathe image", 0, "Usage:  lathe image COMMAND\n\nManage images\n");
    refused("lathe rmi -h", 0, "Usage:  lathe rmi");
    assert!(matches!(action("lathe"), Action::Help(text) if text.starts_with("Usage:  lathe ")));
    assert!(matches!(action("lathe -v"), Action::Version(args) if args.short));
    assert!(matches!(action("lathe --version"), Action::Version(args) if args.short));
}

#[test]
fn every_command_parses_and_has_help() {
    // clap checks a command's definition when it is first used, in debug builds.
    let root = <LowArgs as clap::CommandFactory>::command();
    for command in root.get_subcommands() {
        let name = command.get_name();
        refused(&format!("lathe {name} --help"), 0, &format!("Usage:  lathe {name}"));
        for child in command.get_subcommands() {
            let line = format!("lathe {name} {}", child.get_name());
            refused(&format!("{line} --help"), 0, &format!("Usage:  {line}"));
        }
    }
}
