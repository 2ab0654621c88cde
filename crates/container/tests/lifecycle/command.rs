//! A command as the product's: it enters namespaces, opens the store, does one thing and ends.

use std::io::BufRead as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use lathe_container::AnonymousVolumes;
use lathe_container::ContainerSpec;
use lathe_container::Containers;
use lathe_container::Detach;
use lathe_container::Error;
use lathe_container::ExecSpec;
use lathe_container::Follow;
use lathe_container::Force;
use lathe_container::LogStream;
use lathe_container::StdinMode;
use lathe_container::StopOptions;
use lathe_container::Streams;
use lathe_container::Terminal;
use lathe_store::Store;

pub(crate) fn run(store: &Path, args: &[&str]) -> ExitCode {
    let entered = lathe_userns::enter().unwrap();
    let store = Store::open(store).unwrap();
    let containers = Containers::new(&store, entered.userxattr());
    match execute(&store, &containers, entered.userxattr(), args) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap()),
        Err(error) => {
            eprint!("{error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                eprint!(": {error}");
                cause = error.source();
            }
            eprintln!();
            let code = error.exit_code();
            ExitCode::from(u8::try_from(code).unwrap())
        }
    }
}

fn execute(
    store: &Store,
    containers: &Containers,
    userxattr: bool,
    args: &[&str],
) -> Result<i32, Error> {
    let id = |name: &str| Ok::<_, Error>(containers.find(name)?.record.id);
    match *args {
        ["image"] => println!("{}", image(store, userxattr)),
        ["build-network", target] => build_network(target),
        ["run", streams, spec] => return start(containers, streams, spec),
        ["create", spec] => println!("{}", containers.create(parse(spec))?.record.id),
        ["start", name] => drop(containers.start(&id(name)?, Streams::Detached)?),
        ["restart", name] => drop(containers.restart(&id(name)?, &StopOptions::default())?),
        ["attach", name] => return containers.attach(&id(name)?),
        ["ps"] => {
            for view in containers.list()? {
                let state = view.state;
                println!("{} {} {}", view.record.name, state.status, state.exit_code);
            }
        }
        ["inspect", name] => {
            let view = containers.find(name)?;
            println!("{}", serde_json::to_string(&(view.record, view.state)).unwrap());
        }
        ["logs", name] | ["logs", "-f", name] => {
            let follow = if args.len() == 3 { Follow::Yes } else { Follow::No };
            containers.logs(&id(name)?, follow, &mut |line| {
                match line.stream {
                    LogStream::Stdout => print!("{}", line.text),
                    LogStream::Stderr => eprint!("{}", line.text),
                }
                true
            })?;
        }
        ["stop", seconds, name] => {
            let timeout = Some(Duration::from_secs(seconds.parse().unwrap()));
            containers.stop(&id(name)?, &StopOptions { signal: None, timeout })?;
        }
        ["kill", signal, name] => containers.kill(&id(name)?, signal)?,
        ["wait", name] => println!("{}", containers.wait(&id(name)?)?),
        ["rm", name] => containers.remove(&id(name)?, Force::No, AnonymousVolumes::Keep)?,
        ["rm", "-f", name] => containers.remove(&id(name)?, Force::Yes, AnonymousVolumes::Keep)?,
        ["rm", "-v", name] => containers.remove(&id(name)?, Force::No, AnonymousVolumes::Remove)?,
        ["exec", flags, name, ref command @ ..] => {
            return containers.exec(&id(name)?, &exec_spec(flags, command));
        }
        _ => panic!("{args:?}"),
    }
    Ok(0)
}

/// Makes a build's network and says who answers at `target` from inside.
fn build_network(target: &str) {
    let network = match lathe_container::build_network() {
        Ok(network) => network,
        Err(unavailable) => {
            return eprintln!("{}, fix: {}", unavailable.reason, unavailable.fix);
        }
    };
    assert!(network.resolv_conf().contains("nameserver"));
    let namespace = std::fs::File::open(network.path()).unwrap();
    let ask = move || {
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let stream = std::net::TcpStream::connect(target).unwrap();
        let mut answer = String::new();
        std::io::BufReader::new(stream).read_line(&mut answer).unwrap();
        answer
    };
    let answer = std::thread::scope(|scope| scope.spawn(ask).join().unwrap());
    print!("{answer}");
}

fn exec_spec(flags: &str, command: &[&str]) -> ExecSpec {
    ExecSpec {
        command: command.iter().map(|&word| word.to_owned()).collect(),
        env: vec!["GIVEN=exec".to_owned()],
        working_dir: flags.contains('w').then(|| "/tmp".to_owned()),
        user: flags.contains('u').then(|| "7".to_owned()),
        terminal: if flags.contains('t') { Terminal::Allocate } else { Terminal::None },
        stdin: if flags.contains('i') { StdinMode::Open } else { StdinMode::Closed },
        detach: if flags.contains('d') { Detach::Yes } else { Detach::No },
    }
}

fn parse(spec: &str) -> ContainerSpec {
    serde_json::from_str(spec).unwrap()
}

fn start(containers: &Containers, streams: &str, spec: &str) -> Result<i32, Error> {
    let view = containers.create(parse(spec))?;
    let attached = streams == "attached";
    let streams = if attached { Streams::Attached } else { Streams::Detached };
    let started = containers.start(&view.record.id, streams)?;
    for warning in &started.warnings {
        eprintln!("WARNING: {warning}");
    }
    if attached {
        return containers.follow_started(started);
    }
    println!("{}", started.id);
    Ok(0)
}

/// Makes a snapshot with busybox and some files; returns its id.
fn image(store: &Store, userxattr: bool) -> lathe_store::SnapshotId {
    let snapshots = lathe_snapshot::Snapshots::new(store, userxattr);
    let active = snapshots.prepare(None).unwrap();
    let root = active.changes().to_owned();
    for folder in ["bin", "etc", "tmp", "www", "data/sub"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    let list = std::process::Command::new("/bin/busybox").arg("--list").output().unwrap();
    for applet in String::from_utf8(list.stdout).unwrap().lines() {
        if applet != "busybox" {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nweb:x:7:7::/www:\n")
        .unwrap();
    std::fs::write(root.join("www/index.html"), "hello from the container\n").unwrap();
    std::fs::write(root.join("data/sub/file"), "from the image\n").unwrap();
    std::fs::write(root.join("bin/noexec"), "text").unwrap();
    let lower = active.commit().unwrap();
    // A second layer, so that there is an overlay of two.
    let active = snapshots.prepare(Some(lower)).unwrap();
    std::fs::write(active.mount().unwrap().path().join("second"), "layer\n").unwrap();
    active.commit().unwrap()
}
