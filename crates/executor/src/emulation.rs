//! Programs of other architectures.
//!
//! The kernel hands programs which it cannot execute itself to an interpreter
//! that is registered in `binfmt_misc`. Machines on which somebody registered
//! QEMU's emulators need nothing else. On others lathe registers what it finds
//! on the `PATH` by itself: since Linux 6.7 each user namespace may have a
//! registry of its own, which nobody outside of it sees or needs rights for. A
//! normal user's lathe has such a namespace anyway; root of the machine makes
//! one, in which the sandboxed processes then run.

mod elf;
mod programs;
mod registry;

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::mount::FsMountFlags;
use rustix::mount::FsOpenFlags;
use rustix::mount::MountAttrFlags;

use crate::Error;
use crate::Result;
use crate::spawn;
use elf::ARCHITECTURES;
use elf::Architecture;
use programs::find_emulator;
use programs::is_static_program;
use registry::Entry;

const REGISTRY: &str = "/proc/sys/fs/binfmt_misc";
/// First kernel with a registry for each user namespace.
const OWN_REGISTRY: (u32, u32) = (6, 7);

/// Whether programs of an architecture can be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// By the processor.
    Native,
    /// By an emulator.
    Emulated {
        /// The emulator's path on this machine.
        interpreter: PathBuf,
        /// Who registered it.
        by: Registration,
    },
    /// Not on this machine as it is.
    Missing {
        /// What to do about it, in one sentence without a period.
        hint: String,
    },
}

/// Who tells the kernel about an emulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// The machine has it registered: nothing to do.
    Machine,
    /// [`Emulation::start`] has to, and its user namespace has to be the
    /// sandbox's.
    Own,
}

/// Returns who executes programs of an architecture, by its name in images. The
/// variant does not decide: processors and emulators execute all older ones.
pub fn interpreter_for(architecture: &str, _variant: Option<&str>) -> Availability {
    if is_native(architecture) {
        return Availability::Native;
    }
    let Some(architecture) = Architecture::find(architecture) else {
        let names: Vec<&str> = ARCHITECTURES.iter().map(|known| known.name).collect();
        let hint = format!("there is no emulator for it, but for {}", names.join(", "));
        return Availability::Missing { hint };
    };
    Machine::look(architecture).decide(architecture)
}

/// Returns the architecture of a program by its first bytes, if it is another
/// than the processor's.
pub(crate) fn architecture_of(start: &[u8]) -> Option<&'static str> {
    let found = ARCHITECTURES.iter().find(|known| known.is_of(start))?;
    (!is_native(found.name)).then_some(found.name)
}

/// What this machine has for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Machine {
    registered: Registered,
    /// A static emulator that is installed.
    emulator: Option<PathBuf>,
    kernel: (u32, u32),
}

/// What the machine's registry has.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Registered {
    /// It is not mounted.
    Unmounted,
    Nothing,
    Entry(Entry),
}

impl Machine {
    fn look(architecture: &Architecture) -> Self {
        let registered = match registered() {
            None => Registered::Unmounted,
            Some(entries) => entries
                .into_iter()
                .find(|entry| entry.is_for(architecture))
                .map_or(Registered::Nothing, Registered::Entry),
        };
        Self { registered, emulator: find_emulator(architecture), kernel: kernel() }
    }

    fn decide(self, architecture: &Architecture) -> Availability {
        let emulated = |interpreter, by| Availability::Emulated { interpreter, by };
        if let Registered::Entry(entry) = &self.registered
            && entry.fixed
        {
            return emulated(entry.interpreter.clone(), Registration::Machine);
        }
        let qemu = format!("qemu-{}-static", architecture.qemu);
        let hint = match (self.emulator, self.registered) {
            (Some(emulator), _) if self.kernel >= OWN_REGISTRY => {
                return emulated(emulator, Registration::Own);
            }
            (None, _) if self.kernel >= OWN_REGISTRY => format!(
                "install `{qemu}` (Debian: `apt install qemu-user-static`); \
                 it need not be registered with the kernel"
            ),
            (_, Registered::Entry(entry)) => format!(
                "`{}` is registered without the flag `F`, so that it would have to be inside of \
                 the image: register it again with that flag",
                entry.interpreter.display()
            ),
            (_, Registered::Nothing) => format!(
                "register an emulator with the kernel (Debian: `apt install qemu-user-static`, \
                 which has `{qemu}` and registers it)"
            ),
            (_, Registered::Unmounted) => format!(
                "mount the registry of emulators (`mount -t binfmt_misc none {REGISTRY}`) and \
                 register `{qemu}` in it"
            ),
        };
        Availability::Missing { hint }
    }
}

/// Returns whether the processor executes programs of an architecture.
fn is_native(architecture: &str) -> bool {
    match (std::env::consts::ARCH, architecture) {
        ("x86_64", "amd64") | ("aarch64", "arm64") => true,
        // A setting of the 32-bit vDSO, which only kernels with 32-bit programs
        // have.
        ("x86_64", "386") => Path::new("/proc/sys/abi/vsyscall32").exists(),
        ("aarch64", "arm") => crate::sys::executes_32_bit(),
        _ => false,
    }
}

/// Returns the enabled entries of the machine's registry, by name; `None` when
/// it is not mounted.
fn registered() -> Option<Vec<Entry>> {
    let status = std::fs::read_to_string(Path::new(REGISTRY).join("status")).ok()?;
    if status.trim() != "enabled" {
        return Some(Vec::new());
    }
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(REGISTRY).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let entry = |path: &PathBuf| Entry::parse(&std::fs::read_to_string(path).ok()?);
    Some(paths.iter().filter_map(entry).collect())
}

/// Returns the first two numbers of the kernel's version.
fn kernel() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    let mut number = || numbers.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    (number(), number())
}

/// A registry of emulators, for as long as it lives: drop it after all processes
/// that may use it.
#[derive(Debug)]
pub struct Emulation {
    /// A registry loses its entries when nobody has it mounted.
    _registry: OwnedFd,
    namespace: Option<OwnedFd>,
}

impl Emulation {
    /// Registers all emulators of this machine, those which are found and those
    /// which are registered already: a registry hides the one outside.
    ///
    /// The calling process must be root in its user namespace and have a mount
    /// namespace of its own.
    pub fn start() -> Result<Self> {
        let lines = registrations();
        // In the machine's own user namespace an entry would be for everybody.
        if !owns_everything() {
            let registry = register(&lines).map_err(Error::Emulation)?;
            return Ok(Self { _registry: registry, namespace: None });
        }
        let (registry, namespace) = spawn::emulation(lines)?;
        Ok(Self { _registry: registry, namespace: Some(namespace) })
    }

    /// Returns what belongs into
    /// [`Sandbox::user_namespace`](crate::Sandbox::user_namespace): the path of
    /// the user namespace with the registry, valid in this process; `None` when
    /// that is the caller's own.
    pub fn user_namespace(&self) -> Option<PathBuf> {
        let namespace = self.namespace.as_ref()?;
        Some(PathBuf::from(format!("/proc/self/fd/{}", namespace.as_raw_fd())))
    }
}

/// Returns the lines to register.
fn registrations() -> Vec<String> {
    let outside = registered().unwrap_or_default();
    let interpreter = |architecture: &Architecture| {
        let entry = outside.iter().find(|entry| entry.is_for(architecture));
        entry
            .map(|entry| entry.interpreter.clone())
            .filter(|interpreter| is_static_program(interpreter))
            .or_else(|| find_emulator(architecture))
    };
    let foreign = ARCHITECTURES.iter().filter(|known| !is_native(known.name));
    // Each is asked for its version, all at once.
    std::thread::scope(|scope| {
        let lines: Vec<_> = foreign
            .filter_map(|architecture| Some((architecture, interpreter(architecture)?)))
            .map(|(architecture, interpreter)| {
                scope.spawn(move || {
                    registry::registration(
                        architecture,
                        &interpreter,
                        programs::names(&interpreter),
                    )
                })
            })
            .collect();
        lines.into_iter().filter_map(|line| line.join().ok().flatten()).collect()
    })
}

/// Returns whether all ids are the machine's: so this is root of the machine.
fn owns_everything() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Mounts the registry of the current user namespace and fills it.
pub(crate) fn register(lines: &[String]) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("binfmt_misc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mount = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let register = rustix::fs::openat(&mount, "register", flags, Mode::empty())?;
    for line in lines {
        match rustix::io::write(&register, line.as_bytes()) {
            // Somebody else of this namespace was first.
            Ok(_) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(mount)
}

#[cfg(test)]
mod tests;
