//! Reading archives back, honest ones and others.

use std::{fs, io::Write as _, process::Command};

use lathe_exporter::{
    ArchiveForm, ArchiveImage, Destination, Error, LoadedImage, load, write_archive,
};
use lathe_oci::{BuiltImage, Digest, MediaType, Reference};
use serde_json::json;

use crate::fixture::{Fixture, name};

fn archive(
    fixture: &Fixture,
    image: &BuiltImage,
    names: &[Reference],
    form: ArchiveForm,
) -> Vec<u8> {
    let path = fixture.path("archive.tar");
    let items = [ArchiveImage { image, names }];
    let destination = Destination::File(path.clone());
    write_archive(&fixture.env(), &items, form, &destination).unwrap();
    fs::read(path).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Compresses with a program; `None`, with a line that says so, where it is not installed.
fn piped(test: &str, program: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    use std::process::Stdio;
    let command = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = command else {
        println!("SKIP {test}: {program} is not installed");
        return None;
    };
    let mut input = child.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    // Its output may fill the pipe before it has read all.
    let writer = std::thread::spawn(move || input.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Some(output.stdout)
}

#[test]
fn an_archive_is_read_back_in_any_form() {
    let Some(from) = Fixture::new("an_archive_is_read_back_in_any_form") else { return };
    let (image, _) = from.small_image();
    let names = [name("app:1"), name("example.com/app:latest")];
    let check = |what: &str, bytes: &[u8]| {
        let into = Fixture::new("an_archive_is_read_back_in_any_form").unwrap();
        let loaded = load(&into.env(), bytes).unwrap();
        let expected = LoadedImage { image: image.clone(), names: names.to_vec() };
        assert_eq!(loaded, [expected], "{what}");
        for layer in &image.layers {
            assert!(into.store.has_blob(&layer.descriptor.digest), "{what}");
        }
        assert!(into.store.has_blob(image.id()) && into.store.has_blob(image.manifest.digest()));
        // Nothing of it is a name yet, and a second time is the same.
        assert!(into.store.images().unwrap().is_empty());
        assert_eq!(load(&into.env(), bytes).unwrap(), loaded);
    };
    for form in [ArchiveForm::Oci, ArchiveForm::Docker] {
        let bytes = archive(&from, &image, &names, form);
        check("plain", &bytes);
        check("gzip", &gzip(&bytes));
        check("zstd", &zstd::stream::encode_all(bytes.as_slice(), 1).unwrap());
        for program in ["bzip2", "xz"] {
            if let Some(bytes) = piped("an_archive_is_read_back_in_any_form", program, &bytes) {
                check(program, &bytes);
            }
        }
    }
}

/// Makes a tar; a target makes a link.
fn tar_of(entries: &[(&str, &[u8])], links: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        // Not by `set_path`, which refuses what a hostile archive has.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    for (name, target) in links {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_cksum();
        builder.append(&header, &[][..]).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A config with as many layers.
fn config(layers: &[Digest]) -> Vec<u8> {
    let document = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": layers },
        "history": vec![json!({ "created_by": "x" }); layers.len()],
    });
    serde_json::to_vec(&document).unwrap()
}

#[test]
fn docker_archives_of_old_with_links_are_read() {
    let Some(fixture) = Fixture::new("docker_archives_of_old_with_links_are_read") else { return };
    let layer: &[u8] = b"not looked at before it is unpacked";
    let config = config(&[Digest::of(layer), Digest::of(layer)]);
    let manifest = json!([{
        "Config": "config.json",
        "RepoTags": ["old:1"],
        "Layers": ["first/layer.tar", "second/layer.tar"],
    }]);
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let entries: [(&str, &[u8]); 4] = [
        ("./first/layer.tar", layer),
        ("config.json", &config),
        ("first/VERSION", b"1.0"),
        ("manifest.json", &manifest),
    ];
    let bytes = tar_of(&entries, &[("second/layer.tar", "../first/layer.tar")]);
    let loaded = load(&fixture.env(), bytes.as_slice()).unwrap();
    assert_eq!(loaded[0].names, [name("old:1")]);
    assert_eq!(*loaded[0].image.id(), Digest::of(&config));
    for entry in &loaded[0].image.layers {
        assert_eq!(entry.descriptor.digest, Digest::of(layer));
        assert_eq!(entry.descriptor.media_type, MediaType::OciLayer);
    }
}

#[test]
fn what_skopeo_writes_is_read() {
    let test = "what_skopeo_writes_is_read";
    let Some(fixture) = Fixture::new(test) else { return };
    let (image, _) = fixture.small_image();
    archive(&fixture, &image, &[name("app:1")], ArchiveForm::Oci);
    let source = format!("oci-archive:{}", fixture.path("archive.tar").display());
    for transport in ["docker-archive", "oci-archive"] {
        let path = fixture.path(transport);
        let target = format!("{transport}:{}:app:1", path.display());
        let run = Command::new("skopeo")
            .args(["--insecure-policy", "copy", "-q", &source, &target])
            .output();
        let Ok(output) = run else {
            println!("SKIP {test}: skopeo is not installed");
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let into = Fixture::new(test).unwrap();
        let loaded = load(&into.env(), fs::File::open(&path).unwrap()).unwrap();
        let diff_ids =
            |image: &BuiltImage| image.layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>();
        assert_eq!(diff_ids(&loaded[0].image), diff_ids(&image), "{transport}");
        assert_eq!(loaded[0].names, [name("app:1")], "{transport}");
    }
}

#[test]
fn hostile_and_broken_archives_are_refused() {
    // INV-EXPORTER-NAMES
    let Some(fixture) = Fixture::new("hostile_and_broken_archives_are_refused") else { return };
    let check = |bytes: &[u8], want: &str| {
        let error = load(&fixture.env(), bytes).unwrap_err();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        assert!(text.contains(want), "want {want:?}, got {text:?}");
    };
    let file: &[u8] = b"x";
    check(b"", "empty");
    check(b"BZh91AY", "read the archive");
    check(b"\xfd7zXZ\0rest", "read the archive");
    check(&[7; 2000], "read the archive");
    check(&gzip(&[0; 3])[..12], "read the archive");
    check(&tar_of(&[], &[]), "neither `index.json` nor `manifest.json`");
    check(&tar_of(&[("repositories", b"{}")], &[]), "docker before 1.10");
    check(&tar_of(&[("../x", file)], &[]), "`../x` is no name of a file inside");
    check(&tar_of(&[("a/../../x", file)], &[]), "no name of a file inside");
    check(&tar_of(&[("/etc/x", file)], &[]), "no name of a file inside");
    check(&tar_of(&[], &[("link", "../../etc/passwd")]), "the link `link` leads out");
    check(&tar_of(&[], &[("link", "/etc/passwd")]), "the link `link` leads out");
    let zeros = format!("blobs/sha256/{}", "0".repeat(64));
    check(&tar_of(&[(&zeros, file)], &[]), "is damaged: content has digest");
    check(&tar_of(&[("manifest.json", b"[{]")], &[]), "invalid `manifest.json`");
    let one = br#"[{"Config":"c.json","Layers":["l"]}]"#;
    check(&tar_of(&[("manifest.json", one)], &[]), "`c.json` is missing");
    let two = config(&[Digest::of(b"l"), Digest::of(b"m")]);
    check(&tar_of(&[("manifest.json", one), ("c.json", &two)], &[]), "2");
    let right = config(&[Digest::of(b"l")]);
    check(&tar_of(&[("manifest.json", one), ("c.json", &right)], &[]), "the layer `l` is missing");
    let looped = [("l", "m"), ("m", "l")];
    let entries: [(&str, &[u8]); 2] = [("manifest.json", one), ("c.json", &right)];
    check(&tar_of(&entries, &looped), "the layer `l` is missing");
    let named = br#"[{"Config":"c.json","RepoTags":["UPPER"],"Layers":["l"]}]"#;
    let entries: [(&str, &[u8]); 3] = [("manifest.json", named), ("c.json", &right), ("l", b"l")];
    check(&tar_of(&entries, &[]), "lower case");
    let index = br#"{"schemaVersion":2,"manifests":[]}"#;
    check(&tar_of(&[("index.json", index)], &[]), "names no image");
    assert!(fixture.store.images().unwrap().is_empty());
}

#[test]
fn a_layer_that_is_cut_off_is_refused() {
    let Some(from) = Fixture::new("a_layer_that_is_cut_off_is_refused") else { return };
    let (image, _) = from.small_image();
    let bytes = archive(&from, &image, &[], ArchiveForm::Docker);
    let into = Fixture::new("a_layer_that_is_cut_off_is_refused").unwrap();
    for length in (100..bytes.len() - 1024).step_by(333) {
        let error = load(&into.env(), &bytes[..length]).unwrap_err();
        assert!(matches!(error, Error::ReadArchive { .. } | Error::Archive(_)), "{error}");
    }
    // In an archive that went through other hands a bit is different.
    let mut bytes = bytes;
    let into = Fixture::new("a_layer_that_is_cut_off_is_refused").unwrap();
    let name = format!("blobs/sha256/{}", image.layers[0].descriptor.digest.hex());
    let at = bytes.windows(name.len()).position(|part| part == name.as_bytes()).unwrap();
    bytes[at + 512 + 20] ^= 1;
    let error = load(&into.env(), bytes.as_slice()).unwrap_err();
    assert!(matches!(error, Error::ArchiveDigest { .. }), "{error}");
}
