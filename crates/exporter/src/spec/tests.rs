use super::*;

fn file(path: &str) -> Destination {
    Destination::File(PathBuf::from(path))
}

fn names(list: &[&str]) -> Vec<Reference> {
    list.iter().map(|name| Reference::parse(name).unwrap()).collect()
}

fn local(path: &str) -> LocalSpec {
    LocalSpec {
        destination: path.into(),
        mode: LocalMode::Copy,
        split: PlatformSplit::No,
        epoch: None,
    }
}

fn archive(format: ArchiveForm, destination: Destination) -> ArchiveSpec {
    let form = ImageForm::default();
    ArchiveSpec { format, names: Vec::new(), destination, layout: LayoutForm::Tar, form }
}

fn store(list: &[&str], push: Push) -> StoreSpec {
    StoreSpec { names: names(list), push, ..StoreSpec::default() }
}

fn form(layers: Option<(Compression, Option<u8>)>) -> ImageForm {
    let layers = layers.map(|(compression, level)| LayerForm { compression, level });
    ImageForm { layers, ..ImageForm::default() }
}

#[track_caller]
fn check(text: &str, want: ExportSpec) {
    assert_eq!(ExportSpec::parse(text), Ok(want), "{text}");
}

#[test]
fn outputs_are_read_as_buildx_reads_them() {
    check("out", ExportSpec::Local(local("out")));
    check("-", ExportSpec::Tar { destination: Destination::Stdout, epoch: None });
    check("type=local,dest=out", ExportSpec::Local(local("out")));
    check("type=local,\"dest=a,b\"", ExportSpec::Local(local("a,b")));
    check("type=local,dest=out,platform-split=false,mode=copy", ExportSpec::Local(local("out")));
    let deleting = LocalSpec { mode: LocalMode::Delete, split: PlatformSplit::Yes, ..local("out") };
    check("type=local,dest=out,mode=delete,platform-split=true", ExportSpec::Local(deleting));
    check("type=tar,dest=-", ExportSpec::Tar { destination: Destination::Stdout, epoch: None });
    check(
        "Type=tar,DEST=a,source-date-epoch=7",
        ExportSpec::Tar { destination: file("a"), epoch: Some(7) },
    );
    check("type=cacheonly", ExportSpec::CacheOnly);
    let oci = |destination| archive(ArchiveForm::Oci, destination);
    check("type=oci,dest=x.tar", ExportSpec::Archive(oci(file("x.tar"))));
    check("type=oci,dest=-", ExportSpec::Archive(oci(Destination::Stdout)));
    check(
        "type=oci,dest=x,tar=false",
        ExportSpec::Archive(ArchiveSpec { layout: LayoutForm::Directory, ..oci(file("x")) }),
    );
    let docker = archive(ArchiveForm::Docker, file("x"));
    check(
        "type=docker,dest=x,tar=false,name=a",
        ExportSpec::Archive(ArchiveSpec {
            names: names(&["a:latest"]),
            layout: LayoutForm::Directory,
            ..docker
        }),
    );
}

#[test]
fn images_for_the_store_have_names_and_are_pushed() {
    check("type=docker", ExportSpec::default());
    check("type=image", ExportSpec::default());
    check(
        "type=image,\"name=a:1,b\",push=true,oci-mediatypes=true",
        ExportSpec::Store(store(&["a:1", "b:latest"], Push::Yes)),
    );
    check("type=image,push=", ExportSpec::Store(store(&[], Push::Yes)));
    check(
        "type=image,name=a,name=b,push=false,push-by-digest=true",
        ExportSpec::Store(store(&["a:latest", "b:latest"], Push::No)),
    );
    check(
        "type=registry,name=localhost:5000/a",
        ExportSpec::Store(store(&["localhost:5000/a:latest"], Push::Yes)),
    );
    check(
        "type=registry,name=a,push-by-digest=true,store=false,registry.insecure=true",
        ExportSpec::Store(StoreSpec {
            unlisted: true,
            insecure: true,
            ..store(&["a"], Push::ByDigest)
        }),
    );
    check(
        "type=image,dangling-name-prefix=me/none,name-canonical=true",
        ExportSpec::Store(StoreSpec {
            dangling_prefix: Some(Reference::parse("me/none").unwrap()),
            canonical: true,
            ..StoreSpec::default()
        }),
    );
}

#[test]
fn images_have_a_form() {
    #[track_caller]
    fn check(fields: &str, want: &ImageForm) {
        for kind in ["type=image", "type=oci,dest=x"] {
            let spec = ExportSpec::parse(&format!("{kind},{fields}")).unwrap();
            assert_eq!(spec.form(), Some(want), "{fields}");
        }
    }
    check("oci-mediatypes=", &form(None));
    check("compression=gzip", &form(Some((Compression::Gzip, None))));
    check("compression=uncompressed", &form(Some((Compression::None, None))));
    check("compression-level=9", &form(Some((Compression::Gzip, Some(9)))));
    check("compression-level=22,compression=zstd", &form(Some((Compression::Zstd, Some(22)))));
    let all = ImageForm {
        recompress: Recompress::All,
        media_types: MediaTypes::Docker,
        ..form(Some((Compression::Gzip, None)))
    };
    check("force-compression=true,oci-mediatypes=0", &all);
    let annotated = ImageForm {
        annotations: vec![
            Annotation::parse("org.Example.Key=a=b").unwrap(),
            Annotation::parse("index:k=v").unwrap(),
            Annotation::parse("manifest-descriptor[linux/amd64]:k=v").unwrap(),
        ],
        ..form(None)
    };
    check(
        "Annotation.org.Example.Key=a=b,annotation-index.k=v,\
         annotation-manifest-descriptor[linux/amd64].k=v",
        &annotated,
    );
    let timed = ImageForm { epoch: Some(0), rewrite_timestamp: true, ..form(None) };
    check("rewrite-timestamp=true,source-date-epoch=0", &timed);
}

#[test]
fn an_output_that_makes_no_sense_is_refused_with_advice() {
    #[track_caller]
    fn check(text: &str, want: &str) {
        let error = ExportSpec::parse(text).unwrap_err().to_string();
        assert!(error.contains(want) && error.contains(text), "{text}: {error}");
    }
    check("", "empty");
    check("dest=x", "`type` is missing");
    check("type=oci", "`dest` is required for type `oci`");
    check("type=tar", "`dest` is required for type `tar`");
    check("type=docker,tar=false", "`dest` is required for `tar=false`");
    check("type=local,dest=", "`dest` is empty");
    check("type=local,dest=-", "use type `tar`");
    check("type=oci,dest=-,tar=false", "standard output");
    check("type=registry,push=false", "always pushes");
    check("type=image,dest=x", "type `image` has no `dest`; oci, docker, tar, local have it");
    check("type=local,dest=x,name=a", "type `local` has no `name`");
    check("type=tar,dest=x,push=true", "type `tar` has no `push`");
    check("type=cacheonly,dest=x", "type `cacheonly` has no `dest`");
    check("type=local,dest=x,annotation.k=v", "type `local` has no `annotation`");
    check("type=locla,dest=x", "did you mean `local`?");
    check("type=zip,dest=x", "known are image, registry");
    check("type=nydus,name=x", "does not write");
    check("type=oci,dset=x", "did you mean `dest`?");
    check("type=oci,colour=x", "type `oci` has dest, name");
    check("type=image,compresion=gzip", "did you mean `compression`?");
    check("type=image,annotation-idnex.k=v", "did you mean `index`?");
    check("type=oci,x", "`x` is no `key=value`");
    check("type=oci,\"dest=x", "no closing quote");
    check("type=oci,\"dest=x\"y", "after a closing quote");
    check("type=image,name=A", "lower case");
    check("type=image,push=maybe", "neither true nor false");
    check("type=image,compression=estargz", "estargz` is not supported: it is gzip with a table");
    check("type=image,compression=zstf", "did you mean `zstd`?");
    check("type=image,compression=brotli", "known are uncompressed, gzip, zstd");
    check("type=image,compression-level=10", "too high; gzip has 0 to 9");
    check("type=image,compression-level=23", "no number from 0 to 22");
    check("type=image,compression=uncompressed,compression-level=1", "of no use");
    check("type=image,source-date-epoch=now", "no number of seconds");
    check("type=image,store=false", "leaves nothing");
    check("type=image,dangling-name-prefix=a:b", "has a tag or digest");
    check("type=registry,push-by-digest=true,name=a:1", "`a:1` has one");
    check("type=local,dest=x,mode=delte", "did you mean `delete`?");
    check("type=local,dest=x,mode=sync", "known are copy, delete");
    check("type=tar,dest=x,platform-split=true", "several platforms");
    let digest = format!("type=image,name=a@sha256:{}", "0".repeat(64));
    check(&digest, "has a digest");
}

#[test]
fn what_an_output_needs_is_known() {
    #[track_caller]
    fn check(text: &str, image: bool, stdout: bool, deletes: Option<&str>) {
        let spec = ExportSpec::parse(text).unwrap();
        assert_eq!(spec.needs_image(), image, "{text}");
        assert_eq!(spec.uses_stdout(), stdout, "{text}");
        assert_eq!(spec.deletes(), deletes.map(Path::new), "{text}");
    }
    check("type=image", true, false, None);
    check("type=registry,name=a", true, false, None);
    check("type=docker", true, false, None);
    check("type=docker,dest=-", true, true, None);
    check("type=oci,dest=x,tar=false", true, false, None);
    check("-", false, true, None);
    check("out", false, false, None);
    check("type=local,dest=out,mode=delete", false, false, Some("out"));
    check("type=cacheonly", false, false, None);
}

#[test]
fn what_makes_no_difference_is_told() {
    #[track_caller]
    fn check(text: &str, annotations: &[&str], epoch: Option<i64>, want: &[&str]) {
        let annotations: Vec<Annotation> =
            annotations.iter().map(|text| Annotation::parse(text).unwrap()).collect();
        let notes = ExportSpec::parse(text).unwrap().notes(&annotations, epoch);
        assert_eq!(notes.len(), want.len(), "{text}: {notes:?}");
        for (note, want) in notes.iter().zip(want) {
            assert!(note.contains(want), "{text}: {note}");
        }
    }
    check("type=image", &["k=v"], None, &[]);
    check("type=image,unpack=true,oci-artifact=false", &[], None, &["`unpack=true` does nothing"]);
    check("type=image,rewrite-timestamp=true", &[], None, &["without SOURCE_DATE_EPOCH"]);
    check("type=image,rewrite-timestamp=true", &[], Some(0), &[]);
    check("type=image", &["index,manifest:k=v"], None, &["type `index` have no place"]);
    check("type=oci,dest=x", &["index,manifest-descriptor:k=v"], None, &[]);
    check("type=oci,dest=x", &["index-descriptor:k=v"], None, &["`index-descriptor`"]);
    check("out", &["k=v"], None, &["files have no manifest"]);
    check("type=image,oci-mediatypes=false,annotation.k=v", &[], None, &["annotations need OCI's"]);
    check("type=image,oci-mediatypes=false,compression=zstd", &[], None, &["zstd need OCI's"]);
}

#[test]
fn layers_are_packed_as_outputs_need_them() {
    type Form = Option<(Compression, Option<u8>)>;
    #[track_caller]
    fn check(outputs: &[&str], now: Form, traveling: Form) {
        let specs: Vec<_> = outputs.iter().map(|text| ExportSpec::parse(text).unwrap()).collect();
        let expected = now.map(|(compression, level)| LayerForm { compression, level });
        assert_eq!(ExportSpec::packing(&specs), expected, "{outputs:?}");
        let expected = traveling.map(|(compression, level)| LayerForm { compression, level });
        assert_eq!(ExportSpec::traveling(&specs), expected, "{outputs:?}");
    }
    const GZIP: Form = Some((Compression::Gzip, None));
    const ZSTD: Form = Some((Compression::Zstd, None));
    // What stays here needs no blobs.
    check(&[], None, None);
    check(&["out"], None, None);
    check(&["type=image", "type=docker"], None, None);
    check(&["type=oci,dest=x"], GZIP, GZIP);
    check(&["type=docker,dest=x"], GZIP, GZIP);
    check(&["type=image", "type=oci,dest=x,compression=zstd"], ZSTD, ZSTD);
    check(&["type=image,compression=zstd", "out"], ZSTD, ZSTD);
    let low = Some((Compression::Gzip, Some(1)));
    check(&["type=image,compression-level=1"], low, low);
    // What is pushed is made while it is sent, where nothing else hides the work.
    check(&["type=image,push=true"], None, GZIP);
    check(&["type=registry,compression=zstd"], ZSTD, ZSTD);
    check(&["type=registry", "type=oci,dest=x,compression=zstd"], ZSTD, ZSTD);
}

#[test]
fn insecure_registries_are_those_of_the_names() {
    let spec = ExportSpec::parse("type=registry,name=b.example/x,registry.insecure=true").unwrap();
    let tags = names(&["a.example/y:1", "b.example/z:2"]);
    assert_eq!(spec.insecure_registries(&tags), ["a.example", "b.example"]);
    let spec = ExportSpec::parse("type=image,name=b.example/x,registry.insecure=true").unwrap();
    assert!(spec.insecure_registries(&tags).is_empty(), "nothing is pushed");
}
