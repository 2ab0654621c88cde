//! Records of a container: what it is, in its row of the store's index, written once; and what
//! became of it, in `state.json`, replaced as a whole at each change.
//!
//! `<store>/containers/<id>/`: `state.json`, `lock` (flock held by the shim for as long as it
//! lives), `shim.sock`, `container.log`. The writable layer is a snapshot
//! of the store.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use lathe_store::SnapshotId;
use serde::Deserialize;
use serde::Serialize;

use crate::Error;
use crate::Result;
use crate::spec::BoundPort;
use crate::spec::ContainerSpec;

/// Version of both records.
pub(crate) const RECORD_VERSION: u32 = 1;

/// Identity of a container: 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(String);

impl ContainerId {
    /// Returns a new random id.
    pub(crate) fn random() -> Result<Self> {
        let mut bytes = [0; 32];
        random_bytes(&mut bytes)?;
        let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
        Ok(Self(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()))
    }

    /// Returns `text` as an id when it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (text.len() == 64 && hex).then(|| Self(text.to_owned()))
    }

    /// Returns all 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first 12 digits, which people read.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Fills `bytes` from the kernel's random source.
pub(crate) fn random_bytes(bytes: &mut [u8]) -> Result<()> {
    let path = Path::new("/dev/urandom");
    fs::File::open(path)
        .and_then(|mut file| file.read_exact(bytes))
        .map_err(Error::io("read", path))
}

/// What a container is: what was asked for, under which identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRecord {
    pub(crate) version: u32,
    pub id: ContainerId,
    pub name: String,
    /// Nanoseconds since the Unix epoch.
    pub created: i64,
    pub spec: ContainerSpec,
    /// Its writable layer.
    pub layer: SnapshotId,
    /// Volumes of the store that were made for this container alone.
    pub anonymous_volumes: Vec<AnonymousVolume>,
}

/// A volume that goes with its container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnonymousVolume {
    /// Name of the volume, 64 hexadecimal digits.
    pub name: String,
    /// Absolute path inside.
    pub target: String,
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Created,
    Running,
    Exited,
    /// It could not be removed completely.
    Dead,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Exited => "exited",
            Self::Dead => "dead",
        })
    }
}

/// `state.json`: what became of it. Times are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerState {
    pub(crate) version: u32,
    pub status: Status,
    /// Process id of process 1 while running; 0 otherwise. To be shown only: whether the
    /// container runs is told by the lock.
    pub pid: i32,
    pub started: Option<i64>,
    pub finished: Option<i64>,
    pub exit_code: i32,
    /// Why it could not be started, if so.
    pub error: Option<String>,
    /// Published ports while running.
    pub ports: Vec<BoundPort>,
    /// Address of the container in its own network while running.
    pub address: Option<std::net::IpAddr>,
}

impl ContainerState {
    pub(crate) fn created() -> Self {
        Self {
            version: RECORD_VERSION,
            status: Status::Created,
            pid: 0,
            started: None,
            finished: None,
            exit_code: 0,
            error: None,
            ports: Vec::new(),
            address: None,
        }
    }

    /// Returns this state after the end of the process.
    pub(crate) fn exited(&self, exit_code: i32, finished: i64) -> Self {
        Self {
            status: Status::Exited,
            pid: 0,
            finished: Some(finished),
            exit_code,
            ports: Vec::new(),
            address: None,
            ..self.clone()
        }
    }
}

/// Returns the time as records hold it.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// File name of the state in a container's directory.
pub(crate) const STATE: &str = "state.json";

/// Reads the state in a container's directory; `None` when there is none.
pub(crate) fn read_state(folder: &Path) -> Result<Option<ContainerState>> {
    let path = folder.join(STATE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let container = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Record { container, source })
}

/// Replaces the state: a reader sees the old one or the new one, whatever happens.
pub(crate) fn write_state(folder: &Path, state: &ContainerState) -> Result<()> {
    let path = folder.join(STATE);
    // The state has no maps, whose keys alone could be refused.
    let text = serde_json::to_vec(state).expect("a state is always valid JSON");
    let temporary = folder.join(format!("{STATE}.{}", std::process::id()));
    fs::write(&temporary, text).map_err(Error::io("write", &temporary))?;
    fs::rename(&temporary, &path).map_err(Error::io("replace", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_64_lowercase_hex_digits_are_an_id() {
        assert!(ContainerId::parse(&"a1".repeat(32)).is_some());
        assert!(ContainerId::parse(&"A1".repeat(32)).is_none());
        assert!(ContainerId::parse("abc").is_none());
        assert!(ContainerId::parse(&"../".repeat(21)).is_none());
    }

    #[test]
    fn random_ids_are_ids_and_differ() {
        let (one, other) = (ContainerId::random().unwrap(), ContainerId::random().unwrap());
        assert!(ContainerId::parse(one.as_str()).is_some());
        assert_ne!(one, other);
        assert_eq!(one.short().len(), 12);
    }

    #[test]
    fn a_state_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_state(folder.path()).unwrap(), None);
        let state = ContainerState::created().exited(137, 5);
        write_state(folder.path(), &state).unwrap();
        assert_eq!(read_state(folder.path()).unwrap(), Some(state));
    }
}
