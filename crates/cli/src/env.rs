//! What the commands need to know of the machine: the only file that reads the environment.

use std::{
    env, io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};

use crate::{args::GlobalArgs, progress::Surroundings, render::Zone, settings::Sources, term};

/// Folders and files of this user.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Folder of the store.
    pub(crate) root: PathBuf,
    /// `--registries-file`, when given.
    pub(crate) registries_file: Option<PathBuf>,
    /// Where settings come from.
    pub(crate) settings: Sources,
    /// Where the command was started.
    pub(crate) working_dir: PathBuf,
}

impl Places {
    /// Finds them; to be called before a user namespace makes everybody look like root.
    pub(crate) fn find(global: &GlobalArgs) -> Result<Self> {
        let working_dir = env::current_dir().context("asking for the working directory")?;
        let root = match &global.root {
            Some(root) => working_dir.join(root),
            None => default_root()?,
        };
        let registries_file = global.registries_file.as_ref().map(|file| working_dir.join(file));
        let settings = settings(global, &working_dir);
        Ok(Self { root, registries_file, settings, working_dir })
    }

    /// Makes a path absolute.
    pub(crate) fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        self.working_dir.join(path)
    }
}

fn settings(global: &GlobalArgs, working_dir: &Path) -> Sources {
    let given = global.config.clone().or_else(|| variable("LATHE_CONFIG").map(PathBuf::from));
    let home = || absolute("HOME").map(|home| home.join(".config"));
    let folders = absolute("XDG_CONFIG_HOME").or_else(home).into_iter();
    let folders = folders.map(|folder| folder.join("lathe")).chain([PathBuf::from("/etc/lathe")]);
    Sources {
        file: given.map(|file| working_dir.join(file)),
        places: folders.map(|folder| folder.join("lathe.toml")).collect(),
        store_max_size: variable("LATHE_STORE_MAX_SIZE"),
    }
}

/// Returns the folder that a variable names.
fn absolute(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn default_root() -> Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/lathe"));
    }
    if let Some(data) = absolute("XDG_DATA_HOME") {
        return Ok(data.join("lathe"));
    }
    match absolute("HOME") {
        Some(home) => Ok(home.join(".local/share/lathe")),
        None => bail!("no place for the store: neither HOME nor XDG_DATA_HOME is set; give --root"),
    }
}

/// Returns a variable that is set, not empty, and text.
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// What the choice of a form of progress depends on.
pub(crate) fn surroundings() -> Surroundings {
    Surroundings {
        stderr_is_tty: term::stderr_is_tty(),
        term: variable("TERM"),
        progress: variable("BUILDKIT_PROGRESS"),
    }
}

/// Expands what `-e` and `--build-arg` may leave to the environment: `NAME` alone means the
/// value it has here; a name without a value here is left out.
pub(crate) fn assignments(texts: &[String]) -> Vec<String> {
    texts
        .iter()
        .filter_map(|text| match text.split_once('=') {
            Some(_) => Some(text.clone()),
            None => env::var(text).ok().map(|value| format!("{text}={value}")),
        })
        .collect()
}

/// Reads `--env-file`: `NAME=value` or `NAME` per line, `#` begins a comment line.
pub(crate) fn assignments_of(file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("reading the environment file `{}`", file.display()))?;
    let lines: Vec<String> = text
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    Ok(assignments(&lines))
}

/// The time zone of this machine.
pub(crate) fn zone() -> Zone {
    let own = env::var_os("TZ").is_some();
    let file = if own { None } else { std::fs::read("/etc/localtime").ok() };
    Zone::local(file.as_deref())
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Reads a text file; `None` if there is none.
pub(crate) fn read_file(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading `{}`", path.display())),
    }
}

/// Writes a small file that a flag asked for, such as `--iidfile`.
pub(crate) fn write_file(path: &Path, text: &str) -> Result<()> {
    let write = || -> io::Result<()> { std::fs::write(path, text) };
    write().with_context(|| format!("writing `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_from_the_working_directory() {
        let global = GlobalArgs { root: Some(PathBuf::from("store")), ..GlobalArgs::default() };
        let places = Places::find(&global).expect("places");
        assert!(places.root.is_absolute() && places.root.ends_with("store"));
        assert_eq!(places.absolute("/x"), Path::new("/x"));
        assert_eq!(places.absolute("x"), places.working_dir.join("x"));
    }

    #[test]
    fn a_name_alone_takes_its_value_from_here() {
        let path = env::var("PATH").expect("PATH is set");
        let got = assignments(&["A=1".to_owned(), "PATH".to_owned(), "NO_SUCH_NAME_X".to_owned()]);
        assert_eq!(got, ["A=1".to_owned(), format!("PATH={path}")]);
    }
}
