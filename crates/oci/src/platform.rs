//! Platforms: what an image runs on.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// `os/architecture[/variant]`, in Go's names (OCI image specification, `image-index.md`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// CPU architecture, as Go's `GOARCH`.
    pub architecture: String,
    /// Operating system, as Go's `GOOS`.
    pub os: String,
    /// Version of the operating system (Windows only).
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Variant of the CPU, as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Makes a Linux platform without variant.
    pub fn linux(architecture: &str) -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            os_version: None,
            variant: None,
        }
    }

    /// Returns the platform that this program was compiled for.
    pub fn host() -> Self {
        Self::linux(match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        })
    }

    /// Tells whether an image for `other` is what this platform asks for.
    ///
    /// `arm64` without variant and `arm64/v8` are the same platform, as containerd has it.
    pub fn matches(&self, other: &Self) -> bool {
        fn variant(platform: &Platform) -> &str {
            match (platform.architecture.as_str(), platform.variant.as_deref()) {
                ("arm64", None) => "v8",
                ("arm", None) => "v7",
                (_, variant) => variant.unwrap_or_default(),
            }
        }
        self.os == other.os
            && self.architecture == other.architecture
            && variant(self) == variant(other)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<String> = text.split('/').map(str::to_ascii_lowercase).collect();
        let valid = |part: &String| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if !parts.iter().all(valid) {
            return Err(Error::InvalidPlatform(text.to_owned()));
        }
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.clone())),
            _ => return Err(Error::InvalidPlatform(text.to_owned())),
        };
        let (architecture, variant) = match (architecture.as_str(), variant) {
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", None) => ("arm", Some("v7".to_owned())),
            (other, variant) => (other, variant),
        };
        Ok(Self {
            os: os.clone(),
            architecture: architecture.to_owned(),
            os_version: None,
            variant,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalized_and_odd_ones_refused() {
        let check = |text: &str, expected: &str| {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), expected);
        };
        check("linux/amd64", "linux/amd64");
        check("Linux/x86_64", "linux/amd64");
        check("linux/aarch64", "linux/arm64");
        check("linux/arm/v7", "linux/arm/v7");
        for text in ["", "linux", "linux/", "/amd64", "linux/amd64/v1/x", "linux/a b"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn arm64_matches_with_and_without_its_variant() {
        let (plain, v8) = (Platform::linux("arm64"), "linux/arm64/v8".parse().unwrap());
        assert!(plain.matches(&v8) && v8.matches(&plain));
        assert!(!plain.matches(&Platform::linux("amd64")));
    }
}
