//! Where a build's result goes, in every form, read back by our own eyes and by other programs.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use lathe_testkit::{
    image::{Image, untar},
    sandbox::{Sandbox, skip},
};
use serde_json::Value;

use crate::sandbox;

const PROGRAM: &str = "FROM busybox AS build\nRUN mkdir /out && echo made > /out/f && ln -s f /out/l\n\
    FROM scratch\nCOPY --from=build /out /out\nCOPY --from=build /bin/busybox /bin/busybox\n\
    ENV A=1\nENTRYPOINT [\"/bin/busybox\", \"cat\"]\nCMD [\"/out/f\"]\n";

fn installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        skip(&format!("{program} is not installed"));
    }
    found
}

/// Runs another program in the sandbox.
#[track_caller]
fn outside(sandbox: &Sandbox, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    sandbox.prepare(&mut command);
    let output = command.args(arguments).output().expect("it is installed");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_form_holds_the_same_image() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile(PROGRAM);
    let built = sandbox.build(&[
        "-t",
        "one:1",
        "-o",
        "type=image",
        "-o",
        "type=oci,dest=folder,tar=false",
        "-o",
        "type=oci,dest=oci.tar",
        "-o",
        "type=docker,dest=docker.tar",
        "-o",
        "type=tar,dest=files.tar",
        "-o",
        "type=local,dest=files",
    ]);
    let image = built.image;
    let folder = Image::from_oci_folder(&sandbox.path("folder")).expect("a layout");
    let read = |name: &str| fs::read(sandbox.path(name)).expect("the output is there");
    let archive = Image::from_oci_archive(&read("oci.tar")).expect("a layout");
    let (docker, names) = Image::from_docker_archive(&read("docker.tar")).expect("an archive");
    for other in [&folder, &archive, &docker] {
        assert_eq!(other.id, image.id);
        assert_eq!(other.tree(), image.tree());
    }
    // The store's own manifest names plain layers, that of an output compressed ones.
    assert_eq!(folder.digest, archive.digest);
    assert_eq!(names, ["one:1"]);
    let files = untar(&read("files.tar")).expect("a tar");
    assert_eq!(files["out/f"], b"made\n");
    assert_eq!(read("files/out/f"), b"made\n");
    assert_eq!(fs::read_link(sandbox.path("files/out/l")).expect("a link"), Path::new("f"));
}

#[test]
fn short_forms_of_outputs() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("f", "f").dockerfile("FROM scratch\nCOPY f /f\n");
    sandbox.lathe(&["build", "-o", "plain", "context"]).success();
    assert_eq!(fs::read(sandbox.path("plain/f")).expect("a file"), b"f");
    let output = sandbox.lathe(&["build", "-o", "-", "context"]).success();
    assert!(output.stdout.contains("ustar"), "a tar on standard output");
    sandbox
        .lathe(&["build", "-o", "type=nonsense,dest=x", "context"])
        .failure(125)
        .says("nonsense");
}

for_everybody! {
    fn ids_and_metadata_are_written(sandbox) {
        sandbox.dockerfile(PROGRAM);
        let image = sandbox.build(&["-t", "x:1", "--iidfile", "iid"]).image;
        let id = fs::read_to_string(sandbox.path("iid")).expect("the file is there");
        assert_eq!(id, image.id);
        let quiet = sandbox.try_build(&["-q", "-t", "x:2"]).success();
        assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), (format!("{id}\n").as_str(), ""));
        let text = fs::read_to_string(sandbox.path("metadata.json")).expect("the file is there");
        let metadata: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(metadata["containerimage.config.digest"], id);
        assert_eq!(metadata["image.name"], "docker.io/library/x:2");
    }
}

#[test]
fn a_failed_build_leaves_no_output() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile("FROM busybox\nRUN false\n");
    sandbox.try_build(&["--iidfile", "iid", "-o", "type=oci,dest=o.tar", "-t", "x"]).failure(1);
    assert!(!sandbox.path("iid").exists() && !sandbox.path("o.tar").exists());
    let quiet = sandbox.try_build(&["-q"]).failure(1);
    assert_eq!(quiet.stdout, "");
    assert!(quiet.stderr.contains("RUN false"), "{}", quiet.stderr);
}

#[test]
fn skopeo_reads_what_is_exported() {
    let Some(sandbox) = sandbox() else { return };
    if !installed("skopeo") {
        return;
    }
    sandbox.dockerfile(PROGRAM);
    let image = sandbox
        .build(&[
            "-t",
            "x",
            "-o",
            "type=image",
            "-o",
            "type=oci,dest=layout,tar=false",
            "-o",
            "type=docker,dest=d.tar",
        ])
        .image;
    let text = outside(&sandbox, "skopeo", &["inspect", "oci:layout"]);
    let seen: Value = serde_json::from_str(&text).expect("JSON");
    let layout = Image::from_oci_folder(&sandbox.path("layout")).expect("a layout");
    assert_eq!(seen["Digest"], layout.digest);
    assert_eq!(seen["Architecture"], image.config["architecture"]);
    let config = outside(&sandbox, "skopeo", &["inspect", "--config", "docker-archive:d.tar"]);
    let config: Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!(config["config"]["Entrypoint"], image.run()["Entrypoint"]);
    let policy = ["--insecure-policy", "copy", "-q"];
    for (from, to) in [("oci:layout", "oci:copied"), ("docker-archive:d.tar", "oci:converted")] {
        outside(&sandbox, "skopeo", &[&policy[..], &[from, to]].concat());
    }
    for name in ["copied", "converted"] {
        let copied = Image::from_oci_folder(&sandbox.path(name)).expect("a layout");
        assert_eq!(copied.tree(), image.tree(), "{name}");
    }
}

#[test]
fn runc_runs_what_is_exported() {
    let Some(sandbox) = sandbox() else { return };
    if !sandbox.is_root() {
        return skip("runc needs root here");
    }
    if !installed("runc") {
        return;
    }
    sandbox.dockerfile(PROGRAM);
    sandbox.try_build(&["-o", "type=local,dest=bundle/rootfs"]).success();
    let bundle = sandbox.path("bundle");
    outside(&sandbox, "runc", &["spec", "--bundle", &bundle.to_string_lossy()]);
    let path = bundle.join("config.json");
    let text = fs::read_to_string(&path).expect("runc wrote it");
    let mut spec: Value = serde_json::from_str(&text).expect("JSON");
    spec["process"]["terminal"] = false.into();
    spec["process"]["args"] = serde_json::json!(["/bin/busybox", "cat", "/out/f"]);
    fs::write(&path, spec.to_string()).expect("the bundle can be written to");
    let state = sandbox.path("runc-state").to_string_lossy().into_owned();
    let name = format!("lathe-test-{}", std::process::id());
    let mut command = Command::new("runc");
    sandbox.prepare(&mut command);
    command.args(["--root", &state, "run", "--bundle", &bundle.to_string_lossy(), &name]);
    let output = command.output().expect("it is installed");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() && errors.contains("cgroup") {
        return skip("runc cannot make control groups here");
    }
    assert_eq!(String::from_utf8_lossy(&output.stdout), "made\n", "{errors}");
}

#[test]
fn podman_runs_what_is_exported() {
    let Some(sandbox) = sandbox() else { return };
    if !installed("podman") {
        return;
    }
    sandbox.dockerfile(PROGRAM);
    sandbox.try_build(&["-t", "x:1", "-o", "type=image", "-o", "type=docker,dest=d.tar"]).success();
    let store = ["--root", "podman", "--runroot", "podman-run", "--storage-driver", "vfs"];
    let podman = |arguments: &[&str]| {
        let mut command = Command::new("podman");
        sandbox.prepare(&mut command);
        let output = command.args(store).args(arguments).output().expect("it is installed");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let (loaded, _, errors) = podman(&["load", "-i", "d.tar"]);
    assert!(loaded, "{errors}");
    let (_, id, errors) = podman(&["image", "inspect", "-f", "{{.Id}}", "x:1"]);
    let mine = sandbox.lathe(&["inspect", "-f", "{{.Id}}", "x:1"]).success().stdout;
    assert_eq!(format!("sha256:{id}"), mine, "{errors}");
    // Its own defaults need more rights than many machines give, whatever the image.
    let options = ["run", "--rm", "--network=none", "--ulimit=nofile=512:512"];
    let limits = [&options[..], &["--ulimit=nproc=512:512"]].concat();
    let mut said = String::new();
    for more in [&[][..], &["--runtime=runc"], &["--cgroups=disabled"], &["--runtime=crun"]] {
        let (ran, stdout, errors) = podman(&[&limits[..], more, &["x:1"]].concat());
        if ran {
            assert_eq!(stdout, "made\n", "{errors}");
            return;
        }
        said = errors;
    }
    skip(&format!("podman takes the image but runs no container here: {}", said.trim()));
}
