use super::*;

fn file(path: &str) -> Destination {
    Destination::File(PathBuf::from(path))
}

fn names(list: &[&str]) -> Vec<Reference> {
    list.iter().map(|name| Reference::parse(name).unwrap()).collect()
}

#[test]
fn outputs_are_read_as_buildx_reads_them() {
    #[track_caller]
    fn check(text: &str, want: ExportSpec) {
        assert_eq!(ExportSpec::parse(text), Ok(want), "{text}");
    }
    let none = Vec::new;
    check("out", ExportSpec::Local { destination: "out".into() });
    check("-", ExportSpec::Tar { destination: Destination::Stdout });
    check("type=local,dest=out", ExportSpec::Local { destination: "out".into() });
    check("type=local,\"dest=a,b\"", ExportSpec::Local { destination: "a,b".into() });
    check("type=tar,dest=-", ExportSpec::Tar { destination: Destination::Stdout });
    check("Type=tar,DEST=a", ExportSpec::Tar { destination: file("a") });
    let oci = |destination, form| ExportSpec::Oci { names: none(), destination, form };
    check("type=oci,dest=x.tar", oci(file("x.tar"), LayoutForm::Tar));
    check("type=oci,dest=-", oci(Destination::Stdout, LayoutForm::Tar));
    check("type=oci,dest=x,tar=false", oci(file("x"), LayoutForm::Directory));
    check(
        "type=docker,dest=x,name=a",
        ExportSpec::Docker { names: names(&["a:latest"]), destination: file("x") },
    );
    check("type=docker", ExportSpec::Image { names: none(), push: Push::No });
    check("type=image", ExportSpec::Image { names: none(), push: Push::No });
    check(
        "type=image,\"name=a:1,b\",push=true,oci-mediatypes=true,compression=gzip",
        ExportSpec::Image { names: names(&["a:1", "b:latest"]), push: Push::Yes },
    );
    check(
        "type=image,name=a,name=b",
        ExportSpec::Image { names: names(&["a:latest", "b:latest"]), push: Push::No },
    );
    check(
        "type=registry,name=localhost:5000/a",
        ExportSpec::Image { names: names(&["localhost:5000/a:latest"]), push: Push::Yes },
    );
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
    check("type=local,dest=", "`dest` is empty");
    check("type=local,dest=-", "use type `tar`");
    check("type=oci,dest=-,tar=false", "standard output");
    check("type=docker,dest=x,tar=false", "always an archive");
    check("type=registry,push=false", "always pushes");
    check("type=image,dest=x", "type `image` has no `dest`");
    check("type=local,dest=x,name=a", "type `local` has no `name`");
    check("type=tar,dest=x,push=true", "type `tar` has no `push`");
    check("type=locla,dest=x", "did you mean `local`?");
    check("type=zip,dest=x", "known are image, registry");
    check("type=oci,dset=x", "did you mean `dest`?");
    check("type=oci,colour=x", "known are type, dest");
    check("type=oci,x", "`x` is no `key=value`");
    check("type=oci,\"dest=x", "no closing quote");
    check("type=oci,\"dest=x\"y", "after a closing quote");
    check("type=image,name=A", "lower case");
    check("type=image,push=maybe", "neither true nor false");
    check("type=image,compression=zstd", "`compression=zstd` is not supported");
    let digest = format!("type=image,name=a@sha256:{}", "0".repeat(64));
    check(&digest, "has a digest");
}
