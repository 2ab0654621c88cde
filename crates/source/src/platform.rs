//! Which image of several is for a platform.
//!
//! The rules are containerd's, which BuildKit follows: first the platform itself, then what its
//! CPUs run as well, the best first. So `linux/amd64` takes an image for `386` where there is no
//! other, and `linux/arm64` one for `arm/v7`.

use lathe_oci::{Descriptor, Platform};

/// Returns the place of the best image among images for `offered`; `None` where there is none.
pub(crate) fn choose(wanted: &Platform, offered: &[Option<&Platform>]) -> Option<usize> {
    accepted(wanted).iter().find_map(|accepted| {
        offered.iter().position(|platform| platform.is_some_and(|other| same(accepted, other)))
    })
}

/// Returns the best of an index's images. One without platform, if it is the only one, answers for
/// every platform.
pub(crate) fn choose_descriptor<'a>(
    wanted: &Platform,
    manifests: &'a [Descriptor],
) -> Option<&'a Descriptor> {
    let platforms: Vec<_> = manifests.iter().map(|manifest| manifest.platform.as_ref()).collect();
    match choose(wanted, &platforms) {
        Some(at) => manifests.get(at),
        None => match manifests {
            [only] if only.platform.is_none() => Some(only),
            _ => None,
        },
    }
}

/// Lists platforms for an error message, without what is no image (attestations).
pub(crate) fn list<'a>(platforms: impl Iterator<Item = &'a Platform>) -> String {
    let mut names: Vec<String> = Vec::new();
    for name in platforms.filter(|p| p.os != "unknown" && !p.os.is_empty()).map(Platform::to_string)
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { "none that is named".to_owned() } else { names.join(", ") }
}

/// Tells whether two platforms are the same, whichever way their variants are written.
fn same(one: &Platform, other: &Platform) -> bool {
    one.os == other.os && one.architecture == other.architecture && variant(one) == variant(other)
}

/// Returns the variant in one form: what an architecture has without one is spelled out.
fn variant(platform: &Platform) -> String {
    let given = platform.variant.as_deref().unwrap_or_default();
    let default = match platform.architecture.as_str() {
        "arm64" => "v8",
        "arm" => "v7",
        "amd64" => "v1",
        _ => "",
    };
    match given {
        "" => default.to_owned(),
        number if number.starts_with(|c: char| c.is_ascii_digit()) => format!("v{number}"),
        other => other.to_owned(),
    }
}

/// Returns the platforms whose images run on `wanted`, the best first.
fn accepted(wanted: &Platform) -> Vec<Platform> {
    let mut accepted = vec![wanted.clone()];
    let mut add = |architecture: &str, variant: Option<String>| {
        let architecture = architecture.to_owned();
        accepted.push(Platform { architecture, variant, ..wanted.clone() });
    };
    let own = variant(wanted);
    let (major, minor) = version(&own);
    match wanted.architecture.as_str() {
        "amd64" => {
            for level in (1..major).rev() {
                add("amd64", Some(format!("v{level}")));
            }
            add("386", None);
        }
        "arm64" => {
            for (major, minor) in below(major, minor) {
                add("arm64", Some(name(major, minor)));
            }
            for level in (5..=8).rev() {
                add("arm", Some(format!("v{level}")));
            }
        }
        "arm" => {
            for level in (5..major).rev() {
                add("arm", Some(format!("v{level}")));
            }
        }
        _ => {}
    }
    accepted
}

/// Returns the versions of 64-bit Arm below one; 9.x has all that 8.(x+5) has.
fn below(major: u32, minor: u32) -> Vec<(u32, u32)> {
    let mut versions = Vec::new();
    let mut top = minor;
    if major == 9 {
        versions.extend((0..minor).rev().map(|minor| (9, minor)));
        top = minor + 6;
    }
    if major >= 8 {
        versions.extend((0..top).rev().map(|minor| (8, minor)));
    }
    versions
}

fn name(major: u32, minor: u32) -> String {
    if minor == 0 { format!("v{major}") } else { format!("v{major}.{minor}") }
}

/// Reads `v8.2`; what is no version is 0.
fn version(variant: &str) -> (u32, u32) {
    let text = variant.strip_prefix('v').unwrap_or(variant);
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    // More is no processor, and would only make a long list.
    let number = |text: &str| text.parse().ok().filter(|number| *number < 32).unwrap_or(0);
    (number(major), number(minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(wanted: &str, offered: &[&str], expected: Option<&str>) {
        let wanted: Platform = wanted.parse().unwrap();
        let platforms: Vec<Platform> = offered.iter().map(|text| text.parse().unwrap()).collect();
        let platforms: Vec<_> = platforms.iter().map(Some).collect();
        let chosen = choose(&wanted, &platforms).map(|at| offered[at]);
        assert_eq!(chosen, expected, "{wanted} of {offered:?}");
    }

    #[test]
    fn the_platform_itself_wins_wherever_it_stands() {
        check("linux/amd64", &["linux/386", "linux/amd64"], Some("linux/amd64"));
        check("linux/arm64", &["linux/arm/v7", "linux/arm64/v8"], Some("linux/arm64/v8"));
        check("linux/arm64/v8", &["linux/arm64"], Some("linux/arm64"));
        check("linux/amd64", &["linux/amd64/v1"], Some("linux/amd64/v1"));
        check("linux/arm", &["linux/arm/v6", "linux/arm/v7"], Some("linux/arm/v7"));
    }

    #[test]
    fn what_the_processor_runs_as_well_comes_next() {
        check("linux/amd64", &["linux/arm64", "linux/386"], Some("linux/386"));
        let levels = ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"];
        check("linux/amd64/v3", &levels, Some("linux/amd64/v2"));
        check("linux/arm64", &["linux/arm/v6", "linux/arm/v7"], Some("linux/arm/v7"));
        check("linux/arm/v7", &["linux/arm/v5", "linux/arm/v6"], Some("linux/arm/v6"));
        check("linux/arm64/v9", &["linux/arm64/v8.5", "linux/arm64"], Some("linux/arm64/v8.5"));
        check("linux/arm64/v8.2", &["linux/arm64/v8.5", "linux/arm64"], Some("linux/arm64"));
    }

    #[test]
    fn what_it_cannot_run_is_not_taken() {
        check("linux/amd64", &["linux/arm64", "windows/amd64", "linux/amd64/v2"], None);
        check("linux/386", &["linux/amd64"], None);
        check("linux/arm/v6", &["linux/arm/v7", "linux/arm64"], None);
        check("linux/riscv64", &[], None);
    }

    #[test]
    fn a_list_names_each_platform_once_and_no_attestation() {
        let platforms: Vec<Platform> = ["linux/amd64", "unknown/unknown", "linux/amd64"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        assert_eq!(list(platforms.iter()), "linux/amd64");
        assert_eq!(list([].iter()), "none that is named");
    }
}
