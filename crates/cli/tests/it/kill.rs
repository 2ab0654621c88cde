//! `kill -9` at any moment: the next build is successful and the store is sound.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use lathe_testkit::sandbox::Sandbox;

use crate::alone;

const BUILD: &str = "FROM busybox AS one\n\
    COPY data /data\n\
    RUN cp -r /data /copy && rm /copy/1 && sleep 0.05\n\
    FROM layered AS two\n\
    RUN for i in 1 2 3 4 5; do head -c 200000 /dev/urandom > /r$i; done\n\
    FROM busybox\n\
    COPY --from=one /copy /copy\n\
    COPY --from=two /r1 /r2 /\n\
    RUN ls /copy > /listed\n";

/// A generator of moments; the seed is told when a test fails.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self(since.subsec_nanos().into())
    }

    /// Returns a time up to `most`.
    fn next(&mut self, most: Duration) -> Duration {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let part = u32::try_from(self.0 >> 40).unwrap_or(0);
        most.mul_f64(f64::from(part) / f64::from(1 << 24))
    }
}

fn prepare(sandbox: &Sandbox) -> Duration {
    for index in 0..40 {
        sandbox.file(&format!("data/{index}"), vec![b'x'; 5000]);
    }
    sandbox.dockerfile(BUILD);
    let start = Instant::now();
    sandbox.build(&["-t", "x", "--no-cache"]);
    start.elapsed()
}

fn kill_at_moments(sandbox: &Sandbox, rounds: usize) {
    let _alone = alone();
    let whole = prepare(sandbox);
    let mut moments = Moments::new();
    let seed = moments.0;
    for round in 0..rounds {
        // Each round makes other layers, so that there is always something to do; every third
        // begins without any image.
        sandbox.file("data/0", format!("{seed} {round}"));
        if round % 3 == 0 {
            sandbox.lathe(&["system", "prune", "-a", "-f"]).success();
        }
        let mut command =
            sandbox.command(&["build", "-t", "x", "-o", "type=oci,dest=o.tar", "context"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the program starts");
        let moment = moments.next(whole);
        // The one place where time itself is what is tested.
        std::thread::park_timeout(moment);
        child.kill().expect("a child that was not waited for");
        child.wait().expect("it ends");
        if round % 10 == 9 {
            let check = sandbox.lathe(&["system", "check"]);
            assert_eq!(check.code, 0, "seed {seed}, round {round}, {moment:?}: {check:?}");
        }
    }
    let image = sandbox.build(&["-t", "x"]).image;
    assert_eq!(image.text("/listed").lines().count(), 39, "seed {seed}");
    let check = sandbox.lathe(&["system", "check"]);
    assert_eq!(check.code, 0, "seed {seed}: {check:?}");
    sandbox.lathe(&["system", "prune", "-a", "-f"]).success();
    let check = sandbox.lathe(&["system", "check"]).success();
    assert!(
        check.stdout.contains("0 damaged, 0 left over") || check.stderr.contains("0 left over"),
        "{check:?}"
    );
    let left: Vec<_> = fs::read_dir(sandbox.store().join("ingest"))
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert!(left.is_empty(), "left over: {left:?}");
}

#[test]
fn fifty_kills_leave_a_sound_store() {
    if let Some(sandbox) = crate::sandbox() {
        kill_at_moments(&sandbox, 50);
    }
}

#[test]
fn kills_leave_a_sound_store_as_normal_user() {
    if let Some(sandbox) = crate::normal_user() {
        kill_at_moments(&sandbox, 15);
    }
}

#[test]
fn an_interrupted_build_ends_its_commands() {
    let Some(sandbox) = crate::sandbox() else { return };
    sandbox.dockerfile("FROM busybox\nRUN echo begun; sleep 1000\n");
    let mut command = sandbox.command(&["build", "--progress", "plain", "context"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().expect("a pipe")));
    let begun = lines.any(|line| line.is_ok_and(|line| line.ends_with(" begun")));
    assert!(begun, "the command's output is shown while it runs");
    let id = child.id().to_string();
    std::process::Command::new("kill").args(["-INT", &id]).status().expect("kill is there");
    let status = child.wait().expect("it ends");
    assert_eq!(status.code(), Some(130), "{:?}", lines.map_while(Result::ok).collect::<Vec<_>>());
    sandbox.lathe(&["system", "check"]).success();
}

/// What a killed or interrupted command may not leave: processes with this word in what they run,
/// and mounts below this folder.
fn left(word: &str, folder: &std::path::Path) -> Vec<String> {
    let mut left = Vec::new();
    for entry in fs::read_dir("/proc").expect("procfs").flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(word) {
            left.push(line);
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("procfs");
    let folder = folder.to_string_lossy().into_owned();
    left.extend(mounts.lines().filter(|line| line.contains(&folder)).map(str::to_owned));
    left
}

/// Waits until a command prints a line that ends so.
fn wait_for_line(child: &mut std::process::Child, end: &str) {
    let pipe = child.stderr.take().expect("a pipe");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(pipe));
    let mut said = Vec::new();
    let begun = lines.any(|line| {
        let line = line.unwrap_or_default();
        said.push(line.clone());
        line.ends_with(end)
    });
    assert!(begun, "{said:?}");
    // The rest is read as well, else the command would wait for it.
    std::thread::spawn(move || lines.for_each(drop));
}

for_everybody! {
    fn an_interrupted_step_leaves_no_process_and_no_mount(sandbox) {
        let word = format!("7777{}", std::process::id() + u32::from(sandbox.is_root()));
        sandbox.dockerfile(&format!(
            "FROM busybox\nRUN (sleep {word} & sleep {word} & (trap '' INT TERM; sleep {word}) & echo begun; wait)\n"
        ));
        for signal in ["-INT", "-TERM"] {
            let mut command = sandbox.command(&["build", "--progress", "plain", "context"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("the program starts");
            wait_for_line(&mut child, " begun");
            assert!(!left(&word, &sandbox.store()).is_empty(), "the step runs");
            let id = child.id().to_string();
            std::process::Command::new("kill").args([signal, &id]).status().expect("kill is there");
            assert_eq!(child.wait().expect("it ends").code(), Some(130));
            assert_eq!(left(&word, &sandbox.store()), Vec::<String>::new(), "{signal}");
        }
        let history = sandbox.lathe(&["builder", "history", "--format", "{{.Status}}"]).success();
        assert_eq!(history.stdout, "Canceled\nCanceled\n");
    }
}

#[test]
fn killed_while_layers_are_packed_in_the_background() {
    let Some(sandbox) = crate::sandbox() else { return };
    // The first layer takes long to compress; the second step begins meanwhile.
    sandbox.dockerfile(
        "FROM busybox\nRUN head -c 30000000 /dev/urandom > /big\nRUN echo second; sleep 1000\n",
    );
    let output = "type=oci,dest=o.tar";
    let mut command = sandbox.command(&["build", "--progress", "plain", "-o", output, "context"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    wait_for_line(&mut child, " second");
    child.kill().expect("a child that was not waited for");
    child.wait().expect("it ends");
    assert!(!sandbox.path("o.tar").exists(), "nothing half is left where the output was to be");
    let check = sandbox.lathe(&["system", "check"]);
    assert!(check.stdout.contains("0 damaged"), "{check:?}");
    sandbox.dockerfile("FROM busybox\nRUN head -c 30000000 /dev/urandom > /big\nRUN echo second\n");
    let trace = sandbox.trace(&["-o", output]).success();
    assert_eq!(trace.ran(), ["RUN echo second"], "what was done is not done again");
    let bytes = fs::read(sandbox.path("o.tar")).expect("it was written");
    let image = lathe_testkit::image::Image::from_oci_archive(&bytes).expect("a layout");
    assert_eq!(image.node("/big").data.len(), 30_000_000);
}
