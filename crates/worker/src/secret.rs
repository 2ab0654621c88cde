//! Secrets of a step: where their values come from, and what is said when there are none.
//!
//! A value is read when a step needs it. It is in no key, no layer, no error and no log.

use std::io::Read as _;

use lathe_graph::{ExecMountKind, ExecOp, Lent, Need, SecretEnv};

use crate::{Error, Result, lend::RunPolicy, lend::SecretSource};

/// Bytes that a secret may have, as in BuildKit.
const LIMIT: u64 = 500 * 1024;

/// The values that a step is lent, by the order of the step's requests.
#[derive(Default)]
pub(crate) struct Secrets {
    /// For the environment: name and value.
    pub(crate) env: Vec<(String, String)>,
    /// For mounts: target, and where they go.
    pub(crate) files: Vec<SecretFile>,
}

/// A secret as a file.
pub(crate) struct SecretFile {
    pub(crate) target: String,
    pub(crate) lent: Lent,
    pub(crate) value: Vec<u8>,
}

impl Secrets {
    /// Reads what a step asks for; what is optional and not there is left out.
    pub(crate) fn read(policy: &RunPolicy, op: &ExecOp) -> Result<Self> {
        let mut secrets = Self::default();
        for asked in &op.secret_env {
            let Some(value) = find(policy, &asked.id, asked.need)? else { continue };
            secrets.env.push((asked.name.clone(), text_of(asked, value)?));
        }
        for mount in &op.mounts {
            let ExecMountKind::Secret(lent) = &mount.kind else { continue };
            let Some(value) = find(policy, &lent.id, lent.need)? else { continue };
            let (target, lent) = (mount.target.clone(), lent.clone());
            secrets.files.push(SecretFile { target, lent, value });
        }
        Ok(secrets)
    }

    /// Returns all values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &[u8]> {
        let env = self.env.iter().map(|(_, value)| value.as_bytes());
        env.chain(self.files.iter().map(|file| file.value.as_slice()))
    }
}

fn find(policy: &RunPolicy, id: &str, need: Need) -> Result<Option<Vec<u8>>> {
    let Some(source) = policy.options.secrets.get(id) else {
        return match need {
            Need::Optional => Ok(None),
            Need::Required => Err(Error::MissingSecret { id: id.to_owned() }),
        };
    };
    let value = match source {
        SecretSource::Value(value) => value.clone().into_bytes(),
        SecretSource::File(path) => {
            let mut value = Vec::new();
            let read = |file: std::fs::File| file.take(LIMIT + 1).read_to_end(&mut value);
            std::fs::File::open(path).and_then(read).map_err(|source| Error::Io {
                action: "read",
                subject: format!("`{}` for the secret `{id}`", path.display()),
                source,
            })?;
            value
        }
    };
    if value.len() as u64 > LIMIT {
        return Err(Error::SecretTooLarge { id: id.to_owned(), limit: LIMIT });
    }
    Ok(Some(value))
}

/// Returns the value of a variable: all bytes of the secret, also a line end, as in BuildKit.
fn text_of(asked: &SecretEnv, value: Vec<u8>) -> Result<String> {
    let refuse = || Error::SecretText { id: asked.id.clone(), name: asked.name.clone() };
    let text = String::from_utf8(value).map_err(|_| refuse())?;
    if text.contains('\0') { Err(refuse()) } else { Ok(text) }
}
