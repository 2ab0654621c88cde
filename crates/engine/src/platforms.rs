//! Which platforms this machine runs, natively or with an emulator.

use lathe_executor::{Availability, interpreter_for};
use lathe_oci::Platform;

/// Architectures for which there are emulators that Debian packages.
const ARCHITECTURES: [(&str, Option<&str>); 9] = [
    ("amd64", None),
    ("arm64", None),
    ("arm", Some("v7")),
    ("arm", Some("v6")),
    ("386", None),
    ("ppc64le", None),
    ("s390x", None),
    ("riscv64", None),
    ("mips64le", None),
];

/// Returns the platforms besides the machine's own whose programs run here.
pub(crate) fn runnable_platforms() -> Vec<Platform> {
    let host = Platform::host();
    ARCHITECTURES
        .iter()
        .filter(|(architecture, _)| *architecture != host.architecture)
        .filter(|(architecture, variant)| {
            !matches!(interpreter_for(architecture, *variant), Availability::Missing { .. })
        })
        .map(|(architecture, variant)| Platform {
            variant: variant.map(str::to_owned),
            ..Platform::linux(architecture)
        })
        .collect()
}
