//! Debian's buildah.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::bench::job::Compression;
use crate::bench::place;
use crate::registries::Registries;
use crate::sh::{self, Cmd};

const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// buildah with a store of its own.
#[derive(Debug, Clone)]
pub(in crate::bench) struct Buildah {
    /// Its settings, which all stores share.
    settings: PathBuf,
    store: PathBuf,
}

impl Buildah {
    /// Prepares a store below `place`, and the same way to base images that lathe has; `None` where buildah is
    /// not installed.
    pub(super) fn find(place: &Path, registries: &Registries) -> Result<Option<Self>> {
        if !sh::have("buildah") {
            return Ok(None);
        }
        let settings = place.join("buildah");
        fs::create_dir_all(&settings).with_context(|| format!("create {}", settings.display()))?;
        let mirror = registries.standin.as_ref().map_or_else(String::new, |address| {
            format!(
                "[[registry]]\nprefix = \"docker.io\"\nlocation = \"docker.io\"\n\
                 [[registry.mirror]]\nlocation = \"{address}\"\ninsecure = true\n"
            )
        });
        let short = "unqualified-search-registries = [\"docker.io\"]\n";
        let files = [
            ("registries.conf", format!("{short}{mirror}")),
            ("policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#.to_owned()),
            // npm looks at no bundle of the system.
            ("npmrc", format!("cafile={BUNDLE}\n")),
        ];
        for (name, text) in files {
            let file = settings.join(name);
            fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        }
        Ok(Some(Self { store: settings.join("main"), settings }))
    }

    /// Returns the same with another store.
    pub(super) fn with_store(&self, store: &Path) -> Result<Self> {
        fs::create_dir_all(store).with_context(|| format!("create {}", store.display()))?;
        Ok(Self { settings: self.settings.clone(), store: store.to_owned() })
    }

    pub(super) fn remove(&self) {
        place::remove(&self.store);
    }

    fn setting(&self, name: &str) -> String {
        self.settings.join(name).display().to_string()
    }

    fn command(&self, verb: &str) -> Cmd {
        let [root, run, temporary] =
            ["root", "run", "tmp"].map(|name| self.store.join(name).display().to_string());
        // Layers on their way to an archive are laid down there: it is to be no other disk. A folder that
        // cannot be made is missed by buildah itself.
        let _made = fs::create_dir_all(&temporary).is_ok();
        Cmd::new("buildah")
            .env("TMPDIR", temporary)
            .args(["--root", &root, "--runroot", &run, "--storage-driver", "overlay"])
            .args(["--registries-conf", &self.setting("registries.conf")])
            .arg(verb)
            .args(["--signature-policy", &self.setting("policy.json")])
    }

    pub(super) fn pull(&self, image: &str) -> Cmd {
        self.command("pull").args(["-q", image])
    }

    pub(super) fn build(&self) -> Cmd {
        let command = self.command("build").args(["--layers", "--network", "host", "--jobs", "4"]);
        // Where there are both, crun comes first, which refuses machines with two kinds of cgroups.
        let runtime = if sh::have("runc") { &["--runtime", "runc"][..] } else { &[] };
        let command = command.args(runtime);
        if !Path::new(BUNDLE).is_file() {
            return command;
        }
        let npmrc = self.setting("npmrc");
        let volumes = [format!("{BUNDLE}:{BUNDLE}:ro"), format!("{npmrc}:/root/.npmrc:ro")];
        command.args(volumes.map(|volume| format!("--volume={volume}")))
    }

    pub(super) fn push(&self, image: &str, to: &str, compression: Compression) -> Cmd {
        self.command("push")
            .args(["--tls-verify=false", "--quiet", "--compression-format", compression.name()])
            .args([image, to])
    }
}
