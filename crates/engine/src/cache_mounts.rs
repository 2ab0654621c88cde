//! Caches of `RUN --mount=type=cache` as archives: out of the store and into it.
//!
//! A cache is named as Dockerfiles name it, by its id, or by the name of its folder, of which the
//! beginning will do. While it is copied no step has it; what is brought in takes the place of
//! what was there at once, so that no step ever finds half of it.

use std::{
    io::{Read, Write},
    path::Path,
};

use lathe_layer::{Codec, ExtractOptions, extract, write_tree};
use lathe_rootfs::Root;
use lathe_store::{CacheMount, CacheMountLock, CacheMountUse, Store};

use crate::Engine;

/// The result of these commands.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No id and no name says so.
    #[error("there is no cache mount `{0}`")]
    Missing(String),
    /// Several are called so.
    #[error("`{name}` means several cache mounts: {}", names.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// The names of their folders.
        names: Vec<String>,
    },
    /// A step has it.
    #[error("the cache mount `{0}` is in use by a build")]
    InUse(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] lathe_store::Error),
    /// A file of the cache.
    #[error(transparent)]
    Files(#[from] lathe_rootfs::Error),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] lathe_layer::Error),
    /// The archive cannot be read.
    #[error("read the archive: {0}")]
    Read(#[source] std::io::Error),
}

/// Finds a cache by its id, or by the beginning of its folder's name.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Ambiguous`] if there is not exactly one.
pub fn find(store: &Store, name: &str) -> Result<CacheMount> {
    let mut found = matching(&store.cache_mounts()?, name);
    match (found.pop(), found.as_slice()) {
        (None, _) => Err(Error::Missing(name.to_owned())),
        (Some(one), []) => Ok(one),
        (Some(last), others) => {
            let mut names: Vec<String> = others.iter().map(|one| short(&one.name)).collect();
            names.push(short(&last.name));
            Err(Error::Ambiguous { name: name.to_owned(), names })
        }
    }
}

fn matching(all: &[CacheMount], name: &str) -> Vec<CacheMount> {
    let by = |fits: &dyn Fn(&CacheMount) -> bool| -> Vec<CacheMount> {
        all.iter().filter(|one| fits(one)).cloned().collect()
    };
    let by_id = by(&|one| one.id == name);
    if !by_id.is_empty() {
        return by_id;
    }
    let exact = by(&|one| one.name == name);
    if exact.is_empty() { by(&|one| one.name.starts_with(name)) } else { exact }
}

/// Returns the part of a folder's name that tells it from others.
pub fn short(name: &str) -> String {
    let (hash, number) = name.split_once('.').unwrap_or((name, ""));
    let hash = hash.get(..12).unwrap_or(hash);
    if number.is_empty() { hash.to_owned() } else { format!("{hash}.{number}") }
}

/// Writes the files of a cache as a tar.
///
/// # Errors
/// As [`find`], and [`Error::InUse`] while a step has it.
pub fn export<W: Write>(engine: &Engine, name: &str, output: W) -> Result<W> {
    let lock = lock(&engine.store, &find(&engine.store, name)?)?;
    let root = Root::open(&lock.path())?;
    Ok(write_tree(&root, Path::new("/"), None, output)?)
}

/// Replaces the files of a cache by those of an archive, compressed or not; makes the cache where
/// there is none with that id.
///
/// # Errors
/// [`Error::InUse`] while a step has it.
pub fn import(engine: &Engine, name: &str, mut input: impl Read + Send) -> Result<()> {
    let lock = match find(&engine.store, name) {
        Ok(mount) => lock(&engine.store, &mount)?,
        Err(Error::Missing(_)) => {
            let made = engine.store.make_cache_mount(name)?;
            made.ok_or_else(|| Error::InUse(name.to_owned()))?
        }
        Err(error) => return Err(error),
    };
    let mut first = Vec::new();
    let magic = u64::try_from(Codec::MAGIC).unwrap_or(u64::MAX);
    input.by_ref().take(magic).read_to_end(&mut first).map_err(Error::Read)?;
    let codec = Codec::of_magic(&first);
    let root = Root::open(&lock.stage()?)?;
    extract(first.chain(input), codec, &root, Path::new("/"), &ExtractOptions::default())?;
    lock.replace()?;
    Ok(())
}

fn lock(store: &Store, mount: &CacheMount) -> Result<CacheMountLock> {
    let in_use = || Error::InUse(mount.id.clone());
    store.lock_cache_mount(&mount.name)?.ok_or_else(in_use)
}

/// Removes a cache.
///
/// # Errors
/// As [`find`], and [`Error::InUse`] while a step has it.
pub fn remove(engine: &Engine, name: &str) -> Result<CacheMount> {
    let mount = find(&engine.store, name)?;
    if mount.in_use != CacheMountUse::Free || !engine.store.remove_cache_mount(&mount.name)? {
        return Err(Error::InUse(mount.id));
    }
    Ok(mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(id: &str, name: &str) -> CacheMount {
        let (id, name) = (id.to_owned(), name.to_owned());
        CacheMount { name, id, bytes: 0, last_used: 0, in_use: CacheMountUse::Free }
    }

    #[test]
    fn a_cache_is_found_by_id_then_by_name_then_by_its_beginning() {
        let all = || {
            vec![
                mount("npm", "aaaa"),
                mount("npm", "aaaa.1"),
                mount("go", "abcd"),
                mount("abcd", "ffff"),
            ]
        };
        let check = |name: &str, want: &[&str]| {
            let all = all();
            let found = matching(&all, name);
            let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
            assert_eq!(names, want, "{name}");
        };
        check("npm", &["aaaa", "aaaa.1"]);
        check("aaaa", &["aaaa"]);
        check("aaaa.1", &["aaaa.1"]);
        check("aa", &["aaaa", "aaaa.1"]);
        check("abcd", &["ffff"]);
        check("abc", &["abcd"]);
        check("x", &[]);
    }

    #[test]
    fn names_are_shortened_to_what_tells_them_apart() {
        assert_eq!(short("0123456789abcdef"), "0123456789ab");
        assert_eq!(short("0123456789abcdef.2"), "0123456789ab.2");
        assert_eq!(short("01"), "01");
    }
}
