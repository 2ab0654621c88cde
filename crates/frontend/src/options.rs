//! What the user asks of the Dockerfile itself: all that lowering reads, and nothing else.

use std::collections::BTreeMap;

use lathe_oci::Platform;

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
