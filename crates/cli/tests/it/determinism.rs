//! The same input makes the same image, to the byte.

use crate::sandbox;

const EPOCH: [(&str, &str); 1] = [("SOURCE_DATE_EPOCH", "1700000000")];

const BUILD: &str = "FROM busybox AS build\n\
    WORKDIR /src\n\
    COPY . .\n\
    RUN cat a b > out; mkdir -p deep/er; for i in 1 2 3 4 5 6 7 8 9; do echo $i > deep/er/$i; done; \
        ln out hard; ln -s out soft; chown 1000:1001 deep; rm -r /home/ann\n\
    FROM busybox\n\
    COPY --from=build --chown=ann /src /app\n\
    COPY <<EOF /note\nnote\nEOF\n\
    USER ann\nWORKDIR /app/own\nLABEL b=2 a=1\nENV Z=1 Y=2\nCMD [\"x\"]\n";

#[test]
fn two_stores_make_the_same_image() {
    let images: Vec<_> = [0, 1]
        .into_iter()
        .filter_map(|_| {
            let sandbox = sandbox()?;
            sandbox.file("a", "a").file("b", "b").file("z/y/x", "x").symlink("l", "a");
            sandbox.dockerfile(BUILD);
            let first = sandbox.build_with(&EPOCH, &["-t", "x"]).image;
            let second = sandbox.build_with(&EPOCH, &["-t", "x", "--no-cache"]).image;
            assert_eq!(first.digest, second.digest, "{:?}", difference(&first, &second));
            Some(second)
        })
        .collect();
    let [one, two] = images.as_slice() else { return };
    assert_eq!(one.digest, two.digest, "{:?}", difference(one, two));
    assert_eq!(one.config["created"], "2023-11-14T22:13:20Z");
    for (path, node) in one.layers.iter().skip(1).flatten() {
        assert!(node.mtime <= 1_700_000_000, "{path} has the time {}", node.mtime);
    }
}

for_everybody! {
    fn root_and_user_make_the_same_image(sandbox) {
        sandbox.file("a", "a").file("b", "b").dockerfile(BUILD);
        let image = sandbox.build_with(&EPOCH, &[]).image;
        assert_eq!(image.node("/app/deep").owner, (1000, 1001));
        if let Some(other) = crate::sandbox() {
            other.file("a", "a").file("b", "b").dockerfile(BUILD);
            let other = other.build_with(&EPOCH, &[]).image;
            assert_eq!(image.digest, other.digest, "{:?}", difference(&image, &other));
        }
    }
}

#[test]
fn without_an_epoch_the_cache_keeps_the_image() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("a", "a").file("b", "b").dockerfile(BUILD);
    let first = sandbox.build(&[]).image;
    assert_eq!(sandbox.build(&[]).image.digest, first.digest);
}

/// Returns the paths in which layers of two images differ.
fn difference(one: &lathe_testkit::image::Image, two: &lathe_testkit::image::Image) -> Vec<String> {
    let mut paths = Vec::new();
    for (index, (left, right)) in one.layers.iter().zip(&two.layers).enumerate() {
        for path in left.keys().chain(right.keys()) {
            let (mut left, mut right) = (left.get(path).cloned(), right.get(path).cloned());
            if left != right {
                for node in left.iter_mut().chain(right.iter_mut()) {
                    node.data.truncate(40);
                }
                paths.push(format!("layer {index} {path}: {left:?} {right:?}"));
            }
        }
    }
    paths.dedup();
    if one.config != two.config {
        paths.push(format!("{}\n{}", one.config, two.config));
    }
    paths
}
