//! Dockerfiles in, graphs and configs out: each `test_data/*.dockerfile` has its snapshot beside
//! it. Lines `#: word …` at the top say what the build is given and what its images are.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, sync::Arc};

use expect_test::expect_file;
use lathe_oci::{Descriptor, Digest, ImageConfig, MediaType, Platform, Reference, RunConfig};
use lathe_pattern::Ignore;

use crate::{
    Entitlement, Epoch, FrontendOptions, ImageTarget, Lowered, NamedContext, PinnedImage,
    PlanScope, PlatformChoice, Resolution, WantedImage, lower, plan,
};

/// What a test's Dockerfile is built with.
struct Setting {
    options: FrontendOptions,
    /// What images have besides the usual, by familiar name: `(name, key, value)`.
    images: Vec<(String, String, String)>,
}

impl Setting {
    fn of(text: &str) -> Self {
        let options = FrontendOptions {
            build_args: BTreeMap::from([("HTTP_PROXY".to_owned(), "http://proxy".to_owned())]),
            labels: vec![("given".to_owned(), "label".to_owned())],
            ..FrontendOptions::new(Platform::linux("amd64"))
        };
        let mut setting = Self { options, images: Vec::new() };
        if text.contains("GIVEN") {
            let value = "from the command line".to_owned();
            setting.options.build_args.insert("GIVEN".to_owned(), value);
        }
        let mut ignored = Vec::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("#: ")) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let pair = || {
                let (name, value) = rest.split_once('=').unwrap();
                (name.to_owned(), value.to_owned())
            };
            let options = &mut setting.options;
            match word {
                "arg" => options.build_args.extend([pair()]),
                "target" => options.target = Some(rest.to_owned()),
                "all" => options.scope = PlanScope::All,
                "platform" => options.platform = rest.parse().unwrap(),
                "runnable" => {
                    let runnable = vec![rest.parse().unwrap()];
                    options.platform_choice = PlatformChoice::Assumed { runnable };
                }
                "files" => {
                    options.contexts.insert(rest.to_owned(), NamedContext::Files);
                }
                "image" => {
                    let (name, image) = pair();
                    let reference = Reference::parse(&image).unwrap();
                    options.contexts.insert(name, NamedContext::Image(reference));
                }
                "allow" => {
                    let all = [
                        Entitlement::NetworkHost,
                        Entitlement::SecurityInsecure,
                        Entitlement::Device,
                    ];
                    options.allow.extend(all.into_iter().find(|it| it.name() == rest));
                }
                "ignore" => ignored.push(rest.to_owned()),
                "no-cache-filter" => options.no_cache_filter.push(rest.to_owned()),
                "of" => {
                    let [name, key, value] = *rest.splitn(3, ' ').collect::<Vec<_>>() else {
                        panic!("{line}");
                    };
                    let entry = (name.to_owned(), key.to_owned(), value.to_owned());
                    setting.images.push(entry);
                }
                _ => panic!("{line}"),
            }
        }
        if !ignored.is_empty() {
            setting.options.ignore = Some(Arc::new(Ignore::new(ignored).unwrap()));
        }
        setting
    }

    /// An image of one layer whose digest is that of its name.
    fn pinned(&self, image: &WantedImage) -> PinnedImage {
        let name = image.reference.to_string();
        let config = RunConfig {
            env: vec!["PATH=/usr/bin:/bin".to_owned(), "BASE=1".to_owned()],
            cmd: Some(vec!["base-command".to_owned()]),
            ..RunConfig::default()
        };
        let mut pinned = PinnedImage {
            manifest: Digest::of(name.as_bytes()),
            config: ImageConfig {
                os: image.platform.os.clone(),
                architecture: image.platform.architecture.clone(),
                config,
                ..ImageConfig::default()
            },
            layers: vec![Descriptor::of(MediaType::OciLayerGzip, name.as_bytes())],
        };
        for (_, key, value) in self.images.iter().filter(|(of, ..)| *of == short(image)) {
            let config = &mut pinned.config;
            match key.as_str() {
                "onbuild" => config.config.on_build.push(value.clone()),
                "workdir" => config.config.working_dir.clone_from(value),
                "architecture" => config.architecture.clone_from(value),
                "layers" => pinned.layers.clear(),
                "env" => config.config.env = vec![value.clone()],
                _ => panic!("{key}"),
            }
        }
        pinned
    }

    fn is_unknown(&self, image: &WantedImage) -> bool {
        self.images.iter().any(|(of, key, _)| *of == short(image) && key == "unknown")
    }

    fn lower(&self, text: &str) -> Result<Lowered, Vec<lathe_dockerfile::Diagnostic>> {
        let parse = lathe_dockerfile::parse(text);
        if parse.has_errors() {
            return Err(parse.diagnostics);
        }
        let mut resolution = Resolution::default();
        loop {
            let planned = plan(&parse.file, &self.options, &resolution)?;
            let before = resolution.images.len() + resolution.unknown.len();
            for image in planned.stages.wanted().into_keys() {
                if self.is_unknown(&image) {
                    resolution.unknown.insert(image);
                } else {
                    resolution.images.insert(image.clone(), self.pinned(&image));
                }
            }
            if resolution.images.len() + resolution.unknown.len() == before {
                return lower(&parse.file, &planned.stages, &resolution, &self.options);
            }
        }
    }
}

fn short(image: &WantedImage) -> String {
    image.reference.familiar().trim_end_matches(":latest").to_owned()
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
    let mut text = format!("output {:?} for {}\n", target.vertex.map(|id| id.0), target.platform);
    if let Some(author) = &target.config.author {
        let _ = writeln!(text, "author {author}");
    }
    format!("{text}history\n{}config {config}\n", history.concat())
}

fn lowered(text: &str) -> String {
    let setting = Setting::of(text);
    let render = |findings: &[lathe_dockerfile::Diagnostic]| -> String {
        findings.iter().map(|f| lathe_dockerfile::render(f, text, "Dockerfile")).collect()
    };
    let lowered = match setting.lower(text) {
        Ok(lowered) => lowered,
        Err(errors) => return render(&errors),
    };
    let mut shown = lathe_graph::dump(&lowered.graph) + &dump_target(&lowered.target);
    let again = lowered.graph.vertices().filter(|(_, vertex)| vertex.meta.ignore_cache);
    for (id, _) in again {
        let _ = writeln!(shown, "run again {}", id.0);
    }
    if lowered.epoch != Epoch::Unset {
        let _ = writeln!(shown, "epoch {:?}", lowered.epoch);
    }
    shown + &render(&lowered.warnings)
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
    assert!(count >= 30, "only {count} cases were found");
}

#[test]
fn inv_frontend_pinned_sources_have_digests() {
    let digest = Digest::of(b"docker.io/library/node:18").to_string();
    assert!(lowered("FROM node:18\nRUN true\n").contains(&digest));
}

#[test]
fn whatever_parses_is_lowered_or_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dockerfile/test_data/ok");
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "dockerfile") {
            let text = fs::read_to_string(&path).unwrap();
            for cut in (0..text.len()).filter(|&at| text.is_char_boundary(at)).step_by(7) {
                for all in ["", "#: all\n"] {
                    assert!(!lowered(&format!("{all}{}", &text[..cut])).is_empty(), "{path:?}");
                }
            }
        }
    }
}
