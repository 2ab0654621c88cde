//! What the tests of this crate have in common.

use std::time::Duration;

use lathe_event::Cancel;
use lathe_oci::{Descriptor, Digest, MediaType, Reference};
use lathe_registry::{Client, ClientOptions, Config, Credential, CredentialStore, RetryPolicy};

/// A policy that does not make tests wait.
pub(crate) fn impatient() -> RetryPolicy {
    RetryPolicy { base: Duration::from_millis(1), ..RetryPolicy::default() }
}

/// Makes a client with `registries.toml` and a user's password for one host.
pub(crate) fn client(registries: &str, login: Option<(&str, &str, &str)>) -> Client {
    client_with(registries, login, Cancel::new())
}

/// As [`client`], with a token to cancel it.
pub(crate) fn client_with(
    registries: &str,
    login: Option<(&str, &str, &str)>,
    cancel: Cancel,
) -> Client {
    let config = Config::parse("registries.toml".as_ref(), registries).expect("config");
    let mut credentials = CredentialStore::default();
    if let Some((host, username, password)) = login {
        let (username, password) = (username.to_owned(), password.to_owned());
        credentials = credentials.with(host, Credential::Password { username, password });
    }
    Client::new(ClientOptions { config, credentials, retry: impatient(), cancel })
}

pub(crate) fn reference(host: &str, rest: &str) -> Reference {
    Reference::parse(&format!("{host}/{rest}")).expect("reference")
}

/// Returns bytes that differ from each other, so that mixed-up offsets show.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[1]).collect()
}

pub(crate) fn blob(bytes: &[u8]) -> Descriptor {
    Descriptor::new(MediaType::OciLayer, Digest::of(bytes), bytes.len() as u64)
}

/// Makes an image of one layer: config, layer and manifest.
pub(crate) fn image(seed: usize) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let layer = bytes(300_000 + seed);
    let diff_id = Digest::of(&layer);
    let config = format!(
        "{{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{{}},\
         \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"{diff_id}\"]}}}}"
    )
    .into_bytes();
    let entry = |media_type: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        let size = bytes.len();
        format!("{{\"mediaType\":\"{media_type}\",\"digest\":\"{digest}\",\"size\":{size}}}")
    };
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{}\",\"config\":{},\"layers\":[{}]}}",
        MediaType::OciManifest,
        entry(MediaType::OciConfig.as_str(), &config),
        entry(MediaType::OciLayer.as_str(), &layer),
    )
    .into_bytes();
    (config, layer, manifest)
}
