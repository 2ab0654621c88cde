//! Archives and images made by hand, well-formed or hostile.
//!
//! Headers are written byte by byte: what a library refuses to write is what a builder has
//! to withstand.

use std::{io::Write as _, path::Path, process::Command};

use anyhow::{Context as _, Result};
use lathe_oci::Digest;
use serde_json::{Value, json};

use crate::registry::FakeRegistry;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const BLOCK: usize = 512;
/// Where Debian's `busybox-static` is.
const BUSYBOX: &str = "/bin/busybox";

/// An entry of an archive.
#[derive(Debug, Clone)]
pub struct Entry {
    path: Vec<u8>,
    kind: u8,
    mode: u32,
    owner: (u32, u32),
    mtime: u64,
    data: Vec<u8>,
    link: Vec<u8>,
    device: (u32, u32),
}

impl Entry {
    fn new(path: &str, kind: u8, mode: u32) -> Self {
        Self {
            path: path.as_bytes().to_vec(),
            kind,
            mode,
            owner: (0, 0),
            mtime: 1_600_000_000,
            data: Vec::new(),
            link: Vec::new(),
            device: (0, 0),
        }
    }

    /// A directory with mode 0755.
    pub fn dir(path: &str) -> Self {
        Self::new(path, b'5', 0o755)
    }

    /// A file with mode 0644.
    pub fn file(path: &str, data: impl AsRef<[u8]>) -> Self {
        Self { data: data.as_ref().to_vec(), ..Self::new(path, b'0', 0o644) }
    }

    /// A symbolic link.
    pub fn symlink(path: &str, target: &str) -> Self {
        Self { link: target.as_bytes().to_vec(), ..Self::new(path, b'2', 0o777) }
    }

    /// A hard link to another entry.
    pub fn hard_link(path: &str, target: &str) -> Self {
        Self { link: target.as_bytes().to_vec(), ..Self::new(path, b'1', 0o644) }
    }

    /// A character device.
    pub fn device(path: &str, major: u32, minor: u32) -> Self {
        Self { device: (major, minor), ..Self::new(path, b'3', 0o666) }
    }

    /// The same with other permissions.
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// The same with another owner.
    #[must_use]
    pub fn owner(self, uid: u32, gid: u32) -> Self {
        Self { owner: (uid, gid), ..self }
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (name, kind) in [(&self.path, b'L'), (&self.link, b'K')] {
            if name.len() >= 100 {
                let mut data = name.clone();
                data.push(0);
                let long = Self { data, ..Self::new("././@LongLink", kind, 0o644) };
                long.write(out);
            }
        }
        let mut header = [0u8; BLOCK];
        let mut put = |at: usize, length: usize, bytes: &[u8]| {
            let count = bytes.len().min(length);
            header[at..at + count].copy_from_slice(&bytes[..count]);
        };
        put(0, 100, &self.path);
        put(100, 8, format!("{:07o}\0", self.mode).as_bytes());
        put(108, 8, format!("{:07o}\0", self.owner.0).as_bytes());
        put(116, 8, format!("{:07o}\0", self.owner.1).as_bytes());
        put(124, 12, format!("{:011o}\0", self.data.len()).as_bytes());
        put(136, 12, format!("{:011o}\0", self.mtime).as_bytes());
        put(148, 8, b"        ");
        put(156, 1, &[self.kind]);
        put(157, 100, &self.link);
        put(257, 8, b"ustar  \0");
        put(329, 8, format!("{:07o}\0", self.device.0).as_bytes());
        put(337, 8, format!("{:07o}\0", self.device.1).as_bytes());
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(&self.data);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
}

/// Returns a tar of entries, in their order.
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        entry.write(&mut out);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

/// Returns bytes as gzip packs them.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory can be written to");
    encoder.finish().expect("memory can be written to")
}

/// An image to be put into a registry.
#[derive(Debug, Clone)]
pub struct ImageFixture {
    layers: Vec<Vec<u8>>,
    run: Value,
    architecture: String,
}

impl ImageFixture {
    /// An image without layers whose config has this inner `config` object.
    pub fn new(run: Value) -> Self {
        Self { layers: Vec::new(), run, architecture: architecture().to_owned() }
    }

    /// An image of busybox with its applets, users and groups; `None` if the machine has none.
    pub fn busybox() -> Result<Option<Self>> {
        let Some(entries) = busybox_entries()? else { return Ok(None) };
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        Ok(Some(Self::new(json!({ "Env": [path], "Cmd": ["sh"] })).layer(&entries)))
    }

    /// The same with a further layer.
    #[must_use]
    pub fn layer(mut self, entries: &[Entry]) -> Self {
        self.layers.push(archive(entries));
        self
    }

    /// The same with a member of the inner `config` object set.
    #[must_use]
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.run[key] = value;
        self
    }

    /// The same for another architecture.
    #[must_use]
    pub fn architecture(self, architecture: &str) -> Self {
        Self { architecture: architecture.to_owned(), ..self }
    }

    /// Puts it into a repository and returns the digest of its manifest.
    pub fn put(&self, registry: &FakeRegistry, repository: &str, tag: &str) -> Digest {
        let manifest = self.manifest(registry, repository);
        registry.put_manifest(repository, tag, MANIFEST, &manifest)
    }

    fn manifest(&self, registry: &FakeRegistry, repository: &str) -> Vec<u8> {
        let mut layers = Vec::new();
        for layer in &self.layers {
            let packed = gzip(layer);
            let digest = registry.put_blob(repository, &packed);
            layers.push(json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                "digest": digest.to_string(),
                "size": packed.len(),
            }));
        }
        let diff_ids: Vec<String> =
            self.layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
        let history: Vec<Value> = (0..self.layers.len())
            .map(|index| json!({ "created": "2020-09-13T12:26:40Z", "created_by": format!("layer {index}") }))
            .collect();
        let config = json!({
            "architecture": self.architecture,
            "os": "linux",
            "created": "2020-09-13T12:26:40Z",
            "config": self.run,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": history,
        });
        let config = config.to_string().into_bytes();
        let config_digest = registry.put_blob(repository, &config);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config_digest.to_string(),
                "size": config.len(),
            },
            "layers": layers,
        });
        manifest.to_string().into_bytes()
    }
}

/// Puts images for several architectures under one tag.
pub fn put_index(registry: &FakeRegistry, repository: &str, tag: &str, images: &[ImageFixture]) {
    let mut manifests = Vec::new();
    for image in images {
        let bytes = image.manifest(registry, repository);
        let digest = Digest::of(&bytes);
        registry.put_manifest(repository, &digest.to_string(), MANIFEST, &bytes);
        manifests.push(json!({
            "mediaType": MANIFEST,
            "digest": digest.to_string(),
            "size": bytes.len(),
            "platform": { "architecture": image.architecture, "os": "linux" },
        }));
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
    registry.put_manifest(repository, tag, INDEX, index.to_string().as_bytes());
}

/// Returns this machine's architecture as images name it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn busybox_entries() -> Result<Option<Vec<Entry>>> {
    if !Path::new(BUSYBOX).exists() {
        return Ok(None);
    }
    let program = std::fs::read(BUSYBOX).context(BUSYBOX)?;
    let list = Command::new(BUSYBOX).arg("--list").output().context(BUSYBOX)?;
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let dirs = ["bin", "dev", "etc", "home", "proc", "sys", "usr", "usr/bin", "usr/sbin", "var"];
    let mut entries: Vec<Entry> = dirs.into_iter().map(Entry::dir).collect();
    entries.push(Entry::dir("root").mode(0o700));
    entries.push(Entry::dir("tmp").mode(0o1777));
    entries.push(Entry::dir("home/ann").owner(1000, 1001));
    entries.push(Entry::file("bin/busybox", program).mode(0o755));
    for applet in list.lines().filter(|applet| *applet != "busybox") {
        entries.push(Entry::symlink(&format!("bin/{applet}"), "busybox"));
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1001:Ann:/home/ann:/bin/sh\n";
    let group = "root:x:0:\nstaff:x:1001:\nextra:x:2002:ann,root\n";
    entries.push(Entry::file("etc/passwd", passwd));
    entries.push(Entry::file("etc/group", group));
    Ok(Some(entries))
}
