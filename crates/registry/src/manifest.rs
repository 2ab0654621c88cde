//! Manifests and indexes: resolve, read, push; and the list of tags.

use lathe_oci::{Descriptor, Digest, Digester, MediaType, Reference};
use serde::Deserialize;

use crate::{
    Client, Error, Result, RetryPolicy,
    auth::{pull_scope, push_scope},
    endpoint::Endpoint,
    transport::{Answer, Body, Call, Exchange, Method, Target},
};

/// Longest manifest that is read, in bytes: what registries accept
/// (distribution specification 1.1, section "Pushing Manifests").
const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;
/// Longest page of tags that is read, in bytes.
const TAGS_LIMIT: u64 = 8 * 1024 * 1024;
/// Pages of tags that are read.
const TAGS_PAGES: usize = 1000;

/// All kinds of manifest that this project reads, OCI's first.
const ACCEPTED: [MediaType; 4] = [
    MediaType::OciIndex,
    MediaType::OciManifest,
    MediaType::DockerManifestList,
    MediaType::DockerManifest,
];

impl Client {
    /// Returns what a reference means at the moment, without reading it.
    pub fn resolve(&self, reference: &Reference) -> Result<Descriptor> {
        self.pull(reference, |endpoint, policy| {
            let get = |method| self.ask_manifest(reference, endpoint, policy, method);
            let answer = get(Method::HEAD)?;
            match answer.status {
                200 => match describe(reference, &answer) {
                    Some(descriptor) => Ok(descriptor),
                    None => read_manifest(reference, get(Method::GET)?).map(|(found, _)| found),
                },
                // A refusal of HEAD has no text; and some registries know only GET.
                _ => read_manifest(reference, get(Method::GET)?).map(|(found, _)| found),
            }
        })
    }

    /// Reads the manifest or index that a reference means: by its digest where it has one,
    /// by its tag (`latest`) otherwise. The bytes have the descriptor's digest.
    pub fn manifest(&self, reference: &Reference) -> Result<(Descriptor, Vec<u8>)> {
        self.pull(reference, |endpoint, policy| {
            let answer = self.ask_manifest(reference, endpoint, policy, Method::GET)?;
            read_manifest(reference, answer)
        })
    }

    /// Pushes a manifest or index, under the reference's tag or else under its digest.
    pub fn push_manifest(
        &self,
        reference: &Reference,
        media_type: &MediaType,
        bytes: &[u8],
    ) -> Result<Descriptor> {
        let descriptor = Descriptor::of(media_type.clone(), bytes);
        let subject = format!("push {}", reference.familiar());
        let scopes = [push_scope(reference.repository())];
        self.push(reference, &scopes, |call| {
            let name = match reference.tag() {
                Some(tag) => tag.to_owned(),
                None => descriptor.digest.to_string(),
            };
            let path = call.endpoint.path(reference.repository(), &format!("manifests/{name}"));
            let exchange = Exchange::new(Method::PUT, &subject)
                .header("Content-Type", media_type.as_str())
                .body(Body::Bytes(bytes));
            let answer = self.send(call, &exchange, Target::Path(&path))?;
            if !matches!(answer.status, 200..=299) {
                return Err(answer.refusal(&subject, call.endpoint.auth.name()));
            }
            if let Some(told) = header_digest(&answer)
                && told != descriptor.digest
            {
                let reason = format!("stored it as {told} instead of {}", descriptor.digest);
                return Err(answer.wrong(&subject, reason));
            }
            answer.drain();
            Ok(descriptor.clone())
        })
    }

    /// Lists the tags of a repository, in the registry's order.
    pub fn tags(&self, reference: &Reference) -> Result<Vec<String>> {
        let subject = format!("list tags of {}", reference.familiar_name());
        self.pull(reference, |endpoint, policy| {
            let scopes = [pull_scope(&repository_at(endpoint, reference))];
            let call = Call { endpoint, scopes: &scopes, policy };
            let path = endpoint.path(reference.repository(), "tags/list");
            let exchange = Exchange::new(Method::GET, &subject);
            let mut answer = self.send(call, &exchange, Target::Path(&path))?;
            let mut tags = Vec::new();
            for _ in 0..TAGS_PAGES {
                if answer.status != 200 {
                    return Err(answer.refusal(&subject, endpoint.auth.name()));
                }
                let next = answer.header("link").and_then(next_link);
                let next = next.and_then(|link| answer.url.join(link));
                let host = answer.url.authority.clone();
                let page: TagsPage = serde_json::from_slice(&answer.read(TAGS_LIMIT, &subject)?)
                    .map_err(|error| Error::Protocol {
                        subject: subject.clone(),
                        host,
                        reason: format!("the list of tags is wrong: {error}"),
                    })?;
                tags.extend(page.tags.unwrap_or_default());
                let Some(next) = next else { break };
                answer = self.send(call, &exchange, Target::Url(&next))?;
            }
            Ok(tags)
        })
    }

    fn ask_manifest(
        &self,
        reference: &Reference,
        endpoint: &Endpoint,
        policy: RetryPolicy,
        method: Method,
    ) -> Result<Answer> {
        let subject = reference.familiar();
        let name = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let path = endpoint.path(reference.repository(), &format!("manifests/{name}"));
        let scopes = [pull_scope(&repository_at(endpoint, reference))];
        let accepted: Vec<&str> = ACCEPTED.iter().map(MediaType::as_str).collect();
        let is_head = method == Method::HEAD;
        let exchange = Exchange::new(method, &subject).header("Accept", accepted.join(", "));
        let call = Call { endpoint, scopes: &scopes, policy };
        let answer = self.send(call, &exchange, Target::Path(&path))?;
        if answer.status == 200 || is_head {
            return Ok(answer);
        }
        Err(answer.refusal(&subject, endpoint.auth.name()))
    }
}

/// Returns the repository's name at an endpoint, which a mirror's path may precede.
pub(crate) fn repository_at(endpoint: &Endpoint, reference: &Reference) -> String {
    format!("{}{}", endpoint.prefix, reference.repository())
}

#[derive(Deserialize)]
struct TagsPage {
    tags: Option<Vec<String>>,
}

/// The little of a manifest that tells its kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    schema_version: Option<u32>,
    media_type: Option<MediaType>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
}

fn header_digest(answer: &Answer) -> Option<Digest> {
    answer.header("docker-content-digest")?.parse().ok()
}

/// Returns the type without parameters, as `; charset=utf-8`.
fn header_type(answer: &Answer) -> Option<MediaType> {
    let text = answer.header("content-type")?.split(';').next()?.trim();
    ACCEPTED.into_iter().find(|known| known.as_str() == text)
}

/// Makes the descriptor out of the headers of HEAD, if they say enough.
fn describe(reference: &Reference, answer: &Answer) -> Option<Descriptor> {
    let digest = header_digest(answer)?;
    if reference.digest().is_some_and(|wanted| *wanted != digest) {
        return None;
    }
    let size = answer.header("content-length")?.parse().ok().filter(|size| *size > 0)?;
    Some(Descriptor::new(header_type(answer)?, digest, size))
}

/// Reads and verifies a manifest.
fn read_manifest(reference: &Reference, answer: Answer) -> Result<(Descriptor, Vec<u8>)> {
    let subject = reference.familiar();
    let expected = reference.digest().copied().or_else(|| header_digest(&answer));
    let told = header_type(&answer);
    let host = answer.url.authority.clone();
    let bytes = answer.read(MANIFEST_LIMIT, &subject)?;
    let digest = match expected {
        Some(expected) => {
            let mut digester = Digester::new(expected.algorithm());
            digester.update(&bytes);
            let actual = digester.finish();
            if actual != expected {
                let (expected, actual) = (Box::new(expected), Box::new(actual));
                let source = lathe_oci::Error::DigestMismatch { expected, actual };
                return Err(Error::Document { subject: format!("{subject}: {host}"), source });
            }
            actual
        }
        None => Digest::of(&bytes),
    };
    let wrong =
        |reason: String| Error::Protocol { subject: subject.clone(), host: host.clone(), reason };
    let kind: Kind = serde_json::from_slice(&bytes)
        .map_err(|error| wrong(format!("the manifest is no JSON document: {error}")))?;
    let media_type = match (kind.media_type, told) {
        (Some(own), _) if ACCEPTED.contains(&own) => own,
        (None, Some(told)) => told,
        (None, None) if kind.manifests.is_some() => MediaType::OciIndex,
        (None, None) if kind.layers.is_some() => MediaType::OciManifest,
        (own, _) => {
            let version = kind.schema_version.unwrap_or(0);
            let own = own.map_or_else(String::new, |own| format!(" `{own}`"));
            return Err(wrong(format!(
                "a manifest of schema version {version}{own} is not supported"
            )));
        }
    };
    Ok((Descriptor::new(media_type, digest, bytes.len() as u64), bytes))
}

/// Returns the address of the next page (RFC 8288).
fn next_link(header: &str) -> Option<&str> {
    header.split(',').find_map(|link| {
        let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let next = |part: &str| {
            let part = part.trim();
            part == "rel=next" || part == "rel=\"next\""
        };
        parameters.split(';').any(next).then_some(address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_of_the_next_page_is_found() {
        assert_eq!(
            next_link("</v2/x/tags/list?last=b&n=2>; rel=\"next\""),
            Some("/v2/x/tags/list?last=b&n=2")
        );
        assert_eq!(next_link("<a>; rel=\"prev\", <b>; rel=next"), Some("b"));
        assert_eq!(next_link("<a>; rel=\"prev\""), None);
        assert_eq!(next_link("nonsense"), None);
    }
}
