//! Files of web servers: `ADD https://…`, and contexts that are a file.
//!
//! A download becomes a snapshot of one file, with the time that the server says or 1970, never
//! the present: the same file gives the same layer. What the server said of it is remembered
//! under its URL, so that the next build asks whether it has changed and does not bring it again;
//! with a checksum it does not even ask.

use std::{
    ffi::OsStr,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use lathe_event::{StepId, TransferKind};
use lathe_graph::HttpSource;
use lathe_layer::Probe;
use lathe_oci::{Algorithm, Digest, Digester};
use lathe_registry::{GetRequest, WebFile};
use lathe_rootfs::{Dir, Root, set_file_mode, set_file_times};
use lathe_store::SnapshotId;
use lathe_tree::{Owner, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Download, Fetched, Remotes, archive::is_archive, date, url};
use crate::{Error, Result, progress::Progress};

/// Topic of the store's memo: what is known of a URL.
const BY_URL: &str = "http";
/// What a URL had when its checksum was right.
const BY_CHECKSUM: &str = "http-checksum";
/// The files of an archive, by the digest of the archive.
const UNPACKED: &str = "http-archive";

/// Bytes that move at a time.
const BUFFER: usize = 256 * 1024;

/// Longest name of a file, in bytes (`NAME_MAX` of Linux).
const NAME_LIMIT: usize = 255;

/// Largest file that is taken for a Dockerfile, in bytes.
const TEXT_LIMIT: u64 = 4 << 20;

/// The name of a context's file, which nobody sees.
const CONTEXT: &str = "context";

/// A time of the server is a sure sign of a change only if it was this long ago (RFC 9110, section
/// 8.8.2.2), in seconds: a file may change twice in a second.
const SETTLED: i64 = 60;

/// What is known of a download.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    snapshot: SnapshotId,
    digest: Digest,
    /// `Last-Modified` in seconds since 1970.
    time: Option<i64>,
    etag: Option<String>,
    /// `Last-Modified` as the server writes it, if it may be asked with.
    last_modified: Option<String>,
}

impl Known {
    fn fetched(&self) -> Fetched {
        let revision = Some(self.digest.to_string());
        Fetched { snapshot: self.snapshot, time: self.time, revision }
    }

    /// Returns the question whether it has changed.
    fn condition(&self) -> GetRequest {
        let (etag, last_modified) = (self.etag.clone(), self.last_modified.clone());
        GetRequest { authorization: None, etag, last_modified }
    }
}

impl Remotes {
    /// Downloads a file; the snapshot has it as `/NAME`, of root, with mode 0600.
    ///
    /// Secrets by the names of BuildKit are sent to the host that they are for:
    /// `HTTP_AUTH_TOKEN_<host>`, or `HTTP_AUTH_HEADER_<host>` for a whole `Authorization`.
    ///
    /// # Errors
    /// [`Error::Checksum`] if the file is not the one that is wanted.
    pub fn http(&self, source: &HttpSource, step: Option<StepId>) -> Result<Fetched> {
        check_name(&source.name)?;
        // URLs may hold passwords, and the store is no place for them.
        let key = Digest::of(format!("{}\0{}", source.url, source.name).as_bytes());
        if let Some(checksum) = &source.checksum {
            let key = format!("{key}\0{checksum}");
            if let Some(known) = self.known_download(BY_CHECKSUM, &key)? {
                return Ok(known.fetched());
            }
        }
        let known = self.known_download(BY_URL, &key.to_string())?;
        // Whoever wants a certain file and does not have it has no use for another one.
        let condition = known.as_ref().filter(|_| source.checksum.is_none()).map(Known::condition);
        let request = GetRequest {
            authorization: self.web_authorization(&source.url),
            ..condition.unwrap_or_default()
        };
        let client = (self.images.client)()?;
        let answer = client.get(&source.url, &request).map_err(|error| explain(error, source));
        let file = match (answer, known) {
            (Ok(None), Some(known)) => return Ok(known.fetched()),
            (Ok(Some(file)), known) => self.save(source, file, known.as_ref(), step)?,
            (Ok(None), None) => return Err(Error::NotModified(url::shown(&source.url))),
            (Err(error), _) => return Err(error),
        };
        self.remember(BY_URL, &key.to_string(), &file)?;
        if let Some(checksum) = &source.checksum {
            self.remember(BY_CHECKSUM, &format!("{key}\0{checksum}"), &file)?;
        }
        Ok(file.fetched())
    }

    /// Downloads what a build context's URL leads to: an archive, which is unpacked, or a
    /// Dockerfile.
    ///
    /// # Errors
    /// [`Error::NoArchive`] for what is compressed but holds no tar archive.
    pub fn http_context(&self, source: &HttpSource) -> Result<Download> {
        let source = HttpSource { name: CONTEXT.to_owned(), ..source.clone() };
        let fetched = self.http(&source, None)?;
        // One layer without marks of an overlay: its folder is the tree, and needs no mount.
        let root = Root::open(&self.snapshots.changes(fetched.snapshot))?;
        let path = Path::new(CONTEXT);
        let Probe::Archive(_) = lathe_layer::probe(root.open_file(path)?)? else {
            let mut head = Vec::new();
            let io = |source_error| Error::Io {
                action: "read",
                subject: url::shown(&source.url),
                source: source_error,
            };
            root.open_file(path)?.take(512).read_to_end(&mut head).map_err(io)?;
            if is_archive(&head) {
                return Err(Error::NoArchive(url::shown(&source.url)));
            }
            return Ok(Download::Text(root.read(path, TEXT_LIMIT)?));
        };
        let digest = fetched.revision.clone().unwrap_or_default();
        let store = &self.images.store;
        let unpacked = store
            .memo_get(UNPACKED, digest.as_bytes())?
            .and_then(|bytes| String::from_utf8(bytes).ok()?.parse::<SnapshotId>().ok());
        if let Some(snapshot) = unpacked
            && store.snapshot(snapshot)?.is_some()
        {
            return Ok(Download::Archive(Fetched { snapshot, ..fetched }));
        }
        let snapshot = self.archive(root.open_file(path)?, &url::shown(&source.url))?.snapshot;
        store.memo_put(UNPACKED, [(digest.as_bytes(), snapshot.as_str().as_bytes())])?;
        Ok(Download::Archive(Fetched { snapshot, ..fetched }))
    }

    fn known_download(&self, topic: &str, key: &str) -> Result<Option<Known>> {
        let store = &self.images.store;
        let Some(bytes) = store.memo_get(topic, key.as_bytes())? else { return Ok(None) };
        let known = serde_json::from_slice::<Known>(&bytes).ok();
        match known {
            Some(known) if store.snapshot(known.snapshot)?.is_some() => Ok(Some(known)),
            _ => Ok(None),
        }
    }

    fn remember(&self, topic: &str, key: &str, known: &Known) -> Result<()> {
        let bytes = serde_json::to_vec(known).expect("texts and numbers can be written as JSON");
        Ok(self.images.store.memo_put(topic, [(key.as_bytes(), bytes)])?)
    }

    /// Returns the `Authorization` that the build has for the host of a URL.
    fn web_authorization(&self, text: &str) -> Option<String> {
        let host = url::host(text)?;
        let secret = |name: &str| {
            let value = (self.secrets)(&format!("{name}_{host}"))?;
            Some(value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let token = secret("HTTP_AUTH_TOKEN").map(|token| format!("Bearer {token}"));
        token.or_else(|| secret("HTTP_AUTH_HEADER"))
    }

    /// Writes a file into a snapshot of its own.
    fn save(
        &self,
        source: &HttpSource,
        file: WebFile,
        known: Option<&Known>,
        step: Option<StepId>,
    ) -> Result<Known> {
        let shown = url::shown(&source.url);
        let time = file.last_modified.as_deref().and_then(date::parse);
        let answered = file.date.as_deref().and_then(date::parse);
        let settled = time.zip(answered).is_some_and(|(time, date)| date - time >= SETTLED);
        let (etag, last_modified) = (file.etag.clone(), file.last_modified.clone());
        let active = self.snapshots.prepare(None)?;
        let digest = {
            let mounted = active.mount()?;
            let root = Root::open(mounted.path())?;
            check_space(mounted.path(), &shown, file.content_length)?;
            let mtime = Timestamp::from_seconds(time.unwrap_or(0));
            let target = Target { dir: root.dir(Path::new(""))?, name: &source.name, mtime };
            let digest = self.receive(source, &shown, file, &target, step)?;
            root.set_times(Path::new(""), mtime)?;
            digest
        };
        let last_modified = last_modified.filter(|_| settled);
        // Servers without conditions send the same file each time.
        let snapshot = match known {
            Some(known) if known.digest == digest && known.time == time => known.snapshot,
            _ => active.commit()?,
        };
        Ok(Known { snapshot, digest, time, etag, last_modified })
    }

    /// Receives the content; returns its digest.
    fn receive(
        &self,
        source: &HttpSource,
        shown: &str,
        mut from: WebFile,
        target: &Target<'_>,
        step: Option<StepId>,
    ) -> Result<Digest> {
        let name = OsStr::new(target.name);
        let mut file = target.dir.create_file(name, 0o600)?;
        let store = |source| Error::Io { action: "store", subject: shown.to_owned(), source };
        let events = &*self.images.events;
        let progress =
            Progress::start(events, TransferKind::Download, shown, from.content_length, step);
        let mut digester = Digester::default();
        let mut wanted = source.checksum.filter(|wanted| wanted.algorithm() != Algorithm::Sha256);
        let mut other = wanted.as_ref().map(|wanted| Digester::new(wanted.algorithm()));
        let mut buffer = vec![0; BUFFER];
        let mut done = 0;
        loop {
            let count = from.reader.read(&mut buffer).map_err(|error| self.cut(error, shown))?;
            if count == 0 {
                break;
            }
            let bytes = &buffer[..count];
            digester.update(bytes);
            if let Some(other) = &mut other {
                other.update(bytes);
            }
            file.write_all(bytes).map_err(store)?;
            done += count as u64;
            progress.set(done);
        }
        let digest = digester.finish();
        let got = other.map_or(digest, Digester::finish);
        wanted = wanted.or(source.checksum);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != got) {
            return Err(Error::Checksum {
                what: shown.to_owned(),
                wanted: wanted.to_string(),
                got: got.to_string(),
            });
        }
        target.dir.set_owner(name, Owner::ROOT)?;
        set_file_mode(&file, 0o600).map_err(store)?;
        set_file_times(&file, target.mtime).map_err(store)?;
        Ok(digest)
    }

    /// Makes the error of a connection that broke.
    fn cut(&self, error: std::io::Error, shown: &str) -> Error {
        if self.is_cancelled() {
            return Error::Cancelled;
        }
        match error.downcast::<lathe_registry::Error>() {
            Ok(error) => Error::Registry(error),
            Err(source) => Error::Io { action: "download", subject: shown.to_owned(), source },
        }
    }
}

/// Where the content goes.
struct Target<'a> {
    dir: Dir,
    name: &'a str,
    mtime: Timestamp,
}

/// Refuses names that would not be a file in the snapshot's top folder. The front end makes none
/// of these; but names come from URLs, and this is where they become paths.
fn check_name(name: &str) -> Result<()> {
    let odd = name.contains('/') || name.chars().any(char::is_control);
    if odd || matches!(name, "" | "." | "..") || name.len() > NAME_LIMIT {
        return Err(Error::FileName(name.escape_debug().to_string()));
    }
    Ok(())
}

/// Fails before a download that cannot end well.
fn check_space(folder: &Path, what: &str, needed: Option<u64>) -> Result<()> {
    let Some(needed) = needed else { return Ok(()) };
    let Ok(found) = rustix::fs::statvfs(folder) else { return Ok(()) };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if needed > free {
        return Err(Error::NoSpace {
            what: what.to_owned(),
            needed,
            free,
            folder: PathBuf::from(folder),
        });
    }
    Ok(())
}

/// Adds what to do about a refusal.
fn explain(error: lathe_registry::Error, source: &HttpSource) -> Error {
    match error {
        lathe_registry::Error::Canceled => Error::Cancelled,
        lathe_registry::Error::Refused(mut refusal) => {
            let host = url::host(&source.url).unwrap_or_default();
            if matches!(refusal.status, 401 | 403) {
                refusal.hint = format!(
                    "`--secret id=HTTP_AUTH_TOKEN_{host},src=FILE` sends the token in FILE"
                );
            }
            Error::Registry(lathe_registry::Error::Refused(refusal))
        }
        other => Error::Registry(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_file_in_a_folder_are_refused() {
        for name in ["", ".", "..", "a/b", "/etc/passwd", "a\nb", "a\0", &"x".repeat(256)] {
            assert!(matches!(check_name(name), Err(Error::FileName(_))), "{name:?}");
        }
        for name in ["a", "...", ".a", "a b", "é", "__unnamed__", &"x".repeat(255)] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_fit_is_refused_before_it_comes() {
        let error = check_space(Path::new("/"), "https://h/x", Some(u64::MAX)).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("https://h/x has 18446744073709551615 bytes, "), "{text}");
        assert!(check_space(Path::new("/"), "x", None).is_ok());
        assert!(check_space(Path::new("/"), "x", Some(1)).is_ok());
    }
}
