//! Dockerfiles in, graphs and configs out: each `test_data/*.dockerfile` has its snapshot beside it.

use std::{collections::BTreeMap, fs, path::Path};

use expect_test::expect_file;
use lathe_oci::{Descriptor, Digest, ImageConfig, MediaType, Platform, RunConfig};

use crate::{FrontendOptions, ImageTarget, PinnedImage, Resolution, lower, plan};

fn options() -> FrontendOptions {
    FrontendOptions {
        build_args: BTreeMap::from([
            ("GIVEN".to_owned(), "from the command line".to_owned()),
            ("HTTP_PROXY".to_owned(), "http://proxy".to_owned()),
        ]),
        labels: vec![("given".to_owned(), "label".to_owned())],
        ..FrontendOptions::new(Platform::linux("amd64"))
    }
}

/// An image of one layer whose digest is that of its name.
fn pinned(name: &str) -> PinnedImage {
    let config = RunConfig {
        env: vec!["PATH=/usr/bin:/bin".to_owned(), "BASE=1".to_owned()],
        cmd: Some(vec!["base-command".to_owned()]),
        ..RunConfig::default()
    };
    PinnedImage {
        manifest: Digest::of(name.as_bytes()),
        config: ImageConfig {
            os: "linux".into(),
            architecture: "amd64".into(),
            config,
            ..ImageConfig::default()
        },
        layers: vec![Descriptor::of(MediaType::OciLayerGzip, name.as_bytes())],
    }
}

fn dump_target(target: &ImageTarget) -> String {
    let history: Vec<String> = target
        .history
        .iter()
        .map(|item| {
            let vertex = item.vertex.map_or_else(|| "-".to_owned(), |id| id.0.to_string());
            format!("    {vertex} {}\n", item.created_by)
        })
        .collect();
    let config = serde_json::to_string_pretty(&target.config.config).unwrap();
    format!(
        "output {:?}\nhistory\n{}config {config}\n",
        target.vertex.map(|id| id.0),
        history.concat()
    )
}

fn lowered(text: &str) -> String {
    let parse = lathe_dockerfile::parse(text);
    let render = |findings: &[lathe_dockerfile::Diagnostic]| -> String {
        findings.iter().map(|f| lathe_dockerfile::render(f, text, "Dockerfile")).collect()
    };
    if parse.has_errors() {
        return render(&parse.diagnostics);
    }
    let planned = match plan(&parse.file, &options(), &Resolution::default()) {
        Ok(planned) => planned,
        Err(errors) => return render(&errors),
    };
    let wanted = planned.stages.wanted().into_keys();
    let images =
        wanted.map(|image| (image.clone(), pinned(&image.reference.to_string()))).collect();
    match lower(
        &parse.file,
        &planned.stages,
        &Resolution { images, ..Resolution::default() },
        &options(),
    ) {
        Ok(lowered) => lathe_graph::dump(&lowered.graph) + &dump_target(&lowered.target),
        Err(errors) => render(&errors),
    }
}

#[test]
fn inv_frontend_history_and_graphs_are_as_their_snapshots() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("test_data");
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "dockerfile") {
            let text = fs::read_to_string(&path).unwrap();
            expect_file![path.with_extension("lowered")].assert_eq(&lowered(&text));
            count += 1;
        }
    }
    assert!(count >= 6, "only {count} cases were found");
}

#[test]
fn inv_frontend_pinned_sources_have_digests() {
    let digest = Digest::of(b"docker.io/library/node:18").to_string();
    assert!(lowered("FROM node:18\nRUN true\n").contains(&digest));
}
