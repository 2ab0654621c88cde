//! Pushes the layout's images to a registry on this machine, by a small client of its own.
//!
//! Plain HTTP to loopback, one request a connection, no authentication: that is all that a development
//! registry asks, and lathe's own client, which is what gets tested against this registry, stays out of it.
//! Requests: OCI distribution specification 1.1, "Pushing content".

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use super::image::{self, INDEX, MANIFEST};
use super::plan::IMAGES;
use super::state::{Lock, State};

/// Pushes all images; what the registry has already is not sent again.
pub(super) fn push_all(state: &State, lock: &Lock, address: &str) -> Result<()> {
    let registry = Registry { address };
    // Where a blob was pushed to first: other repositories take it from there.
    let mut origins = BTreeMap::new();
    for image in IMAGES {
        let (repository, tag) = place(image.tag);
        let digest = lock.images.get(image.tag).with_context(|| {
            format!("{} is not made: run `cargo xtask bases` as root", image.tag)
        })?;
        registry
            .push(state, &repository, tag, digest, &mut origins)
            .with_context(|| format!("push {} to {address}", image.tag))?;
    }
    Ok(())
}

/// Returns whether the registry answers each tag with the digest of the lock file.
pub(super) fn is_complete(lock: &Lock, address: &str) -> bool {
    let registry = Registry { address };
    IMAGES.iter().all(|image| {
        let (repository, tag) = place(image.tag);
        let held = registry.tag_digest(&repository, tag);
        held.is_ok_and(|held| held.is_some() && held.as_ref() == lock.images.get(image.tag))
    })
}

/// Returns whether a registry of the distribution protocol answers at the address.
pub(super) fn answers(address: &str) -> bool {
    let registry = Registry { address };
    registry.request("GET", "/v2/", &[], &Body::Empty).is_ok_and(|answer| answer.status == 200)
}

/// Returns repository and tag of an image, as Docker Hub names the official ones.
fn place(image: &str) -> (String, &str) {
    let (name, tag) = image.split_once(':').expect("images of the plan have a tag");
    (format!("library/{name}"), tag)
}

struct Registry<'a> {
    address: &'a str,
}

/// What is sent with a request.
enum Body<'a> {
    Empty,
    Bytes(&'a [u8]),
    File(&'a Path),
}

struct Answer {
    status: u16,
    /// By lower-case name.
    headers: BTreeMap<String, String>,
    body: String,
}

impl Registry<'_> {
    fn push(
        &self,
        state: &State,
        repository: &str,
        tag: &str,
        index: &str,
        origins: &mut BTreeMap<String, String>,
    ) -> Result<()> {
        if self.tag_digest(repository, tag)?.as_deref() == Some(index) {
            return Ok(());
        }
        for digest in image::manifests(state, index)? {
            let manifest = image::read(state, &digest)?;
            let layers = manifest["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
            for blob in layers.iter().chain([&manifest["config"]]) {
                let blob = blob["digest"].as_str().context("a descriptor lacks its digest")?;
                let origin = origins.get(blob).map(String::as_str);
                self.push_blob(state, repository, blob, origin)?;
                origins.entry(blob.to_owned()).or_insert_with(|| repository.to_owned());
            }
            self.push_manifest(state, repository, &digest, &digest, MANIFEST)?;
        }
        self.push_manifest(state, repository, tag, index, INDEX)
    }

    fn push_blob(
        &self,
        state: &State,
        repository: &str,
        digest: &str,
        origin: Option<&str>,
    ) -> Result<()> {
        let there = format!("/v2/{repository}/blobs/{digest}");
        if self.request("HEAD", &there, &[], &Body::Empty)?.status == 200 {
            return Ok(());
        }
        let mut start = format!("/v2/{repository}/blobs/uploads/");
        if let Some(origin) = origin {
            start = format!("{start}?mount={digest}&from={origin}");
        }
        let answer = self.request("POST", &start, &[], &Body::Empty)?;
        if answer.status == 201 {
            return Ok(());
        }
        let answer = answer.expect(202, "start an upload")?;
        let location = answer.headers.get("location").context("the upload has no location")?;
        let location = self.path_of(location);
        let and = if location.contains('?') { '&' } else { '?' };
        let target = format!("{location}{and}digest={digest}");
        let headers = [("Content-Type", "application/octet-stream")];
        let blob = state.blob(digest);
        let answer = self.request("PUT", &target, &headers, &Body::File(&blob))?;
        answer.expect(201, &format!("upload {digest}")).map(drop)
    }

    fn push_manifest(
        &self,
        state: &State,
        repository: &str,
        reference: &str,
        digest: &str,
        media_type: &str,
    ) -> Result<()> {
        let path = state.blob(digest);
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let target = format!("/v2/{repository}/manifests/{reference}");
        let headers = [("Content-Type", media_type)];
        let answer = self.request("PUT", &target, &headers, &Body::Bytes(&bytes))?;
        answer.expect(201, &format!("put manifest {reference}")).map(drop)
    }

    /// Returns the digest that the registry has for a tag.
    fn tag_digest(&self, repository: &str, tag: &str) -> Result<Option<String>> {
        let target = format!("/v2/{repository}/manifests/{tag}");
        let answer = self.request("HEAD", &target, &[("Accept", INDEX)], &Body::Empty)?;
        let digest = answer.headers.get("docker-content-digest").cloned();
        Ok(digest.filter(|_| answer.status == 200))
    }

    /// Returns the path of a location, which registries give with or without their own address.
    fn path_of<'l>(&self, location: &'l str) -> &'l str {
        let rest = location.strip_prefix("http://").unwrap_or(location);
        rest.strip_prefix(self.address).unwrap_or(rest)
    }

    fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &Body<'_>,
    ) -> Result<Answer> {
        let mut stream = TcpStream::connect(self.address)
            .with_context(|| format!("connect to {}", self.address))?;
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let length = match body {
            Body::Empty => 0,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File(path) => {
                fs::metadata(path).with_context(|| format!("stat {}", path.display()))?.len()
            }
        };
        head = format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n");
        let sent = send(&mut stream, head.as_bytes(), body);
        // A registry that refuses early answers before it has read all: its answer says more than the pipe.
        let answer = Answer::read(stream, method).with_context(|| format!("{method} {target}"));
        if answer.is_err() {
            sent.with_context(|| format!("send {method} {target}"))?;
        }
        answer
    }
}

fn send(stream: &mut TcpStream, head: &[u8], body: &Body<'_>) -> io::Result<()> {
    stream.write_all(head)?;
    match body {
        Body::Empty => {}
        Body::Bytes(bytes) => stream.write_all(bytes)?,
        Body::File(path) => drop(io::copy(&mut File::open(path)?, stream)?),
    }
    stream.flush()
}

impl Answer {
    /// Reads an answer whose connection is closed after it.
    fn read(stream: TcpStream, method: &str) -> Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).context("read the status")?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.with_context(|| format!("no status in `{}`", line.trim_end()))?;
        let mut headers = BTreeMap::new();
        loop {
            line.clear();
            reader.read_line(&mut line).context("read a header")?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let mut body = Vec::new();
        if method != "HEAD" {
            // Only shown in errors, so the framing of a chunked body does not matter.
            reader.take(4096).read_to_end(&mut body).context("read the body")?;
        }
        Ok(Self { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
    }

    fn expect(self, status: u16, what: &str) -> Result<Self> {
        ensure!(self.status < 600, "the registry's status {} is none", self.status);
        if self.status != status {
            bail!("{what}: the registry answers {}: {}", self.status, self.body.trim_end());
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_the_names_of_docker_hub() {
        assert_eq!(place("node:18-alpine"), ("library/node".to_owned(), "18-alpine"));
    }

    #[test]
    fn a_location_with_an_address_is_cut_to_its_path() {
        let registry = Registry { address: "127.0.0.1:5000" };
        for location in ["/v2/a?b=c", "http://127.0.0.1:5000/v2/a?b=c"] {
            assert_eq!(registry.path_of(location), "/v2/a?b=c");
        }
    }
}
