//! What all cases share: a store, a registry with base images, a web server with files and repositories.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use lathe_testkit::fixture::{Entry, ImageFixture, architecture, put_index};
use lathe_testkit::normal_user::{self, User};
use lathe_testkit::registry::FakeRegistry;
use lathe_testkit::sandbox::{As, Sandbox};
use serde_json::{Value, json};

use super::image::Reader;
use super::options::Options;
use super::run::has_program;
use super::web::{GIT_BACKEND, Repositories, Web};
use crate::cargo;
use crate::sh::{self, Cmd};

/// The search path that images without one get.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The world of the cases.
#[derive(Debug)]
pub(super) struct World {
    pub(super) sandbox: Sandbox,
    pub(super) registry: FakeRegistry,
    pub(super) reader: Reader,
    /// The normal user as whom lathe is run, if it is one.
    pub(super) user: Option<User>,
    web: Web,
    repositories: Repositories,
    /// Digest of the manifest of `busybox`.
    busybox: String,
}

impl World {
    /// Starts servers and makes a store; `None` where there is no busybox.
    pub(super) fn start(options: &Options) -> Result<Option<Self>> {
        let Some(busybox) = ImageFixture::busybox()? else { return Ok(None) };
        let program = match &options.lathe {
            Some(program) => fs::canonicalize(program).context("--lathe")?,
            None => newest_program()?,
        };
        let registry = FakeRegistry::start();
        let images = put_images(&registry, &busybox);
        let who = if options.as_user { As::NormalUser } else { As::Caller };
        let sandbox = Sandbox::new(&program, &registry.host(), who);
        let sandbox = sandbox.context("there is no sandbox for this user")?;
        let user = if options.as_user { Some(normal_user::ensure_user()?) } else { None };
        let repositories = Repositories::make(&sandbox.path("git"))?;
        let web = Web::start(sandbox.path(""))?;
        let mut reader = Reader::default();
        for image in &images {
            reader.bases.extend(diff_ids(&registry, image)?);
        }
        let (_, manifest) = registry.manifest("library/busybox", "latest").context("busybox")?;
        let busybox = lathe_testkit::image::digest_of(&manifest);
        let world = Self { sandbox, registry, reader, user, web, repositories, busybox };
        fs::create_dir_all(world.sandbox.path("c"))?;
        Ok(Some(world))
    }

    /// Returns the folder of a case.
    pub(super) fn folder(&self, number: usize) -> PathBuf {
        self.sandbox.path("c").join(number.to_string())
    }

    /// Tells whether something is here that cases may need.
    pub(super) fn has(&self, need: &str) -> bool {
        match need {
            "root" => self.user.is_none() && sh::is_root(),
            "git" => has_program("git") && Path::new(GIT_BACKEND).exists(),
            "qemu" => {
                // A program of this machine's own architecture needs none.
                architecture() == "arm64" || has_program("qemu-aarch64-static")
            }
            "no-root" => !self.has("root"),
            program => has_program(program),
        }
    }

    /// Fills in what differs from run to run.
    pub(super) fn fill(&self, text: &str, number: usize) -> String {
        if !text.contains('@') {
            return text.to_owned();
        }
        let pairs = self.names(number);
        let text =
            pairs.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
        // What is too long for a page to show: `@x70000@` is that many of the letter.
        let Some((before, rest)) = text.split_once("@x") else { return text };
        let Some((count, after)) = rest.split_once('@') else { return text };
        let Ok(count) = count.parse() else { return text };
        format!("{before}{}{after}", "x".repeat(count))
    }

    /// Names what differs from run to run.
    pub(super) fn mask(&self, text: &str, number: usize) -> String {
        let pairs = self.names(number);
        // The search path and the like are the same everywhere and are easier to read as they are.
        let varying = pairs.iter().filter(|(name, _)| !matches!(*name, "@PATH@" | "@arch@"));
        varying.fold(text.to_owned(), |text, (name, value)| text.replace(value, name))
    }

    fn names(&self, number: usize) -> Vec<(&'static str, String)> {
        let host = self.web.host();
        let commits = &self.repositories;
        vec![
            ("@PATH@", PATH.to_owned()),
            ("@arch@", architecture().to_owned()),
            ("@dir@", self.folder(number).display().to_string()),
            ("@www@", format!("http://{host}/c/{number}/www")),
            ("@git@", format!("http://{host}/git")),
            ("@http@", format!("http://{host}")),
            ("@host@", host),
            ("@registry@", self.registry.host()),
            ("@busybox@", self.busybox.clone()),
            ("@commit-v1@", commits.v1.clone()),
            ("@commit-main@", commits.main.clone()),
            ("@commit-dev@", commits.dev.clone()),
        ]
    }
}

/// Returns the program that cargo built last.
fn newest_program() -> Result<PathBuf> {
    let target = match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => folder.into(),
        None => cargo::target_folder()?,
    };
    let age = |path: &PathBuf| fs::metadata(path).and_then(|file| file.modified()).ok();
    let programs = ["debug/lathe", "release/lathe"].map(|name| target.join(name));
    let newest = programs.into_iter().filter(|path| age(path).is_some()).max_by_key(age);
    newest.context("no program: `cargo build` makes it")
}

/// Puts the base images into the registry and returns their names; `README.md` of the cases lists them.
fn put_images(registry: &FakeRegistry, busybox: &ImageFixture) -> Vec<&'static str> {
    let mut names = Vec::new();
    let mut put = |name: &'static str, image: &ImageFixture| {
        image.put(registry, &format!("library/{name}"), "latest");
        names.push(name);
    };
    put("busybox", busybox);
    put("empty", &ImageFixture::new(json!({ "Env": ["EMPTY=yes"] })));
    let on_build = |triggers: Value| busybox.clone().with("OnBuild", triggers);
    put("triggers", &on_build(json!(["RUN echo triggered > /trigger", "ENV TRIGGERED=yes"])));
    put("trigger-copy", &on_build(json!(["COPY a.txt /onbuild/", "WORKDIR /onbuild"])));
    put("trigger-from", &on_build(json!(["COPY --from=other /x /y"])));
    put("trigger-arg", &on_build(json!(["ARG WHO=nobody", "ENV WHO=$WHO", "LABEL who=$WHO"])));
    put("trigger-bad", &on_build(json!(["FROM scratch"])));
    put("trigger-heredoc", &on_build(json!(["COPY <<EOF /h\nbody\nEOF"])));
    put("no-path", &busybox.clone().with("Env", json!(["A=1"])));
    put("shelled", &busybox.clone().with("Shell", json!(["/bin/sh", "-ec"])));
    put("configured", &configured(busybox));
    put("links", &busybox.clone().layer(&links()));
    put("odd-users", &busybox.clone().layer(&odd_users()));
    put("foreign", &ImageFixture::new(json!({})).layer(&[which("other")]).architecture(foreign()));
    let pair = ["amd64", "arm64"].map(|name| {
        ImageFixture::new(json!({ "Env": [PATH] })).layer(&[which(name)]).architecture(name)
    });
    put_index(registry, "library/several", "latest", &pair);
    names.push("several");
    names
}

fn which(text: &str) -> Entry {
    Entry::file("which", text)
}

/// Returns an architecture that this machine has not.
fn foreign() -> &'static str {
    if architecture() == "arm64" { "amd64" } else { "arm64" }
}

/// An image with something in every field that stages inherit.
fn configured(busybox: &ImageFixture) -> ImageFixture {
    let mut image = busybox.clone().layer(&[Entry::dir("work"), Entry::dir("data")]);
    let fields = [
        ("Env", json!([PATH, "BASE=yes"])),
        ("User", json!("ann")),
        ("WorkingDir", json!("/work")),
        ("Cmd", json!(["base-cmd"])),
        ("Entrypoint", json!(["base-entry"])),
        ("Labels", json!({ "base": "yes", "who": "base" })),
        ("ExposedPorts", json!({ "80/tcp": {} })),
        ("Volumes", json!({ "/data": {} })),
        ("StopSignal", json!("SIGINT")),
        (
            "Healthcheck",
            json!({ "Test": ["CMD", "true"], "Interval": 5_000_000_000_u64, "Retries": 4 }),
        ),
    ];
    for (name, value) in fields {
        image = image.with(name, value);
    }
    image
}

/// A layer with links of each kind.
fn links() -> Vec<Entry> {
    vec![
        Entry::dir("real"),
        Entry::file("real/old", "old"),
        Entry::symlink("link", "real"),
        Entry::symlink("absolute", "/real"),
        Entry::symlink("dangling", "nowhere/at-all"),
        Entry::symlink("up", "../../../real"),
        Entry::symlink("loop", "loop"),
        Entry::file("file", "file"),
        Entry::symlink("file-link", "file"),
        Entry::file("one", "same").mode(0o640),
        Entry::hard_link("two", "one").mode(0o640),
        Entry::dir("sticky").mode(0o1777),
        Entry::dir("private").mode(0o700).owner(5, 6),
        Entry::file("private/f", "f").mode(0o4755).owner(7, 8),
    ]
}

/// A layer with entries of users that are hard to read.
fn odd_users() -> Vec<Entry> {
    let passwd = "root:x:0:0:root:/root:/bin/sh\n# comment\nbroken\nlong:x:4000:4001:a:b\n\
                  12:x:99:98::/:\nann:x:1000:1001:Ann:/home/ann:/bin/sh\nann:x:2000:2001::/:/bin/sh";
    let group = "root:x:0:\nstaff:x:1001:\n34:x:97:\nmany:x:3000:ann,long\nalso:x:3001:long";
    vec![Entry::file("etc/passwd", passwd), Entry::file("etc/group", group)]
}

/// Returns the lists of layers that an image of the registry has, one for each platform.
fn diff_ids(registry: &FakeRegistry, name: &str) -> Result<Vec<Vec<String>>> {
    let repository = format!("library/{name}");
    let document = |reference: &str| -> Result<Value> {
        let (_, bytes) = registry.manifest(&repository, reference).context("a manifest")?;
        Ok(serde_json::from_slice(&bytes)?)
    };
    let top = document("latest")?;
    let mut manifests = vec![top.clone()];
    if let Some(items) = top["manifests"].as_array() {
        manifests = items
            .iter()
            .map(|item| document(item["digest"].as_str().unwrap_or_default()))
            .collect::<Result<_>>()?;
    }
    let mut lists = Vec::new();
    for manifest in manifests {
        let digest = manifest["config"]["digest"].as_str().context("a config")?.parse()?;
        let config = registry.blob(&repository, &digest).context("a config")?;
        let config: Value = serde_json::from_slice(&config)?;
        let ids = config["rootfs"]["diff_ids"].as_array().context("diff_ids")?;
        lists.push(ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect());
    }
    Ok(lists)
}

/// Runs git with settings of its own and dates that never change.
pub(super) fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let date = "2021-01-02T03:04:05Z";
    let settings = ["user.name=Ann", "user.email=ann@example.org", "init.defaultBranch=main"];
    let mut command = Cmd::new("git").dir(folder);
    for setting in settings.iter().chain(&["commit.gpgsign=false", "protocol.file.allow=always"]) {
        command = command.args(["-c", setting]);
    }
    for name in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
        command = command.env(name, date);
    }
    command = command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    let output = command.args(arguments).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "git {}: {said}", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
