//! The Debian packages that tests, demo and benchmarks want, each with the reason.

use crate::sh;

/// What lathe itself makes use of where it is installed.
pub(crate) const TO_RUN: [(&str, &str); 5] = [
    ("ca-certificates", "registries speak TLS"),
    ("curl", "asks whether the public registry answers"),
    ("uidmap", "newuidmap and newgidmap give a normal user's builds more than one user id"),
    ("passt", "pasta gives containers a network without root"),
    ("iproute2", "addresses of the network between root's containers and the machine"),
];

/// What tests compare with, or put into images.
pub(crate) const TO_TEST: [(&str, &str); 11] = [
    ("busybox-static", "a shell for root file systems that tests make"),
    ("docker-registry", "the registry server that pushes and pulls are tested against"),
    ("skopeo", "reads and writes images, written by other people"),
    ("runc", "runs what lathe exports"),
    ("podman", "loads and runs what lathe exports"),
    ("libcap2-bin", "setcap makes files with capabilities"),
    ("openssl", "certificates of a registry with TLS"),
    ("git", "repositories as contexts and as sources of ADD"),
    ("openssh-client", "an agent, and keys for it"),
    ("qemu-user-static", "programs of other architectures"),
    ("strace", "counts the system calls of builds"),
];

/// What benchmarks compare with, and what floors are measured with.
pub(crate) const TO_MEASURE: [(&str, &str); 6] = [
    ("buildah", "builds the same, by itself and without a daemon"),
    ("runc", "runs the steps of buildah"),
    ("docker-registry", "takes what is pushed"),
    ("pigz", "compresses with all cores"),
    ("zstd", "compresses with all cores"),
    ("strace", "counts system calls"),
];

/// Installs packages that are missing; where that is not possible, says which ones, as tests without them skip.
pub(crate) fn install(packages: &[(&str, &str)]) {
    let names: Vec<&str> = packages.iter().map(|(name, _)| *name).collect();
    if let Err(error) = sh::apt_install(&names) {
        println!("not installed: {error:#}");
    }
}

/// Returns those that are not installed.
pub(crate) fn missing(
    packages: &[(&'static str, &'static str)],
) -> Vec<(&'static str, &'static str)> {
    packages.iter().copied().filter(|(name, _)| !sh::is_installed(name)).collect()
}
