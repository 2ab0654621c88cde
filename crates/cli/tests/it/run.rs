//! RUN: what a command sees, and what it leaves.

use std::fs;

use lathe_testkit::{image::Image, sandbox::Sandbox};

use crate::sandbox;

#[track_caller]
fn build(sandbox: &Sandbox, lines: &str) -> Image {
    sandbox.dockerfile(&format!("FROM busybox\n{lines}\n")).build(&[]).image
}

for_everybody! {
    fn a_command_has_root_and_the_users_of_the_image(sandbox) {
        let image = build(
            sandbox,
            "RUN id -u > /root-id; id -G >> /root-id; hostname > /host; touch /tmp/x; chown 1000:1001 /tmp/x\n\
             USER ann\n\
             RUN id -u > ~/ids; id -g >> ~/ids; id -G >> ~/ids; echo $HOME >> ~/ids; pwd >> ~/ids",
        );
        assert_eq!(image.text("/root-id").lines().next(), Some("0"));
        assert_eq!(image.text("/home/ann/ids"), "1000\n1001\n1001 2002\n/home/ann\n/\n");
        assert_eq!(image.node("/home/ann/ids").owner, (1000, 1001));
        assert_eq!(image.node("/tmp/x").owner, (1000, 1001));
    }

    fn limits_of_memory_hold_or_it_is_told_that_there_are_none(sandbox) {
        sandbox.dockerfile("FROM busybox\nRUN dd if=/dev/zero of=/dev/null bs=256M count=1\n");
        let limited = sandbox.try_build(&["--resource", "memory=32m,memory-swap=32m"]);
        if limited.stderr.contains("RUN steps have no limits") {
            limited.success();
        } else {
            limited.failure(1).says("Dockerfile:2");
            sandbox.try_build(&[]).success();
        }
    }

    fn nothing_that_was_lent_is_left_in_the_layer(sandbox) {
        let image = build(
            sandbox,
            "RUN cat /etc/resolv.conf /etc/hosts > /seen; ls /proc/self /dev/null /sys > /dev/null",
        );
        assert!(image.text("/seen").contains("localhost"), "{}", image.text("/seen"));
        assert_eq!(image.top_layer(), ["/seen"]);
        for path in ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/run", "/.dockerenv"] {
            assert!(!image.has(path), "{path}");
        }
        let below = ["/proc/", "/sys/", "/dev/"];
        let tree = image.tree();
        assert!(!tree.keys().any(|path| below.iter().any(|folder| path.starts_with(folder))));
    }

    fn a_failed_command_shows_its_line_code_and_last_words(sandbox) {
        sandbox.dockerfile("FROM busybox\nRUN true\nRUN echo first words; \\\n  echo last words >&2; exit 42\n");
        let output = sandbox.try_build(&[]).failure(1);
        let output = output.says("42").says("last words").says("Dockerfile:3");
        assert!(output.stderr.contains("RUN echo first words"), "{}", output.stderr);
    }
}

#[test]
fn folders_whose_content_did_not_change_are_not_in_the_layer() {
    let Some(sandbox) = sandbox() else { return };
    let image = build(
        &sandbox,
        "RUN mkdir -p /a/b && echo x > /a/b/x\nRUN touch /a/b/tmp && rm /a/b/tmp && echo 1 > /one\n\
         RUN echo y > /a/b/y",
    );
    let layer = |index: usize| -> Vec<String> { image.layers[index].keys().cloned().collect() };
    assert_eq!(layer(1), ["/a", "/a/b", "/a/b/x"]);
    assert!(layer(2).contains(&"/one".to_owned()));
    assert!(!layer(2).iter().any(|path| path.contains("tmp")), "{:?}", layer(2));
    assert!(layer(3).contains(&"/a/b/y".to_owned()) && !layer(3).contains(&"/a/b/x".to_owned()));
}

#[test]
fn removed_files_leave_whiteouts() {
    let Some(sandbox) = sandbox() else { return };
    let image = build(
        &sandbox,
        "RUN mkdir /d && echo 1 > /d/1 && echo 2 > /d/2\nRUN rm /d/1 /etc/group\n\
         RUN rm -r /d && mkdir /d && echo 3 > /d/3",
    );
    assert!(image.layers[2].contains_key("/d/.wh.1"), "{:?}", image.layers[2].keys());
    assert!(image.layers[2].contains_key("/etc/.wh.group"));
    let tree = image.tree();
    let below: Vec<&String> = tree.keys().filter(|path| path.starts_with("/d/")).collect();
    assert_eq!(below, ["/d/3"]);
    assert!(!image.has("/etc/group"));
}

#[test]
fn commands_have_shell_or_not_and_continue_over_lines() {
    let Some(sandbox) = sandbox() else { return };
    let image = build(
        &sandbox,
        "RUN [\"sh\", \"-c\", \"echo $0 > /exec\", \"name\"]\n\
         RUN echo a \\\n# comment\n  && echo b > /lines \\\n\n  && echo c >> /lines",
    );
    assert_eq!(image.text("/exec"), "name\n");
    assert_eq!(image.text("/lines"), "b\nc\n");
}

#[test]
fn a_shell_with_errexit_stops() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile("FROM busybox\nSHELL [\"/bin/sh\", \"-ec\"]\nRUN false; true\n");
    sandbox.try_build(&[]).failure(1);
}

#[test]
fn heredocs_are_scripts() {
    let Some(sandbox) = sandbox() else { return };
    let image = build(
        &sandbox,
        "RUN <<EOF\necho one > /one\necho two $((1+1)) > /two\nEOF\n\
         RUN cat <<EOF > /three\nthree\nEOF\n\
         RUN <<EOF\n#!/bin/busybox ash\necho $0 > /four\nEOF\n",
    );
    assert_eq!(image.text("/one"), "one\n");
    assert_eq!(image.text("/two"), "two 2\n");
    assert_eq!(image.text("/three"), "three\n");
    assert!(image.has("/four"));
}

#[test]
fn a_command_without_network_has_only_loopback() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile(
        "FROM busybox\nRUN --network=none ls /sys/class/net > /seen; cat /proc/net/dev > /dev\n",
    );
    sandbox.dockerfile("FROM busybox\nRUN --network=none cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' ' > /seen\n");
    assert_eq!(sandbox.build(&[]).image.text("/seen"), "lo\n");
    sandbox.dockerfile(
        "FROM busybox\nRUN cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' ' > /seen\n",
    );
    assert_eq!(sandbox.build(&["--network", "none"]).image.text("/seen"), "lo\n");
}

#[test]
fn certificates_are_lent_and_not_left() {
    let Some(sandbox) = sandbox() else { return };
    let pem = "-----BEGIN CERTIFICATE-----\nTEVOVA==\n-----END CERTIFICATE-----\n";
    fs::write(sandbox.path("ca.pem"), pem).expect("the sandbox can be written to");
    sandbox.dockerfile(
        "FROM busybox\nRUN test -n \"$SSL_CERT_FILE\" && grep -c LENT= \"$SSL_CERT_FILE\" > /count || \
         grep -c TEVOVA \"$SSL_CERT_FILE\" > /count\n",
    );
    let ca = sandbox.path("ca.pem");
    let image = sandbox.build(&["--ca", &ca.to_string_lossy()]).image;
    assert_eq!(image.text("/count"), "1\n");
    assert_eq!(image.top_layer(), ["/count"]);
    assert!(!image.run().to_string().contains("SSL_CERT_FILE"), "{}", image.config);
    for (path, node) in image.tree() {
        assert!(!node.text().contains("TEVOVA"), "{path}");
    }
}

#[test]
fn a_command_sees_a_small_machine() {
    let Some(sandbox) = sandbox() else { return };
    let image = build(
        &sandbox,
        "RUN ls /dev > /devices; grep -E '^(CapEff|CapInh|CapAmb|Seccomp|NoNewPrivs):' /proc/self/status > /status; \
         (echo x > /proc/sys/kernel/hostname) 2> /denied || true; cat /proc/kcore 2> /dev/null | head -c 10 > /kcore; \
         ps | wc -l > /processes; ls /proc/self/fd > /descriptors",
    );
    let devices = image.text("/devices");
    for device in ["null", "zero", "full", "random", "urandom", "tty", "pts", "shm", "fd"] {
        assert!(devices.lines().any(|line| line == device), "{device} in {devices}");
    }
    for device in ["sda", "vda", "kmsg", "mem", "fuse"] {
        assert!(!devices.lines().any(|line| line == device), "{device} in {devices}");
    }
    let status = image.text("/status");
    for line in ["CapEff:\t00000000a80425fb", "CapInh:\t0000000000000000", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line:?} in {status}");
    }
    assert_eq!(image.text("/kcore"), "");
    assert!(!image.text("/denied").is_empty());
    // ls itself has one more open: the folder that it lists.
    assert_eq!(image.text("/descriptors"), "0\n1\n2\n3\n");
}

#[test]
fn processes_left_behind_do_not_hold_the_build_up() {
    let Some(sandbox) = sandbox() else { return };
    let image = build(&sandbox, "RUN sleep 1000 & echo started > /started");
    assert_eq!(image.text("/started"), "started\n");
}

#[test]
fn mounts_of_a_command() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("f", "f").dockerfile(
        "FROM busybox AS other\nRUN echo o > /o\n\
         FROM busybox\n\
         RUN --mount=type=bind,target=/ctx --mount=type=bind,from=other,source=/o,target=/o \
             cat /ctx/f /o > /seen && ! touch /ctx/x 2>/dev/null\n\
         RUN --mount=type=cache,target=/cache echo 1 >> /cache/n && cat /cache/n > /n1\n\
         RUN --mount=type=cache,target=/cache echo 2 >> /cache/n && cat /cache/n > /n2\n\
         RUN --mount=type=tmpfs,target=/t touch /t/x && { ls -A /cache 2> /dev/null || true; } > /cache-now\n",
    );
    let image = sandbox.build(&[]).image;
    assert_eq!(image.text("/seen"), "fo\n");
    assert_eq!(image.text("/n2"), "1\n2\n");
    assert_eq!(image.text("/cache-now"), "");
    assert!(!image.has("/ctx") && !image.has("/o") && !image.has("/t"));
}

#[test]
fn a_user_that_is_not_there_is_an_error() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile("FROM busybox\nUSER nobody-knows\nRUN true\n");
    sandbox.try_build(&[]).failure(1).says("nobody-knows").says("Dockerfile:3");
}

#[test]
fn a_command_that_is_not_there_is_an_error() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile("FROM busybox\nRUN [\"/no/such/program\"]\n");
    sandbox.try_build(&[]).failure(1).says("/no/such/program").says("Dockerfile:2");
    sandbox.dockerfile("FROM scratch\nRUN true\n");
    sandbox.try_build(&[]).failure(1).says("/bin/sh").says("Dockerfile:2");
}

#[test]
fn a_step_that_is_renewed_brings_what_copies_from_it_up_to_date() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile(
        "FROM busybox AS made\nRUN cat /proc/sys/kernel/random/uuid > /id\n\
         FROM busybox AS same\nRUN echo same > /id\n\
         FROM busybox\nCOPY --from=made /id /made\nCOPY --from=same /id /same\n",
    );
    let first = sandbox.build(&[]).image.text("/made");
    assert_eq!(sandbox.build(&[]).image.text("/made"), first);
    let trace = sandbox.trace(&["--no-cache-filter", "made,same"]).success();
    let ran = ["RUN cat /proc/sys/kernel/random/uuid > /id", "RUN echo same > /id"];
    for step in ran.iter().chain(&["COPY --from=made /id /made"]) {
        assert!(trace.ran().contains(step), "{step} in {:?}", trace.ran());
    }
    assert_ne!(sandbox.build(&[]).image.text("/made"), first);
}
