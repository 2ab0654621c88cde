//! Flags of docker, buildx, buildah and podman that change nothing here, so that a command line
//! written for them works. Those whose effect a user may miss are explained.

use clap::Args;

/// Flags that are read and have no effect.
#[derive(Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags as typed")]
pub(crate) struct AcceptedBuildArgs {
    #[arg(long, hide = true, value_name = "list")]
    cache_from: Vec<String>,
    #[arg(long, hide = true, value_name = "list")]
    cache_to: Vec<String>,
    #[arg(long, hide = true, value_name = "list")]
    attest: Vec<String>,
    #[arg(long, hide = true, value_name = "string", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    provenance: Option<String>,
    #[arg(long, hide = true, value_name = "string", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    sbom: Option<String>,
    #[arg(long, hide = true, value_name = "string")]
    policy: Vec<String>,
    #[arg(long, hide = true, value_name = "list")]
    security_opt: Vec<String>,
    #[arg(long, hide = true, value_name = "string")]
    isolation: Option<String>,
    #[arg(long, hide = true)]
    save_stages: bool,
    #[arg(long, hide = true)]
    stage_labels: bool,

    // Nothing is missed without these.
    #[arg(long, hide = true, value_name = "string")]
    builder: Option<String>,
    #[arg(long, hide = true)]
    rm: bool,
    #[arg(long, hide = true)]
    force_rm: bool,
    #[arg(long, hide = true)]
    compress: bool,
    #[arg(long, hide = true)]
    layers: bool,
    #[arg(long, hide = true)]
    rewrite_timestamp: bool,
    #[arg(long, hide = true, value_name = "int")]
    retry: Option<String>,
    #[arg(long, hide = true, value_name = "string")]
    retry_delay: Option<String>,
    #[arg(long, hide = true)]
    disable_content_trust: bool,
}

const NO_ATTESTATIONS: &str = "no attestations are made";

impl AcceptedBuildArgs {
    /// Returns the flags that were given and whose effect a user may miss, each with the reason.
    pub(crate) fn explained(&self) -> Vec<(&'static str, &'static str)> {
        let on = |value: &Option<String>| {
            value.as_deref().is_some_and(|text| !matches!(text, "false" | "0"))
        };
        let given = [
            ("--cache-from", !self.cache_from.is_empty(), "the cache is the store's own"),
            ("--cache-to", !self.cache_to.is_empty(), "the cache stays in the store"),
            ("--attest", !self.attest.is_empty(), NO_ATTESTATIONS),
            ("--provenance", on(&self.provenance), NO_ATTESTATIONS),
            ("--sbom", on(&self.sbom), NO_ATTESTATIONS),
            ("--policy", !self.policy.is_empty(), "source policies are not evaluated"),
            ("--security-opt", !self.security_opt.is_empty(), "the sandbox is always the same"),
            ("--isolation", self.isolation.is_some(), "the sandbox is always the same"),
            ("--save-stages", self.save_stages, "build a stage by itself: `--target STAGE`"),
            ("--stage-labels", self.stage_labels, "stages are no images"),
        ];
        given.into_iter().filter(|(_, given, _)| *given).map(|(flag, _, why)| (flag, why)).collect()
    }
}
