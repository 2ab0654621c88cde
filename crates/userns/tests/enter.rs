//! Enters the namespaces in every mode that this machine allows.
//!
//! Without the test harness, since its threads would forbid it: each case is this executable run
//! again, which enters, looks around and prints what it sees.

#![expect(clippy::print_stdout, reason = "the children tell the test by their output")]

use std::fs;
use std::path::Path;
use std::process::Command;

use lathe_userns::Mode;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).map(String::as_str) == Some("inside") {
        inside(Path::new(&arguments[2]));
        return;
    }
    match arguments.get(1).map(String::as_str) {
        Some("hold") => return hold(),
        Some("mount") => return mount(Path::new(&arguments[2])),
        Some("observe") => return observe(Path::new(&arguments[2])),
        Some("threads") => return threads(Path::new(&arguments[2])),
        Some("join") => return join(&arguments[2]),
        _ => {}
    }
    if arguments.iter().any(|argument| argument == "--list") {
        println!("enter: test");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let own = run(Command::new(std::env::current_exe().expect("own path")), directory.path());
    assert!(own.starts_with("root") || own.contains("owner 0"), "{own}");
    if !nix::unistd::geteuid().is_root() {
        println!("SKIP inv_userns_*: needs root");
        return;
    }
    inv_userns_1_mounts_are_private_and_end_with_the_process(directory.path());
    inv_userns_2_users_have_exactly_their_sub_ids(directory.path());
    println!("ok");
}

/// Enters and prints the mode, what a new file's owner looks like, and whether overlay mounts.
fn inside(directory: &Path) {
    let entered = match lathe_userns::enter() {
        Ok(entered) => entered,
        Err(error) => {
            println!("error {error}");
            return;
        }
    };
    let mode = match &entered.mode {
        Mode::Root => "root".to_owned(),
        Mode::SubIds { uids, .. } => format!("sub-ids {}", uids.count()),
        Mode::SingleId { reason } => format!("single-id {reason}"),
        Mode::Nested => "nested".to_owned(),
    };
    let file = directory.join(format!("file-{}", std::process::id()));
    fs::write(&file, b"x").expect("write a file");
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&file).expect("stat"));
    let chown = std::os::unix::fs::chown(&file, Some(33), Some(33)).is_ok();
    let before = lathe_userns::doctor::facts(directory);
    let [uids, gids] = ["uid", "gid"].map(map_of);
    println!(
        "{mode}; owner {owner}; chown {chown}; overlay {:?}; maps {uids} and {gids}",
        before.overlay
    );
}

/// Returns a map of this process's ids with a single space between numbers.
fn map_of(kind: &str) -> String {
    let text = fs::read_to_string(format!("/proc/self/{kind}_map")).expect("read the map");
    let lines: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.join(", ")
}

fn run(mut command: Command, directory: &Path) -> String {
    let output = command.arg("inside").arg(directory).output().expect("run the child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    print!("{text}");
    text
}

fn inv_userns_2_users_have_exactly_their_sub_ids(directory: &Path) {
    // In a mount namespace of our own, so that the machine's files stay as they are.
    lathe_userns::enter().expect("enter as root");
    cover("/etc/subuid", "54321:300000:65536\n", directory);
    // Ranges of others, before and after, which must not be taken.
    let gids = "1:100:50\n54321:400000:65536\n543210:500000:65536\n";
    cover("/etc/subgid", gids, directory);
    // newuidmap asks for the names of its users.
    let passwd = fs::read_to_string("/etc/passwd").expect("read the users");
    let users = "ann:x:54321:54321::/:/bin/sh\nbob:x:54322:54322::/:/bin/sh\n";
    cover("/etc/passwd", &format!("{passwd}{users}"), directory);
    // The executable's own directory may be closed to others.
    let program = directory.join("test");
    fs::copy("/proc/self/exe", &program).expect("copy the test");
    open_to_all(directory);
    let as_user = |uid: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", uid, "--regid", uid, "--clear-groups"]).arg(&program);
        run(command, directory)
    };
    let with = as_user("54321");
    if Path::new("/usr/bin/newuidmap").exists() {
        assert!(with.starts_with("sub-ids 65537; owner 0; chown true"), "{with}");
        let want = "maps 0 54321 1, 1 300000 65536 and 0 54321 1, 1 400000 65536\n";
        assert!(with.ends_with(want), "{with}");
    }
    a_user_joins_the_namespaces_of_his_own_process(&program);
    let without = as_user("54322");
    assert!(without.starts_with("single-id"), "{without}");
    assert!(without.contains("owner 0; chown false"), "{without}");
    assert!(without.ends_with("maps 0 54322 1 and 0 54322 1\n"), "{without}");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "54321", "--regid", "54321", "--clear-groups"]).arg(&program);
    inv_userns_3_nothing_is_forked_beside_threads(&mut command, directory);
}

/// Enters, mounts something, says so, and stays until its input ends.
fn mount(directory: &Path) {
    lathe_userns::enter().expect("enter");
    let flags = nix::mount::MsFlags::empty();
    let none: Option<&str> = None;
    nix::mount::mount(Some("none"), directory, Some("tmpfs"), flags, none).expect("mount");
    fs::write(directory.join("file"), b"x").expect("write a file");
    println!("mounted");
    std::io::stdin().read_line(&mut String::new()).expect("wait for the end");
}

/// Runs where mounts are shared with new namespaces, which is where hiding them takes something.
fn observe(directory: &Path) {
    use std::io::BufRead as _;
    let point = directory.to_str().expect("a path of text");
    let sees = |process: &str| {
        fs::read_to_string(format!("/proc/{process}/mountinfo"))
            .is_ok_and(|text| text.lines().any(|line| line.split(' ').nth(4) == Some(point)))
    };
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command.arg("mount").arg(directory);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("start the one that mounts");
    let mut lines = std::io::BufReader::new(child.stdout.take().expect("its output")).lines();
    assert_eq!(lines.next().expect("a line").expect("a line"), "mounted");
    assert!(sees(&child.id().to_string()), "it sees its own mount");
    assert!(!sees("self"), "the mount is seen outside");
    assert_eq!(fs::read_dir(directory).expect("read the directory").count(), 0);
    child.kill().expect("kill it");
    child.wait().expect("wait for its end");
    let processes = fs::read_dir("/proc").expect("read /proc");
    let mut names = processes.map(|entry| entry.expect("an entry").file_name());
    assert!(!names.any(|name| sees(&name.to_string_lossy())), "the mount has outlived it");
}

fn inv_userns_1_mounts_are_private_and_end_with_the_process(directory: &Path) {
    let point = directory.join("mounted");
    fs::create_dir(&point).expect("make a directory");
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "shared"]);
    command.arg(std::env::current_exe().expect("own path")).arg("observe").arg(point);
    let status = command.status().expect("run the observer");
    assert!(status.success(), "{status}");
}

/// Tells what entering says beside another thread, and whether anything was forked for it.
fn threads(directory: &Path) {
    let (_alive, wait) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || wait.recv());
    let namespaces = lathe_userns::doctor::facts(directory).namespaces;
    let refused = matches!(namespaces, lathe_userns::doctor::Namespaces::Refused(_));
    let entered = lathe_userns::enter();
    let refused = refused && matches!(entered, Err(lathe_userns::Error::NotSingleThreaded));
    let childless = nix::sys::wait::waitpid(None, None) == Err(nix::errno::Errno::ECHILD);
    println!("{}", refused && childless);
}

fn inv_userns_3_nothing_is_forked_beside_threads(command: &mut Command, directory: &Path) {
    let output = command.arg("threads").arg(directory).output().expect("run the child");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "true\n", "{output:?}");
}

/// Enters, says so, and stays until its input ends.
fn hold() {
    lathe_userns::enter().expect("enter");
    println!("entered");
    std::io::stdin().read_line(&mut String::new()).expect("wait for the end");
}

fn join(pid: &str) {
    let joined = lathe_userns::join(pid.parse().expect("a process id"));
    let link = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/user")).expect("read a link");
    println!("{}", joined.is_ok() && link("self") == link(pid) && nix::unistd::getuid().is_root());
}

fn a_user_joins_the_namespaces_of_his_own_process(program: &Path) {
    use std::io::BufRead as _;
    use std::process::Stdio;
    let as_user = |uid: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", uid, "--regid", uid, "--clear-groups"]).arg(program);
        command
    };
    let mut command = as_user("54321");
    let mut held = command
        .arg("hold")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the process to join");
    let mut lines = std::io::BufReader::new(held.stdout.take().expect("its output")).lines();
    lines.next().expect("it entered").expect("it entered");
    let pid = held.id().to_string();
    let joins = |uid: &str| {
        let output = as_user(uid).arg("join").arg(&pid).output().expect("run the other");
        String::from_utf8_lossy(&output.stdout).trim() == "true"
    };
    assert!(joins("54321"), "the same user joins");
    assert!(!joins("54322"), "another user does not");
    drop(held.stdin.take());
    held.wait().expect("wait for the process");
}

/// Lets a file of the machine have another text, in this mount namespace only.
fn cover(file: &str, text: &str, directory: &Path) {
    let instead = directory.join(file.replace('/', "-"));
    fs::write(&instead, text).expect("write the text");
    assert!(Path::new(file).exists(), "{file} is missing: install the package uidmap");
    let none: Option<&str> = None;
    nix::mount::mount(Some(&instead), file, none, nix::mount::MsFlags::MS_BIND, none)
        .expect("cover the file");
}

fn open_to_all(directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).expect("open the directory");
}
