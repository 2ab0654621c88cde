//! OCI layouts and docker archives, read back by other eyes.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
    path::Path,
    process::Command,
};

use lathe_exporter::{
    Annotation, ArchiveForm, ArchiveImage, Destination, Error, ExportRequest, ExportSpec, export,
    write_archive,
};
use lathe_oci::{Descriptor, DiffId, Digest, Index, Manifest, MediaType, Reference};
use serde_json::{Value, json};

use crate::fixture::{Fixture, name, request};

/// Reads all files of a tar, checking that those with a digest for a name have it.
fn read(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut last = String::new();
    for entry in tar::Archive::new(File::open(path).unwrap()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        assert!(last < name, "{last} before {name}");
        assert_eq!(entry.header().mtime().unwrap(), 0);
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if let Some(hex) = name.strip_prefix("blobs/sha256/").filter(|hex| !hex.is_empty()) {
            assert_eq!(Digest::of(&bytes).hex(), hex);
        }
        last.clone_from(&name);
        files.insert(name, bytes);
    }
    files
}

fn value(files: &BTreeMap<String, Vec<u8>>, name: &str) -> Value {
    serde_json::from_slice(&files[name]).unwrap()
}

#[test]
fn an_oci_archive_has_the_image_under_its_names() {
    let Some(fixture) = Fixture::new("an_oci_archive_has_the_image_under_its_names") else {
        return;
    };
    let (image, _) = fixture.small_image();
    let spec = format!("type=oci,dest={},name=other:2", fixture.path("x.tar").display());
    let spec = ExportSpec::parse(&spec).unwrap();
    let names = [name("localhost:5000/app:1")];
    let receipt = export(&fixture.env(), &spec, &request(&image, &names)).unwrap();
    assert_eq!(receipt.names, [name("localhost:5000/app:1"), name("other:2")]);
    assert_eq!(receipt.image, Some(*image.id()));
    let path = receipt.path.unwrap();
    assert_eq!(receipt.bytes, fs::metadata(&path).unwrap().len());
    let files = read(&path);
    assert_eq!(files.len(), 2 + 4 + 2, "{:?}", files.keys());
    assert_eq!(files["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = Index::parse(&files["index.json"]).unwrap();
    assert_eq!(index.manifests.len(), 2);
    for (manifest, (full, tag)) in index
        .manifests
        .iter()
        .zip([("localhost:5000/app:1", "1"), ("docker.io/library/other:2", "2")])
    {
        assert_eq!(Some(manifest.digest), receipt.manifest.as_ref().map(|made| made.digest));
        assert_eq!(manifest.annotations["io.containerd.image.name"], full);
        assert_eq!(manifest.annotations["org.opencontainers.image.ref.name"], tag);
    }
    assert!(!fixture.path(".x.tar.tmp").exists());
}

#[test]
fn a_docker_archive_is_an_oci_layout_as_well() {
    let Some(fixture) = Fixture::new("a_docker_archive_is_an_oci_layout_as_well") else { return };
    let (image, base) = fixture.small_image();
    let other = fixture.image(&[base]);
    let names = [name("app:1"), name("example.com/app")];
    let items =
        [ArchiveImage { image: &image, names: &names }, ArchiveImage { image: &other, names: &[] }];
    let path = fixture.path("x.tar");
    let destination = Destination::File(path.clone());
    write_archive(&fixture.env(), &items, ArchiveForm::Docker, &destination).unwrap();
    let files = read(&path);
    let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let layers: Vec<String> =
        image.layers.iter().map(|layer| blob(&layer.descriptor.digest)).collect();
    let expected = json!([
        {
            "Config": blob(image.id()),
            "RepoTags": ["app:1", "example.com/app:latest"],
            "Layers": layers,
        },
        {
            "Config": blob(other.id()),
            "RepoTags": null,
            "Layers": [blob(&other.layers[0].descriptor.digest)],
        },
    ]);
    assert_eq!(value(&files, "manifest.json"), expected);
    let index = Index::parse(&files["index.json"]).unwrap();
    assert_eq!(index.manifests.len(), 3);
    assert!(index.manifests[2].annotations.is_empty());
    for item in expected.as_array().unwrap() {
        assert!(files.contains_key(item["Config"].as_str().unwrap()));
    }
    // INV-EXPORTER-BYTES: equal images make equal archives.
    let again = fixture.path("y.tar");
    let destination = Destination::File(again.clone());
    write_archive(&fixture.env(), &items, ArchiveForm::Docker, &destination).unwrap();
    assert_eq!(fs::read(path).unwrap(), fs::read(again).unwrap());
}

#[test]
fn a_folder_collects_images_and_names_move() {
    let Some(fixture) = Fixture::new("a_folder_collects_images_and_names_move") else { return };
    let (first, base) = fixture.small_image();
    let second = fixture.image(&[base]);
    let folder = fixture.path("layout");
    let spec = format!("type=oci,dest={},tar=false", folder.display());
    let spec = ExportSpec::parse(&spec).unwrap();
    let add = |image, names: &[Reference]| {
        export(&fixture.env(), &spec, &request(image, names)).unwrap();
        let index = Index::parse(&fs::read(folder.join("index.json")).unwrap()).unwrap();
        let describe = |manifest: &lathe_oci::Descriptor| {
            let name = manifest.annotations.get("io.containerd.image.name").cloned();
            (manifest.digest, name.unwrap_or_default())
        };
        index.manifests.iter().map(describe).collect::<Vec<_>>()
    };
    let written = |image| {
        let elsewhere = fixture.path("elsewhere").display().to_string();
        let spec = ExportSpec::parse(&format!("type=oci,dest={elsewhere},tar=false")).unwrap();
        let receipt = export(&fixture.env(), &spec, &request(image, &[])).unwrap();
        receipt.manifest.unwrap().digest
    };
    let (one, two) = (written(&first), written(&second));
    let (a, b) = ("docker.io/library/a:latest".to_owned(), "docker.io/library/b:latest".to_owned());
    assert_eq!(add(&first, &[name("a")]), [(one, a.clone())]);
    assert_eq!(add(&second, &[name("b")]), [(one, a.clone()), (two, b.clone())]);
    assert_eq!(add(&second, &[name("a")]), [(two, b.clone()), (two, a.clone())]);
    assert_eq!(add(&first, &[]), [(two, b.clone()), (two, a.clone()), (one, String::new())]);
    assert_eq!(add(&first, &[]), [(two, b), (two, a), (one, String::new())]);
    let manifest = fs::read(folder.join("blobs/sha256").join(one.hex())).unwrap();
    for layer in Manifest::parse(&manifest).unwrap().layers {
        let path = folder.join("blobs/sha256").join(layer.digest.hex());
        assert_eq!(Digest::of(&fs::read(path).unwrap()), layer.digest);
    }
}

#[test]
fn what_fails_leaves_the_old_file() {
    // INV-EXPORTER-WHOLE
    let Some(fixture) = Fixture::new("what_fails_leaves_the_old_file") else { return };
    let (image, _) = fixture.small_image();
    let path = fixture.path("x.tar");
    fs::write(&path, "old").unwrap();
    let spec = ExportSpec::parse(&format!("type=docker,dest={}", path.display())).unwrap();
    let attempt = |image| export(&fixture.env(), &spec, &request(image, &[])).unwrap_err();
    let lost = Digest::of(b"lost");
    let mut without = image.clone();
    without.layers[0].diff_id = DiffId(lost);
    without.layers[0].descriptor = Descriptor::new(MediaType::OciLayerGzip, lost, 4);
    let error = attempt(&without);
    assert!(matches!(&error, Error::LayerMissing { digest } if **digest == lost), "{error}");
    fixture.cancel.cancel();
    assert!(matches!(attempt(&image), Error::Cancelled));
    assert_eq!(fs::read(&path).unwrap(), b"old");
    let names: Vec<_> = fs::read_dir(fixture.folder.path()).unwrap().collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn an_image_gets_names_in_the_store() {
    let Some(fixture) = Fixture::new("an_image_gets_names_in_the_store") else { return };
    let (image, _) = fixture.small_image();
    let spec = ExportSpec::parse("type=image,name=b").unwrap();
    let names = [name("a:1")];
    let receipt = export(&fixture.env(), &spec, &request(&image, &names)).unwrap();
    assert_eq!(receipt.manifest.as_ref(), Some(image.manifest.descriptor()));
    for full in ["docker.io/library/a:1", "docker.io/library/b:latest"] {
        let record = fixture.store.image_by_name(full).unwrap().unwrap();
        assert_eq!(record.id, *image.id());
    }
    let mut findings = Vec::new();
    fixture.store.check(&mut |finding| findings.push(finding)).unwrap();
    assert!(findings.iter().all(|finding| !finding.is_damage()), "{findings:?}");
}

/// Runs skopeo; `None` where it is not installed.
fn skopeo(test: &str, arguments: &[&str]) -> Option<String> {
    match Command::new("skopeo").args(arguments).output() {
        Err(_) => {
            println!("SKIP {test}: skopeo is not installed");
            None
        }
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "skopeo {arguments:?}: {errors}");
            Some(String::from_utf8(output.stdout).unwrap())
        }
    }
}

#[test]
fn skopeo_reads_all_forms() {
    let test = "skopeo_reads_all_forms";
    let Some(fixture) = Fixture::new(test) else { return };
    let (image, _) = fixture.small_image();
    let annotations = [Annotation::parse("manifest,index,manifest-descriptor:k=v").unwrap()];
    let mut number = 0;
    let mut check = |kind: &str, transport: &str, suffix: &str| {
        number += 1;
        let path = fixture.path(&format!("to-{number}"));
        let spec = ExportSpec::parse(&format!("type={kind},dest={}", path.display())).unwrap();
        let names = [name("app:1")];
        let request = ExportRequest { annotations: &annotations, ..request(&image, &names) };
        export(&fixture.env(), &spec, &request).unwrap();
        let source = format!("{transport}:{}{suffix}", path.display());
        let config = skopeo(test, &["inspect", "--config", "--raw", &source])?;
        if transport != "docker-archive" {
            assert_eq!(Digest::of(config.as_bytes()), *image.id(), "{kind}");
        }
        let shown = skopeo(test, &["inspect", &source])?;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["Layers"].as_array().map(Vec::len), Some(2), "{kind}");
        // To a form of its own, so that all blobs are read and compared with their digests.
        let to = format!("dir:{}", fixture.path(&format!("from-{number}")).display());
        skopeo(test, &["--insecure-policy", "copy", "-q", &source, &to])
    };
    if check("oci", "oci-archive", ":1").is_none() {
        return;
    }
    for form in [
        "",
        ",compression=zstd",
        ",compression=uncompressed",
        ",compression-level=9",
        ",compression=zstd,compression-level=12,force-compression=true",
        ",oci-mediatypes=false",
    ] {
        check(&format!("oci{form}"), "oci-archive", ":1");
        check(&format!("oci,tar=false{form}"), "oci", ":1");
        check(&format!("docker,tar=false{form}"), "oci", ":1");
        check(&format!("docker{form}"), "docker-archive", "");
        check(&format!("docker{form}"), "docker-archive", ":app:1");
    }
}
