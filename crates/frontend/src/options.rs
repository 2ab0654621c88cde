//! What the user asks of the Dockerfile itself: all that lowering reads, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lathe_dockerfile::Dockerfile;
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

impl Entitlement {
    /// Returns the name as users write it behind `--allow`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NetworkHost => "network.host",
            Self::SecurityInsecure => "security.insecure",
            Self::Device => "device",
            Self::LocalDelete => "buildx.local.delete",
        }
    }
}

/// Who chose the platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PlatformChoice {
    /// The user, with `--platform`: the image is for it, whatever its base says.
    #[default]
    Given,
    /// Nobody: it is the builder's own. A base image for another one is taken for what it is,
    /// if the builder can run it.
    Assumed {
        /// What the builder runs besides its own, as with an emulator.
        runnable: Vec<Platform>,
    },
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
    /// Who chose it.
    pub platform_choice: PlatformChoice,
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
            platform_choice: PlatformChoice::default(),
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

/// Arguments that need no `ARG`: given to `RUN`, in neither key nor history. Also in lower case.
pub(crate) const PROXY_ARGS: [&str; 5] =
    ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Arguments that say what the builder should look into; processes do not see them.
pub(crate) const SCAN_ARGS: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// When things are from, instead of now.
pub(crate) const EPOCH_ARG: &str = "SOURCE_DATE_EPOCH";

/// Tells whether a name is that of a proxy argument.
pub(crate) fn is_proxy_arg(name: &str) -> bool {
    PROXY_ARGS.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}

impl FrontendOptions {
    /// Returns the arguments that hold before the first `FROM`: the platform arguments, which a
    /// build argument of the same name overrides.
    pub(crate) fn platform_args(&self, file: &Dockerfile) -> BTreeMap<String, String> {
        let mut args = BTreeMap::new();
        for (prefix, platform) in [("TARGET", &self.platform), ("BUILD", &self.build_platform)] {
            let mut add = |name: &str, value: String| args.insert(format!("{prefix}{name}"), value);
            add("PLATFORM", platform.to_string());
            add("OS", platform.os.clone());
            add("OSVERSION", platform.os_version.clone().unwrap_or_default());
            add("ARCH", platform.architecture.clone());
            add("VARIANT", platform.variant.clone().unwrap_or_default());
        }
        let last = || file.stages.last()?.key();
        let stage = self.target.clone().or_else(last);
        args.insert("TARGETSTAGE".to_owned(), stage.unwrap_or_else(|| "default".to_owned()));
        for (name, value) in &mut args {
            if let Some(given) = self.build_args.get(name) {
                value.clone_from(given);
            }
        }
        args
    }

    /// Returns what stands behind a name in place of the stage or image that it would mean.
    pub(crate) fn context(&self, name: &str) -> Option<(&str, &NamedContext)> {
        if self.contexts.is_empty() {
            return None;
        }
        let lower = name.to_lowercase();
        if matches!(lower.as_str(), "scratch" | "context") {
            return None;
        }
        let named = |name: &str| self.contexts.get_key_value(name);
        let found = named(&lower)
            .or_else(|| named(&Reference::parse(&lower).ok()?.with_default_tag().shortest()));
        found.map(|(name, context)| (name.as_str(), context))
    }

    /// Tells whether the steps of a stage are run again, whatever is known of them.
    pub(crate) fn ignores_cache(&self, stage: Option<&str>) -> bool {
        let named = |filter: &String| stage.is_some_and(|stage| stage.eq_ignore_ascii_case(filter));
        self.no_cache || self.no_cache_filter.iter().any(named)
    }
}
