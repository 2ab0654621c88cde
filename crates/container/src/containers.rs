//! All containers of one store: what a command can ask of them.
//!
//! A command of a normal user lives in a user namespace of its own and can neither signal nor
//! join a container of an earlier command. So nothing here touches a running container but
//! through the socket of its shim, as root too: one way, tested once.

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use lathe_snapshot::Mounted;
use lathe_snapshot::Snapshots;
use lathe_store::Store;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::Error;
use crate::Result;
use crate::name;
use crate::protocol::Channel;
use crate::protocol::Request;
use crate::protocol::Response;
use crate::record;
use crate::record::ContainerId;
use crate::record::ContainerRecord;
use crate::record::ContainerState;
use crate::record::RECORD_VERSION;
use crate::record::Status;
use crate::shim::SOCKET;
use crate::signal::parse_signal;
use crate::spec::ContainerSpec;
use crate::spec::Removal;
use crate::volume;

/// How long a container may take to end by itself, by default.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a shim that has recorded the end of its container may take to go away.
const SHIM_TIMEOUT: Duration = Duration::from_secs(10);
const SHIM_TICK: Duration = Duration::from_millis(2);

/// A container as `ps` and `inspect` show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerView {
    pub record: ContainerRecord,
    pub state: ContainerState,
}

impl ContainerView {
    /// Returns whether its process runs.
    pub fn is_running(&self) -> bool {
        self.state.status == Status::Running
    }
}

/// How `stop` asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopOptions {
    /// Name or number of the signal; the container's own when `None`.
    pub signal: Option<String>,
    /// Time until it is killed; [`STOP_TIMEOUT`] when `None`.
    pub timeout: Option<Duration>,
}

/// Whether a running container is killed to be removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Force {
    #[default]
    No,
    Yes,
}

/// Whether the anonymous volumes go with a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AnonymousVolumes {
    #[default]
    Keep,
    Remove,
}

/// The containers of a store.
#[derive(Debug, Clone)]
pub struct Containers {
    pub(crate) store: Store,
    pub(crate) userxattr: bool,
}

impl Containers {
    /// Returns the containers of `store`; `userxattr` as `lathe_userns::Entered::userxattr` tells.
    pub fn new(store: &Store, userxattr: bool) -> Self {
        Self { store: store.clone(), userxattr }
    }

    fn snapshots(&self) -> Snapshots {
        Snapshots::new(&self.store, self.userxattr)
    }

    /// Makes a container that does not run yet.
    pub fn create(&self, spec: ContainerSpec) -> Result<ContainerView> {
        check(&spec)?;
        let _share = self.store.share()?;
        let id = ContainerId::random()?;
        let created = record::now();
        let seconds = created / 1_000_000_000;
        let mut record = ContainerRecord {
            version: RECORD_VERSION,
            name: String::new(),
            created,
            anonymous_volumes: volume::name_anonymous(&spec)?,
            layer: self.snapshots().prepare(spec.image.snapshot)?.persist()?,
            id,
            spec,
        };
        let made = self.make_folder(&record.id).and_then(|()| self.claim(&mut record, seconds));
        if let Err(error) = made {
            // The first error is the one to tell; what stays behind, the next prune removes.
            let _kept = self.erase_files(&record, AnonymousVolumes::Keep);
            return Err(error);
        }
        Ok(ContainerView { record, state: ContainerState::created() })
    }

    fn make_folder(&self, id: &ContainerId) -> Result<()> {
        let folder = self.folder(id);
        fs::create_dir(&folder).map_err(Error::io("create", &folder))?;
        record::write_state(&folder, &ContainerState::created())
    }

    /// Writes the container's row, which takes its name: the index has no two of one name.
    fn claim(&self, record: &mut ContainerRecord, seconds: i64) -> Result<()> {
        loop {
            record.name = match &record.spec.name {
                Some(name) => name.clone(),
                None => name::generate()?,
            };
            let row = lathe_store::ContainerRecord {
                id: record.id.to_string(),
                name: record.name.clone(),
                created: seconds,
                image: record.spec.image.id.parse().ok(),
                snapshots: std::iter::once(record.layer)
                    .chain(record.spec.image.snapshot)
                    .collect(),
                record: serde_json::to_string(record)
                    .map_err(|source| Error::Record { container: record.id.to_string(), source })?,
            };
            match self.store.put_container(&row) {
                Ok(()) => return Ok(()),
                // Made-up names collide now and then.
                Err(lathe_store::Error::NameInUse { .. }) if record.spec.name.is_none() => {}
                Err(lathe_store::Error::NameInUse { name, by }) => {
                    return Err(Error::NameInUse { name, owner: by });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns all containers, the newest first.
    pub fn list(&self) -> Result<Vec<ContainerView>> {
        let mut views = Vec::new();
        for row in self.store.containers()? {
            // One that is removed meanwhile is not shown.
            if let Some(view) = self.view(parse_record(&row)?)? {
                views.push(view);
            }
        }
        // The rows are sorted by the second.
        views.sort_by_key(|view| std::cmp::Reverse(view.record.created));
        Ok(views)
    }

    /// Returns the container with this name, id or unambiguous beginning of an id.
    pub fn find(&self, reference: &str) -> Result<ContainerView> {
        let not_found = || Error::NotFound(reference.to_owned());
        let row = match self.store.container(reference)? {
            Some(row) => row,
            None => match self.store.container_by_name(reference.trim_start_matches('/'))? {
                Some(row) => row,
                None => self.by_prefix(reference)?,
            },
        };
        self.view(parse_record(&row)?)?.ok_or_else(not_found)
    }

    fn by_prefix(&self, prefix: &str) -> Result<lathe_store::ContainerRecord> {
        let mut rows = if prefix.is_empty() {
            Vec::new()
        } else {
            self.store.containers_by_id_prefix(prefix)?
        };
        match (rows.pop(), rows.is_empty()) {
            (Some(row), true) => Ok(row),
            (Some(_), false) => Err(Error::Ambiguous(prefix.to_owned())),
            (None, _) => Err(Error::NotFound(prefix.to_owned())),
        }
    }

    /// Returns the names of volumes that containers use.
    pub fn volumes_in_use(&self) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for row in self.store.containers()? {
            names.extend(volume::names(&parse_record(&row)?).map(str::to_owned));
        }
        Ok(names)
    }

    /// Adds the state. A container whose shim died without recording the end has ended by
    /// SIGKILL: the shim takes its container with it.
    fn view(&self, record: ContainerRecord) -> Result<Option<ContainerView>> {
        let folder = self.folder(&record.id);
        let Some(mut state) = record::read_state(&folder)? else { return Ok(None) };
        if state.status == Status::Running
            && let Some(seen) = self.try_lock(&record.id, FlockOperation::NonBlockingLockShared)?
        {
            // The shim may have ended between the two looks.
            state = record::read_state(&folder)?.unwrap_or(state);
            let killed = state.status == Status::Running;
            if killed {
                state = state.exited(137, record::now());
            }
            // Only one of those who look at the same time writes it down.
            let operation = FlockOperation::NonBlockingLockExclusive;
            let alone = rustix::fs::flock(&seen, operation).is_ok();
            if record.spec.removal == Removal::OnExit {
                if alone {
                    self.erase(&record, AnonymousVolumes::Remove)?;
                }
                return Ok(None);
            }
            if killed && alone {
                record::write_state(&folder, &state)?;
            }
        }
        Ok(Some(ContainerView { record, state }))
    }

    /// Sends a signal, by name or number.
    pub fn kill(&self, id: &ContainerId, signal: &str) -> Result<()> {
        self.signal(id, parse_signal(signal)?)
    }

    pub(crate) fn signal(&self, id: &ContainerId, signal: i32) -> Result<()> {
        let channel = self.connect(id)?.ok_or_else(|| Error::NotRunning(id.clone()))?;
        channel.send_message(&Request::Kill { signal }).map_err(Error::Channel)?;
        match channel.response()? {
            Some((Response::Done, _)) => Ok(()),
            Some((Response::Failed { code, message }, _)) => Err(Error::Exec { code, message }),
            // Also an end instead of an answer: the container ended at this moment.
            _ => Err(Error::NotRunning(id.clone())),
        }
    }

    /// Asks the container to end, and kills it when it does not in time. One that does not run
    /// is fine.
    pub fn stop(&self, id: &ContainerId, options: &StopOptions) -> Result<()> {
        let record = self.record(id)?;
        let own = record.spec.stop_signal.as_deref();
        let signal = parse_signal(options.signal.as_deref().or(own).unwrap_or("TERM"))?;
        let Some(waiter) = self.begin_wait(id)? else { return Ok(()) };
        match self.signal(id, signal) {
            Ok(()) | Err(Error::NotRunning(_)) => {}
            Err(error) => return Err(error),
        }
        if !ends_within(&waiter, options.timeout.unwrap_or(STOP_TIMEOUT))? {
            match self.signal(id, libc::SIGKILL) {
                Ok(()) | Err(Error::NotRunning(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.end_wait(id, &waiter).map(drop)
    }

    /// Waits until the container does not run, and returns its exit code.
    pub fn wait(&self, id: &ContainerId) -> Result<i32> {
        match self.begin_wait(id)? {
            Some(waiter) => self.end_wait(id, &waiter),
            None => self.last_exit_code(id),
        }
    }

    pub(crate) fn begin_wait(&self, id: &ContainerId) -> Result<Option<Channel>> {
        let Some(channel) = self.connect(id)? else { return Ok(None) };
        match channel.send_message(&Request::Wait) {
            Ok(()) => Ok(Some(channel)),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(None),
            Err(error) => Err(Error::Channel(error)),
        }
    }

    fn end_wait(&self, id: &ContainerId, waiter: &Channel) -> Result<i32> {
        match waiter.response()? {
            Some((Response::Exited { code }, _)) => Ok(code),
            _ => self.last_exit_code(id),
        }
    }

    /// Returns the recorded exit code. A container which is gone was removed as its process
    /// ended, by somebody who did not live to tell.
    pub(crate) fn last_exit_code(&self, id: &ContainerId) -> Result<i32> {
        let deadline = Instant::now() + SHIM_TIMEOUT;
        loop {
            match self.find(id.as_str()) {
                // A dying shim loses its socket a moment before its lock.
                Ok(view) if view.is_running() && Instant::now() < deadline => {
                    std::thread::sleep(SHIM_TICK);
                }
                Ok(view) => return Ok(view.state.exit_code),
                Err(Error::NotFound(_)) => return Ok(137),
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes a container with its layer, log and, if asked for, its anonymous volumes.
    pub fn remove(&self, id: &ContainerId, force: Force, volumes: AnonymousVolumes) -> Result<()> {
        let view = self.find(id.as_str())?;
        if view.is_running() {
            if force == Force::No {
                return Err(Error::StillRunning { name: view.record.name });
            }
            if let Some(waiter) = self.begin_wait(id)? {
                self.signal(id, libc::SIGKILL).or_else(|error| match error {
                    Error::NotRunning(_) => Ok(()),
                    error => Err(error),
                })?;
                self.end_wait(id, &waiter)?;
            }
        }
        let Some(_lock) = self.lock_stopped(id)? else {
            return Err(Error::StillRunning { name: view.record.name });
        };
        let _share = self.store.share()?;
        self.erase(&view.record, volumes)
    }

    /// Removes everything of a container whose lock the caller holds. The row goes first, so that
    /// nobody sees half a container.
    pub(crate) fn erase(&self, record: &ContainerRecord, volumes: AnonymousVolumes) -> Result<()> {
        self.store.remove_container(record.id.as_str())?;
        self.erase_files(record, volumes)
    }

    fn erase_files(&self, record: &ContainerRecord, volumes: AnonymousVolumes) -> Result<()> {
        if self.store.snapshot(record.layer)?.is_some() {
            self.store.remove_snapshot(record.layer)?;
        }
        lathe_store::remove_tree(&self.folder(&record.id))?;
        if volumes == AnonymousVolumes::Remove {
            volume::remove_anonymous(&self.store, record)?;
        }
        Ok(())
    }

    pub(crate) fn folder(&self, id: &ContainerId) -> PathBuf {
        self.store.container_directory(id.as_str())
    }

    pub(crate) fn log_path(&self, id: &ContainerId) -> PathBuf {
        self.folder(id).join("container.log")
    }

    pub(crate) fn record(&self, id: &ContainerId) -> Result<ContainerRecord> {
        let row = self.store.container(id.as_str())?;
        parse_record(&row.ok_or_else(|| Error::NotFound(id.to_string()))?)
    }

    pub(crate) fn mount(&self, record: &ContainerRecord) -> Result<Mounted> {
        Ok(self.snapshots().mount_writable(record.layer)?)
    }

    /// Connects with the shim; `None` when there is none.
    pub(crate) fn connect(&self, id: &ContainerId) -> Result<Option<Channel>> {
        let path = self.folder(id);
        let folder = match File::open(&path) {
            Ok(folder) => folder,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        Channel::connect(folder.as_fd(), SOCKET).map_err(Error::Channel)
    }

    /// Takes the lock of a container that no shim owns; `None` when one does. Who only looks
    /// takes it shared, so that two who look do not take each other for a shim.
    fn try_lock(&self, id: &ContainerId, operation: FlockOperation) -> Result<Option<OwnedFd>> {
        let path = self.folder(id).join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        match rustix::fs::flock(&file, operation) {
            Ok(()) => Ok(Some(file.into())),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(Error::io("lock", &path)(errno.into())),
        }
    }

    /// Takes the lock of a container that does not run. A shim that has recorded the end may
    /// still hold it for a moment, and so may another command's look; `None` when it runs.
    pub(crate) fn lock_stopped(&self, id: &ContainerId) -> Result<Option<OwnedFd>> {
        let deadline = Instant::now() + SHIM_TIMEOUT;
        loop {
            if let Some(lock) = self.try_lock(id, FlockOperation::NonBlockingLockExclusive)? {
                return Ok(Some(lock));
            }
            let state = record::read_state(&self.folder(id))?;
            let running = state.is_some_and(|state| state.status == Status::Running);
            if running || Instant::now() > deadline {
                return Ok(None);
            }
            std::thread::sleep(SHIM_TICK);
        }
    }
}

fn parse_record(row: &lathe_store::ContainerRecord) -> Result<ContainerRecord> {
    serde_json::from_str(&row.record)
        .map_err(|source| Error::Record { container: row.id.clone(), source })
}

fn check(spec: &ContainerSpec) -> Result<()> {
    if let Some(name) = &spec.name
        && !name::is_valid(name)
    {
        return Err(Error::InvalidName(name.clone()));
    }
    if let Some(signal) = &spec.stop_signal {
        parse_signal(signal)?;
    }
    if spec.process.entrypoint.is_empty() && spec.process.command.is_empty() {
        return Err(Error::Start { code: 125, message: "no command specified".to_owned() });
    }
    let dir = &spec.process.working_dir;
    if !dir.is_empty() && !Path::new(dir).is_absolute() {
        return Err(Error::Start {
            code: 125,
            message: format!(
                "the working directory '{dir}' is invalid, it needs to be an absolute path"
            ),
        });
    }
    Ok(())
}

/// Returns whether the end is told within `time`.
fn ends_within(waiter: &Channel, time: Duration) -> Result<bool> {
    use rustix::event::PollFd;
    use rustix::event::PollFlags;
    use rustix::event::Timespec;
    let deadline = Instant::now() + time;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // A time longer than the kernel can count is no limit.
        let timeout = Timespec::try_from(left).ok();
        let mut fds = [PollFd::new(waiter, PollFlags::IN)];
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::Channel(errno.into())),
        }
    }
}
