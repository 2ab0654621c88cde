//! `lathe.toml`: what a user wants of every command.
//!
//! The first of these files that exists is read: the one that `--config` or `$LATHE_CONFIG`
//! names (it must exist), `lathe/lathe.toml` in `$XDG_CONFIG_HOME` (`~/.config`), and
//! `/etc/lathe/lathe.toml`. A variable goes before what the file says. An unknown key is an
//! error: a limit that is misspelled would be none.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use lathe_engine::parse_size;
use serde::{Deserialize, Deserializer, de};

use crate::env;

/// Where settings come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// `--config`, absolute.
    pub(crate) file: Option<PathBuf>,
    /// Files that may be there, the first wins.
    pub(crate) places: Vec<PathBuf>,
    /// `$LATHE_STORE_MAX_SIZE`.
    pub(crate) store_max_size: Option<String>,
}

/// All settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// How many bytes the store may have before a build; `None`: as many as there are.
    pub(crate) store_max_size: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    store: Store,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Store {
    #[serde(default, deserialize_with = "size")]
    max_size: Option<u64>,
}

/// Reads the settings.
pub(crate) fn load(sources: &Sources) -> Result<Settings> {
    let file = match &sources.file {
        Some(path) => Some(
            env::read_file(path)?
                .with_context(|| format!("there is no configuration file `{}`", path.display()))
                .map(|text| (path, text))?,
        ),
        None => first(&sources.places)?,
    };
    let file = file.map(|(path, text)| parse(path, &text)).transpose()?.unwrap_or_default();
    let variable = sources.store_max_size.as_deref().map(|text| {
        parse_size(text).with_context(|| format!("LATHE_STORE_MAX_SIZE: {}", no_size(text)))
    });
    let limit = variable.transpose()?.or(file.store.max_size);
    // Without a word there is no limit; 0 says so where another file or variable sets one.
    Ok(Settings { store_max_size: limit.filter(|bytes| *bytes > 0) })
}

fn first(places: &[PathBuf]) -> Result<Option<(&PathBuf, String)>> {
    for path in places {
        if let Some(text) = env::read_file(path)? {
            return Ok(Some((path, text)));
        }
    }
    Ok(None)
}

fn parse(path: &Path, text: &str) -> Result<File> {
    toml::from_str(text).map_err(|error| {
        let error = error.to_string();
        anyhow!("{}: {}", path.display(), error.trim_end())
    })
}

/// Reads a number of bytes, or a text as docker has sizes (`20GB` is 20 × 2^30 bytes).
fn size<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Size {
        Bytes(u64),
        Text(String),
    }
    match Size::deserialize(from) {
        Ok(Size::Bytes(bytes)) => Ok(Some(bytes)),
        Ok(Size::Text(text)) => {
            parse_size(&text).map(Some).ok_or_else(|| de::Error::custom(no_size(&text)))
        }
        Err(_) => Err(de::Error::custom("a size is expected, such as \"20GB\"")),
    }
}

fn no_size(text: &str) -> String {
    format!("`{text}` is no size; write, for example, `20GB`")
}

/// Reads the value of a flag that is a size.
pub(crate) fn flag_size(flag: &str, text: Option<&str>) -> Result<Option<u64>> {
    let Some(text) = text else { return Ok(None) };
    match parse_size(text) {
        Some(bytes) => Ok(Some(bytes)),
        None => bail!("--{flag}: {}", no_size(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1 << 30;

    fn written(text: &str) -> Result<Settings> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lathe.toml");
        std::fs::write(&path, text).expect("written");
        load(&Sources { file: Some(path), ..Sources::default() })
    }

    #[test]
    fn the_cap_of_the_store_is_a_size() {
        let check = |text: &str, want| {
            let got = written(text).expect(text).store_max_size;
            assert_eq!(got, want, "{text}");
        };
        check("", None);
        check("[store]\n", None);
        check("[store]\nmax-size = \"20GB\"\n", Some(20 * GB));
        check("store.max-size = \"1.5g\"\n", Some(GB * 3 / 2));
        check("store.max-size = 4096\n", Some(4096));
        check("store.max-size = \"0\"\n", None);
    }

    #[test]
    fn mistakes_are_shown_with_their_lines() {
        let check = |text: &str, part: &str| {
            let error = written(text).expect_err(text).to_string();
            assert!(error.contains(part) && error.contains("lathe.toml: "), "{error}");
        };
        check("[store]\nmax_size = 1\n", "2 | max_size");
        check("[store]\nmax_size = 1\n", "max-size");
        check("[stor]\n", "unknown field `stor`");
        check("[store]\nmax-size = \"much\"\n", "`much` is no size");
        check("[store]\nmax-size = true\n", "a size is expected");
        check("[store", "1 | [store");
    }

    #[test]
    fn the_first_file_counts_and_variables_before_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let places = vec![folder.path().join("none.toml"), folder.path().join("two.toml")];
        let mut sources = Sources { places, ..Sources::default() };
        assert_eq!(load(&sources).expect("no file"), Settings::default());
        std::fs::write(&sources.places[1], "store.max-size = \"1g\"").expect("written");
        assert_eq!(load(&sources).expect("one").store_max_size, Some(GB));
        sources.store_max_size = Some("2g".to_owned());
        assert_eq!(load(&sources).expect("variable").store_max_size, Some(2 * GB));
        sources.store_max_size = Some("0".to_owned());
        assert_eq!(load(&sources).expect("variable").store_max_size, None);
        sources.store_max_size = Some("x".to_owned());
        let error = load(&sources).expect_err("no size").to_string();
        assert!(error.contains("LATHE_STORE_MAX_SIZE"), "{error}");
        sources = Sources { file: Some(folder.path().join("none.toml")), ..Sources::default() };
        load(&sources).expect_err("a file that is named must be there");
    }
}
