//! Layers that are packed only when something needs them: wherever an image goes, it is whole.

use std::fs;

use lathe_testkit::{image::Image, registry::FakeRegistry};

use crate::sandbox;

const STEPS: &str = "FROM busybox\nCOPY f /f\nRUN echo made > /made && rm /bin/uname\nRUN mkdir /d && ln /made /d/link\nCMD [\"cat\", \"/made\"]\n";

for_everybody! {
    fn an_image_survives_every_way(sandbox) {
        sandbox.file("f", "f").dockerfile(STEPS);
        let built = sandbox.build(&["-t", "app:1"]).image;
        let run = |name: &str| sandbox.lathe(&["run", "--rm", name]).success().stdout;
        assert_eq!(run("app:1"), "made\n");
        // To an archive, into another store, and back.
        sandbox.lathe(&["save", "-o", "app.tar", "app:1"]).success();
        let bytes = fs::read(sandbox.path("app.tar")).expect("it was written");
        let (saved, _) = Image::from_docker_archive(&bytes).expect("an archive");
        assert_eq!((&saved.id, saved.tree()), (&built.id, built.tree()));
        let other = sandbox.path("other").to_string_lossy().into_owned();
        let elsewhere = |arguments: &[&str]| {
            sandbox.lathe(&[&["--root", &other], arguments].concat()).success().stdout
        };
        let loaded = elsewhere(&["load", "-i", "app.tar"]);
        assert!(loaded.contains("app:1"), "{loaded}");
        assert_eq!(elsewhere(&["run", "--rm", "app:1"]), "made\n");
        // From the other store to a registry, and into the first store once more.
        let registry = FakeRegistry::start();
        let name = format!("{}/app:1", registry.host());
        elsewhere(&["tag", "app:1", &name]);
        elsewhere(&["push", &name]);
        let remote = Image::from_registry(&registry, "app", "1").expect("it is there");
        assert_eq!((&remote.id, remote.tree()), (&built.id, built.tree()));
        let first = registry.take_requests().len();
        elsewhere(&["push", &name]);
        assert!(registry.take_requests().len() < first, "layers are not sent twice");
        sandbox.lathe(&["rmi", "-f", "app:1"]).success();
        sandbox.lathe(&["system", "prune", "-af"]).success();
        sandbox.lathe(&["pull", &name]).success();
        assert_eq!(run(&name), "made\n");
        elsewhere(&["system", "check"]);
    }

    fn pushing_packs_once(sandbox) {
        sandbox.file("f", "f").dockerfile(STEPS);
        let registry = FakeRegistry::start();
        let name = format!("{}/one:1", registry.host());
        sandbox.build(&["-t", &name]);
        let blobs = || fs::read_dir(sandbox.store().join("blobs/sha256")).expect("the store's folder").count();
        sandbox.lathe(&["push", &name]).success();
        let first = Image::from_registry(&registry, "one", "1").expect("it is there");
        let packed = blobs();
        let again = FakeRegistry::start();
        let other = format!("{}/one:1", again.host());
        sandbox.lathe(&["tag", &name, &other]).success();
        sandbox.lathe(&["push", &other]).success();
        assert_eq!(blobs(), packed, "what was packed for one registry serves the next");
        let second = Image::from_registry(&again, "one", "1").expect("it is there");
        assert_eq!(first.digest, second.digest);
    }

    fn a_build_writes_no_archives_of_its_layers(sandbox) {
        let big = "x".repeat(3_000_000);
        sandbox.file("big", &big).dockerfile("FROM busybox\nCOPY big /big\n");
        sandbox.lathe(&["build", "-t", "app", "context"]).success();
        let folder = sandbox.store().join("blobs/sha256");
        let sizes = fs::read_dir(folder).expect("the store's folder").map(|entry| {
            entry.expect("an entry").metadata().expect("it is there").len()
        });
        let sizes: Vec<u64> = sizes.collect();
        assert!(sizes.iter().all(|size| *size < 2_500_000), "{sizes:?}");
        assert_eq!(sandbox.lathe(&["run", "--rm", "app", "wc", "-c", "/big"]).success().stdout, "3000000 /big\n");
    }
}

#[test]
fn forms_of_outputs_are_the_same_from_a_build_and_from_the_store() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("f", "f").dockerfile(STEPS);
    sandbox.build(&["-t", "a"]);
    for compression in ["gzip", "zstd", "uncompressed"] {
        let spec = |name: &str| {
            format!("type=oci,dest={name},compression={compression},force-compression=true")
        };
        sandbox.lathe(&["build", "-o", &spec("one.tar"), "context"]).success();
        sandbox
            .lathe(&["build", "--no-cache-filter", "none", "-o", &spec("two.tar"), "context"])
            .success();
        let read = |name: &str| fs::read(sandbox.path(name)).expect("it was written");
        assert!(read("one.tar") == read("two.tar"), "{compression}: not the same bytes");
    }
}
