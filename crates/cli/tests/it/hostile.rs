//! Contexts, stages and images that want out.

use std::{fs, os::unix::fs::PermissionsExt as _, sync::OnceLock};

use lathe_testkit::{
    fixture::{Entry, ImageFixture, archive},
    image::Kind,
    sandbox::Sandbox,
};
use serde_json::json;

use crate::{registry, sandbox};

/// A text that is in no file of an image.
const SECRET: &str = "secret-of-this-machine";

/// Writes the secret beside the context.
fn secret(sandbox: &Sandbox) -> String {
    let path = sandbox.path("secret");
    fs::write(&path, SECRET).expect("the sandbox can be written to");
    path.to_string_lossy().into_owned()
}

for_everybody! {
    fn links_of_the_context_do_not_lead_out(sandbox) {
        let path = secret(sandbox);
        sandbox
            .symlink("absolute", &path)
            .symlink("relative", "../secret")
            .symlink("passwd", "/etc/passwd")
            .symlink("folder", "..")
            .symlink("loop", "loop")
            .file("d/f", "f")
            .symlink("d/up", "../../secret");
        let lines = ["absolute", "relative", "passwd", "folder/secret", "folder/../secret", "loop",
            "../secret", "/../secret", "d/up", "fold*/secret"];
        for source in lines {
            for word in ["COPY", "ADD"] {
                sandbox.dockerfile(&format!("FROM busybox\n{word} {source} /out\n"));
                let output = sandbox.try_build(&[]);
                assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
                if output.code == 0 {
                    let image = sandbox.last_image().expect("an image");
                    for (path, node) in image.tree() {
                        assert!(!node.text().contains(SECRET), "{word} {source}: {path}");
                    }
                    assert!(!image.has("/out") || !image.text("/out").contains("/root:"), "{source}");
                } else {
                    output.says("Dockerfile:2");
                }
            }
        }
        sandbox.dockerfile("FROM busybox\nCOPY . /t\nRUN cat /t/absolute /t/d/up > /seen 2>&1; true\n");
        let image = sandbox.build(&[]).image;
        assert_eq!(image.node("/t/absolute").kind, Kind::Symlink);
        assert!(!image.text("/seen").contains(SECRET));
    }

    fn links_of_a_stage_do_not_lead_out(sandbox) {
        let path = secret(sandbox);
        sandbox.dockerfile(&format!(
            "FROM busybox AS evil\nRUN ln -s {path} /file && ln -s / /root-link && ln -s ../../../../.. /up \
             && ln -s /proc/self/cwd /cwd && mkdir /d && ln -s {path} /d/inner\n\
             FROM busybox\nCOPY --from=evil /d /d\nCOPY --from=evil /root-link/etc/group /group\n\
             COPY --from=evil /up/etc/group /group2\n"
        ));
        let image = sandbox.build(&[]).image;
        assert_eq!(image.node("/d/inner").link.as_deref(), Some(path.as_str()));
        assert!(image.text("/group").contains("staff") && image.text("/group2").contains("staff"));
        for source in ["/file", "/cwd/etc/passwd", "/proc/1/root/etc/passwd", "/root-link/../secret"] {
            let evil = fs::read_to_string(sandbox.context().join("Dockerfile")).expect("a file");
            let (stage, _) = evil.split_once("FROM busybox\nCOPY").expect("two stages");
            sandbox.dockerfile(&format!("{stage}FROM busybox\nCOPY --from=evil {source} /out\n"));
            let output = sandbox.try_build(&[]).failure(1);
            output.says_not("panicked").says("COPY --from=evil");
            sandbox.dockerfile(&evil);
        }
    }

    fn links_of_the_destination_do_not_lead_out(sandbox) {
        let target = sandbox.path("target").to_string_lossy().into_owned();
        fs::create_dir(&target).expect("the sandbox can be written to");
        fs::set_permissions(&target, fs::Permissions::from_mode(0o777)).expect("own files");
        sandbox.file("f", "f").file("d/g", "g").dockerfile(&format!(
            "FROM busybox\nRUN ln -s {target} /out && ln -s ../../../../..{target} /up && ln -s {target}/new /new\n\
             COPY f /out/\nCOPY d /up/\nCOPY f /new\nWORKDIR /out/work\nRUN touch here\n"
        ));
        let image = sandbox.build(&[]).image;
        assert_eq!(fs::read_dir(&target).expect("a folder").count(), 0, "the host was written to");
        assert_eq!(image.text(&format!("{target}/f")), "f");
        assert_eq!(image.text(&format!("{target}/g")), "g");
        assert!(image.has(&format!("{target}/work/here")));
    }
}

#[test]
fn archives_of_the_context_do_not_lead_out() {
    let Some(sandbox) = sandbox() else { return };
    let target = sandbox.path("target");
    fs::create_dir(&target).expect("the sandbox can be written to");
    let path = target.to_string_lossy().into_owned();
    let up = "../".repeat(12);
    for (name, entries) in escapes(&path, &up) {
        sandbox.file("a.tar", archive(&entries));
        sandbox.dockerfile("FROM busybox\nADD a.tar /t/\nRUN true\n");
        let output = sandbox.try_build(&[]);
        assert!(!output.stderr.contains("panicked"), "{name}: {}", output.stderr);
        assert_eq!(fs::read_dir(&target).expect("a folder").count(), 0, "{name}");
        if output.code == 0 {
            for (path, node) in sandbox.last_image().expect("an image").tree() {
                assert!(!node.text().contains(SECRET), "{name}: {path}");
            }
        }
    }
}

/// Archives that would write below `target`, or read the secret beside it.
fn escapes(target: &str, up: &str) -> Vec<(&'static str, Vec<Entry>)> {
    let secret = target.replace("target", "secret");
    vec![
        ("dot dot", vec![Entry::file(&format!("{up}{target}/x"), "x")]),
        ("absolute", vec![Entry::file(&format!("{target}/x"), "x")]),
        ("inner dot dot", vec![Entry::dir("a"), Entry::file(&format!("a/{up}{target}/x"), "x")]),
        ("through a link", vec![Entry::symlink("l", target), Entry::file("l/x", "x")]),
        (
            "through a relative link",
            vec![Entry::symlink("l", &format!("{up}{target}")), Entry::file("l/x", "x")],
        ),
        (
            "onto a link",
            vec![
                Entry::symlink("l", &format!("{target}/x")),
                Entry::file("l", "x"),
                Entry::symlink("m", &format!("{target}/y")),
                Entry::hard_link("n", "m"),
                Entry::file("n", "x"),
            ],
        ),
        ("hard link outside", vec![Entry::hard_link("h", &secret)]),
        ("hard link above", vec![Entry::hard_link("h", &format!("{up}{secret}"))]),
        (
            "hard link through a link",
            vec![
                Entry::symlink("l", target.trim_end_matches("/target")),
                Entry::hard_link("h", "l/secret"),
            ],
        ),
        (
            "folder over a link",
            vec![Entry::symlink("l", target), Entry::dir("l").mode(0o777), Entry::file("l/x", "x")],
        ),
        (
            "whiteout through a link",
            vec![
                Entry::symlink("l", target.trim_end_matches("/target")),
                Entry::file("l/.wh.secret", ""),
                Entry::file("l/.wh..wh..opq", ""),
            ],
        ),
        ("whiteout of dot dot", vec![Entry::file(".wh...", ""), Entry::file(".wh..", "")]),
    ]
}

for_everybody! {
    fn layers_of_images_do_not_lead_out(sandbox) {
        // Below a path that is the same in all sandboxes, since images are put once.
        let folder = hostile_target();
        let name = if sandbox.is_root() { "root" } else { "user" };
        let registry = registry().expect("there is a sandbox");
        fs::write(folder.path().join("secret"), SECRET).expect("own files");
        let target = folder.path().join("target").to_string_lossy().into_owned();
        for (index, (what, entries)) in escapes(&target, &"../".repeat(12)).iter().enumerate() {
            let busybox = ImageFixture::busybox().expect("readable").expect("there is a sandbox");
            let repository = format!("hostile{index}-{name}");
            busybox.layer(entries).put(registry, &format!("library/{repository}"), "latest");
            sandbox.dockerfile(&format!("FROM {repository}\nRUN true\nCOPY Dockerfile /l/x\n"));
            let output = sandbox.try_build(&[]);
            assert!(!output.stderr.contains("panicked"), "{what}: {}", output.stderr);
            let count = fs::read_dir(&target).expect("a folder").count();
            assert_eq!(count, 0, "{what} wrote to the host");
            assert!(folder.path().join("secret").exists(), "{what} removed from the host");
            // The base's own layer stays as it is, so not all of these images can be read strictly.
            if output.code == 0
                && let Ok(image) = sandbox.last_image()
            {
                for (path, node) in image.tree() {
                    assert!(!node.text().contains(SECRET), "{what}: {path}");
                }
            }
        }
    }
}

/// A folder with `target`, which anybody may write to.
fn hostile_target() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("lt-").tempdir().expect("a folder");
    let everything = fs::Permissions::from_mode(0o777);
    fs::set_permissions(folder.path(), everything.clone()).expect("own files");
    fs::create_dir(folder.path().join("target")).expect("own files");
    fs::set_permissions(folder.path().join("target"), everything).expect("own files");
    folder
}

for_everybody! {
    fn devices_in_layers_do_no_harm(sandbox) {
        static ONCE: OnceLock<()> = OnceLock::new();
        ONCE.get_or_init(|| {
            let busybox = ImageFixture::busybox().expect("readable").expect("there is a sandbox");
            let entries = [Entry::dir("d"), Entry::device("d/mem", 1, 1), Entry::file("d/f", "f")];
            let registry = registry().expect("there is a sandbox");
            busybox.layer(&entries).put(registry, "library/devices", "latest");
        });
        sandbox.dockerfile("FROM devices\nRUN cat /d/f > /seen; head -c 1 /d/mem > /mem 2>/dev/null || true\n");
        let image = sandbox.build(&[]).image;
        assert_eq!(image.text("/seen"), "f");
        assert!(!image.has("/mem") || image.text("/mem").is_empty());
    }
}

#[test]
fn users_are_not_read_from_anywhere() {
    let Some(sandbox) = sandbox() else { return };
    let path = secret(&sandbox);
    fs::write(&path, "ann:x:4242:4242::/:/bin/sh\n").expect("own files");
    let lines = [
        format!("ln -sf {path} /etc/passwd"),
        "rm /etc/passwd && mknod /etc/passwd p".to_owned(),
        "rm /etc/passwd && mkdir /etc/passwd".to_owned(),
        "for i in $(seq 12); do head -c 1000000 /dev/zero | tr '\\0' x; done > /etc/passwd"
            .to_owned(),
    ];
    for line in lines {
        sandbox.file("f", "f");
        for last in ["COPY --chown=ann f /f", "USER ann\nRUN true"] {
            sandbox.dockerfile(&format!("FROM busybox\nRUN {line}\n{last}\n"));
            sandbox.try_build(&[]).failure(1).says("Dockerfile:").says_not("panicked");
        }
    }
}

#[test]
fn a_command_cannot_reach_the_machine() {
    let Some(sandbox) = sandbox() else { return };
    let path = secret(&sandbox);
    sandbox.dockerfile(&format!(
        "FROM busybox\nRUN for p in /proc/1/root /proc/self/root /proc/1/cwd ../../../..; do \
           cat $p{path} 2>/dev/null; done > /seen; \
         for fd in /proc/self/fd/* /proc/1/fd/*; do cat $fd/{path} $fd/../../{path} 2>/dev/null; done >> /seen; \
         mount -t proc p /mnt 2>/dev/null && echo mounted >> /seen; \
         chroot / true; mknod /disk b 254 0 && cat /disk 2>/dev/null | head -c 1 >> /seen; true\n\
         WORKDIR /proc/self/fd/7\n"
    ));
    let output = sandbox.try_build(&[]);
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    sandbox.dockerfile(
        &fs::read_to_string(sandbox.context().join("Dockerfile"))
            .expect("a file")
            .replace("WORKDIR /proc/self/fd/7\n", ""),
    );
    let image = sandbox.build(&[]).image;
    assert_eq!(image.text("/seen"), "");
}

#[test]
fn damaged_answers_of_a_registry_are_refused() {
    let Some(sandbox) = sandbox() else { return };
    let registry = registry().expect("there is a sandbox");
    let manifest = |layer: &str, size: usize| {
        let config = registry.put_blob(
            "library/damaged",
            json!({
                "architecture": lathe_testkit::fixture::architecture(), "os": "linux",
                "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", "0".repeat(64))] },
            })
            .to_string()
            .as_bytes(),
        );
        let config_size = registry.blob("library/damaged", &config).expect("put").len();
        json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.to_string(), "size": config_size },
            "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": size }],
        })
    };
    let layer = archive(&[Entry::file("f", "f")]);
    let digest = registry.put_blob("library/damaged", &layer).to_string();
    let check = |tag: &str, document: serde_json::Value| {
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        registry.put_manifest("library/damaged", tag, media_type, document.to_string().as_bytes());
        sandbox.dockerfile(&format!("FROM damaged:{tag}\nCOPY Dockerfile /\n"));
        sandbox.try_build(&[]).failure(1).says_not("panicked").says("error: ");
    };
    check("wrong-diff-id", manifest(&digest, layer.len()));
    check("wrong-size", manifest(&digest, layer.len() + 1));
    check("no-blob", manifest(&format!("sha256:{}", "1".repeat(64)), 3));
    check("path-as-digest", manifest("sha256:../../../../etc/passwd", 3));
    check("no-manifest", json!({ "schemaVersion": 2 }));
    check("not-an-object", json!([1, 2]));
}
