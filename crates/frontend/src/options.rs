//! What the user asks of the Dockerfile itself: all that lowering reads, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lathe_oci::{Platform, Reference};
use lathe_pattern::Ignore;

/// What stands behind a name of `--build-context`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedContext {
    /// An image; one of an OCI layout is in the store by now, and named by digest.
    Image(Reference),
    /// Files: a folder, a repository, an archive, a download. The worker knows them by the name.
    Files,
}

/// Something that a Dockerfile may do only with the user's leave (`--allow`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entitlement {
    /// `network.host`
    NetworkHost,
    /// `security.insecure`
    SecurityInsecure,
    /// `device`
    Device,
    /// `buildx.local.delete`: an output may delete files of its folder.
    LocalDelete,
}

/// Which stages are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlanScope {
    /// Those that the target needs.
    #[default]
    Target,
    /// All, as checks do.
    All,
}

/// The part of a build request that changes what a Dockerfile means.
#[derive(Clone, Debug)]
pub struct FrontendOptions {
    /// `--target`; the last stage where `None`.
    pub target: Option<String>,
    /// `--platform`: what the image is for.
    pub platform: Platform,
    /// What the builder runs on.
    pub build_platform: Platform,
    /// `--build-arg`, by name.
    pub build_args: BTreeMap<String, String>,
    /// `--label`, in order.
    pub labels: Vec<(String, String)>,
    /// `--no-cache`.
    pub no_cache: bool,
    /// `--no-cache-filter`: stages whose steps are run again.
    pub no_cache_filter: Vec<String>,
    /// `--build-context`, by name in lower case; images without `:latest`.
    pub contexts: BTreeMap<String, NamedContext>,
    /// `--allow`.
    pub allow: BTreeSet<Entitlement>,
    /// The ignore file of the build context, if there is one.
    pub ignore: Option<Arc<Ignore>>,
    /// Which stages are looked at.
    pub scope: PlanScope,
}

impl FrontendOptions {
    /// Returns the options of a plain build for a platform, as a place to start from.
    pub fn new(platform: Platform) -> Self {
        Self {
            target: None,
            build_platform: platform.clone(),
            platform,
            build_args: BTreeMap::new(),
            labels: Vec::new(),
            no_cache: false,
            no_cache_filter: Vec::new(),
            contexts: BTreeMap::new(),
            allow: BTreeSet::new(),
            ignore: None,
            scope: PlanScope::Target,
        }
    }
}

/// Arguments that need no `ARG`: given to `RUN`, in neither key nor history.
pub(crate) const PROXY_ARGS: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

impl FrontendOptions {
    /// Returns the arguments that hold before the first `FROM`: the platform arguments, which a
    /// build argument of the same name overrides.
    pub(crate) fn platform_args(&self) -> BTreeMap<String, String> {
        let mut args = BTreeMap::new();
        for (prefix, platform) in [("TARGET", &self.platform), ("BUILD", &self.build_platform)] {
            let mut add = |name: &str, value: String| args.insert(format!("{prefix}{name}"), value);
            add("PLATFORM", platform.to_string());
            add("OS", platform.os.clone());
            add("OSVERSION", platform.os_version.clone().unwrap_or_default());
            add("ARCH", platform.architecture.clone());
            add("VARIANT", platform.variant.clone().unwrap_or_default());
        }
        let stage = self.target.clone().unwrap_or_else(|| "default".to_owned());
        args.insert("TARGETSTAGE".to_owned(), stage);
        for (name, value) in &mut args {
            if let Some(given) = self.build_args.get(name) {
                value.clone_from(given);
            }
        }
        args
    }
}
