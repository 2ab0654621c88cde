//! Entering the namespaces: the kernel part.
//!
//! A normal user's maps of more than one id may only be written by `newuidmap` and `newgidmap`,
//! which are set-uid and must run outside of the new namespace. So two children are forked before
//! `unshare`, wait at a gate (a pipe), and become these programs when the namespace exists. Both
//! run at once, since each costs about a millisecond.

use std::ffi::CString;
use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use nix::sys::wait::WaitStatus;

use crate::error::Error;
use crate::error::Result;
use crate::idmap::IdMap;
use crate::subid::Owner;
use crate::subid::SubRange;
use crate::subid::login_name;
use crate::subid::ranges_of;
use crate::sys;

/// How the process became root in its namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Real root of the machine: only a mount namespace of its own.
    Root,
    /// A user namespace with the user's subordinate ids.
    SubIds {
        /// The map of uids.
        uids: IdMap,
        /// The map of gids.
        gids: IdMap,
    },
    /// A user namespace in which only id 0 exists: files of other owners cannot be made.
    SingleId {
        /// Why there are no subordinate ids, to tell the user once.
        reason: SingleIdReason,
    },
    /// Root of a user namespace that somebody else made: only a mount namespace of its own.
    Nested,
}

/// Why a user namespace has to do with a single id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SingleIdReason {
    /// `newuidmap` or `newgidmap` is not installed (package `uidmap` or `shadow`).
    ProgramMissing(&'static str),
    /// The user has no line in `/etc/subuid` or `/etc/subgid`.
    NoRange(&'static str),
    /// The program refused; its message.
    Refused(String),
}

impl std::fmt::Display for SingleIdReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ProgramMissing(program) => {
                write!(f, "`{program}` is not installed (Debian: `apt install uidmap`)")
            }
            Self::NoRange(file) => {
                write!(
                    f,
                    "{file} grants this user no ids (`usermod --add-subuids 100000-165535 --add-subgids 100000-165535 NAME`)"
                )
            }
            Self::Refused(message) => write!(f, "the id map was refused: {message}"),
        }
    }
}

/// The process's state after [`enter`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// How it became root.
    pub mode: Mode,
    /// The effective uid before, in the namespace that the program was started in.
    pub uid: u32,
    /// The effective gid before.
    pub gid: u32,
}

impl Entered {
    /// Says whether overlay must keep its marks in `user.overlay.*` instead of
    /// `trusted.overlay.*` (mount option `userxattr`, kernel 5.11).
    pub fn userxattr(&self) -> bool {
        self.mode != Mode::Root
    }

    /// Says whether files of any owner can be made, as package managers need.
    pub fn many_ids(&self) -> bool {
        !matches!(self.mode, Mode::SingleId { .. })
    }
}

/// Makes the process root in mount (and user) namespaces of its own.
///
/// Must be called once, while the process has a single thread. Nothing is undone on an error; the
/// caller is expected to print it and end.
pub fn enter() -> Result<Entered> {
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let entered = |mode| Entered { mode, uid, gid };
    if uid != 0 {
        return enter_user(uid, gid).map(entered);
    }
    match nix::sched::unshare(CloneFlags::CLONE_NEWNS) {
        Ok(()) => {
            make_mounts_private()?;
            Ok(entered(if in_initial_userns() { Mode::Root } else { Mode::Nested }))
        }
        // A container's root without CAP_SYS_ADMIN may still be allowed a user namespace.
        Err(Errno::EPERM) => enter_user(uid, gid)
            .map(entered)
            .map_err(|error| Error::RootWithoutSysAdmin(Box::new(error))),
        Err(errno) => Err(Error::kernel("unshare the mount namespace", errno)),
    }
}

/// Joins the user and mount namespaces of another process of the same user, such as the one that
/// owns a container. In place of [`enter`], with the same preconditions. The working directory is
/// the one of the same path there.
pub fn join(pid: i32) -> Result<()> {
    let failed = |source: std::io::Error| Error::Join { pid, source };
    let directory = std::env::current_dir().map_err(failed)?;
    let Some(target) = rustix::process::Pid::from_raw(pid) else {
        return Err(failed(Errno::ESRCH.into()));
    };
    let pidfd = rustix::process::pidfd_open(target, rustix::process::PidfdFlags::empty())
        .map_err(|errno| failed(errno.into()))?;
    let mut flags = CloneFlags::CLONE_NEWNS;
    if !same_userns(pid) {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    nix::sched::setns(&pidfd, flags).map_err(|errno| failed(errno.into()))?;
    std::env::set_current_dir(&directory).map_err(failed)?;
    become_root()
}

fn enter_user(uid: u32, gid: u32) -> Result<Mode> {
    if !single_threaded() {
        return Err(Error::NotSingleThreaded);
    }
    let mapping = match plan_maps(uid, gid) {
        Ok(plan) => Mapping::start(&plan).map(|mapping| Ok((plan, mapping)))?,
        Err(reason) => Err(reason),
    };
    nix::sched::unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
        .map_err(refused_userns)?;
    let mapped = mapping.and_then(|(plan, mapping)| match mapping.finish() {
        None => Ok(Mode::SubIds { uids: plan.uids, gids: plan.gids }),
        Some(message) => Err(SingleIdReason::Refused(message)),
    });
    let mode = match mapped {
        Ok(mode) => mode,
        Err(reason) => {
            write_single_maps(uid, gid)?;
            Mode::SingleId { reason }
        }
    };
    become_root()?;
    make_mounts_private()?;
    Ok(mode)
}

/// What `newuidmap` and `newgidmap` are to write.
struct MapPlan {
    uids: IdMap,
    gids: IdMap,
    newuidmap: PathBuf,
    newgidmap: PathBuf,
}

fn plan_maps(uid: u32, gid: u32) -> std::result::Result<MapPlan, SingleIdReason> {
    let program = |name| find_program(name).ok_or(SingleIdReason::ProgramMissing(name));
    let (newuidmap, newgidmap) = (program("newuidmap")?, program("newgidmap")?);
    let (uids, gids) = granted_ranges(uid);
    if uids.is_empty() {
        return Err(SingleIdReason::NoRange("/etc/subuid"));
    }
    if gids.is_empty() {
        return Err(SingleIdReason::NoRange("/etc/subgid"));
    }
    let (uids, gids) = (IdMap::with_ranges(uid, &uids), IdMap::with_ranges(gid, &gids));
    Ok(MapPlan { uids, gids, newuidmap, newgidmap })
}

/// Returns the ranges of uids and of gids that this machine grants to the user.
pub(crate) fn granted_ranges(uid: u32) -> (Vec<SubRange>, Vec<SubRange>) {
    // Files that cannot be read grant nothing; `doctor` tells them apart.
    let read = |path| fs::read(path).unwrap_or_default();
    let passwd = read("/etc/passwd");
    let passwd = String::from_utf8_lossy(&passwd);
    // Users of a directory service are not in the file; only then is the slower lookup made.
    let name = login_name(&passwd, uid).map(str::to_owned).or_else(|| {
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok()??;
        Some(user.name)
    });
    let owner = Owner { uid, name: name.as_deref() };
    let ranges = |path| ranges_of(&String::from_utf8_lossy(&read(path)), owner);
    (ranges("/etc/subuid"), ranges("/etc/subgid"))
}

/// The two programs, started and waiting for the namespace to exist.
struct Mapping {
    gate: OwnedFd,
    messages: OwnedFd,
    children: [(&'static str, nix::unistd::Pid); 2],
}

impl Mapping {
    fn start(plan: &MapPlan) -> Result<Self> {
        let pipe = || {
            nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)
                .map_err(|errno| Error::kernel("make a pipe", errno))
        };
        let ((gate_reader, gate), (messages, messages_writer)) = (pipe()?, pipe()?);
        let pid = nix::unistd::getpid().to_string();
        let spawn = |program: &Path, map: &IdMap| {
            let arguments: Vec<CString> = [program.to_string_lossy().into_owned(), pid.clone()]
                .into_iter()
                .chain(map.arguments())
                .map(|argument| CString::new(argument).expect("no NUL in paths and numbers"))
                .collect();
            sys::spawn_delayed(&sys::Delayed {
                gate: &gate_reader,
                gate_writer: &gate,
                messages: &messages_writer,
                arguments: &arguments,
            })
            .map_err(|errno| Error::kernel("fork", errno))
        };
        let children = [
            ("newuidmap", spawn(&plan.newuidmap, &plan.uids)?),
            ("newgidmap", spawn(&plan.newgidmap, &plan.gids)?),
        ];
        Ok(Self { gate, messages, children })
    }

    /// Lets the programs go and waits for them; `Some` is what they complained about.
    fn finish(self) -> Option<String> {
        drop(self.gate);
        let mut text = Vec::new();
        // A message that cannot be read is only less to show: the exit status decides.
        fs::File::from(self.messages).read_to_end(&mut text).unwrap_or(0);
        let failed: Vec<&str> = self
            .children
            .iter()
            .filter(|(_, pid)| {
                !matches!(nix::sys::wait::waitpid(*pid, None), Ok(WaitStatus::Exited(_, 0)))
            })
            .map(|(program, _)| *program)
            .collect();
        let text = String::from_utf8_lossy(&text);
        let message = text.lines().next().unwrap_or("no message");
        (!failed.is_empty()).then(|| format!("{} failed: {message}", failed.join(" and ")))
    }
}

fn write_single_maps(uid: u32, gid: u32) -> Result<()> {
    // Without it the kernel refuses a gid map from a process without CAP_SETGID outside.
    // A map can be written once; one of the two may stand already when only the other program
    // failed.
    if map_is_empty("/proc/self/gid_map") {
        write_proc("/proc/self/setgroups", "deny")?;
        write_proc("/proc/self/gid_map", &IdMap::single(gid).kernel_text())?;
    }
    if map_is_empty("/proc/self/uid_map") {
        write_proc("/proc/self/uid_map", &IdMap::single(uid).kernel_text())?;
    }
    Ok(())
}

fn map_is_empty(path: &str) -> bool {
    fs::read(path).map_or(true, |text| text.is_empty())
}

/// Writes a file of `/proc` in a single call, as the kernel asks for maps.
fn write_proc(path: &'static str, text: &str) -> Result<()> {
    let write = || fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes());
    write().map_err(|source| Error::File { action: "write", path: path.into(), source })
}

fn become_root() -> Result<()> {
    let failed = |errno| Error::kernel("become uid 0 of the namespace", errno);
    let (uid, gid) = (nix::unistd::Uid::from_raw(0), nix::unistd::Gid::from_raw(0));
    nix::unistd::setresgid(gid, gid, gid).map_err(failed)?;
    nix::unistd::setresuid(uid, uid, uid).map_err(failed)
}

/// Cuts the way of our mounts to the outside; unmounts outside still reach us, so that a removed
/// disk is not held busy.
fn make_mounts_private() -> Result<()> {
    let none: Option<&str> = None;
    nix::mount::mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)
        .map_err(|errno| Error::kernel("make the mounts private", errno))
}

/// Explains a refused `unshare(CLONE_NEWUSER)` by the switches that are known to cause it.
fn refused_userns(errno: Errno) -> Error {
    let limit = sysctl("user/max_user_namespaces");
    match errno {
        Errno::ENOSPC | Errno::EUSERS => Error::TooManyUserns { limit: limit.unwrap_or(0) },
        _ if limit == Some(0) => Error::TooManyUserns { limit: 0 },
        _ if sysctl("kernel/unprivileged_userns_clone") == Some(0) => Error::UsernsSwitchedOff,
        _ if sysctl("kernel/apparmor_restrict_unprivileged_userns") == Some(1) => {
            Error::UsernsRestrictedByAppArmor
        }
        other => Error::UsernsRefused(other.into()),
    }
}

/// Returns a number below `/proc/sys`; `None` when this kernel does not know it.
pub(crate) fn sysctl(name: &str) -> Option<u64> {
    fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().parse().ok()
}

/// Says whether the process is in the machine's initial user namespace.
///
/// Its inode number is fixed in the kernel (`PROC_USER_INIT_INO`); where `/proc` hides it, a full
/// identity map is taken as the sign.
fn in_initial_userns() -> bool {
    const PROC_USER_INIT_INO: u64 = 0xEFFF_FFFD;
    match userns_inode("self") {
        Some(inode) => inode == PROC_USER_INIT_INO,
        None => fs::read_to_string("/proc/self/uid_map")
            .ok()
            .and_then(|text| IdMap::parse(&text))
            .is_some_and(|map| map.is_identity()),
    }
}

fn userns_inode(process: &str) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(format!("/proc/{process}/ns/user")).ok().map(|metadata| metadata.ino())
}

fn same_userns(pid: i32) -> bool {
    let own = userns_inode("self");
    own.is_some() && own == userns_inode(&pid.to_string())
}

/// Says whether this is the process's only thread, as every `fork` here needs.
pub(crate) fn single_threaded() -> bool {
    // Where /proc is hidden, the kernel's own check in `unshare` has to do.
    fs::read_dir("/proc/self/task").map_or(true, |tasks| tasks.count() == 1)
}

/// Finds a program in the directories where systems put set-uid programs. `PATH` is not asked: it
/// is the user's, and what is found here decides about ids.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin", "/usr/sbin", "/sbin"]
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.is_file())
}
