//! Stores with many images, loaded from one archive that is made here.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::place;
use crate::lathe::Lathe;
use crate::sh;

/// Returns lathe with a new store of so many images, each with a name and a layer.
pub(super) fn store(folder: &Path, lathe: &Lathe, images: usize) -> Result<Lathe> {
    let root = folder.join(format!("images-{images}"));
    place::remove(&root);
    let store = Lathe { root: Some(root), ..lathe.clone() };
    let archive = folder.join("images.tar");
    write(&archive, images)?;
    store.command(&["load", "-q", "-i"]).arg(&archive).run()?;
    sh::remove_file(&archive)?;
    Ok(store)
}

/// Writes a docker archive of images that differ in a label and share their layer.
fn write(archive: &Path, images: usize) -> Result<()> {
    let file = File::create(archive).with_context(|| format!("create {}", archive.display()))?;
    let mut writer = tar::Builder::new(BufWriter::new(file));
    let layer = {
        let mut layer = tar::Builder::new(Vec::new());
        append(&mut layer, "file", b"content\n")?;
        layer.into_inner().context("end a layer")?
    };
    append(&mut writer, "layer.tar", &layer)?;
    let diff_id = digest(&layer);
    let mut items = Vec::with_capacity(images);
    for number in 0..images {
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": "2024-01-01T00:00:00Z",
            "config": { "Labels": { "number": number.to_string() } },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff_id}")] },
            "history": [{ "created": "2024-01-01T00:00:00Z", "created_by": "COPY file /" }],
        });
        let config = config.to_string();
        let name = format!("{}.json", digest(config.as_bytes()));
        append(&mut writer, &name, config.as_bytes())?;
        let tag = format!("localhost/bench/image{number}:latest");
        items.push(json!({ "Config": name, "RepoTags": [tag], "Layers": ["layer.tar"] }));
    }
    append(&mut writer, "manifest.json", json!(items).to_string().as_bytes())?;
    writer.finish().context("end an archive")
}

fn append<W: std::io::Write>(writer: &mut tar::Builder<W>, name: &str, bytes: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    writer.append_data(&mut header, name, bytes).with_context(|| format!("archive {name}"))
}

fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("a string can be written to");
    }
    text
}
